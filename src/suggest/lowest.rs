//! A map that keeps its lowest keys when it is full.
//!
//! A key among the lowest of the whole is among the lowest of every part, so what is kept was never
//! given up in between: its value is complete, and the content does not depend on the order.

use std::collections::BTreeMap;

/// The lowest keys with their values.
#[derive(Clone, Debug)]
pub(super) struct Lowest<K, V> {
    map: BTreeMap<K, V>,
    limit: usize,
    /// Whether a key was ever turned away or given up.
    full: bool,
}

impl<K: Ord + Clone, V: Default> Lowest<K, V> {
    pub(super) const fn new(limit: usize) -> Self {
        Self { map: BTreeMap::new(), limit, full: false }
    }

    /// The value of a key; `None` when the map is full of lower ones.
    pub(super) fn of(&mut self, key: &K) -> Option<&mut V> {
        if !self.map.contains_key(key) {
            if self.map.len() >= self.limit {
                self.full = true;
                if self.map.last_key_value().is_none_or(|(last, _)| last < key) {
                    return None;
                }
                self.map.pop_last();
            }
            self.map.insert(key.clone(), V::default());
        }
        self.map.get_mut(key)
    }

    /// Whether something was turned away or given up: what is not here may have been.
    pub(super) const fn is_full(&self) -> bool {
        self.full
    }

    pub(super) const fn map(&self) -> &BTreeMap<K, V> {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_keys_stay_whole_whatever_the_order() {
        let fed = |keys: &[u32]| {
            let mut lowest: Lowest<u32, u64> = Lowest::new(2);
            for key in keys {
                if let Some(count) = lowest.of(key) {
                    *count += 1;
                }
            }
            (lowest.map().clone(), lowest.is_full())
        };
        let expected = (BTreeMap::from([(1, 2), (3, 1)]), true);
        assert_eq!(fed(&[5, 1, 3, 1, 4]), expected);
        assert_eq!(fed(&[1, 3, 5, 4, 1]), expected);
        assert!(!fed(&[5, 1, 5]).1);
    }
}
