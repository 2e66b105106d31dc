//! `doorward simulate`: a policy rehearsed on recorded traffic.
//!
//! The arguments become a [`Plan`], the plan is carried out by [`rehearsal`], and [`answer`] turns
//! what came of it into a report and an exit code.

mod answer;
#[cfg(feature = "guard")]
mod attest;
mod explain;
mod find;
mod gate;
mod merge;
mod plan;
mod question;
mod scenarios;

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;

use crate::cli::answer::Answer;
use crate::cli::demo;
use crate::cli::failure::{Failure, Kind};
#[cfg(feature = "guard")]
use crate::cli::files;
use crate::cli::rehearsal::{self, Plan};
use crate::cli::terminal::When;
use crate::simulate::{Part, PartFile, Report, Run, Shard};
use answer::AnswerArgs;
use question::Question;

/// Rehearse a policy on recorded traffic
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    before_help = "\
Examples:
  doorward simulate --demo
  doorward simulate --policy policies.toml --baseline git:main:policies.toml recordings/
  doorward simulate --from toolhive --mapping identities.toml logs/
  doorward simulate --report html=rehearsal.html --report junit=rehearsal.xml recordings/
  doorward simulate --set servers.tickets.token_ttl=10m --drop-grant support-desk
  doorward simulate --matrix --set servers.tickets.token_ttl=10m --set servers.tickets.token_ttl=5m
  doorward simulate --shift 90d
  doorward simulate --from audit --since 2026-03-01T00:00:00Z
  doorward simulate --attest attest.key recordings/
  doorward simulate --explain simulations/support-desk.jsonl:23
  doorward simulate --shard 1/4 --output 1.part recordings/ && doorward simulate merge *.part
  doorward simulate                 run the scenarios in simulations/ beside the policy",
    after_help = "\
The gate is `[rollout]` of the policy, and what flags say instead; without either there is nothing to break.
With what-ifs and no --baseline, what is compared with is the policy as it stands, at the recorded instants.

Exit codes:
  0  the gate holds
  1  the gate is broken
  2  there is no answer: a record, a recording or a policy cannot be used, or the gate cannot be judged"
)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    merge: Option<Merge>,
    #[command(flatten)]
    question: Question,
    /// Rehearse the built-in policy on the built-in recording
    #[arg(long, conflicts_with_all = ["policy", "profile", "baseline", "from", "mapping", "recordings", "set",
        "drop_grant", "drop_deny", "drop_scope", "matrix", "shift", "at", "scenario"])]
    demo: bool,
    /// Run this scenario; may be given again [default: without any argument, those in `simulations/` beside the
    /// policy]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["baseline", "from", "mapping", "recordings", "set",
        "drop_grant", "drop_deny", "drop_scope", "matrix", "shift", "at", "shard", "explain"])]
    scenario: Vec<PathBuf>,
    /// Explain one event: its identifier, `FILE:LINE`, or a line of the only recording
    #[arg(long, value_name = "EVENT", conflicts_with_all = ["matrix", "shard"])]
    explain: Option<String>,
    /// Rehearse only this shard of the traffic, as `2/8`, and write a part for `doorward simulate merge`
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// How many threads read and judge [default: as many as there are cores]
    #[arg(long, value_name = "N")]
    threads: Option<NonZero<usize>>,
    #[command(flatten)]
    answer: AnswerArgs,
    #[cfg(feature = "guard")]
    #[command(flatten)]
    attest: attest::AttestArgs,
}

/// Further things to do with rehearsals
#[derive(Debug, clap::Subcommand)]
enum Merge {
    Merge(merge::Args),
}

impl Args {
    /// Exit code 0 when the gate holds, 1 when it is broken, 2 when there is no telling.
    pub(in crate::cli) fn run(self, color: When) -> Result<Answer, Failure> {
        if let Some(Merge::Merge(args)) = self.merge {
            return args.run(color);
        }
        let threads = self.threads.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZero::get);
        let scenarios = self.scenarios()?;
        if !scenarios.is_empty() {
            self.answer.spare(scenarios.iter().map(PathBuf::as_path))?;
            return scenarios::run(&scenarios, &self.question.policy, self.answer, threads, color);
        }
        self.answer.check(self.question.matrix)?;
        let plan = if self.demo { Plan::demo()? } else { Plan::of(&self.question, color)? };
        if !self.demo {
            let read = self.question.files()?;
            let paths = plan.traffic.paths();
            self.answer.spare(paths.iter().chain(&read).map(PathBuf::as_path))?;
        }
        if self.shard.is_some() && self.question.source.is_audit() {
            return Err(Failure::new(Kind::Usage, "an audit log grows, so its shards would not be of one whole")
                .help("export it with `doorward audit export --format recording`, and rehearse shards of the file"));
        }
        if let Some(event) = &self.explain {
            return explain::explain(&plan, event, self.answer, color);
        }
        let gate = self.answer.gate(&plan.rollout);
        #[cfg(feature = "guard")]
        let pending = attest::Pending::new(&self.attest, &self.question, &plan, &gate, color)?;
        #[cfg(feature = "guard")]
        if let Some(pending) = &pending {
            let mut read = self.question.files()?;
            read.extend(plan.traffic.paths().into_iter().chain(self.attest.attest.clone()));
            files::apart([pending.path()], read.iter().map(PathBuf::as_path))?;
        }
        let parts = rehearsal::rehearse(&plan, self.shard, threads)?;
        let name = if self.demo { demo::POLICY_NAME.to_owned() } else { self.question.policy.name()? };
        let run = Run { inputs: plan.traffic.names(), matrix: self.question.matrix, policy: name, gate };
        if let Some(shard) = self.shard {
            return merge::part(&PartFile::new(run, shard, parts), self.answer);
        }
        let reports: Vec<Report> = parts.into_iter().map(Part::finish).collect();
        #[cfg(feature = "guard")]
        let attestation = match (pending, reports.as_slice()) {
            (Some(pending), [report]) => pending.of(&plan, &run.gate, &run.policy, report)?,
            _ => None,
        };
        let answer = self.answer.answer(&reports, run.matrix, &run.gate, &run.policy, None, color)?;
        #[cfg(feature = "guard")]
        let answer = answer.and(attestation.into_iter().collect());
        Ok(answer)
    }

    #[cfg(feature = "guard")]
    fn attests(&self) -> bool {
        self.attest.attest.is_some()
    }

    #[cfg(not(feature = "guard"))]
    #[expect(clippy::unused_self, reason = "the same question, where there is nothing to attest with")]
    fn attests(&self) -> bool {
        false
    }

    /// The scenarios that were named, or, where nothing says what to rehearse, those beside the policy.
    fn scenarios(&self) -> Result<Vec<PathBuf>, Failure> {
        let asked = self.demo
            || self.explain.is_some()
            || self.shard.is_some()
            || self.answer.asks_the_gate()
            || self.attests();
        if !self.scenario.is_empty() || asked || !self.question.is_open() {
            return Ok(self.scenario.clone());
        }
        scenarios::beside(&self.question.policy)
    }
}
