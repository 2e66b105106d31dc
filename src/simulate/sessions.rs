//! Agent sessions: which of them break, at which call, and how far they had come.
//!
//! A session breaks at its first call that was allowed before and is denied now; with nothing to
//! compare with, at its first denied call. A call that may be such a call breaks it perhaps.

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::counts::Range;
use super::report::{Sample, Window};
use crate::model::Timestamp;

/// The most sessions that are followed one by one.
pub const MAX_SESSIONS: usize = 10_000;
/// The most calls of one session whose order is kept: how far a session came is exact up to here.
pub const MAX_SESSION_CALLS: usize = 256;
/// The most sessions that a report lists.
pub const MAX_LISTED: usize = 1_000;

/// What became of the sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sessions {
    /// Sessions that were followed: at most [`MAX_SESSIONS`], chosen by a hash of their names.
    pub followed: u64,
    /// Of these, those in which nothing is lost.
    pub unbroken: u64,
    /// Of these, those that break.
    pub broken: u64,
    /// Of these, those that break if the missing facts are so.
    pub perhaps_broken: u64,
    /// Of the unbroken, those with a call that was denied before, and with none that is denied now.
    pub unblocked: u64,
    /// All sessions, also those that were not followed.
    pub seen: Range,
    /// All that break, also of those that were not followed.
    pub breaking: Range,
    /// Calls of sessions that were not followed.
    pub not_followed: u64,
    /// Calls known to belong to no session.
    pub outside: u64,
    /// Calls of which no session was recorded.
    pub unknown: u64,
    /// Where sessions break, the most sessions first.
    pub items: Vec<BreakingItem>,
    /// The sessions that break or may, the most calls lost first, at most [`MAX_LISTED`].
    pub list: Vec<BrokenSession>,
    /// The sessions that nothing denies any more, the most calls gained first, at most [`MAX_LISTED`].
    pub relieved: Vec<UnblockedSession>,
}

/// A tool, prompt or resource at which sessions break.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BreakingItem {
    /// The item, as `door:item`.
    pub item: String,
    /// How many sessions break there.
    pub sessions: u64,
    /// How many more perhaps do.
    pub perhaps: u64,
}

/// A session that breaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct BrokenSession {
    /// The session, as recorded.
    pub session: String,
    /// Whose session, as `issuer/sub`.
    pub subject: String,
    /// Its first and last call.
    pub window: Window,
    /// How many calls it has.
    pub calls: u64,
    /// How many of them come before the break.
    pub before: Range,
    /// Whether it surely breaks; else it depends on what was not recorded.
    pub sure: bool,
    /// Whether a call before the break had been denied before already.
    pub already: bool,
    /// Where it breaks: the tool, prompt or resource, as `door:item`.
    pub item: String,
    /// What that call is answered now.
    pub after: Answer,
    /// When that call was made.
    pub time: Timestamp,
    /// That call.
    pub witness: Sample,
}

impl BrokenSession {
    /// How many calls are lost at least, the one that breaks it among them.
    pub const fn lost(&self) -> u64 {
        self.calls.saturating_sub(self.before.at_most)
    }
}

/// A session in which calls were denied before and none is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnblockedSession {
    /// The session, as recorded.
    pub session: String,
    /// Whose session, as `issuer/sub`.
    pub subject: String,
    /// How many calls it has.
    pub calls: u64,
    /// How many of them were denied before.
    pub gained: u64,
}
