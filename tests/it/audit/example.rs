//! The log under `examples/audit`: the calls of the example recording, as a guard would have logged them.

use std::fs;
use std::path::Path;

use doorward::audit::chain::{Column, Entry, Row, SealKind, Tail};
use serde_json::{Map, Value, json};

use super::{key, verify};

/// How many calls it holds.
const CALLS: usize = 24;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn made() -> Vec<Row> {
    let recording = fs::read_to_string(root().join("simulations/support-desk.jsonl")).unwrap();
    let (key, mut buffer, mut rows) = (key(), Vec::new(), Vec::new());
    let mut tail = Tail::new("5d1c0a7be2f94f0c8a3e6b7d90f1a2c4".into());
    let mut now = 1_772_456_300_000_000;
    let about = json!({"heads": [], "node": "gateway-1", "version": "0.1.0"});
    rows.push(tail.seal(SealKind::Open, about.as_object().unwrap().clone(), now, Some(&key), &mut buffer));
    for (n, line) in recording.lines().skip(1).take(CALLS).enumerate() {
        let event: Map<String, Value> = serde_json::from_str(line).unwrap();
        let text = |pointer: &str| event_at(&event, pointer);
        let allowed = text("/decided/effect") == Some("allow");
        let class = if text("/name") == Some("refund") { "financial" } else { "standard" };
        let request = format!("req-{:04}", n + 1);
        now = event["time"].as_i64().unwrap() * 1_000_000;
        let rule = event["decided"].get("rule").cloned();
        let mut kept = event.clone();
        kept.remove("decided");
        let entry = Entry::new(class.into(), if allowed { "intent" } else { "denial" }, now)
            .with(Column::Agent, text("/subject/agent"))
            .with(Column::Decision, text("/decided/effect"))
            .with(Column::Door, text("/door"))
            .with(Column::Issuer, text("/subject/issuer"))
            .with(Column::Method, text("/method"))
            .with(Column::Name, text("/name"))
            .with(Column::Policy, text("/decided/digest"))
            .with(Column::Reason, text("/decided/reason"))
            .with(Column::Request, request.as_str())
            .with(Column::Rule, text("/decided/rule/name"))
            .with(Column::Subject, text("/subject/sub"))
            .with_data(object(&json!({"event": kept, "rule": rule})));
        let row = tail.append(entry, now + 1_200, &mut buffer);
        let of = row.seq;
        rows.push(row);
        if allowed {
            let end = now + 41_000 + i64::try_from(n).unwrap() * 700;
            let mut outcome = Entry::new(class.into(), "outcome", end)
                .with(Column::Door, text("/door"))
                .with(Column::Reason, "answered")
                .with(Column::Request, request.as_str())
                .with_data(object(&json!({"of": of, "bytes": 512 + n})));
            (outcome.status, outcome.latency) = (Some(200), Some(end - now));
            rows.push(tail.append(outcome, end, &mut buffer));
        }
        if n == 11 {
            rows.push(tail.seal(SealKind::Checkpoint, Map::new(), now, Some(&key), &mut buffer));
        }
    }
    rows.push(tail.seal(SealKind::Close, Map::new(), now + 60_000_000, Some(&key), &mut buffer));
    rows
}

fn event_at<'a>(event: &'a Map<String, Value>, pointer: &str) -> Option<&'a str> {
    let mut parts = pointer.split('/').skip(1);
    let first = event.get(parts.next()?)?;
    parts.try_fold(first, |value, part| value.get(part))?.as_str()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone().into_iter().filter(|(_, v)| !v.is_null()).collect()
}

#[test]
fn the_example_log_is_what_the_code_writes() {
    let rows = made();
    assert!(verify(&rows).is_whole());
    let mut log = Vec::new();
    for row in &rows {
        row.write_line(&mut log);
        log.push(b'\n');
    }
    let update = std::env::var_os("UPDATE_DOCS").is_some();
    for (name, text) in [("support-desk.jsonl", log), ("audit.pub", key().public().to_pem().into_bytes())] {
        let path = root().join("examples/audit").join(name);
        if update {
            fs::write(&path, &text).unwrap();
        }
        assert!(fs::read(&path).is_ok_and(|there| there == text), "{name}: run it with UPDATE_DOCS=1");
    }
}
