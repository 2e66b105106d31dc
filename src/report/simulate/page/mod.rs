//! A rehearsal as one HTML page that needs nothing else: no network, no font, no other file.
//!
//! Everything in it is readable without its script, which only filters, sorts and folds. Its style
//! and its script are the only ones that a browser runs: the policy in its head names their hashes.
//! Text from outside is escaped by the template and made visible before that; it never becomes
//! markup, a style or a script. The page is bounded whatever the traffic.

mod ages;
mod events;
mod flow;
mod groups;
mod sessions;
mod storage;
mod text;
mod unusual;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::words::{Rehearsed, event_place, idle, many, share, usage, were};
use crate::simulate::{Counts, GateVerdict, Range, Untouched};
use text::{number, shown};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The rehearsal as one HTML page.
pub fn html(rehearsed: &Rehearsed<'_>) -> String {
    let policy = format!(
        "default-src 'none'; style-src '{}'; script-src '{}'; base-uri 'none'; form-action 'none'",
        hash(STYLE),
        hash(SCRIPT)
    );
    let (events, shown_events) = events::events(rehearsed);
    let report = rehearsed.report;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="generator" content={ "doorward " (env!("CARGO_PKG_VERSION")) };
                meta name="color-scheme" content="light dark";
                title { "Rehearsal of " (shown(rehearsed.policy)) ": " (rehearsed.headline()) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#events" { "Skip to the events" }
                (masthead(rehearsed))
                main {
                    (verdict(rehearsed))
                    (tiles(rehearsed))
                    (flow::flow(rehearsed))
                    (groups::shifts(rehearsed))
                    (events)
                    (sessions::sessions(&report.sessions))
                    (ages::ages(&report.ages))
                    (unusual::unusual(&report.unusual))
                    (groups::groups(report))
                    (storage::storage(report))
                    (statements(rehearsed))
                }
                (footer(rehearsed, shown_events))
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    let mut page = page.into_string();
    page.push('\n');
    page
}

/// A source for the content security policy.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn masthead(rehearsed: &Rehearsed<'_>) -> Markup {
    let report = rehearsed.report;
    html! {
        header.masthead {
            div {
                h1 { "Rehearsal" }
                p.sub {
                    bdi { (shown(rehearsed.policy)) }
                    @if let Some(window) = report.window {
                        span.sep { " · " }
                        time datetime=(window.first) { (text::instant(window.first)) }
                        " to "
                        time datetime=(window.last) { (text::instant(window.last)) }
                    }
                    span.sep { " · " }
                    (number(report.totals.events)) " events"
                    span.sep { " · " }
                    @if report.baseline.is_some() { "against a baseline" }
                    @else if rehearsed.is_compared() { "against what was recorded" }
                    @else { "nothing to compare with" }
                }
                @for what_if in &report.terms.what_if {
                    p.sub { "what if " code { (shown(what_if)) } }
                }
            }
            button #theme type="button" hidden aria-pressed="false" { "Dark" }
        }
    }
}

fn verdict(rehearsed: &Rehearsed<'_>) -> Markup {
    let report = rehearsed.report;
    let (tone, mark) = match rehearsed.gate {
        GateVerdict::Holds => ("good", "✓"),
        GateVerdict::Open => ("plain", "–"),
        GateVerdict::Broken { .. } => ("bad", "✕"),
        GateVerdict::CannotTell { .. } => ("warn", "?"),
    };
    let drift = &report.drift;
    let different = drift.different_total();
    let unreadable = report.unreadable_total();
    html! {
        section.verdict.(tone) aria-labelledby="verdict" {
            h2 #verdict { span.mark aria-hidden="true" { (mark) } " " (sentence(rehearsed.headline())) }
            @if !rehearsed.limits.is_empty() {
                ul.limits {
                    @for limit in rehearsed.limits {
                        @let fails = limit.count > limit.limit;
                        li.(if fails { "bad" } else { "good" }) {
                            span.mark aria-hidden="true" { (if fails { "✕" } else { "✓" }) } " "
                            code { (limit.what.key()) " = " (limit.limit) }
                            (if fails { " is broken: there are " } else { " holds: there are " })
                            strong { (number(limit.count)) }
                        }
                    }
                }
            }
            @if let GateVerdict::CannotTell { because } = rehearsed.gate {
                ul { @for line in because { li { (shown(line)) } } }
            }
        }
        section.checks aria-labelledby="trust" {
            h2 #trust { "Can this be trusted?" }
            ul.facts {
                @if different > 0 {
                    li.bad {
                        span.mark aria-hidden="true" { "✕" } " " strong { "Drift: " }
                        (number(different)) " of " (many(drift.decidable(), "decision"))
                        " are not as recorded, by the very policy that made them. An engine that does not reproduce yesterday is no judge of tomorrow."
                    }
                } @else if drift.checked > 0 {
                    li.good {
                        span.mark aria-hidden="true" { "✓" } " "
                        (many(drift.decidable(), "recorded decision")) " reproduced by the policy that made them"
                    }
                }
                @if drift.undecidable > 0 {
                    li { (many(drift.undecidable, "recorded decision")) " cannot be checked: not everything they rest on was recorded" }
                }
                @if drift.other_policy > 0 {
                    li { (many(drift.other_policy, "event")) " " (were(drift.other_policy)) " decided by a policy that is not here" }
                }
                @if drift.undecided > 0 {
                    li { (many(drift.undecided, "event")) " without a recorded decision" }
                }
                @if unreadable > 0 {
                    li.bad {
                        span.mark aria-hidden="true" { "✕" } " " (many(unreadable, "record")) " could not be read"
                        ul { @for sample in &report.unreadable_samples {
                            li { code { (shown(&event_place(sample))) } " " bdi { (shown(&sample.about)) } }
                        } }
                    }
                } @else {
                    li.good { span.mark aria-hidden="true" { "✓" } " every record could be read" }
                }
                @let skipped = &report.skipped;
                @for (rule, count) in skipped.ignored.iter().take(text::ROWS) {
                    li { (many(*count, "record")) " left out by the rule " code { (shown(rule)) } }
                }
                @for (function, count) in skipped.unmapped.iter().take(text::ROWS) {
                    li.warn { (many(*count, "call")) " of " code { (shown(function)) } " left out: the mapping says nothing of it" }
                }
                @if skipped.unidentified > 0 {
                    li.warn { "no identity rule is about " (many(skipped.unidentified, "event")) }
                }
                @for (fact, count) in report.missing.iter().take(text::ROWS) {
                    li.warn { (many(*count, "event")) " without " code { (shown(fact)) } ", on which the answer depends" }
                }
            }
        }
    }
}

fn tiles(rehearsed: &Rehearsed<'_>) -> Markup {
    let totals: &Counts = &rehearsed.report.totals;
    let tile = |name: &str, tone: &str, range: Range| {
        html! {
            div.tile.(tone) {
                dt { (name) }
                dd {
                    span.count { (number(range.at_least)) }
                    @if range.at_most > range.at_least { span.most { "at most " (number(range.at_most)) } }
                    @else if range.at_least > 0 { span.most { (share(range.at_least, totals.events)) } }
                }
            }
        }
    };
    let exact = |count: u64| Range { at_least: count, at_most: count };
    let tone = |count: u64, tone: &'static str| if count > 0 { tone } else { "calm" };
    html! {
        section aria-labelledby="summary" {
            h2 #summary { "What comes out" }
            dl.tiles {
                @if rehearsed.is_compared() {
                    (tile("newly denied", tone(totals.newly_denied, "bad"), totals.newly_denied_range()))
                    (tile("newly allowed", tone(totals.newly_allowed, "warn"), totals.newly_allowed_range()))
                    (tile("still allowed", "calm", exact(totals.still_allowed)))
                    (tile("still denied", "calm", exact(totals.still_denied)))
                    @if totals.other_reason > 0 { (tile("denied for another reason", "calm", exact(totals.other_reason))) }
                    @if totals.other_rule > 0 { (tile("same by another statement", "calm", exact(totals.other_rule))) }
                    @if totals.other_obligations > 0 {
                        (tile("same with other obligations", "calm", exact(totals.other_obligations)))
                    }
                } @else {
                    (tile("allowed", "calm", totals.allowed_range()))
                    (tile("denied", tone(totals.denied, "bad"), totals.denied_range()))
                }
                (tile("undecidable", tone(totals.undecidable.max(totals.unsettled), "open"), exact(totals.undecidable.max(totals.unsettled))))
            }
        }
    }
}

/// What is declared and was asked for by nobody.
fn untouched(untouched: &Untouched) -> Markup {
    let Untouched { declared, list } = untouched;
    html! {
        @if !list.is_empty() {
            p.note {
                "Of " (many(*declared, "declared item")) ", " (list.len()) " were asked for by nobody: "
                @for (at, item) in list.iter().take(text::ROWS).enumerate() {
                    @if at > 0 { ", " }
                    code { bdi { (shown(&item.name)) } }
                }
                @if list.len() > text::ROWS { " and more" }
                "."
            }
        }
    }
}

fn statements(rehearsed: &Rehearsed<'_>) -> Markup {
    let report = rehearsed.report;
    let mut list: Vec<_> = report.statements.iter().collect();
    list.sort_by_key(|hits| hits.decided);
    let none = idle(report).count();
    html! {
        section aria-labelledby="statements" {
            h2 #statements { "Statements" }
            p.note {
                @if none == 0 { "Every grant and deny decided something." }
                @else { (many(none as u64, "statement")) " of " (list.len()) " decided nothing in this traffic." }
            }
            div.scroll tabindex="0" role="region" aria-label="Statements, table" {
                table.sortable {
                    caption.hidden { "Each grant and deny with how often it decided" }
                    thead { tr {
                        th scope="col" { "Statement" } th scope="col" { "Place" }
                        th.n scope="col" { "Decided" } th.n scope="col" { "Nearly" }
                    } }
                    @for hits in list.iter().take(text::ROWS) {
                        tbody { tr {
                            th scope="row" { bdi { (shown(&hits.rule.label())) } }
                            td { code { (shown(&hits.rule.at)) } }
                            td.n data-v=(hits.decided) {
                                @if hits.decided == 0 { span.badge.warn { (usage(hits.usage).0.replace('-', " ")) } } @else { (number(hits.decided)) }
                            }
                            td.n data-v=(hits.nearly) { (number(hits.nearly)) }
                        } }
                    }
                }
            }
            p.note { "Nearly: events that failed only the argument rules or the end date of a grant." }
            (text::rest(list.len(), text::ROWS))
            (untouched(&report.untouched))
        }
    }
}

fn footer(rehearsed: &Rehearsed<'_>, shown_events: usize) -> Markup {
    let report = rehearsed.report;
    html! {
        footer {
            dl {
                dt { "Candidate" } dd { code { (shown(&report.candidate)) } }
                @if let Some(baseline) = &report.baseline { dt { "Baseline" } dd { code { (shown(baseline)) } } }
                dt { "Made by" } dd { "doorward " (env!("CARGO_PKG_VERSION")) }
                dt { "Kept here" }
                dd { (many(shown_events as u64, "event")) " as witnesses. The JSON report has every count." }
            }
            p { "This page shows values from recorded requests. Share it as you would share the recording." }
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
