//! When each name of a group was seen, and in how many pairs of a subject and an item, while events come.
//!
//! Kept by the numbers of the pairs, and folded when these begin anew.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::askers::{Askers, Pair, Who};
use super::bounded::MAX_KEYS;
use super::counts::Range;
use super::few::{Few, Filling, Tally};
use super::judged::Judged;
use super::labels::rank;
use super::report::{Groups, Presence, Report, Window};
use crate::model::Timestamp;

/// The most pairs of a name that are told apart.
const MOST: usize = 100;

/// How many ways of grouping there are: subject, agent, door, item, role, tenant.
const WAYS: usize = 6;

/// What was seen so far.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// By the number of a pair: the time of its calls, which each of them changes, and what it is.
    seen: Vec<Window>,
    known: Vec<Option<Known>>,
    all: [Filling<Span, MAX_KEYS>; WAYS],
}

/// The time of a pair without a call.
const NEVER: Window = Window { first: Timestamp(i64::MAX), last: Timestamp(i64::MIN) };

/// One pair.
#[derive(Debug)]
struct Known {
    /// The number of the one who asked.
    who: u32,
    item: Arc<str>,
    door: Arc<str>,
}

/// When one name was seen, and in which pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Span {
    window: Option<Window>,
    /// The lowest hashes of pairs, sorted: those of a whole are among those of each part.
    pairs: Vec<u64>,
    /// Whether there are more.
    more: bool,
}

impl Span {
    /// Adds a pair that was seen in that time.
    fn see(&mut self, window: Window, pair: u64) {
        self.window = Some(self.window.map_or(window, |mine| mine.join(window)));
        let Err(at) = self.pairs.binary_search(&pair) else { return };
        self.more |= self.pairs.len() >= MOST;
        if at < MOST {
            self.pairs.truncate(MOST - 1);
            self.pairs.insert(at, pair);
        }
    }
}

impl Tally for Span {
    fn events(&self) -> u64 {
        1
    }

    fn join(&mut self, other: Self) {
        if let Some(window) = other.window {
            other.pairs.into_iter().for_each(|pair| self.see(window, pair));
        }
        self.more |= other.more;
    }
}

impl Spans {
    /// Adds a call, by the number of its pair where it has one.
    pub(super) fn add(&mut self, judged: &Judged<'_>, pair: Option<Pair>) {
        let (window, class) = (Window::at(judged.witness.time), judged.class);
        let Some(Pair { number, who }) = pair else {
            return self.fold(judged.witness.who, std::iter::once((window, &class.item, &class.door)));
        };
        let at = number as usize;
        if self.seen.len() <= at {
            self.seen.resize(at + 1, NEVER);
            self.known.resize_with(at + 1, || None);
        }
        let (Some(seen), Some(known)) = (self.seen.get_mut(at), self.known.get_mut(at)) else { return };
        if *seen == NEVER {
            let (item, door) = (Arc::clone(&class.item), Arc::clone(&class.door));
            *known = Some(Known { who, item, door });
        }
        *seen = seen.join(window);
    }

    /// Folds what is known by numbers. They may begin anew then.
    pub(super) fn settle(&mut self, askers: &Askers<'_>) {
        let seen = std::mem::take(&mut self.seen).into_iter().zip(std::mem::take(&mut self.known));
        let mut all: Vec<(Known, Window)> = seen.filter_map(|(window, known)| Some((known?, window))).collect();
        // Most of those who ask have many pairs, and the names of one are looked up once.
        all.sort_unstable_by_key(|(known, _)| known.who);
        for own in all.chunk_by(|(one, _), (two, _)| one.who == two.who) {
            if let Some(who) = own.first().and_then(|(known, _)| askers.who(known.who)) {
                self.fold(who, own.iter().map(|(known, window)| (*window, &known.item, &known.door)));
            }
        }
    }

    /// Adds pairs of one who asked: when, the item and its door.
    fn fold<'a>(&mut self, who: &Who, pairs: impl Iterator<Item = (Window, &'a Arc<str>, &'a Arc<str>)>) {
        let [subjects, agents, doors, items, roles, tenants] = &mut self.all;
        let mut own: Vec<(Window, u64)> = Vec::new();
        for (window, item, door) in pairs {
            let pair = rank(&who.subject, item);
            own.push((window, pair));
            for (all, name) in [(&mut *doors, door), (&mut *items, item)] {
                all.of(name).into_iter().for_each(|span| span.see(window, pair));
            }
        }
        let (subject, agent) = (std::slice::from_ref(&who.subject), std::slice::from_ref(&who.agent));
        for (all, names) in [(subjects, subject), (agents, agent), (roles, &*who.roles), (tenants, &*who.tenants)] {
            for name in names {
                let Some(span) = all.of(name) else { continue };
                for (window, pair) in &own {
                    span.see(*window, *pair);
                }
            }
        }
    }

    pub(super) fn part(self) -> SpansPart {
        SpansPart(self.all.map(Filling::finish))
    }
}

/// What was seen in a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub(super) struct SpansPart([Few<Span, MAX_KEYS>; WAYS]);

impl SpansPart {
    pub(super) fn merge(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| mine.join(theirs));
    }

    /// Writes into the groups of a report when each name was seen.
    pub(super) fn finish(self, report: &mut Report) {
        let Report { subjects, agents, doors, items, roles, tenants, .. } = report;
        for (groups, few) in [subjects, agents, doors, items, roles, tenants].into_iter().zip(self.0) {
            tell(groups, few);
        }
    }
}

fn tell(groups: &mut Groups, few: Few<Span, MAX_KEYS>) {
    let (mut spans, _) = few.into_parts();
    for group in &mut groups.list {
        let Some(Span { window: Some(window), pairs, more }) = spans.remove(&group.name) else { continue };
        let (least, events) = (pairs.len() as u64, group.counts.events);
        let tuples = Range { at_least: least, at_most: if more { events.max(least) } else { least } };
        group.seen = Some(Presence { window, tuples });
    }
}
