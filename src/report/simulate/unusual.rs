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

/// How many there are by all rules, listed or not.
pub(super) fn total(unusual: &Unusual) -> u64 {
    RULES.iter().map(|(because, _)| found(unusual, *because)).sum()
}

/// The rows of one rule, of which there may be more.
fn rows(unusual: &Unusual, because: Because) -> impl Iterator<Item = &UnusualCalls> {
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
            let found = found(unusual, because);
            if found == 0 {
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
            self.rest(usize::try_from(found).unwrap_or(usize::MAX));
            self.line(format_args!("  {rule}"));
        }
        if total(unusual) == 0 {
            self.line(format_args!("  none, of {}", many(unusual.followed, "subject")));
        }
        if unusual.not_followed > 0 {
            let calls = many(unusual.not_followed, "call");
            self.line(format_args!("  {calls} of further subjects were not looked at"));
        }
    }
}
