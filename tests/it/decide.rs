//! The decision keeps its promises, held against a naive interpreter on random policies.

use std::collections::BTreeMap;

use doorward::model::{Arguments, Effect, Position, Reason, RuleKind, Verdict};
use doorward::pdp::{Outcome, decide, explain, judge};
use doorward::policy::matcher::{ArgRules, ArgsOutcome, Test};
use doorward::policy::set::{PolicySet, Selector};
use doorward::policy::{CompiledPolicy, Layers, Positions, load};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::oracle;
use crate::universe::{Ask, ask, hidden, pattern, policy, rules, statement};

/// Compiles a set with positions by which a statement can be known again: its place in the set.
pub(crate) fn compile(mut set: PolicySet) -> CompiledPolicy {
    set.grants.sort();
    set.denies.sort();
    let numbered = |count: usize| {
        (0..count).map(|n| Position { file: "test".into(), line: u32::try_from(n).unwrap(), column: 1 }).collect()
    };
    let positions =
        Positions { grants: numbered(set.grants.len()), denies: numbered(set.denies.len()), ..Positions::default() };
    CompiledPolicy::compile(set, positions)
}

/// The rules without those that ask for presence in so many words, the one way to let the missing go.
fn present_not_asked(rules: &ArgRules) -> ArgRules {
    let kept = rules.iter().map(|(path, matcher)| (path.clone(), matcher.clone()));
    kept.filter(|(_, matcher)| !matcher.tests.contains(&Test::Present(true))).collect::<BTreeMap<_, _>>().into()
}

fn effect(policy: &CompiledPolicy, ask: &Ask) -> Effect {
    ask.with(|request| decide(policy, request).effect)
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: 400, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn decide_agrees_with_a_naive_interpreter(set in policy(), asks in prop::collection::vec(ask(), 1..8)) {
        let policy = compile(set);
        for ask in &asks {
            ask.with(|request| {
                let answer = oracle::Answer::of(&decide(&policy, request));
                prop_assert_eq!(answer, oracle::decide(policy.set(), request));
                Ok(())
            })?;
        }
    }

    #[test]
    fn an_unknown_fact_never_decides(set in policy(), (full, part) in ask().prop_flat_map(|a| (Just(a.clone()), hidden(a)))) {
        let policy = compile(set);
        part.with(|request| {
            if let Verdict::Decided(decision) = judge(&policy, request) {
                prop_assert_eq!(decision.effect, effect(&policy, &full));
            } else {
                prop_assert_eq!(decide(&policy, request).effect, Effect::Deny);
            }
            Ok(())
        })?;
        prop_assert!(full.with(|request| matches!(judge(&policy, request), Verdict::Decided(_))));
    }

    #[test]
    fn an_empty_policy_denies_everything(set in policy(), ask in ask()) {
        let policy = compile(PolicySet { grants: Vec::new(), ..set });
        prop_assert_eq!(effect(&policy, &ask), Effect::Deny);
        prop_assert_eq!(effect(&compile(PolicySet::default()), &ask), Effect::Deny);
    }

    #[test]
    fn adding_a_deny_never_adds_access(set in policy(), deny in statement(), ask in ask()) {
        let before = effect(&compile(set.clone()), &ask);
        let mut more = set;
        more.denies.push(deny);
        prop_assert!(before == Effect::Allow || effect(&compile(more), &ask) == Effect::Deny);
    }

    #[test]
    fn a_missing_argument_never_escapes_a_deny(set in policy(), mut deny in statement(), rules in rules(), ask in ask()) {
        // Of its own: what the other statements say of arguments must not decide it.
        deny.to = Selector::default();
        deny.expires = None;
        deny.items = vec![pattern("*")];
        deny.args = vec![(pattern("*"), present_not_asked(&rules))];
        let policy = compile(PolicySet { denies: vec![deny], ..set });
        let refused = |ask: &Ask| ask.with(|request| decide(&policy, request).reason == Reason::DeniedBy);
        let bare = Ask { arguments: serde_json::Map::new(), ..ask.clone() };
        if refused(&ask) {
            for left_out in ask.arguments.keys() {
                let mut less = ask.clone();
                less.arguments.remove(left_out);
                prop_assert!(refused(&less), "leaving out {left_out} escapes");
            }
        }
        // Without any argument nothing is left that could be other than asked.
        prop_assert!(!refused(&ask) || refused(&bare));
        let rules = present_not_asked(&rules);
        prop_assert_eq!(rules.forbid(&Arguments::known(&bare.arguments)), ArgsOutcome::Hold);
        prop_assert_eq!(rules.forbid(&Arguments::NONE), ArgsOutcome::Hold);
    }

    #[test]
    fn removing_a_grant_never_adds_access(set in policy(), which in any::<Index>(), ask in ask()) {
        prop_assume!(!set.grants.is_empty());
        let before = effect(&compile(set.clone()), &ask);
        let mut fewer = set;
        fewer.grants.remove(which.index(fewer.grants.len()));
        prop_assert!(before == Effect::Allow || effect(&compile(fewer), &ask) == Effect::Deny);
    }

    #[test]
    fn the_order_of_statements_changes_neither_digest_nor_decision(set in policy(), ask in ask()) {
        let mut turned = set.clone();
        turned.grants.reverse();
        turned.denies.reverse();
        let (policy, turned) =
            (CompiledPolicy::compile(set, Positions::default()), CompiledPolicy::compile(turned, Positions::default()));
        prop_assert_eq!(policy.digest(), turned.digest());
        ask.with(|request| {
            prop_assert_eq!(decide(&policy, request), decide(&turned, request));
            Ok(())
        })?;
    }

    #[test]
    fn a_changed_decision_means_a_changed_digest(a in policy(), b in policy(), ask in ask()) {
        let (a, b) = (compile(a), compile(b));
        let differ = ask.with(|request| {
            let (x, y) = (decide(&a, request), decide(&b, request));
            (x.effect, x.reason, x.obligations) != (y.effect, y.reason, y.obligations)
        });
        prop_assert!(!differ || a.digest() != b.digest());
        prop_assert_eq!(a.digest() == b.digest(), a.set() == b.set());
    }
}

/// A property that never meets an allow proves nothing: the pools must meet often enough.
#[test]
fn the_universe_has_allows_and_every_reason() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeMap::<&str, u32>::new();
    for _ in 0..12_000 {
        let (set, ask) = (policy(), ask()).new_tree(&mut runner).unwrap().current();
        let policy = compile(set);
        let reason = ask.with(|request| decide(&policy, request).reason);
        *seen.entry(reason.code()).or_default() += 1;
    }
    let missing: Vec<&str> = Reason::ALL
        .iter()
        .map(|r| r.code())
        .filter(|code| *code != "missing-fact" && !seen.contains_key(code))
        .collect();
    assert!(missing.is_empty(), "never seen: {missing:?} in {seen:?}");
    assert!(seen["granted"] > 20, "{seen:?}");
}

fn with_retention(mut set: PolicySet) -> PolicySet {
    for class in ["standard", "money"] {
        set.audit.retention.insert(class.to_owned(), 86_400);
    }
    for grant in &mut set.grants {
        if grant.to == Selector::default() {
            grant.to.issuers.push("i1".to_owned());
        }
    }
    set
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_compiled_file_decides_like_its_source(set in policy(), ask in ask()) {
        let policy = compile(with_retention(set));
        let file = policy.to_file().unwrap();
        let loaded = CompiledPolicy::from_file(&file).unwrap();
        prop_assert_eq!(loaded.digest(), policy.digest());
        prop_assert_eq!(loaded.to_file().unwrap(), file);
        ask.with(|request| {
            prop_assert_eq!(decide(&loaded, request), decide(&policy, request));
            Ok(())
        })?;
    }

    #[test]
    fn a_changed_file_is_refused_or_means_the_same(set in policy(), at in any::<Index>(), byte in any::<u8>()) {
        let policy = compile(with_retention(set));
        let mut file = policy.to_file().unwrap();
        let at = at.index(file.len());
        file[at] = byte;
        if let Ok(loaded) = CompiledPolicy::from_file(&file) {
            prop_assert_eq!(loaded.set(), policy.set());
        }
    }
}

#[test]
fn a_file_of_another_format_or_digest_is_refused_by_name() {
    let file = String::from_utf8(compile(PolicySet::default()).to_file().unwrap()).unwrap();
    let code = |text: &str| CompiledPolicy::from_file(text.as_bytes()).unwrap_err().code();
    assert_eq!(code(&file.replace("doorward.policy/v1", "doorward.policy/v2")), "compiled-format");
    assert_eq!(code(&file.replace("\"store\":\"\"", "\"store\":\"sqlite:x\"")), "compiled-digest");
    assert_eq!(
        code(&file.replacen("\"grants\":[]", "\"grants\":[{\"to\":{},\"items\":[\"a:b\"]}]", 1)),
        "compiled-invalid"
    );
    assert_eq!(code(&file.replace("\"scopes\"", "\"scope\"")), "compiled-malformed");
    assert_eq!(code(file.get(..40).unwrap()), "compiled-malformed");
    assert_eq!(code(""), "compiled-malformed");
}

#[test]
fn a_file_with_a_name_that_no_policy_takes_is_refused() {
    let text = "version = 1\n[servers.a]\nurl = \"http://127.0.0.1:1/\"\n[servers.a.tools.t]\n";
    let layers = Layers { files: vec![("policies.toml".to_owned(), text.into())], ..Layers::default() };
    let file = String::from_utf8(load(&layers).policy.unwrap().compiled.to_file().unwrap()).unwrap();
    CompiledPolicy::from_file(file.as_bytes()).unwrap();
    // The tool would be taken for a prompt, and the server for an item of another.
    for (name, other) in
        [("\"tools\":{\"t\"", "\"tools\":{\"prompt:t\""), ("\"servers\":{\"a\"", "\"servers\":{\"a:b\"")]
    {
        assert!(file.contains(name), "{file}");
        let refused = CompiledPolicy::from_file(file.replacen(name, other, 1).as_bytes()).unwrap_err();
        assert_eq!(refused.code(), "compiled-invalid", "{refused}");
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn explain_agrees_with_decide(set in policy(), ask in ask().prop_flat_map(hidden)) {
        let policy = compile(set);
        ask.with(|request| {
            let explanation = explain(&policy, request);
            prop_assert_eq!(explanation.verdict, judge(&policy, request));
            let failed = explanation.checks.iter().find(|c| c.outcome == Outcome::No);
            match explanation.verdict {
                Verdict::Decided(decision) if decision.effect == Effect::Deny => {
                    let failed = failed.expect("a deny has a failed check");
                    prop_assert_eq!((failed.reason, failed.rule), (decision.reason, decision.rule));
                    prop_assert!(!explanation.advice.is_empty(), "no advice for {}", decision.reason);
                }
                Verdict::Decided(decision) => {
                    prop_assert!(explanation.checks.iter().all(|c| c.outcome == Outcome::Yes));
                    let applying = |kind| explanation.statements.iter().find(|s| s.rule.kind == kind && s.outcome == Outcome::Yes);
                    prop_assert_eq!(applying(RuleKind::Grant).map(|s| s.rule), decision.rule);
                    prop_assert!(applying(RuleKind::Deny).is_none() && explanation.advice.is_empty());
                }
                Verdict::Undecided(_) => {
                    prop_assert!(failed.is_none());
                    prop_assert!(explanation.checks.iter().any(|c| c.outcome == Outcome::Unknown));
                }
            }
            for statement in &explanation.statements {
                prop_assert_eq!(statement.condition.is_none(), statement.outcome == Outcome::Yes, "{:?}", statement);
            }
            Ok(())
        })?;
    }
}
