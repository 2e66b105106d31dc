//! One row of the audit log: what happened, and its place in a chain.
//!
//! A row is hashed over its canonical form, an object with these keys, in this order, of which an
//! unset column is left out: `agent`, `at`, `class`, `data`, `decision`, `door`, `issuer`, `kind`,
//! `latency`, `method`, `name`, `policy`, `prev`, `reason`, `request`, `rule`, `seq`, `session`,
//! `status`, `subject`, `trace`, `writer`, `written`. An exported line has the `hash` beside them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::canonical::write_value;
#[cfg(feature = "store")]
use super::data::Data;
use super::hash::Hash;
use super::view::{View, recast};

/// The longest text in a column, in bytes. An index takes no longer ones, and a row that a store
/// can never take would stop the log.
pub const MAX_TEXT: usize = 1024;
/// The longest `data`, in bytes of its canonical form.
pub const MAX_DATA: usize = 64 * 1024;
/// What stands at the end of a text that was cut.
const CUT: char = '…';

macro_rules! columns {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)+) => {
        /// A column that holds text or nothing.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Column {
            $($(#[$doc])* $variant,)+
        }

        impl Column {
            /// Every one, in the order of their names.
            pub const ALL: [Self; COLUMNS] = [$(Self::$variant),+];

            /// Its name in the table, in a canonical row and in an exported line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

/// How many columns hold text or nothing.
pub const COLUMNS: usize = 13;

columns! {
    /// The client that acted.
    Agent = "agent",
    /// `allow` or `deny`.
    Decision = "decision",
    /// The server, by its name in the policy.
    Door = "door",
    /// The issuer, by its name in the policy.
    Issuer = "issuer",
    /// The JSON-RPC method.
    Method = "method",
    /// The tool, prompt or URI.
    Name = "name",
    /// The digest of the policy that decided.
    Policy = "policy",
    /// The reason code.
    Reason = "reason",
    /// The request that this is about.
    Request = "request",
    /// The statement that decided.
    Rule = "rule",
    /// The MCP session.
    Session = "session",
    /// The `sub` of the token.
    Subject = "subject",
    /// The trace that the request belongs to (W3C Trace Context).
    Trace = "trace",
}

/// What happened.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The audit class, which says how long the row stays and which chain it is in.
    pub class: Arc<str>,
    /// What kind of row: `intent`, `outcome` and so on.
    pub kind: Cow<'static, str>,
    /// When it happened, in microseconds since 1970 UTC.
    pub at: i64,
    /// The HTTP status of the upstream.
    pub status: Option<i32>,
    /// How long it took, in microseconds.
    pub latency: Option<i64>,
    /// Shared, so that to hand a row to a database copies no text.
    pub(super) texts: [Option<Arc<str>>; COLUMNS],
    pub(super) data: Arc<str>,
}

impl Entry {
    /// An entry with neither text nor data.
    pub fn new(class: Arc<str>, kind: impl Into<Cow<'static, str>>, at: i64) -> Self {
        Self { class, kind: kind.into(), at, status: None, latency: None, texts: Default::default(), data: "{}".into() }
    }

    /// The text of a column.
    pub fn get(&self, column: Column) -> Option<&str> {
        self.texts.get(column as usize)?.as_deref()
    }

    /// The text of a column, shared.
    #[cfg(feature = "store")]
    pub(in crate::audit) fn shared(&self, column: Column) -> Option<Arc<str>> {
        self.texts.get(column as usize)?.clone()
    }

    /// The data, shared.
    #[cfg(feature = "store")]
    pub(in crate::audit) fn shared_data(&self) -> Arc<str> {
        Arc::clone(&self.data)
    }

    /// The same with a text in a column, unless the text is `None`. What is longer than [`MAX_TEXT`]
    /// is cut, and shown to be by its last character; NUL, which `PostgreSQL` cannot hold, becomes U+2400.
    #[must_use]
    pub fn with<'a>(mut self, column: Column, text: impl Into<Option<&'a str>>) -> Self {
        if let Some(text) = text.into() {
            self.put(column, Some(fit(text).into()));
        }
        self
    }

    /// The same with a text in a column that others share.
    #[cfg(feature = "store")]
    #[must_use]
    pub(in crate::audit) fn with_shared(mut self, column: Column, text: &Arc<str>) -> Self {
        let shared = match fit(text) {
            Cow::Borrowed(_) => Arc::clone(text),
            Cow::Owned(other) => other.into(),
        };
        self.put(column, Some(shared));
        self
    }

    /// The same with these data. What is longer than [`MAX_DATA`] is left out, and shown to be.
    #[must_use]
    pub fn with_data(self, data: Map<String, Value>) -> Self {
        self.with_text(canonical_data(&Value::Object(data)))
    }

    /// The same with data that were written in their order.
    #[cfg(feature = "store")]
    #[must_use]
    pub(in crate::audit) fn with_written(self, data: Data) -> Self {
        self.with_text(data.into_text().into())
    }

    fn with_text(mut self, mut data: Arc<str>) -> Self {
        if data.contains("\\u0000") {
            let clean = without_nul(serde_json::from_str(&data).unwrap_or_default());
            data = canonical_data(&Value::Object(clean));
        }
        self.data = if data.len() > MAX_DATA {
            let (bytes, hash) = (data.len(), Hash::of(data.as_bytes()));
            format!("{{\"left_out\":{{\"bytes\":{bytes},\"sha256\":\"{hash}\"}}}}").into()
        } else {
            data
        };
        self
    }

    /// The same with the data of a seal, which are never left out.
    pub(super) fn with_seal(mut self, data: Map<String, Value>) -> Self {
        self.data = canonical_data(&Value::Object(data));
        self
    }

    /// The data, as the canonical text of a JSON object.
    pub fn data(&self) -> &str {
        &self.data
    }

    /// The data, opened.
    pub fn data_object(&self) -> Map<String, Value> {
        serde_json::from_str(&self.data).unwrap_or_default()
    }

    /// About how many bytes it takes.
    pub fn size(&self) -> usize {
        let texts: usize = self.texts.iter().flatten().map(|text| text.len()).sum();
        size_of::<Self>() + self.class.len() + texts + self.data.len()
    }

    /// Puts a text in as it was read from a store.
    pub(in crate::audit) fn put(&mut self, column: Column, text: Option<Arc<str>>) {
        if let Some(place) = self.texts.get_mut(column as usize) {
            *place = text;
        }
    }

    /// Puts data in as they were read from a store.
    pub(in crate::audit) fn put_data(&mut self, text: Arc<str>) {
        self.data = text;
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Entry");
        shown.field("class", &self.class).field("kind", &self.kind).field("at", &self.at);
        for column in Column::ALL {
            if let Some(text) = self.get(column) {
                shown.field(column.name(), &text);
            }
        }
        shown
            .field("status", &self.status)
            .field("latency", &self.latency)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// A row in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Who wrote it: one run of one process.
    pub writer: Arc<str>,
    /// Its number among the rows of this writer and class, from 1.
    pub seq: i64,
    /// When it was given its place, in microseconds since 1970 UTC; never less than that of the row before.
    pub written: i64,
    /// The hash of the row before, [`Hash::ZERO`] for the first.
    pub prev: Hash,
    /// What happened.
    pub entry: Entry,
    /// The hash of the canonical form.
    pub hash: Hash,
}

impl Row {
    /// Appends the canonical form, which is what is hashed.
    pub fn write_canonical(&self, out: &mut Vec<u8>) {
        self.view().write(out, None);
    }

    /// Appends the exported line without its end: the canonical form, and the hash in its place.
    pub fn write_line(&self, out: &mut Vec<u8>) {
        self.view().write(out, Some(self.hash));
    }

    /// The hash that the row should have.
    pub fn computed(&self, buffer: &mut Vec<u8>) -> Hash {
        self.view().computed(buffer)
    }

    /// Whether the row has the hash of what it holds. Data that a store wrote in its own way are
    /// brought into their canonical form first.
    pub fn is_whole(&mut self, buffer: &mut Vec<u8>) -> bool {
        if self.view().has(self.hash, buffer) {
            return true;
        }
        let Some(data) = recast(&self.entry.data) else { return false };
        self.entry.data = data;
        self.view().has(self.hash, buffer)
    }

    /// The same without copies of its texts.
    pub(super) fn view(&self) -> View<'_> {
        let Self { writer, seq, written, prev, entry, .. } = self;
        View {
            class: &entry.class,
            writer,
            seq: *seq,
            kind: &entry.kind,
            status: entry.status,
            latency: entry.latency,
            prev: *prev,
            written: *written,
            at: entry.at,
            data: &entry.data,
            texts: entry.texts.each_ref().map(Option::as_deref),
        }
    }
}

/// The canonical text of data.
pub(super) fn canonical_data(data: &Value) -> Arc<str> {
    let mut out = Vec::new();
    write_value(&mut out, data);
    // What is written is text and JSON of text.
    String::from_utf8(out).unwrap_or_default().into()
}

/// A text that every store can hold and index.
fn fit(text: &str) -> Cow<'_, str> {
    let clean = if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{2400}")) } else { Cow::Borrowed(text) };
    if clean.len() <= MAX_TEXT {
        return clean;
    }
    let end = clean.floor_char_boundary(MAX_TEXT - CUT.len_utf8());
    let kept = clean.get(..end).unwrap_or_default();
    Cow::Owned(format!("{kept}{CUT}"))
}

fn without_nul(data: Map<String, Value>) -> Map<String, Value> {
    data.into_iter().map(|(key, value)| (clean(key), clean_value(value))).collect()
}

fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{2400}") } else { text }
}

fn clean_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(text)),
        Value::Array(items) => items.into_iter().map(clean_value).collect(),
        Value::Object(object) => Value::Object(without_nul(object)),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row() -> Row {
        let entry = Entry::new("standard".into(), "intent", 1_772_456_580_000_000)
            .with(Column::Door, "tickets")
            .with(Column::Name, "refund \"now\"\n")
            .with(Column::Subject, "ana")
            .with_data(json!({"b": 1.50, "a": {"z": null, "ä": [1, 2.0]}}).as_object().unwrap().clone());
        let mut row = Row {
            writer: "w1".into(),
            seq: 7,
            written: 1_772_456_580_000_001,
            prev: Hash::of(b"before"),
            entry: Entry { status: Some(200), ..entry },
            hash: Hash::ZERO,
        };
        row.hash = row.computed(&mut Vec::new());
        row
    }

    #[test]
    fn a_row_has_one_canonical_form_which_any_json_library_can_make() {
        let row = row();
        let mut canonical = Vec::new();
        row.write_canonical(&mut canonical);
        let text = String::from_utf8(canonical).unwrap();
        insta::assert_snapshot!(text, @r#"{"at":1772456580000000,"class":"standard","data":{"a":{"z":null,"ä":[1,2]},"b":1.5},"door":"tickets","kind":"intent","name":"refund \"now\"\n","prev":"6db7d803e74f1ffa7d8f5adc0bf95b3e15bf4c8373fffadf546227cc6c6742cb","seq":7,"status":200,"subject":"ana","writer":"w1","written":1772456580000001}"#);
        // The same from any map: that is what somebody else's verifier does.
        let mut again = Vec::new();
        write_value(&mut again, &serde_json::from_str(&text).unwrap());
        assert_eq!(String::from_utf8(again).unwrap(), text);
    }

    #[test]
    fn a_line_is_read_as_it_was_written_and_reads_the_same_when_a_store_spaced_its_data() {
        let row = row();
        let mut line = Vec::new();
        row.write_line(&mut line);
        let mut read = Row::read_line(&line).unwrap();
        assert_eq!(read, row);
        assert!(read.is_whole(&mut Vec::new()));
        read.entry.put_data(r#"{ "b": 1.5, "a": {"ä": [1, 2.0], "z": null} }"#.into());
        assert!(read.is_whole(&mut Vec::new()));
        read.entry.put_data(r#"{ "b": 1.5, "a": {"ä": [1, 2.1], "z": null} }"#.into());
        assert!(!read.is_whole(&mut Vec::new()));
        // One parser takes the first of two members, and another the last.
        read.entry.put_data(r#"{"b":2,"b":1.5,"a":{"ä":[1,2],"z":null}}"#.into());
        assert!(!read.is_whole(&mut Vec::new()));
        // The bytes of the whole are the same, and a column is empty.
        read.entry.put_data(format!(r#"{},"door":"tickets""#, row.entry.data()).into());
        read.entry.put(Column::Door, None);
        assert_eq!(read.computed(&mut Vec::new()), row.hash);
        assert!(!read.is_whole(&mut Vec::new()));
        assert!(Row::read_line(b"{}").is_err() && Row::read_line(b"{\"at\":1,\"at\":1}").is_err());
    }

    #[test]
    fn every_key_of_a_full_row_is_in_order() {
        let mut row = row();
        for column in Column::ALL {
            row.entry = row.entry.with(column, "x");
        }
        row.entry.latency = Some(-3);
        let mut line = Vec::new();
        row.write_line(&mut line);
        let mut again = Vec::new();
        write_value(&mut again, &serde_json::from_slice(&line).unwrap());
        assert_eq!(String::from_utf8(again), String::from_utf8(line));
    }

    #[test]
    fn what_no_store_could_hold_is_made_to_fit() {
        let entry = Entry::new("standard".into(), "intent", 0)
            .with(Column::Name, "é".repeat(MAX_TEXT).as_str())
            .with(Column::Subject, "a\0b")
            .with_data(json!({"\0": ["\0"]}).as_object().unwrap().clone());
        let name = entry.get(Column::Name).unwrap();
        assert!(name.len() <= MAX_TEXT && name.ends_with(CUT));
        assert_eq!((entry.get(Column::Subject), entry.data()), (Some("a\u{2400}b"), "{\"\u{2400}\":[\"\u{2400}\"]}"));
        let long = entry.with_data(json!({"x": "y".repeat(MAX_DATA)}).as_object().unwrap().clone());
        assert!(long.data().starts_with("{\"left_out\":{\"bytes\":65544,\"sha256\":\""), "{}", long.data());
    }
}
