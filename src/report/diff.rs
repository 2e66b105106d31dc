//! What differs between two policies, for a person and as JSON (`doorward.diff/v1`).

use std::fmt::Write;

use serde::Serialize;

use super::style::Style;
use super::text::{harmless, plural, pretty};
use super::witness;
use crate::analyze::{Change, ChangeKind, Diff, Direction, Flip, Place, RuleRef, Unanswered};
use crate::model::Reason;

/// The name and version of the JSON format.
pub const SCHEMA: &str = "doorward.diff/v1";

/// The difference for a person: access first, then what is declared, then settings.
pub fn human(diff: &Diff, style: Style) -> String {
    let mut out = String::new();
    let mut place = None;
    for flip in &diff.flips {
        if place != Some(&flip.place) {
            line(&mut out, format_args!("{}", style.strong(harmless(&flip.place.to_string()))));
            place = Some(&flip.place);
        }
        write_flip(&mut out, flip, style);
    }
    for (title, list) in [("declared anew", &diff.added), ("no longer declared", &diff.removed)] {
        if !list.is_empty() {
            line(&mut out, format_args!("{}: {}", style.strong(title), names(list)));
        }
    }
    if !diff.changes.is_empty() {
        line(&mut out, format_args!("{}", style.strong("settings")));
    }
    for change in &diff.changes {
        let weaker = if change.weaker { format!("  {}", style.caution("weaker")) } else { String::new() };
        line(
            &mut out,
            format_args!(
                "  {} of {}: {} -> {}{weaker}",
                kind(change.kind),
                harmless(&change.of),
                shown(&change.before),
                shown(&change.after)
            ),
        );
    }
    for one in &diff.unanswered {
        line(&mut out, format_args!("{} {}: {}", style.bad("not answered"), one.place, one.limit));
    }
    out.push_str(&summary(diff));
    out
}

fn write_flip(out: &mut String, flip: &Flip, style: Style) {
    let (mark, verb, other) = match flip.direction {
        Direction::Gained => (style.caution("+"), "allowed", "the old policy denies it"),
        Direction::Lost => (style.bad("-"), "no longer allowed", "the new policy denies it"),
    };
    line(out, format_args!("  {mark} {verb} by {} to {}", rule(&flip.grant), harmless(&flip.to)));
    let because = flip.rule.as_ref().map_or_else(String::new, |r| format!(", {}", rule(r)));
    line(out, format_args!("      {other}: {} [{}]{because}", flip.reason.text(), flip.reason));
    line(out, format_args!("      {}", style.faint(harmless(&witness::command(&flip.witness)))));
}

fn rule(rule: &RuleRef) -> String {
    harmless(&rule.to_string()).into_owned()
}

fn names(places: &[Place]) -> String {
    places.iter().map(|p| harmless(&p.to_string()).into_owned()).collect::<Vec<_>>().join(", ")
}

fn shown(text: &str) -> String {
    if text.is_empty() { "nothing".to_owned() } else { harmless(text).into_owned() }
}

const fn kind(kind: ChangeKind) -> &'static str {
    match kind {
        ChangeKind::Trust => "trust",
        ChangeKind::AuditClass => "audit class",
        ChangeKind::Retention => "retention",
        ChangeKind::AuditStore => "audit store",
        ChangeKind::AuditKey => "audit key",
        ChangeKind::Hold => "hold",
        ChangeKind::Redaction => "redaction",
        ChangeKind::Rate => "rate",
        ChangeKind::Credential => "credential",
        ChangeKind::CredentialTtl => "credential lifetime",
        ChangeKind::Location => "location",
        ChangeKind::Client => "client requests",
    }
}

/// The last line: how much of what.
fn summary(diff: &Diff) -> String {
    if diff.is_empty() {
        return "no difference\n".to_owned();
    }
    let count = |direction| diff.flips.iter().filter(|f| f.direction == direction).count();
    let mut text = match (count(Direction::Gained), count(Direction::Lost)) {
        (0, 0) => "nobody gains or loses access".to_owned(),
        (1, lost) => format!("1 way of access gained, {lost} lost"),
        (gained, lost) => format!("{gained} ways of access gained, {lost} lost"),
    };
    for (number, what) in [(diff.changes.len(), "setting"), (diff.unanswered.len(), "unanswered question")] {
        if number > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, ", {}", plural(number, what));
        }
    }
    text + "\n"
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

/// The difference as one JSON document. The digests are those of the policies.
pub fn json(diff: &Diff, old: &str, new: &str) -> String {
    pretty(&Report {
        schema: SCHEMA,
        old,
        new,
        widens: diff.widens(),
        narrows: diff.narrows(),
        access: diff.flips.iter().map(FlipJson::of).collect(),
        declared: diff.added.iter().map(ToString::to_string).collect(),
        no_longer_declared: diff.removed.iter().map(ToString::to_string).collect(),
        settings: &diff.changes,
        not_answered: diff.unanswered.iter().map(UnansweredJson::of).collect(),
    })
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    old: &'a str,
    new: &'a str,
    widens: bool,
    narrows: bool,
    access: Vec<FlipJson<'a>>,
    declared: Vec<String>,
    no_longer_declared: Vec<String>,
    settings: &'a [Change],
    not_answered: Vec<UnansweredJson>,
}

#[derive(Serialize)]
struct FlipJson<'a> {
    item: String,
    change: &'static str,
    grant: &'a RuleRef,
    to: &'a str,
    reason: Reason,
    rule: Option<&'a RuleRef>,
    request: witness::Json<'a>,
}

impl<'a> FlipJson<'a> {
    fn of(flip: &'a Flip) -> Self {
        Self {
            item: flip.place.to_string(),
            change: match flip.direction {
                Direction::Gained => "gained",
                Direction::Lost => "lost",
            },
            grant: &flip.grant,
            to: &flip.to,
            reason: flip.reason,
            rule: flip.rule.as_ref(),
            request: witness::Json::of(&flip.witness),
        }
    }
}

/// A question that was too large, as JSON.
#[derive(Serialize)]
pub(super) struct UnansweredJson {
    item: String,
    why: String,
}

impl UnansweredJson {
    pub(super) fn of(one: &Unanswered) -> Self {
        Self { item: one.place.to_string(), why: one.limit.to_string() }
    }
}
