//! `doorward audit export`: the log for others, and for rehearsals.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::line;
use super::select::SelectArgs;
use super::source::SourceArgs;
use crate::audit::recorded;
use crate::audit::store::{Order, Select};
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files::{self, Output};
use crate::cli::terminal::When;
use crate::traffic::{Header, WriteError, Writer};

/// How to write the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// A line of JSON a row, which `audit verify` reads
    #[default]
    Json,
    /// CSV with a line of names
    Csv,
    /// A recording, which `simulate` reads
    Recording,
}

/// Write the log for others, or as a recording
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward audit export --output audit.jsonl
  doorward audit export --format recording --since 2026-03-01T00:00:00Z --output march.jsonl",
    after_help = "\
Only an export of everything, without flags that choose rows, can be verified.

Exit codes:
  0  the rows were written
  2  the log cannot be read"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    select: SelectArgs,
    /// How to write the rows
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    format: Format,
    /// Write to a file [default: stdout]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Args {
    /// Writes the rows as they come.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let log = self.source.find(color)?;
        files::apart(self.output.as_deref(), log.files().iter().map(PathBuf::as_path))?;
        let mut reader = log.open()?;
        let mut output = Output::to(self.output.as_deref())?;
        let path = output.path().to_owned();
        let mut failed = None;
        let mut select = self.select.select();
        if self.format == Format::Recording {
            let header = Header::new(concat!("doorward ", env!("CARGO_PKG_VERSION"), " audit export"));
            let mut writer = Writer::new(output, &header).map_err(|e| writing(&path, &e))?;
            select = Select { order: Order::Earliest, ..select };
            reader.each(&select, &mut |row| {
                let written = recorded(&row).map_or(Ok(()), |event| writer.write(&event));
                stop(written.map_err(|e| writing(&path, &e)), &mut failed)
            })?;
            output = writer.finish().map_err(|e| writing(&path, &e))?;
        } else {
            let csv = self.format == Format::Csv;
            if csv {
                output.write_all(line::csv_head().as_bytes()).map_err(|e| Failure::writing(&path, &e))?;
            }
            reader.each(&select, &mut |row| {
                let line = if csv { line::csv(&row).into_bytes() } else { line::json(&row) };
                stop(output.write_all(&line).map_err(|e| Failure::writing(&path, &e)), &mut failed)
            })?;
        }
        match failed {
            Some(failure) => Err(failure),
            None => output.finish().map(|()| Answer::yes("")),
        }
    }
}

fn stop(written: Result<(), Failure>, failed: &mut Option<Failure>) -> ControlFlow<()> {
    match written {
        Ok(()) => ControlFlow::Continue(()),
        Err(failure) => {
            *failed = Some(failure);
            ControlFlow::Break(())
        }
    }
}

fn writing(path: &Path, error: &WriteError) -> Failure {
    match error {
        WriteError::Io(error) => Failure::writing(path, error),
        WriteError::TooLong { .. } => Failure::new(Kind::BadInput, error.to_string()),
    }
}
