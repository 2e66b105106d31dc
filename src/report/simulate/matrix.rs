//! Several what-ifs side by side: one row each for people, each whole report in JSON
//! (`doorward.matrix/v1`).

use serde::Serialize;

use super::{Cell, Columns, Range, Style, Whole, many, pretty};
use crate::report::text::harmless;
use crate::simulate::{Against, GateVerdict, Report};

/// The schema of the JSON form.
pub const SCHEMA: &str = "doorward.matrix/v1";

/// The JSON form.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Matrix<'a> {
    /// Always `doorward.matrix/v1`.
    schema: &'static str,
    /// One whole report for each combination, in the order of the table.
    rows: Vec<Whole<'a>>,
}

/// The JSON Schema of the JSON form.
#[cfg(feature = "cli")]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Matrix<'_>)
}

/// Every combination with its whole report.
pub fn json(rows: &[(&Report, GateVerdict)]) -> String {
    pretty(&Matrix { schema: SCHEMA, rows: rows.iter().map(|(report, gate)| Whole::of(report, gate)).collect() })
}

/// One row for each combination.
pub fn human(rows: &[(&Report, GateVerdict)], style: Style) -> String {
    let mut out = String::new();
    if let Some((first, _)) = rows.first() {
        let against = match first.terms.against {
            Against::Recorded => "what was recorded",
            Against::Baseline => "the baseline",
            Against::Unchanged => "the policy as it stands, at the recorded instants",
        };
        out = format!("{}, against {against}\n\n", many(first.totals.events, "event"));
        let (drift, unreadable) = (first.drift.different_total(), first.unreadable_total());
        if drift > 0 {
            let text = format!("drift: {} not as recorded, by the very policy that made them", many(drift, "decision"));
            out.push_str(&format!("{}\n\n", style.bad(text)));
        }
        if unreadable > 0 {
            out.push_str(&format!("{}\n\n", style.bad(format!("{} could not be read", many(unreadable, "record")))));
        }
    }
    let mut table = Columns::new(2);
    let head = ["newly denied", "newly allowed", "undecidable", "gate", "what if"];
    table.row(head.map(Cell::faint));
    for (report, gate) in rows {
        let totals = &report.totals;
        let count = |range: Range, cell: fn(String) -> Cell| {
            let text = if range.at_most > range.at_least {
                format!("{} to {}", range.at_least, range.at_most)
            } else {
                range.at_least.to_string()
            };
            if range.at_most > 0 { cell(text) } else { Cell::text(text) }
        };
        let undecidable = totals.undecidable.max(totals.unsettled);
        let what_if = &report.terms.what_if;
        table.row([
            count(totals.newly_denied_range(), Cell::bad),
            count(totals.newly_allowed_range(), Cell::caution),
            count(Range { at_least: undecidable, at_most: undecidable }, Cell::caution),
            match gate {
                GateVerdict::Open => Cell::faint("none set"),
                GateVerdict::Holds => Cell::good("holds"),
                GateVerdict::Broken { .. } => Cell::bad("broken"),
                GateVerdict::CannotTell { .. } => Cell::caution("cannot tell"),
            },
            Cell::text(if what_if.is_empty() {
                "(as it stands)".to_owned()
            } else {
                harmless(&what_if.join(" ")).into_owned()
            }),
        ]);
    }
    out.push_str(&table.render(style));
    out
}
