//! Rates against a naive loop over all calls, with every call replayed and with fewer, and the gate over
//! what may be over a rate.

use doorward::model::Timestamp;
use doorward::policy::checks::Rollout;
use doorward::simulate::{GateVerdict, Part, Range, gate};
use doorward::traffic::Field;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::accounts::{Recorded, any_policy, any_recorded, capped, holds, naive_rates, rehearse, told_rates, whole};
use super::rehearsals::{pay, policy_with};

#[test]
fn what_a_rate_newly_holds_up_counts_against_the_gate() {
    let rate = |count: u32| json!({ "count": count, "seconds": 60, "per": "subject" });
    let (new, old) = (policy_with(50, false, &[Value::Null, rate(1)]), policy_with(50, false, &[Value::Null, rate(2)]));
    let report = rehearse(&new, Some(&old), vec![pay(10, &["staff"]), pay(11, &["staff"]), pay(12, &["staff"])]);
    assert_eq!((report.rates.before.at_least, report.rates.now.at_least), (1, 2));
    let line = &report.rates.list[0];
    assert_eq!((line.of.as_str(), line.key.as_str(), line.newly_limited), ("desk:pay", "corp/ana", 1));
    assert_eq!((line.worst.start, line.worst.calls, line.worst.limited), (Timestamp(960), 3, 2));
    assert_eq!(line.samples[0].place.record, 2);
    let limits = Rollout { max_newly_denied: Some(0), ..Rollout::default() };
    assert!(matches!(gate(&limits, &report), GateVerdict::Broken { .. }));
    let same = rehearse(&old, Some(&old), vec![pay(10, &["staff"]); 5]);
    assert_eq!((same.rates.now.at_least, same.rates.newly_limited), (3, Range::default()));
    assert_eq!(gate(&limits, &same), GateVerdict::Holds);
}

#[test]
fn a_gate_that_rests_on_what_may_be_over_a_rate_cannot_be_judged() {
    let rate = |count: u32| json!({ "count": count, "seconds": 60, "per": "subject" });
    let (new, old) = (policy_with(50, false, &[Value::Null, rate(2)]), policy_with(50, false, &[Value::Null, rate(9)]));
    let limits = |denied: u64| Rollout { max_newly_denied: Some(denied), ..Rollout::default() };
    // Who made the calls is not known: they may be one subject's or of as many as there are calls.
    let unknown = |n: u32| {
        let mut event = pay(n, &["staff"]);
        event.subject.sub = Field::NotRecorded;
        event
    };
    let report = rehearse(&new, Some(&old), (10..15).map(unknown).collect());
    assert_eq!(report.rates.newly_limited, Range { at_least: 0, at_most: 3 });
    let GateVerdict::CannotTell { because } = gate(&limits(2), &report) else { panic!("it holds") };
    assert_eq!(because, ["max_newly_denied = 2, and there are 0 to 3: 3 may be over a rate"]);
    assert_eq!(gate(&limits(3), &report), GateVerdict::Holds);

    // What came after the calls that are replayed may be over a rate.
    let events: Vec<Recorded> =
        (1..9).map(|line| Recorded { source: "a.jsonl", line, event: pay(10, &["staff"]) }).collect();
    let told = |most| capped(&new, Some(&old), &events.iter().collect::<Vec<_>>(), most).finish();
    let exact = told(100).rates;
    assert_eq!((exact.newly_limited.at_least, exact.newly_limited.at_most, exact.not_replayed), (6, 6, 0));
    let report = told(2);
    assert_eq!((report.rates.newly_limited, report.rates.not_replayed), (Range { at_least: 0, at_most: 6 }, 6));
    let GateVerdict::CannotTell { because } = gate(&limits(5), &report) else { panic!("it holds") };
    assert_eq!(
        because,
        ["max_newly_denied = 5, and there are 0 to 6: 6 may be over a rate, 6 came after those that are replayed"]
    );
    assert!(matches!(gate(&limits(5), &told(100)), GateVerdict::Broken { .. }));

    // What cannot be decided is harmless only where somebody said how much of it may be.
    let mut hidden = pay(10, &["staff"]);
    hidden.subject.groups = Field::Redacted;
    let stricter = policy_with(5, false, &[Value::Null, Value::Null]);
    let report = rehearse(&stricter, Some(&policy_with(50, false, &[Value::Null, Value::Null])), vec![hidden]);
    let GateVerdict::CannotTell { because } = gate(&limits(0), &report) else { panic!("it holds") };
    assert_eq!(
        because,
        ["max_newly_denied = 0, and there are 0 to 1: 1 cannot be decided, and max_undecidable says nothing of them"]
    );
    let accepted = doorward::policy::checks::Allowance::Count(1);
    assert_eq!(gate(&Rollout { max_undecidable: Some(accepted), ..limits(0) }, &report), GateVerdict::Holds);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rates_stop_what_a_loop_over_all_calls_stops(
        (new, old) in (any_policy(), any_policy()),
        events in any_recorded(),
    ) {
        let report = whole(&new, Some(&old), &events);
        let exact = naive_rates(&new, &old, &events).map(|n| Range { at_least: n, at_most: n });
        prop_assert_eq!(told_rates(&report), exact);
        for line in &report.rates.list {
            prop_assert!(line.newly_limited <= line.limited_now && line.no_longer_limited <= line.limited_before);
            prop_assert!(line.worst.limited > 0 && !line.samples.is_empty());
        }
    }

    #[test]
    fn calls_that_are_not_replayed_widen_the_bounds_the_same_for_any_split(
        (new, old) in (any_policy(), any_policy()),
        events in any_recorded(),
        (most, part_of) in (0..40usize, vec(0..3usize, 60)),
    ) {
        let all: Vec<&Recorded> = events.iter().collect();
        let report = capped(&new, Some(&old), &all, most).finish();
        for (range, truth) in told_rates(&report).into_iter().zip(naive_rates(&new, &old, &events)) {
            prop_assert!(holds(range, truth), "{range:?} does not hold {truth}");
        }
        prop_assert!(report.rates.replayed <= most as u64);
        let parts = (0..3).map(|number| {
            let of_part = all.iter().zip(&part_of).filter(|(_, part)| **part == number).map(|(one, _)| *one);
            capped(&new, Some(&old), &of_part.collect::<Vec<_>>(), most)
        });
        let merge = |mut all: Part, more: Part| {
            all.merge(more).unwrap();
            all
        };
        prop_assert_eq!(parts.reduce(merge).unwrap().finish(), report);
    }
}
