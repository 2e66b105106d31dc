//! `doorward diff`: who gains and who loses what between two policies.

use std::path::{Path, PathBuf};

use crate::analyze::{Diff, Options, diff};
use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::policy::{profile, read_compiled};
use crate::cli::terminal::When;
use crate::report::{Style, diff as rendered};

/// How to write the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// For a person
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// Which difference is a no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FailOn {
    /// Someone may do what was denied before
    Widen,
    /// Someone may no longer do what was allowed before
    Narrow,
    /// Anything at all differs
    Any,
}

/// Show who gains and who loses what between two policies
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Example:
  doorward diff git:main:policies.toml policies.toml --fail-on widen",
    after_help = "\
The answer is exact: every change that is shown comes with a request that both policies decided, and what is not
shown is no change. Whose tokens an issuer's settings let in cannot be shown by a request, and counts as both.

Exit codes:
  0  no difference of the kind that --fail-on names
  1  there is one
  2  a policy cannot be used, or a question was too large to answer"
)]
pub(in crate::cli) struct Args {
    /// The policy before: a file, a compiled file, `-` for stdin, or `git:REV:PATH`
    old: PathBuf,
    /// The policy after
    new: PathBuf,
    /// Put `policies.NAME.toml` beside each policy over it; a compiled file has its profile in it
    /// [default: `DOORWARD_PROFILE`]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Which difference gives exit code 1
    #[arg(long, value_name = "WHAT")]
    fail_on: Option<FailOn>,
    /// How to write the difference
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the difference to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Compares.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let profile = profile(self.profile.as_deref())?;
        let read = |path: &Path| read_compiled(path, profile.as_deref(), color);
        let (old, new) = (read(&self.old)?, read(&self.new)?);
        let found = diff(&old, &new, Options::default());
        let text = match self.format {
            Format::Human => rendered::human(&found, Style::new(self.output.is_none() && color.on_stdout())),
            Format::Json => rendered::json(&found, &old.digest().to_string(), &new.digest().to_string()),
        };
        let answer = if self.fail_on.is_some_and(|what| what.is_in(&found)) {
            Answer::new(text, false)
        } else if found.unanswered.is_empty() {
            Answer::yes(text)
        } else {
            Answer::none(text)
        };
        Ok(answer.to(self.output))
    }
}

impl FailOn {
    fn is_in(self, diff: &Diff) -> bool {
        match self {
            Self::Widen => diff.widens(),
            Self::Narrow => diff.narrows(),
            Self::Any => !diff.is_empty(),
        }
    }
}
