//! What came of a rehearsal as a report, with the exit code of its gate.

use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::terminal::When;
use crate::policy::checks::Rollout;
use crate::report::Style;
use crate::report::simulate::{self as rendered, Limits};
use crate::simulate::{GateVerdict, Report, gate};

/// How to write the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// Tables, for a person
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// How the report is judged and written.
#[derive(Debug, clap::Args)]
pub(super) struct AnswerArgs {
    /// Allow no newly denied, newly allowed or undecidable request, whatever `[rollout]` says
    #[arg(long)]
    strict: bool,
    /// How to write the report
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// How many rows of each table a person is shown
    #[arg(long, value_name = "ROWS", default_value_t = Limits::default().rows)]
    rows: usize,
    /// Write the report to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl AnswerArgs {
    /// The report of one rehearsal.
    pub(super) fn answer(self, report: &Report, rollout: &Rollout, color: When) -> Answer {
        let strict = Rollout {
            max_newly_denied: Some(0),
            max_newly_allowed: Some(0),
            max_undecidable: Some(0),
            ..Rollout::default()
        };
        let verdict = gate(if self.strict { &strict } else { rollout }, report);
        let text = match self.format {
            Format::Human => {
                let style = Style::new(self.output.is_none() && color.on_stdout());
                rendered::human(report, &verdict, Limits { rows: self.rows }, style)
            }
            Format::Json => rendered::json(report, &verdict),
        };
        let answer = match verdict {
            GateVerdict::Broken { .. } => Answer::new(text, false),
            GateVerdict::CannotTell { .. } => Answer::none(text),
            GateVerdict::Open | GateVerdict::Holds if report.unreadable_total() > 0 => Answer::none(text),
            GateVerdict::Open | GateVerdict::Holds => Answer::yes(text),
        };
        answer.to(self.output)
    }
}
