//! How the events of a rehearsal come out, all together, and which way they took.

use super::{Page, many};
use crate::report::text::{Cell, Columns, harmless};
use crate::simulate::{Against, Column, Range, Report};

impl Page {
    pub(super) fn totals(&mut self, report: &Report) {
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
        self.limited(report);
    }

    /// What rates stop is not part of the decisions, so it has lines of its own.
    fn limited(&mut self, report: &Report) {
        let rates = &report.rates;
        let mut table = Columns::new(2);
        for (name, range, changed) in [
            ("over a rate", rates.now, false),
            ("newly over a rate", rates.newly_limited, true),
            ("no longer over a rate", rates.no_longer_limited, false),
        ] {
            let Range { at_least, at_most } = range;
            if at_most == 0 {
                continue;
            }
            let note = if at_most > at_least { format!("at least; at most {at_most}") } else { String::new() };
            let name = if changed && at_least > 0 { Cell::bad(name) } else { Cell::text(name) };
            table.row([name, Cell::number(at_least), Cell::faint(note)]);
        }
        if !table.is_empty() {
            self.heading("of what is allowed");
            self.table(&table);
        }
        if rates.not_replayed > 0 {
            let calls = many(rates.not_replayed, "later call");
            self.line(format_args!("  {calls} under a rate are not replayed: each may be over it"));
        }
    }

    /// Each way through the three columns, the most frequent first.
    pub(super) fn flow(&mut self, report: &Report) {
        if report.baseline.is_none() || report.flow.is_empty() {
            return;
        }
        self.heading("recorded, baseline, candidate");
        let mut flow: Vec<_> = report.flow.iter().collect();
        flow.sort_by_key(|way| std::cmp::Reverse(way.count));
        let mut table = Columns::new(2);
        for way in flow {
            let columns = way.columns;
            let baseline = columns.baseline.unwrap_or(Column::None);
            table.row([
                Cell::number(way.count),
                column(columns.recorded, None),
                column(baseline, None),
                column(columns.candidate, Some(baseline)),
            ]);
        }
        self.table(&table);
    }
}

/// One of the three; what differs from the one before it stands out.
fn column(column: Column, before: Option<Column>) -> Cell {
    let text = match column {
        Column::Allow => "allow",
        Column::Deny => "deny",
        Column::Undecidable => "undecidable",
        Column::None => "nothing",
    };
    match (column, before) {
        (Column::Deny, Some(Column::Allow)) => Cell::bad(text),
        (Column::Allow, Some(Column::Deny)) | (Column::Undecidable, _) => Cell::caution(text),
        _ => Cell::text(text),
    }
}
