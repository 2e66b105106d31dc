//! What is rehearsed: which policy on which traffic, against what, and how it is judged.
//!
//! Everything that can be wrong with policies and paths is found here, before the first event.

use std::path::{Path, PathBuf};

use super::Args;
use crate::cli::commands::import::read_mapping;
use crate::cli::failure::{Failure, Kind};
use crate::cli::terminal::When;
use crate::cli::{demo, inputs, policy};
use crate::policy::CompiledPolicy;
use crate::policy::checks::Rollout;
use crate::simulate::{Against, Terms};
use crate::traffic::mapping::Mapping;

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
    /// Files in their order, read with the mapping if they are transcripts.
    Files { paths: Vec<PathBuf>, mapping: Option<Mapping> },
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
    pub(super) fn of(args: &Args, color: When) -> Result<Self, Failure> {
        let candidate = args.policy.open(color)?;
        let profile = args.policy.profile()?;
        let baseline = args.baseline.as_deref();
        let baseline = baseline.map(|path| policy::read_compiled(path, profile.as_deref(), color)).transpose()?;
        let mapping = args.mapping.as_deref().map(|path| read_mapping(path, color)).transpose()?;
        let extension = if mapping.is_some() { "json" } else { "jsonl" };
        let rollout = candidate.checks.rollout;
        let paths = paths(&args.recordings, &rollout, candidate.directory.as_deref(), extension)?;
        let against = if baseline.is_some() { Against::Baseline } else { Against::Recorded };
        Ok(Self {
            candidates: vec![Candidate { policy: candidate.compiled, what_if: Vec::new() }],
            baseline,
            terms: Terms { against, ..Terms::default() },
            rollout,
            traffic: Traffic::Files { paths, mapping },
        })
    }
}

/// The recordings that were named, or those that the policy names.
fn paths(
    named: &[PathBuf],
    rollout: &Rollout,
    beside: Option<&Path>,
    extension: &str,
) -> Result<Vec<PathBuf>, Failure> {
    if !named.is_empty() {
        return inputs::expand(named, extension);
    }
    let named: Vec<PathBuf> =
        rollout.recordings.iter().map(|r| beside.map_or_else(|| PathBuf::from(r), |d| d.join(r))).collect();
    if named.is_empty() {
        return Err(Failure::new(Kind::NothingToDo, "no recording was named")
            .help("name one, list some under `recordings` in `[rollout]`, or try --demo"));
    }
    inputs::expand(&named, extension)
}
