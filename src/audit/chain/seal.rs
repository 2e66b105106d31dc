//! Seals: the rows that name the heads of chains, and their signatures.
//!
//! The data of a seal hold `heads` (for `prune`: the last rows that were removed), each with
//! `writer`, `class`, `seq` and `hash`; and, when there is a key, `key` with its id and `signature`,
//! base64 of the signature over [`DOMAIN`] and the canonical form of the row without `signature`.

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
#[derive(Clone, Debug, PartialEq, Eq)]
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
