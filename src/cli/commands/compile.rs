//! `doorward compile`: the policy as one file that is checked and never changes.

use std::io::Write as _;
use std::path::PathBuf;

use super::check::{Findings, findings};
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files::{self, Output};
use crate::cli::policy::{PolicyArgs, bad};
use crate::cli::terminal::When;
use crate::cli::time::NowArg;
use crate::diagnostics::Severity;
use crate::report::{Style, human};

/// Check a policy and write it as one compiled file
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward compile --output policy.json",
    after_help = "\
The same policy gives the same bytes. Nothing is written when the check fails.

Exit codes:
  0  the file was written
  1  an invariant fails
  2  the policy cannot be used, or the file not written"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Write the compiled policy to a file [default: stdout]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Writes the file, whole or not at all.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let loaded = self.policy.read()?;
        let Findings { problems, unproved } = findings(&loaded, NowArg::default().instant());
        let Some(policy) = &loaded.policy else {
            return Err(bad(&problems, &loaded.sources, color));
        };
        if !problems.is_empty() {
            let text = human::check(&problems, &loaded.sources, Style::new(color.on_stderr()));
            let _ = write!(std::io::stderr(), "{text}");
        }
        if problems.iter().any(|p| p.severity() == Severity::Error) {
            return Ok(Answer::new(String::new(), false));
        }
        if unproved {
            return Err(Failure::new(Kind::BadPolicy, "an invariant was too large to prove")
                .help("name fewer items or fewer conditions in it"));
        }
        files::apart(self.output.as_deref(), [self.policy.path()?.as_path()])?;
        let bytes = policy
            .compiled
            .to_file()
            .map_err(|e| Failure::new(Kind::BadInput, format!("the policy has no compiled form: {e}")))?;
        let mut output = Output::to(self.output.as_deref())?;
        output.write_all(&bytes).map_err(|e| Failure::writing(output.path(), &e))?;
        output.finish()?;
        let said = match &self.output {
            Some(_) => format!("{}\n", policy.compiled.digest()),
            None => String::new(),
        };
        Ok(Answer::yes(said))
    }
}
