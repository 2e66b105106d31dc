//! A rehearsal for people and as JSON, and beside it in the other formats.
//!
//! What may be wrong with the answer comes first: drift, then what could not be read. The order of
//! everything else is by impact and then by name, so that the same rehearsal gives the same bytes.

mod changes;
mod github;
mod groups;
mod junit;
mod limits;
mod markdown;
mod movers;
#[cfg(feature = "cli")]
mod page;
mod sarif;
mod sessions;
mod storage;
mod totals;
mod trust;
mod unusual;
mod words;

use std::fmt::Write;

use serde::Serialize;

use super::style::Style;
use super::text::{Cell, Columns, harmless, pretty};
use crate::model::{Effect, Reason};
use crate::simulate::{Answer, Breach, GateVerdict, Kind, Range, Report, Sample};

pub use github::github;
pub use junit::junit;
pub use markdown::{MARKDOWN_LIMIT, markdown};
#[cfg(feature = "cli")]
pub use page::html;
pub use sarif::sarif;
pub use words::Rehearsed;
use words::{many, were};

/// The schema of the JSON form.
pub const SCHEMA: &str = "doorward.simulation/v1";

/// How much people are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows of each table.
    pub rows: usize,
    /// The tables besides what is always shown.
    pub by: Tables,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 15, by: Tables::default() }
    }
}

/// A table that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum By {
    Subject,
    Agent,
    Door,
    Tool,
    Rule,
    Reason,
    Hour,
    Day,
    Session,
    Rate,
    Age,
    Argument,
    Storage,
    Unusual,
    Role,
    Tenant,
}

impl By {
    /// Every table with its name.
    pub const ALL: [(&'static str, Self); 16] = [
        ("subject", Self::Subject),
        ("agent", Self::Agent),
        ("role", Self::Role),
        ("tenant", Self::Tenant),
        ("door", Self::Door),
        ("tool", Self::Tool),
        ("rule", Self::Rule),
        ("reason", Self::Reason),
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("session", Self::Session),
        ("rate", Self::Rate),
        ("age", Self::Age),
        ("argument", Self::Argument),
        ("storage", Self::Storage),
        ("unusual", Self::Unusual),
    ];
}

/// Tables that were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables(u16);

impl Tables {
    /// The tables of these names.
    pub fn of(names: impl IntoIterator<Item = By>) -> Self {
        Self(names.into_iter().fold(0, |all, by| all | 1 << by as u16))
    }

    const fn has(self, by: By) -> bool {
        self.0 & (1 << by as u16) != 0
    }

    const fn any(self) -> bool {
        self.0 != 0
    }
}

/// The JSON form.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
struct Whole<'a> {
    /// Always `doorward.simulation/v1`.
    schema: &'static str,
    #[serde(flatten)]
    gate: &'a GateVerdict,
    ranges: Ranges,
    report: &'a Report,
}

/// What the totals can be once everything is known.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Ranges {
    allowed: Range,
    denied: Range,
    newly_denied: Range,
    newly_allowed: Range,
}

impl<'a> Whole<'a> {
    fn of(report: &'a Report, gate: &'a GateVerdict) -> Self {
        let totals = &report.totals;
        let ranges = Ranges {
            allowed: totals.allowed_range(),
            denied: totals.denied_range(),
            newly_denied: totals.newly_denied_range(),
            newly_allowed: totals.newly_allowed_range(),
        };
        Self { schema: SCHEMA, gate, ranges, report }
    }
}

/// The rehearsal as JSON.
pub fn json(report: &Report, gate: &GateVerdict) -> String {
    pretty(&Whole::of(report, gate))
}

/// The JSON Schema of the JSON form.
#[cfg(feature = "cli")]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Whole<'_>)
}

/// The rehearsal for people: what may be wrong with it, what changes, for whom, and the gate.
pub fn human(report: &Report, gate: &GateVerdict, limits: Limits, style: Style) -> String {
    let mut page = Page { out: String::new(), style, limits };
    page.terms(&report.terms);
    page.trust(report);
    page.totals(report);
    page.changes(report);
    page.flow(report);
    let chosen = limits.by;
    page.sessions(report, chosen.has(By::Session));
    page.rates(report, chosen.has(By::Rate));
    if !chosen.any() {
        page.movers(report);
    }
    for (by, title, groups) in [
        (By::Reason, "by reason", &report.reasons),
        (By::Rule, "by statement", &report.rules),
        (By::Door, "by door", &report.doors),
        (By::Tool, "by tool, prompt and resource", &report.items),
        (By::Subject, "by subject", &report.subjects),
        (By::Agent, "by agent", &report.agents),
        (By::Role, "by role", &report.roles),
        (By::Tenant, "by tenant", &report.tenants),
        (By::Hour, "by hour", &report.hours),
        (By::Day, "by day", &report.hours.days()),
    ] {
        if chosen.has(by) && !groups.list.is_empty() {
            page.groups(title, groups, report.totals.events);
            page.moved(report, by);
        }
    }
    if chosen.has(By::Age) {
        page.ages(report);
    }
    if chosen.has(By::Argument) {
        page.arguments(report);
    }
    if chosen.has(By::Unusual) {
        page.unusual(report);
    }
    page.storage(report, chosen.has(By::Storage));
    page.unused(report);
    page.untouched(report);
    page.gate(gate);
    page.out
}

struct Page {
    out: String,
    style: Style,
    limits: Limits,
}

impl Page {
    fn line(&mut self, text: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "{text}");
    }

    fn heading(&mut self, text: &str) {
        let heading = self.style.strong(text);
        self.line(format_args!("\n{heading}"));
    }

    /// How many rows of a table are not shown.
    fn rest(&mut self, rows: usize) {
        let rest = rows.saturating_sub(self.limits.rows);
        if rest > 0 {
            self.line(format_args!("  and {} more in the JSON report", many(rest as u64, "row")));
        }
    }

    fn table(&mut self, table: &Columns) {
        let text = table.render(self.style);
        self.out.push_str(&text);
    }

    fn gate(&mut self, gate: &GateVerdict) {
        let style = self.style;
        match gate {
            GateVerdict::Open => {}
            GateVerdict::Holds => self.line(format_args!("\n{}", style.good("the gate holds"))),
            GateVerdict::Broken { breaches } => {
                self.line(format_args!("\n{}", style.bad("the gate does not hold")));
                for Breach { what, count, limit } in breaches {
                    self.line(format_args!("  {} = {limit}, and there are {count}", what.key()));
                }
            }
            GateVerdict::CannotTell { because } => {
                self.line(format_args!("\n{}", style.caution("the gate cannot be judged")));
                for reason in because {
                    self.line(format_args!("  {reason}"));
                }
            }
        }
    }
}

/// Where a sampled event stands.
fn witness(sample: &Sample) -> String {
    format!("{}:{}", sample.source, sample.place)
}

fn cell(kind: Kind) -> Cell {
    let word = words::kind(kind);
    match kind {
        Kind::Drift | Kind::NewlyDenied | Kind::Denied => Cell::bad(word),
        Kind::NewlyAllowed | Kind::Undecidable => Cell::caution(word),
        Kind::OtherReason | Kind::OtherRule | Kind::OtherObligations => Cell::text(word),
    }
}

pub(super) fn answer(answer: &Answer) -> String {
    match answer {
        Answer::None => "?".to_owned(),
        Answer::Allow { rule: None } => "allow".to_owned(),
        Answer::Allow { rule: Some(rule) } => format!("allow by {}", rule.label()),
        Answer::Deny { reason, rule: None } => format!("deny {reason}"),
        // "denied by" says already what kind of statement it was.
        Answer::Deny { reason: Reason::DeniedBy, rule: Some(rule) } => format!("deny denied-by {}", rule.shown()),
        Answer::Deny { reason, rule: Some(rule) } => format!("deny {reason} by {}", rule.label()),
        Answer::Foreign { effect: Effect::Allow, said } => format!("allow, in the log `{}`", harmless(said)),
        Answer::Foreign { effect: Effect::Deny, said } => format!("deny, in the log `{}`", harmless(said)),
        Answer::Undecidable { missing } => format!("needs {}", missing.join(", ")),
    }
}

pub mod event;
pub mod matrix;

#[cfg(test)]
mod tests;
