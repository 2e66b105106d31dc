//! `doorward suggest`: the least policy that keeps recorded traffic working.
//!
//! The recordings are read twice, once to learn and once to replay; stdin is kept in an unnamed
//! temporary file in between.

use std::ffi::OsString;
use std::io::{self, Seek};
use std::ops::ControlFlow;
use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::{Opened, PolicyArgs};
use crate::cli::sources::{self, Format as SourceFormat, SourceArgs};
use crate::cli::terminal::When;
use crate::cli::{files, stream};
use crate::policy::{CompiledPolicy, Layers, load};
use crate::report::Style;
use crate::report::suggest::{self as rendered, Findings};
use crate::suggest::{Keep, Options, Split, Studied, Study, Trial};
use crate::traffic::{Imported, Numbered, Unreadable};

/// How to write the suggestion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A policy file, or with --policy its grants
    #[default]
    Toml,
    /// Tables, for a person
    Human,
    /// One JSON document
    Json,
    /// Today's grants with what goes and what comes
    Diff,
}

/// Which events are learned from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum KeepArg {
    /// Those recorded as allowed
    Allowed,
    /// Those too of which no decision was recorded
    #[default]
    All,
}

/// Suggest the least policy that keeps recorded traffic working
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward suggest recordings/ --output suggested.toml
  doorward suggest --policy policies.toml --format diff recordings/
  doorward suggest --from mcpproxy --mapping identities.toml activity.jsonl
  doorward suggest --policy policies.toml --holdout 0.3 --seed 1 --format human recordings/",
    after_help = "\
What was recorded as denied is never learned from. Every line of the policy cites the events behind it, and all of
them are replayed through it.

Exit codes:
  0  every legitimate call is kept, but for those that no grant could keep
  1  a call is lost that a grant could keep, or a record could not be read
  2  there is no answer: a recording, a mapping or a policy cannot be used, or there is nothing to learn from"
)]
pub(in crate::cli) struct Args {
    /// Today's policy, of which all but the grants stays: a file, `-` for stdin, or `git:REV:PATH`
    /// [default: none, and the policy stands alone]
    #[arg(long, value_name = "FILE")]
    policy: Option<OsString>,
    /// Put `policies.NAME.toml` beside the policy over it [default: `DOORWARD_PROFILE`]
    #[arg(long, value_name = "NAME", requires = "policy")]
    profile: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    /// Which events are learned from, besides none that were denied
    #[arg(long, value_name = "WHICH", default_value = "all")]
    keep: KeepArg,
    /// How many distinct events a bound on an argument needs
    #[arg(long, value_name = "EVENTS", default_value_t = Options::default().min_support, value_parser = support)]
    min_support: usize,
    /// How many agents a grant names at most; calls through more are granted through any
    #[arg(long, value_name = "AGENTS", default_value_t = Options::default().max_agents)]
    max_agents: usize,
    /// How far limits lie beyond the numbers seen, in percent of their range
    #[arg(long, value_name = "PERCENT", default_value_t = Options::default().headroom,
        value_parser = clap::value_parser!(u32).range(0..=1000))]
    headroom: u32,
    /// Write `door:*` where groups use every known item of a door, and at least so many
    #[arg(long, value_name = "ITEMS")]
    generalise: Option<usize>,
    /// Learn a second policy from the other sessions, and judge this share of them by it
    #[arg(long, value_name = "SHARE", value_parser = share)]
    holdout: Option<f64>,
    /// Which sessions are held out
    #[arg(long, value_name = "NUMBER", default_value_t = 0, requires = "holdout")]
    seed: u64,
    /// How to write the suggestion
    #[arg(long, value_name = "FORMAT", default_value = "toml")]
    format: Format,
    /// How many items of each grant a person is shown
    #[arg(long, value_name = "ROWS", default_value_t = 20)]
    rows: usize,
    /// Write the suggestion to a file
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Recordings, or logs of the format that --from names: files, globs, directories, or `-` for stdin
    #[arg(value_name = "RECORDING", required = true)]
    recordings: Vec<PathBuf>,
}

/// The most distinct events that a bound can be made to need: each argument holds so many hashes.
const MAX_SUPPORT: usize = 1_000;

fn support(text: &str) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (1..=MAX_SUPPORT).contains(n));
    number.ok_or_else(|| format!("write a number from 1 to {MAX_SUPPORT}"))
}

fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "write a share from 0 to 1, such as 0.3".to_owned())
}

/// A recording that can be read twice.
struct Input {
    name: String,
    path: PathBuf,
    /// What came from stdin.
    spool: Option<std::fs::File>,
}

impl Args {
    /// Learns, replays, and writes what came of it.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let opened = self.today(color)?;
        let format = self.source.format(color)?;
        let strict = self.source.strict_input;
        let mut inputs = Vec::new();
        let paths = format.expand(&self.recordings)?;
        let read: Vec<PathBuf> =
            self.source.files().into_iter().chain(self.policy.as_ref().map(PathBuf::from)).collect();
        files::apart(self.output.as_deref(), paths.iter().chain(&read).map(PathBuf::as_path))?;
        for path in paths {
            inputs.push(Input::open(path)?);
        }
        let today: Option<&CompiledPolicy> = opened.as_ref().map(|opened| &opened.compiled);
        let groups = opened.as_ref().map(|opened| opened.groups.clone()).unwrap_or_default();
        let split = self.holdout.map(|share| Split { share, seed: self.seed });
        let mut study = Study::new(self.options(), today, &groups, split);
        for input in &inputs {
            study.source(&input.name);
            let imported = input.read(&format, strict, &mut |item| study.item(item))?;
            study.imported(&imported);
        }
        let mut studied = study.finish();
        if studied.counts.legitimate == 0 {
            return Err(Failure::new(Kind::NothingToDo, "there is no legitimate call to learn from")
                .help("check the recordings; with --keep all those without a recorded decision count too"));
        }
        studied.measure();
        let mut trial = Trial::new(&studied);
        for input in &inputs {
            trial.source(&input.name);
            input.read(&format, strict, &mut |item| trial.item(item))?;
        }
        let (proof, score) = trial.finish();
        if proof.replayed != studied.counts.legitimate {
            return Err(Failure::new(Kind::CannotRead, "the recordings changed between learning and replaying")
                .help("copy them, and learn from the copy"));
        }
        let findings = Findings { studied: &studied, proof: &proof, score: score.as_ref() };
        let policy = rendered::toml(&findings);
        reads_back(&policy, &studied)?;
        let text = match self.format {
            Format::Toml => policy,
            Format::Human => {
                rendered::human(&findings, self.rows, Style::new(self.output.is_none() && color.on_stdout()))
            }
            Format::Json => rendered::json(&findings),
            Format::Diff => rendered::diff(&findings),
        };
        Ok(Answer::new(text, proof.holds() && studied.counts.unreadable == 0).to(self.output))
    }

    fn today(&self, color: When) -> Result<Option<Opened>, Failure> {
        let args = |policy: &OsString| PolicyArgs { policy: Some(policy.clone()), profile: self.profile.clone() };
        self.policy.as_ref().map(|policy| args(policy).open(color)).transpose()
    }

    const fn options(&self) -> Options {
        Options {
            keep: match self.keep {
                KeepArg::Allowed => Keep::Allowed,
                KeepArg::All => Keep::All,
            },
            min_support: self.min_support,
            max_agents: self.max_agents,
            headroom: self.headroom,
            generalise: self.generalise,
        }
    }
}

/// What is written must be read as the policy that was replayed.
fn reads_back(text: &str, studied: &Studied<'_>) -> Result<(), Failure> {
    if !studied.suggestion.stands_alone {
        return Ok(());
    }
    let layers = Layers { files: vec![("suggested".to_owned(), text.into())], environment: Vec::new() };
    let digest = load(&layers).policy.map(|policy| policy.compiled.digest());
    if digest == Some(studied.suggestion.policy.digest()) {
        return Ok(());
    }
    Err(Failure::new(Kind::BadPolicy, "the suggested policy does not read back as what was learned")
        .help("this is a fault of doorward: please report it with the recording"))
}

impl Input {
    fn open(path: PathBuf) -> Result<Self, Failure> {
        let name = files::display_name(&path);
        let failed = |e: &io::Error| Failure::reading(&path, e);
        let spool = if files::is_stdin(&path) {
            let mut file = tempfile::tempfile().map_err(|e| failed(&e))?;
            io::copy(&mut io::stdin().lock(), &mut file).map_err(|e| failed(&e))?;
            Some(file)
        } else {
            None
        };
        Ok(Self { name, path, spool })
    }

    /// Hands every record to `sink`. A file that is no recording is a failure, and with `strict` so
    /// is a record that cannot be read.
    fn read(
        &self,
        format: &SourceFormat,
        strict: bool,
        sink: &mut dyn FnMut(&Result<Numbered, Unreadable>),
    ) -> Result<Imported, Failure> {
        let failed = |e: &io::Error| Failure::reading(&self.path, e);
        let mut first = None;
        let mut each = |item: Result<Numbered, Unreadable>| {
            sink(&item);
            match item {
                Err(unreadable) if strict => {
                    first = Some(unreadable);
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        };
        let imported = match &self.spool {
            Some(spool) => {
                let mut file = spool.try_clone().map_err(|e| failed(&e))?;
                file.rewind().map_err(|e| failed(&e))?;
                let input = stream::unpacked(file).map_err(|e| failed(&e))?;
                format.read(input, &mut each).map_err(|e| sources::no_recording(&self.name, &e))?
            }
            None => format.read_file(&self.path, &mut each)?,
        };
        match first {
            Some(unreadable) => Err(sources::strict(&self.name, &unreadable)),
            None => Ok(imported),
        }
    }
}
