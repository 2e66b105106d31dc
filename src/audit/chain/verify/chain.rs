//! One chain while it is read.

use std::collections::{BTreeMap, VecDeque};

use super::{Fault, Found, Id};
use crate::audit::chain::hash::Hash;
use crate::audit::chain::seal::Gap;
use crate::audit::chain::view::Link;
use crate::audit::chain::{CHECKPOINT_EVERY, CHECKPOINT_ROWS};

/// How many of the latest rows are remembered, to tell what a second row in a place is.
const WINDOW: usize = 256;
/// How many holes are remembered apart.
const HOLES: usize = 10_000;
/// How many checkpoints may be due before it is said that none came.
const OVERDUE: u32 = 5;

/// What is known of a chain.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The rows that seals name.
    marks: BTreeMap<i64, Hash>,
    /// The last row that was pruned.
    pruned: Option<(i64, Hash)>,
    /// The rows of which the writer has said that the store lost them.
    pub(super) gone: Vec<Gap>,
    /// The writer has said that this is its last row.
    pub(super) closed: Option<i64>,
    /// The last row that was read, or the last that was pruned; 0 before the first.
    last: i64,
    /// Its hash; `None` when the row was changed or is not there.
    hash: Option<Hash>,
    begun: bool,
    /// The last row that a seal confirmed.
    confirmed: i64,
    /// The last row that a seal names.
    named: i64,
    /// When the first and the last row were written that no seal names.
    loose: Option<(i64, i64)>,
    /// Missing rows, first to last.
    holes: BTreeMap<i64, i64>,
    /// The latest rows: number, hash, hash of the one before.
    recent: VecDeque<(i64, Hash, Hash)>,
    /// The ends of other branches.
    branches: Vec<Hash>,
}

impl State {
    pub(super) fn mark(&mut self, seq: i64, hash: Hash) {
        // Of two seals that disagree the first is kept: the other is wrong about a row that it vouches for too.
        self.marks.entry(seq).or_insert(hash);
        self.named = self.named.max(seq);
    }

    /// Whether nothing is known of it: no row was read, and no seal names one.
    pub(super) fn is_unknown(&self) -> bool {
        !self.begun && self.marks.is_empty() && self.pruned.is_none()
    }

    pub(super) const fn has_begun(&self) -> bool {
        self.begun
    }

    /// Whether there is a row in the first place.
    pub(super) fn has_first(&self) -> bool {
        self.begun && self.pruned.is_none() && self.last >= 1 && !self.holes.contains_key(&1)
    }

    pub(super) fn prune(&mut self, seq: i64, hash: Hash) {
        if self.pruned.is_none_or(|(old, _)| old < seq) {
            self.pruned = Some((seq, hash));
        }
    }

    pub(super) fn pruned(&self) -> i64 {
        self.pruned.map_or(0, |(seq, _)| seq)
    }

    pub(super) fn last(&self) -> i64 {
        if self.begun { self.last } else { self.pruned() }
    }

    pub(super) fn sealed(&self) -> i64 {
        self.confirmed
    }

    pub(super) fn hash(&self) -> Hash {
        self.hash.or(self.pruned.map(|(_, hash)| hash)).unwrap_or(Hash::ZERO)
    }

    fn begin(&mut self) {
        if !self.begun {
            self.begun = true;
            let (last, hash) = self.pruned.unwrap_or((0, Hash::ZERO));
            (self.last, self.hash) = (last, Some(hash));
        }
    }

    /// A row that does not have its hash. It holds its place if it is the one that is awaited.
    pub(super) fn edited(&mut self, row: &Link) {
        self.begin();
        if row.seq == self.last.saturating_add(1) {
            self.last = row.seq;
            self.hash = None;
        }
    }

    /// A row that has its hash.
    pub(super) fn row(&mut self, row: &Link, id: &Id, found: &mut Found) {
        self.begin();
        if row.seq <= self.last {
            return self.behind(row, id, found);
        }
        if self.closed.is_some_and(|closed| row.seq > closed) {
            found.push(Fault::Inserted, id, row.seq, row.seq);
        }
        let awaited = self.last.saturating_add(1);
        if row.seq > awaited {
            self.hole(awaited, row.seq - 1, id, found);
            if self.gone.iter().any(|gap| gap.to == row.seq - 1 && gap.hash != row.prev) {
                found.push(Fault::Unlinked, id, row.seq - 1, row.seq);
            }
        } else if self.hash.is_some_and(|hash| hash != row.prev) {
            if self.branches.contains(&row.prev) {
                // The rows that were read last belong to the other branch.
                found.push(Fault::Forked, id, row.seq, row.seq);
            } else {
                found.push(Fault::Unlinked, id, self.last.max(1), row.seq);
            }
        }
        self.confirm(row, id, found);
        self.last = row.seq;
        self.hash = Some(row.hash);
        if self.recent.len() == WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back((row.seq, row.hash, row.prev));
    }

    /// Holds a row against the seal that names it.
    fn confirm(&mut self, row: &Link, id: &Id, found: &mut Found) {
        match self.marks.get(&row.seq) {
            Some(marked) if *marked == row.hash => self.confirmed = self.confirmed.max(row.seq),
            Some(_) => found.push(Fault::Rewritten, id, self.confirmed.max(self.pruned()) + 1, row.seq),
            None => {}
        }
        if row.seq > self.named {
            let (first, last) = self.loose.unwrap_or((row.written, row.written));
            self.loose = Some((first.min(row.written), last.max(row.written)));
        }
    }

    fn hole(&mut self, from: i64, to: i64, id: &Id, found: &mut Found) {
        if self.holes.len() < HOLES {
            self.holes.insert(from, to);
        } else {
            self.missed(Fault::Deleted, (from, to), id, found);
        }
    }

    /// Says of missing rows which of them the store lost, and what is wrong with the others.
    fn missed(&self, fault: Fault, (from, to): (i64, i64), id: &Id, found: &mut Found) {
        let mut gone: Vec<(i64, i64)> = self.gone.iter().map(|gap| (gap.from.max(from), gap.to.min(to))).collect();
        gone.retain(|(first, last)| first <= last);
        gone.sort_unstable();
        let mut next = from;
        for (first, last) in gone {
            if first > next {
                found.push(fault, id, next, first - 1);
            }
            if last >= next {
                found.push(Fault::Lost, id, first.max(next), last);
                next = last.saturating_add(1);
            }
        }
        if next <= to {
            found.push(fault, id, next, to);
        }
    }

    /// A row whose place is behind us: it was missed, or the place is taken.
    fn behind(&mut self, row: &Link, id: &Id, found: &mut Found) {
        let seq = row.seq;
        if let Some((from, to)) =
            self.holes.range(..=seq).next_back().map(|(f, t)| (*f, *t)).filter(|(_, to)| seq <= *to)
        {
            self.holes.remove(&from);
            if from < seq {
                self.holes.insert(from, seq - 1);
            }
            if seq < to {
                self.holes.insert(seq + 1, to);
            }
            found.push(Fault::Reordered, id, seq, seq);
            return self.confirm(row, id, found);
        }
        if let Some(branch) = self.branches.iter_mut().find(|branch| **branch == row.prev) {
            // The fork was reported where it began.
            *branch = row.hash;
            return;
        }
        let other = self.recent.iter().rev().find(|(other, ..)| *other == seq);
        let fault = match other {
            Some((_, hash, _)) if *hash == row.hash => Fault::Repeated,
            Some((.., prev)) if *prev == row.prev => Fault::Forked,
            _ => Fault::Inserted,
        };
        if fault == Fault::Forked && self.branches.len() < WINDOW {
            self.branches.push(row.hash);
        }
        found.push(fault, id, seq, seq);
    }

    /// Says what is missing.
    pub(super) fn finish(&mut self, id: &Id, found: &mut Found) {
        self.begin();
        for (from, to) in &self.holes {
            self.missed(Fault::Deleted, (*from, *to), id, found);
        }
        if let Some((last, _)) = self.marks.last_key_value().filter(|(last, _)| **last > self.last) {
            self.missed(Fault::Truncated, (self.last + 1, *last), id, found);
        }
        if let Some((first, last)) = self.loose {
            let from = self.named.max(self.pruned()) + 1;
            let rows = self.last.saturating_sub(from);
            let span = i64::try_from((CHECKPOINT_EVERY * OVERDUE).as_micros()).unwrap_or(i64::MAX);
            if rows >= i64::from(CHECKPOINT_ROWS * OVERDUE) || last.saturating_sub(first) >= span {
                found.push(Fault::Unsealed, id, from, self.last);
            }
        }
    }
}
