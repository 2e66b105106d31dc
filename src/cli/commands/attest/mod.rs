//! `doorward attest`: the keys of attestations, and what an attestation is worth.
//!
//! `doorward simulate --attest` makes one.

mod key;
mod verify;

use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::terminal::When;

/// Verify that a policy was rehearsed, and make keys to sign that with
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  doorward attest key attest.key
  doorward simulate --attest attest.key
  doorward attest verify")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Key(key::Args),
    Verify(verify::Args),
}

impl Args {
    /// Does it.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        match self.command {
            Command::Key(args) => args.run(),
            Command::Verify(args) => args.run(color),
        }
    }
}
