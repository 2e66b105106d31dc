//! A suggested policy: as a policy file, for a person, as JSON and as a difference.
//!
//! Every line cites the events behind it. Nothing here learns or judges.

mod diff;
mod human;
mod json;
mod policy;

pub use diff::diff;
pub use human::human;
#[cfg(feature = "cli")]
pub use json::schema;
pub use json::{SCHEMA, json};
pub use policy::toml;

use super::text::{harmless, plural};
use crate::model::Timestamp;
use crate::suggest::{Evidence, Proof, Score, Studied};

/// Everything that a report says.
#[derive(Clone, Copy, Debug)]
pub struct Findings<'a> {
    /// The suggestion, and what it was learned from.
    pub studied: &'a Studied<'a>,
    /// What the replay showed.
    pub proof: &'a Proof,
    /// How the policy does on sessions that it was not learned from.
    pub score: Option<&'a Score>,
}

/// `12 calls`.
fn calls(count: u64) -> String {
    plural(usize::try_from(count).unwrap_or(usize::MAX), "call")
}

/// `3 of 4 (75.0%)`; of none just `0 of 0`.
fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 of 0".to_owned();
    }
    // Thousandths, rounded down: what is not whole never reads as 100 %.
    let thousandths = u128::from(part) * 1000 / u128::from(whole);
    format!("{part} of {whole} ({}.{}%)", thousandths / 10, thousandths % 10)
}

/// `FIRST to LAST`.
fn window(first: Option<Timestamp>, last: Option<Timestamp>) -> Option<String> {
    match (first, last) {
        (Some(first), Some(last)) if first == last => Some(first.to_string()),
        (Some(first), Some(last)) => Some(format!("{first} to {last}")),
        _ => None,
    }
}

/// The first few events, as `a.jsonl:3, :7`: what stands in the same source does not repeat it.
fn examples(evidence: &Evidence) -> String {
    let mut out = String::new();
    let mut last = None;
    for example in &evidence.examples {
        if !out.is_empty() {
            out.push_str(", ");
        }
        if last != Some(&example.source) {
            out.push_str(&harmless(&example.source));
        }
        out.push_str(&format!(":{}", example.place));
        last = Some(&example.source);
    }
    out
}

/// `12 calls by 3 subjects, FIRST to LAST: a.jsonl:3, :7`.
fn cited(evidence: &Evidence, subjects: usize, at_least: bool) -> String {
    let more = if at_least { " or more" } else { "" };
    let by = if subjects == 1 { "1 subject".to_owned() } else { format!("{subjects}{more} subjects") };
    let when = window(evidence.first, evidence.last).map_or_else(String::new, |w| format!(", {w}"));
    let places = examples(evidence);
    let colon = if places.is_empty() { "" } else { ": " };
    format!("{} by {by}{when}{colon}{places}", calls(evidence.calls))
}

/// The lines that say what was learned from, how the replay came out and what was left out: they
/// stand over the policy and under the report for a person.
fn remarks(findings: &Findings<'_>) -> Vec<String> {
    let Findings { studied, proof, score } = *findings;
    let (counts, suggestion) = (studied.counts, &studied.suggestion);
    let mut lines = Vec::new();
    let when = window(suggestion.learned.first, suggestion.learned.last).map_or_else(String::new, |w| format!(", {w}"));
    lines.push(format!(
        "learned from {} of {}{when}",
        calls(suggestion.learned.calls),
        plural(usize::try_from(counts.events).unwrap_or(usize::MAX), "event")
    ));
    for (count, what) in [
        (counts.undecided, "of these have no recorded decision"),
        (counts.denied, "not learned from: recorded as denied"),
        (counts.passed_over, "not learned from: no decision was recorded"),
    ] {
        if count > 0 {
            lines.push(format!("  {count} {what}"));
        }
    }
    for left in &suggestion.left_out {
        let places = examples(&left.evidence);
        let colon = if places.is_empty() { "" } else { ": " };
        lines.push(format!("  {} not learned from: {}{colon}{places}", left.evidence.calls, left.why.text()));
    }
    if counts.unmapped > 0 {
        lines.push(format!("  {} further records of the log are no MCP calls by its mapping", counts.unmapped));
    }
    if counts.unreadable > 0 {
        lines.push(format!("  {} not read: the record is not readable", counts.unreadable));
        for (example, message) in &studied.unreadable {
            lines.push(format!("    {}: {}", harmless(&example.to_string()), harmless(message)));
        }
    }
    lines.push(format!("replayed: {} legitimate calls are allowed", share(proof.kept, proof.replayed)));
    for lost in &proof.lost {
        let mark = if lost.explained { "" } else { "FAULT: " };
        lines.push(format!(
            "  {mark}{} not allowed [{}]: {}: {}",
            lost.evidence.calls,
            lost.reason,
            harmless(&lost.why),
            examples(&lost.evidence)
        ));
    }
    if proof.reopened.calls > 0 {
        lines.push(format!(
            "  {} recorded as denied and now allowed: {}",
            calls(proof.reopened.calls),
            examples(&proof.reopened)
        ));
    }
    lines.extend(surface(studied));
    lines.extend(score.iter().flat_map(|score| scored(score, studied)));
    for cap in &suggestion.caps {
        lines.push(format!("limit reached: {} [{}]", cap.text(), cap.code()));
    }
    lines
}

fn surface(studied: &Studied<'_>) -> Vec<String> {
    let Some(surface) = studied.surface else { return Vec::new() };
    let before = if studied.against.is_some() { "today's policy grants" } else { "everything for everyone is" };
    let removed = surface.before.saturating_sub(surface.after);
    let mut lines = vec![format!(
        "surface: {} pairs of a caller and an item ({} × {}), {before} {}: {} removed",
        surface.after,
        plural(surface.profiles, "caller"),
        plural(surface.items, "item"),
        surface.before,
        share(removed, surface.before)
    )];
    if surface.unanswered > 0 {
        lines.push(format!("  {} pairs were too large a question and count as granted", surface.unanswered));
    }
    lines
}

fn scored(score: &Score, studied: &Studied<'_>) -> Vec<String> {
    let mut lines = vec![
        format!("held out: {} of the sessions, seed {}", percent(score.share), score.seed),
        format!("  legitimate calls kept: {}", share(score.kept, score.legitimate)),
    ];
    for (reason, count) in &score.lost {
        lines.push(format!("    {count} lost [{reason}]"));
    }
    lines.push(format!("  denied calls still denied: {}", share(score.still_denied, score.denied)));
    if let Some((before, after)) = studied.surface.and_then(|s| Some((s.before, s.held_out?))) {
        lines.push(format!("  surface removed: {}", share(before.saturating_sub(after), before)));
    }
    lines
}

fn percent(share: f64) -> String {
    format!("{}%", (share * 1000.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_not_whole_never_reads_as_whole() {
        assert_eq!(share(999_999, 1_000_000), "999999 of 1000000 (99.9%)");
        assert_eq!(share(3, 4), "3 of 4 (75.0%)");
        assert_eq!(share(0, 0), "0 of 0");
        assert_eq!(percent(0.3), "30%");
    }
}
