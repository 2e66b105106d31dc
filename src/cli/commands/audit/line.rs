//! One row as one line: for a person, as JSON, as CSV.

use std::fmt::Write as _;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::audit::chain::{Column, Row};
use crate::report::harmless;

/// The columns of the CSV, behind the places of the row.
const FIRST: [&str; 8] = ["at", "written", "class", "writer", "seq", "kind", "status", "latency"];

/// An instant to the millisecond, of one width so that what follows stands in line.
fn moment(microseconds: i64) -> String {
    let milliseconds = microseconds.div_euclid(1_000).rem_euclid(1_000);
    let seconds = instant(microseconds.div_euclid(1_000_000).saturating_mul(1_000_000));
    format!("{}.{milliseconds:03}Z", seconds.trim_end_matches('Z'))
}

/// An instant, as people and other programs read it.
pub(super) fn instant(microseconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1_000);
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_else(|| microseconds.to_string())
}

/// The row for a person, with its end.
pub(super) fn human(row: &Row) -> String {
    let entry = &row.entry;
    let mut text = format!("{}  {:<8}", moment(entry.at), harmless(&entry.kind));
    let mut add = |prefix: &str, value: Option<&str>| {
        if let Some(value) = value {
            let _ = write!(text, "{prefix}{}", harmless(value));
        }
    };
    add("  ", entry.get(Column::Decision));
    add("  ", entry.get(Column::Subject));
    add(" via ", entry.get(Column::Agent));
    add("  ", entry.get(Column::Door));
    add(" ", entry.get(Column::Method));
    add(" ", entry.get(Column::Name));
    add("  ", entry.get(Column::Reason));
    add(" by ", entry.get(Column::Rule));
    if let Some(status) = entry.status {
        let _ = write!(text, "  {status}");
    }
    if let Some(latency) = entry.latency {
        let _ = write!(text, "  {} ms", latency / 1_000);
    }
    if let Some(request) = entry.get(Column::Request) {
        let _ = write!(text, "  [{}]", harmless(request));
    }
    text.push('\n');
    text
}

/// The row as it is verified, with its end.
pub(super) fn json(row: &Row) -> Vec<u8> {
    let mut line = Vec::with_capacity(1_024);
    row.write_line(&mut line);
    line.push(b'\n');
    line
}

/// The names of the columns of the CSV, with their end.
pub(super) fn csv_head() -> String {
    let names = FIRST.into_iter().chain(Column::ALL.iter().map(|c| c.name())).chain(["data", "prev", "hash"]);
    names.collect::<Vec<_>>().join(",") + "\r\n"
}

/// The row as CSV (RFC 4180), with its end.
pub(super) fn csv(row: &Row) -> String {
    let entry = &row.entry;
    let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
    let mut fields = vec![
        instant(entry.at),
        instant(row.written),
        entry.class.to_string(),
        row.writer.to_string(),
        row.seq.to_string(),
        entry.kind.to_string(),
        number(entry.status.map(i64::from)),
        number(entry.latency),
    ];
    fields.extend(Column::ALL.map(|column| entry.get(column).unwrap_or_default().to_owned()));
    fields.extend([entry.data().to_owned(), row.prev.to_string(), row.hash.to_string()]);
    let quoted = fields.into_iter().map(|field| {
        if field.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
    });
    quoted.collect::<Vec<_>>().join(",") + "\r\n"
}
