//! What came of a rehearsal as a report, with the exit code of its gate.

use std::path::PathBuf;

use super::gate::GateArgs;
use crate::cli::answer::Answer;
use crate::cli::failure::Failure;
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
    #[command(flatten)]
    gate: GateArgs,
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
    /// The report of one rehearsal, or of a matrix of them.
    pub(super) fn answer(
        self,
        reports: &[Report],
        matrix: bool,
        rollout: &Rollout,
        color: When,
    ) -> Result<Answer, Failure> {
        let rollout = &self.gate.over(rollout);
        let judged: Vec<(&Report, GateVerdict)> =
            reports.iter().map(|report| (report, gate(rollout, report))).collect();
        let style = Style::new(self.output.is_none() && color.on_stdout());
        let text = match (self.format, judged.as_slice()) {
            (Format::Human, [(report, verdict)]) if !matrix => {
                rendered::human(report, verdict, Limits { rows: self.rows }, style)
            }
            (Format::Json, [(report, verdict)]) if !matrix => rendered::json(report, verdict),
            (Format::Human, rows) => rendered::matrix::human(rows, style),
            (Format::Json, rows) => rendered::matrix::json(rows),
        };
        let doubt = |(report, verdict): &(&Report, GateVerdict)| {
            matches!(verdict, GateVerdict::CannotTell { .. }) || report.unreadable_total() > 0
        };
        // A limit that is broken stays broken, whatever could not be read besides.
        let answer = if judged.iter().any(|(_, verdict)| matches!(verdict, GateVerdict::Broken { .. })) {
            Answer::new(text, false)
        } else if judged.is_empty() || judged.iter().any(doubt) {
            Answer::none(text)
        } else {
            Answer::yes(text)
        };
        Ok(answer.to(self.output))
    }
}
