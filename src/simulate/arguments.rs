//! What calls send for each argument that a rule limits, held against the limit.
//!
//! A grant's rule sees the calls of those whom the grant is about; the rule of a declaration sees
//! all. Values that were withheld are counted and never shown.

use serde::{Deserialize, Serialize};

use super::answer::RuleName;
use crate::policy::number::Number;

/// The most rules on arguments that are followed.
pub const MAX_LIMITS: usize = 500;
/// The most different texts outside one rule that are counted apart.
pub const MAX_TEXTS: usize = 1_000;
/// The most of them that a report lists.
pub const MAX_TEXTS_LISTED: usize = 20;
/// The longest text that is shown, in characters.
pub const MAX_TEXT: usize = 80;

/// Every rule on an argument that a call was held against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ArgumentLimits {
    /// In the order of the statement, the item, the path and the rule; at most [`MAX_LIMITS`].
    pub list: Vec<ArgumentLimit>,
    /// Arguments held against further rules.
    pub others: u64,
}

/// One rule on one argument of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ArgumentLimit {
    /// The grant or declaration.
    pub rule: RuleName,
    /// The tool or prompt, as `door:item`.
    pub item: String,
    /// The path in the arguments; `[]` stands for the elements of a list.
    pub path: String,
    /// The rule, as `max = 50`.
    pub test: String,
    /// Values seen.
    pub seen: u64,
    /// Of these, those that the rule lets pass.
    pub passing: u64,
    /// Calls that left the argument out.
    pub missing: u64,
    /// Values of a type that the rule cannot judge. Not among those seen.
    pub unfit: u64,
    /// Values that were not recorded. Not among those seen.
    pub withheld: u64,
    /// Of a rule on a number, a length or a size: how the values lie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// Of a rule on a text: the most frequent values outside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outside: Vec<TextCount>,
    /// Values outside that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub outside_others: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How numbers lie about a limit. The counts and the ends are exact, and so is the rest for whole
/// numbers up to 1024; above, and between, a number is off by less than 1 %, to the side that lets
/// the value pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// The limit.
    #[cfg_attr(feature = "cli", schemars(with = "f64"))]
    pub limit: Number,
    /// Values below it.
    pub below: u64,
    /// Values equal to it.
    pub at: u64,
    /// Values over it.
    pub over: u64,
    /// The lowest value.
    #[cfg_attr(feature = "cli", schemars(with = "f64"))]
    pub min: Number,
    /// Half of the values are at most this.
    #[cfg_attr(feature = "cli", schemars(with = "f64"))]
    pub p50: Number,
    /// 90 % of the values are at most this.
    #[cfg_attr(feature = "cli", schemars(with = "f64"))]
    pub p90: Number,
    /// 99 % of the values are at most this.
    #[cfg_attr(feature = "cli", schemars(with = "f64"))]
    pub p99: Number,
    /// The highest value.
    #[cfg_attr(feature = "cli", schemars(with = "f64"))]
    pub max: Number,
    /// Other limits with how many values each would let pass, in the order of the limits.
    pub curve: Vec<Passing>,
}

/// A limit and how many values it would let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Passing {
    /// The limit.
    #[cfg_attr(feature = "cli", schemars(with = "f64"))]
    pub limit: Number,
    /// How many values would pass.
    pub passing: u64,
}

/// A text and how often it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TextCount {
    /// The text; a long one is cut and ends in `…`.
    pub text: String,
    /// How often.
    pub count: u64,
}
