//! Gathers the calls under a rate, in whatever order they come, and replays them in order.
//!
//! It keeps of a call where it stands and which counts it is part of, and only of the first in time, as
//! many as it is told to: what comes after them cannot change what became of them.

use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};
use serde::{Deserialize, Serialize};

use super::answer::Side;
use super::judged::Judged;
use super::order::{Sources, Spot};
use super::rates::Rates;
use super::replay::replay;
use crate::model::{Effect, Rate};
use crate::pdp::Survey;

/// How sure it is that a side lets a call through to its rates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Standing {
    /// It denies it.
    No,
    /// That depends on what was not recorded.
    Perhaps,
    /// It allows it.
    Yes,
    /// There is nothing to compare with.
    NoSide,
}

impl Standing {
    /// How sure it is of one side.
    pub(super) fn of(side: &Side<'_>) -> Self {
        match (side, side.effect()) {
            (Side::Nothing, _) => Self::NoSide,
            (_, Some(Effect::Allow)) => Self::Yes,
            (_, Some(Effect::Deny)) => Self::No,
            (_, None) => Self::Perhaps,
        }
    }
}

/// What calls have in common that are counted alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Class {
    pub(super) before: Standing,
    pub(super) now: Standing,
    pub(super) subject: String,
    /// Whether it is known under whom the call counts.
    pub(super) subject_known: bool,
    pub(super) agent: String,
    pub(super) agent_known: bool,
    pub(super) rates_before: Vec<OfRate>,
    pub(super) rates_now: Vec<OfRate>,
}

/// A rate and what has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct OfRate {
    pub(super) of: String,
    pub(super) rate: Rate,
}

/// Calls after the last one that is replayed: all, and those that could be over a rate in some way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Later {
    pub(super) calls: u64,
    pub(super) before: u64,
    pub(super) now: u64,
    pub(super) newly: u64,
    pub(super) no_longer: u64,
}

impl Later {
    /// One call that is let through by the sides that are not [`Standing::No`].
    fn of(before: Standing, now: Standing, rated_before: bool, rated_now: bool) -> Self {
        let passes = |standing| matches!(standing, Standing::Perhaps | Standing::Yes);
        let both = passes(before) && passes(now);
        Self {
            calls: 1,
            before: u64::from(rated_before && passes(before)),
            now: u64::from(rated_now && passes(now)),
            newly: u64::from(rated_now && both),
            no_longer: u64::from(rated_before && both),
        }
    }

    fn of_class(class: &Class) -> Self {
        Self::of(class.before, class.now, !class.rates_before.is_empty(), !class.rates_now.is_empty())
    }

    fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.before += other.before;
        self.now += other.now;
        self.newly += other.newly;
        self.no_longer += other.no_longer;
    }
}

/// A class by the places of its lists of rates, each of which is one for each declaration.
#[derive(Debug, PartialEq, Eq)]
struct Key {
    rates: (usize, usize),
    standing: (Standing, Standing),
    subject: String,
    agent: String,
}

struct Probe<'a> {
    rates: (usize, usize),
    standing: (Standing, Standing),
    subject: &'a str,
    agent: &'a str,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.rates, self.standing, self.subject.as_str(), self.agent.as_str()).hash(state);
    }
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.rates, self.standing, self.subject, self.agent).hash(state);
    }
}

impl Equivalent<Key> for Probe<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        (self.rates, self.standing, self.subject, self.agent)
            == (key.rates, key.standing, key.subject.as_str(), key.agent.as_str())
    }
}

/// The calls under a rate while events come. At most a quarter more than are replayed are held.
#[derive(Debug)]
pub(super) struct Rated {
    /// How many are replayed.
    most: usize,
    classes: Vec<Class>,
    numbers: HashMap<Key, u32, foldhash::fast::FixedState>,
    calls: Vec<(Spot, u32)>,
    /// The last that is still kept, once one has been given up.
    last: Option<Spot>,
    later: Later,
}

impl Rated {
    /// Replays so many calls.
    pub(super) fn of(most: usize) -> Self {
        Self {
            most,
            classes: Vec::new(),
            numbers: HashMap::default(),
            calls: Vec::new(),
            last: None,
            later: Later::default(),
        }
    }

    /// Adds a call under the rates of either side.
    pub(super) fn add(&mut self, sources: &Sources, spot: Spot, judged: &Judged<'_>, held: &Held<'_>) {
        let who = judged.witness.who;
        let (before, now) = judged.class.standings;
        let (rates_before, rates_now) = (held.before.rates, held.now.rates);
        if rates_now.is_empty() && rates_before.is_empty() {
            return;
        }
        let after_last = |last: &Spot| sources.order(&spot, last).is_gt();
        if self.last.as_ref().is_some_and(after_last) {
            self.later.add(Later::of(before, now, !rates_before.is_empty(), !rates_now.is_empty()));
            return;
        }
        let place = |rates: &[Rate]| if rates.is_empty() { 0 } else { rates.as_ptr().addr() };
        let probe = Probe {
            rates: (place(rates_before), place(rates_now)),
            standing: (before, now),
            subject: &who.subject,
            agent: &who.agent,
        };
        let number = match self.numbers.get(&probe) {
            Some(number) => *number,
            None => {
                let class = Class {
                    before,
                    now,
                    subject: who.subject.to_string(),
                    subject_known: who.subject_known,
                    agent: who.agent.to_string(),
                    agent_known: who.agent_known,
                    rates_before: held.before.named(),
                    rates_now: held.now.named(),
                };
                let number = u32::try_from(self.classes.len()).unwrap_or(u32::MAX);
                self.classes.push(class);
                let Probe { rates, standing, subject, agent } = probe;
                let key = Key { rates, standing, subject: subject.to_owned(), agent: agent.to_owned() };
                self.numbers.insert(key, number);
                number
            }
        };
        self.calls.push((spot, number));
        if self.calls.len() >= self.most + (self.most / 4).max(1) {
            self.trim(sources);
        }
    }

    /// Gives up the last calls over the limit, and the classes that are left without one.
    fn trim(&mut self, sources: &Sources) {
        if self.calls.len() <= self.most {
            return;
        }
        self.calls.sort_unstable_by(|a, b| sources.order(&a.0, &b.0));
        for (_, class) in self.calls.drain(self.most..) {
            self.later.add(self.classes.get(class as usize).map_or(Later::default(), Later::of_class));
        }
        self.last = self.calls.last().map(|(spot, _)| *spot);
        // A class keeps its key as long as its calls are kept.
        let mut moved = vec![u32::MAX; self.classes.len()];
        let old = std::mem::take(&mut self.classes);
        for (_, class) in &mut self.calls {
            let Some(number) = moved.get_mut(*class as usize) else { continue };
            if *number == u32::MAX {
                *number = u32::try_from(self.classes.len()).unwrap_or(u32::MAX);
                self.classes.extend(old.get(*class as usize).cloned());
            }
            *class = *number;
        }
        self.numbers.retain(|_, number| match moved.get(*number as usize) {
            Some(&now) if now != u32::MAX => {
                *number = now;
                true
            }
            _ => false,
        });
    }

    /// What these calls add to a whole, with the new numbers of their recordings.
    pub(super) fn part(mut self, sources: &Sources) -> RatesPart {
        self.trim(sources);
        RatesPart { most: self.most, classes: self.classes, calls: self.calls, later: self.later }
    }
}

/// The rates of both sides that a question is held to, as far as a side lets it through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held<'p> {
    pub(super) before: HeldBy<'p>,
    pub(super) now: HeldBy<'p>,
}

/// The rates of one side, with what has them: the server the first, if it has one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HeldBy<'p> {
    rates: &'p [Rate],
    door: Option<&'p str>,
    item: &'p str,
}

impl<'p> HeldBy<'p> {
    pub(super) fn of(survey: &Survey<'p, '_>) -> Self {
        let rates = survey.obligations().rates;
        Self { rates, door: survey.rated_door(), item: survey.item().name }
    }

    fn named(&self) -> Vec<OfRate> {
        let names = self.door.into_iter().chain(std::iter::repeat(self.item));
        self.rates.iter().zip(names).map(|(rate, of)| OfRate { of: of.to_owned(), rate: *rate }).collect()
    }
}

impl Held<'_> {
    /// Whether it is the same, down to the lists it points at.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let like = |one: &HeldBy<'_>, two: &HeldBy<'_>| {
            let door = one.door.map(str::as_ptr) == two.door.map(str::as_ptr);
            door && std::ptr::eq(one.rates, two.rates) && std::ptr::eq(one.item, two.item)
        };
        like(&self.before, &other.before) && like(&self.now, &other.now)
    }

    pub(super) const fn is_free(&self) -> bool {
        self.before.rates.is_empty() && self.now.rates.is_empty()
    }
}

/// The calls under a rate of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct RatesPart {
    /// How many are replayed.
    most: usize,
    classes: Vec<Class>,
    /// In order, each with the number of its class.
    calls: Vec<(Spot, u32)>,
    later: Later,
}

impl RatesPart {
    /// The same with classes and calls in order, by the new numbers of the recordings.
    pub(super) fn renumbered(mut self, numbers: &[u32]) -> Self {
        for (spot, _) in &mut self.calls {
            *spot = spot.renumbered(numbers);
        }
        self.in_order()
    }

    fn in_order(mut self) -> Self {
        let mut order: Vec<u32> = (0..).take(self.classes.len()).collect();
        let class = |number: &u32| self.classes.get(*number as usize);
        order.sort_unstable_by(|a, b| class(a).cmp(&class(b)));
        let mut classes: Vec<Class> = Vec::with_capacity(order.len());
        let mut moved = vec![0_u32; order.len()];
        for number in order {
            let class = self.classes.get(number as usize);
            if classes.last() != class {
                classes.extend(class.cloned());
            }
            if let Some(moved) = moved.get_mut(number as usize) {
                *moved = u32::try_from(classes.len().saturating_sub(1)).unwrap_or(u32::MAX);
            }
        }
        for (_, number) in &mut self.calls {
            *number = moved.get(*number as usize).copied().unwrap_or(u32::MAX);
        }
        self.calls.sort_unstable();
        Self { classes, ..self }
    }

    pub(super) fn merge(&mut self, other: Self, (mine, theirs): (&[u32], &[u32])) {
        let most = self.most.min(other.most);
        let offset = u32::try_from(self.classes.len()).unwrap_or(u32::MAX);
        let mut all = Self { most, ..std::mem::take(self) }.renumbered_only(mine);
        let other = other.renumbered_only(theirs);
        let full = [&all, &other].into_iter().filter(|part| part.later.calls > 0);
        let last = full.filter_map(|part| part.calls.iter().map(|(spot, _)| *spot).max()).min();
        all.classes.extend(other.classes);
        all.calls.extend(other.calls.into_iter().map(|(spot, class)| (spot, class.saturating_add(offset))));
        all.later.add(other.later);
        let mut all = all.in_order();
        let keep = last.map_or(all.calls.len(), |last| all.calls.partition_point(|(spot, _)| *spot <= last));
        for (_, class) in all.calls.drain(keep.min(all.most)..) {
            all.later.add(all.classes.get(class as usize).map_or(Later::default(), Later::of_class));
        }
        *self = all;
    }

    fn renumbered_only(mut self, numbers: &[u32]) -> Self {
        for (spot, _) in &mut self.calls {
            *spot = spot.renumbered(numbers);
        }
        self
    }

    pub(super) fn finish(&self, sources: &[String]) -> Rates {
        replay(&self.classes, &self.calls, self.later, sources)
    }
}
