//! What is learned from particular calls, and that what is written reads back as it.

use doorward::model::{Action, Timestamp, Withheld, WithheldBecause};
use doorward::policy::set::ItemPattern;
use doorward::report::schema::suggestion_schema;
use doorward::report::suggest::{Findings, json, toml};
use doorward::suggest::{Options, Split, Study};
use doorward::traffic::{Event, Field, Reader};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use crate::suggest::{Groups, config, loaded, replay, study};

/// A call that any policy of its own would allow.
fn call(line: i64, door: &str, tool: &str, sub: &str, groups: &[&str], arguments: Value) -> (u64, Event) {
    let mut event = Event::new(Timestamp(1000 + line), door, Action::ToolsCall, tool);
    event.subject.issuer = Field::Present("corp".to_owned());
    event.subject.sub = Field::Present(sub.to_owned());
    event.subject.agent = Field::Absent;
    event.subject.groups = Field::Present(groups.iter().map(|g| (*g).to_owned()).collect());
    event.subject.claims = Field::Absent;
    event.token.aud = Field::Present(vec![format!("http://127.0.0.1:8787/{door}/mcp")]);
    event.token.scopes = Field::Present(vec![format!("{door}:{tool}")]);
    event.token.iat = Field::Present(Timestamp(1000));
    event.token.exp = Field::Present(Timestamp(1000 + 3600));
    event.token.nbf = Field::Absent;
    let Value::Object(object) = arguments else { panic!("arguments are an object") };
    event.arguments = Field::Present(object);
    (line.unsigned_abs(), event)
}

/// Names that would be something else if they were written as they are.
const HOSTILE: [&str; 14] = [
    "*",
    "a?",
    r"a\",
    "\"]\n[[grants]]\nto = {}\n#",
    "'''",
    "\u{1b}[2J",
    "a\u{202e}b",
    "# x",
    "\u{0}",
    "naïve 日本",
    "a.b",
    "/x/~y",
    "",
    "\u{2028}\u{85}\r",
];

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_recorded_name_stays_a_name(
        picks in vec((select(&HOSTILE[..]), select(&HOSTILE[..]), select(&HOSTILE[..]), select(&HOSTILE[..]), any::<bool>()), 1..12),
    ) {
        let mut events = Vec::new();
        for (n, (tool, group, sub, text, grouped)) in (1..).zip(&picks) {
            let groups: &[&str] = if *grouped { &[group] } else { &[] };
            let mut arguments = Map::new();
            arguments.insert((*text).to_owned(), json!(text));
            arguments.insert("v".to_owned(), json!({ *text: text }));
            let arguments = Value::Object(arguments);
            events.push(call(3 * n, "d", tool, sub, groups, arguments.clone()));
            events.push(call(3 * n + 1, "d", "plain", sub, groups, arguments.clone()));
            events.push(call(3 * n + 2, tool, "plain", sub, groups, arguments));
        }
        let options = Options { min_support: 1, ..Options::default() };
        let studied = study(&events, None, options, None);
        let (proof, _) = replay(&studied, &events);
        prop_assert!(proof.holds(), "{:#?}", proof.lost);
        let findings = Findings { studied: &studied, proof: &proof, score: None };
        let text = toml(&findings);
        prop_assert_eq!(loaded(&text).digest(), studied.suggestion.policy.digest(), "{}", text);
        let hidden = |c: char| c.is_control() && c != '\n';
        prop_assert!(!text.contains(hidden) && !text.contains('\u{202e}'), "{:?}", text);
        for grant in &studied.suggestion.grants {
            let to = &grant.statement.to;
            prop_assert!(to.groups.iter().chain(&to.subjects).all(|glob| glob.literal().is_some()));
            prop_assert!(grant.statement.items.iter().all(ItemPattern::is_literal));
        }
    }
}

/// The suggestion for some calls, as a policy file.
fn suggested(events: &[(u64, Event)], options: Options) -> String {
    let studied = study(events, None, options, None);
    let (proof, _) = replay(&studied, events);
    assert!(proof.holds() && proof.kept == proof.replayed, "{:#?}", proof.lost);
    let text = toml(&Findings { studied: &studied, proof: &proof, score: None });
    assert_eq!(loaded(&text).digest(), studied.suggestion.policy.digest());
    text
}

/// The lines that decide.
fn rules(text: &str) -> String {
    let lines = text.lines().skip_while(|line| *line != "[[grants]]");
    lines.filter(|line| !line.trim_start().starts_with('#') && !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn bounds_are_learned_where_the_data_supports_them() {
    let events: Vec<_> = (1..=30)
        .map(|n| {
            let arguments = json!({
                "amount": 10 + n, "currency": if n % 2 == 0 { "EUR" } else { "USD" },
                "path": format!("/srv/data/{n}/x.txt"), "url": format!("https://docs.example.com/{n}"),
                "ticket": format!("T-{}", 1000 + n), "note": format!("words of note {n}"), "dry": false,
                "opts": { "depth": n % 3 }, "tags": ["a"], "same": 7, "mixed": if n == 3 { json!("x") } else { json!(n) },
                "rate": f64::from(i32::try_from(n).unwrap()) / 4.0, "key": format!("AKIAABCDEFGHIJKLMN{n:02}"),
            });
            call(n, "d", "t", "ana", &["team"], arguments)
        })
        .collect();
    insta::assert_snapshot!(rules(&suggested(&events, Options::default())), @r#"
    [[grants]]
    name  = "learned-team"
    to    = { issuer = "corp", groups = ["team"] }
    allow = [
        "d:t",
    ]
    [grants.args."d:t"]
    amount = { min = 8, max = 43 }
    currency = { one_of = ["EUR", "USD"] }
    dry = { eq = false }
    "opts.depth" = { min = 0, max = 3 }
    path = { under = "/srv/data" }
    rate = { min = 0, max = 8.225 }
    same = { eq = 7 }
    ticket = { prefix = "T-" }
    url = { host = "docs.example.com" }
    "#);
    let open = suggested(&events, Options::default());
    insta::assert_snapshot!(open.lines().find(|l| l.contains("no bound on")).unwrap(), @"# no bound on `mixed` (several types), `tags` (a list), `note` (free text), `key` (looks like a secret)");
}

#[test]
fn what_was_withheld_is_never_learned_and_never_asked_for() {
    let events: Vec<_> = (1..=30)
        .map(|n| {
            let (line, mut event) = call(n, "d", "t", "ana", &["team"], json!({"iban": "stand-in", "n": 1}));
            if n == 30 {
                let because = WithheldBecause::Redacted;
                event.withheld = vec![Withheld { pointer: "/iban".to_owned(), because }];
            }
            (line, event)
        })
        .collect();
    let text = suggested(&events, Options::default());
    assert!(text.contains("# no bound on `iban` (withheld in 1)") && text.contains("n = { eq = 1 }"), "{text}");
    let mut unknown = events;
    unknown[4].1.arguments = Field::NotRecorded;
    let text = suggested(&unknown, Options::default());
    assert!(text.contains("(arguments not recorded in 1)") && !text.contains("eq ="), "{text}");
}

#[test]
fn an_event_recorded_twice_supports_a_bound_once() {
    let event = call(1, "d", "t", "ana", &["team"], json!({"n": 1}));
    let twice: Vec<_> = (0..30).map(|_| event.clone()).collect();
    assert!(!suggested(&twice, Options::default()).contains("[grants.args"));
}

#[test]
fn groups_that_use_a_tool_differently_get_their_own_bounds() {
    let events: Vec<_> = (1..=60)
        .map(|n| {
            let (group, amount) = if n % 2 == 0 { ("lead", n * 10) } else { ("desk", n) };
            call(n, "d", "refund", &format!("{group}-{}", n % 6), &[group], json!({ "amount": amount }))
        })
        .collect();
    insta::assert_snapshot!(rules(&suggested(&events, Options::default())), @r#"
    [[grants]]
    name  = "learned-desk"
    to    = { issuer = "corp", groups = ["desk"] }
    allow = [
        "d:refund",
    ]
    [grants.args."d:refund"]
    amount = { min = 0, max = 65 }
    [[grants]]
    name  = "learned-lead"
    to    = { issuer = "corp", groups = ["lead"] }
    allow = [
        "d:refund",
    ]
    [grants.args."d:refund"]
    amount = { min = 0, max = 658 }
    "#);
}

#[test]
fn whoever_has_no_group_is_named_and_an_agent_is_not_shared() {
    let events: Vec<_> = (1..=4)
        .map(|n| {
            let sub = ["ana", "ben"][usize::try_from(n).unwrap() % 2];
            let (line, mut event) = call(n, "d", "t", sub, &[], json!({}));
            event.subject.agent = Field::Present(format!("{sub}-agent"));
            (line, event)
        })
        .collect();
    insta::assert_snapshot!(rules(&suggested(&events, Options::default())), @r#"
    [[grants]]
    name  = "learned-ana"
    to    = { issuer = "corp", subjects = ["ana"], agents = ["ana-agent"] }
    allow = [
        "d:t",
    ]
    [[grants]]
    name  = "learned-ben"
    to    = { issuer = "corp", subjects = ["ben"], agents = ["ben-agent"] }
    allow = [
        "d:t",
    ]
    "#);
}

#[test]
fn a_wildcard_is_written_only_when_asked_for() {
    let events: Vec<_> = (1..=6)
        .map(|n| call(n, "d", ["a", "b", "c"][usize::try_from(n).unwrap() % 3], "ana", &["team"], json!({})))
        .collect();
    assert!(!rules(&suggested(&events, Options::default())).contains('*'));
    let general = |least| rules(&suggested(&events, Options { generalise: Some(least), ..Options::default() }));
    assert!(general(3).contains(r#""d:*","#) && !general(3).contains(r#""d:a""#), "{}", general(3));
    assert!(!general(4).contains('*'));
}

const RECORDING: &[u8] = include_bytes!("../../simulations/support-desk.jsonl");
const POLICY: &str = include_str!("../../policies.toml");

/// The example policy without its grants.
fn without_grants() -> String {
    let mut kept = Vec::new();
    let mut inside = false;
    for line in POLICY.lines() {
        if line.starts_with('[') || line.starts_with("# ──") {
            inside = line.starts_with("[[grants]]");
        }
        if !inside {
            kept.push(line);
        }
    }
    kept.join("\n") + "\n"
}

#[test]
fn the_grants_for_the_example_policy_fit_into_it_in_place_of_its_own() {
    let today = loaded(POLICY);
    let reader = Reader::new(RECORDING).unwrap();
    let events: Vec<(u64, Event)> = reader.map(|item| item.unwrap()).map(|n| (n.place.record, n.event)).collect();
    let groups = Groups::from([("corp".to_owned(), vec!["support".to_owned(), "support-lead".to_owned()])]);
    let mut study = Study::new(Options { min_support: 3, ..Options::default() }, Some(&today), &groups, None);
    study.source("support-desk.jsonl");
    for (line, event) in &events {
        study.event((*line).into(), event);
    }
    let mut studied = study.finish();
    studied.measure();
    let (proof, _) = replay(&studied, &events);
    assert!(proof.holds() && proof.kept == proof.replayed && proof.replayed == 28, "{proof:#?}");
    let findings = Findings { studied: &studied, proof: &proof, score: None };
    let whole = loaded(&format!("{}\n{}", without_grants(), toml(&findings)));
    assert_eq!(whole.digest(), studied.suggestion.policy.digest());
    // What today's grants ask is asked again, so nobody gains anything.
    let diff = studied.against.as_ref().and_then(|against| against.diff.as_ref()).unwrap();
    assert!(!diff.widens() && diff.narrows(), "{:#?}", diff.flips);
    let surface = studied.surface.unwrap();
    assert!(surface.after < surface.before, "{surface:?}");
}

#[test]
fn the_json_form_fits_its_schema_which_is_closed() {
    let validator = jsonschema::options().build(&suggestion_schema()).unwrap();
    let today = loaded(POLICY);
    let reader = Reader::new(RECORDING).unwrap();
    let mut events: Vec<(u64, Event)> = reader.map(|item| item.unwrap()).map(|n| (n.place.record, n.event)).collect();
    events[3].1.subject.issuer = Field::NotRecorded;
    for today in [None, Some(&today)] {
        let mut studied = study(
            &events,
            today,
            Options { min_support: 3, ..Options::default() },
            Some(Split { share: 0.5, seed: 1 }),
        );
        studied.measure();
        let (proof, score) = replay(&studied, &events);
        let text = json(&Findings { studied: &studied, proof: &proof, score: score.as_ref() });
        let report: Value = serde_json::from_str(&text).unwrap();
        let errors: Vec<_> = validator.iter_errors(&report).map(|e| format!("{}: {e}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        for pointer in ["", "/options", "/counts", "/grants/0", "/grants/0/items/0", "/proof", "/surface", "/score"] {
            let mut changed = report.clone();
            changed.pointer_mut(pointer).unwrap().as_object_mut().unwrap().insert("stranger".to_owned(), json!(1));
            assert!(!validator.is_valid(&changed), "an unknown field in `{pointer}` fits");
        }
    }
}

#[test]
fn a_group_that_the_issuer_does_not_list_is_not_named() {
    let today = loaded(POLICY);
    let groups = Groups::from([("corp".to_owned(), vec!["support".to_owned()])]);
    let mut study = Study::new(Options::default(), Some(&today), &groups, None);
    let mut event = call(1, "tickets", "search", "ana", &["all-staff", "support"], json!({})).1;
    study.event(1.into(), &event);
    event.subject.groups = Field::Present(vec!["all-staff".to_owned()]);
    event.subject.sub = Field::Present("ben".to_owned());
    study.event(2.into(), &event);
    let suggestion = study.finish().suggestion;
    let named: Vec<String> = suggestion
        .grants
        .iter()
        .map(|g| format!("{:?} {:?}", g.statement.to.groups, g.statement.to.subjects))
        .collect();
    assert_eq!(named, [r#"[] ["ben"]"#, r#"["support"] []"#]);
}
