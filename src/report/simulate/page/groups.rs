//! Counts by name: what moves at which door and tool, and everything else in groups.

use std::cmp::Reverse;

use maud::{Markup, html};

use super::text::{ROWS, number, rest, shown};
use crate::report::simulate::words::{Rehearsed, presence};
use crate::simulate::{Counts, Group, Groups, Report};

/// The most rows of the overview.
const SHIFTS: usize = 40;

/// What moves, by door and tool, as bars and numbers.
pub(super) fn shifts(rehearsed: &Rehearsed<'_>) -> Markup {
    let report = rehearsed.report;
    let mut doors: Vec<&Group> = report.doors.list.iter().collect();
    doors.sort_by_key(|group| Reverse(group.counts.impact()));
    let mut rows: Vec<(&Group, bool)> = Vec::new();
    for door in doors {
        rows.push((door, true));
        let own = |group: &&Group| group.name.strip_prefix(door.name.as_str()).is_some_and(|r| r.starts_with(':'));
        let mut items: Vec<&Group> = report.items.list.iter().filter(own).filter(|g| moves(&g.counts)).collect();
        items.sort_by_key(|group| Reverse(group.counts.impact()));
        rows.extend(items.into_iter().map(|group| (group, false)));
        if rows.len() > SHIFTS {
            break;
        }
    }
    html! {
        section aria-labelledby="shifts" {
            h2 #shifts { "Where they move" }
            p.note { "Each door, and below it the tools, prompts and resources that come out differently." }
            div.legend aria-hidden="true" {
                @for (class, name) in PARTS.map(|(class, name, _)| (class, name)) { span { i.(class) {} (name) } }
            }
            div.scroll tabindex="0" role="region" aria-label="Changes by door and tool, table" {
                table.shifts {
                    caption.hidden { "Events by door and tool, and how they come out" }
                    thead { tr {
                        th scope="col" { "Door and tool" } th.wide scope="col" { "Share" } th.n scope="col" { "Events" }
                        th.n scope="col" { "Newly denied" } th.n scope="col" { "Newly allowed" } th.n scope="col" { "Undecidable" }
                    } }
                    tbody { @for (group, is_door) in rows.iter().take(SHIFTS) {
                        @let c = &group.counts;
                        tr.(if *is_door { "door" } else { "item" }) {
                            th scope="row" { bdi { (shown(item_name(group, *is_door))) } }
                            td.wide { (bar(c)) }
                            td.n { (number(c.events)) } (count(c.newly_denied, "bad")) (count(c.newly_allowed, "warn"))
                            (count(undecidable(c), "open"))
                        }
                    } }
                }
            }
            (rest(rows.len(), SHIFTS))
        }
    }
}

fn item_name(group: &Group, is_door: bool) -> &str {
    if is_door { &group.name } else { group.name.split_once(':').map_or(&group.name, |(_, item)| item) }
}

fn moves(counts: &Counts) -> bool {
    counts.newly_denied.max(counts.newly_allowed).max(undecidable(counts)) > 0
}

fn undecidable(counts: &Counts) -> u64 {
    counts.undecidable.max(counts.unsettled)
}

/// A part of a bar: its class, its name and how many events it has.
type Part = (&'static str, &'static str, fn(&Counts) -> u64);

/// The parts of a bar, in their order.
const PARTS: [Part; 6] = [
    ("allow", "still allowed", |c| c.still_allowed),
    ("deny", "still denied", |c| c.still_denied),
    ("lost", "newly denied", |c| c.newly_denied),
    ("gained", "newly allowed", |c| c.newly_allowed),
    ("unclear", "undecidable", |c| c.unsettled),
    ("none", "nothing to compare with", |c| c.uncompared),
];

/// One bar of the whole width, in the thousandths of its events. A part that is there is seen.
fn bar(counts: &Counts) -> Markup {
    let whole = u128::from(counts.events.max(1));
    let wide = |count: u64| if count == 0 { 0 } else { (u128::from(count) * 1000 / whole).max(8) };
    let parts = PARTS.map(|(class, name, of)| (class, name, of(counts)));
    let all: u128 = parts.iter().map(|(.., count)| wide(*count)).sum();
    let mut x = 0;
    let mut placed = Vec::new();
    for (class, name, count) in parts.into_iter().filter(|(.., count)| *count > 0) {
        placed.push((class, name, count, x, wide(count)));
        x += wide(count);
    }
    html! {
        svg.bar viewBox={ "0 0 " (all.max(1)) " 10" } preserveAspectRatio="none" aria-hidden="true" focusable="false" {
            @for (class, name, count, x, width) in &placed {
                rect.(class) x=(x) y="0" width=(width) height="10" { title { (name) ": " (number(*count)) } }
            }
        }
    }
}

fn count(count: u64, tone: &str) -> Markup {
    html! {
        @if count > 0 { td.n.(tone) data-v=(count) { strong { (number(count)) } } }
        @else { td.n.zero data-v="0" { "0" } }
    }
}

/// Every other group, folded.
pub(super) fn groups(report: &Report) -> Markup {
    let days = report.hours.days();
    let all: [(&str, &str, &Groups); 10] = [
        ("By reason", "Reason", &report.reasons),
        ("By statement", "Statement", &report.rules),
        ("By door", "Door", &report.doors),
        ("By tool, prompt and resource", "Item", &report.items),
        ("By subject", "Subject", &report.subjects),
        ("By agent", "Agent", &report.agents),
        ("By role", "Role", &report.roles),
        ("By tenant", "Tenant", &report.tenants),
        ("By hour", "Hour", &report.hours),
        ("By day", "Day", &days),
    ];
    html! {
        section aria-labelledby="groups" {
            h2 #groups { "Groups" }
            @for (title, name, groups) in all { @if !groups.list.is_empty() { (group_table(title, name, groups, report.totals.events)) } }
        }
    }
}

fn group_table(title: &str, name: &str, groups: &Groups, events: u64) -> Markup {
    let mut list: Vec<&Group> = groups.list.iter().collect();
    if !matches!(name, "Hour" | "Day") {
        list.sort_by_key(|group| Reverse(group.counts.impact()));
    }
    let mut left = groups.others;
    list.iter().skip(ROWS).for_each(|group| left.add(&group.counts));
    let seen = groups.list.iter().any(|group| group.seen.is_some());
    let row = |name: Markup, c: &Counts, seen: Option<[String; 4]>| {
        html! {
            tr {
                (name)
                td.n data-v=(c.events) { (number(c.events)) }
                td.n data-v=(c.allowed) { (number(c.allowed)) }
                td.n data-v=(c.denied) { (number(c.denied)) }
                (count(undecidable(c), "open")) (count(c.newly_denied, "bad")) (count(c.newly_allowed, "warn"))
                @if let Some([share, tuples, first, last]) = seen {
                    td.n data-v=(c.events) { (share) } td.n { (tuples) }
                    td.time { time datetime=(first) { (first) } } td.time { time datetime=(last) { (last) } }
                }
            }
        }
    };
    html! {
        details.group {
            summary { (title) " " span.note { (number(groups.list.len() as u64)) } }
            div.scroll tabindex="0" role="region" aria-label={ (title) ", table" } {
                table.sortable {
                    caption.hidden { (title) }
                    thead { tr {
                        th scope="col" { (name) } th.n scope="col" { "Events" } th.n scope="col" { "Allowed" }
                        th.n scope="col" { "Denied" } th.n scope="col" { "Undecidable" }
                        th.n scope="col" { "Newly denied" } th.n scope="col" { "Newly allowed" }
                        @if seen {
                            th.n scope="col" { "Share" } th.n scope="col" { "Tuples" }
                            th scope="col" { "First seen" } th scope="col" { "Last seen" }
                        }
                    } }
                    @for group in list.iter().take(ROWS) {
                        tbody { (row(html! { th scope="row" { bdi { (shown(&group.name)) } } }, &group.counts, presence(group, events))) }
                    }
                    @if left.events > 0 { tfoot { (row(html! { th scope="row" { "all others" } }, &left, None)) } }
                }
            }
            (rest(groups.list.len(), ROWS))
        }
    }
}
