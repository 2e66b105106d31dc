//! Maps and samples that stay small whatever goes into them, and whose content does not depend on
//! the order or the split in which it went in.
//!
//! A full map keeps its lowest keys and adds the rest up. The lowest keys of a whole are among the
//! lowest of each part, so what is kept is exact, and so is the sum of what is not.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::counts::Counts;
use super::report::{Group, Groups, Sample};

/// The most keys that are counted apart in one group.
pub const MAX_KEYS: usize = 10_000;
/// The most sample events of one change.
pub const MAX_SAMPLES: usize = 5;
/// The most changes, the first in their order, whose samples say why.
pub const MAX_EXPLAINED: usize = 200;

/// Counts by key.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallies {
    kept: HashMap<String, Counts, foldhash::fast::FixedState>,
    /// The highest key that is still counted apart, once a key has been given up.
    highest: Option<String>,
    others: Counts,
}

impl Tallies {
    /// The counts of a key.
    pub(super) fn of(&mut self, key: &str) -> &mut Counts {
        if self.highest.as_ref().is_some_and(|highest| key > highest.as_str()) {
            return &mut self.others;
        }
        if !self.kept.contains_key(key) && self.kept.len() >= 2 * MAX_KEYS {
            self.trim();
            if self.highest.as_ref().is_some_and(|highest| key > highest.as_str()) {
                return &mut self.others;
            }
        }
        self.kept.entry_ref(key).or_default()
    }

    fn trim(&mut self) {
        if self.kept.len() <= MAX_KEYS {
            return;
        }
        let mut keys: Vec<String> = self.kept.keys().cloned().collect();
        keys.sort_unstable();
        let given_up = keys.split_off(MAX_KEYS);
        self.highest = keys.pop();
        for key in given_up {
            if let Some(counts) = self.kept.remove(&key) {
                self.others.add(&counts);
            }
        }
    }

    pub(super) fn finish(mut self) -> Groups {
        self.trim();
        let mut list: Vec<Group> =
            self.kept.into_iter().map(|(name, counts)| Group { name, counts, seen: None }).collect();
        list.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Groups { list, others: self.others }
    }
}

impl Groups {
    /// Hours as days, each by its date.
    #[must_use]
    pub fn days(&self) -> Self {
        let mut days: BTreeMap<&str, Counts> = BTreeMap::new();
        for hour in &self.list {
            let day = hour.name.split_once('T').map_or(hour.name.as_str(), |(day, _)| day);
            days.entry(day).or_default().add(&hour.counts);
        }
        let list = days.into_iter().map(|(day, counts)| Group { name: day.to_owned(), counts, seen: None });
        Self { list: list.collect(), others: self.others }
    }

    /// Adds the groups of another part.
    pub(super) fn merge(&mut self, other: Self) {
        let mut all = Tallies { others: self.others, ..Tallies::default() };
        all.others.add(&other.others);
        let highest = [&*self, &other].into_iter().filter(|g| g.others.events > 0).filter_map(|g| g.list.last());
        all.highest = highest.map(|g| g.name.clone()).min();
        for group in std::mem::take(&mut self.list).into_iter().chain(other.list) {
            all.of(&group.name).add(&group.counts);
        }
        *self = all.finish();
    }
}

/// Keeps the first samples in the order of their places.
pub(super) fn keep_sample(
    samples: &mut Vec<Sample>,
    is_before: impl Fn(&Sample) -> bool,
    make: impl FnOnce() -> Sample,
) {
    let at = samples.partition_point(|kept| !is_before(kept));
    if at < MAX_SAMPLES {
        samples.insert(at, make());
        samples.truncate(MAX_SAMPLES);
    }
}

/// Gives up the highest keys of a map over the limit; what they held.
pub(super) fn trim_map<K: Ord + Clone, V>(
    map: &mut BTreeMap<K, V>,
    limit: usize,
) -> impl Iterator<Item = V> + use<K, V> {
    let from = map.keys().nth(limit).cloned();
    from.map(|key| map.split_off(&key)).into_iter().flat_map(BTreeMap::into_values)
}
