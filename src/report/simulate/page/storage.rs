//! What the audit log takes.

use maud::{Markup, html};

use super::text::{ROWS, rest, shown};
use crate::report::simulate::storage::{HEAD, cells, note};
use crate::simulate::Report;

/// The section; nothing when nothing was rehearsed.
pub(super) fn storage(report: &Report) -> Markup {
    let classes = &report.storage.classes;
    if classes.is_empty() || report.totals.events == 0 {
        return html! {};
    }
    html! {
        section aria-labelledby="storage" {
            h2 #storage { "Audit log" }
            div.scroll tabindex="0" role="region" aria-label="Audit log, table" {
                table {
                    caption.hidden { "Rows and bytes of the audit log by class, and what goes when the candidate is applied" }
                    thead { tr { @for (at, name) in HEAD.iter().enumerate() {
                        @if at == 0 { th scope="col" { (name) } } @else { th.n scope="col" { (name) } }
                    } } }
                    tbody { @for one in classes.iter().take(ROWS) {
                        @let [class, cells @ .., removed] = cells(one);
                        tr {
                            th scope="row" { bdi { (shown(&class)) } }
                            @for cell in cells { td.n { (cell) } }
                            @if one.removed.rows.at_most > 0 { td.n.warn { strong { (removed) } } } @else { td.n.zero { (removed) } }
                        }
                    } }
                }
            }
            p.note { (note(report)) }
            (rest(classes.len(), ROWS))
        }
    }
}
