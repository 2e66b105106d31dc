//! Follows each session through the calls of a recording, in whatever order they come.
//!
//! Of a session it keeps the first calls before the first one that is lost, so that how far it had
//! come is known although a part of the recording may hold neither. It never holds a call whole.

use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::{Equivalent, HashMap};
use serde::{Deserialize, Serialize};

use super::ages::TTLS;
use super::answer::Answer;
use super::askers::Who;
use super::counts::Range;
use super::judged::Judged;
use super::labels::rank;
use super::order::{Sources, Spot};
use super::rated::Standing;
use super::report::Window;
use super::sessions::{
    BreakingItem, BrokenSession, MAX_LISTED, MAX_SESSION_CALLS, MAX_SESSIONS, Sessions, UnblockedSession,
};
use super::steps::Steps;
use crate::model::{Fact, Timestamp};

/// The sessions while events come. At most a quarter more than [`MAX_SESSIONS`] are held.
#[derive(Debug, Default)]
pub(super) struct Following {
    map: HashMap<Key, Course, foldhash::fast::FixedState>,
    /// The last that is still followed, once one has been given up.
    last: Option<Key>,
    rest: Rest,
}

/// Which session. By a hash first, so that those that are followed are a fair sample of all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    rank: u64,
    session: Box<str>,
    subject: Arc<str>,
    /// A hash of the subject.
    hash: u64,
}

/// A key that borrows, to look up with.
#[derive(Clone, Copy)]
struct Probe<'a> {
    session: &'a str,
    who: &'a Who,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.hash, &*self.session).hash(state);
    }
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.who.hash, self.session).hash(state);
    }
}

impl Equivalent<Key> for Probe<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        // Who asks is mostly one text in one place.
        let subject = &self.who.subject;
        self.session == &*key.session && (Arc::ptr_eq(subject, &key.subject) || *subject == key.subject)
    }
}

impl Key {
    fn new(session: &str, subject: Arc<str>, hash: u64) -> Self {
        Self { rank: rank(session, &subject), session: session.into(), subject, hash }
    }
}

/// Calls that are part of no session that is followed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Rest {
    outside: u64,
    unknown: u64,
    /// Of sessions that were given up: all calls, those lost, and those that may be.
    calls: u64,
    lost: u64,
    perhaps: u64,
}

impl Rest {
    fn add(&mut self, other: &Self) {
        let Self { outside, unknown, calls, lost, perhaps } = other;
        self.outside += outside;
        self.unknown += unknown;
        self.calls += calls;
        self.lost += lost;
        self.perhaps += perhaps;
    }
}

/// One session so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Course {
    window: Window,
    calls: u64,
    /// The first calls before the first that is lost, in order.
    order: Steps,
    /// The first call that is lost, and the first that may be.
    sure: Option<Box<Break>>,
    perhaps: Option<Box<Break>>,
    /// The first call that was denied before.
    refused: Option<Spot>,
    /// Calls that are newly allowed, that are not surely allowed now, that are lost or may be.
    gained: u64,
    stopped: u64,
    lost: u64,
    may_be_lost: u64,
    /// How many of [`TTLS`] the oldest token of an allowed call reaches.
    oldest: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Break {
    at: Spot,
    item: String,
    after: Answer,
    agent: String,
}

impl Following {
    /// Adds a call. `age` is how many of [`TTLS`] the token of an allowed call reaches.
    pub(super) fn add(&mut self, sources: &Sources, spot: Spot, judged: &Judged<'_>, age: u8) {
        let session = match judged.session {
            Fact::Known(session) => session,
            Fact::Absent => return self.rest.outside += 1,
            Fact::Unknown => return self.rest.unknown += 1,
        };
        let probe = Probe { session, who: judged.witness.who };
        let course = match self.map.get_mut(&probe) {
            Some(course) => course,
            None => match self.begin(probe, judged.witness.time) {
                Some(course) => course,
                None => {
                    self.rest.calls += 1;
                    self.rest.lost += u64::from(judged.is_lost());
                    self.rest.perhaps += u64::from(judged.may_be_lost());
                    return;
                }
            },
        };
        course.add(sources, spot, judged, age);
    }

    fn begin(&mut self, probe: Probe<'_>, time: Timestamp) -> Option<&mut Course> {
        let Probe { session, who } = probe;
        // Most calls of those that are given up end here.
        if self.last.as_ref().is_some_and(|last| rank(session, &who.subject) > last.rank) {
            return None;
        }
        let over = |last: &Option<Key>, key: &Key| last.as_ref().is_some_and(|last| key > last);
        let key = Key::new(session, Arc::clone(&who.subject), who.hash);
        if over(&self.last, &key) {
            return None;
        }
        if self.map.len() >= MAX_SESSIONS + MAX_SESSIONS / 4 {
            self.trim();
            if over(&self.last, &key) {
                return None;
            }
        }
        Some(self.map.entry(key).or_insert_with(|| Course::new(time)))
    }

    fn trim(&mut self) {
        if self.map.len() <= MAX_SESSIONS {
            return;
        }
        let mut keys: Vec<Key> = self.map.keys().cloned().collect();
        keys.sort_unstable();
        let given_up = keys.split_off(MAX_SESSIONS);
        self.last = keys.pop();
        for course in given_up.iter().filter_map(|key| self.map.remove(key)) {
            self.rest.add(&course.given_up());
        }
    }

    /// What these calls add to a whole, with the new numbers of their recordings.
    pub(super) fn part(mut self, numbers: &[u32]) -> SessionsPart {
        self.trim();
        let mut list: Vec<(Key, Course)> = self.map.into_iter().collect();
        list.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let list = list.into_iter().map(|(key, course)| Followed {
            session: key.session.into(),
            subject: key.subject.to_string(),
            course: course.renumbered(numbers),
        });
        SessionsPart { list: list.collect(), rest: self.rest }
    }
}

impl Course {
    const fn new(time: Timestamp) -> Self {
        Self {
            window: Window::at(time),
            calls: 0,
            order: Steps::new(),
            sure: None,
            perhaps: None,
            refused: None,
            gained: 0,
            stopped: 0,
            lost: 0,
            may_be_lost: 0,
            oldest: 0,
        }
    }

    fn add(&mut self, sources: &Sources, spot: Spot, judged: &Judged<'_>, age: u8) {
        self.window = self.window.join(Window::at(spot.time));
        self.calls += 1;
        self.oldest = self.oldest.max(age);
        self.gained += judged.class.counts.newly_allowed;
        self.stopped += u64::from(judged.class.counts.allowed == 0);
        let (lost, may_be_lost) = (judged.is_lost(), judged.may_be_lost());
        self.lost += u64::from(lost);
        self.may_be_lost += u64::from(may_be_lost);
        let first = |known: Option<&Spot>| known.is_none_or(|known| sources.order(&spot, known) == Ordering::Less);
        if judged.class.standings.0 == Standing::No && first(self.refused.as_ref()) {
            self.refused = Some(spot);
        }
        let here = || {
            let (item, agent) = (judged.class.item.to_string(), judged.witness.who.agent.to_string());
            Box::new(Break { at: spot, item, after: judged.after().answer(), agent })
        };
        if may_be_lost && first(self.perhaps.as_ref().map(|b| &b.at)) {
            self.perhaps = Some(here());
        }
        if !first(self.sure.as_ref().map(|b| &b.at)) {
            return;
        }
        let place = match self.order.last() {
            Some(last) if sources.order(&spot, last) == Ordering::Less => {
                self.order.place(|known| sources.order(known, &spot) == Ordering::Less)
            }
            _ => self.order.len(),
        };
        if lost {
            self.sure = Some(here());
            self.order.truncate(place);
        } else {
            self.order.insert(place, spot, age);
        }
    }

    /// What is left to know of a session that is not followed any more.
    const fn given_up(&self) -> Rest {
        Rest { outside: 0, unknown: 0, calls: self.calls, lost: self.lost, perhaps: self.may_be_lost }
    }

    fn renumbered(mut self, numbers: &[u32]) -> Self {
        let spots = self.order.spots_mut().chain(&mut self.refused);
        let breaks = self.sure.iter_mut().chain(&mut self.perhaps).map(|b| &mut b.at);
        spots.chain(breaks).for_each(|spot| *spot = spot.renumbered(numbers));
        self
    }

    fn join(&mut self, other: Self) {
        self.window = self.window.join(other.window);
        self.calls += other.calls;
        self.sure = lower(self.sure.take(), other.sure);
        self.perhaps = lower(self.perhaps.take(), other.perhaps);
        self.refused = lower(self.refused.take(), other.refused);
        self.gained += other.gained;
        self.stopped += other.stopped;
        self.lost += other.lost;
        self.may_be_lost += other.may_be_lost;
        self.oldest = self.oldest.max(other.oldest);
        self.order.join(other.order, self.sure.as_ref().map(|sure| sure.at));
    }

    /// How many calls come before one that is not after the first lost one.
    fn before(&self, at: &Spot) -> Range {
        let count = self.order.place(|spot| spot < at);
        let full = count == MAX_SESSION_CALLS;
        let at_most = if full { self.calls.saturating_sub(1) } else { count as u64 };
        Range { at_least: count as u64, at_most }
    }
}

fn lower<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The sessions of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct SessionsPart {
    /// In the order of their keys.
    list: Vec<Followed>,
    rest: Rest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Followed {
    session: String,
    subject: String,
    course: Course,
}

impl Followed {
    fn key(&self) -> Key {
        Key::new(&self.session, self.subject.as_str().into(), 0)
    }
}

impl SessionsPart {
    pub(super) fn merge(&mut self, other: Self, (mine, theirs): (&[u32], &[u32])) {
        let full = [&*self, &other].into_iter().filter(|part| part.rest.calls > 0);
        let last = full.filter_map(|part| part.list.last()).map(Followed::key).min();
        self.rest.add(&other.rest);
        let mut all: BTreeMap<Key, Course> = BTreeMap::new();
        let own = std::mem::take(&mut self.list).into_iter().map(|one| (one, mine));
        for (one, numbers) in own.chain(other.list.into_iter().map(|one| (one, theirs))) {
            let (key, course) = (one.key(), one.course.renumbered(numbers));
            match all.get_mut(&key) {
                Some(known) => known.join(course),
                None => drop(all.insert(key, course)),
            }
        }
        let over = |key: &Key| last.as_ref().is_some_and(|last| key > last);
        while all.len() > MAX_SESSIONS || all.last_key_value().is_some_and(|(key, _)| over(key)) {
            if let Some((_, course)) = all.pop_last() {
                self.rest.add(&course.given_up());
            }
        }
        let list = all.into_iter().map(|(key, course)| Followed {
            session: key.session.into(),
            subject: key.subject.to_string(),
            course,
        });
        self.list = list.collect();
    }

    /// For each of [`TTLS`], the sessions that it would cut.
    pub(super) fn older(&self) -> Vec<u64> {
        let reach = |n: usize| self.list.iter().filter(|one| usize::from(one.course.oldest) > n).count() as u64;
        (0..TTLS.len()).map(reach).collect()
    }

    /// For each of [`TTLS`], the new tokens that it would ask for, and how many calls are of no session that is followed.
    pub(super) fn renewals(&self) -> (Vec<Range>, u64) {
        let mut all = vec![Range::default(); TTLS.len()];
        for one in &self.list {
            for (sum, range) in
                all.iter_mut().zip(one.course.order.renewals(one.course.calls, one.course.window, one.course.oldest))
            {
                sum.at_least += range.at_least;
                sum.at_most += range.at_most;
            }
        }
        (all, self.rest.calls + self.rest.outside + self.rest.unknown)
    }

    pub(super) fn finish(self, sources: &[String]) -> Sessions {
        let mut found = Sessions {
            followed: self.list.len() as u64,
            not_followed: self.rest.calls,
            outside: self.rest.outside,
            unknown: self.rest.unknown,
            ..Sessions::default()
        };
        let mut items: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for Followed { session, subject, course } in self.list {
            let Some((broken, sure)) =
                course.sure.as_ref().map(|b| (b, true)).or(course.perhaps.as_ref().map(|b| (b, false)))
            else {
                found.unbroken += 1;
                if course.refused.is_some() && course.stopped == 0 {
                    found.unblocked += 1;
                    found.relieved.push(UnblockedSession {
                        session,
                        subject,
                        calls: course.calls,
                        gained: course.gained,
                    });
                }
                continue;
            };
            let at = items.entry(broken.item.clone()).or_default();
            *(if sure { &mut found.broken } else { &mut found.perhaps_broken }) += 1;
            *(if sure { &mut at.0 } else { &mut at.1 }) += 1;
            let mut before = course.before(&broken.at);
            if !sure {
                before.at_most = course.calls.saturating_sub(1);
            } else if let Some(perhaps) = course.perhaps.as_ref().filter(|perhaps| perhaps.at < broken.at) {
                before.at_least = course.before(&perhaps.at).at_least;
            }
            found.list.push(BrokenSession {
                already: course.refused.is_some_and(|refused| refused < broken.at),
                window: course.window,
                calls: course.calls,
                before,
                sure,
                item: broken.item.clone(),
                after: broken.after.clone(),
                time: broken.at.time,
                witness: broken.at.sample(sources, subject.clone(), broken.agent.clone()),
                session,
                subject,
            });
        }
        // Given up sessions are one at least, and at most as many as their calls.
        let rest = self.rest;
        found.seen =
            Range { at_least: found.followed + u64::from(rest.calls > 0), at_most: found.followed + rest.calls };
        let perhaps = found.perhaps_broken + rest.lost + rest.perhaps;
        found.breaking = Range::of(found.broken + u64::from(rest.lost > 0), perhaps - u64::from(rest.lost > 0));
        found.list.sort_by_key(|one| (Reverse(one.sure), Reverse(one.lost()), one.time, one.session.clone()));
        found.list.truncate(MAX_LISTED);
        found.relieved.sort_by_key(|one| (Reverse(one.gained), one.session.clone(), one.subject.clone()));
        found.relieved.truncate(MAX_LISTED);
        let items = items.into_iter().map(|(item, (sessions, perhaps))| BreakingItem { item, sessions, perhaps });
        found.items = items.collect();
        found.items.sort_by_key(|one| Reverse((one.sessions, one.perhaps)));
        found.items.truncate(MAX_LISTED);
        found
    }
}
