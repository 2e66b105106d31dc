//! Foreign logs by the shipped field maps: what each line becomes, and that none is lost.
//!
//! The lines of `examples/logs` were made up from the field names of each format. The 1,564 events of
//! a real proxy are not part of this repository: `DOORWARD_TRAFFIC_DIR` names the folder that holds
//! `mcpproxy-activity.jsonl`. Without it that test says that it is skipped, and fails where
//! `DOORWARD_TRAFFIC=required` is set.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use doorward::diagnostics::Sources;
use doorward::traffic::fieldmap::{FieldMap, SHIPPED, load, shipped};
use doorward::traffic::mapping::{self, Mapping};
use doorward::traffic::{Event, Imported, Numbered, line, log, read_event};
use proptest::prelude::*;

use crate::elsewhere::traffic;

/// Who made the calls of the samples: nothing in the logs was verified.
const IDENTITIES: &str = r#"
version = 1
doors = { "tickets.example.com" = "tickets" }
issuers = { "https://login.example.com" = "corp" }
[[identities]]
issuer = "corp"
groups = ["support"]
"#;

fn map(name: &str) -> FieldMap {
    load(name, shipped(name).unwrap().text.as_bytes(), &mut Sources::default()).unwrap()
}

fn mapping(text: &str) -> Mapping {
    mapping::load("mapping.toml", text.as_bytes(), &mut Sources::default()).unwrap()
}

fn import(bytes: &[u8], map: &FieldMap, mapping: Option<&Mapping>) -> (Vec<Event>, Vec<String>, Imported) {
    let (mut events, mut shown) = (Vec::new(), Vec::new());
    let imported = log::read(bytes, map, mapping, &mut |item| {
        match item {
            Ok(Numbered { place, event }) => {
                let written = line(&event).unwrap();
                assert_eq!(read_event(written.as_bytes()).unwrap(), event, "what is imported can be read again");
                shown.push(format!("{place}: {written}"));
                events.push(event);
            }
            Err(unreadable) => shown.push(unreadable.to_string()),
        }
        ControlFlow::Continue(())
    });
    assert!(imported.is_complete(), "{imported:#?}");
    assert_eq!(imported.events, events.len() as u64);
    (events, shown, imported)
}

/// What a sample becomes, line by line, and the counts.
fn sample(name: &str, file: &str) -> String {
    let (_, shown, counts) = read(name, file, IDENTITIES);
    format!("{}\n\n{counts:#?}", shown.join("\n"))
}

#[test]
fn mcpproxy_lines() {
    insta::assert_snapshot!(sample("mcpproxy", "mcpproxy.jsonl"));
}

#[test]
fn agentgateway_lines() {
    insta::assert_snapshot!(sample("agentgateway", "agentgateway.jsonl"));
}

#[test]
fn toolhive_lines() {
    insta::assert_snapshot!(sample("toolhive", "toolhive.jsonl"));
}

#[test]
fn pomerium_lines() {
    insta::assert_snapshot!(sample("pomerium", "pomerium.jsonl"));
}

/// What each record of a log in the form of that map came to, in the words of its verdict.
fn verdicts(name: &str, log: &str) -> Vec<String> {
    let (events, shown, _) = import(log.as_bytes(), &map(name), None);
    assert_eq!(events.len(), shown.len(), "{shown:?}");
    let verdict =
        |event: &Event| event.foreign.as_ref().map(|foreign| format!("{:?} {}", foreign.effect, foreign.said));
    events.iter().map(|event| verdict(event).unwrap_or_else(|| "none".to_owned())).collect()
}

#[test]
fn a_failure_that_may_come_from_either_side_is_no_verdict() {
    let call =
        r#"{"time":"2026-03-02T13:00:00Z","mcp.method.name":"tools/call","mcp.target":"t","gen_ai.tool.name":"a""#;
    let log: String = ["", r#","http.status":200"#, r#","http.status":200,"mcp.error.code":-32602"#]
        .into_iter()
        .map(str::to_owned)
        .chain([400, 403, 404, 429, 500, 503].map(|status| format!(r#","http.status":{status}"#)))
        .map(|more| format!("{call}{more}}}\n"))
        .collect();
    let expected = ["none", "Allow no mcp.error.code", "none", "none", "Deny 403", "none", "none", "none", "none"];
    assert_eq!(verdicts("agentgateway", &log), expected);

    let answers = [
        r#""result":{}"#,
        r#""result":{"isError":false}"#,
        r#""result":{"isError":true,"content":[{"type":"text","text":"Forbidden"}]}"#,
        r#""error":{"code":-32603,"message":"403 Forbidden"}"#,
        r#""error":{"code":-32000,"message":"Unauthorized"}"#,
        r#""error":{"code":-32000,"message":"no","data":{"error":"insufficient_scope"}}"#,
        r#""error":{"code":403,"message":"no"}"#,
    ];
    let log: String = (1..)
        .zip(answers)
        .map(|(id, answer)| {
            let request = format!(r#"{{"id":{id},"method":"tools/call","params":{{"name":"a"}}}}"#);
            let record = |message: &str| {
                format!("{{\"time\":\"2026-03-02T13:00:00Z\",\"server\":\"t\",\"message\":{message}}}\n")
            };
            record(&request) + &record(&format!(r#"{{"id":{id},{answer}}}"#))
        })
        .collect();
    let counted = import(log.as_bytes(), &map("jsonrpc"), None);
    let told: Vec<_> =
        counted.0.iter().map(|event| event.foreign.as_ref().map(|f| format!("{:?} {}", f.effect, f.said))).collect();
    let expected = [
        Some("Allow result"),
        Some("Allow result"),
        None,
        None,
        None,
        Some("Deny insufficient_scope"),
        Some("Deny 403"),
    ];
    assert_eq!(told.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);

    let attribute = |key: &str, value: &str| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
    for (name, kind) in [("otlp", 2), ("otlp-client", 3)] {
        let span = |more: &str, attributes: &[(&str, &str)]| {
            let always = [("mcp.method.name", "tools/call"), ("mcp.server.name", "t"), ("gen_ai.tool.name", "a")];
            let all: Vec<String> = always.iter().chain(attributes).map(|(key, value)| attribute(key, value)).collect();
            format!(
                r#"{{"kind":{kind},"startTimeUnixNano":"1772456400000000000"{more},"attributes":[{}]}}"#,
                all.join(",")
            )
        };
        let spans = [
            span("", &[]),
            span(r#","status":{}"#, &[("http.response.status_code", "200")]),
            span(r#","status":{"code":1}"#, &[]),
            span(r#","status":{"code":2,"message":"forbidden"}"#, &[]),
            span("", &[("http.response.status_code", "503")]),
            span("", &[("http.response.status_code", "403")]),
            span("", &[("error.type", "timeout")]),
            span(r#","droppedAttributesCount":1"#, &[]),
        ];
        let export = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, spans.join(","));
        let said = "Allow no error.type";
        let expected = [said, said, said, "none", "none", "Deny 403", "none", "none"];
        assert_eq!(verdicts(name, &export), expected, "{name}");
    }
}

#[test]
fn arguments_that_pomerium_was_not_told_to_log_are_unknown() {
    let call = r#"{"time":"2026-03-02T13:00:00Z","host":"t","allow":true,"mcp-method":"tools/call","mcp-tool":"a"}"#;
    let (events, ..) = import(call.as_bytes(), &map("pomerium"), None);
    let written = line(&events[0]).unwrap();
    assert!(!written.contains("arguments"), "neither known nor absent: {written}");
}

#[test]
fn envoy_lines() {
    insta::assert_snapshot!(sample("envoy", "envoy.jsonl"));
}

#[test]
fn otlp_spans_of_servers_count_once() {
    insta::assert_snapshot!(sample("otlp", "otlp.jsonl"));
}

#[test]
fn otlp_spans_of_clients_are_read_where_no_server_wrote_one() {
    let (events, _, counts) = read("otlp-client", "otlp.jsonl", IDENTITIES);
    assert_eq!((events.len(), events[0].door.as_str(), events[0].name.as_str()), (1, "desk-assistant", "search"));
    assert_eq!(counts.ignored["server side of a call"], 9);
}

#[test]
fn an_export_over_many_lines_is_read_like_one_on_a_line() {
    let text = fs::read_to_string(logs().join("otlp.jsonl")).unwrap();
    let line = text.lines().nth(1).unwrap();
    let whole = serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(line).unwrap()).unwrap();
    let (map, identities) = (map("otlp"), mapping(IDENTITIES));
    let one = import(line.as_bytes(), &map, Some(&identities));
    let many = import(whole.as_bytes(), &map, Some(&identities));
    assert_eq!((one.0, one.2), (many.0, many.2));
}

#[test]
fn messages_with_their_answers() {
    insta::assert_snapshot!(sample("jsonrpc", "jsonrpc.jsonl"));
}

#[test]
fn a_token_of_a_transcript_is_as_old_as_its_session_makes_it() {
    let identities = "version = 1\n[[identities]]\nissuer = \"corp\"\nage = \"10s\"\nlifetime = \"1h\"\n";
    let (events, _, _) = read("jsonrpc", "jsonrpc.jsonl", identities);
    let issued: Vec<i64> = events.iter().map(|event| event.token.iat.present().unwrap().0).collect();
    let first = |session: &str| {
        let of = |event: &&Event| event.session.present().is_some_and(|name| name == session);
        events.iter().find(of).unwrap().time.0 - 10
    };
    let expected: Vec<i64> = events.iter().map(|event| first(event.session.present().unwrap())).collect();
    assert_eq!(issued, expected);
    let (events, _, _) = read("envoy", "envoy.jsonl", identities);
    assert!(events.iter().all(|event| event.token.iat.present().unwrap().0 == event.time.0 - 10));
}

#[test]
fn a_har_file_gives_its_messages_and_no_header() {
    let shown = sample("jsonrpc", "session.har");
    assert!(!shown.contains("Bearer") && !shown.contains("never.read"));
    insta::assert_snapshot!(shown);
}

#[test]
fn the_history_of_an_inspector_and_bare_messages() {
    let identities = "version = 1\ndoors = { \"\" = \"tickets\" }\n[time]\nstart = 2026-03-02T13:00:00Z\ncall = \"20s\"\n\
                      [[identities]]\nissuer = \"corp\"\n";
    let mut shown = Vec::new();
    for file in ["inspector.json", "bare.jsonl"] {
        shown.extend(read("jsonrpc", file, identities).1);
    }
    insta::assert_snapshot!(shown.join("\n"));
    let (_, shown, counts) = import(&fs::read(logs().join("bare.jsonl")).unwrap(), &map("jsonrpc"), None);
    assert_eq!(counts.unreadable, 2, "{shown:#?}");
}

#[test]
fn requests_without_an_answer_are_events_in_their_order() {
    let (map, mut log) = (map("jsonrpc"), String::new());
    let answered = 1_500;
    for n in 0..3_000 {
        log += &format!(
            "{{\"time\":\"2026-03-02T13:00:00Z\",\"server\":\"s\",\"message\":{{\"id\":{n},\"method\":\"tools/call\",\"params\":{{\"name\":\"t{n}\"}}}}}}\n"
        );
    }
    // Far behind its request, and so without effect; and within reach of it.
    for n in [3, 2_990] {
        log += &format!("{{\"server\":\"s\",\"message\":{{\"id\":{n},\"result\":{{}}}}}}\n");
    }
    let (events, _, counts) = import(log.as_bytes(), &map, None);
    assert!(events.iter().enumerate().all(|(n, event)| event.name == format!("t{n}")) && events.len() == 3_000);
    assert!(events[2_990].foreign.is_some() && events[3].foreign.is_none() && events[answered].foreign.is_none());
    assert_eq!((counts.ignored["response"], counts.ignored["response without its request"]), (1, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_becomes_of_a_log_every_record_is_accounted_for(
        which in 0..SHIPPED.len(),
        file in prop::sample::select(vec!["agentgateway.jsonl", "bare.jsonl", "envoy.jsonl", "inspector.json", "jsonrpc.jsonl",
            "mcpproxy.jsonl", "otlp.jsonl", "pomerium.jsonl", "session.har", "toolhive.jsonl"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = fs::read(logs().join(file)).unwrap();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let map = load("m", SHIPPED[which].text.as_bytes(), &mut Sources::default()).unwrap();
        let (_, _, counts) = import(&bytes, &map, Some(&mapping(IDENTITIES)));
        // A log of lines has as many documents as lines; what spans lines is one.
        let lines = bytes.split(|b| *b == b'\n').count() - usize::from(bytes.last() == Some(&b'\n') || bytes.is_empty());
        prop_assert!(counts.documents <= lines as u64);
    }
}

fn logs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/logs")
}

fn read(name: &str, file: &str, identities: &str) -> (Vec<Event>, Vec<String>, Imported) {
    import(&fs::read(logs().join(file)).unwrap(), &map(name), Some(&mapping(identities)))
}

#[test]
fn all_1564_events_of_a_real_proxy_are_accounted_for() {
    let Some(path) = traffic("mcpproxy-activity.jsonl") else { return };
    let bytes = fs::read(path).unwrap();
    let identities = mapping(
        "version = 1\n[[identities]]\nissuer = \"corp\"\nsub = \"{session}\"\nagent = \"{/metadata/client_name}\"\n",
    );
    let (events, _, counts) = import(&bytes, &map("mcpproxy"), Some(&identities));
    insta::assert_debug_snapshot!(counts, @r#"
    Imported {
        documents: 1564,
        records: 1564,
        events: 1218,
        ignored: {
            "a tool of the proxy itself": 313,
            "start or stop of the proxy": 33,
        },
        unmapped: {},
        unidentified: 0,
        unreadable: 0,
    }
    "#);
    let said = |word: &str| events.iter().filter(|e| e.foreign.as_ref().is_some_and(|f| f.said == word)).count();
    assert_eq!((said("success"), said("error"), said("blocked")), (1137, 29, 52));
    assert!(events.iter().all(|event| event.decided.is_none() && event.arguments.present().is_none()));
}
