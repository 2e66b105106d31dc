//! `doorward simulate`: a policy rehearsed on recorded traffic.
//!
//! The arguments become a [`plan::Plan`], the plan is carried out by [`read`], and [`answer`] turns
//! what came of it into a report and an exit code.

mod answer;
mod crew;
mod gate;
mod plan;
mod progress;
mod read;

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use crate::cli::answer::Answer;
use crate::cli::demo;
use crate::cli::failure::Failure;
use crate::cli::policy::PolicyArgs;
use crate::cli::sources::SourceArgs;
use crate::cli::terminal::When;
use crate::cli::time;
use crate::cli::what_if::WhatIfArgs;
use crate::model::Timestamp;
use crate::simulate::{Part, Report};
use answer::AnswerArgs;
use plan::Plan;

/// Rehearse a policy on recorded traffic
#[derive(Debug, clap::Args)]
#[command(
    before_help = "\
Examples:
  doorward simulate --demo
  doorward simulate --policy policies.toml --baseline git:main:policies.toml recordings/
  doorward simulate --from toolhive --mapping identities.toml logs/
  doorward simulate --report html=rehearsal.html --report junit=rehearsal.xml recordings/
  doorward simulate --set servers.tickets.token_ttl=10m --drop-grant support-desk
  doorward simulate --matrix --set servers.tickets.token_ttl=10m --set servers.tickets.token_ttl=5m
  doorward simulate --shift 90d",
    after_help = "\
The gate is `[rollout]` of the policy, and what flags say instead; without either there is nothing to break.
With what-ifs and no --baseline, what is compared with is the policy as it stands, at the recorded instants.

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
    #[command(flatten)]
    source: SourceArgs,
    /// Rehearse the built-in policy on the built-in recording
    #[arg(long, conflicts_with_all = ["policy", "profile", "baseline", "from", "mapping", "recordings", "set", "drop_grant", "drop_deny", "drop_scope", "matrix", "shift", "at"])]
    demo: bool,
    /// How many threads read and judge [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    what_if: WhatIfArgs,
    /// Rehearse every combination of the what-ifs, in one pass over the traffic
    #[arg(long, help_heading = "What if")]
    matrix: bool,
    /// Judge as if everything had happened so much later, or earlier with `-`, as `90d`; tokens keep their age
    #[arg(long, value_name = "DURATION", value_parser = time::shift, allow_hyphen_values = true, conflicts_with = "at",
        help_heading = "What if")]
    shift: Option<i64>,
    /// Judge every event as if at this instant, as `2027-07-01T00:00:00Z`; tokens keep their age
    #[arg(long, value_name = "TIME", value_parser = time::instant, help_heading = "What if")]
    at: Option<Timestamp>,
    /// Recordings, plain or packed by gzip or zstd: files, globs, directories, or `-` for stdin [default: those of `[rollout]`]
    #[arg(value_name = "RECORDING")]
    recordings: Vec<PathBuf>,
}

impl Args {
    /// Exit code 0 when the gate holds, 1 when it is broken, 2 when there is no telling.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        self.answer.check(self.matrix)?;
        let plan = if self.demo { Plan::demo()? } else { Plan::of(&self, color)? };
        let threads = self.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
        let parts = read::rehearse(&plan, threads)?;
        let reports: Vec<Report> = parts.into_iter().map(Part::finish).collect();
        let name = if self.demo { demo::POLICY_NAME.to_owned() } else { self.policy.name()? };
        Ok(self.answer.answer(&reports, self.matrix, &plan.rollout, &name, color))
    }
}
