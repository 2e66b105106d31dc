//! No secret of a log comes out of an import or of a rehearsal, wherever in a record it stands.
//!
//! Every text of every sample log is replaced by each secret in turn, and has it behind it; so is every
//! text within a text that holds JSON.

use std::ops::ControlFlow;
use std::path::Path;
use std::{fs, iter};

use doorward::diagnostics::Sources;
use doorward::traffic::{Unreadable, chat, fieldmap, line, log, mapping};
use serde_json::Value;

use super::place::Place;

/// What is written, and what of it nobody may see again.
const SECRETS: [(&str, &str); 9] = [
    (
        "eyJhbGciOiJFUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbmEiLCJuYW1lIjoiQW5hIn0.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg",
        "eyJzdWIiOiJhbmEi",
    ),
    ("ghp_16C7e42F292c6912E7710c838347Ae178B4a", "E7710c838347Ae"),
    ("AKIAIOSFODNN7EXAMPLE", "IOSFODNN7"),
    ("xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOcHrzzqgy", "pdFZKVeTuE8sk7"),
    (
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIrYSSNQFaA2Hwf1\n-----END EC PRIVATE KEY-----",
        "MHcCAQEEIIrYSSNQFaA2Hwf1",
    ),
    ("https://ana:hunter2-and-more@tickets.example.com/mcp", "hunter2-and-more"),
    ("https://tickets.example.com/mcp?access_token=mF_9.B5f-4.1JqM", "mF_9.B5f-4.1JqM"),
    ("Bearer mF_9-opaque-4.1JqM", "mF_9-opaque-4.1JqM"),
    ("Authorization: bearer AbCdEf0123456789", "AbCdEf0123456789"),
];

/// Who made the calls, in words of the log.
const IDENTITIES: &str = r#"
version = 1
session = "category"
doors = { "tickets.example.com" = "tickets", "https://tickets.example.com/mcp" = "tickets", "" = "tickets" }
[time]
start = 2026-03-02T13:00:00Z
call = "20s"
[[identities]]
issuer = "corp"
sub = "{session}-{door}"
agent = "desk-assistant"
groups = "{tool}"
scopes = "tickets:read tickets:refund"
audience = "https://mcp.example.com/{door}/mcp"
age = "0s"
lifetime = "1h"
absent = ["claims"]
[[identities]]
sub = "ana"
[[calls]]
function = "mcp__*"
prefix = "mcp__"
split = "__"
[[calls]]
function = "call"
server = "server"
tool = "tool"
arguments = "params"
"#;

const CHAT: &str = r#"{"category":"refunds","messages":[{"role":"assistant","tool_calls":[
    {"function":{"name":"mcp__tickets__refund","arguments":"{\"amount\": 7, \"note\": \"late\", \"deep\": [{\"x\": \"y\"}]}"}},
    {"function":{"name":"call","arguments":{"server":"tickets","tool":"search","params":{"query":"late"}}}}]}]}"#;

const REPORTS: [(&str, &str); 6] = [
    ("json", "r.json"),
    ("html", "r.html"),
    ("markdown", "r.md"),
    ("junit", "r.xml"),
    ("sarif", "r.sarif"),
    ("github", "r.txt"),
];

/// Every value that differs from this one in one text.
fn mutants(value: &Value, secret: &str) -> Vec<Value> {
    match value {
        Value::String(text) => {
            let inner = serde_json::from_str::<Value>(text).ok().filter(|inner| inner.is_object() || inner.is_array());
            let inner = inner.into_iter().flat_map(|inner| mutants(&inner, secret));
            let inner = inner.map(|inner| inner.to_string());
            [secret.to_owned(), format!("{text} {secret}"), format!("{text}/{secret}")]
                .into_iter()
                .chain(inner)
                .map(Value::from)
                .collect()
        }
        Value::Array(list) => {
            let each = list.iter().enumerate().flat_map(|(at, element)| {
                mutants(element, secret).into_iter().map(move |mutant| {
                    let mut list = list.clone();
                    list[at] = mutant;
                    Value::Array(list)
                })
            });
            each.collect()
        }
        Value::Object(object) => {
            let each = object.iter().flat_map(|(key, element)| {
                mutants(element, secret).into_iter().map(move |mutant| {
                    let mut object = object.clone();
                    object.insert(key.clone(), mutant);
                    Value::Object(object)
                })
            });
            each.collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

/// A log of all mutants of a log's documents.
fn spoilt(documents: &[Value]) -> String {
    let all = SECRETS.iter().flat_map(|(secret, _)| documents.iter().flat_map(|one| mutants(one, secret)));
    all.map(|document| format!("{document}\n")).collect()
}

fn documents(text: &str) -> Vec<Value> {
    serde_json::Deserializer::from_str(text).into_iter::<Value>().map_while(Result::ok).collect()
}

fn shows_none(what: &str, shown: &str) {
    for (_, inner) in SECRETS {
        if let Some(at) = shown.find(inner) {
            let start = (0..=at.saturating_sub(300)).rev().find(|at| shown.is_char_boundary(*at)).unwrap_or(0);
            panic!("{what}: {inner} in {}", &shown[start..at + inner.len()]);
        }
    }
}

fn sample(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/logs").join(file);
    let documents = documents(&fs::read_to_string(path).unwrap());
    assert!(!documents.is_empty(), "{file}");
    documents
}

const LOGS: [(&str, &str); 10] = [
    ("agentgateway", "agentgateway.jsonl"),
    ("envoy", "envoy.jsonl"),
    ("jsonrpc", "bare.jsonl"),
    ("jsonrpc", "jsonrpc.jsonl"),
    ("jsonrpc", "inspector.json"),
    ("jsonrpc", "session.har"),
    ("mcpproxy", "mcpproxy.jsonl"),
    ("otlp", "otlp.jsonl"),
    ("pomerium", "pomerium.jsonl"),
    ("toolhive", "toolhive.jsonl"),
];

#[test]
fn no_importer_keeps_a_secret() {
    let mapping = mapping::load("m.toml", IDENTITIES.as_bytes(), &mut Sources::default()).unwrap();
    let told = |unreadable: &Unreadable| format!("{unreadable}\n");
    for (name, file) in LOGS {
        let text = spoilt(&sample(file));
        let map = fieldmap::shipped(name).unwrap().text;
        let map = fieldmap::load(name, map.as_bytes(), &mut Sources::default()).unwrap();
        let mut shown = String::new();
        let counts = log::read(text.as_bytes(), &map, Some(&mapping), &mut |item| {
            match item {
                Ok(numbered) => shown.push_str(&format!("{}\n", line(&numbered.event).unwrap())),
                Err(unreadable) => shown.push_str(&told(&unreadable)),
            }
            ControlFlow::Continue(())
        });
        assert!(counts.events > 0 && counts.is_complete(), "{file}: {counts:#?}");
        assert!(shown.contains("[redacted]") || shown.contains("\"redacted\":["), "{file}");
        shows_none(file, &shown);
        shows_none(file, &format!("{counts:#?}"));
    }
    let mut shown = String::new();
    let counts = chat::read(spoilt(&documents(CHAT)).as_bytes(), &mapping, &mut |item| match item {
        Ok(numbered) => shown.push_str(&format!("{}\n", line(&numbered.event).unwrap())),
        Err(unreadable) => shown.push_str(&told(&unreadable)),
    });
    assert!(counts.events > 0 && counts.is_complete() && shown.contains("\"redacted\":["), "{counts:#?}");
    shows_none("chat", &shown);
    shows_none("chat", &format!("{counts:#?}"));
}

/// What every form of a rehearsal says of a log.
fn rehearsed(place: &Place, arguments: &[&str]) {
    let reports: Vec<String> = REPORTS.iter().map(|(format, file)| format!("--report={format}={file}")).collect();
    let by = "--by=subject,agent,door,tool,rule,reason,hour,session,rate,age,argument";
    let all: Vec<&str> = ["simulate", by, "--rows=100000"]
        .into_iter()
        .chain(arguments.iter().copied())
        .chain(reports.iter().map(String::as_str))
        .collect();
    let ran = place.run(&all);
    assert!(ran.stdout.contains(" events, "), "{}{}", ran.stdout, ran.stderr);
    shows_none("the report", &ran.stdout);
    shows_none("stderr", &ran.stderr);
    for (format, file) in REPORTS {
        shows_none(format, &fs::read_to_string(place.path().join(file)).unwrap());
    }
}

#[test]
fn no_report_of_a_log_or_a_recording_shows_a_secret() {
    let place = Place::new();
    place.write("policies.toml", include_str!("../../policies.toml"));
    place.write("m.toml", IDENTITIES);
    for (name, file) in [("jsonrpc", "session.har"), ("pomerium", "pomerium.jsonl")] {
        place.write("spoilt.log", spoilt(&sample(file)));
        rehearsed(&place, &["--from", name, "--mapping=m.toml", "spoilt.log"]);
        let ran = place.run(&["import", "--from", name, "--mapping=m.toml", "spoilt.log"]);
        shows_none("import", &ran.stdout);
        shows_none("stderr", &ran.stderr);
    }
    // A recording whose recorder was careless.
    let recording = include_str!("../../simulations/support-desk.jsonl");
    let (header, events) = recording.split_once('\n').unwrap();
    let first = documents(events).into_iter().nth(1).unwrap();
    let full = {
        let mut event = first;
        event["session"] = "s-1".into();
        event["id"] = "e-1".into();
        event["arguments"]["note"] = "late".into();
        event
    };
    let spoilt = spoilt(iter::once(full).collect::<Vec<_>>().as_slice());
    place.write("spoilt.jsonl", format!("{header}\n{spoilt}"));
    rehearsed(&place, &["spoilt.jsonl"]);
    for number in 2..spoilt.lines().count().min(120) {
        if number % 7 == 2 {
            let event = format!("spoilt.jsonl:{number}");
            for format in ["--format=human", "--format=json"] {
                let ran = place.run(&["simulate", "--explain", &event, format, "spoilt.jsonl"]);
                shows_none(&event, &ran.stdout);
                shows_none(&event, &ran.stderr);
            }
        }
    }
    let ran = place.run(&["import", "--from=recording", "spoilt.jsonl"]);
    assert!(ran.stdout.contains("[redacted]"), "{}", ran.stderr);
    shows_none("import", &ran.stdout);
    shows_none("stderr", &ran.stderr);
}
