//! What is owed: every credential that must be taken back, until it is or until its lease is over.
//!
//! Nothing is forgotten for having failed: it is tried again, later each time, for as long as it lives.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::credential::Handle;
use super::source::{Asked, Source};
use super::unavailable::Unavailable;

/// One credential that may have to be taken back.
pub(super) struct Owed {
    pub(super) asked: Asked,
    pub(super) source: Arc<dyn Source>,
    pub(super) handle: Handle,
    /// When it is over by itself; `None` when nobody says.
    pub(super) ends: Option<Instant>,
}

/// A credential that was to be taken back and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overdue {
    /// The server, by its name in the policy.
    pub server: String,
    /// How often it was tried in vain.
    pub tries: u32,
    /// Why the last time.
    pub failed: Unavailable,
    /// How long it lives on by itself; `None` when nobody says.
    pub left: Option<Duration>,
}

/// Everything that is owed.
#[derive(Default)]
pub(super) struct Leases(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    owed: BTreeMap<u64, Entry>,
}

struct Entry {
    owed: Arc<Owed>,
    tries: u32,
    failed: Option<Unavailable>,
    /// Whether somebody sees to it until it is taken back.
    claimed: bool,
}

impl Leases {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of one. Gives its number.
    pub(super) fn note(&self, owed: Owed) -> u64 {
        let mut table = self.table();
        table.next += 1;
        let number = table.next;
        table.owed.insert(number, Entry { owed: Arc::new(owed), tries: 0, failed: None, claimed: false });
        number
    }

    /// Whoever gets it sees to it until it is taken back: nobody else gets it.
    pub(super) fn claim(&self, number: u64) -> Option<Arc<Owed>> {
        let mut table = self.table();
        let entry = table.owed.get_mut(&number).filter(|entry| !entry.claimed)?;
        entry.claimed = true;
        Some(Arc::clone(&entry.owed))
    }

    /// Whoever claimed it does no more for it.
    pub(super) fn release(&self, number: u64) {
        if let Some(entry) = self.table().owed.get_mut(&number) {
            entry.claimed = false;
        }
    }

    /// Whether it is still owed.
    pub(super) fn holds(&self, number: u64) -> bool {
        self.table().owed.contains_key(&number)
    }

    /// The numbers of all that are so.
    pub(super) fn numbers(&self, so: impl Fn(&Owed) -> bool) -> Vec<u64> {
        self.table().owed.iter().filter(|(_, entry)| so(&entry.owed)).map(|(number, _)| *number).collect()
    }

    /// One that nobody need take back any more.
    pub(super) fn forget(&self, number: u64) {
        self.table().owed.remove(&number);
    }

    /// One that could not be taken back. Gives how often that was so.
    pub(super) fn failed(&self, number: u64, failed: Unavailable) -> u32 {
        let mut table = self.table();
        let Some(entry) = table.owed.get_mut(&number) else { return 0 };
        entry.failed = Some(failed);
        entry.tries = entry.tries.saturating_add(1);
        entry.tries
    }

    /// Which of these are owed still, by server, and why.
    pub(super) fn left(&self, numbers: &[u64]) -> Vec<(String, Unavailable)> {
        let table = self.table();
        let entries = numbers.iter().filter_map(|number| table.owed.get(number));
        let of = |entry: &Entry| (entry.owed.asked.server.to_string(), entry.failed.unwrap_or(Unavailable::TimedOut));
        entries.map(of).collect()
    }

    /// How many are owed.
    pub(super) fn count(&self) -> usize {
        self.table().owed.len()
    }

    /// What was to be taken back and is not.
    pub(super) fn overdue(&self, now: Instant) -> Vec<Overdue> {
        let of = |entry: &Entry| {
            Some(Overdue {
                server: entry.owed.asked.server.to_string(),
                tries: entry.tries,
                failed: entry.failed?,
                left: entry.owed.ends.map(|ends| ends.saturating_duration_since(now)),
            })
        };
        self.table().owed.values().filter_map(of).collect()
    }
}
