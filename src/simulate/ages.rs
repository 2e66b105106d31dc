//! What a shorter life of tokens would cost: allowed calls by the age of their token.
//!
//! A token is honoured while it is younger than its TTL, so a TTL of exactly its age denies.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::counts::Range;
use super::judged::Judged;
use crate::model::Fact;

/// The lifetimes, in seconds, for which the cost is told.
pub const TTLS: [u32; 13] = [30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 43_200, 86_400];

/// The cost of token lifetimes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Ages {
    /// The lifetimes, in seconds, in the order of every `older`.
    pub ttls: Vec<u32>,
    /// All allowed calls.
    pub total: AgeCurve,
    /// By door, in the order of their names.
    pub doors: Vec<DoorAges>,
    /// For each lifetime, the sessions with an allowed call that it would deny, of those followed.
    pub sessions: Vec<u64>,
    /// For each lifetime, how many tokens more would have to be got so that it denies none of these calls, where each
    /// session gets a new one when the one of a call is too old, and keeps it while it is young enough.
    #[serde(default)]
    pub renewals: Vec<Range>,
}

/// Calls by the age of their token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct AgeCurve {
    /// Calls that the candidate allows.
    pub calls: u64,
    /// For each lifetime, those of them that it would deny.
    pub older: Vec<u64>,
    /// Undecidable calls of which the age of the token is not known.
    pub unknown: u64,
}

/// The cost of token lifetimes at one door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct DoorAges {
    /// The door.
    pub door: String,
    /// Its calls.
    pub curve: AgeCurve,
}

/// Calls by how many of [`TTLS`] the age of their token reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Reached {
    by_reach: [u64; TTLS.len() + 1],
    unknown: u64,
}

impl Reached {
    /// Counts a call; how many of [`TTLS`] its token reaches, 0 unless it is allowed.
    fn count(&mut self, judged: &Judged<'_>) -> u8 {
        let (context, counts) = (judged.context, &judged.class.counts);
        match context.token.issued_at {
            Fact::Known(issued) if counts.allowed > 0 => {
                let age = context.now.since(issued);
                let reach = TTLS.partition_point(|ttl| age >= i64::from(*ttl));
                self.by_reach.get_mut(reach).into_iter().for_each(|count| *count += 1);
                u8::try_from(reach).unwrap_or(u8::MAX)
            }
            Fact::Unknown if counts.undecidable > 0 => {
                self.unknown += 1;
                0
            }
            _ => 0,
        }
    }

    fn add(&mut self, other: &Self) {
        self.by_reach.iter_mut().zip(other.by_reach).for_each(|(a, b)| *a += b);
        self.unknown += other.unknown;
    }

    fn curve(&self) -> AgeCurve {
        let mut left = self.by_reach.iter().sum::<u64>();
        let calls = left;
        let older = self.by_reach.iter().take(TTLS.len()).map(|younger| {
            left -= younger;
            left
        });
        AgeCurve { calls, older: older.collect(), unknown: self.unknown }
    }
}

/// Ages by door while events come.
#[derive(Debug, Default)]
pub(super) struct Aging {
    numbers: HashMap<String, u32, foldhash::fast::FixedState>,
    reached: Vec<Reached>,
}

impl Aging {
    /// The number of a door. The policy bounds them, as long as only doors are asked about at which
    /// something may be allowed: nothing is at a door that is not declared.
    pub(super) fn door(&mut self, name: &str) -> u32 {
        *self.numbers.entry_ref(name).or_insert_with(|| {
            self.reached.push(Reached::default());
            u32::try_from(self.reached.len() - 1).unwrap_or(u32::MAX)
        })
    }

    /// Counts a call at the door of that number; how many of [`TTLS`] its token reaches, 0 unless it is allowed.
    pub(super) fn add(&mut self, door: u32, judged: &Judged<'_>) -> u8 {
        self.reached.get_mut(door as usize).map_or(0, |reached| reached.count(judged))
    }

    pub(super) fn part(self) -> AgesPart {
        let Self { numbers, reached } = self;
        let of = |(name, number): (String, u32)| Some((name, reached.get(number as usize)?.clone()));
        let known = |(_, reached): &(String, Reached)| *reached != Reached::default();
        AgesPart(numbers.into_iter().filter_map(of).filter(known).collect())
    }
}

/// Ages by door.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub(super) struct AgesPart(BTreeMap<String, Reached>);

impl AgesPart {
    pub(super) fn merge(&mut self, other: Self) {
        for (door, reached) in other.0 {
            self.0.entry(door).or_default().add(&reached);
        }
    }

    /// With the sessions that each lifetime would cut, the new tokens of those that were followed, and how many calls are
    /// of none of them.
    pub(super) fn finish(self, sessions: Vec<u64>, (renewals, others): (Vec<Range>, u64)) -> Ages {
        let mut total = Reached::default();
        self.0.values().for_each(|reached| total.add(reached));
        let doors = self.0.iter().map(|(door, reached)| DoorAges { door: door.clone(), curve: reached.curve() });
        let curve = total.curve();
        let renewals = renewals.into_iter().zip(&curve.older).map(|(Range { at_least, at_most }, older)| {
            // No call needs more than one.
            let known = at_most.saturating_add(others).min(*older).max(at_least);
            Range { at_least, at_most: known.saturating_add(curve.unknown) }
        });
        let renewals = renewals.collect();
        Ages { ttls: TTLS.to_vec(), total: curve, doors: doors.collect(), sessions, renewals }
    }
}
