//! The end of a writer's chains: it gives entries their places.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::LOG_CLASS;
use super::hash::Hash;
use super::key::SigningKey;
use super::row::{Entry, Row};
use super::seal::{self, Mark, SealKind};

/// The last row of one chain.
#[derive(Clone, Copy, Debug)]
struct Head {
    seq: i64,
    written: i64,
    hash: Hash,
}

/// The heads of one writer's chains. Cheap to clone: a writer whose rows were not taken goes back
/// to the tail that it had before them.
#[derive(Clone, Debug)]
pub struct Tail {
    writer: Arc<str>,
    heads: BTreeMap<Arc<str>, Head>,
}

impl Tail {
    /// A writer without rows. The name must not have been used before: take 128 random bits.
    pub fn new(writer: Arc<str>) -> Self {
        Self { writer, heads: BTreeMap::new() }
    }

    /// Who writes.
    pub const fn writer(&self) -> &Arc<str> {
        &self.writer
    }

    /// Gives an entry the next place of its chain. `now` is in microseconds since 1970 UTC; a clock
    /// that went back does not take `written` with it.
    pub fn append(&mut self, entry: Entry, now: i64, buffer: &mut Vec<u8>) -> Row {
        let row = self.place(entry, now);
        self.advance(row, buffer)
    }

    /// Writes a seal of this writer's chains, signed if there is a key. `data` is what it says besides.
    pub fn seal(
        &mut self,
        kind: SealKind,
        mut data: Map<String, Value>,
        now: i64,
        key: Option<&SigningKey>,
        buffer: &mut Vec<u8>,
    ) -> Row {
        if !data.contains_key("heads") {
            data.insert("heads".to_owned(), self.marks().iter().map(Mark::to_json).collect());
        }
        let mut row = self.place(Entry::new(LOG_CLASS.into(), kind.name(), now).with_seal(data), now);
        if let Some(key) = key {
            seal::sign(&mut row, key);
        }
        self.advance(row, buffer)
    }

    /// The heads, in the order of their classes.
    pub fn marks(&self) -> Vec<Mark> {
        self.heads
            .iter()
            .map(|(class, head)| Mark {
                writer: self.writer.to_string(),
                class: class.to_string(),
                seq: head.seq,
                hash: head.hash,
            })
            .collect()
    }

    fn place(&self, entry: Entry, now: i64) -> Row {
        let head =
            self.heads.get(&entry.class).copied().unwrap_or(Head { seq: 0, written: i64::MIN, hash: Hash::ZERO });
        Row {
            writer: self.writer.clone(),
            seq: head.seq.saturating_add(1),
            written: now.max(head.written),
            prev: head.hash,
            entry,
            hash: Hash::ZERO,
        }
    }

    fn advance(&mut self, mut row: Row, buffer: &mut Vec<u8>) -> Row {
        row.hash = row.computed(buffer);
        let head = Head { seq: row.seq, written: row.written, hash: row.hash };
        match self.heads.get_mut(&row.entry.class) {
            Some(old) => *old = head,
            None => {
                self.heads.insert(row.entry.class.clone(), head);
            }
        }
        row
    }
}
