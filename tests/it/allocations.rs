//! A decision takes nothing from the heap: counted by the allocator of this binary, for the thread that decides.

use std::hint::black_box;

use allocation_counter::measure;
use doorward::model::Reason;
use doorward::pdp::decide;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::analysis::likely;
use crate::decide::compile;
use crate::universe::{Ask, ask, hidden, policy};

/// More groups than a decision keeps the hashes of, with those that policies name among the last.
const CROWD: [&str; 24] = [
    "g0", "g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8", "g9", "g10", "g11", "g12", "g13", "g14", "g15", "g16", "g17",
    "g18", "g19", "red", "g21", "blue", "green",
];

/// URIs, prompts, nested arguments, claims and facts that are not known are all in the universe.
fn asked() -> impl Strategy<Value = Ask> {
    let some_hidden = prop_oneof![1 => ask(), 3 => likely(), 1 => likely().prop_flat_map(hidden)];
    (some_hidden, any::<bool>()).prop_map(|(ask, in_a_crowd)| {
        let groups = if in_a_crowd { CROWD.to_vec() } else { ask.groups };
        Ask { groups, ..ask }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_decision_takes_anything_from_the_heap(set in policy(), asks in vec(asked(), 1..16)) {
        let policy = compile(set);
        for ask in &asks {
            ask.with(|request| {
                let taken = measure(|| {
                    black_box(decide(&policy, black_box(request)));
                });
                prop_assert_eq!((taken.count_total, taken.bytes_total), (0, 0), "{:?}", ask);
                Ok(())
            })?;
        }
    }
}

/// A counter that counts nothing would hold the property too; and so would a universe without the cases.
#[test]
fn the_counter_counts_and_the_cases_are_there() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    assert_eq!(measure(|| drop(black_box(vec![1_u8]))).count_total, 1);
    let mut runner = TestRunner::deterministic();
    let (mut crowds, mut uris, mut nested) = (0, 0, 0);
    for _ in 0..3_000 {
        let (set, ask) = (policy(), asked()).new_tree(&mut runner).unwrap().current();
        let policy = compile(set);
        let reason = ask.with(|request| decide(&policy, request).reason);
        if reason == Reason::Granted || reason == Reason::DeniedBy {
            crowds += u32::from(ask.groups.len() > 16);
            uris += u32::from(ask.name.starts_with("file:"));
            nested += u32::from(ask.arguments.values().any(|value| value.is_object() || value.is_array()));
        }
    }
    assert!(crowds > 0 && uris > 0 && nested > 0, "{crowds} {uris} {nested}");
}
