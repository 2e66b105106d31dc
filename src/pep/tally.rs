//! Requests that are refused before anyone is known, counted instead of recorded one by one.
//!
//! Whoever has no token can send any number of them. The first of a kind in a window makes a row,
//! and the rest of the window one more; kinds are doors and codes, so their number is bounded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use crate::audit::{Log, Refusals};
use crate::model::Timestamp;

/// How long refusals are counted together, in seconds.
const WINDOW: i64 = 60;

#[derive(Debug)]
struct Count {
    since: Timestamp,
    /// Refusals that no row counts yet.
    left: u64,
}

/// The refusals by door and code.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<BTreeMap<(Arc<str>, &'static str), Count>>);

impl Tally {
    /// Counts one.
    pub(super) fn add(&self, log: &dyn Log, door: &Arc<str>, reason: &'static str, now: Timestamp) {
        // Without the count there is still the refusal; the next one is counted again.
        let Ok(mut counts) = self.0.lock() else { return };
        let row =
            |since, count| Refusals { since, until: now, door: door.to_string(), reason: reason.to_owned(), count };
        match counts.get_mut(&(Arc::clone(door), reason)) {
            Some(count) if (0..WINDOW).contains(&now.since(count.since)) => count.left += 1,
            known => {
                let before = known.map_or((now, 0), |count| (count.since, count.left));
                log.refusals(row(before.0, before.1 + 1));
                counts.insert((Arc::clone(door), reason), Count { since: now, left: 0 });
            }
        }
    }

    /// Writes what no row counts yet.
    pub(super) fn flush(&self, log: &dyn Log, now: Timestamp) {
        let Ok(mut counts) = self.0.lock() else { return };
        for ((door, reason), count) in std::mem::take(&mut *counts) {
            if count.left > 0 {
                let (door, reason) = (door.to_string(), reason.to_owned());
                log.refusals(Refusals { since: count.since, until: now, door, reason, count: count.left });
            }
        }
    }
}
