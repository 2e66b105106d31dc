//! Numbers of events, which add up over any split of a recording.

use serde::{Deserialize, Serialize};

macro_rules! counts {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// How many events came out in which way.
        ///
        /// `allowed + denied + undecidable = events`, and the shifts `still_allowed + still_denied +
        /// newly_denied + newly_allowed + unsettled + uncompared = events`.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
        #[serde(deny_unknown_fields)]
        pub struct Counts {
            $($(#[$doc])* pub $name: u64,)+
        }

        impl Counts {
            /// Adds another count.
            pub fn add(&mut self, other: &Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)+
            }

            /// As many times over.
            #[must_use]
            pub const fn times(&self, times: u64) -> Self {
                Self { $($name: self.$name.saturating_mul(times),)+ }
            }
        }
    };
}

counts! {
    /// All.
    events,
    /// Allowed by the candidate.
    allowed,
    /// Denied by the candidate.
    denied,
    /// Not decidable by the candidate from what was recorded.
    undecidable,
    /// Allowed before and by the candidate.
    still_allowed,
    /// Denied before and by the candidate.
    still_denied,
    /// Allowed before and denied by the candidate.
    newly_denied,
    /// Denied before and allowed by the candidate.
    newly_allowed,
    /// Not decidable on one side or both.
    unsettled,
    /// Nothing to compare with: no baseline, and no decision was recorded.
    uncompared,
    /// Of the unsettled, those that may turn out newly denied.
    maybe_newly_denied,
    /// Of the unsettled, those that may turn out newly allowed.
    maybe_newly_allowed,
    /// Still denied, for another reason.
    other_reason,
    /// The same answer for the same reason, by another statement.
    other_rule,
    /// The same answer by the same statement, with other obligations.
    other_obligations,
}

/// The least and the most that a count can be once everything is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Whatever the missing facts are.
    pub at_least: u64,
    /// If all missing facts are so.
    pub at_most: u64,
}

impl Range {
    pub(super) const fn of(sure: u64, perhaps: u64) -> Self {
        Self { at_least: sure, at_most: sure.saturating_add(perhaps) }
    }
}

impl Counts {
    /// How many are allowed.
    pub const fn allowed_range(&self) -> Range {
        Range::of(self.allowed, self.undecidable)
    }

    /// How many are denied.
    pub const fn denied_range(&self) -> Range {
        Range::of(self.denied, self.undecidable)
    }

    /// How many are newly denied.
    pub const fn newly_denied_range(&self) -> Range {
        Range::of(self.newly_denied, self.maybe_newly_denied)
    }

    /// How many are newly allowed.
    pub const fn newly_allowed_range(&self) -> Range {
        Range::of(self.newly_allowed, self.maybe_newly_allowed)
    }

    /// How many come out differently, for sorting by impact.
    pub const fn impact(&self) -> (u64, u64, u64) {
        (self.newly_denied.saturating_add(self.newly_allowed), self.undecidable, self.events)
    }
}
