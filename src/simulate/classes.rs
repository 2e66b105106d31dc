//! What many questions come to alike, held once.
//!
//! Questions of one item differ in who asks; most of them get one of a few answers. An answer is
//! shared only where nothing in it differs, down to the statements that it points at.

use std::sync::Arc;

use super::accounts::Covered;
use super::answer::Side;
use super::counts::Counts;
use super::outcome::{Drifted, compare, recorded};
use super::report::{Column, Columns, Kind};
use crate::model::Verdict;
use crate::traffic::Observed;

/// The most classes that are made before all that is remembered is folded.
const MOST: usize = 1 << 14;
/// The most classes of one item that are looked through.
const MOST_OF_ITEM: usize = 32;

/// The answers to a question, and how they compare.
#[derive(Debug)]
pub(super) struct Class<'p> {
    pub(super) candidate: Verdict<'p>,
    pub(super) baseline: Option<Verdict<'p>>,
    pub(super) drift: Drifted<'p>,
    /// One event in numbers.
    pub(super) counts: Counts,
    /// Whether and how one event is worth a line.
    pub(super) kind: Option<Kind>,
    pub(super) columns: Columns,
    pub(super) covered: Covered<'p>,
}

impl<'p> Class<'p> {
    pub(super) fn new(
        candidate: Verdict<'p>,
        baseline: Option<Verdict<'p>>,
        seen: &Observed<'_>,
        drift: Drifted<'p>,
        covered: Covered<'p>,
    ) -> Self {
        let (recorded, after) = (recorded(seen), Side::Judged(candidate));
        let before = baseline.map_or(recorded, Side::Judged);
        let (counts, kind) = compare(&before, &after);
        let columns = Columns {
            recorded: Column::of(&recorded),
            baseline: baseline.map(|verdict| Column::of(&Side::Judged(verdict))),
            candidate: Column::of(&after),
        };
        Self { candidate, baseline, drift, counts, kind, columns, covered }
    }

    /// What is compared with.
    pub(super) fn before<'a>(&self, recorded: Side<'a>) -> Side<'a>
    where
        'p: 'a,
    {
        self.baseline.map_or(recorded, Side::Judged)
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
            && same(&self.candidate, &other.candidate)
            && self.kind == other.kind
            && self.columns == other.columns
            && self.counts == other.counts
            && self.covered.is_like(&other.covered)
    }
}

/// Whether two answers are one, by the same statement and not only by one of the same name.
fn same(one: &Verdict<'_>, two: &Verdict<'_>) -> bool {
    let place = |verdict: &Verdict<'_>| match verdict {
        Verdict::Decided(decision) => decision.rule.map(|rule| std::ptr::from_ref(rule.position).addr()),
        Verdict::Undecided(_) => None,
    };
    place(one) == place(two) && one == two
}

/// The classes by the number of their item.
#[derive(Debug, Default)]
pub(super) struct Classes<'p> {
    of_item: Vec<Vec<Arc<Class<'p>>>>,
    made: usize,
}

impl<'p> Classes<'p> {
    /// The class, or one that was like it before.
    pub(super) fn share(&mut self, item: u32, class: Class<'p>) -> Arc<Class<'p>> {
        let item = item as usize;
        if self.of_item.len() <= item {
            self.of_item.resize_with(item + 1, Vec::new);
        }
        let Some(known) = self.of_item.get_mut(item) else { return Arc::new(class) };
        if let Some(known) = known.iter().find(|known| known.is_like(&class)) {
            return Arc::clone(known);
        }
        self.made += 1;
        let class = Arc::new(class);
        if known.len() >= MOST_OF_ITEM {
            known.clear();
        }
        known.push(Arc::clone(&class));
        class
    }

    /// Whether there are so many that what is remembered should be folded.
    pub(super) const fn is_full(&self) -> bool {
        self.made >= MOST
    }

    pub(super) fn clear(&mut self) {
        self.of_item.clear();
        self.made = 0;
    }
}
