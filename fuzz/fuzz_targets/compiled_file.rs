//! Any bytes as a compiled policy: reading never panics, and a file that is taken writes itself again
//! with the digest that it claims and decides like its set compiled anew.
#![no_main]

#[path = "../../tests/it/universe.rs"]
mod universe;

use doorward::pdp::decide;
use doorward::policy::{CompiledPolicy, Positions};
use libfuzzer_sys::fuzz_target;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fuzz_target!(|data: &[u8]| {
    let Ok(policy) = CompiledPolicy::from_file(data) else { return };
    let file = policy.to_file().expect("what was read can be written");
    let again = CompiledPolicy::from_file(&file).expect("and read");
    assert_eq!((again.digest(), again.set()), (policy.digest(), policy.set()));
    assert_eq!(again.to_file().expect("and written"), file);
    let anew = CompiledPolicy::compile(policy.set().clone(), Positions::default());
    assert_eq!(anew.digest(), policy.digest());
    // The requests are those of the property tests, from a seed of this very file.
    let mut runner = TestRunner::new_with_rng(
        Config { failure_persistence: None, ..Config::default() },
        TestRng::from_seed(RngAlgorithm::ChaCha, &policy.digest().0),
    );
    for _ in 0..8 {
        let Ok(tree) = universe::ask().new_tree(&mut runner) else { return };
        tree.current().with(|request| {
            let (one, other) = (decide(&policy, request), decide(&anew, request));
            assert_eq!((one.effect, one.reason, one.obligations), (other.effect, other.reason, other.obligations));
        });
    }
});
