//! What is remembered of callers: whose a session, a task or a request under way is.
//!
//! All of it is bounded, in all and for each principal, and lasts only so long. What is full or
//! cannot be locked answers as if nothing were known, which refuses.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};

use super::asked::Asked;
use super::limits::Limits;
use super::principal::Principal;
use crate::mcp::Id;
use crate::model::Timestamp;

/// A session, by its door and the id that the server gave it.
pub(super) type SessionKey = (Arc<str>, String);
/// A task, by its door and id.
pub(super) type TaskKey = (Arc<str>, String);

/// A request under way: whose it is, at which door, in which session, and its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequestKey {
    pub(super) door: Arc<str>,
    pub(super) principal: Principal,
    pub(super) session: Option<String>,
    pub(super) id: Id,
}

/// The tool call that a task came from, so that each look at it is decided like the call.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) tool: String,
    /// `None` when they were too long to keep; then nothing that asks about them passes.
    pub(super) arguments: Option<Arc<Map<String, Value>>>,
}

/// A request of a server to a client.
#[derive(Clone, Debug)]
pub(super) struct ServerRequest {
    pub(super) method: String,
}

/// Everything that is remembered.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) sessions: Held<SessionKey, ()>,
    pub(super) tasks: Held<TaskKey, Task>,
    pub(super) under_way: Held<RequestKey, Arc<Asked>>,
    pub(super) server_requests: Held<RequestKey, ServerRequest>,
    /// The tokens under which servers want to hear of progress.
    pub(super) progress: Held<RequestKey, ()>,
}

impl Memory {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            sessions: Held::new(limits),
            tasks: Held::new(limits),
            under_way: Held::new(limits),
            server_requests: Held::new(limits),
            progress: Held::new(limits),
        }
    }
}

/// Something cannot be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotHeld {
    /// Too much is remembered already.
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
    life: i64,
}

#[derive(Debug)]
struct All<K, V> {
    values: HashMap<K, One<V>>,
    /// The keys of each principal in the order in which they came.
    owners: HashMap<Principal, BTreeMap<u64, K>>,
    next: u64,
}

#[derive(Debug)]
struct One<V> {
    owner: Principal,
    number: u64,
    until: Timestamp,
    value: V,
}

impl<K: Clone + Eq + Hash, V: Clone> Held<K, V> {
    fn new(limits: &Limits) -> Self {
        Self {
            all: Mutex::new(All { values: HashMap::new(), owners: HashMap::new(), next: 0 }),
            most: limits.remembered,
            most_each: limits.remembered_each.max(1),
            life: i64::from(limits.remembered_for),
        }
    }

    /// Remembers something as the principal's. Of too many of one principal the oldest goes.
    pub(super) fn put(&self, key: K, owner: &Principal, value: V, now: Timestamp) -> Result<(), NotHeld> {
        let mut all = self.all.lock().map_err(|_| NotHeld::Full)?;
        if let Some(one) = all.values.get(&key) {
            if one.owner != *owner && now < one.until {
                return Err(NotHeld::Taken);
            }
            all.forget(&key);
        }
        let oldest = all.owners.get(owner).filter(|keys| keys.len() >= self.most_each);
        if let Some(oldest) = oldest.and_then(|keys| keys.values().next().cloned()) {
            all.forget(&oldest);
        }
        if all.values.len() >= self.most {
            let gone: Vec<K> =
                all.values.iter().filter(|(_, one)| one.until <= now).map(|(key, _)| key.clone()).collect();
            for key in &gone {
                all.forget(key);
            }
            if all.values.len() >= self.most {
                return Err(NotHeld::Full);
            }
        }
        let number = all.next;
        all.next += 1;
        all.owners.entry(owner.clone()).or_default().insert(number, key.clone());
        all.values.insert(key, One { owner: owner.clone(), number, until: now.plus(self.life), value });
        Ok(())
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
        let value = self.get(key, owner, now)?;
        self.all.lock().ok()?.forget(key);
        Some(value)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.all.lock().unwrap().values.len()
    }
}

impl<K: Clone + Eq + Hash, V> All<K, V> {
    fn forget(&mut self, key: &K) {
        let Some(one) = self.values.remove(key) else { return };
        if let Some(keys) = self.owners.get_mut(&one.owner) {
            keys.remove(&one.number);
            if keys.is_empty() {
                self.owners.remove(&one.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(held.put("s", &ben, 2, Timestamp(19)), Ok(()));
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
            (held.len(), held.get(&"b", &ben, Timestamp(1)), held.get(&"1", &ana, Timestamp(1))),
            (3, Some(0), None)
        );
        let cid = Principal::new("corp", "cid", None);
        assert_eq!(held.put("c", &cid, 0, Timestamp(1)), Err(NotHeld::Full));
        assert_eq!(held.put("c", &cid, 0, Timestamp(10)), Ok(()));
    }
}
