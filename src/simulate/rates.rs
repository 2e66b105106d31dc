//! Rates, replayed on the recorded clock.
//!
//! A rate allows so many requests in each window; windows are aligned to 1970-01-01T00:00:00Z. Each
//! rate counts on its own, and only what the policy allows, in the order of time, then recording,
//! then place in it.

use serde::{Deserialize, Serialize};

use super::counts::Range;
use super::report::Sample;
use crate::model::{Rate, RateKey, Timestamp};

/// The most calls under a rate that are replayed: the first ones in time.
pub const MAX_RATED: usize = 400_000;
/// The most lines of rates that a report lists.
pub const MAX_RATE_LINES: usize = 1_000;

/// What the rates of both sides stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// Calls that were replayed under a rate of either side.
    pub replayed: u64,
    /// Later calls, over [`MAX_RATED`], of which nothing is said but that each may be over a rate.
    pub not_replayed: u64,
    /// Calls over a rate of the baseline.
    pub before: Range,
    /// Calls over a rate of the candidate.
    pub now: Range,
    /// Calls over a rate of the candidate, that the baseline allows and holds up by no rate.
    pub newly_limited: Range,
    /// Calls over a rate of the baseline, that the candidate allows and holds up by no rate.
    pub no_longer_limited: Range,
    /// By rate and key, the most newly limited first, at most [`MAX_RATE_LINES`].
    pub list: Vec<RateLine>,
    /// Lines over the limit.
    pub more: u64,
}

/// One rate and one of those it is counted for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RateLine {
    /// What has the rate: `tickets`, or `tickets:refund`.
    pub of: String,
    /// What it is counted by.
    pub per: RateKey,
    /// The subject or agent; empty when all are counted together.
    pub key: String,
    /// The baseline's rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Rate>,
    /// The candidate's rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Rate>,
    /// Calls over the baseline's rate, at least.
    pub limited_before: u64,
    /// Calls over the candidate's rate, at least.
    pub limited_now: u64,
    /// Calls over the candidate's rate that nothing stopped before, at least.
    pub newly_limited: u64,
    /// Calls over the baseline's rate that nothing stops now, at least.
    pub no_longer_limited: u64,
    /// The window with the most calls over the candidate's rate; without any, over the baseline's.
    pub worst: WorstWindow,
    /// The first calls that are newly limited; without any, the first over a rate.
    pub samples: Vec<Sample>,
}

/// The window in which a rate is exceeded most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct WorstWindow {
    /// When it begins.
    pub start: Timestamp,
    /// How long it is, in seconds.
    pub seconds: u32,
    /// Allowed calls in it.
    pub calls: u64,
    /// Of these, those over the rate.
    pub limited: u64,
}
