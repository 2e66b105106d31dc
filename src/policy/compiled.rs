//! The compiled policy.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::set::PolicySet;
use crate::model::{Position, ResourceKind};

/// An immutable policy, cheap to clone and share.
#[derive(Clone)]
pub struct CompiledPolicy(Arc<Inner>);

struct Inner {
    set: PolicySet,
    positions: Positions,
    digest: Digest,
}

/// SHA-256 over the canonical form of a policy set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Where the statements stand, in the order of the policy set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// The issuers.
    pub issuers: BTreeMap<String, Position>,
    /// The servers.
    pub servers: BTreeMap<String, Position>,
    /// The items, by server, kind and name.
    pub items: BTreeMap<(String, ResourceKind, String), Position>,
    /// The grants.
    pub grants: Vec<Position>,
    /// The denies.
    pub denies: Vec<Position>,
}

impl CompiledPolicy {
    /// Compiles a set whose lists are already in canonical order (`sort()`ed).
    pub fn compile(set: PolicySet, positions: Positions) -> Self {
        Self(Arc::new(Inner { set, positions, digest: Digest([0; 32]) }))
    }

    /// The policy set that was compiled.
    pub fn set(&self) -> &PolicySet {
        &self.0.set
    }

    /// The digest of its meaning.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Where its statements stand.
    pub fn positions(&self) -> &Positions {
        &self.0.positions
    }
}

impl fmt::Debug for CompiledPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompiledPolicy({})", self.digest())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
