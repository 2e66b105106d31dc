//! Three-valued answers (Kleene): yes, no, or it depends on facts that are not known.

use crate::model::{FactSet, Missing};

/// The answer to one question about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth<'p> {
    Yes,
    No,
    Unknown(Missing<'p>),
}

impl Truth<'_> {
    pub(super) const fn unknown(facts: FactSet) -> Self {
        Self::Unknown(Missing { facts, argument: None })
    }

    /// Whether both hold.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, other) => other,
            (unknown, Self::Yes) => unknown,
            (Self::Unknown(a), Self::Unknown(b)) => Self::Unknown(join(a, b)),
        }
    }
}

impl From<bool> for Truth<'_> {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// What either of two answers lacked.
pub(super) fn join<'p>(a: Missing<'p>, b: Missing<'p>) -> Missing<'p> {
    Missing { facts: a.facts.union(b.facts), argument: a.argument.or(b.argument) }
}
