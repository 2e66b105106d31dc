//! What many questions come to alike, held once.
//!
//! Questions of one item differ in who asks; most of them get one of a few answers. An answer is
//! shared only where nothing in it differs, down to the statements that it points at.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use super::accounts::Covered;
use super::answer::Side;
use super::counts::Counts;
use super::outcome::{Drifted, compare, recorded};
use super::rated::Standing;
use super::report::{Column, Columns, Kind};
use crate::model::Verdict;
use crate::traffic::Observed;

/// The most classes that are made before all that is remembered is folded.
const MOST: usize = 1 << 14;

/// The answers to a question, and how they compare.
#[derive(Debug)]
pub(super) struct Class<'p> {
    /// The tool, prompt or resource, as `door:item`.
    pub(super) item: Arc<str>,
    pub(super) door: Arc<str>,
    /// The number of [`Class::counts`] among the ways in which an event comes out.
    pub(super) way: usize,
    pub(super) candidate: Verdict<'p>,
    pub(super) baseline: Option<Verdict<'p>>,
    pub(super) drift: Drifted<'p>,
    /// One event in numbers.
    pub(super) counts: Counts,
    /// Whether and how one event is worth a line.
    pub(super) kind: Option<Kind>,
    /// How sure it is that each side lets one event through: what is compared with, and the candidate.
    pub(super) standings: (Standing, Standing),
    pub(super) columns: Columns,
    pub(super) covered: Covered<'p>,
}

impl<'p> Class<'p> {
    pub(super) fn new(
        (item, door): (Arc<str>, Arc<str>),
        candidate: Verdict<'p>,
        baseline: Option<Verdict<'p>>,
        seen: &Observed<'_>,
        drift: Drifted<'p>,
        covered: Covered<'p>,
    ) -> Self {
        let (recorded, after) = (recorded(seen), Side::Judged(&candidate));
        let before = baseline.as_ref().map_or(recorded, Side::Judged);
        let (counts, kind) = compare(&before, &after);
        let standings = (Standing::of(&before), Standing::of(&after));
        let columns = Columns {
            recorded: Column::of(&recorded),
            baseline: baseline.as_ref().map(|verdict| Column::of(&Side::Judged(verdict))),
            candidate: Column::of(&after),
        };
        Self { item, door, way: 0, candidate, baseline, drift, counts, kind, standings, columns, covered }
    }

    /// What is compared with.
    pub(super) fn before<'a>(&'a self, recorded: Side<'a>) -> Side<'a> {
        self.baseline.as_ref().map_or(recorded, Side::Judged)
    }

    /// What hardly two classes have in common that are not alike.
    fn mark(&self) -> impl std::hash::Hash {
        let side = |verdict: &Verdict<'_>| match verdict {
            Verdict::Decided(decision) => Some((place(verdict), decision.reason)),
            Verdict::Undecided(_) => None,
        };
        let item = Arc::as_ptr(&self.item).addr();
        (item, side(&self.candidate), self.baseline.as_ref().map(side), self.covered.mark())
    }

    fn is_like(&self, other: &Self) -> bool {
        let baselines = match (&self.baseline, &other.baseline) {
            (None, None) => true,
            (Some(one), Some(two)) => same(one, two),
            _ => false,
        };
        let drifts = match (&self.drift, &other.drift) {
            (Drifted::Different(one, now), Drifted::Different(two, then)) => {
                std::ptr::eq(*one, *two) && same(now, then)
            }
            (one, two) => std::mem::discriminant(one) == std::mem::discriminant(two),
        };
        baselines
            && drifts
            && Arc::ptr_eq(&self.item, &other.item)
            && same(&self.candidate, &other.candidate)
            && self.way == other.way
            && self.kind == other.kind
            && self.standings == other.standings
            && self.columns == other.columns
            && self.counts == other.counts
            && self.covered.is_like(&other.covered)
    }
}

/// Where the statement stands that decided.
fn place(verdict: &Verdict<'_>) -> Option<usize> {
    match verdict {
        Verdict::Decided(decision) => decision.rule.map(|rule| std::ptr::from_ref(rule.position).addr()),
        Verdict::Undecided(_) => None,
    }
}

/// Whether two answers are one, by the same statement and not only by one of the same name.
fn same(one: &Verdict<'_>, two: &Verdict<'_>) -> bool {
    place(one) == place(two) && one == two
}

/// The classes that have been made.
#[derive(Debug, Default)]
pub(super) struct Classes<'p> {
    made: HashTable<(u64, Arc<Class<'p>>)>,
    hasher: FixedState,
}

impl<'p> Classes<'p> {
    /// The class, or one that was like it before.
    pub(super) fn share(&mut self, class: Class<'p>) -> Arc<Class<'p>> {
        let hash = self.hasher.hash_one(class.mark());
        let like = |known: &(u64, Arc<Class<'p>>)| known.0 == hash && known.1.is_like(&class);
        if let Some((_, known)) = self.made.find(hash, like) {
            return Arc::clone(known);
        }
        let class = Arc::new(class);
        self.made.insert_unique(hash, (hash, Arc::clone(&class)), |(hash, _)| *hash);
        class
    }

    /// Whether there are so many that what is remembered should be folded.
    pub(super) fn is_full(&self) -> bool {
        self.made.len() >= MOST
    }

    pub(super) fn clear(&mut self) {
        self.made.clear();
    }
}
