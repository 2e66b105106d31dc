//! Any small policy on any request: the decision is that of the naive interpreter, the explanation
//! says the same, an unknown fact never decides and an empty policy denies.
#![no_main]

#[path = "../../tests/it/oracle.rs"]
mod oracle;
#[path = "../../tests/it/universe.rs"]
mod universe;

use doorward::model::{Effect, Position, Request, Verdict};
use doorward::pdp::{Outcome, decide, explain, judge};
use doorward::policy::set::PolicySet;
use doorward::policy::{CompiledPolicy, Positions};
use libfuzzer_sys::fuzz_target;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

// Each 32 bytes seed what one strategy of the property tests draws: first the policy, then a
// request and what is hidden of it. So a changed byte changes one of them, and coverage leads the
// search through the universe that the tests draw from by chance.
fuzz_target!(|data: &[u8]| {
    let mut seeds = data.chunks(32);
    let Some(set) = seeds.next().and_then(|seed| draw(seed, &universe::policy())) else { return };
    let policy = compile(set);
    for seed in seeds.take(8) {
        let Some(full) = draw(seed, &universe::ask()) else { return };
        let Some(part) = draw(seed, &universe::hidden(full.clone())) else { return };
        let answered = full.with(|request| {
            let expected = oracle::decide(policy.set(), request);
            assert_eq!(oracle::Answer::of(&decide(&policy, request)), expected, "{full:?}");
            explained(&policy, request);
            expected.effect
        });
        part.with(|request| {
            explained(&policy, request);
            match judge(&policy, request) {
                Verdict::Decided(decision) => assert_eq!(decision.effect, answered, "{part:?}"),
                Verdict::Undecided(_) => assert_eq!(decide(&policy, request).effect, Effect::Deny),
            }
        });
        let nothing = compile(PolicySet { grants: Vec::new(), ..policy.set().clone() });
        assert_eq!(full.with(|request| decide(&nothing, request).effect), Effect::Deny);
    }
});

fn draw<S: Strategy>(seed: &[u8], strategy: &S) -> Option<S::Value> {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(seed).for_each(|(to, from)| *to = *from);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    strategy.new_tree(&mut runner).ok().map(|tree| tree.current())
}

/// With positions by which a statement can be known again: its place in the set.
fn compile(mut set: PolicySet) -> CompiledPolicy {
    set.grants.sort();
    set.denies.sort();
    let numbered = |count: usize| {
        (0..count).map(|n| Position { file: "fuzz".into(), line: u32::try_from(n).unwrap_or(0), column: 1 }).collect()
    };
    let positions =
        Positions { grants: numbered(set.grants.len()), denies: numbered(set.denies.len()), ..Positions::default() };
    CompiledPolicy::compile(set, positions)
}

/// The checks of an explanation lead to the verdict.
fn explained(policy: &CompiledPolicy, request: &Request<'_>) {
    let explanation = explain(policy, request);
    let failed = explanation.checks.iter().find(|check| check.outcome == Outcome::No);
    match judge(policy, request) {
        Verdict::Decided(decision) if decision.effect == Effect::Deny => {
            assert_eq!(failed.map(|check| (check.reason, check.rule)), Some((decision.reason, decision.rule)));
        }
        Verdict::Decided(_) => assert!(explanation.checks.iter().all(|check| check.outcome == Outcome::Yes)),
        Verdict::Undecided(_) => {
            assert!(failed.is_none() && explanation.checks.iter().any(|check| check.outcome == Outcome::Unknown));
        }
    }
}
