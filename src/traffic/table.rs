//! What lines repeat, read once: each different text with a number and with what it was read as.
//!
//! Texts are compared piece by piece and byte by byte; a hash only says where to look. A number stands for its text
//! until the table is cleared.

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::{BuildHasher as _, Hasher as _};

/// Texts of so many pieces by number.
#[derive(Debug)]
pub(super) struct Table<T, const PIECES: usize> {
    places: HashTable<u32>,
    entries: Vec<Entry<T, PIECES>>,
    bytes: usize,
    hasher: FixedState,
}

#[derive(Debug)]
struct Entry<T, const PIECES: usize> {
    hash: u64,
    lengths: [usize; PIECES],
    /// All pieces, one behind the other.
    text: Box<[u8]>,
    value: T,
}

impl<T, const PIECES: usize> Entry<T, PIECES> {
    fn is(&self, hash: u64, pieces: &[&[u8]; PIECES]) -> bool {
        if self.hash != hash || self.lengths != pieces.map(<[u8]>::len) {
            return false;
        }
        let mut rest = &*self.text;
        pieces.iter().all(|piece| match rest.split_at_checked(piece.len()) {
            Some((own, behind)) => {
                rest = behind;
                own == *piece
            }
            None => false,
        })
    }
}

impl<T, const PIECES: usize> Default for Table<T, PIECES> {
    fn default() -> Self {
        Self { places: HashTable::new(), entries: Vec::new(), bytes: 0, hasher: FixedState::default() }
    }
}

impl<T, const PIECES: usize> Table<T, PIECES> {
    /// The number of a text. A new one is read with `make`; when that fails nothing is kept.
    pub(super) fn number<E>(&mut self, pieces: [&[u8]; PIECES], make: impl FnOnce() -> Result<T, E>) -> Result<u32, E> {
        let mut hasher = self.hasher.build_hasher();
        for piece in pieces {
            hasher.write(piece);
        }
        let hash = hasher.finish();
        let entries = &self.entries;
        let same = |at: &u32| entries.get(*at as usize).is_some_and(|e| e.is(hash, &pieces));
        if let Some(number) = self.places.find(hash, same) {
            return Ok(*number);
        }
        let value = make()?;
        // Cleared long before it could hold so many.
        let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let (text, lengths): (Box<[u8]>, _) = (pieces.concat().into(), pieces.map(<[u8]>::len));
        self.bytes += text.len();
        self.entries.push(Entry { hash, lengths, text, value });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_in_other_pieces_are_another_text() {
        let mut table = Table::<(), 2>::default();
        let mut number = |a: &str, b: &str| table.number::<()>([a.as_bytes(), b.as_bytes()], || Ok(())).unwrap();
        let numbers = [number("ab", "c"), number("a", "bc"), number("", "abc"), number("ab", "c"), number("a", "bc")];
        assert_eq!(numbers, [0, 1, 2, 0, 1]);
    }
}
