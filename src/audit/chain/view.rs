//! A row whose texts stand elsewhere: what is written of it, and what its chain needs to know.
//!
//! Whoever reads a whole log to verify it makes no row of each: it hashes what the store handed over.

use std::sync::Arc;

use serde_json::Value;

use super::canonical::{write_integer, write_text};
use super::hash::Hash;
use super::row::{COLUMNS, Column, Row, canonical_data};

/// The columns of a row, borrowed from where they were read.
#[derive(Clone, Copy, Debug)]
pub(in crate::audit) struct View<'a> {
    pub(in crate::audit) class: &'a str,
    pub(in crate::audit) writer: &'a str,
    pub(in crate::audit) seq: i64,
    pub(in crate::audit) kind: &'a str,
    pub(in crate::audit) status: Option<i32>,
    pub(in crate::audit) latency: Option<i64>,
    pub(in crate::audit) prev: Hash,
    pub(in crate::audit) written: i64,
    pub(in crate::audit) at: i64,
    pub(in crate::audit) data: &'a str,
    /// In the order of [`Column::ALL`].
    pub(in crate::audit) texts: [Option<&'a str>; COLUMNS],
}

impl View<'_> {
    /// Appends the canonical form; with the hash in its place the line of an export.
    pub(super) fn write(&self, out: &mut Vec<u8>, hash: Option<Hash>) {
        let mut fields = Fields { out, open: b'{', texts: &self.texts };
        fields.column(Column::Agent);
        fields.number("at", self.at);
        fields.text("class", self.class);
        fields.key("data").extend_from_slice(self.data.as_bytes());
        fields.column(Column::Decision);
        fields.column(Column::Door);
        if let Some(hash) = hash {
            fields.hash("hash", &hash);
        }
        fields.column(Column::Issuer);
        fields.text("kind", self.kind);
        if let Some(latency) = self.latency {
            fields.number("latency", latency);
        }
        fields.column(Column::Method);
        fields.column(Column::Name);
        fields.column(Column::Policy);
        fields.hash("prev", &self.prev);
        fields.column(Column::Reason);
        fields.column(Column::Request);
        fields.column(Column::Rule);
        fields.number("seq", self.seq);
        fields.column(Column::Session);
        if let Some(status) = self.status {
            fields.number("status", i64::from(status));
        }
        fields.column(Column::Subject);
        fields.column(Column::Trace);
        fields.text("writer", self.writer);
        fields.number("written", self.written);
        fields.out.push(b'}');
    }

    /// The hash that the row should have.
    pub(super) fn computed(&self, buffer: &mut Vec<u8>) -> Hash {
        buffer.clear();
        self.write(buffer, None);
        Hash::of(buffer)
    }

    /// Whether this is the hash of the row as it stands.
    ///
    /// The data are hashed as they stand, so text behind their object could pose as the columns that follow,
    /// and the columns be empty. But what is an object has its last brace at its end: whatever else has one
    /// there is followed, where the whole is the same, by a quote that no text of a row has unescaped.
    pub(super) fn has(&self, hash: Hash, buffer: &mut Vec<u8>) -> bool {
        self.computed(buffer) == hash && self.data.starts_with('{') && self.data.ends_with('}')
    }

    /// What the chain needs to know. Data that a store wrote in its own way are brought into their canonical
    /// form first.
    #[cfg(feature = "store")]
    pub(in crate::audit) fn link(&self, hash: Hash, names: &mut Names, buffer: &mut Vec<u8>) -> Link {
        let whole = self.has(hash, buffer)
            || recast(self.data).is_some_and(|data| View { data: &data, ..*self }.has(hash, buffer));
        let (class, writer) = names.of(self.class, self.writer);
        Link { writer, class, seq: self.seq, written: self.written, prev: self.prev, hash, whole }
    }
}

/// The canonical form of data that are not; `None` for those that are, for what is no object, and for what has
/// a member twice, since of two parsers each may take another one.
pub(super) fn recast(data: &str) -> Option<Arc<str>> {
    // What has the right hash is canonical; only what has not need be read.
    let Ok(Value::Object(object)) = serde_json::from_str(data) else { return None };
    let canonical = canonical_data(&Value::Object(object));
    (*canonical != *data && members(&canonical) == members(data)).then_some(canonical)
}

/// How many members the objects of a JSON text have, each as often as it stands there.
fn members(json: &str) -> usize {
    let (mut count, mut inside, mut escaped) = (0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => inside = !inside,
            b':' if !inside => count += 1,
            _ => {}
        }
    }
    count
}

/// What a chain needs to know of a row.
#[derive(Clone, Debug)]
pub struct Link {
    pub(super) writer: Arc<str>,
    pub(super) class: Arc<str>,
    pub(super) seq: i64,
    pub(super) written: i64,
    pub(super) prev: Hash,
    pub(super) hash: Hash,
    /// Whether the row has the hash of what it holds.
    pub(super) whole: bool,
}

impl Link {
    /// Of a row that was read.
    pub fn of(row: &mut Row, buffer: &mut Vec<u8>) -> Self {
        let whole = row.is_whole(buffer);
        let Row { writer, seq, written, prev, entry, hash } = row;
        let (writer, class) = (Arc::clone(writer), Arc::clone(&entry.class));
        Self { writer, class, seq: *seq, written: *written, prev: *prev, hash: *hash, whole }
    }

    /// A row of which this much could be read, and whose columns hold what no row does.
    #[cfg(feature = "store")]
    pub(in crate::audit) fn broken((class, writer): (Arc<str>, Arc<str>), seq: i64) -> Self {
        Self { writer, class, seq, written: 0, prev: Hash::ZERO, hash: Hash::ZERO, whole: false }
    }
}

/// Names that most rows have in common with the row before them, so that they are not made again for each.
#[cfg(feature = "store")]
#[derive(Clone, Debug)]
pub(in crate::audit) struct Names {
    class: Arc<str>,
    writer: Arc<str>,
}

#[cfg(feature = "store")]
impl Names {
    pub(in crate::audit) fn new() -> Self {
        Self { class: "".into(), writer: "".into() }
    }

    pub(in crate::audit) fn of(&mut self, class: &str, writer: &str) -> (Arc<str>, Arc<str>) {
        for (kept, name) in [(&mut self.class, class), (&mut self.writer, writer)] {
            if **kept != *name {
                *kept = name.into();
            }
        }
        (Arc::clone(&self.class), Arc::clone(&self.writer))
    }
}

struct Fields<'a> {
    out: &'a mut Vec<u8>,
    open: u8,
    texts: &'a [Option<&'a str>; COLUMNS],
}

impl Fields<'_> {
    fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.out.extend_from_slice(&[self.open, b'"']);
        self.open = b',';
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    fn text(&mut self, name: &str, text: &str) {
        write_text(self.key(name), text);
    }

    fn column(&mut self, column: Column) {
        if let Some(text) = self.texts.get(column as usize).copied().flatten() {
            self.text(column.name(), text);
        }
    }

    fn number(&mut self, name: &str, number: i64) {
        write_integer(self.key(name), number);
    }

    fn hash(&mut self, name: &str, hash: &Hash) {
        let out = self.key(name);
        out.push(b'"');
        hash.write(out);
        out.push(b'"');
    }
}
