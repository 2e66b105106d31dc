//! Seals: the rows that name the heads of chains, and their signatures.
//!
//! The data of a seal hold `heads` (for `prune`: the last rows that were removed), each with
//! `writer`, `class`, `seq` and `hash`; and, when there is a key, `key` with its id and `signature`,
//! base64 of the signature over [`DOMAIN`] and the canonical form of the row without `signature`.
//! A checkpoint or a `close` holds what the writer has to say besides: `away` (how many rows were `refused`
//! or `lost` before they were durable), `restored` (how many durable rows it put back that the store had
//! lost) and `missing` (those that it could not put back: `class`, `from`, `to`, and the `hash` of the last).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::hash::Hash;
use super::key::PublicKey;
use super::row::{Row, canonical_data};

/// What stands before the canonical form when it is signed, so that no other signature can be taken for one.
pub(super) const DOMAIN: &[u8] = b"doorward.audit.seal/v1\n";

/// The kinds of seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealKind {
    /// The first row of a writer: it names the heads that it found in the store.
    Open,
    /// The heads of the writer's own chains.
    Checkpoint,
    /// Rows were removed by retention: their last ones.
    Prune,
    /// The last row of a writer: its heads, which are final.
    Close,
}

impl SealKind {
    /// The `kind` of its rows.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Checkpoint => "checkpoint",
            Self::Prune => "prune",
            Self::Close => "close",
        }
    }

    /// Which of them a row is.
    pub(super) fn of(row: &Row) -> Option<Self> {
        [Self::Open, Self::Checkpoint, Self::Prune, Self::Close]
            .into_iter()
            .find(|kind| *row.entry.class == *super::LOG_CLASS && row.entry.kind == kind.name())
    }
}

/// A row that a seal names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Its writer.
    pub writer: String,
    /// Its class.
    pub class: String,
    /// Its number.
    pub seq: i64,
    /// Its hash.
    pub hash: Hash,
}

impl Mark {
    /// As it stands in the data of a seal.
    pub fn to_json(&self) -> Value {
        json!({"writer": self.writer, "class": self.class, "seq": self.seq, "hash": self.hash.to_string()})
    }

    fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            writer: value.get("writer")?.as_str()?.to_owned(),
            class: value.get("class")?.as_str()?.to_owned(),
            seq: value.get("seq")?.as_i64()?,
            hash: value.get("hash")?.as_str()?.parse().ok()?,
        })
    }

    /// Those that the data of a seal name.
    pub(in crate::audit) fn all(data: &Map<String, Value>) -> Vec<Self> {
        data.get("heads")
            .and_then(Value::as_array)
            .map_or_else(Vec::new, |heads| heads.iter().filter_map(Self::from_json).collect())
    }
}

/// Rows that a writer had made durable and found gone from the store: in its seals, under `missing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Their class.
    pub class: String,
    /// The first of them.
    pub from: i64,
    /// The last of them.
    pub to: i64,
    /// The hash of the last.
    pub hash: Hash,
}

impl Gap {
    /// As it stands in the data of a seal.
    pub fn to_json(&self) -> Value {
        json!({"class": self.class, "from": self.from, "to": self.to, "hash": self.hash.to_string()})
    }

    fn from_json(value: &Value) -> Option<Self> {
        Some(Self {
            class: value.get("class")?.as_str()?.to_owned(),
            from: value.get("from")?.as_i64()?,
            to: value.get("to")?.as_i64()?,
            hash: value.get("hash")?.as_str()?.parse().ok()?,
        })
    }

    /// Those that the data of a seal name.
    pub(super) fn all(data: &Map<String, Value>) -> Vec<Self> {
        data.get("missing")
            .and_then(Value::as_array)
            .map_or_else(Vec::new, |gaps| gaps.iter().filter_map(Self::from_json).collect())
    }
}

/// What a signature is made over.
fn message(row: &Row) -> Vec<u8> {
    let mut message = DOMAIN.to_vec();
    row.write_canonical(&mut message);
    message
}

/// A seal that has its place, and lacks its signature.
#[derive(Clone, Debug)]
pub struct Draft {
    row: Row,
    signed: bool,
}

impl Draft {
    /// `key` is the key that will sign it.
    pub(super) fn new(mut row: Row, key: Option<&PublicKey>) -> Self {
        if let Some(key) = key {
            let mut data = row.entry.data_object();
            data.insert("key".to_owned(), key.id().into());
            row.entry.put_data(canonical_data(&Value::Object(data)));
        }
        Self { row, signed: key.is_none() }
    }

    /// What is to be signed.
    pub fn message(&self) -> Vec<u8> {
        message(&self.row)
    }

    /// The row, whose hash must be computed. A signature that is not wanted is left out.
    pub(super) fn into_row(self, signature: Option<&[u8]>) -> Row {
        let Self { mut row, signed } = self;
        if let Some(signature) = signature.filter(|_| !signed) {
            let mut data = row.entry.data_object();
            data.insert("signature".to_owned(), STANDARD.encode(signature).into());
            row.entry.put_data(canonical_data(&Value::Object(data)));
        }
        row
    }

    pub(super) const fn row(&self) -> &Row {
        &self.row
    }
}

/// What is to be said of the signature of a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    Good,
    Bad,
    By,
    Not,
}

/// The rows that an `open` vouches for, where it is what was signed with this key; none otherwise. Without a
/// key each is believed.
#[cfg(any(feature = "store", test))]
pub(in crate::audit) fn vouched(row: &mut Row, key: Option<&PublicKey>) -> Vec<Mark> {
    let believed = SealKind::of(row) == Some(SealKind::Open)
        && row.is_whole(&mut Vec::new())
        && key.is_none_or(|key| signed(row, std::slice::from_ref(key)) == Signed::Good);
    if believed { Mark::all(&row.entry.data_object()) } else { Vec::new() }
}

/// Checks the signature of a seal. `By` a key that is not among `keys`.
pub(super) fn signed(row: &Row, keys: &[PublicKey]) -> Signed {
    let mut data = row.entry.data_object();
    let Some(signature) = data.remove("signature") else { return Signed::Not };
    let id = data.get("key").and_then(Value::as_str).unwrap_or_default();
    let Some(key) = keys.iter().find(|key| key.id() == id) else { return Signed::By };
    let mut unsigned = row.clone();
    unsigned.entry.put_data(canonical_data(&Value::Object(data)));
    let signature = signature.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    if key.verifies(&message(&unsigned), &signature) { Signed::Good } else { Signed::Bad }
}
