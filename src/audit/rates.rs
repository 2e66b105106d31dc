//! Rates that several gateways share, counted where their common log is.
//!
//! A count only ever grows until its window ends. What may have been counted and of which nothing is known
//! counts: no call passes on a doubt.

use std::fmt;
use std::time::Duration;

use super::Pending;

/// What is counted apart from everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// What has the rate, and whom it is counted for: SHA-256 over both.
    pub key: [u8; 32],
    /// The length of its windows, in seconds.
    pub seconds: u32,
}

/// How full the window of a lane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filling {
    /// How many calls were counted in it before this one.
    pub before: u64,
    /// How long it lasts from here on.
    pub left: Duration,
}

/// Counts for all gateways of one log.
pub trait SharedRates: Send + Sync + fmt::Debug + 'static {
    /// Counts one call in each of these lanes, and says how full each was. All gateways count by one clock.
    ///
    /// Dropping the future does not take the call back.
    fn count(&self, lanes: Vec<Lane>) -> Pending<'_, Result<Vec<Filling>, NotCounted>>;
}

/// A call cannot be counted now. It is refused: 503 and `rates-unavailable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCounted;

impl fmt::Display for NotCounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the rates across gateways cannot be counted (rates-unavailable)")
    }
}

impl std::error::Error for NotCounted {}
