//! A rehearsal for people and as JSON, and beside it in the other formats.
//!
//! What may be wrong with the answer comes first: drift, then what could not be read. The order of
//! everything else is by impact and then by name, so that the same rehearsal gives the same bytes.

mod github;
mod junit;
mod markdown;
#[cfg(feature = "cli")]
mod page;
mod sarif;
mod words;

use std::cmp::Reverse;
use std::fmt::Write;

use serde::Serialize;

use super::style::Style;
use super::text::{Cell, Columns, harmless, pretty};
use crate::model::{Effect, Reason};
use crate::policy::written;
use crate::simulate::{
    Against, Answer, Breach, Changes, Clock, Counts, GateVerdict, Group, Groups, Kind, Range, Report, Sample, Terms,
};

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

/// How much of each table people are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Rows of each table.
    pub rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { rows: 15 }
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

/// The rehearsal for people.
pub fn human(report: &Report, gate: &GateVerdict, limits: Limits, style: Style) -> String {
    let mut page = Page { out: String::new(), style, limits };
    page.terms(&report.terms);
    page.trust(report);
    page.totals(report);
    page.changes(report);
    for (title, groups) in [
        ("by reason", &report.reasons),
        ("by statement", &report.rules),
        ("by door", &report.doors),
        ("by tool, prompt and resource", &report.items),
        ("by subject", &report.subjects),
        ("by agent", &report.agents),
    ] {
        page.groups(title, groups);
    }
    page.never_hit(report);
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

    /// What of the question stands in no file.
    fn terms(&mut self, terms: &Terms) {
        let clock = match terms.clock {
            Clock::AsRecorded => None,
            Clock::Shifted { seconds } if seconds < 0 => Some(format!("--shift -{}", written(seconds.unsigned_abs()))),
            Clock::Shifted { seconds } => Some(format!("--shift {}", written(seconds.unsigned_abs()))),
            Clock::At { instant } => Some(format!("--at {instant}")),
        };
        for asked in terms.what_if.iter().cloned().chain(clock) {
            let what_if = self.style.strong("what if");
            self.line(format_args!("{what_if}  {}", harmless(&asked)));
        }
        if terms.against == Against::Unchanged {
            self.line("compared with the policy as it stands, at the recorded instants");
        }
    }

    /// Whether the answer can be trusted at all.
    fn trust(&mut self, report: &Report) {
        let style = self.style;
        let drift = &report.drift;
        if drift.checked > 0 {
            let (different, of) = (drift.different_total(), drift.decidable());
            if different == 0 {
                let all = many(of, "recorded decision");
                self.line(format_args!("{} by the policy that made them: {all}", style.good("reproduced")));
            } else {
                let text = format!("{different} of {} are not as recorded", many(of, "decision"));
                self.line(format_args!("{}: {text}, by the very policy that made them", style.bad("drift")));
                self.line("  an engine that does not reproduce yesterday is no judge of tomorrow");
                self.change_rows(&drift.different);
            }
            if drift.undecidable > 0 {
                let count = many(drift.undecidable, "decision");
                self.line(format_args!("  {count} cannot be checked: not everything they rest on was recorded"));
            }
        }
        if drift.other_policy > 0 {
            let events = many(drift.other_policy, "event");
            self.line(format_args!("{events} {} decided by a policy that is not here", were(drift.other_policy)));
        }
        if drift.foreign > 0 {
            let events = many(drift.foreign, "event");
            self.line(format_args!("{events} {} decided by another system", were(drift.foreign)));
        }
        let unreadable = report.unreadable_total();
        if unreadable > 0 {
            let text = format!("{} could not be read", many(unreadable, "record"));
            self.line(format_args!("{}", style.bad(text)));
            for (code, count) in &report.unreadable {
                self.line(format_args!("  {count}  {code}"));
            }
            for Sample { source, place, about, .. } in &report.unreadable_samples {
                let (at, about) = (style.faint(format!("{}:{place}", harmless(source))), harmless(about));
                self.line(format_args!("  {at}  {about}"));
            }
        }
        let skipped = &report.skipped;
        for (rule, count) in &skipped.ignored {
            let (records, rule) = (many(*count, "record"), harmless(rule));
            self.line(format_args!("{records} left out by the rule `{rule}`"));
        }
        for (function, count) in &skipped.unmapped {
            let (calls, name) = (many(*count, "call"), harmless(function));
            self.line(format_args!(
                "{}: {calls} of `{name}`, of which the mapping says nothing",
                style.caution("left out")
            ));
        }
        if skipped.unidentified > 0 {
            let events = many(skipped.unidentified, "event");
            self.line(format_args!("{}: no identity rule is about {events}", style.caution("unknown subject")));
        }
    }

    fn totals(&mut self, report: &Report) {
        let totals = &report.totals;
        let events = many(totals.events, "event");
        let when = report.window.map(|w| format!(", {} to {}", w.first, w.last)).unwrap_or_default();
        self.heading(&format!("{events}{when}"));
        let mut table = Columns::new(2);
        let mut row = |name: &str, count: u64, most: u64, cell: fn(String) -> Cell| {
            let note = if most > count { format!("at least; at most {most}") } else { String::new() };
            table.row([cell(name.to_owned()), Cell::number(count), Cell::faint(note)]);
        };
        row("allowed", totals.allowed, totals.allowed_range().at_most, Cell::good);
        row("denied", totals.denied, totals.denied_range().at_most, Cell::bad);
        row("undecidable", totals.undecidable, 0, Cell::caution);
        self.table(&table);
        for (fact, count) in &report.missing {
            let lack = if *count == 1 { "lacks" } else { "lack" };
            self.line(format_args!("  {} {lack} `{}`", many(*count, "event"), harmless(fact)));
        }
        if totals.uncompared == totals.events {
            return;
        }
        self.heading(match report.terms.against {
            Against::Recorded => "against what was recorded",
            Against::Baseline => "against the baseline",
            Against::Unchanged => "against the policy as it stands",
        });
        let mut table = Columns::new(2);
        let mut row = |name: &str, count: u64, most: u64, cell: fn(String) -> Cell| {
            let note = if most > count { format!("at least; at most {most}") } else { String::new() };
            let cell = if count > 0 { cell(name.to_owned()) } else { Cell::text(name) };
            table.row([cell, Cell::number(count), Cell::faint(note)]);
        };
        row("still allowed", totals.still_allowed, 0, Cell::text);
        row("still denied", totals.still_denied, 0, Cell::text);
        row("newly denied", totals.newly_denied, totals.newly_denied_range().at_most, Cell::bad);
        row("newly allowed", totals.newly_allowed, totals.newly_allowed_range().at_most, Cell::caution);
        for (name, count) in [
            ("undecidable on a side", totals.unsettled),
            ("nothing to compare with", totals.uncompared),
            ("denied for another reason", totals.other_reason),
            ("same by another statement", totals.other_rule),
            ("same with other obligations", totals.other_obligations),
        ] {
            if count > 0 {
                row(name, count, 0, Cell::text);
            }
        }
        self.table(&table);
    }

    fn table(&mut self, table: &Columns) {
        let text = table.render(self.style);
        self.out.push_str(&text);
    }

    fn changes(&mut self, report: &Report) {
        if report.changes.list.is_empty() {
            return;
        }
        let compared = report.totals.uncompared < report.totals.events;
        self.heading(if compared { "what comes out differently" } else { "what is not allowed" });
        self.change_rows(&report.changes);
    }

    fn change_rows(&mut self, changes: &Changes) {
        let list = words::by_impact(changes);
        let mut table = Columns::new(2);
        for change in list.iter().take(self.limits.rows) {
            let first = change.samples.first();
            let place = first.map(|s| format!("{}:{}", s.source, s.place)).unwrap_or_default();
            let about = first.map(|s| s.about.clone()).unwrap_or_default();
            table.row([
                Cell::number(change.count),
                cell(change.kind),
                Cell::strong(change.item.clone()),
                Cell::text(match &change.before {
                    Answer::None => answer(&change.after),
                    before => format!("{} → {}", answer(before), answer(&change.after)),
                }),
                Cell::text(about),
                Cell::faint(place),
            ]);
        }
        self.table(&table);
        let rest = list.len().saturating_sub(self.limits.rows);
        if rest > 0 {
            self.line(format_args!("  and {} more in the JSON report", many(rest as u64, "row")));
        }
        if changes.others > 0 {
            self.line(format_args!("  and {} of further kinds", many(changes.others, "event")));
        }
    }

    fn groups(&mut self, title: &str, groups: &Groups) {
        if groups.list.is_empty() {
            return;
        }
        self.heading(title);
        let mut list: Vec<&Group> = groups.list.iter().collect();
        list.sort_by_key(|group| Reverse(group.counts.impact()));
        let all = list.iter().map(|g| g.counts).chain([groups.others]);
        let compared = all.clone().any(|c| c.newly_denied.max(c.newly_allowed) > 0);
        let undecided = all.clone().any(|c| c.undecidable > 0);
        let mut table = Columns::new(2);
        let head = ["events", "allowed", "denied", "undecidable", "newly denied", "newly allowed"];
        let shown = [true, true, true, undecided, compared, compared];
        let pick =
            move |cells: [Cell; 6]| cells.into_iter().zip(shown).filter(|(_, shown)| *shown).map(|(cell, _)| cell);
        table.row([Cell::text("")].into_iter().chain(pick(head.map(Cell::faint))));
        let cells = |c: &Counts| {
            pick([c.events, c.allowed, c.denied, c.undecidable, c.newly_denied, c.newly_allowed].map(Cell::number))
        };
        for group in list.iter().take(self.limits.rows) {
            table.row([Cell::text(group.name.clone())].into_iter().chain(cells(&group.counts)));
        }
        let mut rest = groups.others;
        list.iter().skip(self.limits.rows).for_each(|group| rest.add(&group.counts));
        if rest.events > 0 {
            let more = if groups.others.events > 0 {
                "all others".to_owned()
            } else {
                many((list.len() - self.limits.rows) as u64, "other")
            };
            table.row([Cell::faint(more)].into_iter().chain(cells(&rest)));
        }
        self.table(&table);
    }

    fn never_hit(&mut self, report: &Report) {
        let idle: Vec<_> = report.statements.iter().filter(|s| s.decided == 0).collect();
        if idle.is_empty() || report.totals.events == 0 {
            return;
        }
        self.heading("statements that decided nothing here");
        let mut table = Columns::new(2);
        for hits in idle {
            let note = if hits.nearly > 0 {
                format!("{} failed only its argument rules or its end date", many(hits.nearly, "event"))
            } else {
                String::new()
            };
            table.row([Cell::text(hits.rule.label()), Cell::faint(hits.rule.at.clone()), Cell::caution(note)]);
        }
        self.table(&table);
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
