//! Calls that are allowed and unusual: somebody should look at them, and nothing more is said.
//!
//! Three rules, each of which needs a subject that calls enough to have habits. What is unusual is not wrong, and what
//! always was is not found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::habits::{Habit, HabitsPart};
use super::order::Spot;
use super::report::{Sample, Window};

/// The most rows of each rule.
pub const MAX_UNUSUAL: usize = 100;
/// At most so many calls are rare.
pub const RARE: u64 = 3;
/// The allowed calls from which on a subject has habits.
const ENOUGH: u64 = 30;
/// How many others must call a tool often for it to be common.
const OTHERS: usize = 3;
const DAY: i64 = 86_400;

/// What each rule asks for, in one sentence.
pub const RULES: [(Because, &str); 3] = [
    (
        Because::Rare,
        "rare: at most 3 allowed calls, by a subject with at least 30, of what at least 3 others call more often",
    ),
    (
        Because::Late,
        "late: what others call already was first called in the last tenth of a recording of a day or more, by a subject \
         with at least 30 allowed calls that began in its first half",
    ),
    (
        Because::Hour,
        "hour: at most 3 allowed calls in an hour of the day (UTC) and in each hour beside it, by a subject with at least \
         30 over three days or more",
    ),
];

/// Allowed calls that are unusual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Unusual {
    /// Subjects with an allowed call that were followed. One who is not known is none.
    pub followed: u64,
    /// Allowed calls of subjects that were not.
    pub not_followed: u64,
    /// How many pairs of a subject and an item are rare.
    pub rare: u64,
    /// How many came late.
    pub late: u64,
    /// How many pairs of a subject and an hour of the day are unusual.
    pub hours: u64,
    /// By rule, the fewest calls first, then by subject and item; at most [`MAX_UNUSUAL`] of each.
    pub list: Vec<UnusualCalls>,
}

/// Calls that are unusual for one reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct UnusualCalls {
    /// Which.
    pub because: Because,
    /// How many calls.
    pub calls: u64,
    /// Who called, as `issuer/sub`.
    pub subject: String,
    /// What was called, as `door:item`; of an hour, by the first of them.
    pub item: String,
    /// The hour of the day, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hour: Option<u8>,
    /// The first of them; of an hour, all.
    pub samples: Vec<Sample>,
}

/// The rule by which calls are unusual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// The subject hardly calls this, and others often do.
    Rare,
    /// The subject began to call this late.
    Late,
    /// The subject hardly calls anything at this hour of the day.
    Hour,
}

impl Because {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rare => "rare",
            Self::Late => "late",
            Self::Hour => "hour",
        }
    }
}

/// What is known of one item, of all subjects.
#[derive(Default)]
struct Common {
    /// The subjects that call it often.
    often: usize,
    /// The first two subjects to call it.
    first: [Option<(Spot, usize)>; 2],
}

impl HabitsPart {
    /// What of it is unusual in a recording of that time.
    pub(super) fn finish(self, sources: &[String], recorded: Option<Window>) -> Unusual {
        let (subjects, not_followed) = self.subjects();
        let mut items: BTreeMap<&str, Common> = BTreeMap::new();
        for (number, habit) in subjects.values().enumerate() {
            for (item, tuple) in &habit.items {
                let common = items.entry(item).or_default();
                common.often += usize::from(tuple.calls > RARE);
                let [first, second] = &mut common.first;
                let mut here = tuple.first.map(|spot| (spot, number));
                for kept in [first, second] {
                    if here.is_some() && (kept.is_none() || here < *kept) {
                        std::mem::swap(kept, &mut here);
                    }
                }
            }
        }
        let mut list = Vec::new();
        for (number, (subject, habit)) in subjects.iter().enumerate() {
            if habit.calls() < ENOUGH {
                continue;
            }
            let sample = |spot: &Spot| Sample { agent: None, ..spot.sample(sources, subject.clone(), String::new()) };
            for (item, tuple) in &habit.items {
                let Some((first, common)) = tuple.first.zip(items.get(item.as_str())) else { continue };
                let row = |because| UnusualCalls {
                    because,
                    calls: tuple.calls,
                    subject: subject.clone(),
                    item: item.clone(),
                    hour: None,
                    samples: vec![sample(&first)],
                };
                if tuple.calls <= RARE && common.often >= OTHERS {
                    list.push(row(Because::Rare));
                }
                let others = common.first.into_iter().flatten().find(|(_, of)| *of != number);
                let known = others.is_some_and(|(spot, _)| spot < first);
                if known && recorded.zip(habit.window()).is_some_and(|(all, own)| is_late(all, own, first)) {
                    list.push(row(Because::Late));
                }
            }
            list.extend(hours(habit).map(|(hour, calls, early)| UnusualCalls {
                because: Because::Hour,
                calls,
                subject: subject.clone(),
                item: early.first().map(|early| early.item.clone()).unwrap_or_default(),
                hour: Some(hour),
                samples: early.iter().map(|early| sample(&early.spot)).collect(),
            }));
        }
        list.sort_unstable();
        let count = |because| list.iter().filter(|row| row.because == because).count() as u64;
        let (rare, late, hours) = (count(Because::Rare), count(Because::Late), count(Because::Hour));
        let mut left = BTreeMap::new();
        list.retain(|row| {
            let left = left.entry(row.because).or_insert(MAX_UNUSUAL);
            let fits = *left > 0;
            *left = left.saturating_sub(1);
            fits
        });
        Unusual { followed: subjects.len() as u64, not_followed, rare, late, hours, list }
    }
}

/// Whether a call is in the last tenth of a recording that is long enough, by one who began in its first half.
fn is_late(recorded: Window, own: Window, first: Spot) -> bool {
    let long = recorded.last.since(recorded.first);
    let late = recorded.last.plus(-(long / 10));
    long >= DAY && first.time >= late && own.first <= recorded.first.plus(long / 2)
}

/// The hours of the day in which a subject hardly calls, with how often it does.
fn hours(habit: &Habit) -> impl Iterator<Item = (u8, u64, &[super::habits::Early<String>])> {
    let days = habit.window().is_some_and(|own| own.last.since(own.first) >= 3 * DAY);
    let hours = &habit.day.hours;
    let few = |hour: u8| hours.get(&hour).is_none_or(|there| there.calls <= RARE);
    hours
        .iter()
        .filter(move |(hour, _)| days && [23, 0, 1].into_iter().all(|by| few((**hour + by) % 24)))
        .map(|(hour, there)| (*hour, there.calls, &*there.early))
}
