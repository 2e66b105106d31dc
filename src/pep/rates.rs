//! Rates, counted as a rehearsal replays them.
//!
//! Windows are aligned to 1970-01-01T00:00:00Z. Each rate counts on its own, and every request that
//! the policy allows counts in all of its rates, also when one of them stops it.
//!
//! A rate of this gateway is counted in its memory, one across gateways where all of them count. What cannot be
//! counted does not pass.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sha2::{Digest as _, Sha256};

use super::code::GuardCode;
use super::principal::Principal;
use crate::audit::rates::{self, SharedRates};
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
    shared: Option<Arc<dyn SharedRates>>,
    /// Windows of all gateways that are full, from when until when: nobody need be asked about them.
    full: Mutex<HashMap<Shared, (Timestamp, Timestamp)>>,
}

/// A rate across gateways, and one of those it is counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shared {
    lane: rates::Lane,
    /// How many requests are in its window at most. Policies that differ in this alone count together.
    most: u32,
}

/// A request that may not pass now. The greater one weighs more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    pub(super) code: GuardCode,
    /// Seconds until the window ends.
    pub(super) seconds: u32,
}

impl Rates {
    pub(super) fn new(most: usize, shared: Option<Arc<dyn SharedRates>>) -> Self {
        Self { lanes: Mutex::default(), most, shared, full: Mutex::default() }
    }

    /// Counts a request that the policy allows, in each of its rates of this gateway. Gives what holds it up, and
    /// its rates across gateways, which are still to be counted.
    pub(super) fn count<'r>(
        &self,
        rates: impl IntoIterator<Item = (&'r str, Rate)>,
        principal: &Principal,
        now: Timestamp,
    ) -> (Option<Held>, Vec<Shared>) {
        let (mut held, mut shared) = (None, Vec::new());
        for (of, rate) in rates {
            let (voucher, name) = match rate.per {
                RateKey::Subject => (principal.voucher(), principal.subject()),
                RateKey::Agent => ("", principal.agent().unwrap_or_default()),
                RateKey::All => ("", ""),
            };
            if rate.shared {
                shared.push(Shared::of(of, rate, (voucher, name)));
            } else {
                let lane = Lane { of: of.to_owned(), rate, key: (voucher.to_owned(), name.to_owned()) };
                held = held.max(self.count_here(lane, now));
            }
        }
        (held, shared)
    }

    fn count_here(&self, lane: Lane, now: Timestamp) -> Option<Held> {
        let Ok(mut lanes) = self.lanes.lock() else { return Some(Held { code: GuardCode::Internal, seconds: 0 }) };
        if lanes.len() >= self.most && !lanes.contains_key(&lane) {
            lanes.retain(|lane, filling| filling.window == lane.rate.window(now));
            if lanes.len() >= self.most {
                return Some(Held { code: GuardCode::Overloaded, seconds: 5 });
            }
        }
        let (rate, window) = (lane.rate, lane.rate.window(now));
        let filling = lanes.entry(lane).or_insert(Filling { window, count: 0 });
        // A clock that goes back counts on in the window that it left.
        if window > filling.window {
            *filling = Filling { window, count: 0 };
        }
        let full = rate.is_full(filling.count).then(|| {
            let left = filling.window.plus(i64::from(rate.seconds.max(1))).since(now);
            limited(left)
        });
        filling.count = filling.count.saturating_add(1);
        full
    }

    /// Counts a request in its rates across gateways: one question for all of them, and none when each is known to
    /// be full. Gives what holds it up.
    pub(super) async fn count_shared(&self, shared: &[Shared], now: Timestamp) -> Option<Held> {
        if shared.is_empty() {
            return None;
        }
        if let Some(left) = self.left_of_full(shared, now) {
            // The end of the window is known to the second before it.
            return Some(limited(left.saturating_add(1)));
        }
        let away = Some(Held { code: GuardCode::RatesUnavailable, seconds: 5 });
        let Some(counter) = &self.shared else { return away };
        let Ok(fillings) = counter.count(shared.iter().map(|shared| shared.lane).collect()).await else { return away };
        if fillings.len() != shared.len() {
            return away;
        }
        let mut held = None;
        for (shared, filling) in shared.iter().zip(fillings) {
            let left = i64::try_from(filling.left.as_secs()).unwrap_or(i64::MAX);
            if filling.before >= u64::from(shared.most) {
                held = held.max(Some(limited(left.saturating_add(i64::from(filling.left.subsec_nanos() > 0)))));
            }
            if filling.before.saturating_add(1) >= u64::from(shared.most) {
                self.note_full(*shared, now, now.plus(left));
            }
        }
        held
    }

    /// For how many seconds the windows of all of these are known to be full, the last of them.
    fn left_of_full(&self, shared: &[Shared], now: Timestamp) -> Option<i64> {
        let full = self.full.lock().ok()?;
        let left = |shared: &Shared| {
            let (since, until) = full.get(shared)?;
            // A clock that goes back knows nothing.
            (*since <= now && now < *until).then(|| until.since(now))
        };
        shared.iter().map(left).collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    fn note_full(&self, shared: Shared, since: Timestamp, until: Timestamp) {
        let Ok(mut full) = self.full.lock() else { return };
        if full.len() >= self.most {
            full.retain(|_, (_, until)| since < *until);
        }
        // Where there is no room it is asked again.
        if full.len() < self.most {
            full.insert(shared, (since, until));
        }
    }
}

impl Shared {
    fn of(of: &str, rate: Rate, (voucher, name): (&str, &str)) -> Self {
        // JSON, so that no two lists of parts read the same.
        let parts = serde_json::json!(["doorward.rate/v1", of, rate.seconds, rate.per.as_str(), voucher, name]);
        let key = Sha256::digest(parts.to_string().as_bytes()).into();
        Self { lane: rates::Lane { key, seconds: rate.seconds }, most: rate.count }
    }
}

/// A request over a rate, so many seconds before the window ends.
fn limited(left: i64) -> Held {
    Held { code: GuardCode::RateLimited, seconds: u32::try_from(left.max(1)).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rate(count: u32, seconds: u32, per: RateKey) -> Rate {
        Rate { count, seconds, per, shared: false }
    }

    fn who(subject: &str, agent: &str) -> Principal {
        Principal::new("corp", subject, Some(agent))
    }

    #[test]
    fn windows_are_aligned_and_keys_counted_apart() {
        let rates = Rates::new(100, None);
        let two = rate(2, 60, RateKey::Subject);
        let ask = |who: &Principal, now| {
            rates.count([("desk", two)], who, Timestamp(now)).0.map_or(Ok(()), |held| Err(held.seconds))
        };
        let (ana, ben) = (who("ana", "a"), who("ben", "a"));
        assert_eq!([ask(&ana, 110), ask(&ana, 111), ask(&ana, 112), ask(&ben, 112)], [Ok(()), Ok(()), Err(8), Ok(())]);
        assert_eq!(ask(&ana, 119), Err(1));
        assert_eq!(ask(&ana, 120), Ok(()));
        assert_eq!(ask(&ana, 60), Ok(()));
        assert_eq!(ask(&ana, 121), Err(59));
    }

    #[test]
    fn each_rate_counts_on_its_own_also_what_another_stops() {
        let rates = Rates::new(100, None);
        let (door, tool) = (rate(3, 60, RateKey::All), rate(1, 60, RateKey::Agent));
        let ana = who("ana", "a");
        let both = || rates.count([("desk", door), ("desk:pay", tool)], &ana, Timestamp(0)).0.is_none();
        assert_eq!([both(), both(), both()], [true, false, false]);
        assert!(rates.count([("desk", door)], &who("ben", "b"), Timestamp(0)).0.is_some());
    }

    #[test]
    fn memory_is_bounded_and_full_means_no() {
        let rates = Rates::new(1, None);
        let one = rate(9, 60, RateKey::Subject);
        assert_eq!(rates.count([("desk", one)], &who("ana", "a"), Timestamp(0)).0, None);
        let held = rates.count([("desk", one)], &who("ben", "a"), Timestamp(0)).0.unwrap();
        assert_eq!(held.code, GuardCode::Overloaded);
        assert_eq!(rates.count([("desk", one)], &who("ben", "a"), Timestamp(60)).0, None);
    }

    /// Counts in memory, by a clock of its own.
    #[derive(Debug, Default)]
    struct Counter {
        now: Mutex<u64>,
        counts: Mutex<HashMap<([u8; 32], u64), u64>>,
        asked: Mutex<usize>,
        away: Mutex<bool>,
    }

    impl SharedRates for Counter {
        fn count(
            &self,
            lanes: Vec<rates::Lane>,
        ) -> crate::audit::Pending<'_, Result<Vec<rates::Filling>, rates::NotCounted>> {
            *self.asked.lock().unwrap() += 1;
            let (now, mut counts) = (*self.now.lock().unwrap(), self.counts.lock().unwrap());
            let fillings = lanes.iter().map(|lane| {
                let seconds = u64::from(lane.seconds);
                let count = counts.entry((lane.key, now / seconds)).or_default();
                *count += 1;
                rates::Filling { before: *count - 1, left: Duration::from_secs(seconds - now % seconds) }
            });
            let answer = if *self.away.lock().unwrap() { Err(rates::NotCounted) } else { Ok(fillings.collect()) };
            Box::pin(std::future::ready(answer))
        }
    }

    #[tokio::test]
    async fn gateways_count_together_and_ask_nobody_about_what_is_full() {
        let counter = Arc::new(Counter::default());
        let [one, two] = [(); 2].map(|()| Rates::new(100, Some(Arc::clone(&counter) as Arc<dyn SharedRates>)));
        let three = Rate { shared: true, ..rate(3, 60, RateKey::Subject) };
        let ana = who("ana", "a");
        let ask = async |rates: &Rates, rate: Rate, now| {
            *counter.now.lock().unwrap() = now;
            let now = Timestamp(i64::try_from(now).unwrap());
            let (held, shared) = rates.count([("desk", rate)], &ana, now);
            assert_eq!(held, None);
            rates.count_shared(&shared, now).await.map_or(Ok(()), |held| Err((held.code.as_str(), held.seconds)))
        };
        assert_eq!(ask(&one, three, 0).await, Ok(()));
        assert_eq!(ask(&two, three, 10).await, Ok(()));
        assert_eq!(ask(&one, three, 20).await, Ok(()));
        assert_eq!(ask(&two, three, 30).await, Err(("rate-limited", 30)));
        // Both know by now.
        let asked = *counter.asked.lock().unwrap();
        assert_eq!(ask(&one, three, 30).await, Err(("rate-limited", 31)));
        assert_eq!(ask(&two, three, 59).await, Err(("rate-limited", 2)));
        assert_eq!(*counter.asked.lock().unwrap(), asked);
        // A policy with another number goes on with the same count.
        assert_eq!(ask(&two, Rate { count: 9, ..three }, 59).await, Ok(()));
        assert_eq!(ask(&two, three, 60).await, Ok(()));
        *counter.away.lock().unwrap() = true;
        assert_eq!(ask(&two, three, 61).await, Err(("rates-unavailable", 5)));
        *counter.away.lock().unwrap() = false;
        assert_eq!(ask(&one, three, 62).await, Ok(()));
        // What has nothing to count with lets nothing pass.
        assert_eq!(ask(&Rates::new(100, None), three, 62).await, Err(("rates-unavailable", 5)));
    }
}
