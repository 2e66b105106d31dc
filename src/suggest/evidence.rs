//! The events behind a line: how many, from when to when, and where a few of them are.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::limits::MAX_EXAMPLES;
use crate::model::Timestamp;
use crate::traffic::Place;

/// Where an event is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Example {
    /// The source, as it was named.
    pub source: Arc<str>,
    /// The place in it.
    pub place: Place,
}

impl std::fmt::Display for Example {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.source, self.place)
    }
}

/// Events, counted and cited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How many.
    pub calls: u64,
    /// The time of the first; `None` without an event.
    pub first: Option<Timestamp>,
    /// The time of the last.
    pub last: Option<Timestamp>,
    /// The first few by source and place.
    pub examples: Vec<Example>,
}

impl Evidence {
    pub(super) fn add(&mut self, time: Timestamp, example: &Example) {
        self.calls += 1;
        self.first = Some(self.first.map_or(time, |t| t.min(time)));
        self.last = Some(self.last.map_or(time, |t| t.max(time)));
        self.cite(example);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.into_iter().chain(other.last).max();
        for example in &other.examples {
            self.cite(example);
        }
    }

    fn cite(&mut self, example: &Example) {
        let at = self.examples.partition_point(|kept| kept < example);
        if at < MAX_EXAMPLES && self.examples.get(at) != Some(example) {
            self.examples.insert(at, example.clone());
            self.examples.truncate(MAX_EXAMPLES);
        }
    }
}

/// How many different things there were, exactly up to a limit: the lowest hashes are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Distinct(BTreeSet<u64>);

impl Distinct {
    pub(super) fn add(&mut self, hash: u64, limit: usize) {
        if self.0.len() >= limit && self.0.last().is_none_or(|last| *last <= hash) {
            return;
        }
        self.0.insert(hash);
        if self.0.len() > limit {
            self.0.pop_last();
        }
    }

    pub(super) fn merge(&mut self, other: &Self, limit: usize) {
        for hash in &other.0 {
            self.add(*hash, limit);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_events_does_not_show() {
        let example = |n: u64| Example { source: "a".into(), place: n.into() };
        let fed = |order: &[i64]| {
            let mut evidence = Evidence::default();
            for n in order {
                evidence.add(Timestamp(*n), &example(n.unsigned_abs()));
            }
            evidence
        };
        let evidence = fed(&[5, 2, 9, 4]);
        assert_eq!(evidence, fed(&[9, 5, 4, 2]));
        assert_eq!(evidence.examples, [example(2), example(4), example(5)]);
        let mut merged = fed(&[9, 4]);
        merged.merge(&fed(&[5, 2]));
        assert_eq!(evidence, merged);
    }

    #[test]
    fn different_things_are_counted_up_to_the_limit() {
        let mut distinct = Distinct::default();
        for hash in [5, 5, 1, 9, 2] {
            distinct.add(hash, 3);
        }
        assert_eq!(distinct.count(), 3);
    }
}
