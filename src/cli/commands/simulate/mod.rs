//! `doorward simulate`: a policy rehearsed on recorded traffic.
//!
//! The arguments become a [`plan::Plan`], the plan is carried out by [`read`], and [`answer`] turns
//! what came of it into a report and an exit code.

mod answer;
mod plan;
mod progress;
mod read;

use std::path::PathBuf;

use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::PolicyArgs;
use crate::cli::terminal::When;
use answer::AnswerArgs;
use plan::Plan;

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
    /// Rehearse the built-in policy on the built-in recording
    #[arg(long, conflicts_with_all = ["policy", "profile", "baseline", "mapping", "recordings"])]
    demo: bool,
    #[command(flatten)]
    answer: AnswerArgs,
    /// Recordings: files, globs, directories, or `-` for stdin [default: those of `[rollout]`]
    #[arg(value_name = "RECORDING")]
    recordings: Vec<PathBuf>,
}

impl Args {
    /// Exit code 0 when the gate holds, 1 when it is broken, 2 when there is no telling.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        let plan = if self.demo { Plan::demo()? } else { Plan::of(&self, color)? };
        let mut parts = read::rehearse(&plan)?;
        let part = parts.pop().ok_or_else(|| Failure::new(Kind::NothingToDo, "there is no policy to rehearse"))?;
        Ok(self.answer.answer(&part.finish(), &plan.rollout, color))
    }
}
