//! Buckets against sorted lists, and what each kind of rule counts.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::{Position, RuleKind, Withheld, WithheldBecause};
use crate::policy::matcher::ArgRules;

fn number(value: f64) -> Number {
    Number::from_f64(value).unwrap()
}

fn numbers(values: &[f64], lower: bool) -> Numbers {
    let mut all = Numbers::of(number(50.0), lower, number(values[0]));
    for value in values.iter().map(|value| number(*value)) {
        all.add(value, 1);
        *all.buckets.entry(bucket(value, lower)).or_default() += 1;
    }
    all
}

fn float(number: Number) -> f64 {
    number.to_json().as_f64().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_share_is_less_than_one_per_cent_off_and_to_the_safe_side(
        values in vec(prop_oneof![-2000i32..2000, -3_000_000i32..3_000_000].prop_map(|n| f64::from(n) / 8.0), 1..80),
        lower: bool,
    ) {
        let all = numbers(&values, lower);
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        for nth in 1..=sorted.len() {
            let (told, truth) = (float(all.nth(nth as u64)), sorted[nth - 1]);
            prop_assert!((told - truth).abs() <= truth.abs() * 0.01, "{told} for {truth}");
            prop_assert!(if lower { told <= truth } else { told >= truth }, "{told} for {truth}");
            if truth.fract() == 0.0 && truth.abs() <= 1024.0 {
                prop_assert_eq!(all.nth(nth as u64), number(truth));
            }
        }
        let spread = all.spread();
        prop_assert_eq!(spread.min, number(sorted[0]));
        prop_assert_eq!(spread.max, number(sorted[sorted.len() - 1]));
        prop_assert_eq!(spread.below + spread.at + spread.over, values.len() as u64);
        let all_pass = spread.curve.iter().any(|one| one.passing == values.len() as u64);
        prop_assert!(all_pass && spread.curve.is_sorted_by_key(|one| one.limit));
    }

    #[test]
    fn the_order_of_buckets_is_that_of_their_values(a in -1e12f64..1e12, b in -1e12f64..1e12) {
        let (x, y) = (bucket(number(a), false), bucket(number(b), false));
        prop_assert!(a > b || x <= y);
        prop_assert_eq!(order(value_of(x)), x);
    }
}

#[test]
fn each_kind_of_rule_counts_what_passes_and_what_does_not() {
    let rules: ArgRules = serde_json::from_value(json!({
        "amount": { "tests": [{ "min": 1 }, { "max": 50 }] },
        "currency": { "tests": [{ "one_of": ["EUR", "USD"] }] },
        "list": { "tests": [{ "max_items": 2 }, { "each": { "tests": [{ "max_len": 3 }] } }] },
        "path": { "tests": [{ "under": ["/srv"] }] },
    }))
    .unwrap();
    let position = Position::default();
    let rule = Rule { kind: RuleKind::Grant, name: "desk", position: &position };
    let mut gauges = Gauges::default();
    let long = "x".repeat(100);
    for value in [
        json!({ "amount": 7, "currency": "EUR", "list": ["ab", "abcd"], "path": "/srv/a" }),
        json!({ "amount": 80, "currency": "GBP", "list": [], "path": "/srv/../etc" }),
        json!({ "amount": "7", "currency": 5, "list": ["a", "b", "c"], "path": long }),
    ] {
        let board = gauges.board(rule, "tickets:refund", &rules);
        gauges.add(board, &Arguments::known(value.as_object().unwrap()));
    }
    let withheld = [Withheld { pointer: "/amount".to_owned(), because: WithheldBecause::Redacted }];
    let object = json!({ "amount": 0 });
    let arguments = Arguments { object: object.as_object(), withheld: &withheld };
    let board = gauges.board(rule, "tickets:refund", &rules);
    gauges.add(board, &arguments);
    let found = gauges.part().finish();
    let lines: Vec<String> = found
        .list
        .iter()
        .map(|one| {
            let outside: Vec<&str> = one.outside.iter().map(|text| text.text.as_str()).collect();
            format!(
                "{} {}: {} seen, {} pass, {} missing, {} unfit, {} withheld {outside:?}",
                one.path, one.test, one.seen, one.passing, one.missing, one.unfit, one.withheld,
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
