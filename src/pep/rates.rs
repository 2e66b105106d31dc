//! Rates, counted as a rehearsal replays them.
//!
//! Windows are aligned to 1970-01-01T00:00:00Z. Each rate counts on its own, and every request that
//! the policy allows counts in all of its rates, also when one of them stops it.

use std::collections::HashMap;
use std::sync::Mutex;

use super::code::GuardCode;
use super::principal::Principal;
use crate::model::{Rate, RateKey, Timestamp};

/// One rate and one of those it is counted for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Lane {
    /// What has the rate: the server or the item.
    of: String,
    rate: Rate,
    /// Who vouches and `sub`, the agent, or nothing.
    key: (String, String),
}

#[derive(Clone, Copy, Debug)]
struct Filling {
    window: Timestamp,
    count: u64,
}

/// The counts of one guard.
#[derive(Debug)]
pub(super) struct Rates {
    lanes: Mutex<HashMap<Lane, Filling>>,
    most: usize,
}

/// A request that may not pass now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) code: GuardCode,
    /// Seconds until the window ends.
    pub(super) seconds: u32,
}

impl Rates {
    pub(super) fn new(most: usize) -> Self {
        Self { lanes: Mutex::new(HashMap::new()), most }
    }

    /// Counts a request that the policy allows, in each of its rates.
    pub(super) fn count<'r>(
        &self,
        rates: impl IntoIterator<Item = (&'r str, Rate)>,
        principal: &Principal,
        now: Timestamp,
    ) -> Result<(), Held> {
        let mut rates = rates.into_iter().peekable();
        if rates.peek().is_none() {
            return Ok(());
        }
        let Ok(mut lanes) = self.lanes.lock() else { return Err(Held { code: GuardCode::Internal, seconds: 0 }) };
        let mut held = None;
        for (of, rate) in rates {
            let key = match rate.per {
                RateKey::Subject => (principal.voucher().to_owned(), principal.subject().to_owned()),
                RateKey::Agent => (String::new(), principal.agent().unwrap_or_default().to_owned()),
                RateKey::All => (String::new(), String::new()),
            };
            let lane = Lane { of: of.to_owned(), rate, key };
            if lanes.len() >= self.most && !lanes.contains_key(&lane) {
                lanes.retain(|lane, filling| filling.window == lane.rate.window(now));
                if lanes.len() >= self.most {
                    return Err(Held { code: GuardCode::Overloaded, seconds: 5 });
                }
            }
            let window = rate.window(now);
            let filling = lanes.entry(lane).or_insert(Filling { window, count: 0 });
            // A clock that goes back counts on in the window that it left.
            if window > filling.window {
                *filling = Filling { window, count: 0 };
            }
            if rate.is_full(filling.count) {
                let left = filling.window.plus(i64::from(rate.seconds.max(1))).since(now);
                let seconds = u32::try_from(left.max(1)).unwrap_or(u32::MAX);
                held = held.max(Some(seconds));
            }
            filling.count = filling.count.saturating_add(1);
        }
        held.map_or(Ok(()), |seconds| Err(Held { code: GuardCode::RateLimited, seconds }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u32, seconds: u32, per: RateKey) -> Rate {
        Rate { count, seconds, per }
    }

    fn who(subject: &str, agent: &str) -> Principal {
        Principal::new("corp", subject, Some(agent))
    }

    #[test]
    fn windows_are_aligned_and_keys_counted_apart() {
        let rates = Rates::new(100);
        let two = rate(2, 60, RateKey::Subject);
        let ask = |who: &Principal, now| rates.count([("desk", two)], who, Timestamp(now)).map_err(|h| h.seconds);
        let (ana, ben) = (who("ana", "a"), who("ben", "a"));
        assert_eq!([ask(&ana, 110), ask(&ana, 111), ask(&ana, 112), ask(&ben, 112)], [Ok(()), Ok(()), Err(8), Ok(())]);
        assert_eq!(ask(&ana, 119), Err(1));
        assert_eq!(ask(&ana, 120), Ok(()));
        assert_eq!(ask(&ana, 60), Ok(()));
        assert_eq!(ask(&ana, 121), Err(59));
    }

    #[test]
    fn each_rate_counts_on_its_own_also_what_another_stops() {
        let rates = Rates::new(100);
        let (door, tool) = (rate(3, 60, RateKey::All), rate(1, 60, RateKey::Agent));
        let ana = who("ana", "a");
        let both = || rates.count([("desk", door), ("desk:pay", tool)], &ana, Timestamp(0)).is_ok();
        assert_eq!([both(), both(), both()], [true, false, false]);
        assert!(rates.count([("desk", door)], &who("ben", "b"), Timestamp(0)).is_err());
    }

    #[test]
    fn memory_is_bounded_and_full_means_no() {
        let rates = Rates::new(1);
        let one = rate(9, 60, RateKey::Subject);
        assert_eq!(rates.count([("desk", one)], &who("ana", "a"), Timestamp(0)), Ok(()));
        let held = rates.count([("desk", one)], &who("ben", "a"), Timestamp(0)).unwrap_err();
        assert_eq!(held.code, GuardCode::Overloaded);
        assert_eq!(rates.count([("desk", one)], &who("ben", "a"), Timestamp(60)), Ok(()));
    }
}
