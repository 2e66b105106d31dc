//! Allowed calls that are unusual.

use super::words::event_place;
use super::{Page, many};
use crate::report::text::{Cell, Columns};
use crate::simulate::{Because, RULES, Report, Unusual, UnusualCalls};

/// How many there are by one rule, listed or not.
pub(super) const fn found(unusual: &Unusual, because: Because) -> u64 {
    match because {
        Because::Rare => unusual.rare,
        Because::Late => unusual.late,
        Because::Hour => unusual.hours,
    }
}

/// Whether there are any.
pub(super) const fn any(unusual: &Unusual) -> bool {
    unusual.rare > 0 || unusual.late > 0 || unusual.hours > 0
}

/// The rows of one rule, of which there may be more.
pub(super) fn rows(unusual: &Unusual, because: Because) -> impl Iterator<Item = &UnusualCalls> {
    unusual.list.iter().filter(move |row| row.because == because)
}

/// What was called, or when.
pub(super) fn what(row: &UnusualCalls) -> String {
    row.hour.map_or_else(|| row.item.clone(), |hour| format!("{hour:02}:00 to {hour:02}:59, first {}", row.item))
}

impl Page {
    pub(super) fn unusual(&mut self, report: &Report) {
        let unusual = &report.unusual;
        self.heading("unusual calls that are allowed");
        for (because, rule) in RULES {
            let total = found(unusual, because);
            if total == 0 {
                continue;
            }
            let mut table = Columns::new(2);
            for row in rows(unusual, because).take(self.limits.rows) {
                table.row([
                    Cell::caution(because.as_str()),
                    Cell::strong(row.subject.clone()),
                    Cell::text(what(row)),
                    Cell::text(many(row.calls, "call")),
                    Cell::faint(row.samples.first().map(event_place).unwrap_or_default()),
                ]);
            }
            self.table(&table);
            self.rest(usize::try_from(total).unwrap_or(usize::MAX));
            self.line(format_args!("  {rule}"));
        }
        if !any(unusual) {
            self.line(format_args!("  none, of {}", many(unusual.followed, "subject")));
        }
        if unusual.not_followed > 0 {
            let calls = many(unusual.not_followed, "call");
            self.line(format_args!("  {calls} of further subjects were not looked at"));
        }
    }
}
