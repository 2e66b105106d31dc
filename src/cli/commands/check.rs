//! `doorward check`: is the policy sound?

use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::policy::PolicyArgs;
use crate::cli::terminal::When;
use crate::diagnostics::{Diagnostic, Severity, sort};
use crate::policy::Loaded;
use crate::report::{Style, github, human, json, sarif};

/// How to write the problems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// With excerpts, for a person
    #[default]
    Human,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Workflow commands, for annotations on GitHub
    Github,
}

/// Check a policy: errors, warnings and invariants
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward check --deny-warnings --format github",
    after_help = "\
Exit codes:
  0  the policy can be used
  1  an invariant fails, or with --deny-warnings there is a warning
  2  the policy cannot be used, or cannot be read"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Take warnings for a no
    #[arg(long)]
    deny_warnings: bool,
    /// How to write the problems
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the problems to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Reports every problem.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let loaded = self.policy.read()?;
        let problems = problems(&loaded);
        let text = match self.format {
            Format::Human => {
                let style = Style::new(self.output.is_none() && color.on_stdout());
                let next = if loaded.policy.is_some() && problems.is_empty() { "next: doorward test\n" } else { "" };
                human::check(&problems, &loaded.sources, style) + next
            }
            Format::Json => json::check(&problems, &loaded.sources),
            Format::Sarif => sarif::check(&problems, &loaded.sources),
            Format::Github => github::check(&problems, &loaded.sources),
        };
        let worst = |severity| problems.iter().any(|p| p.severity() == severity);
        let answer = if loaded.policy.is_none() {
            Answer::none(text)
        } else {
            let no = worst(Severity::Error) || (self.deny_warnings && worst(Severity::Warning));
            Answer::new(text, !no)
        };
        Ok(answer.to(self.output))
    }
}

/// Everything that can be found in a policy: what reading it found, and what analysis proves.
pub(super) fn problems(loaded: &Loaded) -> Vec<Diagnostic> {
    let mut problems = loaded.problems.clone();
    sort(&mut problems);
    problems
}
