//! `doorward audit`: what was done, by whom, and whether the log can be believed.

mod export;
mod follow;
mod init;
mod line;
mod prune;
mod query;
mod select;
mod source;
mod stats;
mod verify;

use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::terminal::When;

/// Verify, search and export the audit log
#[derive(Debug, clap::Args)]
#[command(before_help = "\
Examples:
  doorward audit verify --key audit.pub
  doorward audit query --subject ana --decision deny --since 2026-03-01T00:00:00Z
  doorward audit export --format recording --output march.jsonl")]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Verify(verify::Args),
    Query(query::Args),
    Export(export::Args),
    Stats(stats::Args),
    Follow(follow::Args),
    Init(init::Args),
    Prune(prune::Args),
}

impl Args {
    /// Does it.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        match self.command {
            Command::Verify(args) => args.run(color),
            Command::Query(args) => args.run(color),
            Command::Export(args) => args.run(color),
            Command::Stats(args) => args.run(color),
            Command::Follow(args) => args.run(color),
            Command::Init(args) => args.run(color),
            Command::Prune(args) => args.run(color),
        }
    }
}
