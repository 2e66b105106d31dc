//! `doorward token`: tokens of the development issuer, and what any token is worth.

mod inspect;
mod issue;

use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::terminal::When;

/// Issue a development token, or inspect any token
#[derive(Debug, clap::Args)]
#[command(before_help = "Example:\n  doorward token issue --sub ana --door tickets | doorward token inspect")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Issue(Box<issue::Args>),
    Inspect(inspect::Args),
}

impl Args {
    /// Issues or inspects.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        match self.command {
            Command::Issue(args) => args.run(color),
            Command::Inspect(args) => args.run(color),
        }
    }
}
