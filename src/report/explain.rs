//! The explanation of one decision, for a person and as JSON (`doorward.explain/v1`).
//!
//! For the operator: argument values are shown as they are.

use std::fmt::Write;

use serde::Serialize;

use super::decision;
use super::style::Style;
use super::text::{Cell, Columns, harmless, pretty};
use crate::model::{Effect, Position, Request, RuleKind, Verdict};
use crate::pdp::{Check, Condition, Considered, Edit, Explanation, Outcome};

/// The name and version of the JSON format.
pub const SCHEMA: &str = "doorward.explain/v1";

/// The path of the decision, for a person.
pub fn human(explanation: &Explanation<'_>, request: &Request<'_>, style: Style) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = match explanation.verdict {
        Verdict::Decided(decision) => {
            let effect = match decision.effect {
                Effect::Allow => style.good("allow"),
                Effect::Deny => style.bad("deny"),
            };
            writeln!(out, "{effect} {}: {} [{}]", what(request), decision.reason.text(), decision.reason)
        }
        Verdict::Undecided(missing) => {
            let undecided = style.caution("undecidable");
            writeln!(out, "{undecided} {}: it depends on {}", what(request), decision::missing(&missing))
        }
    };
    let _ = writeln!(out, "\nchecks");
    out.push_str(&checks(&explanation.checks, style));
    if !explanation.statements.is_empty() {
        let _ = writeln!(out, "\nstatements that cover it");
        out.push_str(&statements(&explanation.statements, style));
    }
    if !explanation.advice.is_empty() {
        let _ = writeln!(out, "\nwhat would allow it");
        for advice in &explanation.advice {
            let _ = writeln!(out, "  - {}", harmless(&advice.to_string()));
        }
    }
    out
}

fn what(request: &Request<'_>) -> String {
    let resource = request.resource;
    let name = format!("{} {} {}", request.action.method(), resource.door, resource.name);
    harmless(name.trim_end()).into_owned()
}

fn mark(outcome: Outcome) -> Cell {
    match outcome {
        Outcome::Yes => Cell::good("yes"),
        Outcome::No => Cell::bad("no"),
        Outcome::Unknown => Cell::caution("?"),
    }
}

fn checks(checks: &[Check<'_>], style: Style) -> String {
    let mut columns = Columns::new(2);
    for check in checks {
        let Condition { field, wanted, found } = &check.condition;
        let found = if found.is_empty() { String::new() } else { format!("has {found}") };
        columns.row([mark(check.outcome), Cell::text(field), Cell::text(wanted), Cell::faint(found)]);
    }
    columns.render(style)
}

fn statements(statements: &[Considered<'_>], style: Style) -> String {
    let mut columns = Columns::new(2);
    for one in statements {
        let name = if one.rule.name.is_empty() { "-" } else { one.rule.name };
        let why = one
            .condition
            .as_ref()
            .map_or_else(|| "applies".to_owned(), |c| format!("{} asks for {}, has {}", c.field, c.wanted, c.found));
        // A deny that applies is the bad news.
        let mark = match (one.rule.kind, one.outcome) {
            (RuleKind::Deny, Outcome::Yes) => Cell::bad("yes"),
            (RuleKind::Deny, Outcome::No) => Cell::good("no"),
            (_, outcome) => mark(outcome),
        };
        let cells = [
            mark,
            Cell::text(one.rule.kind.to_string()),
            Cell::text(name),
            Cell::faint(one.rule.position.to_string()),
            Cell::text(why),
        ];
        columns.row(cells);
    }
    columns.render(style)
}

/// The path of the decision as one JSON document. `digest` is that of the policy.
pub fn json(explanation: &Explanation<'_>, digest: &str) -> String {
    let (effect, reason, missing) = match &explanation.verdict {
        Verdict::Decided(decision) => (Some(decision.effect), Some(decision.reason.code()), None),
        Verdict::Undecided(missing) => (None, None, Some(decision::missing(missing))),
    };
    pretty(&Report {
        schema: SCHEMA,
        policy: digest,
        effect,
        reason,
        missing,
        checks: explanation.checks.iter().map(CheckJson::of).collect(),
        statements: explanation.statements.iter().map(StatementJson::of).collect(),
        advice: explanation.advice.iter().map(ToString::to_string).collect(),
        edits: &explanation.advice,
    })
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    policy: &'a str,
    /// `null` when it is undecidable.
    effect: Option<Effect>,
    reason: Option<&'static str>,
    missing: Option<String>,
    checks: Vec<CheckJson<'a>>,
    statements: Vec<StatementJson<'a>>,
    /// What would allow it, in sentences.
    advice: Vec<String>,
    /// The same, for a program.
    edits: &'a [Edit<'a>],
}

#[derive(Serialize)]
struct CheckJson<'a> {
    reason: &'static str,
    holds: &'static str,
    field: &'a str,
    wanted: &'a str,
    found: &'a str,
}

#[derive(Serialize)]
struct StatementJson<'a> {
    kind: RuleKind,
    name: &'a str,
    place: &'a Position,
    applies: &'static str,
    field: Option<&'a str>,
    wanted: Option<&'a str>,
    found: Option<&'a str>,
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Yes => "yes",
        Outcome::No => "no",
        Outcome::Unknown => "unknown",
    }
}

impl<'a> CheckJson<'a> {
    fn of(check: &'a Check<'_>) -> Self {
        let Condition { field, wanted, found } = &check.condition;
        Self { reason: check.reason.code(), holds: word(check.outcome), field, wanted, found }
    }
}

impl<'a> StatementJson<'a> {
    fn of(one: &'a Considered<'_>) -> Self {
        let condition = one.condition.as_ref();
        Self {
            kind: one.rule.kind,
            name: one.rule.name,
            place: one.rule.position,
            applies: word(one.outcome),
            field: condition.map(|c| c.field.as_str()),
            wanted: condition.map(|c| c.wanted.as_str()),
            found: condition.map(|c| c.found.as_str()),
        }
    }
}
