//! Foreign logs by the shipped field maps: what each line becomes, and that none is lost.
//!
//! The lines of `examples/logs` were made up from the field names of each format. The 1,564 events of
//! a real proxy are not part of this repository: `DOORWARD_TRAFFIC_DIR` names the folder that holds
//! `mcpproxy-activity.jsonl`. Without it that test says so and passes.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use doorward::diagnostics::Sources;
use doorward::traffic::fieldmap::{FieldMap, load, shipped};
use doorward::traffic::mapping::{self, Mapping};
use doorward::traffic::{Event, Imported, Numbered, line, log, read_event};

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
    assert_eq!(imported.events as usize, events.len());
    (events, shown, imported)
}

/// What a sample becomes, line by line, and the counts.
fn sample(name: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/logs").join(file);
    let (_, shown, counts) = import(&fs::read(path).unwrap(), &map(name), Some(&mapping(IDENTITIES)));
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

#[test]
fn envoy_lines() {
    insta::assert_snapshot!(sample("envoy", "envoy.jsonl"));
}

fn traffic(file: &str) -> Option<PathBuf> {
    let path = std::env::var_os("DOORWARD_TRAFFIC_DIR").map(|dir| PathBuf::from(dir).join(file));
    let path = path.filter(|path| path.is_file());
    if path.is_none() {
        #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
        {
            eprintln!("skipped: set DOORWARD_TRAFFIC_DIR to the folder that holds {file}");
        }
    }
    path
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
