//! What a shorter life of tokens would cost: allowed calls by the age of their token.
//!
//! A token is honoured while it is younger than its TTL, so a TTL of exactly its age denies.

use serde::{Deserialize, Serialize};

/// The lifetimes, in seconds, for which the cost is told.
pub const TTLS: [u32; 13] = [30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400];

/// The cost of token lifetimes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ages {
    /// The lifetimes, in seconds, in the order of every `older`.
    pub ttls: Vec<u32>,
    /// All allowed calls.
    pub total: AgeCurve,
    /// By door, in the order of their names.
    pub doors: Vec<DoorAges>,
    /// For each lifetime, the sessions with an allowed call that it would deny, of those followed.
    pub sessions: Vec<u64>,
}

/// Calls by the age of their token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AgeCurve {
    /// Calls that the candidate allows.
    pub calls: u64,
    /// For each lifetime, those of them that it would deny.
    pub older: Vec<u64>,
    /// Undecidable calls of which the age of the token is not known.
    pub unknown: u64,
}

/// The cost of token lifetimes at one door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DoorAges {
    /// The door.
    pub door: String,
    /// Its calls.
    pub curve: AgeCurve,
}
