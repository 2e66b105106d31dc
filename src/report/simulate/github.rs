//! A rehearsal as workflow commands, which GitHub shows beside the lines of a pull request.
//!
//! GitHub keeps ten annotations of a level and step and drops the rest in silence. So there are at
//! most ten here, the last of which says how many are left out.

use std::fmt::Write;

use super::answer;
use super::words::{self, Level, Rehearsed, by_impact, code, event_place, idle, many, place_of, usage};
use crate::report::github::{message, property};
use crate::report::text::harmless;
use crate::simulate::Change;

/// The most annotations of one level.
const MOST: usize = 10;

/// The rehearsal as workflow commands, one a line.
pub fn github(rehearsed: &Rehearsed<'_>) -> String {
    let mut notes = Notes { lines: Vec::new(), policy: rehearsed.policy };
    let report = rehearsed.report;
    let drift = report.drift.different_total();
    if drift > 0 {
        let text = format!("{} not as recorded, by the very policy that made them", many(drift, "decision"));
        notes.add(Level::Error, "drift", None, &[text]);
    }
    for because in rehearsed.because() {
        notes.add(Level::Error, "gate", None, &[format!("{}: {because}", rehearsed.headline())]);
    }
    let unreadable = report.unreadable_total();
    if unreadable > 0 {
        let mut text = vec![format!("{} could not be read", many(unreadable, "record"))];
        text.extend(report.unreadable_samples.iter().map(|s| format!("{}: {}", event_place(s), s.about)));
        notes.add(Level::Error, "unreadable", None, &text);
    }
    for change in by_impact(&report.drift.different).into_iter().chain(by_impact(&report.changes)) {
        notes.add(rehearsed.level(change.kind), code(change.kind), rehearsed.place(change), &lines(change));
    }
    for hits in idle(report) {
        let (id, meaning) = usage(hits.usage);
        let text = format!("{} {meaning}", hits.rule.label());
        let near = (hits.nearly > 0)
            .then(|| format!("{} failed only its argument rules or its end date", many(hits.nearly, "event")));
        let text: Vec<String> = std::iter::once(text).chain(near).collect();
        notes.add(Level::Note, id, Some(&hits.rule.at), &text);
    }
    notes.render()
}

fn lines(change: &Change) -> Vec<String> {
    let first = change.samples.first();
    let seen = first.map(|s| format!("first: {} at {}", s.about, event_place(s)));
    let head = format!("{} of `{}` {}", many(change.count, "event"), change.item, words::kind(change.kind));
    let way = format!("{} → {}", answer(&change.before), answer(&change.after));
    let allow = words::advice(change).map(|advice| format!("to allow it: {advice}"));
    [Some(head), Some(way), seen, allow].into_iter().flatten().collect()
}

struct Notes<'a> {
    lines: Vec<(Level, String)>,
    policy: &'a str,
}

impl Notes<'_> {
    fn add(&mut self, level: Level, title: &str, at: Option<&str>, text: &[String]) {
        let (file, position) = match at.and_then(place_of) {
            Some((file, line, column)) => (file, format!("line={line},col={column},")),
            None => (self.policy, String::new()),
        };
        let file = if file.is_empty() { String::new() } else { format!("file={},", property(&harmless(file))) };
        let text: Vec<String> = text.iter().map(|line| message(&harmless(line))).collect();
        let command = command(level);
        let line = format!("::{command} {file}{position}title=doorward {title}::{}", text.join("%0A"));
        self.lines.push((level, line));
    }

    fn render(mut self) -> String {
        self.lines.sort_by_key(|(level, _)| *level);
        let mut out = String::new();
        for level in [Level::Error, Level::Warning, Level::Note] {
            let of_level: Vec<&String> = self.lines.iter().filter(|(l, _)| *l == level).map(|(_, line)| line).collect();
            let shown = if of_level.len() > MOST { MOST - 1 } else { of_level.len() };
            for line in of_level.iter().take(shown) {
                // Writing to a string cannot fail.
                let _ = writeln!(out, "{line}");
            }
            let rest = of_level.len() - shown;
            if rest > 0 {
                let text = format!("and {rest} more like these: see the full report");
                let _ = writeln!(out, "::{} title=doorward::{text}", command(level));
            }
        }
        out
    }
}

const fn command(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Note => "notice",
    }
}
