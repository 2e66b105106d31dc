//! The compiled policy: a policy set, its digest and its index.
//!
//! Nothing can change one; a new policy is a new value.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::index::Index;
use super::set::{PolicySet, Statement};
use crate::model::Position;

/// How many bytes of the canonical form are hashed at once.
const BUFFER: usize = 8 << 10;

/// An immutable policy, cheap to clone and share.
#[derive(Clone)]
pub struct CompiledPolicy(Arc<Inner>);

struct Inner {
    set: PolicySet,
    positions: Positions,
    digest: Digest,
    index: Index,
}

/// SHA-256 over the canonical form of a policy set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

/// Where the statements stand, in the order of the policy set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions {
    /// The issuers.
    pub issuers: BTreeMap<String, Position>,
    /// The servers.
    pub servers: BTreeMap<String, Position>,
    /// The items.
    pub items: Vec<Position>,
    /// The grants.
    pub grants: Vec<Position>,
    /// The denies.
    pub denies: Vec<Position>,
}

impl CompiledPolicy {
    /// Compiles a set. Its statements are put in canonical order, and their positions with them.
    pub fn compile(mut set: PolicySet, mut positions: Positions) -> Self {
        order(&mut set.grants, &mut positions.grants);
        order(&mut set.denies, &mut positions.denies);
        positions.items.resize(set.items().count(), Position::default());
        let digest = Digest::of(&set);
        let index = Index::new(&set, &positions);
        Self(Arc::new(Inner { set, positions, digest, index }))
    }

    /// The policy set that was compiled.
    pub fn set(&self) -> &PolicySet {
        &self.0.set
    }

    /// The digest of its meaning.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Where its statements stand.
    pub fn positions(&self) -> &Positions {
        &self.0.positions
    }

    pub(crate) fn index(&self) -> &Index {
        &self.0.index
    }
}

/// Sorts statements and keeps each with its position, so that the order in a file never matters.
fn order(statements: &mut Vec<Statement>, positions: &mut Vec<Position>) {
    positions.resize(statements.len(), Position::default());
    if statements.is_sorted() {
        return;
    }
    let mut pairs: Vec<_> = std::mem::take(statements).into_iter().zip(std::mem::take(positions)).collect();
    pairs.sort();
    (*statements, *positions) = pairs.into_iter().unzip();
}

impl Digest {
    /// The digest of a set in canonical order: SHA-256 over its JSON form, in which every map and
    /// list has one order and every number, glob and duration one way of writing.
    fn of(set: &PolicySet) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"doorward.policy/v1\n");
        // JSON is written in pieces of a few bytes, and a hash likes long ones.
        let mut out = BufWriter::with_capacity(BUFFER, HashWriter(&mut hasher));
        let written = serde_json::to_writer(&mut out, set).is_ok() && out.flush().is_ok();
        drop(out);
        if written {
            Self(hasher.finalize().into())
        } else {
            // Not reachable: every key is a string and hashing does not fail. Were it reached, two
            // policies must not share a digest, so none is given.
            Self([0; 32])
        }
    }

    /// Reads `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:").filter(|d| d.len() == 64)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
            let lower = pair.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|_| lower)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

struct HashWriter<'h>(&'h mut Sha256);

impl Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for CompiledPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CompiledPolicy({})", self.digest())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        f.write_str("sha256:")?;
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

/// Half a byte in hexadecimal. Every request has digests, and formatting them byte by byte costs more than hashing.
const fn digit(half: u8) -> u8 {
    if half < 10 { b'0' + half } else { b'a' + half - 10 }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
