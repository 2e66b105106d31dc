//! The end of a writer's chains: it gives entries their places.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::hash::Hash;
use super::key::{PublicKey, SigningKey};
use super::row::{Entry, Row};
use super::seal::{Draft, Mark, SealKind};
use super::{HEADS, LOG_CLASS};

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

    /// Gives a seal of this writer's chains its place. `data` is what it says besides, `key` what will
    /// sign it.
    pub fn draft(&self, kind: SealKind, mut data: Map<String, Value>, now: i64, key: Option<&PublicKey>) -> Draft {
        if !data.contains_key("heads") {
            data.insert("heads".to_owned(), self.marks().iter().map(Mark::to_json).collect());
        }
        Draft::new(self.place(Entry::new(LOG_CLASS.into(), kind.name(), now).with_seal(data), now), key)
    }

    /// Puts a seal in its place; `None` when the place has been taken meanwhile.
    pub fn put(&mut self, draft: Draft, signature: Option<&[u8]>, buffer: &mut Vec<u8>) -> Option<Row> {
        let place = self.place(Entry::new(LOG_CLASS.into(), "", 0), 0);
        let fits = draft.row().seq == place.seq && draft.row().prev == place.prev;
        fits.then(|| self.advance(draft.into_row(signature), buffer))
    }

    /// Writes a seal of this writer's chains, signed if there is a key.
    pub fn seal(
        &mut self,
        kind: SealKind,
        data: Map<String, Value>,
        now: i64,
        key: Option<&SigningKey>,
        buffer: &mut Vec<u8>,
    ) -> Row {
        let draft = self.draft(kind, data, now, key.map(SigningKey::public));
        let signature = key.map(|key| key.sign(&draft.message()));
        self.advance(draft.into_row(signature.as_deref()), buffer)
    }

    /// What the first seals of a writer say: an `open`, and where there are more heads than one seal names,
    /// checkpoints with the others. `node` is the name of the process for people.
    pub fn opening(heads: &[Mark], node: &str) -> Vec<(SealKind, Map<String, Value>)> {
        let json = |heads: &[Mark]| heads.iter().map(Mark::to_json).collect::<Value>();
        let (first, more) = heads.split_at_checked(HEADS).unwrap_or((heads, &[]));
        let about = [("heads", json(first)), ("node", node.into()), ("version", env!("CARGO_PKG_VERSION").into())];
        let about = about.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let more = more.chunks(HEADS).map(|heads| Map::from_iter([("heads".to_owned(), json(heads))]));
        std::iter::once((SealKind::Open, about)).chain(more.map(|data| (SealKind::Checkpoint, data))).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_finds_many_heads_names_them_in_seals_of_bounded_length() {
        let mark =
            |n: usize| Mark { writer: format!("{n:032}"), class: "c".repeat(200), seq: i64::MAX, hash: Hash::ZERO };
        let heads: Vec<Mark> = (0..=2 * HEADS).map(mark).collect();
        let seals = Tail::opening(&heads, "node");
        assert_eq!(
            seals.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
            [SealKind::Open, SealKind::Checkpoint, SealKind::Checkpoint]
        );
        assert_eq!(seals.iter().flat_map(|(_, data)| Mark::all(data)).collect::<Vec<_>>(), heads);
        let (mut tail, mut buffer) = (Tail::new("w".into()), Vec::new());
        for (kind, data) in seals {
            let mut line = Vec::new();
            tail.seal(kind, data, 0, None, &mut buffer).write_line(&mut line);
            assert!(line.len() < 1 << 20, "{}", line.len());
        }
    }
}
