//! The witness events: one row each, with why it came out so folded below it.
//!
//! An event that the report does not explain says so. Nothing is worked out here.

use maud::{Markup, PreEscaped, html};

use super::text::{instant, number, shown};
use crate::model::Effect;
use crate::pdp::{Condition, Outcome};
use crate::report::simulate::words::{Rehearsed, by_impact, code, event_place, kind, many};
use crate::simulate::{Answer, Change, Kind, Sample, Why};

/// The most rows, and the most bytes of all of them.
const MOST: usize = 1_500;
const BYTES: usize = 3 << 20;

/// The section, and how many events it shows.
pub(super) fn events(rehearsed: &Rehearsed<'_>) -> (Markup, usize) {
    let report = rehearsed.report;
    let drift = by_impact(&report.drift.different);
    let changes: Vec<&Change> = drift.into_iter().chain(by_impact(&report.changes)).collect();
    let all: usize = changes.iter().map(|change| change.samples.len()).sum();
    let mut rows = String::new();
    let mut count = 0;
    let mut kinds: Vec<(Kind, u64)> = Vec::new();
    'all: for change in &changes {
        for sample in &change.samples {
            if count == MOST || rows.len() > BYTES {
                break 'all;
            }
            count += 1;
            rows.push_str(&row(count, change, sample).into_string());
            match kinds.last_mut().filter(|(kind, _)| *kind == change.kind) {
                Some((_, count)) => *count += 1,
                None => kinds.push((change.kind, 1)),
            }
        }
    }
    kinds.sort_unstable();
    let section = html! {
        section #events aria-labelledby="events-title" {
            h2 #events-title tabindex="-1" { "Events" }
            @if count == 0 {
                p.note { "Nothing comes out differently." }
            } @else {
                p.note { "The first events of each change as witnesses: at most five of one kind." }
                (controls(&kinds, count))
                div.scroll tabindex="0" role="region" aria-label="Events, table" {
                    table.events.sortable #event-table {
                        caption.hidden { "Witness events and how they come out" }
                        thead { tr {
                            th scope="col" { "Class" } th scope="col" { "Time" } th scope="col" { "Subject and agent" }
                            th scope="col" { "Item" } th scope="col" { "Before" } th scope="col" { "After" }
                            th scope="col" { "Place" }
                        } }
                        (PreEscaped(rows))
                    }
                }
                p #no-events.note hidden { "No event fits the filter." }
                @if all > count { p.note { (number((all - count) as u64)) " more witnesses in the JSON report." } }
                @let others = report.changes.others.saturating_add(report.drift.different.others);
                @if others > 0 { p.note { (many(others, "event")) " of further kinds are counted and have no witness." } }
            }
        }
    };
    (section, count)
}

/// What only the script can do is hidden until it runs.
fn controls(kinds: &[(Kind, u64)], count: usize) -> Markup {
    html! {
        div.controls hidden {
            label for="filter" { "Filter" }
            input #filter type="search" placeholder="subject, tool, reason, place" autocomplete="off" spellcheck="false"
                aria-describedby="filter-help" aria-controls="event-table";
            div.chips role="group" aria-label="Classes" {
                @for (of, count) in kinds {
                    button.chip.(tone(*of)) type="button" aria-pressed="true" data-kind=(code(*of)) {
                        (kind(*of)) " " span.n { (number(*count)) }
                    }
                }
            }
            output #shown-count for="filter" aria-live="polite" { (many(count as u64, "event")) }
            p #filter-help.note { kbd { "/" } " to filter, " kbd { "Esc" } " to clear, " kbd { "↑" } kbd { "↓" } " between events, " kbd { "Enter" } " to open" }
        }
    }
}

const fn tone(kind: Kind) -> &'static str {
    match kind {
        Kind::Drift | Kind::NewlyDenied | Kind::Denied => "bad",
        Kind::NewlyAllowed => "warn",
        Kind::Undecidable => "open",
        Kind::OtherReason | Kind::OtherRule | Kind::OtherObligations => "calm",
    }
}

fn row(number: usize, change: &Change, sample: &Sample) -> Markup {
    let id = format!("why-{number}");
    let time = sample.time.map(|t| t.0).unwrap_or_default();
    let place = event_place(sample);
    html! {
        tbody.event data-kind=(code(change.kind)) {
            tr.head {
                td data-v=(format!("{:02}", change.kind as u8)) {
                    button.toggle type="button" aria-expanded="true" aria-controls=(id) {
                        span.badge.(tone(change.kind)) { (kind(change.kind)) }
                        span.hidden { " of " (shown(&change.item)) " at " (shown(&place)) ", why" }
                    }
                }
                td.time data-v=(time) { @if let Some(t) = sample.time { time datetime=(t) { (instant(t)) } } }
                td { bdi { (shown(&sample.about)) } @if let Some(agent) = &sample.agent { span.second { bdi { (shown(agent)) } } } }
                td { bdi.item { (shown(&change.item)) } }
                td { (answer(&change.before)) }
                td { (answer(&change.after)) }
                td.place { bdi { (shown(&place)) } }
            }
            tr.why id=(id) { td colspan="7" {
                p.note { (occurrence(change)) }
                @match &sample.why {
                    Some(why) => (explained(why)),
                    None => p.note { "The report does not explain this event: `doorward explain` does." },
                }
            } }
        }
    }
}

fn occurrence(change: &Change) -> String {
    let window = change.window;
    let when = if window.first == window.last {
        format!("at {}", instant(window.first))
    } else {
        format!("from {} to {}", instant(window.first), instant(window.last))
    };
    format!("{} came out like this, {when}.", many(change.count, "event"))
}

fn answer(answer: &Answer) -> Markup {
    let rule = answer.rule();
    let second = html! { @if let Some(rule) = rule { span.second { bdi { (shown(&rule.label())) } } } };
    match answer {
        Answer::None => html! { span.quiet { "not recorded" } },
        Answer::Allow { .. } => html! { span.allow { "allow" } (second) },
        Answer::Deny { reason, .. } => html! { span.deny { "deny" } " " code { (reason) } (second) },
        Answer::Foreign { effect: Effect::Allow, said } => html! { span.allow { "allow" } " " code { (shown(said)) } },
        Answer::Foreign { effect: Effect::Deny, said } => html! { span.deny { "deny" } " " code { (shown(said)) } },
        Answer::Undecidable { missing } => {
            html! { span.open { "undecidable" } span.second { "needs " (shown(&missing.join(", "))) } }
        }
    }
}

fn explained(why: &Why) -> Markup {
    html! {
        div.explained {
            @if !why.failed.is_empty() {
                div {
                    h3 { "What did not hold" }
                    ul { @for condition in &why.failed { li { (condition_line(condition)) } } }
                }
            }
            @if !why.statements.is_empty() {
                div {
                    h3 { "Statements that cover it" }
                    ul.statements { @for one in &why.statements {
                        li {
                            span.badge.(applies_tone(one.applies)) { (applies(one.applies)) } " "
                            bdi { (shown(&one.rule.label())) }
                            @if !one.rule.at.is_empty() && !one.rule.name.is_empty() { " " code { (shown(&one.rule.at)) } }
                            @if let Some(unmet) = &one.unmet { div.unmet { (condition_line(unmet)) } }
                        }
                    } }
                    @if why.more_statements > 0 { p.note { "and " (many(why.more_statements, "further statement")) } }
                }
            }
            @if !why.advice.is_empty() {
                div {
                    h3 { "What would allow it" }
                    ul { @for advice in &why.advice { li { (sentence(advice)) } } }
                }
            }
        }
    }
}

/// A sentence of ours, in which names stand between backticks.
fn sentence(text: &str) -> Markup {
    let text = shown(text);
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

const fn applies(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Yes => "applies",
        Outcome::No => "does not apply",
        Outcome::Unknown => "not known",
    }
}

const fn applies_tone(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Yes => "calm",
        Outcome::No => "quiet",
        Outcome::Unknown => "open",
    }
}

fn condition_line(condition: &Condition) -> Markup {
    let Condition { field, wanted, found } = condition;
    html! {
        code { (shown(field)) } " asks for " strong { bdi { (shown(wanted)) } }
        @if !found.is_empty() { ", has " strong { bdi { (shown(found)) } } }
    }
}
