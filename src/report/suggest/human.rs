//! A suggestion for a person.

use std::fmt::Write;

use super::{Findings, calls, remarks};
use crate::analyze::Direction;
use crate::report::style::Style;
use crate::report::text::{Cell, Columns, harmless, plural};
use crate::report::toml::{matcher, selector};
use crate::suggest::{Against, LearnedGrant, Today};

/// The grants with their items and bounds, what today's grants were used for, and how it was
/// proved. `rows` limits the items that are shown of each grant.
pub fn human(findings: &Findings<'_>, rows: usize, style: Style) -> String {
    let mut out = String::new();
    for text in remarks(findings) {
        let text = harmless(&text).into_owned();
        let text = if text.trim_start().starts_with("FAULT") { style.bad(text).to_string() } else { text };
        line(&mut out, format_args!("{text}"));
    }
    for grant in &findings.studied.suggestion.grants {
        write_grant(&mut out, grant, rows, style);
    }
    if let Some(against) = &findings.studied.against {
        write_today(&mut out, against, rows, style);
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{text}");
}

fn write_grant(out: &mut String, grant: &LearnedGrant, rows: usize, style: Style) {
    let name = grant.statement.name.as_deref().unwrap_or_default();
    line(
        out,
        format_args!(
            "\n{}  {} by {}",
            style.strong(harmless(name)),
            calls(grant.evidence.calls),
            plural(grant.subjects, "subject")
        ),
    );
    line(out, format_args!("  to {}", harmless(&selector(&grant.statement.to))));
    let mut table = Columns::new(2);
    for item in grant.items.iter().take(rows) {
        let idle = if item.idle == 0 { String::new() } else { format!("+{} not seen calling it", item.idle) };
        let bounds: Vec<String> =
            item.bounds.iter().map(|b| format!("{} {}", b.path.as_str(), matcher(&b.matcher))).collect();
        table.row([
            Cell::text(item.place.to_string()),
            Cell::text(calls(item.evidence.calls)),
            Cell::text(plural(item.subjects, "subject")),
            Cell::caution(idle),
            Cell::text(bounds.join("; ")),
        ]);
    }
    out.push_str(&table.render(style));
    others(out, grant.items.len(), rows, "item");
}

fn others(out: &mut String, all: usize, rows: usize, word: &str) {
    if all > rows {
        line(out, format_args!("  {} more {word}{}", all - rows, if all - rows == 1 { "" } else { "s" }));
    }
}

fn write_today(out: &mut String, against: &Against, rows: usize, style: Style) {
    line(out, format_args!("\n{}", style.strong("today's grants")));
    for grant in &against.grants {
        write_used(out, grant, rows, style);
    }
    let Some(diff) = &against.diff else { return };
    let count = |direction| diff.flips.iter().filter(|f| f.direction == direction).count();
    line(
        out,
        format_args!(
            "exact difference: {} and {} of access",
            plural(count(Direction::Lost), "lost way"),
            plural(count(Direction::Gained), "gained way")
        ),
    );
    for flip in diff.flips.iter().filter(|f| f.direction == Direction::Gained).take(rows) {
        line(out, format_args!("  {} {} to {}", style.caution("gained"), flip.place, harmless(&flip.to)));
    }
    for one in &diff.unanswered {
        line(out, format_args!("  {} {}: {}", style.bad("not answered"), one.place, one.limit));
    }
}

fn write_used(out: &mut String, grant: &Today, rows: usize, style: Style) {
    let name = grant.statement.name.as_deref().unwrap_or("(no name)");
    let at = harmless(&grant.position.to_string()).into_owned();
    if grant.evidence.calls == 0 {
        line(out, format_args!("  {} {} {at}", style.caution("unused"), harmless(name)));
        return;
    }
    let used = grant.covered - grant.unused.len();
    let verdict = if grant.unused.is_empty() && grant.idle.is_empty() {
        style.good("as written")
    } else {
        style.caution("narrower")
    };
    line(
        out,
        format_args!(
            "  {verdict} {} {at}: {}, {used} of {} used",
            harmless(name),
            calls(grant.evidence.calls),
            plural(grant.covered, "item")
        ),
    );
    for (what, list) in [
        ("never reached", grant.unused.iter().map(ToString::to_string).collect::<Vec<_>>()),
        ("never seen", grant.idle.clone()),
    ] {
        if !list.is_empty() {
            let shown: Vec<String> = list.iter().take(rows).map(|text| harmless(text).into_owned()).collect();
            let more = if list.len() > rows { format!(" and {} more", list.len() - rows) } else { String::new() };
            line(out, format_args!("      {what}: {}{more}", shown.join(", ")));
        }
    }
}
