//! Any small policy on any request: the decision is that of the naive interpreter, the explanation
//! says the same, an unknown fact never decides and an empty policy denies.
#![no_main]

#[path = "../../tests/it/oracle.rs"]
mod oracle;
#[path = "../../tests/it/universe.rs"]
mod universe;

use doorward::model::{Effect, Position, Request, RuleKind, Verdict};
use doorward::pdp::{Outcome, decide, explain, judge};
use doorward::policy::set::PolicySet;
use doorward::policy::{CompiledPolicy, Positions};
use libfuzzer_sys::fuzz_target;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

// The bytes are the random numbers of the strategies that the property tests draw from, so that
// the fuzzer searches the same universe, led by coverage instead of chance.
fuzz_target!(|data: &[u8]| {
    let rng = TestRng::from_seed(RngAlgorithm::PassThrough, &endless(data));
    let mut runner = TestRunner::new_with_rng(Config { failure_persistence: None, ..Config::default() }, rng);
    let Ok(set) = universe::policy().new_tree(&mut runner) else { return };
    let policy = compile(set.current());
    for _ in 0..4 {
        let Ok(full) = universe::ask().new_tree(&mut runner) else { return };
        let full = full.current();
        let Ok(part) = universe::hidden(full.clone()).new_tree(&mut runner) else { return };
        let answered = full.with(|request| {
            let expected = oracle::decide(policy.set(), request);
            assert_eq!(answer(&policy, request), expected, "{full:?}");
            explained(&policy, request);
            expected.0
        });
        let part = part.current();
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

/// The bytes with a long tail that follows from them: a strategy that rejects what it draws would
/// never end on the zeros that come after the last byte.
fn endless(data: &[u8]) -> Vec<u8> {
    let mut state = data.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    }) | 1;
    let tail = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    data.iter().copied().chain(tail.take(8 * 1_024).flatten()).collect()
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

fn answer(policy: &CompiledPolicy, request: &Request<'_>) -> oracle::Answer {
    let decision = decide(policy, request);
    let statement = decision.rule.filter(|r| matches!(r.kind, RuleKind::Grant | RuleKind::Deny));
    (decision.effect, decision.reason, statement.map(|r| (r.kind, r.position.line as usize)))
}
