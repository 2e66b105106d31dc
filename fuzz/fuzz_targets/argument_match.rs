//! Any matcher on any arguments: answers, keeps the promises about missing and mistyped values,
//! and globs answer in bounded time.
#![no_main]

use doorward::model::{Arguments, Withheld, WithheldBecause};
use doorward::policy::argument::{ArgPath, HostPattern, PathPrefix, canonical_host, normal_path};
use doorward::policy::glob::{NameGlob, PathGlob};
use doorward::policy::matcher::{ArgRules, ArgsOutcome};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

// The parts stand on lines of their own: rules as a compiled policy writes them, arguments, a
// pattern, and a text to hold against it.
fuzz_target!(|text: &str| {
    let mut parts = text.splitn(4, '\n');
    let mut next = || parts.next().unwrap_or("");
    let (rules, arguments, pattern, text) = (next(), next(), next(), next());
    if let (Ok(rules), Ok(object)) =
        (serde_json::from_str::<ArgRules>(rules), serde_json::from_str::<Map<String, Value>>(arguments))
    {
        rules_on(&rules, &object);
    }
    patterns(pattern, text);
});

fn rules_on(rules: &ArgRules, object: &Map<String, Value>) {
    let known = Arguments::known(object);
    let outcomes = (rules.permit(&known), rules.forbid(&known));
    assert!(!matches!(outcomes.0, ArgsOutcome::Unknown(_)) && !matches!(outcomes.1, ArgsOutcome::Unknown(_)));
    // What is withheld is never answered as if it were there: an answer that holds with a value
    // withheld holds with the value.
    for (path, _) in rules.iter() {
        let withheld = [Withheld { pointer: path.pointer().to_owned(), because: WithheldBecause::Redacted }];
        let part = Arguments { object: Some(object), withheld: &withheld };
        for (with, full) in [(rules.permit(&part), outcomes.0), (rules.forbid(&part), outcomes.1)] {
            match with {
                ArgsOutcome::Hold => panic!("{path} is withheld and yet answered"),
                ArgsOutcome::Fail(_) => assert!(matches!(full, ArgsOutcome::Fail(_))),
                ArgsOutcome::Unknown(_) => {}
            }
        }
    }
    // The canonical form means the same.
    let written = serde_json::to_string(rules).expect("rules can be written");
    let again: ArgRules = serde_json::from_str(&written).expect("and read");
    assert_eq!(&again, rules);
}

fn patterns(pattern: &str, text: &str) {
    if let (Ok(name), Ok(path)) = (NameGlob::new(pattern), PathGlob::new(pattern)) {
        // Whatever a path glob takes, the name glob takes: its `*` stops nowhere.
        assert!(!path.matches(text) || name.matches(text), "{pattern:?} on {text:?}");
        if let Some(literal) = path.literal() {
            assert!(path.matches(literal));
        }
        assert!(text.starts_with(&name.literal_prefix()) || !name.matches(text));
    }
    if let Ok(path) = ArgPath::new(pattern) {
        assert_eq!(ArgPath::new(path.as_str()).as_ref(), Ok(&path), "a path is read again as itself");
        assert_eq!(ArgPath::new(path.pointer()).as_ref(), Ok(&path), "and so is its pointer");
    }
    if let Some(prefix) = PathPrefix::new(pattern) {
        assert_eq!(PathPrefix::new(prefix.as_str()).as_ref(), Some(&prefix));
        assert!(normal_path(prefix.as_str()) && prefix.contains(prefix.as_str()));
        if normal_path(text) && prefix.contains(text) {
            assert!(!text.contains("..") || text.split('/').all(|part| part != ".."));
        }
    }
    if let (Some(pattern), Some(host)) = (HostPattern::new(pattern), canonical_host(text)) {
        assert!(text.contains(host));
        assert_eq!(pattern.matches(host), pattern.matches(&host.to_ascii_uppercase()), "hosts have no case");
    }
}
