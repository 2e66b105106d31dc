//! What shorter token lifetimes would cost.

use maud::{Markup, html};

use super::text::number;
use crate::policy::written;
use crate::report::simulate::words::{between, costs, many};
use crate::simulate::Ages;

/// The section; nothing where no lifetime would cost anything.
pub(super) fn ages(ages: &Ages) -> Markup {
    if ages.total.older.iter().all(|older| *older == 0) {
        return html! {};
    }
    html! {
        section aria-labelledby="ages" {
            h2 #ages { "Token lifetimes" }
            p.note { "What a shorter token_ttl would cost, of " (many(ages.total.calls, "allowed call")) "." }
            div.scroll tabindex="0" role="region" aria-label="Token lifetimes, table" {
                table {
                    caption.hidden { "Calls that a shorter token lifetime would deny, sessions that it would cut, and new tokens" }
                    thead { tr {
                        th scope="col" { "token_ttl" } th.n scope="col" { "Calls denied" }
                        th.n scope="col" { "Sessions cut" } th.n scope="col" { "New tokens" }
                    } }
                    tbody { @for cost in costs(ages).filter(|cost| cost.denied > 0) { tr {
                        th scope="row" { (written(u64::from(cost.ttl))) }
                        td.n { (number(cost.denied)) } td.n { (number(cost.cut)) } td.n { (between(cost.renewals)) }
                    } } }
                }
            }
            p.note {
                "New tokens: how many more would have to be got so that no call is denied, where each session gets one when \
                 that of a call is too old."
            }
        }
    }
}
