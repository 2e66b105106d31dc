//! The order of events: by time, then recording, then place. It is the same however a recording is
//! split, which is what makes "the first call that" a question with one answer.

use std::cmp::Ordering;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::report::Sample;
use crate::model::Timestamp;
use crate::traffic::Place;

/// Where an event stands among all. Compared as they are only after [`Sources::sorted`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(into = "(Timestamp, u32, u64, u32)", from = "(Timestamp, u32, u64, u32)")]
pub(super) struct Spot {
    pub(super) time: Timestamp,
    /// The number of the recording.
    source: u32,
    record: u64,
    /// 0 for a record that is one call.
    call: u32,
}

impl From<(Timestamp, u32, u64, u32)> for Spot {
    fn from((time, source, record, call): (Timestamp, u32, u64, u32)) -> Self {
        Self { time, source, record, call }
    }
}

impl From<Spot> for (Timestamp, u32, u64, u32) {
    fn from(spot: Spot) -> Self {
        (spot.time, spot.source, spot.record, spot.call)
    }
}

impl Spot {
    /// The same with the number that its recording has now.
    pub(super) fn renumbered(self, numbers: &[u32]) -> Self {
        Self { source: numbers.get(self.source as usize).copied().unwrap_or(u32::MAX), ..self }
    }

    /// The event as a witness.
    pub(super) fn sample(&self, sources: &[String], about: String, agent: String) -> Sample {
        let call = (self.call > 0).then_some(u64::from(self.call));
        Sample {
            source: sources.get(self.source as usize).cloned().unwrap_or_default(),
            place: Place { record: self.record, call },
            about,
            time: Some(self.time),
            agent: Some(agent),
            why: None,
        }
    }
}

/// The recordings by number, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Sources {
    names: Vec<String>,
    numbers: HashMap<String, u32, foldhash::fast::FixedState>,
    current: u32,
}

impl Sources {
    /// Names the recording of what comes from now on.
    pub(super) fn enter(&mut self, name: &str) {
        let next = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.current = *self.numbers.entry_ref(name).or_insert_with(|| {
            self.names.push(name.to_owned());
            next
        });
    }

    /// Where an event of the current recording stands.
    pub(super) fn spot(&mut self, time: Timestamp, place: Place) -> Spot {
        if self.names.is_empty() {
            self.enter("");
        }
        let call = place.call.map_or(0, |call| u32::try_from(call).unwrap_or(u32::MAX));
        Spot { time, source: self.current, record: place.record, call }
    }

    /// Which of two events comes first.
    pub(super) fn order(&self, a: &Spot, b: &Spot) -> Ordering {
        let name = |spot: &Spot| self.names.get(spot.source as usize);
        let sources = || if a.source == b.source { Ordering::Equal } else { name(a).cmp(&name(b)) };
        a.time.cmp(&b.time).then_with(sources).then_with(|| (a.record, a.call).cmp(&(b.record, b.call)))
    }

    /// The names in their order, and the new number for each old one.
    pub(super) fn sorted(self) -> (Vec<String>, Vec<u32>) {
        let mut sorted = self.names.clone();
        sorted.sort_unstable();
        let numbers = renumber(&self.names, &sorted);
        (sorted, numbers)
    }
}

/// The names of both in their order, with the new numbers for each.
pub(super) fn join(a: &[String], b: &[String]) -> (Vec<String>, Vec<u32>, Vec<u32>) {
    let mut all: Vec<String> = a.iter().chain(b).cloned().collect();
    all.sort_unstable();
    all.dedup();
    let (a, b) = (renumber(a, &all), renumber(b, &all));
    (all, a, b)
}

fn renumber(names: &[String], sorted: &[String]) -> Vec<u32> {
    let number = |name: &String| sorted.binary_search(name).ok().and_then(|n| u32::try_from(n).ok());
    names.iter().map(|name| number(name).unwrap_or(u32::MAX)).collect()
}
