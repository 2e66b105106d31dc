//! What the arguments ask for: which policy on which traffic, against what, and how it is judged.
//!
//! Everything that can be wrong with policies and paths is found here, before the first event.

use std::path::{Path, PathBuf};

use super::question::Question;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::Texts;
use crate::cli::rehearsal::{Candidate, Plan, Traffic};
use crate::cli::sources::Format;
use crate::cli::terminal::When;
use crate::cli::{demo, policy};
use crate::policy::checks::Rollout;
use crate::policy::{CompiledPolicy, WhatIf};
use crate::simulate::{Against, Clock, Terms};

impl Plan {
    /// The built-in policy on the built-in recording.
    pub(super) fn demo() -> Result<Self, Failure> {
        let policy = demo::policy()?;
        Ok(Self {
            candidates: vec![Candidate { policy: policy.compiled, what_if: Vec::new() }],
            baseline: None,
            terms: Terms::default(),
            rollout: policy.checks.rollout,
            traffic: Traffic::BuiltIn,
            is_watched: false,
        })
    }

    /// What the arguments ask for.
    pub(super) fn of(args: &Question, color: When) -> Result<Self, Failure> {
        let texts = args.policy.texts()?;
        let baseline = args.baseline(&texts, color)?;
        let against = match (&baseline, &args.baseline) {
            (None, _) => Against::Recorded,
            (Some(_), Some(_)) => Against::Baseline,
            (Some(_), None) => Against::Unchanged,
        };
        let combinations = if args.matrix { args.what_if.combinations()? } else { vec![args.what_if.together()?] };
        // Held against itself, the policy as it stands would fill a row with nothing.
        let idle = |what_ifs: &[WhatIf]| args.matrix && against == Against::Unchanged && what_ifs.is_empty();
        let mut candidates = Vec::new();
        let mut gate = None;
        for what_ifs in combinations.iter().filter(|what_ifs| !idle(what_ifs)) {
            let opened = texts.open(what_ifs, color)?;
            gate.get_or_insert((opened.checks.rollout, opened.directory));
            let what_if = what_ifs.iter().map(ToString::to_string).collect();
            candidates.push(Candidate { policy: opened.compiled, what_if });
        }
        let Some((rollout, directory)) = gate.filter(|_| !args.matrix || !args.what_if.is_empty()) else {
            return Err(Failure::new(Kind::Usage, "a matrix needs what-ifs to combine")
                .help("give --set, --drop-grant, --drop-deny or --drop-scope"));
        };
        let format = args.source.format(color)?;
        let paths = paths(&args.recordings, &rollout, directory.as_deref(), &format)?;
        let terms = Terms { what_if: Vec::new(), against, clock: args.clock() };
        let traffic = Traffic::Files { paths, format, strict: args.source.strict_input };
        Ok(Self { candidates, baseline, terms, rollout, traffic, is_watched: true })
    }
}

impl Question {
    /// The policy that was named with --baseline; without it, where anything is asked what-if, the
    /// policy as it stands.
    fn baseline(&self, texts: &Texts, color: When) -> Result<Option<CompiledPolicy>, Failure> {
        let profile = self.policy.profile()?;
        match &self.baseline {
            Some(path) => policy::read_compiled(path, profile.as_deref(), color).map(Some),
            None if self.what_if.is_empty() && self.clock() == Clock::AsRecorded => Ok(None),
            None => Ok(Some(texts.open(&[], color)?.compiled)),
        }
    }
}

/// The recordings that were named, or those that the policy names.
fn paths(
    named: &[PathBuf],
    rollout: &Rollout,
    beside: Option<&Path>,
    format: &Format,
) -> Result<Vec<PathBuf>, Failure> {
    if !named.is_empty() {
        return format.expand(named);
    }
    let named: Vec<PathBuf> =
        rollout.recordings.iter().map(|r| beside.map_or_else(|| PathBuf::from(r), |d| d.join(r))).collect();
    if named.is_empty() {
        return Err(Failure::new(Kind::NothingToDo, "no recording was named")
            .help("name one, list some under `recordings` in `[rollout]`, or try --demo"));
    }
    format.expand(&named)
}
