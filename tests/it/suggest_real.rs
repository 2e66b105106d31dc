//! Suggestions from traffic that real agents made.
//!
//! The logs are no part of this repository: `DOORWARD_TRAFFIC_DIR` names their folder. Without it
//! the tests say that they are skipped, and fail where `DOORWARD_TRAFFIC=required` is set.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::ops::ControlFlow;

use doorward::diagnostics::Sources;
use doorward::policy::{Layers, load};
use doorward::report::suggest::{Findings, toml};
use doorward::suggest::{Options, Proof, Score, Split, Studied, Study, Trial};
use doorward::traffic::{Numbered, chat, fieldmap, log, mapping};

use crate::elsewhere::traffic;

const MAPPING: &[u8] = include_bytes!("../../examples/livemcpbench/mapping.toml");

fn study(events: &[Numbered]) -> (Studied<'static>, Proof, Score) {
    let split = Split { share: 0.3, seed: 1 };
    let mut study = Study::new(Options::default(), None, &BTreeMap::new(), Some(split));
    for numbered in events {
        study.event(numbered.place, &numbered.event);
    }
    let mut studied = study.finish();
    studied.measure();
    let mut trial = Trial::new(&studied);
    for numbered in events {
        trial.event(numbered.place, &numbered.event);
    }
    let (proof, score) = trial.finish();
    let findings = Findings { studied: &studied, proof: &proof, score: score.as_ref() };
    let text = toml(&findings);
    let layers = Layers { files: vec![("suggested.toml".to_owned(), text.into())], environment: Vec::new() };
    let back = load(&layers);
    let policy = back.policy.unwrap_or_else(|| panic!("{:#?}", back.problems));
    assert_eq!(policy.compiled.digest(), studied.suggestion.policy.digest());
    (studied, proof, score.unwrap())
}

#[test]
fn every_call_of_livemcpbench_is_kept() {
    let Some(path) = traffic("livemcpbench-claude-sonnet-4.json") else { return };
    let mapping = mapping::load("mapping.toml", MAPPING, &mut Sources::default()).unwrap();
    let mut events = Vec::new();
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    chat::read(file, &mapping, &mut |item| events.push(item.unwrap()));
    let (studied, proof, score) = study(&events);
    assert_eq!((proof.replayed, proof.kept, proof.lost.len()), (531, 531, 0));
    let surface = studied.surface.unwrap();
    assert_eq!((surface.profiles, surface.items, surface.before, surface.after), (6, 124, 744, 168));
    assert_eq!((score.legitimate, score.kept, surface.held_out), (170, 96, Some(128)));
}

/// The proxy's log names a client and no user. For this test the client is the subject and the
/// agent, a call without one is its session's, and every call carries the scope of its tool.
const CLIENTS: &[u8] = br#"
version = 1
[[identities]]
issuer   = "bench"
sub      = "{/metadata/client_name}"
agent    = "{/metadata/client_name}"
scopes   = "{door}:{tool}"
audience = "http://127.0.0.1:8787/{door}/mcp"
age      = "0s"
lifetime = "1h"
absent   = ["claims", "groups"]
[[identities]]
sub = "{session}"
"#;

#[test]
fn every_call_through_a_real_proxy_is_kept_and_no_block_is_learned() {
    let Some(path) = traffic("mcpproxy-activity.jsonl") else { return };
    let map =
        fieldmap::load("mcpproxy", fieldmap::shipped("mcpproxy").unwrap().text.as_bytes(), &mut Sources::default());
    let mapping = mapping::load("mapping.toml", CLIENTS, &mut Sources::default()).unwrap();
    let mut events = Vec::new();
    log::read(&std::fs::read(path).unwrap()[..], &map.unwrap(), Some(&mapping), &mut |item| {
        events.push(item.unwrap());
        ControlFlow::Continue(())
    });
    let (studied, proof, score) = study(&events);
    let surface = studied.surface.unwrap();
    assert_eq!((studied.counts.legitimate, studied.counts.denied), (1166, 52));
    assert_eq!((proof.replayed, proof.kept, proof.lost.len(), proof.reopened.calls), (1166, 1166, 0, 50));
    assert_eq!((surface.before, surface.after, surface.held_out), (989, 162, Some(103)));
    assert_eq!((score.legitimate, score.kept, score.denied, score.still_denied), (387, 216, 21, 13));
}
