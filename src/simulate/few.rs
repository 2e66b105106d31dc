//! A small sorted map that keeps its lowest keys and adds up the rest.
//!
//! As in [`bounded`](super::bounded): what is kept of a whole is among what is kept of each part,
//! so no split and no order changes it.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

/// What a key of [`Few`] stands for.
pub(super) trait Tally: Default {
    /// How many events it stands for.
    fn events(&self) -> u64;
    /// Takes in the same of another part.
    fn join(&mut self, other: Self);
}

impl Tally for u64 {
    fn events(&self) -> u64 {
        *self
    }

    fn join(&mut self, other: Self) {
        *self = self.saturating_add(other);
    }
}

/// At most `LIMIT` keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct Few<V, const LIMIT: usize> {
    kept: BTreeMap<String, V>,
    /// The events of keys that were given up.
    others: u64,
}

impl<V: Tally, const LIMIT: usize> Few<V, LIMIT> {
    /// What a key stands for, to add one event to; `None`, and counted, when it is over the limit.
    pub(super) fn of(&mut self, key: &str) -> Option<&mut V> {
        if !self.kept.contains_key(key) {
            let highest = self.kept.last_key_value().map(|(highest, _)| highest.as_str());
            if self.kept.len() >= LIMIT && highest.is_some_and(|highest| key > highest) {
                self.others = self.others.saturating_add(1);
                return None;
            }
            if self.kept.len() >= LIMIT {
                self.give_up();
            }
            self.kept.insert(key.to_owned(), V::default());
        }
        self.kept.get_mut(key)
    }

    fn give_up(&mut self) {
        let given_up = self.kept.pop_last().map_or(0, |(_, value)| value.events());
        self.others = self.others.saturating_add(given_up);
    }

    pub(super) fn join(&mut self, other: Self) {
        let full =
            [(&self.kept, self.others), (&other.kept, other.others)].into_iter().filter(|(_, others)| *others > 0);
        let bound = full.filter_map(|(kept, _)| kept.last_key_value()).map(|(key, _)| key.clone()).min();
        self.others = self.others.saturating_add(other.others);
        for (key, value) in other.kept {
            self.kept.entry(key).or_default().join(value);
        }
        let over = |key: &String| bound.as_ref().is_some_and(|bound| key > bound);
        while self.kept.len() > LIMIT || self.kept.last_key_value().is_some_and(|(key, _)| over(key)) {
            self.give_up();
        }
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.kept.values_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty() && self.others == 0
    }

    /// Every key, and the events of those given up.
    pub(super) fn into_parts(self) -> (BTreeMap<String, V>, u64) {
        (self.kept, self.others)
    }
}

/// One to which events are added fast: it sorts only when it holds a quarter more than `LIMIT`.
#[derive(Debug, Default)]
pub(super) struct Filling<V, const LIMIT: usize> {
    kept: HashMap<String, V, foldhash::fast::FixedState>,
    /// The highest key that is still kept, once one has been given up.
    highest: Option<String>,
    others: u64,
}

impl<V: Tally, const LIMIT: usize> Filling<V, LIMIT> {
    /// As [`Few::of`].
    pub(super) fn of(&mut self, key: &str) -> Option<&mut V> {
        let over = |highest: &Option<String>| highest.as_ref().is_some_and(|highest| key > highest.as_str());
        if !over(&self.highest) && self.kept.len() >= LIMIT + LIMIT / 4 && !self.kept.contains_key(key) {
            self.trim();
        }
        if over(&self.highest) {
            self.others = self.others.saturating_add(1);
            return None;
        }
        Some(self.kept.entry_ref(key).or_default())
    }

    /// Adds what stands for a key by itself, in that way.
    pub(super) fn gather(&mut self, key: &str, value: V, join: impl FnOnce(&mut V, V)) {
        let events = value.events();
        match self.of(key) {
            Some(all) => join(all, value),
            // One of them is among the others already.
            None => self.others = self.others.saturating_add(events.saturating_sub(1)),
        }
    }

    fn trim(&mut self) {
        if self.kept.len() <= LIMIT {
            return;
        }
        let mut keys: Vec<String> = self.kept.keys().cloned().collect();
        keys.sort_unstable();
        let given_up = keys.split_off(LIMIT);
        self.highest = keys.pop();
        for key in given_up {
            let events = self.kept.remove(&key).map_or(0, |value| value.events());
            self.others = self.others.saturating_add(events);
        }
    }

    /// What came of it.
    pub(super) fn finish(mut self) -> Few<V, LIMIT> {
        self.trim();
        Few { kept: self.kept.into_iter().collect(), others: self.others }
    }
}

impl<const LIMIT: usize> Filling<u64, LIMIT> {
    /// Adds so many events of a key.
    pub(super) fn add(&mut self, key: &str, events: u64) {
        match self.of(key) {
            Some(count) => *count += events,
            // One of them is among the others already.
            None => self.others = self.others.saturating_add(events.saturating_sub(1)),
        }
    }
}

impl<const LIMIT: usize> Few<u64, LIMIT> {
    /// The keys that came most often, and the events of all others.
    pub(super) fn top(self, most: usize) -> (Vec<(String, u64)>, u64) {
        let (kept, mut others) = self.into_parts();
        let mut list: Vec<(String, u64)> = kept.into_iter().collect();
        // Stable: those that came equally often stay in the order of their names.
        list.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (_, count) in list.iter().skip(most) {
            others = others.saturating_add(*count);
        }
        list.truncate(most);
        (list, others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_keys_are_kept_whatever_the_order_and_the_split() {
        let whole = |keys: &[&str]| {
            let mut few = Few::<u64, 2>::default();
            for key in keys {
                if let Some(count) = few.of(key) {
                    *count += 1;
                }
            }
            few
        };
        let all = ["c", "a", "b", "a", "d", "c", "b", "b"];
        let expected = whole(&all);
        assert_eq!(expected.clone().into_parts(), ([("a".to_owned(), 2), ("b".to_owned(), 3)].into(), 3));
        for cut in 0..=all.len() {
            let (mut one, other) = (whole(&all[cut..]), whole(&all[..cut]));
            one.join(other);
            assert_eq!(one, expected, "cut at {cut}");
        }
    }

    #[test]
    fn one_that_is_filled_keeps_the_same() {
        let keys: Vec<String> = (0..400_u32).map(|n| format!("{:03}", n.wrapping_mul(2_654_435_761) % 97)).collect();
        let (mut few, mut filling) = (Few::<u64, 20>::default(), Filling::<u64, 20>::default());
        for key in keys.iter().rev().chain(&keys) {
            few.of(key).into_iter().chain(filling.of(key)).for_each(|count| *count += 1);
        }
        assert_eq!(filling.finish(), few);
        assert!(few.into_parts().1 > 0);
    }
}
