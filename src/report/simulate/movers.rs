//! Who loses and who gains, with a witness each.

use super::{By, Page, many, witness};
use crate::report::text::{Cell, Columns, harmless};
use crate::simulate::{Moved, Mover, Report};

impl Page {
    /// The first losers and winners by subject and by agent.
    pub(super) fn movers(&mut self, report: &Report) {
        let movers = &report.movers;
        let by = [("subject", &movers.subjects), ("agent", &movers.agents)];
        for (title, pick) in [("who loses", losers as fn(&Moved) -> &[Mover]), ("who gains", winners)] {
            if by.iter().all(|(_, moved)| pick(moved).is_empty()) {
                continue;
            }
            self.heading(title);
            let mut table = Columns::new(2);
            for (name, moved) in by {
                for mover in pick(moved).iter().take(self.limits.rows.min(3)) {
                    table.row([Cell::faint(name)].into_iter().chain(cells(mover)));
                }
            }
            self.table(&table);
        }
    }

    /// All losers and winners of one way of grouping.
    pub(super) fn moved(&mut self, report: &Report, by: By) {
        let movers = &report.movers;
        let moved = match by {
            By::Subject => &movers.subjects,
            By::Agent => &movers.agents,
            By::Door => &movers.doors,
            By::Tool => &movers.items,
            _ => return,
        };
        for (title, list) in [("newly denied", losers(moved)), ("newly allowed", winners(moved))] {
            if list.is_empty() {
                continue;
            }
            self.line(format_args!("  {title}"));
            let mut table = Columns::new(4);
            for mover in list.iter().take(self.limits.rows) {
                let [name, calls, items, place] = cells(mover);
                // Of an item, the items concerned are itself.
                table.row([name, calls].into_iter().chain((by != By::Tool).then_some(items)).chain([place]));
            }
            self.table(&table);
            self.rest(list.len());
        }
    }
}

fn losers(moved: &Moved) -> &[Mover] {
    &moved.losers
}

fn winners(moved: &Moved) -> &[Mover] {
    &moved.winners
}

fn cells(mover: &Mover) -> [Cell; 4] {
    let mut items: Vec<String> =
        mover.items.iter().take(2).map(|one| format!("{} ({})", harmless(&one.item), one.calls)).collect();
    let shown: u64 = mover.items.iter().take(2).map(|one| one.calls).sum();
    if mover.calls > shown {
        items.push(format!("{} more", mover.calls - shown));
    }
    let place = mover.samples.first().map(witness).unwrap_or_default();
    [
        Cell::strong(mover.name.clone()),
        Cell::text(many(mover.calls, "call")),
        Cell::text(items.join(", ")),
        Cell::faint(place),
    ]
}
