//! What came of a rehearsal as reports, with the exit code of its gate.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::gate::GateArgs;
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::files;
use crate::cli::terminal::When;
use crate::policy::checks::Rollout;
use crate::report::Style;
use crate::report::simulate::{self as rendered, By, Limits, Rehearsed, Tables};
use crate::simulate::{GateVerdict, Report, gate, limits};

/// How to write the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables, for a person
    #[default]
    Human,
    /// One JSON document
    Json,
    /// JUnit XML: the self-checks, each limit and each door
    Junit,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// GitHub annotations
    Github,
    /// Markdown, for a comment on a pull request
    Markdown,
    /// One HTML page that needs nothing else
    Html,
}

/// How the report is judged and written.
#[derive(Debug, clap::Args)]
pub(super) struct AnswerArgs {
    #[command(flatten)]
    gate: GateArgs,
    /// How to write the report
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub(super) format: Format,
    /// How many rows of each table a person is shown
    #[arg(long, value_name = "ROWS", default_value_t = Limits::default().rows)]
    rows: usize,
    /// Which tables a person is shown besides what changes
    #[arg(long, value_name = "TABLE", value_delimiter = ',', value_parser = table())]
    by: Vec<By>,
    /// Write the report to a file
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Write the report in a further format to a file, as often as needed
    #[arg(long = "report", value_name = "FORMAT=FILE", value_parser = further)]
    pub(super) reports: Vec<(Format, PathBuf)>,
}

fn further(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, file) = text.split_once('=').ok_or("write the format, `=` and the file, as in `html=report.html`")?;
    let format = Format::from_str(format, false).map_err(|_| format!("there is no format `{format}`"))?;
    if file.is_empty() || file == "-" {
        return Err("name a file; `--format` writes to stdout".to_owned());
    }
    Ok((format, PathBuf::from(file)))
}

impl AnswerArgs {
    /// The gate with what the flags say.
    pub(super) fn gate(&self, rollout: &Rollout) -> Rollout {
        self.gate.over(rollout)
    }

    /// Whether a flag asks anything of the gate.
    pub(super) fn asks_the_gate(&self) -> bool {
        !self.gate.is_empty()
    }

    /// The report of one rehearsal, or of a matrix of them. `rollout` is what the gate asks
    /// for, `policy` what the candidate is called, and `lacks` what traffic was left out, if any.
    pub(super) fn answer(
        self,
        reports: &[Report],
        matrix: bool,
        rollout: &Rollout,
        policy: &str,
        lacks: Option<&str>,
        color: When,
    ) -> Result<Answer, Failure> {
        let shown: Result<Vec<Report>, _> = reports.iter().map(Report::redacted).collect();
        let reports = shown.map_err(|e| Failure::new(Kind::BadInput, format!("the report has no JSON form: {e}")))?;
        let judge = |report| {
            let verdict = gate(rollout, report);
            match lacks {
                Some(why) => verdict.in_doubt(why),
                None => verdict,
            }
        };
        let judged: Vec<(&Report, GateVerdict)> = reports.iter().map(|report| (report, judge(report))).collect();
        let style = Style::new(self.output.is_none() && color.on_stdout());
        let render = |format: Format, style: Style| match judged.as_slice() {
            [(report, verdict)] if !matrix => {
                let limits = limits(rollout, report);
                self.render(format, &Rehearsed { report, gate: verdict, limits: &limits, policy }, style)
            }
            rows if format == Format::Json => rendered::matrix::json(rows),
            rows => rendered::matrix::human(rows, style),
        };
        let text = render(self.format, style);
        let further = self.reports.iter().map(|(format, path)| (path.clone(), render(*format, Style::PLAIN))).collect();
        let doubt = |(report, verdict): &(&Report, GateVerdict)| {
            matches!(verdict, GateVerdict::CannotTell { .. }) || report.unreadable_total() > 0
        };
        // A limit that is broken stays broken, whatever could not be read besides.
        let answer = if judged.iter().any(|(_, verdict)| matches!(verdict, GateVerdict::Broken { .. })) {
            Answer::new(text, false)
        } else if judged.is_empty() || lacks.is_some() || judged.iter().any(doubt) {
            Answer::none(text)
        } else {
            Answer::yes(text)
        };
        Ok(answer.to(self.output).and(further))
    }

    fn render(&self, format: Format, rehearsed: &Rehearsed<'_>, style: Style) -> String {
        match format {
            Format::Human => {
                let limits = Limits { rows: self.rows, by: Tables::of(self.by.iter().copied()) };
                rendered::human(rehearsed.report, rehearsed.gate, limits, style)
            }
            Format::Json => rendered::json(rehearsed.report, rehearsed.gate),
            Format::Junit => rendered::junit(rehearsed),
            Format::Sarif => rendered::sarif(rehearsed),
            Format::Github => rendered::github(rehearsed),
            Format::Markdown => rendered::markdown(rehearsed),
            Format::Html => rendered::html(rehearsed),
        }
    }

    /// Whether the reports can be written at all, asked before the first event is read.
    pub(super) fn check(&self, matrix: bool) -> Result<(), Failure> {
        let mut formats = self.reports.iter().map(|(format, _)| *format).chain([self.format]);
        if matrix && formats.any(|format| !matches!(format, Format::Human | Format::Json)) {
            return Err(Failure::new(Kind::Usage, "a matrix is written as `human` or `json`")
                .help("leave --matrix out for the other formats"));
        }
        files::apart(self.files(), [])
    }

    /// Refuses to write over what is read.
    pub(super) fn spare<'p>(&'p self, inputs: impl IntoIterator<Item = &'p Path>) -> Result<(), Failure> {
        files::apart(self.files(), inputs)
    }

    fn files(&self) -> impl Iterator<Item = &Path> {
        self.output.iter().chain(self.reports.iter().map(|(_, path)| path)).map(PathBuf::as_path)
    }
}

/// A table by its name.
fn table() -> impl TypedValueParser<Value = By> {
    let named = |name: String| By::ALL.into_iter().find(|(own, _)| *own == name).map(|(_, by)| by);
    PossibleValuesParser::new(By::ALL.map(|(name, _)| name)).try_map(move |name| named(name).ok_or("no such table"))
}
