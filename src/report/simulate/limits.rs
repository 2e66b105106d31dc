//! What rates, token lifetimes and argument rules do to the traffic.

use super::words::{between, costs};
use super::{Page, many, witness};
use crate::model::Rate;
use crate::policy::written;
use crate::report::text::{Cell, Columns};
use crate::simulate::{ArgumentLimit, RateLine, Report};

impl Page {
    /// What is over a rate. `all` also when nothing is.
    pub(super) fn rates(&mut self, report: &Report, all: bool) {
        let rates = &report.rates;
        if rates.list.is_empty() {
            if all {
                self.heading("rates");
                self.line("  nothing is over a rate");
            }
            return;
        }
        self.heading("over a rate");
        let mut table = Columns::new(2);
        for line in rates.list.iter().take(self.limits.rows) {
            let newly = if line.newly_limited > 0 {
                Cell::bad(format!("{} newly", line.newly_limited))
            } else if line.no_longer_limited > 0 {
                Cell::good(format!("{} no longer", line.no_longer_limited))
            } else {
                Cell::text("")
            };
            let worst = &line.worst;
            table.row([
                Cell::strong(line.of.clone()),
                Cell::text(line.key.clone()),
                Cell::text(per(line)),
                Cell::text(many(line.limited_now, "call")),
                newly,
                Cell::faint(format!("worst {}: {} over of {}", worst.start, worst.limited, worst.calls)),
                Cell::faint(line.samples.first().map(witness).unwrap_or_default()),
            ]);
        }
        self.table(&table);
        self.rest(rates.list.len());
    }

    /// What a shorter life of tokens would cost.
    pub(super) fn ages(&mut self, report: &Report) {
        let ages = &report.ages;
        self.heading("allowed calls that a token lifetime would deny");
        let mut table = Columns::new(2);
        let names = ages.doors.iter().map(|door| Cell::faint(door.door.clone())).take(6);
        let sessions = report.sessions.followed > 0;
        let last = sessions.then(|| ["sessions", "new tokens"].map(Cell::faint));
        table.row(
            [Cell::faint("token_ttl"), Cell::faint("all")].into_iter().chain(names).chain(last.into_iter().flatten()),
        );
        for (n, cost) in costs(ages).enumerate() {
            let at = |older: &Vec<u64>| Cell::number(older.get(n).copied().unwrap_or_default());
            let doors = ages.doors.iter().map(|door| at(&door.curve.older)).take(6);
            let last = sessions.then(|| [Cell::number(cost.cut), Cell::text(between(cost.renewals))]);
            let first = [Cell::text(written(u64::from(cost.ttl))), Cell::number(cost.denied)];
            table.row(first.into_iter().chain(doors).chain(last.into_iter().flatten()));
        }
        self.table(&table);
        self.line(format_args!("  of {}", many(ages.total.calls, "allowed call")));
        if ages.total.unknown > 0 {
            let calls = many(ages.total.unknown, "undecidable call");
            self.line(format_args!("  of {calls} the age of the token is not known"));
        }
    }

    /// What calls send for each argument that a rule limits.
    pub(super) fn arguments(&mut self, report: &Report) {
        self.heading("arguments against their rules");
        let list = &report.arguments.list;
        let mut table = Columns::new(2);
        for one in list.iter().take(self.limits.rows) {
            table.row([
                Cell::text(one.rule.label()),
                Cell::strong(format!("{} {}", one.item, one.path)),
                Cell::text(one.test.clone()),
                Cell::text(format!("{} of {} pass", one.passing, one.seen)),
                Cell::text(lie(one)),
                Cell::faint(absent(one)),
            ]);
        }
        if list.is_empty() {
            self.line("  no call was held against an argument rule");
        }
        self.table(&table);
        self.rest(list.len());
    }
}

fn per(line: &RateLine) -> String {
    let rate = |rate: Rate| {
        let together = if rate.shared { " across gateways" } else { "" };
        format!("{} in {}{together}", rate.count, written(u64::from(rate.seconds)))
    };
    match (line.before, line.now) {
        (Some(before), Some(now)) if before != now => format!("{} → {}", rate(before), rate(now)),
        (_, Some(now)) => rate(now),
        (Some(before), None) => format!("{} → none", rate(before)),
        (None, None) => String::new(),
    }
}

fn lie(one: &ArgumentLimit) -> String {
    if let Some(spread) = &one.spread {
        return format!(
            "min {}, p50 {}, p90 {}, p99 {}, max {}",
            spread.min, spread.p50, spread.p90, spread.p99, spread.max
        );
    }
    let outside = one.outside.iter().take(3).map(|text| format!("`{}` ({})", text.text, text.count));
    let outside: Vec<String> = outside.collect();
    if outside.is_empty() { String::new() } else { format!("outside: {}", outside.join(", ")) }
}

fn absent(one: &ArgumentLimit) -> String {
    let parts = [(one.missing, "left out"), (one.unfit, "of another type"), (one.withheld, "not recorded")];
    let parts: Vec<String> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    parts.join(", ")
}
