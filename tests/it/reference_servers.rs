//! What scripted agents did with the reference MCP servers, and the example policy for it.
//!
//! The script says of each request whether the policy must stop it, and for which reason. So the
//! recordings are held against the script, and the decisions too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use doorward::diagnostics::Sources;
use doorward::pdp::decide;
use doorward::policy::{CompiledPolicy, Layers, LoadedPolicy, load};
use doorward::report::{Style, suite as render_suite};
use doorward::simulate::suite::run;
use doorward::simulate::{GateVerdict, Rehearsal, Report, gate};
use doorward::traffic::{Event, Reader};
use serde_json::{Value, json};

const FOLDER: &str = "examples/reference-servers";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn policy() -> (LoadedPolicy, Sources) {
    let text = fs::read(root().join(FOLDER).join("policies.toml")).unwrap();
    let loaded = load(&Layers { files: vec![("policies.toml".to_owned(), text)], environment: Vec::new() });
    let policy = loaded.policy.unwrap_or_else(|| panic!("{:#?}", loaded.problems));
    (policy, loaded.sources)
}

/// The files that the gate of the policy names, in order.
fn recordings(policy: &LoadedPolicy) -> Vec<PathBuf> {
    let [pattern] = &policy.checks.rollout.recordings[..] else { panic!("one pattern") };
    let pattern = root().join(FOLDER).join(pattern);
    let found = glob::glob(pattern.to_str().unwrap()).unwrap();
    let paths: Vec<PathBuf> = found.map(Result::unwrap).collect();
    assert!(!paths.is_empty(), "{}", pattern.display());
    paths
}

fn read(path: &Path) -> Vec<Event> {
    let text = fs::read(path).unwrap();
    Reader::new(&text[..]).unwrap().map(|item| item.unwrap().event).collect()
}

fn rehearse(policy: &CompiledPolicy, baseline: Option<&CompiledPolicy>, paths: &[PathBuf]) -> Report {
    let mut rehearsal = Rehearsal::new(policy, baseline);
    for path in paths {
        rehearsal.source(path.file_name().unwrap().to_str().unwrap());
        let text = fs::read(path).unwrap();
        for item in Reader::new(&text[..]).unwrap() {
            rehearsal.item(&item);
        }
    }
    rehearsal.finish()
}

/// A request of the script.
#[derive(Debug)]
struct Planned {
    door: String,
    method: String,
    name: String,
    /// Where the script says them.
    arguments: Option<Value>,
    /// The reason for which it must be denied.
    stop: Option<String>,
    /// Whether the server itself refuses it.
    refused: bool,
}

/// What the script plans, by session.
fn script() -> BTreeMap<String, Vec<Planned>> {
    let text = fs::read_to_string(root().join("simulations/record/sessions.toml")).unwrap();
    let script: Value = toml::from_str(&text).unwrap();
    let sessions = script["sessions"].as_array().unwrap();
    sessions.iter().map(|session| (session["id"].as_str().unwrap().to_owned(), planned(session))).collect()
}

fn planned(session: &Value) -> Vec<Planned> {
    let mut all = Vec::new();
    for step in session["steps"].as_array().unwrap() {
        for _ in 0..step["repeat"].as_u64().unwrap_or(1) {
            all.push(request(step, session["stop"].as_str()));
        }
    }
    all
}

fn request(step: &Value, stop: Option<&str>) -> Planned {
    const NAMED: [(&str, &str); 6] = [
        ("call", "tools/call"),
        ("prompt", "prompts/get"),
        ("read", "resources/read"),
        ("subscribe", "resources/subscribe"),
        ("unsubscribe", "resources/unsubscribe"),
        ("complete", "completion/complete"),
    ];
    let named = NAMED.iter().find_map(|(key, method)| Some(((*method).to_owned(), step[*key].as_str()?.to_owned())));
    let (method, name) = named.unwrap_or_else(|| {
        let method = match (step["list"].as_str(), step["send"].as_str()) {
            (Some("templates"), _) => "resources/templates/list".to_owned(),
            (Some(list), _) => format!("{list}/list"),
            (None, Some(method)) => method.to_owned(),
            (None, None) if step["ping"] == true => "ping".to_owned(),
            (None, None) => "logging/setLevel".to_owned(),
        };
        (method, String::new())
    });
    let arguments = (method == "tools/call").then(|| {
        let mut arguments = step.get("args").cloned().unwrap_or_else(|| json!({}));
        if let Some(fill) = step.get("fill") {
            let times = usize::try_from(fill["times"].as_u64().unwrap()).unwrap();
            arguments[fill["path"].as_str().unwrap()] = match &fill["text"] {
                Value::String(text) => text.repeat(times).into(),
                list => vec![list[0].clone(); times].into(),
            };
        }
        arguments
    });
    let stop = stop.or(step["stop"].as_str()).map(str::to_owned);
    let refused = step["refused"].as_bool().unwrap_or(false);
    Planned { door: step["on"].as_str().unwrap().to_owned(), method, name, arguments, stop, refused }
}

/// Handshakes are the clients' own; the script plans what comes after them.
fn is_handshake(event: &Event) -> bool {
    ["initialize", "server/discover"].contains(&event.method.as_str())
}

#[test]
fn the_tests_in_the_example_policy_pass() {
    let (policy, sources) = policy();
    let result = run(&policy.compiled, &policy.checks.tests, &sources);
    assert!(result.passed(), "{}", render_suite::human(&result, false, Style::PLAIN));
}

#[test]
fn the_recordings_hold_what_the_script_plans_and_each_attempt_is_denied_for_its_reason() {
    let (policy, _) = policy();
    let mut sessions: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for event in recordings(&policy).iter().flat_map(|path| read(path)) {
        sessions.entry(event.session.present().unwrap().clone()).or_default().push(event);
    }
    let script = script();
    assert_eq!(sessions.keys().collect::<Vec<_>>(), script.keys().collect::<Vec<_>>());
    let (mut stopped, mut refused) = (0, 0);
    for (session, planned) in &script {
        let mut made = sessions[session].iter().filter(|event| !is_handshake(event));
        for planned in planned {
            let event = made.next().unwrap_or_else(|| panic!("{session}: {planned:?} is not recorded"));
            let found = (event.door.as_str(), event.method.as_str(), event.name.as_str());
            assert_eq!(found, (planned.door.as_str(), planned.method.as_str(), planned.name.as_str()), "{session}");
            if let Some(arguments) = &planned.arguments {
                assert_eq!(event.arguments.present().map(|found| json!(found)).as_ref(), Some(arguments), "{session}");
            }
            let expected = planned.stop.as_deref().unwrap_or("granted");
            let claims = event.claims();
            assert_eq!(
                decide(&policy.compiled, &event.request(&claims)).reason.code(),
                expected,
                "{session} {planned:?}"
            );
            stopped += u32::from(planned.stop.is_some());
            refused += u32::from(planned.refused);
        }
        assert!(made.next().is_none(), "{session}");
    }
    assert_eq!((script.len(), stopped, refused), (15, 56, 19));
}

#[test]
fn a_handshake_is_allowed_to_whoever_may_list() {
    let (policy, _) = policy();
    for (session, planned) in script() {
        for path in recordings(&policy) {
            for event in read(&path).iter().filter(|e| is_handshake(e) && e.session.present() == Some(&session)) {
                let list = planned.iter().find(|p| p.door == event.door && p.name.is_empty());
                let expected = list.and_then(|list| list.stop.as_deref()).unwrap_or("granted");
                let claims = event.claims();
                assert_eq!(decide(&policy.compiled, &event.request(&claims)).reason.code(), expected, "{session}");
            }
        }
    }
}

#[test]
fn the_counts_of_the_rehearsal_are_these() {
    let (policy, _) = policy();
    let paths = recordings(&policy);
    let report = rehearse(&policy.compiled, None, &paths);
    let totals = report.totals;
    assert_eq!((totals.events, totals.allowed, totals.denied, totals.undecidable), (234, 168, 66, 0));
    assert_eq!(report.unreadable_total(), 0);
    // Against what the servers did: what this policy would have stopped.
    assert_eq!((totals.newly_denied, totals.newly_allowed), (57, 0));
    // The agent that asks for the time until somebody stops it, under a rate of 20 a minute.
    assert_eq!(serde_json::to_value(&report).unwrap()["rates"]["now"], json!({ "at_least": 11, "at_most": 11 }));
    let reasons: BTreeMap<&str, u64> = report.reasons.list.iter().map(|g| (g.name.as_str(), g.counts.events)).collect();
    insta::assert_json_snapshot!(reasons, @r#"
    {
      "args": 22,
      "denied-by": 12,
      "granted": 168,
      "no-grant": 8,
      "scope-missing": 5,
      "token-expired": 3,
      "token-stale": 3,
      "unknown-door": 4,
      "unknown-method": 1,
      "unknown-prompt": 2,
      "unknown-resource": 3,
      "unknown-tool": 3
    }
    "#);
    let methods: BTreeSet<String> = paths.iter().flat_map(|p| read(p)).map(|event| event.method).collect();
    assert_eq!(methods.len(), 15, "{methods:?}");
    // Only what the policy grants to roles that were not at work has decided nothing.
    let idle: Vec<&str> = report.statements.iter().filter(|s| s.decided == 0).map(|s| s.rule.name.as_str()).collect();
    assert_eq!(idle, ["maintainers-undo"]);
}

#[test]
fn the_gate_holds_against_the_same_policy_and_breaks_without_a_deny() {
    let (policy, _) = policy();
    let paths = recordings(&policy);
    let rollout = &policy.checks.rollout;
    let same = rehearse(&policy.compiled, Some(&policy.compiled), &paths);
    assert_eq!(gate(rollout, &same), GateVerdict::Holds);
    let text = fs::read_to_string(root().join(FOLDER).join("policies.toml")).unwrap();
    let (before, rest) = text.split_once("[[denies]]\nname   = \"no-secrets\"").unwrap();
    let (_, after) = rest.split_once("[[denies]]").unwrap();
    let wider = format!("{before}[[denies]]{after}");
    let wider =
        load(&Layers { files: vec![("policies.toml".to_owned(), wider.into_bytes())], environment: Vec::new() });
    let report = rehearse(&wider.policy.unwrap().compiled, Some(&policy.compiled), &paths);
    assert!(matches!(gate(rollout, &report), GateVerdict::Broken { .. }));
    assert_eq!((report.totals.newly_allowed, report.totals.newly_denied), (2, 0));
}

#[test]
fn the_recordings_are_small_and_say_nothing_of_the_machine_they_were_made_on() {
    let (policy, _) = policy();
    let paths = recordings(&policy);
    let texts: Vec<String> = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(texts.iter().map(String::len).sum::<usize>() < 300_000);
    for (text, path) in texts.iter().zip(&paths) {
        for place in ["/tmp/", "/home/", "/root", "/Users/", "/work/", "/var/", "node_modules/"] {
            assert!(!text.contains(place), "{} holds {place}", path.display());
        }
    }
}
