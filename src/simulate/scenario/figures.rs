//! The figures of sessions, rates and the age of tokens that a scenario may expect.
//!
//! Some are known only within bounds, as where not every session could be followed. Such a figure is as expected when
//! all that it may be is.

use super::Amount;
use crate::simulate::ages::TTLS;
use crate::simulate::counts::Range;
use crate::simulate::rates::Rates;
use crate::simulate::report::Report;
use crate::simulate::sessions::{BreakingItem, Sessions};
use crate::simulate::unusual::Unusual;

/// A figure by its name.
type Named<T> = (&'static str, fn(&T) -> Range);

/// What `[sessions]` takes.
pub(super) const SESSIONS: [Named<Sessions>; 10] = [
    ("seen", |s| s.seen),
    ("breaking", |s| s.breaking),
    ("followed", |s| exactly(s.followed)),
    ("unbroken", |s| exactly(s.unbroken)),
    ("broken", |s| exactly(s.broken)),
    ("perhaps_broken", |s| exactly(s.perhaps_broken)),
    ("unblocked", |s| exactly(s.unblocked)),
    ("not_followed", |s| exactly(s.not_followed)),
    ("outside", |s| exactly(s.outside)),
    ("unknown", |s| exactly(s.unknown)),
];

/// What `[rates]` takes.
pub(super) const RATES: [Named<Rates>; 6] = [
    ("replayed", |r| exactly(r.replayed)),
    ("not_replayed", |r| exactly(r.not_replayed)),
    ("before", |r| r.before),
    ("now", |r| r.now),
    ("newly_limited", |r| r.newly_limited),
    ("no_longer_limited", |r| r.no_longer_limited),
];

/// What `[unusual]` takes.
pub(super) const UNUSUAL: [Named<Unusual>; 3] =
    [("rare", |u| exactly(u.rare)), ("late", |u| exactly(u.late)), ("hours", |u| exactly(u.hours))];

const fn exactly(count: u64) -> Range {
    Range { at_least: count, at_most: count }
}

/// Which figure of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    /// One of [`SESSIONS`].
    Sessions(&'static str),
    /// Sessions that break at a tool, prompt or resource.
    BreakingAt(String),
    /// One of [`RATES`].
    Rates(&'static str),
    /// One of [`UNUSUAL`].
    Unusual(&'static str),
    /// Allowed calls whose token is so old, in seconds: those that such a `token_ttl` would deny. At one door or at all.
    OldCalls(Option<String>, u32),
    /// Sessions with such a call.
    OldSessions(u32),
    /// Tokens that would have to be got anew for them.
    Renewals(u32),
}

impl Figure {
    /// What it is called in a difference.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Sessions(name) => format!("sessions {name}"),
            Self::BreakingAt(item) => format!("sessions that break at {item}"),
            Self::Rates(name) => format!("rates {name}"),
            Self::Unusual(name) => format!("unusual {name}"),
            Self::OldCalls(None, ttl) => format!("calls that a token_ttl of {ttl} s would deny"),
            Self::OldCalls(Some(door), ttl) => format!("calls of {door} that a token_ttl of {ttl} s would deny"),
            Self::OldSessions(ttl) => format!("sessions that a token_ttl of {ttl} s would break"),
            Self::Renewals(ttl) => format!("new tokens that a token_ttl of {ttl} s would ask for"),
        }
    }

    /// What a report says of it.
    pub(super) fn of(&self, report: &Report) -> Range {
        let (sessions, ages) = (&report.sessions, &report.ages);
        let at = |ttl: &u32, counts: &[u64]| {
            let place = TTLS.iter().position(|known| known == ttl);
            place.and_then(|place| counts.get(place)).copied().unwrap_or(0)
        };
        match self {
            Self::Sessions(name) => named(&SESSIONS, name, sessions),
            Self::Rates(name) => named(&RATES, name, &report.rates),
            Self::Unusual(name) => named(&UNUSUAL, name, &report.unusual),
            Self::BreakingAt(item) => {
                let listed = |found: &BreakingItem| found.sessions + found.perhaps;
                // Those of which it is not told where they break may break here.
                let others = sessions.breaking.at_most.saturating_sub(sessions.items.iter().map(listed).sum());
                let found = sessions.items.iter().find(|breaking| breaking.item == *item);
                let (surely, perhaps) = found.map_or((0, 0), |found| (found.sessions, listed(found)));
                Range { at_least: surely, at_most: perhaps.saturating_add(others) }
            }
            Self::OldCalls(None, ttl) => old(at(ttl, &ages.total.older), ages.total.unknown),
            Self::OldCalls(Some(door), ttl) => match ages.doors.iter().find(|ages| ages.door == *door) {
                Some(ages) => old(at(ttl, &ages.curve.older), ages.curve.unknown),
                None => exactly(0),
            },
            Self::OldSessions(ttl) => {
                let known = at(ttl, &ages.sessions);
                // Each call of which the age is not known, or whose session was not followed, may make it one more.
                let most = old(known, ages.total.unknown.saturating_add(sessions.not_followed)).at_most;
                Range { at_least: known, at_most: most.min(sessions.seen.at_most).max(known) }
            }
            Self::Renewals(ttl) => {
                let place = TTLS.iter().position(|known| known == ttl);
                place.and_then(|place| ages.renewals.get(place)).copied().unwrap_or_default()
            }
        }
    }
}

/// Calls of which the age is not known may be older.
const fn old(known: u64, unknown: u64) -> Range {
    Range { at_least: known, at_most: known.saturating_add(unknown) }
}

fn named<T>(all: &[Named<T>], name: &str, of: &T) -> Range {
    all.iter().find(|(known, _)| *known == name).map_or(exactly(0), |(_, figure)| figure(of))
}

impl Amount {
    /// Whether all that a figure may be is as expected.
    pub(super) const fn holds(self, actual: Range) -> bool {
        self.min <= actual.at_least && actual.at_most <= self.max
    }
}

/// A figure for a person.
pub(super) fn shown(actual: Range) -> String {
    Amount { min: actual.at_least, max: actual.at_most }.shown()
}
