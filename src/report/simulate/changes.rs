//! What comes out differently, one row for each way.

use super::words::{self, many};
use super::{Page, answer, cell};
use crate::report::text::{Cell, Columns};
use crate::simulate::{Answer, Changes, Report};

impl Page {
    pub(super) fn changes(&mut self, report: &Report) {
        if report.changes.list.is_empty() {
            return;
        }
        let compared = report.totals.uncompared < report.totals.events;
        self.heading(if compared { "what comes out differently" } else { "what is not allowed" });
        self.change_rows(&report.changes);
    }

    pub(super) fn change_rows(&mut self, changes: &Changes) {
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
}
