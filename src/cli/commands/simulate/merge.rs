//! `doorward simulate merge`: the report of the whole from its parts, and the writing of a part.

use std::path::{Path, PathBuf};

use super::answer::{AnswerArgs, Format};
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::terminal::When;
use crate::cli::{files, inputs};
use crate::simulate::PartFile;

/// The largest part that is read, in bytes.
const PART_LIMIT: u64 = 1 << 30;

/// Merge the parts of a rehearsal into its report
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward simulate merge parts/*.part --format json",
    after_help = "\
The report is the one that the whole rehearsal would have given, to the byte. The gate is that of the parts, and what
flags say instead.

Exit codes: those of the rehearsal; 2 also when a part is missing, there twice, or of another rehearsal"
)]
pub(super) struct Args {
    /// Report on the shards that are here, although some are missing
    #[arg(long)]
    partial: bool,
    #[command(flatten)]
    answer: AnswerArgs,
    /// The parts, as `--shard` writes them: files, globs or directories
    #[arg(value_name = "PART", required = true)]
    parts: Vec<PathBuf>,
}

impl Args {
    /// Merges one part after the other, so that no more than two are held.
    pub(super) fn run(self, color: When) -> Result<Answer, Failure> {
        let mut whole: Option<PartFile> = None;
        let paths = inputs::expand(&self.parts, &["part", "json"])?;
        self.answer.spare(paths.iter().map(PathBuf::as_path))?;
        for path in &paths {
            let part = read(path)?;
            match &mut whole {
                None => whole = Some(part),
                Some(whole) => whole.merge(part).map_err(|e| refused(path, &e.to_string()))?,
            }
        }
        let Some(whole) = whole else {
            return Err(Failure::new(Kind::NothingToDo, "there is no part to merge"));
        };
        let missing = whole.missing();
        let lacks = (!missing.is_empty()).then(|| {
            let few: Vec<String> = missing.iter().take(20).map(ToString::to_string).collect();
            let more = if missing.len() > few.len() { " and more" } else { "" };
            format!("of the shards, {}{more} are missing", few.join(", "))
        });
        if let Some(lacks) = lacks.as_ref().filter(|_| !self.partial) {
            return Err(Failure::new(Kind::BadInput, lacks)
                .help("make them with --shard, or give --partial for a report on the others"));
        }
        let (run, reports) = whole.finish();
        self.answer.check(run.matrix)?;
        let gate = self.answer.gate(&run.gate);
        // What part of the traffic was left out may be the part that breaks the gate.
        self.answer.answer(&reports, run.matrix, &gate, &run.policy, lacks.as_deref(), color)
    }
}

fn read(path: &Path) -> Result<PartFile, Failure> {
    let bytes = files::read(path, PART_LIMIT)?;
    PartFile::read(&bytes).map_err(|e| refused(path, &e.to_string()))
}

fn refused(path: &Path, why: &str) -> Failure {
    Failure::new(Kind::BadInput, format!("`{}` cannot be merged: {why}", files::display_name(path)))
        .help("merge the parts of one run: the same policies, what-ifs, clock, gate and recordings, each shard once")
}

/// Writes a part. Nothing is judged yet: the exit code is 0.
pub(super) fn part(part: &PartFile, answer: AnswerArgs) -> Result<Answer, Failure> {
    if answer.format != Format::Human || !answer.reports.is_empty() {
        return Err(Failure::new(Kind::Usage, "a shard gives a part and no report")
            .help("give the format to `doorward simulate merge`"));
    }
    let text = serde_json::to_string(part)
        .map_err(|e| Failure::new(Kind::BadInput, format!("the part has no JSON form: {e}")))?;
    Ok(Answer::yes(format!("{text}\n")).to(answer.output))
}
