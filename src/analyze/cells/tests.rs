//! The representatives against brute force.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::arguments::merge;
use super::value::{answers, values};
use super::*;
use crate::model::Arguments;
use crate::policy::argument::{ArgPath, HostPattern, PathPrefix, Scalar};
use crate::policy::matcher::{Match, Matcher, Test};

fn budget() -> Budget {
    Budget::new(u64::MAX)
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Every text of at most so many of these characters.
fn all_texts(alphabet: &[char], longest: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..longest {
        last = last.iter().flat_map(|t| alphabet.iter().map(move |c| format!("{t}{c}"))).collect();
        all.extend(last.iter().cloned());
    }
    all
}

fn string_test() -> impl Strategy<Value = Test> {
    let glob = "[ab/*?]{1,4}".prop_map(|g| Test::Glob(vec![PathGlob::new(&g).unwrap()]));
    let globs = vec("[ab/*]{1,3}", 2).prop_map(|g| Test::Glob(g.iter().map(|g| PathGlob::new(g).unwrap()).collect()));
    prop_oneof![
        glob.clone(),
        glob,
        globs,
        "[ab/]{1,3}".prop_map(|p| Test::Prefix(vec![p])),
        "/[ab]{0,2}(/[ab])?".prop_map(|p| Test::Under(vec![PathPrefix::new(&p).unwrap()])),
        "[ab/]{0,3}".prop_map(|s| Test::Eq(Scalar::String(s))),
        (0..6u32).prop_map(Test::MaxLen),
    ]
}

fn host_test() -> impl Strategy<Value = Test> {
    const GLOBS: [&str; 6] = ["a://*", "a://b*", "a://**", "*://?.b", "A*", "a://B.b/*"];
    const HOSTS: [&str; 4] = ["b", "*.b", "a.b", "1.1.1.1"];
    prop_oneof![
        select(&GLOBS[..]).prop_map(|g| Test::Glob(vec![PathGlob::new(g).unwrap()])),
        select(&HOSTS[..]).prop_map(|h| Test::Host(vec![HostPattern::new(h).unwrap()])),
        Just(Test::Prefix(vec!["a://a.b".to_owned()])),
        (3..7u32).prop_map(Test::MaxLen),
    ]
}

fn any_test() -> impl Strategy<Value = Test> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Test::Present),
        (0..4i64).prop_map(|n| Test::Min(n.into())),
        (0..4i64).prop_map(|n| Test::Max(n.into())),
        Just(Test::OneOf(vec![Scalar::Bool(true), Scalar::Number(2.into()), Scalar::String("a".into())])),
        select(&["a*", "*b"][..]).prop_map(|g| Test::Glob(vec![PathGlob::new(g).unwrap()])),
        (0..3u32).prop_map(Test::MaxLen),
        (0..3u32).prop_map(Test::MaxItems),
    ];
    leaf.prop_recursive(1, 6, 2, |inner| {
        let matcher = vec(inner, 1..3).prop_map(|tests| Matcher { optional: false, tests });
        prop_oneof![matcher.clone().prop_map(Test::Each), matcher.prop_map(Test::Any)]
    })
}

fn matcher(test: impl Strategy<Value = Test>) -> impl Strategy<Value = Matcher> {
    (prop::bool::weighted(0.2), vec(test, 1..3)).prop_map(|(optional, tests)| Matcher { optional, tests })
}

/// Some values of each kind, and arrays of up to three of them.
fn all_values() -> Vec<Value> {
    let scalars = vec![
        json!("a"),
        json!("b"),
        json!("ab"),
        json!("aab"),
        json!("x"),
        json!("xxx"),
        json!(""),
        json!(-1),
        json!(0),
        json!(0.5),
        json!(1),
        json!(2),
        json!(2.5),
        json!(3),
        json!(4),
        json!(true),
        json!(false),
        json!(null),
        json!({}),
    ];
    let mut all = scalars.clone();
    all.push(json!([]));
    for a in &scalars {
        all.push(json!([a]));
        for b in &scalars {
            all.push(json!([a, b]));
            all.push(json!([a, b, b]));
            all.push(json!([a, b, b, a]));
        }
    }
    all
}

fn outcomes<'v>(matchers: &[Matcher], values: impl IntoIterator<Item = &'v Value>) -> BTreeSet<Vec<Match>> {
    let matchers: Vec<&Matcher> = matchers.iter().collect();
    values.into_iter().map(|v| answers(&matchers, Some(v))).collect()
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn texts_hit_every_combination_of_answers(tests in vec(string_test(), 1..4)) {
        let matchers: Vec<Matcher> = tests.into_iter().map(|t| Matcher { optional: false, tests: vec![t] }).collect();
        let all: Vec<Value> = all_texts(&['a', 'b', '/', '.', 'x'], 6).into_iter().map(Value::from).collect();
        let refs: Vec<&Matcher> = matchers.iter().collect();
        let found = values(&refs, &mut budget()).unwrap();
        let reached = outcomes(&matchers, &found);
        prop_assert!(outcomes(&matchers, &all).is_subset(&reached), "{:?}", matchers);
    }

    #[test]
    fn urls_hit_every_combination_of_answers(tests in vec(host_test(), 1..4)) {
        let matchers: Vec<Matcher> = tests.into_iter().map(|t| Matcher { optional: false, tests: vec![t] }).collect();
        let hosts = all_texts(&['a', 'b', 'B', '.', '/', '@', '1'], 4);
        let schemes = ["a://", "A://", "c://", "", "://"];
        let all: Vec<Value> = schemes.iter().flat_map(|s| hosts.iter().map(move |h| json!(format!("{s}{h}")))).collect();
        let refs: Vec<&Matcher> = matchers.iter().collect();
        let found = values(&refs, &mut budget()).unwrap();
        prop_assert!(outcomes(&matchers, &all).is_subset(&outcomes(&matchers, &found)), "{:?}", matchers);
    }

    #[test]
    fn values_hit_every_combination_of_answers(matchers in vec(matcher(any_test()), 1..4)) {
        let refs: Vec<&Matcher> = matchers.iter().collect();
        let found = values(&refs, &mut budget()).unwrap();
        prop_assert!(outcomes(&matchers, &all_values()).is_subset(&outcomes(&matchers, &found)), "{:?}", matchers);
    }

    #[test]
    fn objects_hit_every_combination_of_answers(
        rules in vec((select(&["x", "y", "y.z", "y.0", "w.a", "w.b"][..]), matcher(any_test())), 1..4),
        probes in vec((small_value(), small_value(), small_value(), small_value()), 40),
    ) {
        let rules: Vec<(ArgPath, Matcher)> = rules.into_iter().map(|(p, m)| (ArgPath::new(p).unwrap(), m)).collect();
        let clusters = clusters(rules.iter().map(|(p, m)| (p, m)), &mut budget()).unwrap();
        let answer = |object: &serde_json::Map<String, Value>| -> Vec<Match> {
            let arguments = Arguments::known(object);
            rules.iter().map(|(p, m)| p.answer(&arguments, m)).collect()
        };
        let mut objects = vec![serde_json::Map::new()];
        for cluster in &clusters {
            objects = objects.iter().flat_map(|o| cluster.objects.iter().map(move |more| {
                let mut o = o.clone();
                merge(&mut o, more);
                o
            })).collect();
        }
        let reached: BTreeSet<Vec<Match>> = objects.iter().map(answer).collect();
        for (x, y, z, w) in probes {
            let mut shapes = vec![json!({"x": x, "y": y, "w": {"a": z, "b": w}})];
            shapes.push(json!({"x": x, "y": {"z": y, "0": z}, "w": w}));
            shapes.push(json!({"y": [y, z], "w": {"a": w}}));
            shapes.push(json!({"y": [y]}));
            for shape in shapes {
                let object = shape.as_object().unwrap();
                prop_assert!(reached.contains(&answer(object)), "{shape} with {rules:?}");
            }
        }
    }
}

fn small_value() -> impl Strategy<Value = Value> {
    select(all_values())
}

#[test]
fn a_long_text_is_found_for_a_long_limit() {
    let test = |t: Test| Matcher { optional: false, tests: vec![t] };
    let matchers = [test(Test::Glob(vec![PathGlob::new("T-*").unwrap()])), test(Test::MaxLen(2000))];
    let refs: Vec<&Matcher> = matchers.iter().collect();
    let found = values(&refs, &mut budget()).unwrap();
    assert!(outcomes(&matchers, &found).contains(&vec![Match::Yes, Match::No]));
    assert!(outcomes(&matchers, &found).contains(&vec![Match::Yes, Match::Yes]));
    assert!(outcomes(&matchers, &found).contains(&vec![Match::No, Match::No]));
}

#[test]
fn a_question_that_is_too_large_says_so() {
    let globs: Vec<Vec<NameGlob>> = (0..40).map(|n| vec![NameGlob::new(&format!("*{n}?????????x")).unwrap()]).collect();
    let result = names(globs.iter().map(Vec::as_slice), [], &mut Budget::new(1_000_000));
    assert_eq!(result.unwrap_err().to_string(), "the conditions combine in too many ways");
}

#[test]
fn an_element_and_the_array_around_it_answer_apart() {
    let each = Matcher {
        optional: false,
        tests: vec![Test::Each(Matcher { optional: false, tests: vec![Test::Max(0.into())] })],
    };
    let first = Matcher { optional: false, tests: vec![Test::Min(0.into())] };
    let rules = [(ArgPath::new("y").unwrap(), each), (ArgPath::new("y.0").unwrap(), first)];
    let clusters = clusters(rules.iter().map(|(p, m)| (p, m)), &mut budget()).unwrap();
    let answer = |object: &serde_json::Map<String, Value>| -> Vec<Match> {
        let arguments = Arguments::known(object);
        rules.iter().map(|(p, m)| p.answer(&arguments, m)).collect()
    };
    let reached: BTreeSet<Vec<Match>> = clusters[0].objects.iter().map(answer).collect();
    assert!(reached.contains(&vec![Match::No, Match::Unfit]), "{reached:?}");
}
