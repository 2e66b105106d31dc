//! `doorward audit query`: the rows that say something.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::line;
use super::select::SelectArgs;
use super::source::SourceArgs;
use crate::audit::store::{Order, Select};
use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
use crate::cli::terminal::When;

/// How to write the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A line for a person
    #[default]
    Human,
    /// A line of JSON, as `export` writes it
    Json,
}

/// Show the rows that say something, the latest first
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward audit query --subject ana --decision deny
  doorward audit query --door tickets --tool refund --since 2026-03-01T00:00:00Z --format json",
    after_help = "\
Exit codes:
  0  there are such rows
  1  there are none
  2  the log cannot be read"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    select: SelectArgs,
    /// At most so many rows
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=1_000_000))]
    limit: i64,
    /// How to write the rows
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// Write the rows to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Asks the store.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let select = Select { order: Order::Latest, limit: Some(self.limit), ..self.select.select() };
        let mut text = String::new();
        self.source.find(color)?.open()?.each(&select, &mut |row| {
            match self.format {
                Format::Human => text.push_str(&line::human(&row)),
                Format::Json => text.push_str(&String::from_utf8_lossy(&line::json(&row))),
            }
            ControlFlow::Continue(())
        })?;
        let any = !text.is_empty();
        Ok(Answer::new(text, any).to(self.output))
    }
}
