//! How often a shorter token lifetime would have a session get a new token, against another way to count it.

use std::collections::BTreeMap;

use doorward::model::{Effect, Timestamp};
use doorward::pdp;
use doorward::policy::CompiledPolicy;
use doorward::simulate::{MAX_SESSION_CALLS, Range, TTLS};
use doorward::traffic::{Event, Field};
use proptest::prelude::*;
use serde_json::Value;

use super::accounts::{Recorded, any_policy, any_recorded, holds, rehearse, whole};
use super::rehearsals::{event, policy_with};

/// The most allowed calls of a session with a token too old, each at least a lifetime after the one before: no new token
/// serves two of them.
fn apart(policy: &CompiledPolicy, events: &[Recorded], ttl: u32) -> u64 {
    let mut sessions: BTreeMap<(&String, &String), Vec<i64>> = BTreeMap::new();
    for Recorded { event, .. } in events {
        let Field::Present(session) = &event.session else { continue };
        let (Field::Present(sub), Field::Present(issued)) = (&event.subject.sub, &event.token.iat) else { continue };
        let allowed = pdp::decide(policy, &event.request(&event.claims())).effect == Effect::Allow;
        if allowed && event.time.since(*issued) >= i64::from(ttl) {
            sessions.entry((session, sub)).or_default().push(event.time.0);
        }
    }
    let count = |mut times: Vec<i64>| {
        times.sort_unstable();
        let mut next = i64::MAX;
        times
            .into_iter()
            .rev()
            .filter(|time| {
                next - time >= i64::from(ttl) && {
                    next = *time;
                    true
                }
            })
            .count() as u64
    };
    sessions.into_values().map(count).sum()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn new_tokens_are_as_many_as_calls_that_none_of_them_serves_twice(
        events in any_recorded(), old in any_policy(), new in any_policy(),
    ) {
        let outside = events.iter().filter(|one| one.event.session == Field::Absent).count() as u64;
        // Without a call that is lost, every session is followed to its end.
        let same = whole(&new, Some(&new), &events);
        let differs = whole(&new, Some(&old), &events);
        for (n, ttl) in TTLS.into_iter().enumerate() {
            let (truth, older) = (apart(&new, &events, ttl), same.ages.total.older[n]);
            let told = same.ages.renewals[n];
            prop_assert_eq!(told.at_least, truth, "{}", ttl);
            prop_assert_eq!(told.at_most, (truth + outside).min(older).max(truth), "{}", ttl);
            prop_assert!(holds(differs.ages.renewals[n], truth), "{} {:?}", ttl, differs.ages.renewals[n]);
        }
    }
}

#[test]
fn beyond_the_calls_that_are_kept_of_a_session_there_are_bounds() {
    let policy = policy_with(50, false, &[Value::Null, Value::Null]);
    let call = |n: usize| -> Event {
        let mut event = event("find", &["staff"]);
        event.time = Timestamp(1000 + i64::try_from(n).unwrap());
        event.session = Field::Present("long".to_owned());
        event.token.exp = Field::Present(Timestamp(3000));
        event
    };
    let kept = rehearse(&policy, None, (0..MAX_SESSION_CALLS).map(call).collect()).ages.renewals;
    // Tokens are 100 seconds old at the first call, 355 at the last.
    let exactly = |n: u64| Range { at_least: n, at_most: n };
    assert_eq!(kept[..5], [exactly(9), exactly(5), exactly(2), exactly(1), exactly(0)]);
    let more = rehearse(&policy, None, (0..MAX_SESSION_CALLS + 60).map(call).collect()).ages.renewals;
    let bounds = [(9, 12), (5, 7), (2, 3), (1, 2), (0, 0)].map(|(at_least, at_most)| Range { at_least, at_most });
    assert_eq!(more[..5], bounds);
}
