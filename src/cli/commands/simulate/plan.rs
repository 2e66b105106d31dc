//! What is rehearsed: which policy on which traffic, against what, and how it is judged.
//!
//! Everything that can be wrong with policies and paths is found here, before the first event.

use std::path::{Path, PathBuf};

use super::question::Question;
use crate::cli::failure::{Failure, Kind};
use crate::cli::policy::Texts;
use crate::cli::sources::Format;
use crate::cli::terminal::When;
use crate::cli::{demo, files, policy};
use crate::policy::checks::Rollout;
use crate::policy::{CompiledPolicy, WhatIf};
use crate::simulate::{Against, Clock, Terms};

/// One rehearsal.
pub(super) struct Plan {
    /// The policies that are rehearsed. Never empty.
    pub(super) candidates: Vec<Candidate>,
    /// What they are held against; without one, the recorded decisions.
    pub(super) baseline: Option<CompiledPolicy>,
    /// What is asked of all of them.
    pub(super) terms: Terms,
    /// The gate.
    pub(super) rollout: Rollout,
    /// The traffic.
    pub(super) traffic: Traffic,
}

/// A policy that is rehearsed.
pub(super) struct Candidate {
    /// The policy.
    pub(super) policy: CompiledPolicy,
    /// What of it stands in no file.
    pub(super) what_if: Vec<String>,
}

/// Recorded traffic.
pub(super) enum Traffic {
    /// The built-in recording.
    BuiltIn,
    /// Files in their order.
    Files {
        /// Where they are.
        paths: Vec<PathBuf>,
        /// What they come as.
        format: Format,
        /// Whether a record that cannot be read ends everything.
        strict: bool,
    },
}

impl Traffic {
    /// The files.
    pub(super) fn paths(&self) -> &[PathBuf] {
        match self {
            Self::BuiltIn => &[],
            Self::Files { paths, .. } => paths,
        }
    }

    /// What it is called, in order.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::BuiltIn => vec![demo::RECORDING_NAME.to_owned()],
            Self::Files { paths, .. } => paths.iter().map(|path| files::display_name(path)).collect(),
        }
    }
}

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
        Ok(Self { candidates, baseline, terms, rollout, traffic })
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
