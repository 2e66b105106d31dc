//! From texts and variables to a compiled policy and a list of problems.

use super::checks::{Checks, Spans};
use super::compiled::CompiledPolicy;
use crate::diagnostics::{Diagnostic, Sources};

/// What a policy is read from, lowest layer first.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The base file, then the overlay of the profile, each with its name.
    pub files: Vec<(String, Vec<u8>)>,
    /// `DOORWARD_*` variables. Anything else is ignored.
    pub environment: Vec<(String, String)>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The texts that the places of the problems point into.
    pub sources: Sources,
    /// Every problem found while reading, sorted. Lints that need analysis are not among them.
    pub problems: Vec<Diagnostic>,
    /// The policy; `None` when any problem is an error.
    pub policy: Option<LoadedPolicy>,
}

/// A policy with what judges it.
#[derive(Clone, Debug)]
pub struct LoadedPolicy {
    /// The policy.
    pub compiled: CompiledPolicy,
    /// Tests, invariants and the gate.
    pub checks: Checks,
    /// Where everything stands.
    pub spans: Spans,
}

/// Reads a policy. Never fails: what is wrong is among the problems.
pub fn load(_layers: &Layers) -> Loaded {
    Loaded::default()
}
