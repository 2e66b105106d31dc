//! `doorward simulate`: a policy rehearsed on recorded traffic.

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::{Path, PathBuf};

use super::import::read_mapping;
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::{self, PolicyArgs};
use crate::cli::terminal::When;
use crate::cli::{demo, files, inputs};
use crate::policy::CompiledPolicy;
use crate::policy::checks::Rollout;
use crate::report::Style;
use crate::report::simulate::{self as rendered, Limits};
use crate::simulate::{GateVerdict, Rehearsal, Report, gate};
use crate::traffic::mapping::Mapping;
use crate::traffic::{Numbered, Reader, Unreadable, chat};

/// After how many events progress is shown again.
const PROGRESS: u64 = 20_000;

/// How to write the report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Tables, for a person
    #[default]
    Human,
    /// One JSON document
    Json,
}

/// Rehearse a policy on recorded traffic
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward simulate --demo
  doorward simulate --policy policies.toml --baseline git:main:policies.toml recordings/
  doorward simulate --mapping mapping.toml chats.json",
    after_help = "\
The gate is `[rollout]` of the policy; without one there is nothing to break.

Exit codes:
  0  the gate holds
  1  the gate is broken
  2  there is no answer: a record, a recording or a policy cannot be used, or the gate cannot be judged"
)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Compare with this policy instead of with what was recorded: a file, a compiled file or `git:REV:PATH`
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// The recordings are chat transcripts, read with this mapping
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// Allow no newly denied, newly allowed or undecidable request, whatever `[rollout]` says
    #[arg(long)]
    strict: bool,
    /// Rehearse the built-in policy on the built-in recording
    #[arg(long, conflicts_with_all = ["policy", "profile", "baseline", "mapping", "recordings"])]
    demo: bool,
    /// How to write the report
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    format: Format,
    /// How many rows of each table a person is shown
    #[arg(long, value_name = "ROWS", default_value_t = Limits::default().rows)]
    rows: usize,
    /// Write the report to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Recordings: files, globs, directories, or `-` for stdin [default: those of `[rollout]`]
    #[arg(value_name = "RECORDING")]
    recordings: Vec<PathBuf>,
}

impl Args {
    /// Exit code 0 when the gate holds, 1 when it is broken, 2 when there is no telling.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        if self.demo {
            let candidate = demo::policy()?;
            let mut rehearsal = Rehearsal::new(&candidate.compiled, None);
            feed(&mut rehearsal, demo::RECORDING_NAME, demo::RECORDING.as_bytes(), &mut Progress::new())?;
            return Ok(self.answer(&rehearsal.finish(), &candidate.checks.rollout, color));
        }
        let candidate = self.policy.open(color)?;
        let profile = self.policy.profile()?;
        let baseline = self.baseline.as_deref();
        let baseline = baseline.map(|path| policy::read_compiled(path, profile.as_deref(), color)).transpose()?;
        let mapping = self.mapping.as_deref().map(|path| read_mapping(path, color)).transpose()?;
        let paths = self.paths(&candidate.checks.rollout, candidate.directory.as_deref())?;
        let report = rehearse(&candidate.compiled, baseline.as_ref(), mapping.as_ref(), &paths)?;
        Ok(self.answer(&report, &candidate.checks.rollout, color))
    }

    /// The recordings that were named, or those that the policy names.
    fn paths(&self, rollout: &Rollout, beside: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
        let extension = if self.mapping.is_some() { "json" } else { "jsonl" };
        if !self.recordings.is_empty() {
            return inputs::expand(&self.recordings, extension);
        }
        let named: Vec<PathBuf> =
            rollout.recordings.iter().map(|r| beside.map_or_else(|| PathBuf::from(r), |d| d.join(r))).collect();
        if named.is_empty() {
            return Err(Failure::new(Kind::NothingToDo, "no recording was named")
                .help("name one, list some under `recordings` in `[rollout]`, or try --demo"));
        }
        inputs::expand(&named, extension)
    }

    fn answer(self, report: &Report, rollout: &Rollout, color: When) -> Answer {
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

fn rehearse(
    candidate: &CompiledPolicy,
    baseline: Option<&CompiledPolicy>,
    mapping: Option<&Mapping>,
    paths: &[PathBuf],
) -> Result<Report, Failure> {
    let mut rehearsal = Rehearsal::new(candidate, baseline);
    let mut progress = Progress::new();
    for path in paths {
        let name = files::display_name(path);
        let input: Box<dyn BufRead> = if files::is_stdin(path) {
            Box::new(std::io::stdin().lock())
        } else {
            let limit = mapping.map(|_| files::TRANSCRIPT_LIMIT);
            Box::new(BufReader::with_capacity(1 << 16, files::open(path, limit)?))
        };
        match mapping {
            None => feed(&mut rehearsal, &name, input, &mut progress)?,
            Some(mapping) => {
                rehearsal.source(&name);
                let mut sink = |item: Result<Numbered, Unreadable>| {
                    rehearsal.item(&item);
                    progress.step();
                };
                let imported = chat::read(input, mapping, &mut sink);
                rehearsal.imported(&imported);
            }
        }
    }
    progress.clear();
    Ok(rehearsal.finish())
}

/// Feeds one recording. A record that cannot be read is counted; a file that is no recording ends it.
fn feed(
    rehearsal: &mut Rehearsal<'_>,
    name: &str,
    input: impl BufRead,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let reader = Reader::new(input).map_err(|e| {
        progress.clear();
        Failure::new(Kind::BadInput, format!("`{name}` is no recording: {e}"))
            .help("a chat transcript needs --mapping, or `doorward import` first")
    })?;
    rehearsal.source(name);
    for item in reader {
        rehearsal.item(&item);
        progress.step();
    }
    Ok(())
}

/// A count on stderr, where a person is watching.
struct Progress {
    events: u64,
    watched: bool,
}

impl Progress {
    fn new() -> Self {
        Self { events: 0, watched: std::io::stderr().is_terminal() }
    }

    fn step(&mut self) {
        self.events += 1;
        if self.watched && self.events.is_multiple_of(PROGRESS) {
            let _ = write!(std::io::stderr(), "\r{} events", self.events);
        }
    }

    /// Leaves the line to what comes next.
    fn clear(&mut self) {
        if self.watched && self.events >= PROGRESS {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}
