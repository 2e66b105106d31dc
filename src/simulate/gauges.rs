//! Holds arguments against the rules on them, one gauge for each rule on each item.
//!
//! Numbers go into buckets that are exact for small whole numbers and else less than 1 % wide.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::answer::RuleName;
use super::arguments::{
    ArgumentLimit, ArgumentLimits, MAX_LIMITS, MAX_TEXT, MAX_TEXTS, MAX_TEXTS_LISTED, Passing, Spread, TextCount,
};
use super::few::{Few, Filling};
use crate::model::{Arguments, Rule};
use crate::policy::argument::{ArgPath, Found};
use crate::policy::matcher::{ArgRules, Match, Test};
use crate::policy::number::Number;

/// The gauges of one rehearsal.
#[derive(Debug, Default)]
pub(super) struct Gauges<'p> {
    boards: Vec<Board<'p>>,
    /// The boards by the places of the statement, of the item and of the rules in the policy.
    numbers: HashMap<[usize; 3], u32, foldhash::fast::FixedState>,
    /// How many places have counts of small numbers.
    small: usize,
}

/// The gauges of the rules that one statement lays on one item.
#[derive(Debug)]
struct Board<'p> {
    rule: Rule<'p>,
    item: &'p str,
    dials: Vec<Dial<'p>>,
}

/// The gauges of the tests on one place in the arguments.
#[derive(Debug)]
struct Dial<'p> {
    path: &'p ArgPath,
    gauges: Vec<Gauge<'p>>,
    /// How often each small number came: that is all an event costs, and the gauges read them in the end.
    small: Vec<u32>,
}

/// Whole numbers below this are small.
const SMALL: usize = 1024;
/// The most places with counts of small numbers.
const MOST_SMALL: usize = 4096;

/// The gauge of one test, while events come.
#[derive(Debug)]
struct Gauge<'p> {
    path: &'p ArgPath,
    depth: usize,
    test: &'p Test,
    /// Without buckets and without texts: those are gathered beside it.
    reading: Reading,
    buckets: HashMap<i64, u64, foldhash::fast::FixedState>,
    outside: Filling<u64, MAX_TEXTS>,
    /// Of a test on the elements of a list, the gauges of what it asks of them.
    inner: Vec<Self>,
}

/// What a gauge has read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Reading {
    seen: u64,
    passing: u64,
    missing: u64,
    unfit: u64,
    withheld: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    numbers: Option<Numbers>,
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    outside: Few<u64, MAX_TEXTS>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Numbers {
    limit: Number,
    /// Whether the limit is a lower one.
    lower: bool,
    below: u64,
    at: u64,
    over: u64,
    min: Number,
    max: Number,
    buckets: BTreeMap<i64, u64>,
}

impl<'p> Gauges<'p> {
    /// The number of the rules that a statement lays on an item.
    pub(super) fn board(&mut self, rule: Rule<'p>, item: &'p str, rules: &'p ArgRules) -> u32 {
        let key = [std::ptr::from_ref(rule.position).addr(), item.as_ptr().addr(), std::ptr::from_ref(rules).addr()];
        *self.numbers.entry(key).or_insert_with(|| {
            let dials = rules.iter().map(|(path, matcher)| Dial {
                path,
                gauges: Gauge::all(path, 0, &matcher.tests).collect(),
                small: Vec::new(),
            });
            self.boards.push(Board { rule, item, dials: dials.filter(|dial| !dial.gauges.is_empty()).collect() });
            u32::try_from(self.boards.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Holds arguments against the rules of that number.
    pub(super) fn add(&mut self, board: u32, arguments: &Arguments<'_>) {
        for dial in self.boards.get_mut(board as usize).into_iter().flat_map(|board| &mut board.dials) {
            let value = match dial.path.look(arguments) {
                _ if dial.path.is_withheld(arguments) => Err(Missing::Withheld),
                Found::Value(value) => Ok(value),
                Found::Nothing => Err(Missing::Nothing),
                Found::Blocked => Err(Missing::Blocked),
            };
            let small = value.ok().and_then(Value::as_u64).and_then(|number| usize::try_from(number).ok());
            if let Some(number) = small.filter(|number| *number < SMALL) {
                if dial.small.is_empty() && self.small < MOST_SMALL {
                    self.small += 1;
                    dial.small.resize(SMALL, 0);
                }
                if let Some(count) = dial.small.get_mut(number).filter(|count| **count < u32::MAX) {
                    *count += 1;
                    continue;
                }
            }
            dial.gauges.iter_mut().for_each(|gauge| gauge.add(value, 1));
        }
    }

    pub(super) fn part(self) -> GaugesPart {
        let mut list = Vec::new();
        for Board { rule, item, dials } in self.boards {
            let mut left: Vec<Gauge<'_>> = dials.into_iter().flat_map(Dial::read).collect();
            while let Some(mut gauge) = left.pop() {
                left.append(&mut gauge.inner);
                let path = format!("{}{}", gauge.path.as_str(), "[]".repeat(gauge.depth));
                let (test, reading) = (gauge.test.to_string(), gauge.reading());
                if reading != Reading::default() {
                    list.push(Gauged { rule: rule.into(), item: item.to_owned(), path, test, reading });
                }
            }
        }
        GaugesPart::of(list.into_iter(), 0, None)
    }
}

impl<'p> Dial<'p> {
    /// Its gauges, which have read everything now.
    fn read(self) -> Vec<Gauge<'p>> {
        let mut gauges = self.gauges;
        for (number, count) in self.small.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            let value = Value::from(number);
            for gauge in &mut gauges {
                gauge.add(Ok(&value), u64::from(count));
            }
        }
        gauges
    }
}

/// Why there is no value.
#[derive(Clone, Copy)]
enum Missing {
    Nothing,
    Blocked,
    Withheld,
}

impl<'p> Gauge<'p> {
    /// One for each test that has something to show.
    fn all(path: &'p ArgPath, depth: usize, tests: &'p [Test]) -> impl Iterator<Item = Self> {
        tests.iter().filter(|test| !matches!(test, Test::Present(_))).map(move |test| {
            let inner: Vec<Self> = match test {
                Test::Each(matcher) | Test::Any(matcher) => Self::all(path, depth + 1, &matcher.tests).collect(),
                _ => Vec::new(),
            };
            let (reading, buckets, outside) = (Reading::default(), HashMap::default(), Filling::default());
            Self { path, depth, test, reading, buckets, outside, inner }
        })
    }

    /// Reads a value that came so many times.
    fn add(&mut self, value: Result<&Value, Missing>, times: u64) {
        let reading = &mut self.reading;
        if matches!(self.test, Test::Each(_) | Test::Any(_)) {
            for value in value.ok().and_then(Value::as_array).into_iter().flatten() {
                self.inner.iter_mut().for_each(|gauge| gauge.add(Ok(value), times));
            }
            return;
        }
        let value = match value {
            Ok(value) => value,
            Err(Missing::Nothing) => return reading.missing += times,
            Err(Missing::Blocked) => return reading.unfit += times,
            Err(Missing::Withheld) => return reading.withheld += times,
        };
        let size = |size: usize| i64::try_from(size).ok().map(Number::from);
        let measured = match self.test {
            Test::Min(limit) => Some((*limit, true, Number::of(value))),
            Test::Max(limit) => Some((*limit, false, Number::of(value))),
            Test::MaxLen(limit) => {
                Some((i64::from(*limit).into(), false, value.as_str().and_then(|text| size(text.chars().count()))))
            }
            Test::MaxItems(limit) => {
                Some((i64::from(*limit).into(), false, value.as_array().and_then(|list| size(list.len()))))
            }
            _ => None,
        };
        let passes = match (self.test.on(value), self.test) {
            (Match::Yes, _) => true,
            (Match::No, _) => false,
            // A text in a form that cannot be judged is outside like any other.
            (Match::Unfit, Test::Under(_) | Test::Host(_)) if value.is_string() => false,
            _ => return reading.unfit += times,
        };
        reading.seen += times;
        reading.passing += if passes { times } else { 0 };
        match measured {
            Some((limit, lower, Some(number))) => {
                reading.numbers.get_or_insert_with(|| Numbers::of(limit, lower, number)).add(number, times);
                *self.buckets.entry(bucket(number, lower)).or_default() += times;
            }
            Some(_) => {}
            None if passes => {}
            None => {
                self.outside.add(&shown(value), times);
            }
        }
    }

    /// All that it has read.
    fn reading(self) -> Reading {
        let mut reading = Reading { outside: self.outside.finish(), ..self.reading };
        if let Some(numbers) = &mut reading.numbers {
            numbers.buckets = self.buckets.into_iter().collect();
        }
        reading
    }
}

impl Reading {
    fn join(&mut self, other: Self) {
        self.seen += other.seen;
        self.passing += other.passing;
        self.missing += other.missing;
        self.unfit += other.unfit;
        self.withheld += other.withheld;
        self.outside.join(other.outside);
        match (&mut self.numbers, other.numbers) {
            (Some(mine), Some(theirs)) => mine.join(theirs),
            (mine @ None, theirs) => *mine = theirs,
            (Some(_), None) => {}
        }
    }
}

/// A value as a short text.
fn shown(value: &Value) -> Cow<'_, str> {
    let text = value.as_str().map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed);
    // No text has more characters than bytes.
    if text.len() <= MAX_TEXT {
        return text;
    }
    match text.char_indices().nth(MAX_TEXT) {
        None => text,
        Some(_) => text.chars().take(MAX_TEXT).chain(['…']).collect::<String>().into(),
    }
}

impl Numbers {
    /// None yet, of which `number` will be one.
    const fn of(limit: Number, lower: bool, number: Number) -> Self {
        Self { limit, lower, below: 0, at: 0, over: 0, min: number, max: number, buckets: BTreeMap::new() }
    }

    fn add(&mut self, number: Number, times: u64) {
        *match number.cmp(&self.limit) {
            std::cmp::Ordering::Less => &mut self.below,
            std::cmp::Ordering::Equal => &mut self.at,
            std::cmp::Ordering::Greater => &mut self.over,
        } += times;
        self.min = self.min.min(number);
        self.max = self.max.max(number);
    }

    fn join(&mut self, other: Self) {
        self.below += other.below;
        self.at += other.at;
        self.over += other.over;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        for (bucket, count) in other.buckets {
            *self.buckets.entry(bucket).or_default() += count;
        }
    }

    /// The number that so many of the values, counted from the lowest, are at most.
    fn nth(&self, nth: u64) -> Number {
        let mut left = nth;
        let reached = self.buckets.iter().find(|(_, count)| {
            let here = left <= **count;
            left = left.saturating_sub(**count);
            here
        });
        let number = reached.and_then(|(bucket, _)| Number::from_f64(value_of(*bucket))).unwrap_or(self.max);
        number.clamp(self.min, self.max)
    }

    fn spread(&self) -> Spread {
        let count = self.buckets.values().sum::<u64>();
        let quantile = |per_mille: u64| self.nth(share(count, per_mille).max(1));
        let shares = [500, 750, 900, 950, 990, 999, 1000];
        let mut curve: Vec<Passing> = if self.lower {
            let from_top = |share: &u64| quantile(1000 - share);
            shares.iter().rev().map(from_top).map(|limit| self.passing(limit)).collect()
        } else {
            shares.into_iter().map(quantile).map(|limit| self.passing(limit)).collect()
        };
        curve.dedup();
        let Self { limit, below, at, over, min, max, .. } = *self;
        Spread { limit, below, at, over, min, p50: quantile(500), p90: quantile(900), p99: quantile(990), max, curve }
    }

    /// How many values would pass another limit.
    fn passing(&self, limit: Number) -> Passing {
        let at = bucket(limit, self.lower);
        let passing = if self.lower { self.buckets.range(at..) } else { self.buckets.range(..=at) };
        Passing { limit, passing: passing.map(|(_, count)| count).sum() }
    }
}

/// So many thousandths of a count, rounded up.
const fn share(count: u64, per_mille: u64) -> u64 {
    let (whole, rest) = (count / 1000, count % 1000);
    whole * per_mille + (rest * per_mille).div_ceil(1000)
}

/// Fewer bits of the fraction than these are kept, which makes a bucket less than 1 % wide.
const DROPPED: u32 = 52 - 7;

/// The bucket of a number: itself when it is a small whole number, or else the next number of seven
/// fraction bits, downwards for a lower limit and upwards for an upper one.
fn bucket(number: Number, down: bool) -> i64 {
    let value = number.to_f64();
    if value.abs() <= 1024.0 && value.fract() == 0.0 {
        return order(value);
    }
    let (least, most) = (1.0 / 1_073_741_824.0, 9_223_372_036_854_775_808.0);
    let magnitude = value.abs().clamp(least, most);
    let cut = f64::from_bits(magnitude.to_bits() & !((1 << DROPPED) - 1));
    let away = (value > 0.0) != down;
    let rounded = if away && cut < magnitude { f64::from_bits(cut.to_bits() + (1 << DROPPED)) } else { cut };
    order(if value < 0.0 { -rounded } else { rounded })
}

/// A float as an integer of the same order.
const fn order(value: f64) -> i64 {
    let bits = if value == 0.0 { 0 } else { value.to_bits().cast_signed() };
    bits ^ (((bits >> 63).cast_unsigned()) >> 1).cast_signed()
}

const fn value_of(bucket: i64) -> f64 {
    let bits = bucket ^ (((bucket >> 63).cast_unsigned()) >> 1).cast_signed();
    f64::from_bits(bits.cast_unsigned())
}

/// The gauges of a part, by what they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct GaugesPart {
    list: Vec<Gauged>,
    others: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Gauged {
    rule: RuleName,
    item: String,
    path: String,
    test: String,
    reading: Reading,
}

type Key = (RuleName, String, String, String);

impl Gauged {
    fn key(&self) -> Key {
        (self.rule.clone(), self.item.clone(), self.path.clone(), self.test.clone())
    }

    const fn events(&self) -> u64 {
        let Reading { seen, missing, unfit, withheld, .. } = &self.reading;
        *seen + *missing + *unfit + *withheld
    }
}

impl GaugesPart {
    fn of(list: impl Iterator<Item = Gauged>, mut others: u64, last: Option<&Key>) -> Self {
        let mut all: BTreeMap<Key, Gauged> = BTreeMap::new();
        for gauged in list {
            let key = gauged.key();
            if last.is_some_and(|last| key > *last) {
                others += gauged.events();
                continue;
            }
            match all.get_mut(&key) {
                Some(known) => known.reading.join(gauged.reading),
                None => drop(all.insert(key, gauged)),
            }
        }
        while all.len() > MAX_LIMITS {
            others += all.pop_last().map_or(0, |(_, gauged)| gauged.events());
        }
        Self { list: all.into_values().collect(), others }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let full = [&*self, &other].into_iter().filter(|part| part.others > 0);
        let last = full.filter_map(|part| part.list.last()).map(Gauged::key).min();
        let list = std::mem::take(&mut self.list).into_iter().chain(other.list);
        *self = Self::of(list, self.others + other.others, last.as_ref());
    }

    pub(super) fn finish(self) -> ArgumentLimits {
        let list = self.list.into_iter().map(|Gauged { rule, item, path, test, reading }| {
            let (outside, outside_others) = reading.outside.top(MAX_TEXTS_LISTED);
            ArgumentLimit {
                rule,
                item,
                path,
                test,
                seen: reading.seen,
                passing: reading.passing,
                missing: reading.missing,
                unfit: reading.unfit,
                withheld: reading.withheld,
                spread: reading.numbers.as_ref().map(Numbers::spread),
                outside: outside.into_iter().map(|(text, count)| TextCount { text, count }).collect(),
                outside_others,
            }
        });
        ArgumentLimits { list: list.collect(), others: self.others }
    }
}

#[cfg(test)]
mod tests;
