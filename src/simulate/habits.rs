//! What subjects call, how often, since when and at which hours of the day, while events come.
//!
//! Kept by the numbers of those who ask and of what they ask for, and folded when these begin anew. Of more subjects than
//! are followed, those are whose hash is lowest: a fair sample, and the same from any split.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::askers::{Askers, Pair, Who};
use super::bounded::MAX_KEYS;
use super::few::{Few, Filling, Tally};
use super::judged::Judged;
use super::labels::rank;
use super::order::{Sources, Spot};
use super::report::Window;
use super::unusual::RARE;
use crate::model::Timestamp;

/// The most pairs of a subject and an item that are followed.
const MAX_TUPLES: usize = 20_000;
/// What stands between a subject and an item in a key.
const BETWEEN: char = '\u{1f}';

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Habits {
    /// By the number of a pair: what each call changes, and what the first of them brought.
    seen: Vec<Seen>,
    begun: Vec<Option<Begun>>,
    /// By the number of who asked.
    clocks: Vec<Clock>,
    /// The calls of those hours of the day in which there are few.
    early: Vec<(u32, u8, Early<Arc<str>>)>,
    tuples: Filling<Tuple, MAX_TUPLES>,
    days: Filling<Day, MAX_KEYS>,
}

/// The allowed calls of one pair. There are many, and each call comes to one of them: it is kept small.
#[derive(Clone, Copy, Debug)]
struct Seen {
    calls: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Seen {
    const NONE: Self = Self { calls: 0, first: Timestamp(i64::MAX), last: Timestamp(i64::MIN) };
}

/// The first allowed call of one pair.
#[derive(Debug)]
struct Begun {
    first: Spot,
    /// The number of the one who asked.
    who: u32,
    item: Arc<str>,
}

/// The allowed calls of one who asks, by the hour of the day. More than a few are all one.
type Clock = [u8; 24];

/// A call, and what it was about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Early<T> {
    pub(super) spot: Spot,
    pub(super) item: T,
}

/// The allowed calls of a subject to one item.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Tuple {
    pub(super) calls: u64,
    pub(super) first: Option<Spot>,
    pub(super) last: Option<Timestamp>,
}

/// The allowed calls of a subject by the hour of the day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Day {
    pub(super) hours: BTreeMap<u8, Hour>,
}

/// The allowed calls of a subject in one hour of the day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Hour {
    /// Exact as long as there are few.
    pub(super) calls: u64,
    /// All of them, as long as there are few.
    pub(super) early: Vec<Early<String>>,
}

impl Tuple {
    fn joined(&mut self, other: Self, is_before: impl Fn(&Spot, &Spot) -> bool) {
        self.calls = self.calls.saturating_add(other.calls);
        self.last = self.last.max(other.last);
        self.first = match (self.first, other.first) {
            (Some(mine), Some(theirs)) if is_before(&theirs, &mine) => Some(theirs),
            (mine, theirs) => mine.or(theirs),
        };
    }
}

impl Tally for Tuple {
    fn events(&self) -> u64 {
        self.calls
    }

    fn join(&mut self, other: Self) {
        self.joined(other, |one, two| one < two);
    }
}

impl Tally for Day {
    fn events(&self) -> u64 {
        self.hours.values().fold(0, |sum, hour| sum.saturating_add(hour.calls))
    }

    fn join(&mut self, other: Self) {
        for (number, theirs) in other.hours {
            let mine = self.hours.entry(number).or_default();
            mine.calls = mine.calls.saturating_add(theirs.calls);
            mine.early.extend(theirs.early);
            mine.early.sort_unstable();
            if mine.calls > RARE {
                mine.early.clear();
            }
        }
    }
}

impl Habits {
    /// Adds a call, by the numbers of its pair where it has one.
    pub(super) fn add(&mut self, sources: &Sources, spot: Spot, judged: &Judged<'_>, pair: Option<Pair>) {
        let who = judged.witness.who;
        if judged.class.counts.allowed == 0 || !who.subject_known {
            return;
        }
        let hour = hour_of_day(spot.time);
        let Some(Pair { number, who: asker }) = pair else {
            return self.stranger(sources, spot, who, &judged.class.item);
        };
        let (at, asker_at) = (number as usize, asker as usize);
        if self.seen.len() <= at {
            self.seen.resize(at + 1, Seen::NONE);
            self.begun.resize_with(at + 1, || None);
        }
        if self.clocks.len() <= asker_at {
            self.clocks.resize(asker_at + 1, Clock::default());
        }
        let (Some(seen), Some(clock)) = (self.seen.get_mut(at), self.clocks.get_mut(asker_at)) else { return };
        seen.calls += 1;
        seen.last = seen.last.max(spot.time);
        // Most calls come after the first.
        if spot.time <= seen.first {
            seen.first = spot.time;
            match self.begun.get_mut(at) {
                Some(Some(begun)) if sources.order(&spot, &begun.first).is_lt() => begun.first = spot,
                Some(begun @ None) => {
                    *begun = Some(Begun { first: spot, who: asker, item: Arc::clone(&judged.class.item) });
                }
                _ => {}
            }
        }
        let Some(count) = clock.get_mut(usize::from(hour)) else { return };
        *count = count.saturating_add(1);
        if u64::from(*count) <= RARE {
            self.early.push((asker, hour, Early { spot, item: Arc::clone(&judged.class.item) }));
        }
    }

    /// A call of one who has no number.
    fn stranger(&mut self, sources: &Sources, spot: Spot, who: &Who, item: &Arc<str>) {
        let once = Tuple { calls: 1, first: Some(spot), last: Some(spot.time) };
        let is_before = |one: &Spot, two: &Spot| sources.order(one, two).is_lt();
        self.tuples.gather(&key(&who.subject, Some(item)), once, |all, once| all.joined(once, is_before));
        let hour = Hour { calls: 1, early: vec![Early { spot, item: item.to_string() }] };
        let day = Day { hours: [(hour_of_day(spot.time), hour)].into() };
        self.days.gather(&key(&who.subject, None), day, Day::join);
    }

    /// Folds what is known by numbers. They may begin anew then.
    pub(super) fn settle(&mut self, sources: &Sources, askers: &Askers<'_>) {
        let is_before = |one: &Spot, two: &Spot| sources.order(one, two).is_lt();
        let (seen, begun) = (std::mem::take(&mut self.seen), std::mem::take(&mut self.begun));
        for (Seen { calls, last, .. }, begun) in seen.into_iter().zip(begun) {
            let Some(Begun { first, who, item }) = begun else { continue };
            let Some(who) = askers.who(who) else { continue };
            let tuple = Tuple { calls, first: Some(first), last: Some(last) };
            self.tuples.gather(&key(&who.subject, Some(&item)), tuple, |all, tuple| all.joined(tuple, is_before));
        }
        // In the order of the clocks and their hours, so that each takes its own from the front.
        let mut early = std::mem::take(&mut self.early);
        early.sort_unstable_by_key(|(asker, hour, _)| (*asker, *hour));
        let mut early = early.into_iter().peekable();
        for (asker, clock) in (0..).zip(std::mem::take(&mut self.clocks)) {
            let Some(who) = askers.who(asker).filter(|_| clock != Clock::default()) else { continue };
            let mut day = Day::default();
            for (number, calls) in (0..).zip(clock.map(u64::from)).filter(|(_, calls)| *calls > 0) {
                let mut own = Vec::new();
                while let Some((of, hour, Early { spot, item })) =
                    early.next_if(|(of, hour, _)| (*of, *hour) <= (asker, number))
                {
                    if (of, hour) == (asker, number) && calls <= RARE {
                        own.push(Early { spot, item: item.to_string() });
                    }
                }
                day.hours.insert(number, Hour { calls, early: own });
            }
            self.days.gather(&key(&who.subject, None), day, Day::join);
        }
    }

    /// What is known, with the new numbers of the recordings.
    pub(super) fn part(self, numbers: &[u32]) -> HabitsPart {
        let (mut tuples, mut days) = (self.tuples.finish(), self.days.finish());
        renumber(&mut tuples, &mut days, numbers);
        HabitsPart { tuples, days }
    }
}

fn renumber(tuples: &mut Few<Tuple, MAX_TUPLES>, days: &mut Few<Day, MAX_KEYS>, numbers: &[u32]) {
    for first in tuples.values_mut().filter_map(|tuple| tuple.first.as_mut()) {
        *first = first.renumbered(numbers);
    }
    for hour in days.values_mut().flat_map(|day| day.hours.values_mut()) {
        hour.early.iter_mut().for_each(|early| early.spot = early.spot.renumbered(numbers));
        hour.early.sort_unstable();
    }
}

/// From 0 to 23, in UTC.
fn hour_of_day(time: Timestamp) -> u8 {
    u8::try_from(time.0.rem_euclid(86_400) / 3_600).unwrap_or_default()
}

/// In the order of hashes of the subject, then of items.
fn key(subject: &str, item: Option<&str>) -> String {
    let rank = rank("", subject);
    item.map_or_else(|| format!("{rank:016x}{subject}"), |item| format!("{rank:016x}{subject}{BETWEEN}{item}"))
}

/// The subject and the item of such a key. A subject may hold the mark between them.
fn named(key: &str) -> Option<(&str, &str)> {
    let (hash, rest) = key.split_at_checked(16)?;
    let rank_of = |subject: &str| format!("{:016x}", rank("", subject));
    let mut places = rest.match_indices(BETWEEN).filter_map(|(at, _)| rest.split_at_checked(at));
    let (subject, item) = places.find(|(subject, _)| rank_of(subject) == hash)?;
    Some((subject, item.strip_prefix(BETWEEN)?))
}

/// What is known of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct HabitsPart {
    tuples: Few<Tuple, MAX_TUPLES>,
    days: Few<Day, MAX_KEYS>,
}

/// One subject with what it calls and when.
#[derive(Debug, Default)]
pub(super) struct Habit {
    pub(super) items: Vec<(String, Tuple)>,
    pub(super) day: Day,
}

impl Habit {
    /// All allowed calls.
    pub(super) fn calls(&self) -> u64 {
        self.items.iter().fold(0, |sum, (_, tuple)| sum.saturating_add(tuple.calls))
    }

    /// From the first to the last.
    pub(super) fn window(&self) -> Option<Window> {
        let firsts = self.items.iter().filter_map(|(_, tuple)| Some((tuple.first?.time, tuple.last?)));
        firsts.map(|(first, last)| Window { first, last }).reduce(Window::join)
    }
}

impl HabitsPart {
    pub(super) fn merge(&mut self, mut other: Self, (mine, theirs): (&[u32], &[u32])) {
        renumber(&mut self.tuples, &mut self.days, mine);
        renumber(&mut other.tuples, &mut other.days, theirs);
        self.tuples.join(other.tuples);
        self.days.join(other.days);
    }

    /// By subject, in the order of their names, and the calls of those not followed.
    pub(super) fn subjects(self) -> (BTreeMap<String, Habit>, u64) {
        let ((tuples, others), (mut days, _)) = (self.tuples.into_parts(), self.days.into_parts());
        let mut subjects: BTreeMap<String, Habit> = BTreeMap::new();
        for (text, tuple) in tuples {
            let Some((subject, item)) = named(&text) else { continue };
            subjects.entry(subject.to_owned()).or_default().items.push((item.to_owned(), tuple));
        }
        for (subject, habit) in &mut subjects {
            habit.day = days.remove(&key(subject, None)).unwrap_or_default();
        }
        (subjects, others)
    }
}
