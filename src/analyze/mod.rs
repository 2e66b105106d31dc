//! Exact questions about one policy or two: no sampling, no solver.
//!
//! The language is finite, so every question is answered by enumeration. For each part of a
//! request the conditions under question split all values into finitely many classes, and one
//! value stands for each class (`cells`). A search then looks for a combination of those values
//! that meets the question, with pruning that never drops a class. Every request that is reported
//! has been decided by [`crate::pdp::decide`] on the whole policy and really gives the answer it is
//! reported for.
//!
//! A question that is too large within the budget is answered with [`Limit`] and never with a
//! guess.

mod access;
mod cells;
mod diff;
mod duties;
mod invariants;
mod lint;
mod listing;
mod place;
mod search;
mod served;
mod space;
mod spot;
mod view;
mod witness;
mod wording;

pub use access::{Access, Answer, Exception, Granted, reachable, what_can, who_can};
pub use diff::{Diff, Direction, Flip, diff};
pub use duties::{Change, ChangeKind};
pub use invariants::{Proof, Violation, check_invariants};
pub use lint::lint;
pub use listing::{some_arguments, uris_of};
pub use place::{Place, RuleRef};
pub use served::served;
pub use space::Who;
pub use witness::Witness;

use std::fmt;

/// How much work a question may take, and from which instant on it is asked.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Requests before this instant do not count; `None` asks about all time.
    pub from: Option<crate::model::Timestamp>,
    /// The most steps for each item.
    pub steps: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { from: None, steps: 50_000_000 }
    }
}

/// A question was too large to answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit {
    why: &'static str,
}

impl Limit {
    pub(crate) const fn new(why: &'static str) -> Self {
        Self { why }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.why)
    }
}

impl std::error::Error for Limit {}

/// An item about which a question could not be answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unanswered {
    /// The item.
    pub place: Place,
    /// Why.
    pub limit: Limit,
}

/// The steps that are left.
#[derive(Debug)]
pub(crate) struct Budget {
    left: u64,
}

impl Budget {
    pub(crate) const fn new(steps: u64) -> Self {
        Self { left: steps }
    }

    pub(crate) fn spend(&mut self, steps: u64) -> Result<(), Limit> {
        self.left = self.left.checked_sub(steps).ok_or(Limit::new("the conditions combine in too many ways"))?;
        Ok(())
    }
}
