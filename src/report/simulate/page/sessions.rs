//! Which agent sessions break, at which call, and how far they had come.

use maud::{Markup, html};

use super::text::{ROWS, instant, number, rest, shown};
use crate::report::simulate::words::{event_place, many};
use crate::simulate::{BrokenSession, Range, Sessions};

/// The section; nothing when no session was seen.
pub(super) fn sessions(sessions: &Sessions) -> Markup {
    if sessions.seen.at_most == 0 {
        return html! {};
    }
    html! {
        section aria-labelledby="sessions" {
            h2 #sessions { "Agent sessions" }
            p {
                strong { (range(sessions.breaking)) } " of " (range(sessions.seen)) " break; "
                (number(sessions.unbroken)) " of " (number(sessions.followed)) " that were followed call by call do not"
                @if sessions.perhaps_broken > 0 { ", " (number(sessions.perhaps_broken)) " may" }
                @if sessions.unblocked > 0 { ", " (number(sessions.unblocked)) " are no longer denied anything" }
                "."
            }
            @if sessions.unknown > 0 { p.note { (many(sessions.unknown, "call")) " without a recorded session." } }
            @if !sessions.items.is_empty() {
                div.scroll tabindex="0" role="region" aria-label="Where sessions break, table" {
                    table.sortable {
                        caption.hidden { "Where sessions break" }
                        thead { tr {
                            th scope="col" { "Breaks at" } th.n scope="col" { "Sessions" } th.n scope="col" { "Perhaps" }
                        } }
                        @for item in sessions.items.iter().take(ROWS) {
                            tbody { tr {
                                th scope="row" { bdi { (shown(&item.item)) } }
                                td.n data-v=(item.sessions) { (number(item.sessions)) }
                                td.n data-v=(item.perhaps) { (number(item.perhaps)) }
                            } }
                        }
                    }
                }
                (rest(sessions.items.len(), ROWS))
            }
            @if !sessions.list.is_empty() {
                details.group {
                    summary { "Each session that breaks " span.note { (number(sessions.list.len() as u64)) } }
                    div.scroll tabindex="0" role="region" aria-label="Sessions that break, table" {
                        table.sortable {
                            caption.hidden { "Sessions that break, and how far they had come" }
                            thead { tr {
                                th scope="col" { "Session" } th scope="col" { "Subject" } th scope="col" { "Breaks at" }
                                th scope="col" { "When" } th.n scope="col" { "Calls before" } th.n scope="col" { "Calls" }
                                th scope="col" { "Place" }
                            } }
                            @for one in sessions.list.iter().take(ROWS) { (session(one)) }
                        }
                    }
                    (rest(sessions.list.len(), ROWS))
                }
            }
        }
    }
}

fn session(one: &BrokenSession) -> Markup {
    html! {
        tbody { tr {
            th scope="row" { bdi { (shown(&one.session)) } }
            td { bdi { (shown(&one.subject)) } }
            td {
                bdi { (shown(&one.item)) }
                @if !one.sure { " " span.badge.open { "perhaps" } }
                @if one.already { span.second { "denied a call before already" } }
            }
            td.time data-v=(one.time.0) { time datetime=(one.time) { (instant(one.time)) } }
            td.n data-v=(one.before.at_least) { (range(one.before)) }
            td.n data-v=(one.calls) { (number(one.calls)) }
            td.place { bdi { (shown(&event_place(&one.witness))) } }
        } }
    }
}

fn range(range: Range) -> String {
    if range.at_least == range.at_most {
        return number(range.at_least);
    }
    format!("{} to {}", number(range.at_least), number(range.at_most))
}
