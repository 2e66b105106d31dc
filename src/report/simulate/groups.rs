//! Counts by name, and what the statements of the candidate were good for.

use std::cmp::Reverse;

use super::words::{PRESENCE, presence};
use super::{Page, many};
use crate::report::text::{Cell, Columns};
use crate::simulate::{Counts, Group, Groups, Report, Untouched, Usage};

impl Page {
    pub(super) fn groups(&mut self, title: &str, groups: &Groups, events: u64) {
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
        let seen = list.iter().any(|group| group.seen.is_some()).then(|| PRESENCE.map(Cell::faint));
        table.row([Cell::text("")].into_iter().chain(pick(head.map(Cell::faint))).chain(seen.into_iter().flatten()));
        let cells = |c: &Counts| {
            pick([c.events, c.allowed, c.denied, c.undecidable, c.newly_denied, c.newly_allowed].map(Cell::number))
        };
        for group in list.iter().take(self.limits.rows) {
            let seen = presence(group, events).map(|cells| cells.map(Cell::faint));
            let name = [Cell::text(group.name.clone())];
            table.row(name.into_iter().chain(cells(&group.counts)).chain(seen.into_iter().flatten()));
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

    /// Statements that the traffic gave nothing to decide.
    pub(super) fn unused(&mut self, report: &Report) {
        let idle: Vec<_> = report.statements.iter().filter(|s| s.usage != Usage::Decides).collect();
        if idle.is_empty() || report.totals.events == 0 {
            return;
        }
        self.heading("statements that decided nothing here");
        let mut table = Columns::new(2);
        for hits in idle.iter().take(self.limits.rows) {
            let applied = many(hits.applied, "event");
            let note = match hits.usage {
                Usage::Decides => String::new(),
                Usage::Shadowed => format!("shadowed: applied to {applied}, and another statement decided each"),
                Usage::OnlyDenied => format!("applied to {applied}, each denied for another reason"),
                Usage::OnlyUndecidable => format!("applied to {applied}, none of which can be decided"),
                Usage::Never if hits.nearly > 0 => {
                    format!("{} failed only its argument rules or its end date", many(hits.nearly, "event"))
                }
                Usage::Never => "applied to nothing".to_owned(),
            };
            let note =
                if hits.usage == Usage::Never && hits.nearly == 0 { Cell::faint(note) } else { Cell::caution(note) };
            table.row([Cell::text(hits.rule.label()), Cell::faint(hits.rule.at.clone()), note]);
        }
        self.table(&table);
        self.rest(idle.len());
    }

    /// What is declared and was asked for by nobody: of its use the traffic says nothing.
    pub(super) fn untouched(&mut self, report: &Report) {
        let Untouched { declared, list } = &report.untouched;
        if list.is_empty() || report.totals.events == 0 {
            return;
        }
        self.heading(&format!("asked for by nobody: {} of {}", list.len(), many(*declared, "declared item")));
        let mut table = Columns::new(2);
        for item in list.iter().take(self.limits.rows) {
            table.row([Cell::text(item.name.clone()), Cell::faint(item.at.clone())]);
        }
        self.table(&table);
        self.rest(list.len());
    }
}
