//! What lines repeat, read once: each different text with a number and with what it was read as.
//!
//! Texts are compared byte by byte; a hash only says where to look. A number stands for its text
//! until the table is cleared.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

/// Texts by number.
#[derive(Debug)]
pub(super) struct Table<T> {
    places: HashTable<u32>,
    entries: Vec<Entry<T>>,
    bytes: usize,
    hasher: FixedState,
}

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    text: Box<[u8]>,
    value: T,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { places: HashTable::new(), entries: Vec::new(), bytes: 0, hasher: FixedState::default() }
    }
}

impl<T> Table<T> {
    /// The number of a text. A new one is read with `make`; when that fails nothing is kept.
    pub(super) fn number<E>(&mut self, text: &[u8], make: impl FnOnce() -> Result<T, E>) -> Result<u32, E> {
        let hash = self.hasher.hash_one(text);
        let entries = &self.entries;
        let same = |at: &u32| entries.get(*at as usize).is_some_and(|e| e.hash == hash && *e.text == *text);
        if let Some(number) = self.places.find(hash, same) {
            return Ok(*number);
        }
        let value = make()?;
        // Cleared long before it could hold so many.
        let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push(Entry { hash, text: text.into(), value });
        self.bytes += text.len();
        let entries = &self.entries;
        self.places.insert_unique(hash, number, |at| entries.get(*at as usize).map_or(0, |e| e.hash));
        Ok(number)
    }

    /// What a text was read as.
    pub(super) fn get(&self, number: u32) -> Option<&T> {
        self.entries.get(number as usize).map(|e| &e.value)
    }

    /// How many texts there are, and how long they are together.
    pub(super) const fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.entries.clear();
        self.bytes = 0;
    }
}
