//! Values that belong to principals: bounded in number, in bytes and in time, in all and for each.
//!
//! What is full or cannot be locked answers as if nothing were known, which refuses. A value is
//! weighed when it comes; whoever makes something that can be large must weigh all of it.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Mutex;

use super::limits::Limits;
use super::principal::Principal;
use crate::model::Timestamp;

/// What an entry takes beside its texts, in bytes: itself, its places in the maps and their reserve.
const ENTRY: usize = 512;

/// How much of the heap something holds, in bytes, beside its own size.
pub(super) trait Weigh {
    fn weight(&self) -> usize;
}

impl Weigh for () {
    fn weight(&self) -> usize {
        0
    }
}

/// Something cannot be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotHeld {
    /// Too much is remembered already, or it is too large by itself.
    Full,
    /// It is another principal's.
    Taken,
}

/// Values that belong to principals.
#[derive(Debug)]
pub(super) struct Held<K, V> {
    all: Mutex<All<K, V>>,
    most: usize,
    most_each: usize,
    bytes: usize,
    bytes_each: usize,
    life: i64,
}

#[derive(Debug)]
struct All<K, V> {
    values: HashMap<K, One<V>>,
    owners: HashMap<Principal, Own<K>>,
    next: u64,
    bytes: usize,
}

/// What is one principal's: its keys in the order in which they came.
#[derive(Debug)]
struct Own<K> {
    keys: BTreeMap<u64, K>,
    bytes: usize,
}

#[derive(Debug)]
struct One<V> {
    owner: Principal,
    number: u64,
    bytes: usize,
    until: Timestamp,
    value: V,
}

impl<K: Clone + Eq + Hash + Weigh, V: Clone + Weigh> Held<K, V> {
    pub(super) fn new(limits: &Limits) -> Self {
        let all = All { values: HashMap::new(), owners: HashMap::new(), next: 0, bytes: 0 };
        Self {
            all: Mutex::new(all),
            most: limits.remembered,
            most_each: limits.remembered_each.max(1),
            bytes: limits.remembered_bytes,
            bytes_each: limits.remembered_bytes_each,
            life: i64::from(limits.remembered_for),
        }
    }

    /// Remembers something as the principal's. Of too much of one principal the oldest goes. Gives the
    /// number by which [`Self::forget`] knows it from another under the same key.
    pub(super) fn put(&self, key: K, owner: &Principal, value: V, now: Timestamp) -> Result<u64, NotHeld> {
        let bytes = ENTRY + 2 * key.weight() + value.weight() + owner.weight();
        let mut all = self.all.lock().map_err(|_| NotHeld::Full)?;
        if let Some(one) = all.values.get(&key) {
            if one.owner != *owner && now < one.until {
                return Err(NotHeld::Taken);
            }
            all.forget(&key);
        }
        if bytes > self.bytes_each {
            return Err(NotHeld::Full);
        }
        while let Some(own) = all.owners.get(owner) {
            if own.keys.len() < self.most_each && own.bytes + bytes <= self.bytes_each {
                break;
            }
            let Some(oldest) = own.keys.values().next().cloned() else { break };
            all.forget(&oldest);
        }
        let is_full = |all: &All<K, V>| all.values.len() >= self.most || all.bytes + bytes > self.bytes;
        if is_full(&all) {
            let over = all.values.iter().filter(|(_, one)| one.until <= now);
            let gone: Vec<K> = over.map(|(key, _)| key.clone()).collect();
            for key in &gone {
                all.forget(key);
            }
            if is_full(&all) {
                return Err(NotHeld::Full);
            }
        }
        let number = all.next;
        all.next += 1;
        all.bytes += bytes;
        let own = all.owners.entry(owner.clone()).or_insert_with(|| Own { keys: BTreeMap::new(), bytes: 0 });
        own.keys.insert(number, key.clone());
        own.bytes += bytes;
        let until = now.plus(self.life);
        all.values.insert(key, One { owner: owner.clone(), number, bytes, until, value });
        Ok(number)
    }

    /// What is remembered, if it is this principal's.
    pub(super) fn get(&self, key: &K, owner: &Principal, now: Timestamp) -> Option<V> {
        let all = self.all.lock().ok()?;
        all.values.get(key).filter(|one| one.owner == *owner && now < one.until).map(|one| one.value.clone())
    }

    /// The same, and it lasts anew.
    pub(super) fn touch(&self, key: &K, owner: &Principal, now: Timestamp) -> Option<V> {
        let mut all = self.all.lock().ok()?;
        let one = all.values.get_mut(key).filter(|one| one.owner == *owner && now < one.until)?;
        one.until = now.plus(self.life);
        Some(one.value.clone())
    }

    /// Takes something of this principal's out.
    pub(super) fn take(&self, key: &K, owner: &Principal, now: Timestamp) -> Option<V> {
        let mut all = self.all.lock().ok()?;
        let value = all.values.get(key).filter(|one| one.owner == *owner && now < one.until)?.value.clone();
        all.forget(key);
        Some(value)
    }

    /// Forgets what was put under this very number, and nothing that came in its place.
    pub(super) fn forget(&self, key: &K, number: u64) {
        let Ok(mut all) = self.all.lock() else { return };
        if all.values.get(key).is_some_and(|one| one.number == number) {
            all.forget(key);
        }
    }

    /// How much is remembered: entries and bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        self.all.lock().map_or((0, 0), |all| (all.values.len(), all.bytes))
    }
}

impl<K: Clone + Eq + Hash, V> All<K, V> {
    fn forget(&mut self, key: &K) {
        let Some(one) = self.values.remove(key) else { return };
        self.bytes = self.bytes.saturating_sub(one.bytes);
        if let Some(own) = self.owners.get_mut(&one.owner) {
            own.keys.remove(&one.number);
            own.bytes = own.bytes.saturating_sub(one.bytes);
            if own.keys.is_empty() {
                self.owners.remove(&one.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Weigh for &str {
        fn weight(&self) -> usize {
            self.len()
        }
    }

    impl Weigh for u32 {
        fn weight(&self) -> usize {
            *self as usize
        }
    }

    fn held(most: usize, each: usize) -> Held<&'static str, u32> {
        Held::new(&Limits { remembered: most, remembered_each: each, remembered_for: 10, ..Limits::default() })
    }

    #[test]
    fn what_is_one_principals_is_nothing_to_another() {
        let (ana, ben) = (Principal::new("corp", "ana", None), Principal::new("corp", "ben", None));
        let held = held(10, 10);
        held.put("s", &ana, 1, Timestamp(0)).unwrap();
        assert_eq!(held.get(&"s", &ben, Timestamp(0)), None);
        assert_eq!(held.put("s", &ben, 2, Timestamp(0)), Err(NotHeld::Taken));
        assert_eq!(held.take(&"s", &ben, Timestamp(0)), None);
        assert_eq!(held.touch(&"s", &ana, Timestamp(9)), Some(1));
        assert_eq!(held.get(&"s", &ana, Timestamp(18)), Some(1));
        assert_eq!(held.get(&"s", &ana, Timestamp(19)), None);
        assert!(held.put("s", &ben, 2, Timestamp(19)).is_ok());
    }

    #[test]
    fn memory_is_bounded_and_no_principal_pushes_out_another() {
        let (ana, ben) = (Principal::new("corp", "ana", None), Principal::new("corp", "ben", None));
        let held = held(3, 2);
        held.put("b", &ben, 0, Timestamp(0)).unwrap();
        for key in ["1", "2", "3", "4"] {
            held.put(key, &ana, 0, Timestamp(1)).unwrap();
        }
        assert_eq!(
            (held.size().0, held.get(&"b", &ben, Timestamp(1)), held.get(&"1", &ana, Timestamp(1))),
            (3, Some(0), None)
        );
        let cid = Principal::new("corp", "cid", None);
        assert_eq!(held.put("c", &cid, 0, Timestamp(1)), Err(NotHeld::Full));
        assert!(held.put("c", &cid, 0, Timestamp(10)).is_ok());
    }

    #[test]
    fn bytes_are_bounded_for_each_and_in_all_and_nothing_is_counted_twice() {
        let who = |name| Principal::new("corp", name, None);
        let (ana, ben) = (who("ana"), who("ben"));
        let limits = Limits { remembered_bytes: 8000, remembered_bytes_each: 5000, ..Limits::default() };
        let held: Held<&'static str, u32> = Held::new(&limits);
        let now = Timestamp(0);
        let (one, two) = (held.put("1", &ana, 1500, now).unwrap(), held.put("2", &ana, 1500, now).unwrap());
        held.put("3", &ana, 1500, now).unwrap();
        assert_eq!((held.get(&"1", &ana, now), held.size().0), (None, 2), "the oldest goes");
        assert_eq!(held.put("4", &ana, 5000, now), Err(NotHeld::Full), "too large by itself");
        assert_eq!(held.put("5", &ben, 4000, now), Err(NotHeld::Full), "too much in all");
        assert_eq!(held.put("5", &ben, 1500, now), Ok(3));
        // A newer value under the same key is not forgotten with the older one.
        held.put("2", &ana, 0, now).unwrap();
        held.forget(&"2", two);
        held.forget(&"1", one);
        assert_eq!(held.size().0, 3);
        for (key, owner) in [("2", &ana), ("3", &ana), ("5", &ben)] {
            held.take(&key, owner, now).unwrap();
        }
        assert_eq!(held.size(), (0, 0));
    }
}
