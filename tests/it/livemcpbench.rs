//! The example policy over 531 calls that a real agent made to real MCP servers.
//!
//! The transcripts are not part of this repository: `DOORWARD_TRAFFIC_DIR` names the folder that
//! holds `livemcpbench-claude-sonnet-4.json`. Without it the test says that it is skipped, and fails where
//! `DOORWARD_TRAFFIC=required` is set.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::path::Path;

use doorward::analyze::served;
use doorward::diagnostics::{Code, Sources};
use doorward::mcp::{Catalogue, Limits};
use doorward::policy::{Layers, LoadedPolicy, load};
use doorward::report::{Style, simulate as render, suite as render_suite};
use doorward::simulate::suite::run;
use doorward::simulate::{GateVerdict, Rehearsal};
use doorward::traffic::{Event, Header, Imported, Numbered, Reader, Writer, chat, mapping};
use serde_json::{Value, json};

use crate::elsewhere::traffic;
use crate::place::Place;

const POLICY: &[u8] = include_bytes!("../../examples/livemcpbench/policies.toml");
const MAPPING: &[u8] = include_bytes!("../../examples/livemcpbench/mapping.toml");
const TRANSCRIPTS: &str = "livemcpbench-claude-sonnet-4.json";

const TOOLS: &str = "livemcpbench-tools.json";

fn policy() -> (LoadedPolicy, Sources) {
    let layers = Layers { files: vec![("policies.toml".to_owned(), POLICY.to_vec())], environment: Vec::new() };
    let loaded = load(&layers);
    let policy = loaded.policy.unwrap_or_else(|| panic!("{:#?}", loaded.problems));
    (policy, loaded.sources)
}

fn import(path: &Path) -> (Vec<Numbered>, Imported) {
    let mapping = mapping::load("mapping.toml", MAPPING, &mut Sources::default()).unwrap();
    let mut events = Vec::new();
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    let imported = chat::read(file, &mapping, &mut |item| events.push(item.unwrap()));
    (events, imported)
}

#[test]
fn the_tests_in_the_example_policy_pass() {
    let (policy, sources) = policy();
    let result = run(&policy.compiled, &policy.checks.tests, &sources);
    assert!(result.passed(), "{}", render_suite::human(&result, false, Style::PLAIN));
}

#[test]
fn the_policy_fits_what_the_servers_say_they_offer() {
    let Some(path) = traffic(TOOLS) else { return };
    let (policy, _) = policy();
    let listed: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut catalogues: BTreeMap<&str, Catalogue> = BTreeMap::new();
    for (name, server) in listed.as_array().unwrap().iter().flat_map(|entry| entry["tools"].as_object().unwrap()) {
        let page = json!({ "tools": server["tools"] }).to_string();
        catalogues.entry(name).or_default().add(page.as_bytes(), Limits::default()).unwrap();
    }
    let all = catalogues.iter().flat_map(|(server, catalogue)| served(&policy, server, catalogue));
    let problems: Vec<_> = all.filter(|problem| problem.code != Code::NotDeclared).collect();
    // The agent called it, and the server that is on record today does not have it.
    let [one] = &problems[..] else { panic!("{problems:#?}") };
    assert_eq!(one.message, "`okppt:generate_presentation_from_text_content` is not on the list of the server");
}

#[test]
fn all_531_calls_are_judged_and_the_counts_are_these() {
    let Some(path) = traffic(TRANSCRIPTS) else { return };
    let (events, imported) = import(&path);
    let (policy, _) = policy();
    let mut rehearsal = Rehearsal::new(&policy.compiled, None);
    rehearsal.source(TRANSCRIPTS);
    rehearsal.imported(&imported);
    for Numbered { place, event } in &events {
        rehearsal.event(*place, event);
    }
    let report = rehearsal.finish();
    assert_eq!((imported.documents, imported.records, imported.events), (95, 814, 531));
    assert_eq!(imported.ignored_total(), 283);
    assert!(imported.is_complete());
    assert_eq!((imported.unreadable, imported.unidentified), (0, 0));
    assert!(imported.unmapped.is_empty());
    let by = render::Tables::of([render::By::Reason, render::By::Rule, render::By::Door, render::By::Tool]);
    let limits = render::Limits { rows: 200, by };
    let text = render::human(&report, &GateVerdict::Open, limits, Style::PLAIN);
    insta::assert_snapshot!(text);
    let totals = report.totals;
    assert_eq!((totals.events, totals.allowed, totals.denied, totals.undecidable), (531, 420, 111, 0));
    assert_eq!(report.doors.list.len(), 50);
    assert_eq!(report.items.list.len(), 124);
}

/// The command of the documentation, as a program reads it.
#[test]
fn the_command_line_says_the_same_of_all_531_calls_as_json() {
    let Some(path) = traffic(TRANSCRIPTS) else { return };
    let example = |name: &str| format!("{}/examples/livemcpbench/{name}", env!("CARGO_MANIFEST_DIR"));
    let ran = Place::new().run(&[
        "simulate",
        "--policy",
        &example("policies.toml"),
        "--mapping",
        &example("mapping.toml"),
        "--format=json",
        path.to_str().unwrap(),
    ]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(report["schema"], "doorward.simulation/v1");
    let totals =
        ["events", "allowed", "denied", "undecidable"].map(|name| report["report"]["totals"][name].as_u64().unwrap());
    assert_eq!(totals, [531, 420, 111, 0]);
}

#[test]
fn a_transcript_written_as_a_recording_is_judged_alike() {
    let Some(path) = traffic(TRANSCRIPTS) else { return };
    let (events, _) = import(&path);
    let mut writer = Writer::new(Vec::new(), &Header::new("test")).unwrap();
    for Numbered { event, .. } in &events {
        writer.write(event).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let back: Vec<Event> = Reader::new(&bytes[..]).unwrap().map(|item| item.unwrap().event).collect();
    assert!(back.iter().eq(events.iter().map(|numbered| &numbered.event)));
}
