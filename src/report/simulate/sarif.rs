//! A rehearsal as SARIF 2.1.0, for code scanning: each change at the statement that makes it.
//!
//! The ids of the rules are stable, and a finding is told again by what it is about and not by its
//! line. Holds nothing of the machine: no absolute path, time or user.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::answer;
use super::words::{self, Level, Rehearsed, by_impact, code, event_place, idle, many, place_of, usage};
use crate::model::Reason;
use crate::report::sarif::log::{
    self, Artifact, Configuration, Finding, Help, Location, Message, Physical, Region, Rule, Text, uri,
};
use crate::report::text::harmless;
use crate::simulate::Change;

/// The most findings: code scanning shows no more of one run.
const MOST: usize = 5_000;

/// Every rule: its id, how bad it is by itself, what it means, and what to do.
const RULES: [(&str, Level, &str, &str); 13] = [
    ("drift", Level::Error, "a recorded decision is not reproduced by the policy that made it", DRIFT),
    ("newly-denied", Level::Warning, "recorded requests that were allowed would be denied", DENIED),
    ("newly-allowed", Level::Warning, "recorded requests that were denied would be allowed", ALLOWED),
    ("undecidable", Level::Note, "recorded requests cannot be judged: a fact was not recorded", UNDECIDABLE),
    ("other-reason", Level::Note, "recorded requests are denied as before, for another reason", SAME),
    ("other-rule", Level::Note, "recorded requests are answered as before, by another statement", SAME),
    ("other-obligations", Level::Note, "recorded requests are answered as before, with other obligations", SAME),
    ("denied", Level::Note, "recorded requests would be denied; there is nothing to compare with", DENIED),
    ("never-hit", Level::Note, "a statement decided none of the recorded requests", IDLE),
    ("shadowed", Level::Note, "a statement applied, and another decided each time", IDLE),
    ("only-denied", Level::Note, "a grant applied only to requests that were denied for another reason", IDLE),
    ("only-undecidable", Level::Note, "a statement applied only to requests that cannot be decided", IDLE),
    ("unreadable", Level::Error, "a record could not be read", UNREADABLE),
];

const DRIFT: &str =
    "The engine changed, or the recording is not what it says. Do not trust the other findings before this is settled.";
const DENIED: &str = "If the requests are right, change the statement as the finding says; if not, expect complaints.";
const ALLOWED: &str = "Check that the access is meant; if not, narrow the statement.";
const UNDECIDABLE: &str = "List the argument under `capture` of the tool, so that the next recording keeps it.";
const SAME: &str = "Nothing changes for callers. Check that the statement that answers now is the one that was meant.";
const IDLE: &str = "Remove it, or rehearse traffic that needs it.";
const UNREADABLE: &str = "Mend or remove the record: what cannot be read is not judged.";

/// The rehearsal as one SARIF run.
pub fn sarif(rehearsed: &Rehearsed<'_>) -> String {
    let report = rehearsed.report;
    let mut findings = Vec::new();
    for change in by_impact(&report.drift.different).into_iter().chain(by_impact(&report.changes)) {
        findings.push(of_change(rehearsed, change));
    }
    for sample in &report.unreadable_samples {
        let text = format!("{}: {}", harmless(&event_place(sample)), harmless(&sample.about));
        let line = u32::try_from(sample.place.record).ok();
        let region = line.map(|start_line| Region { start_line, start_column: 1, end_line: None, end_column: None });
        let place = Physical { artifact_location: Artifact { uri: uri(&sample.source) }, region };
        let print = fingerprint(["unreadable", &sample.source, &sample.place.to_string()]);
        findings.push(finding("unreadable", Level::Error, text, place, print));
    }
    for hits in idle(report) {
        let (id, meaning) = usage(hits.usage);
        let mut text = format!("{} {meaning}", harmless(&hits.rule.label()));
        if hits.nearly > 0 {
            text += &format!("; {} failed only its argument rules or its end date", many(hits.nearly, "event"));
        }
        let kind = hits.rule.kind.to_string();
        let name = if hits.rule.name.is_empty() { &hits.rule.at } else { &hits.rule.name };
        let place = physical(Some(hits.rule.at.as_str()), rehearsed.policy);
        findings.push(finding(id, Level::Note, text, place, fingerprint([id, &kind, name])));
    }
    findings.truncate(MOST);
    let rules = RULES.iter().map(|(id, default, meaning, help)| Rule {
        id,
        short_description: Text { text: meaning },
        default_configuration: Configuration { level: level(*default) },
        help: Help { text: (*help).to_owned(), markdown: (*help).into() },
        help_uri: log::repository().map(|url| format!("{url}/blob/main/docs/reports.md#{id}")),
    });
    log::render(rules.collect(), findings)
}

fn of_change<'a>(rehearsed: &Rehearsed<'_>, change: &Change) -> Finding<'a> {
    let (before, after) = (answer(&change.before), answer(&change.after));
    let mut text = format!(
        "{} of `{}` {}: {} → {}",
        many(change.count, "recorded event"),
        harmless(&change.item),
        words::kind(change.kind),
        harmless(&before),
        harmless(&after),
    );
    if let Some(first) = change.samples.first() {
        text += &format!("\nfirst: {} at {}", harmless(&first.about), harmless(&event_place(first)));
    }
    if let Some(advice) = words::advice(change) {
        text += &format!("\nto allow it: {}", harmless(advice));
    }
    // Neither the count nor the line: both move without the finding being another.
    let rule = |answer: &crate::simulate::Answer| answer.rule().map_or_else(String::new, |rule| rule.name.clone());
    let print = fingerprint([
        code(change.kind),
        &change.item,
        change.before.reason().map(Reason::code).unwrap_or_default(),
        change.after.reason().map(Reason::code).unwrap_or_default(),
        &rule(&change.before),
        &rule(&change.after),
    ]);
    let place = physical(rehearsed.place(change), rehearsed.policy);
    finding(code(change.kind), rehearsed.level(change.kind), text, place, print)
}

fn finding<'a>(id: &'static str, of: Level, text: String, place: Physical, fingerprint: String) -> Finding<'a> {
    Finding {
        rule_id: id,
        rule_index: RULES.iter().position(|(known, ..)| *known == id).unwrap_or_default(),
        level: level(of),
        message: Message { text },
        locations: vec![Location { id: None, physical_location: place, message: None }],
        related_locations: Vec::new(),
        partial_fingerprints: BTreeMap::from([("doorwardRehearsal/v1", fingerprint)]),
    }
}

/// A place in a policy, or the policy as a whole.
fn physical(at: Option<&str>, policy: &str) -> Physical {
    match at.and_then(place_of) {
        Some((file, start_line, start_column)) => Physical {
            artifact_location: Artifact { uri: uri(file) },
            region: Some(Region { start_line, start_column, end_line: None, end_column: None }),
        },
        None => Physical { artifact_location: Artifact { uri: uri(policy) }, region: None },
    }
}

fn fingerprint<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "note",
    }
}
