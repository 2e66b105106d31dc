//! Allowed calls that are unusual.

use maud::{Markup, html};

use super::text::{ROWS, number, rest, shown};
use crate::report::simulate::unusual::{total, what};
use crate::report::simulate::words::event_place;
use crate::simulate::{RULES, Unusual};

/// The section; nothing where nothing is unusual.
pub(super) fn unusual(unusual: &Unusual) -> Markup {
    let total = total(unusual);
    if total == 0 {
        return html! {};
    }
    html! {
        section aria-labelledby="unusual" {
            h2 #unusual { "Unusual calls that are allowed" }
            p.note { "Worth a look, and no more than that: they are no part of the gate." }
            div.scroll tabindex="0" role="region" aria-label="Unusual calls, table" {
                table.sortable {
                    caption.hidden { "Allowed calls that are unusual, with the rule that says so" }
                    thead { tr {
                        th scope="col" { "Rule" } th scope="col" { "Subject" } th scope="col" { "What" }
                        th.n scope="col" { "Calls" } th scope="col" { "First seen" }
                    } }
                    @for row in unusual.list.iter().take(ROWS) {
                        tbody { tr {
                            th scope="row" { (row.because.as_str()) }
                            td { bdi { (shown(&row.subject)) } }
                            td { bdi { (shown(&what(row))) } }
                            td.n data-v=(row.calls) { (number(row.calls)) }
                            td.place { @if let Some(sample) = row.samples.first() { bdi { (shown(&event_place(sample))) } } }
                        } }
                    }
                }
            }
            ul { @for (_, rule) in RULES { li { (rule) } } }
            (rest(usize::try_from(total).unwrap_or(usize::MAX), unusual.list.len().min(ROWS)))
        }
    }
}
