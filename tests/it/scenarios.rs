//! Scenarios, shards and single events from outside: a scenario fails when a class is misjudged, parts
//! merge to the report of the whole, and an event is explained by the policies that judged it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::place::Place;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The example policy with what is shipped beside it.
fn desk() -> Place {
    let place = Place::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    copy(&root.join("simulations"), &place.path().join("simulations"));
    for policy in ["policies.toml", "examples/reference-servers/policies.toml"] {
        let to = place.path().join(policy);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(root.join(policy), to).unwrap();
    }
    place
}

const BREAKS: &str = "simulations/work-that-breaks.toml";
const EVERY_CLASS: &str = "simulations/every-class.toml";

#[test]
fn without_arguments_every_scenario_beside_the_policy_is_run_and_holds() {
    let place = desk();
    let ran = place.run(&["simulate"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("ok  every class of change is told apart  9 events"), "{}", ran.stdout);
    assert!(ran.stdout.ends_with("scenarios, all as expected\n"), "{}", ran.stdout);
    // Where something says what to rehearse, that is rehearsed.
    let one = place.run(&["simulate", "simulations/support-desk.jsonl"]);
    assert!(one.stdout.contains("36 events"), "{}{}", one.stdout, one.stderr);
    // Without scenarios, the recordings of `[rollout]` are.
    fs::rename(place.path().join("simulations"), place.path().join("recordings")).unwrap();
    let text = fs::read_to_string(place.path().join("policies.toml")).unwrap();
    place.write("policies.toml", text.replace("simulations/*.jsonl", "recordings/*.jsonl"));
    let rollout = place.run(&["simulate"]);
    assert!(rollout.stdout.contains("36 events") && rollout.code == 0, "{}{}", rollout.stdout, rollout.stderr);
}

/// The line with another value, if it is an expectation.
fn wrong(table: &str, line: &str) -> Option<String> {
    let code = line.split('#').next().unwrap().trim_end();
    let (key, value) = code.split_once('=')?;
    let value = value.trim();
    let changed = match (table, key.trim()) {
        ("", "gate") => "\"holds\"".to_owned(),
        ("", _) => return None,
        ("[bounds]", _) => value.replace("at_most = ", "at_most = 1"),
        (_, "event") => "\"no such event\"".to_owned(),
        (_, "class") if value == "\"still-denied\"" => "\"still-allowed\"".to_owned(),
        (_, "class") => "\"still-denied\"".to_owned(),
        (_, "effect") if value == "\"deny\"" => "\"allow\"".to_owned(),
        (_, "effect") => "\"deny\"".to_owned(),
        (_, "reason") if value == "\"args\"" => "\"no-grant\"".to_owned(),
        (_, "reason") => "\"args\"".to_owned(),
        (_, "rule") => "\"nobody\"".to_owned(),
        (_, "missing") => "[\"arguments:currency\"]".to_owned(),
        (_, "drift" | "sure") if value == "true" => "false".to_owned(),
        (_, "drift") if value == "false" => "true".to_owned(),
        (_, "session") => "\"release-1\"".to_owned(),
        (_, "item") => "\"git:git_status\"".to_owned(),
        (_, _) => (value.parse::<u64>().unwrap() + 1).to_string(),
    };
    Some(format!("{key}= {changed}"))
}

/// How many expectations a scenario has, each of which was made wrong in its turn.
fn tried(scenario: &str) -> usize {
    let place = desk();
    let good = fs::read_to_string(place.path().join(scenario)).unwrap();
    let (mut table, mut tried) = ("", 0);
    for (number, line) in good.lines().enumerate() {
        if line.starts_with('[') {
            table = line;
        }
        let Some(changed) = wrong(table, line) else { continue };
        let lines: Vec<&str> =
            good.lines().enumerate().map(|(at, own)| if at == number { changed.as_str() } else { own }).collect();
        place.write(scenario, lines.join("\n"));
        let ran = place.run(&["simulate", "--scenario", scenario]);
        let at = format!("{scenario}:{}:", number + 1);
        assert_eq!(ran.code, 1, "{changed}\n{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(&at), "{changed} is not marked at {at}\n{}", ran.stdout);
        tried += 1;
    }
    tried
}

#[test]
fn a_scenario_fails_at_its_line_whichever_expectation_is_wrong() {
    assert_eq!(tried(EVERY_CLASS), 66, "every expectation of the scenario");
}

#[test]
fn what_is_expected_of_sessions_rates_and_ages_fails_at_its_line_too() {
    assert_eq!(tried(BREAKS), 38, "every expectation of the scenario");
}

#[test]
fn a_scenario_fails_when_the_traffic_or_a_policy_is_another() {
    let place = desk();
    for (file, from, to) in [
        ("simulations/classes/after.toml", "max = 50", "max = 90"),
        ("simulations/classes/after.toml", "audit = \"financial\"", "audit = \"standard\""),
        ("simulations/classes/after.toml", "name  = \"closers\"", "name  = \"staff-closes\""),
        ("simulations/classes/after.toml", "groups = [\"guest\"]", "groups = [\"visitor\"]"),
        ("simulations/classes/after.toml", "groups = [\"contractor\"]", "groups = [\"temp\"]"),
        ("simulations/classes/traffic.jsonl", "\"redacted\":[\"/arguments/amount\"],", ""),
        (
            "simulations/classes/traffic.jsonl",
            "\"effect\":\"allow\",\"reason\":\"granted\",\"digest\"",
            "\"effect\":\"deny\",\"reason\":\"no-grant\",\"digest\"",
        ),
        ("simulations/classes/traffic.jsonl", "{\"time\":1772442060,", "{\"time\":,"),
    ] {
        let good = fs::read_to_string(place.path().join(file)).unwrap();
        assert!(good.contains(from), "{file} has {from}");
        place.write(file, good.replacen(from, to, 1));
        let ran = place.run(&["simulate", "--scenario", EVERY_CLASS]);
        assert_eq!(ran.code, 1, "{to}: {}{}", ran.stdout, ran.stderr);
        place.write(file, good);
    }
    assert_eq!(place.run(&["simulate", "--scenario", EVERY_CLASS]).code, 0);
}

#[test]
fn drift_and_unreadable_records_are_failures_where_a_scenario_does_not_speak_of_them() {
    let place = desk();
    let head = "version = 1\nrecordings = \"simulations/classes/traffic.jsonl\"\npolicy = \"simulations/classes/before.toml\"\n";
    place.write("s.toml", format!("{head}[counts]\nevents = 9\n"));
    let ran = place.run(&["simulate", "--scenario", "s.toml"]);
    assert_eq!(ran.code, 1);
    insta::assert_snapshot!(ran.stdout, @r"
    FAILED  s.toml  9 events
      s.toml:1:1  drift: expected 0, found 1
    1 scenario, 1 failed
    ");
}

#[test]
fn what_is_wrong_in_a_scenario_is_shown_at_its_place() {
    let place = desk();
    let case = |text: &str| {
        place.write("s.toml", text);
        let ran = place.run(&["simulate", "--scenario", "s.toml"]);
        assert_eq!(ran.code, 2, "{}{}", ran.stdout, ran.stderr);
        ran.stdout
    };
    let head = "version = 1\nrecordings = \"simulations/support-desk.jsonl\"\n";
    let shown = [
        case(&format!("{head}[counts]\nnewly_denid = 1\n")),
        case(&format!(
            "{head}gate = \"hold\"\n[reasons]\nagrs = 1\n[bounds]\nevents = {{ at_least = 1, at_most = 2 }}\n"
        )),
        case(&format!("{head}[[events]]\nevent = 2\nclass = \"newly-denid\"\n[[events]]\nevent = 3\n")),
        case(head),
        case(&format!("{head}polcy = \"x\"\n")),
        case(&format!("{head}[counts]\nevents = {{ min = 3, max = 2 }}\n")),
        case(&format!("{head}[counts]\nevents = \"many\"\n")),
        case(&format!("{head}shift = \"soon\"\n[counts]\nevents = 1\n")),
        case(&format!("{head}[sessions]\nbrokn = 1\n[rates]\nlimited = 1\n[token_ages.calls]\n\"3m\" = 1\n")),
        case(&format!("{head}[token_ages.hours]\n\"1m\" = 1\n")),
        case(&format!("{head}[token_ages.sessions]\n\"soon\" = {{ min = 0 }}\n")),
        case(&format!("{head}[[breaks]]\nitem = \"tickets:refund\"\n")),
        case(&format!("{head}[[breaks]]\nsession = \"s\"\nbefore = {{ min = 3, max = 2 }}\n")),
        case("version = 2\nrecordings = []\n[counts]\nevents = 1\n"),
        case(&format!("{head}set = \"servers.tickts.token_ttl=1m\"\n[counts]\nevents = 1\n")),
        case("version = 1\nrecordings = \"nowhere.jsonl\"\n[counts]\nevents = 1\n"),
    ];
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_figure_of_sessions_that_is_not_known_to_the_last_one_is_no_number() {
    let place = desk();
    let call = |session: usize, token: &str| {
        format!(
            "{{\"time\":1772456460,\"door\":\"tickets\",\"method\":\"tools/call\",\"name\":\"get_ticket\",\
             \"arguments\":{{\"ticket\":\"T-1041\"}},\"session\":\"s{session}\",\
             \"subject\":{{\"issuer\":\"corp\",\"sub\":\"ana\",\"agent\":\"desk-assistant\",\"groups\":[\"support\"]}},\
             \"token\":{{\"aud\":[\"https://mcp.example.com/tickets/mcp\"],\"scopes\":[\"tickets:read\"]{token},\
             \"exp\":1772460000}},\"absent\":[\"/subject/claims\",\"/token/nbf\"]}}\n"
        )
    };
    let recorded = |calls: String| {
        place.write("r.jsonl", format!("{{\"schema\":\"doorward.recording/v1\",\"recorder\":\"t\"}}\n{calls}"));
    };
    let run = |what_if: &str, expected: &str| {
        let head = "version = 1\nrecordings = \"r.jsonl\"\n";
        place.write("s.toml", format!("{head}{what_if}\n{expected}\n"));
        place.run(&["simulate", "--scenario", "s.toml"]).stdout
    };
    // One more than are followed, each with a token that is a minute old.
    recorded((0..10_001).map(|n| call(n, ",\"iat\":1772456400")).collect());
    let ages = "[token_ages.sessions]\n\"1m\" = ";
    let shown = run("", &format!("{ages}10_000"));
    assert!(shown.contains("expected 10000, found 10000 to 10001"), "{shown}");
    let shown = run("", &format!("{ages}{{ min = 10_000 }}"));
    assert!(shown.starts_with("ok "), "{shown}");
    let drop = "drop_grant = \"support-desk\"";
    for (item, found) in [("get_ticket", "10000 to 10001"), ("search", "at most 1")] {
        let shown = run(drop, &format!("[breaking]\n\"tickets:{item}\" = 0"));
        assert!(shown.contains(&format!("expected 0, found {found}")), "{shown}");
    }
    // Of one it is not known how old its token is.
    recorded([call(1, ",\"iat\":1772456460"), call(2, "")].concat());
    let shown = run("set = \"servers.tickets.token_ttl=10m\"", "[token_ages.sessions]\n\"30s\" = 0");
    assert!(shown.contains("expected 0, found at most 1"), "{shown}");
}

#[test]
fn the_forms_of_the_results_of_scenarios_say_the_same() {
    let place = desk();
    let good = fs::read_to_string(place.path().join(EVERY_CLASS)).unwrap();
    place.write(EVERY_CLASS, good.replace("newly_denied      = 1", "newly_denied      = 2"));
    let run = |format: &str| place.run(&["simulate", "--format", format]);
    let json: Value = serde_json::from_str(&run("json").stdout).unwrap();
    assert_eq!((&json["schema"], &json["passed"]), (&"doorward.scenarios/v1".into(), &false.into()));
    let failed: Vec<&Value> =
        json["scenarios"].as_array().unwrap().iter().filter(|s| s["outcome"] == "failed").collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0]["differences"][0]["actual"], "1");
    assert!(run("junit").stdout.contains("failures=\"1\""));
    let github = run("github");
    assert_eq!(github.code, 1);
    insta::assert_snapshot!(github.stdout, @"::error file=simulations/every-class.toml,line=16,col=1,title=scenario::every class of change is told apart: newly_denied: expected 2, found 1");
    assert_eq!(run("html").code, 2);
}

#[test]
fn shards_in_any_number_merge_to_the_report_of_the_whole_to_the_byte() {
    let place = desk();
    let lines = ["simulations/support-desk.jsonl", "simulations/classes/traffic.jsonl"];
    for (from, to) in lines.iter().zip(["desk.parquet", "classes.parquet"]) {
        assert_eq!(place.run(&["import", "--from", "recording", from, "--output", to]).code, 0);
    }
    let recordings = [&lines[..], &["desk.parquet", "classes.parquet", "--threads", "2"]].concat();
    let asked =
        [&["simulate", "--set", "grants.support-desk.args.tickets:refund.amount.max=30"][..], &recordings].concat();
    for format in ["human", "json"] {
        let whole = place.run(&[&asked[..], &["--format", format]].concat());
        assert!(whole.stdout.contains("90") && whole.stderr.is_empty(), "{}{}", whole.stdout, whole.stderr);
        for of in 1..=5 {
            let names: Vec<String> = (1..=of).rev().map(|index| format!("{index}-of-{of}.part")).collect();
            for (index, name) in (1..=of).rev().zip(&names) {
                let shard = format!("{index}/{of}");
                let mut asked = asked.clone();
                asked.pop();
                let threads = if index % 2 == 0 { "1" } else { "2" };
                let ran = place.run(&[&asked[..], &[threads, "--shard", &shard, "--output", name]].concat());
                assert_eq!((ran.code, ran.stdout.as_str()), (0, ""), "{}", ran.stderr);
            }
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let merged = place.run(&[&["simulate", "merge", "--format", format], &names[..]].concat());
            assert_eq!(merged.stdout, whole.stdout, "{of} shards as {format}\n{}", merged.stderr);
            assert_eq!(merged.code, whole.code);
        }
    }
}

#[test]
fn parts_of_different_runs_or_too_few_of_them_do_not_merge() {
    let place = desk();
    let recording = "simulations/support-desk.jsonl";
    let part = |name: &str, shard: &str, more: &[&str]| {
        let arguments = [&["simulate", "--shard", shard, "--output", name], more, &[recording]].concat();
        let ran = place.run(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    };
    part("a1", "1/3", &[]);
    part("a2", "2/3", &[]);
    part("a3", "3/3", &[]);
    part("b2", "2/2", &[]);
    part("c2", "2/3", &["--set", "servers.tickets.token_ttl=10m"]);
    part("d2", "2/3", &["--shift", "1d"]);
    part("e2", "2/3", &["--max-newly-denied", "7"]);
    part("f2", "2/3", &["simulations/classes/traffic.jsonl"]);
    place.write("no.part", "{\"schema\":\"doorward.part/v9\"}");
    let good = fs::read_to_string(place.path().join("a1")).unwrap();
    let clock = "\"judged\":\"as-recorded\"";
    assert!(good.contains(clock), "{good}");
    place.write("key.part", good.replace(clock, &format!("{clock},\"x\":1")));
    let merge = |parts: &[&str]| {
        let ran = place.run(&[&["simulate", "merge"], parts].concat());
        (ran.code, ran.stdout.is_empty(), ran.stderr)
    };
    assert_eq!(merge(&["a1", "a2", "a3"]).0, 0);
    assert_eq!(merge(&["key.part", "a2", "a3"]).0, 2, "its schema is closed");
    let mut refused = String::new();
    for parts in [&["a1"][..], &["a1", "b2"], &["a1", "c2"], &["a1", "d2"], &["a1", "e2"], &["a1", "f2"], &["no.part"]]
    {
        let (code, silent, stderr) = merge(parts);
        assert!(code == 2 && silent, "{parts:?}: {stderr}");
        refused.push_str(stderr.lines().next().unwrap());
        refused.push('\n');
    }
    fs::copy(place.path().join("a1"), place.path().join("again")).unwrap();
    refused.push_str(merge(&["a1", "again"]).2.lines().next().unwrap());
    insta::assert_snapshot!(refused);
    let partial = place.run(&["simulate", "merge", "--partial", "a1", "a3"]);
    assert_eq!(partial.code, 2, "what is missing may be what breaks the gate");
    assert!(partial.stdout.contains("24 events"), "{}", partial.stdout);
    assert!(
        partial.stdout.ends_with("the gate cannot be judged\n  of the shards, 2 are missing\n"),
        "{}",
        partial.stdout
    );
    for format in ["json", "junit", "github", "markdown", "html"] {
        let ran = place.run(&["simulate", "merge", "--partial", "a1", "a3", "--format", format]);
        assert_eq!(ran.code, 2);
        assert!(ran.stdout.contains("of the shards, 2 are missing"), "{format}: {}", ran.stdout);
    }
}

#[test]
fn one_event_is_explained_by_each_policy_that_judged_it() {
    let place = desk();
    let asked = ["simulate", "--policy=simulations/classes/after.toml", "--baseline=simulations/classes/before.toml"];
    let run = |more: &[&str]| place.run(&[&asked[..], &["simulations/classes/traffic.jsonl"], more].concat());
    let shown = run(&["--explain", "undecidable"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    insta::assert_snapshot!(shown.stdout);
    // By identifier, by place and by line: the same event.
    for name in ["traffic.jsonl:9", "simulations/classes/traffic.jsonl:9", "9"] {
        assert_eq!(run(&["--explain", name]).stdout, shown.stdout, "{name}");
    }
    let json: Value = serde_json::from_str(&run(&["--explain", "drift", "--format", "json"]).stdout).unwrap();
    assert_eq!(
        (&json["schema"], &json["class"], &json["drift"]),
        (&"doorward.event/v1".into(), &"still-denied".into(), &true.into())
    );
    assert_eq!(json["recorded"]["answer"], "allow");
    assert_eq!(json["candidate"]["explanation"]["schema"], "doorward.explain/v1");
    let missing = run(&["--explain", "newly-denid"]);
    assert_eq!((missing.code, missing.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(missing.stderr, @r"
    error[unknown-name]: there is no event `newly-denid` among the 9 that were read
      = help: did you mean `newly-denied`?
    ");
    assert!(run(&["--explain", "99"]).stderr.contains("among the 9 that were read"));
}
