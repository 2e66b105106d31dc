//! How many requests are under way, of one caller and at one door.
//!
//! A caller that fills its own share leaves the others theirs, and so does a door whose server hangs.
//! The numbers are those of the policy in force. A place is held until the end of the answer.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use super::code::GuardCode;
use super::principal::Principal;
use crate::policy::set::GatewayLimits;

/// The places of one guard.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    callers: HashMap<Principal, u32>,
    doors: HashMap<Arc<str>, u32>,
}

/// A place that is taken. Dropped, it is free.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    caller: Principal,
    door: Arc<str>,
}

impl Places {
    /// Takes a place for a request.
    pub(super) fn take(
        self: &Arc<Self>,
        caller: &Principal,
        door: &Arc<str>,
        limits: &GatewayLimits,
    ) -> Result<Place, GuardCode> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Taken { callers, doors } = &mut *taken;
        if callers.get(caller).is_some_and(|count| *count >= limits.requests_per_caller) {
            return Err(GuardCode::CallerBusy);
        }
        if doors.get(door).is_some_and(|count| *count >= limits.requests_per_door) {
            return Err(GuardCode::DoorBusy);
        }
        *callers.entry(caller.clone()).or_default() += 1;
        *doors.entry(Arc::clone(door)).or_default() += 1;
        Ok(Place { places: Arc::clone(self), caller: caller.clone(), door: Arc::clone(door) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        less(&mut taken.callers, &self.caller);
        less(&mut taken.doors, &self.door);
    }
}

fn less<K: Eq + Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_caller_and_a_full_door_stop_only_themselves() {
        let places = Arc::new(Places::default());
        let limits = GatewayLimits { requests_per_caller: 2, requests_per_door: 3, ..GatewayLimits::default() };
        let (ana, ben) = (Principal::new("corp", "ana", None), Principal::new("corp", "ben", None));
        let (desk, till): (Arc<str>, Arc<str>) = ("desk".into(), "till".into());
        let take = |caller: &Principal, door: &Arc<str>| places.take(caller, door, &limits);
        let held = [take(&ana, &desk).unwrap(), take(&ana, &desk).unwrap(), take(&ben, &desk).unwrap()];
        assert_eq!(take(&ana, &till).unwrap_err(), GuardCode::CallerBusy);
        assert_eq!(take(&ben, &desk).unwrap_err(), GuardCode::DoorBusy);
        drop(take(&ben, &till).unwrap());
        drop(held);
        assert!(places.0.lock().unwrap().callers.is_empty() && places.0.lock().unwrap().doors.is_empty());
    }
}
