//! Answers by question, so that each is judged once and its events are only counted.
//!
//! Nothing in a report shows whether an answer was remembered. What is remembered is bounded; when
//! it is full, it is folded into the tables and begins anew.

use std::hash::BuildHasher as _;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::outcome::Outcome;
use super::question::Question;

/// How many questions are remembered.
pub(super) const REMEMBERED: usize = 1 << 17;

/// Outcomes by question.
#[derive(Debug)]
pub(super) struct Memo<'p> {
    limit: usize,
    places: HashTable<u32>,
    entries: Vec<(Question, Outcome<'p>)>,
    hasher: FixedState,
}

impl<'p> Memo<'p> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, places: HashTable::new(), entries: Vec::new(), hasher: FixedState::default() }
    }

    pub(super) const fn is_on(&self) -> bool {
        self.limit > 0
    }

    /// The place of a question that has been answered.
    pub(super) fn find(&self, question: &Question) -> Option<u32> {
        let same = |at: &u32| self.entries.get(*at as usize).is_some_and(|(own, _)| own == question);
        self.places.find(self.hasher.hash_one(question), same).copied()
    }

    pub(super) fn at(&mut self, place: u32) -> Option<&mut Outcome<'p>> {
        self.entries.get_mut(place as usize).map(|(_, outcome)| outcome)
    }

    /// Whether there is no room for another question.
    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= self.limit
    }

    /// Remembers the answer to a question that has none.
    pub(super) fn insert(&mut self, question: Question, outcome: Outcome<'p>) -> u32 {
        let place = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        self.entries.push((question, outcome));
        let (entries, hasher) = (&self.entries, &self.hasher);
        let hash = |at: &u32| entries.get(*at as usize).map_or(0, |(own, _)| hasher.hash_one(own));
        self.places.insert_unique(hasher.hash_one(question), place, hash);
        place
    }

    /// Forgets everything and gives it out.
    pub(super) fn take(&mut self) -> Vec<(Question, Outcome<'p>)> {
        self.places.clear();
        std::mem::take(&mut self.entries)
    }

    /// Takes back what [`Memo::take`] gave, emptied, to fill it again.
    pub(super) fn reuse(&mut self, emptied: Vec<(Question, Outcome<'p>)>) {
        self.entries = emptied;
        self.entries.clear();
    }
}
