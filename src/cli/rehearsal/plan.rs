//! What is rehearsed: which policy on which traffic, against what, and how it is judged.

use std::path::PathBuf;

#[cfg(feature = "store")]
use crate::cli::decisions::Decisions;
use crate::cli::sources::Format;
use crate::cli::{demo, files};
use crate::policy::CompiledPolicy;
use crate::policy::checks::Rollout;
use crate::simulate::Terms;

/// One rehearsal.
pub(in crate::cli) struct Plan {
    /// The policies that are rehearsed. Never empty.
    pub(in crate::cli) candidates: Vec<Candidate>,
    /// What they are held against; without one, the recorded decisions.
    pub(in crate::cli) baseline: Option<CompiledPolicy>,
    /// What is asked of all of them.
    pub(in crate::cli) terms: Terms,
    /// The gate.
    pub(in crate::cli) rollout: Rollout,
    /// The traffic.
    pub(in crate::cli) traffic: Traffic,
    /// Whether somebody may want to see how far it has come.
    pub(in crate::cli) is_watched: bool,
}

/// A policy that is rehearsed.
pub(in crate::cli) struct Candidate {
    /// The policy.
    pub(in crate::cli) policy: CompiledPolicy,
    /// What of it stands in no file.
    pub(in crate::cli) what_if: Vec<String>,
}

/// Recorded traffic.
pub(in crate::cli) enum Traffic {
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
    /// What an audit log says that was decided.
    #[cfg(feature = "store")]
    Decided(Decisions),
}

impl Traffic {
    /// The files that are read.
    pub(in crate::cli) fn paths(&self) -> Vec<PathBuf> {
        match self {
            Self::BuiltIn => Vec::new(),
            Self::Files { paths, .. } => paths.clone(),
            #[cfg(feature = "store")]
            Self::Decided(decisions) => decisions.files(),
        }
    }

    /// What it is called, in order.
    pub(in crate::cli) fn names(&self) -> Vec<String> {
        match self {
            Self::BuiltIn => vec![demo::RECORDING_NAME.to_owned()],
            Self::Files { paths, .. } => paths.iter().map(|path| files::display_name(path)).collect(),
            #[cfg(feature = "store")]
            Self::Decided(decisions) => vec![decisions.name()],
        }
    }
}
