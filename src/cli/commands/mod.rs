//! One file per command: arguments in, an answer out.

mod completions;
mod init;

use super::answer::Answer;
use super::failure::Failure;
use super::terminal::When;

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Init(init::Args),
    Completions(completions::Args),
}

impl Command {
    /// Does it.
    pub(super) fn run(self, color: When) -> Result<Answer, Failure> {
        match self {
            Self::Init(args) => args.run(),
            Self::Completions(args) => args.run(),
        }
    }
}
