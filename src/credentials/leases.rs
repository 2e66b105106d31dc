//! What is owed: every credential that must be taken back, until it is or until it lapses.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::credential::Handle;
use super::source::{Asked, Source};

/// One credential that may have to be taken back.
pub(super) struct Owed {
    pub(super) asked: Asked,
    pub(super) source: Arc<dyn Source>,
    pub(super) handle: Handle,
}

/// Everything that is owed.
#[derive(Default)]
pub(super) struct Leases(Mutex<Table>);

#[derive(Default)]
struct Table {
    next: u64,
    owed: BTreeMap<u64, Owed>,
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
        table.owed.insert(number, owed);
        number
    }

    /// Takes one out, if nobody has yet.
    pub(super) fn take(&self, number: u64) -> Option<Owed> {
        self.table().owed.remove(&number)
    }

    /// Takes out all that are so.
    pub(super) fn take_all(&self, so: impl Fn(&Owed) -> bool) -> Vec<Owed> {
        self.table().owed.extract_if(.., |_, owed| so(owed)).map(|(_, owed)| owed).collect()
    }

    /// How many are owed.
    pub(super) fn count(&self) -> usize {
        self.table().owed.len()
    }
}
