//! Holds rows against their chains and seals: what was changed since they were written, and where.
//!
//! First every row of the class [`LOG_CLASS`] is given to [`Verifier::seal`], then every row to
//! [`Verifier::row`], those of a chain in the order in which they were written. What is kept is small:
//! the end of each chain, its latest rows and the rows that a seal names.

mod chain;
mod fault;

#[cfg(test)]
mod forgeries;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::LOG_CLASS;
use super::anchor::Anchor;
use super::hash::Hash;
use super::key::PublicKey;
use super::row::Row;
use super::seal::{Gap, Mark, SealKind, Signed, signed};
use super::view::Link;
use chain::State;
pub use fault::{Fault, Finding};

/// How many findings are kept; the others are counted.
const KEPT: usize = 1_000;

type Id = (Arc<str>, Arc<str>);

/// Verifies a log.
#[derive(Debug)]
pub struct Verifier {
    keys: Vec<PublicKey>,
    chains: BTreeMap<Id, State>,
    last: Option<Id>,
    /// Writers whose first seal is there.
    opened: BTreeSet<Arc<str>>,
    /// Writers that have said that no row follows.
    closed: BTreeSet<Arc<str>>,
    /// Writers of whom a row was read.
    wrote: BTreeSet<Arc<str>>,
    found: Found,
    rows: u64,
    seals: u64,
    signed: u64,
    newest: Option<i64>,
    buffer: Vec<u8>,
}

/// What was found, up to a limit.
#[derive(Debug, Default)]
pub(super) struct Found {
    kept: Vec<Finding>,
    more: u64,
}

impl Found {
    fn push(&mut self, fault: Fault, (writer, class): &Id, from: i64, to: i64) {
        if self.kept.len() < KEPT {
            self.kept.push(Finding { fault, writer: writer.to_string(), class: class.to_string(), from, to });
        } else {
            self.more = self.more.saturating_add(1);
        }
    }
}

/// One chain, as far as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Its writer.
    pub writer: String,
    /// Its class.
    pub class: String,
    /// The last row that retention removed, 0 for none.
    pub pruned: i64,
    /// The last row, 0 for none.
    pub last: i64,
    /// The last row that a seal names, 0 for none. Rows behind it could be cut off without a trace.
    pub sealed: i64,
    /// The hash of the last row.
    pub hash: Hash,
}

/// What a log is worth.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// How many rows were read.
    pub rows: u64,
    /// How many of them are seals.
    pub seals: u64,
    /// How many seals have a good signature of one of the keys.
    pub signed: u64,
    /// Whether there was a key to check signatures with.
    pub keyed: bool,
    /// When the newest seal was written that is believed, in microseconds since 1970 UTC. What was cut
    /// off behind it leaves no trace here.
    pub newest: Option<i64>,
    /// The chains, in the order of their writers and classes.
    pub chains: Vec<Chain>,
    /// What was found, in the order of its places.
    pub findings: Vec<Finding>,
    /// How many more findings there are.
    pub more: u64,
}

impl Verdict {
    /// Whether nothing was found.
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    /// How many rows no seal names yet.
    pub fn unsealed(&self) -> u64 {
        self.chains.iter().map(|chain| u64::try_from(chain.last - chain.sealed.max(chain.pruned)).unwrap_or(0)).sum()
    }
}

impl Verifier {
    /// Begins. Without keys no signature is checked, and every seal is believed.
    pub fn new(keys: Vec<PublicKey>) -> Self {
        Self {
            keys,
            chains: BTreeMap::new(),
            last: None,
            opened: BTreeSet::new(),
            closed: BTreeSet::new(),
            wrote: BTreeSet::new(),
            found: Found::default(),
            rows: 0,
            seals: 0,
            signed: 0,
            newest: None,
            buffer: Vec::new(),
        }
    }

    /// Takes a seal that was noted elsewhere, before any other: what it says is believed.
    pub fn anchor(&mut self, anchor: &Anchor) {
        let id = (anchor.writer.as_str().into(), LOG_CLASS.into());
        self.chains.entry(id).or_default().mark(anchor.seq, anchor.hash);
    }

    /// Takes the marks of a row of the class [`LOG_CLASS`]. Any other row is passed over.
    pub fn seal(&mut self, row: &mut Row) {
        if *row.entry.class != *LOG_CLASS || row.seq < 1 || !row.is_whole(&mut self.buffer) {
            // `row` says so when it comes to it.
            return;
        }
        let kind = SealKind::of(row);
        if row.seq == 1 && kind == Some(SealKind::Open) {
            self.opened.insert(row.writer.clone());
        }
        let id = (row.writer.clone(), row.entry.class.clone());
        self.seals = self.seals.saturating_add(1);
        if !self.keys.is_empty() {
            let fault = match signed(row, &self.keys) {
                Signed::Good => None,
                Signed::Bad => Some(Fault::BadSignature),
                Signed::By => Some(Fault::UnknownKey),
                Signed::Not => Some(Fault::Unsigned),
            };
            if let Some(fault) = fault {
                self.found.push(fault, &id, row.seq, row.seq);
                return;
            }
            self.signed = self.signed.saturating_add(1);
        }
        let Some(kind) = kind else { return };
        self.newest = self.newest.max(Some(row.written));
        // A seal stands for itself too: what it signs holds the hash of the row before it.
        self.chains.entry(id.clone()).or_default().mark(row.seq, row.hash);
        let data = row.entry.data_object();
        for gap in Gap::all(&data) {
            self.chains.entry((row.writer.clone(), gap.class.as_str().into())).or_default().gone.push(gap);
        }
        for Mark { writer, class, seq, hash } in Mark::all(&data) {
            let state = self.chains.entry((writer.into(), class.into())).or_default();
            match kind {
                SealKind::Prune => state.prune(seq, hash),
                SealKind::Open | SealKind::Checkpoint | SealKind::Close => state.mark(seq, hash),
            }
        }
        if kind == SealKind::Close {
            self.close(&id.0, row);
        }
    }

    /// No chain of this writer goes on behind its last row.
    fn close(&mut self, writer: &Arc<str>, row: &Row) {
        self.closed.insert(writer.clone());
        for mark in Mark::all(&row.entry.data_object()).into_iter().filter(|mark| *mark.writer == **writer) {
            if mark.class != LOG_CLASS {
                self.chains.entry((writer.clone(), mark.class.into())).or_default().closed = Some(mark.seq);
            }
        }
        self.chains.entry((writer.clone(), LOG_CLASS.into())).or_default().closed = Some(row.seq);
    }

    /// Takes a row.
    pub fn row(&mut self, row: &mut Row) {
        let link = Link::of(row, &mut self.buffer);
        self.link(&link);
    }

    /// Takes a row that was hashed elsewhere.
    pub fn link(&mut self, row: &Link) {
        self.rows = self.rows.saturating_add(1);
        let id = match self.last.take() {
            Some(id) if *id.0 == *row.writer && *id.1 == *row.class => id,
            _ => (row.writer.clone(), row.class.clone()),
        };
        if row.whole {
            match self.chains.get_mut(&id).filter(|state| state.has_begun()) {
                Some(state) => state.row(row, &id, &mut self.found),
                None => self.begin(row, &id),
            }
        } else {
            // Its place is as little to be trusted as the rest of it, unless it is the one that is awaited.
            self.found.push(Fault::Edited, &id, row.seq, row.seq);
            if let Some(state) = self.chains.get_mut(&id) {
                state.edited(row);
            } else if row.seq == 1 {
                self.chains.entry(id.clone()).or_default().edited(row);
            }
        }
        self.last = Some(id);
    }

    /// How many rows were taken.
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// Takes the first row of a chain.
    fn begin(&mut self, row: &Link, id: &Id) {
        self.wrote.insert(id.0.clone());
        let state = self.chains.entry(id.clone()).or_default();
        if self.closed.contains(&id.0) {
            // Who closed has named every chain that it had.
            state.closed.get_or_insert(0);
        }
        state.row(row, id, &mut self.found);
    }

    /// Says of the writers of whom there are rows that no seal says that they began. Where a first seal
    /// is missed for another reason, that is said already.
    fn unopened(&mut self) {
        for writer in self.wrote.difference(&self.opened) {
            let id: Id = (writer.clone(), LOG_CLASS.into());
            if self.chains.get(&id).is_none_or(|log| log.is_unknown() || log.has_first()) {
                self.found.push(Fault::Unopened, &id, 1, 1);
            }
        }
    }

    /// Says what is missing, and gives the verdict.
    pub fn finish(mut self) -> Verdict {
        self.unopened();
        let mut chains = Vec::new();
        for (id, state) in &mut self.chains {
            state.finish(id, &mut self.found);
            chains.push(Chain {
                writer: id.0.to_string(),
                class: id.1.to_string(),
                pruned: state.pruned(),
                last: state.last(),
                sealed: state.sealed(),
                hash: state.hash(),
            });
        }
        let mut findings = self.found.kept;
        findings.sort_by(|a, b| (&a.writer, &a.class, a.from, a.to).cmp(&(&b.writer, &b.class, b.from, b.to)));
        Verdict {
            rows: self.rows,
            seals: self.seals,
            signed: self.signed,
            keyed: !self.keys.is_empty(),
            newest: self.newest,
            chains,
            findings,
            more: self.found.more,
        }
    }
}
