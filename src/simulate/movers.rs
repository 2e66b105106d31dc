//! Losers and winners: for whom, and where, calls are lost or gained, with witnesses.

use serde::{Deserialize, Serialize};

use super::bounded::{MAX_KEYS, MAX_SAMPLES, keep_sample};
use super::few::{Few, Tally};
use super::judged::Judged;
use super::report::Sample;

/// The most names of one list.
pub const MAX_MOVERS: usize = 100;
/// The most items that one name shows.
pub const MAX_MOVER_ITEMS: usize = 20;

/// Who loses and who gains, in four ways of grouping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Movers {
    /// By subject, as `issuer/sub`.
    pub subjects: Moved,
    /// By agent.
    pub agents: Moved,
    /// By door.
    pub doors: Moved,
    /// By tool, prompt or resource.
    pub items: Moved,
}

/// Both directions of one way of grouping.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Moved {
    /// Newly denied, the most first, at most [`MAX_MOVERS`].
    pub losers: Vec<Mover>,
    /// Newly allowed, the most first, at most [`MAX_MOVERS`].
    pub winners: Vec<Mover>,
    /// Calls of further names.
    pub others: u64,
}

/// One name that loses or gains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Mover {
    /// The name.
    pub name: String,
    /// How many calls are newly denied, or newly allowed.
    pub calls: u64,
    /// The items concerned, the most calls first, at most [`MAX_MOVER_ITEMS`].
    pub items: Vec<ItemCalls>,
    /// Calls of further items.
    pub other_items: u64,
    /// The first of the calls.
    pub samples: Vec<Sample>,
}

/// Calls of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ItemCalls {
    /// The item, as `door:item`.
    pub item: String,
    /// How many calls.
    pub calls: u64,
}

/// The most items of one name that are counted apart.
const MAX_ITEMS: usize = 100;

/// The calls of one name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Gathered {
    calls: u64,
    items: Few<u64, MAX_ITEMS>,
    samples: Vec<Sample>,
}

impl Tally for Gathered {
    fn events(&self) -> u64 {
        self.calls
    }

    fn join(&mut self, other: Self) {
        self.calls += other.calls;
        self.items.join(other.items);
        self.samples.extend(other.samples);
        self.samples.sort();
        self.samples.truncate(MAX_SAMPLES);
    }
}

type Names = Few<Gathered, MAX_KEYS>;

/// Losers and winners of a part: by subject, agent, door and item.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct MoversPart {
    losers: [Names; 4],
    winners: [Names; 4],
}

impl MoversPart {
    /// Adds an event. Those that come out as before cost nothing.
    pub(super) fn add(&mut self, judged: &Judged<'_>) {
        let names = if judged.is_lost() {
            &mut self.losers
        } else if judged.class.counts.newly_allowed > 0 {
            &mut self.winners
        } else {
            return;
        };
        let about = &judged.witness;
        let class = judged.class;
        let by = [&*about.who.subject, &about.who.agent, &class.door, &class.item];
        for (names, name) in names.iter_mut().zip(by) {
            let Some(calls) = names.of(name) else { continue };
            calls.calls += 1;
            if let Some(count) = calls.items.of(&class.item) {
                *count += 1;
            }
            let here = (about.source, about.place);
            keep_sample(&mut calls.samples, |kept| here < (kept.source.as_str(), kept.place), || about.sample());
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        let pairs = self.losers.iter_mut().zip(other.losers).chain(self.winners.iter_mut().zip(other.winners));
        pairs.for_each(|(mine, theirs)| mine.join(theirs));
    }

    pub(super) fn finish(self) -> Movers {
        let [subjects, agents, doors, items] = {
            let mut winners = self.winners.into_iter();
            self.losers.map(|losers| moved(losers, winners.next().unwrap_or_default()))
        };
        Movers { subjects, agents, doors, items }
    }
}

fn moved(losers: Names, winners: Names) -> Moved {
    let ((losers, lost), (winners, won)) = (listed(losers), listed(winners));
    Moved { losers, winners, others: lost + won }
}

fn listed(names: Names) -> (Vec<Mover>, u64) {
    let (kept, mut others) = names.into_parts();
    let mut list: Vec<Mover> = kept
        .into_iter()
        .map(|(name, Gathered { calls, items, samples })| {
            let (items, other_items) = items.top(MAX_MOVER_ITEMS);
            let items = items.into_iter().map(|(item, calls)| ItemCalls { item, calls }).collect();
            Mover { name, calls, items, other_items, samples }
        })
        .collect();
    // Stable: equals stay in the order of their names.
    list.sort_by_key(|mover| std::cmp::Reverse(mover.calls));
    others += list.iter().skip(MAX_MOVERS).map(|mover| mover.calls).sum::<u64>();
    list.truncate(MAX_MOVERS);
    (list, others)
}
