//! The first calls of a session, in order, and what they would have needed of tokens that live shorter.

use serde::{Deserialize, Serialize};

use super::ages::TTLS;
use super::counts::Range;
use super::order::Spot;
use super::report::Window;
use super::sessions::MAX_SESSION_CALLS;
use crate::model::Timestamp;

/// At most [`MAX_SESSION_CALLS`] calls, the first of all that were put in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Steps {
    spots: Vec<Spot>,
    /// For each, how many of [`TTLS`] its token reaches if it is allowed. Apart, since there are many.
    reached: Vec<u8>,
}

impl Steps {
    pub(super) const fn new() -> Self {
        Self { spots: Vec::new(), reached: Vec::new() }
    }

    pub(super) fn last(&self) -> Option<&Spot> {
        self.spots.last()
    }

    pub(super) const fn len(&self) -> usize {
        self.spots.len()
    }

    /// How many come before: those for which that is so stand first.
    pub(super) fn place(&self, is_before: impl Fn(&Spot) -> bool) -> usize {
        self.spots.partition_point(is_before)
    }

    pub(super) fn truncate(&mut self, count: usize) {
        self.spots.truncate(count);
        self.reached.truncate(count);
    }

    /// Puts a call in at its place.
    pub(super) fn insert(&mut self, place: usize, spot: Spot, reached: u8) {
        if place < MAX_SESSION_CALLS {
            self.truncate(MAX_SESSION_CALLS - 1);
            self.spots.insert(place, spot);
            self.reached.insert(place, reached);
        }
    }

    pub(super) fn spots_mut(&mut self) -> impl Iterator<Item = &mut Spot> {
        self.spots.iter_mut()
    }

    /// Takes in those of another part, and leaves those before `end`.
    pub(super) fn join(&mut self, other: Self, end: Option<Spot>) {
        let Self { spots, reached } = std::mem::replace(self, Self::new());
        let mut all: Vec<(Spot, u8)> = spots.into_iter().zip(reached).collect();
        all.extend(other.spots.into_iter().zip(other.reached));
        all.sort_unstable();
        if let Some(end) = end {
            all.truncate(all.partition_point(|(spot, _)| *spot < end));
        }
        all.truncate(MAX_SESSION_CALLS);
        (self.spots, self.reached) = all.into_iter().unzip();
    }

    /// How many new tokens the session would have needed under each of [`TTLS`], if it got one whenever that of an allowed
    /// call was too old, and kept it while it was young enough. It has so many calls in all, and its oldest token reaches
    /// so many of [`TTLS`].
    pub(super) fn renewals(&self, calls: u64, window: Window, oldest: u8) -> [Range; TTLS.len()] {
        let mut got: [(u64, Option<Timestamp>); TTLS.len()] = Default::default();
        for (spot, reached) in self.spots.iter().zip(&self.reached) {
            for ((count, got), ttl) in got.iter_mut().zip(TTLS).take(usize::from(*reached)) {
                if got.is_none_or(|got| spot.time.since(got) >= i64::from(ttl)) {
                    (*count, *got) = (*count + 1, Some(spot.time));
                }
            }
        }
        let more = calls.saturating_sub(self.len() as u64);
        let end = self.last().map_or(window.first, |spot| spot.time);
        let mut found = [Range::default(); TTLS.len()];
        // What no token reaches asks for none, whatever is not known.
        let known = found.iter_mut().zip(got).zip(TTLS).take(usize::from(oldest));
        for ((range, (count, _)), ttl) in known {
            // Each new one is at least so much later than the one before.
            let spells = u64::try_from(window.last.since(end)).unwrap_or(0) / u64::from(ttl) + 1;
            *range = Range { at_least: count, at_most: count + more.min(spells) };
        }
        found
    }
}
