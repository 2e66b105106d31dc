//! The sessions that break, and those that nothing stops any more.

use super::words::between;
use super::{Page, answer, many, witness};
use crate::report::text::{Cell, Columns, harmless};
use crate::simulate::{BrokenSession, Range, Report};

impl Page {
    /// The sessions that break, the most calls lost first. `all` says so also when none does.
    pub(super) fn sessions(&mut self, report: &Report, all: bool) {
        let found = &report.sessions;
        let changed = found.breaking.at_most > 0 || found.unblocked > 0;
        if found.seen.at_most == 0 || !(changed || all) {
            if all {
                self.heading("sessions");
                self.line("  no event says which session it is of");
            }
            return;
        }
        self.heading(&format!("sessions: {}", range(found.seen)));
        let mut table = Columns::new(2);
        let broken = if found.broken > 0 { Cell::bad("break") } else { Cell::text("break") };
        table.row([broken, Cell::text(range(found.breaking))]);
        table.row([Cell::text("go on unbroken"), Cell::text(found.unbroken.to_string())]);
        if found.unblocked > 0 {
            table.row([Cell::good("no longer stopped"), Cell::text(found.unblocked.to_string())]);
        }
        self.table(&table);
        if found.not_followed > 0 {
            let (followed, calls) = (many(found.followed, "session"), many(found.not_followed, "call"));
            self.line(format_args!("  {followed} are followed, a fair sample; {calls} are of others"));
        }
        if found.unknown > 0 {
            self.line(format_args!("  of {} no session was recorded", many(found.unknown, "call")));
        }
        let items = found.items.iter().filter(|item| item.sessions > 0).take(3);
        let items: Vec<_> = items.map(|item| format!("{} ({})", harmless(&item.item), item.sessions)).collect();
        if items.len() > 1 {
            self.line(format_args!("  most at {}", items.join(", ")));
        }
        let mut table = Columns::new(2);
        for one in found.list.iter().take(self.limits.rows) {
            let sure = if one.sure { Cell::bad("breaks") } else { Cell::caution("may break") };
            table.row([
                Cell::strong(one.session.clone()),
                Cell::text(one.subject.clone()),
                sure,
                Cell::text(came(one)),
                Cell::strong(one.item.clone()),
                Cell::text(answer(&one.after)),
                Cell::faint(witness(&one.witness)),
            ]);
        }
        self.table(&table);
        self.rest(found.list.len());
        if all && !found.relieved.is_empty() {
            self.heading("sessions that nothing stops any more");
            let mut table = Columns::new(2);
            for one in found.relieved.iter().take(self.limits.rows) {
                let gained = format!("{} of {}", one.gained, many(one.calls, "call"));
                table.row([Cell::strong(one.session.clone()), Cell::text(one.subject.clone()), Cell::good(gained)]);
            }
            self.table(&table);
            self.rest(found.relieved.len());
        }
    }
}

/// How far a session had come.
fn came(one: &BrokenSession) -> String {
    let before = between(one.before);
    let already = if one.already { ", stopped before already" } else { "" };
    format!("after {before} of {}{already}", many(one.calls, "call"))
}

/// A number, or the bounds of one.
fn range(range: Range) -> String {
    let Range { at_least, at_most } = range;
    if at_least == at_most { at_least.to_string() } else { format!("at least {at_least}, at most {at_most}") }
}
