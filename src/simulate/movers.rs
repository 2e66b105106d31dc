//! Losers and winners: for whom, and where, calls are lost or gained, with witnesses.

use serde::{Deserialize, Serialize};

use super::report::Sample;

/// The most names of one list.
pub const MAX_MOVERS: usize = 100;
/// The most items that one name shows.
pub const MAX_MOVER_ITEMS: usize = 20;

/// Who loses and who gains, in four ways of grouping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Movers {
    /// By subject, as `issuer/sub`.
    pub subjects: Moved,
    /// By agent.
    pub agents: Moved,
    /// By door.
    pub doors: Moved,
    /// By tool, prompt or resource.
    pub items: Moved,
}

/// Both directions of one way of grouping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Newly denied, the most first, at most [`MAX_MOVERS`].
    pub losers: Vec<Mover>,
    /// Newly allowed, the most first, at most [`MAX_MOVERS`].
    pub winners: Vec<Mover>,
    /// Calls of further names.
    pub others: u64,
}

/// One name that loses or gains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Mover {
    /// The name.
    pub name: String,
    /// How many calls are newly denied, or newly allowed.
    pub calls: u64,
    /// The items concerned, the most calls first, at most [`MAX_MOVER_ITEMS`].
    pub items: Vec<ItemCalls>,
    /// Calls of further items.
    pub other_items: u64,
    /// The first of the calls.
    pub samples: Vec<Sample>,
}

/// Calls of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ItemCalls {
    /// The item, as `door:item`.
    pub item: String,
    /// How many calls.
    pub calls: u64,
}
