//! A rehearsal as JUnit cases: the self-checks, each limit of the gate, and each door.

use std::fmt::Write;

use super::words::{Level, Rehearsed, by_impact, event_place, kind, many};
use super::{answer, words};
use crate::report::junit::{self, Case, Outcome, Suite};
use crate::report::text::harmless;
use crate::simulate::{Change, Changes, Group, Kind};

/// The most changes that one case lists.
const MOST: usize = 50;

/// The rehearsal as one XML document.
pub fn junit(rehearsed: &Rehearsed<'_>) -> String {
    let suite = |name: &str, cases| Suite { name: name.to_owned(), cases };
    let suites =
        [suite("self-check", self_check(rehearsed)), suite("gate", gate(rehearsed)), suite("doors", doors(rehearsed))];
    junit::render(&suites)
}

fn self_check(rehearsed: &Rehearsed<'_>) -> Vec<Case> {
    let report = rehearsed.report;
    let drift = &report.drift;
    let different = drift.different_total();
    let reproduced = if drift.checked == 0 {
        Outcome::Skipped("no event was decided by a policy that is here".to_owned())
    } else if different > 0 {
        Outcome::Failed {
            message: format!("{different} of {} are not as recorded", many(drift.decidable(), "decision")),
            details: lines(&drift.different, |_| true),
        }
    } else {
        Outcome::Passed
    };
    let unreadable = report.unreadable_total();
    let read = if unreadable > 0 {
        let first = report.unreadable_samples.iter();
        let details = first.map(|s| format!("{}: {}\n", harmless(&event_place(s)), harmless(&s.about))).collect();
        Outcome::Failed { message: format!("{} could not be read", many(unreadable, "record")), details }
    } else {
        Outcome::Passed
    };
    vec![
        case("the recorded decisions are reproduced by the policy that made them", rehearsed, reproduced),
        case("every record can be read", rehearsed, read),
    ]
}

fn gate(rehearsed: &Rehearsed<'_>) -> Vec<Case> {
    let because = rehearsed.because().join("; ");
    let limit = |breach: &crate::simulate::Breach| {
        let name = format!("{} = {}", breach.what.key(), breach.limit);
        let outcome = match rehearsed.gate {
            _ if breach.count > breach.limit => Outcome::Failed {
                message: format!("there are {}", breach.count),
                details: lines(&rehearsed.report.changes, |change| words::measure(change.kind) == Some(breach.what)),
            },
            crate::simulate::GateVerdict::CannotTell { .. } => {
                Outcome::Failed { message: "the gate cannot be judged".to_owned(), details: because.clone() }
            }
            _ => Outcome::Passed,
        };
        case(&name, rehearsed, outcome)
    };
    if rehearsed.limits.is_empty() {
        return vec![case("limits", rehearsed, Outcome::Skipped("no limit is set".to_owned()))];
    }
    rehearsed.limits.iter().map(limit).collect()
}

/// A door fails when it has part in what breaks the gate.
fn doors(rehearsed: &Rehearsed<'_>) -> Vec<Case> {
    let one = |group: &Group| {
        let counts = &group.counts;
        let bad = |kind: Kind, count: u64| count > 0 && rehearsed.level(kind) == Level::Error;
        let fails = bad(Kind::NewlyDenied, counts.newly_denied)
            || bad(Kind::NewlyAllowed, counts.newly_allowed)
            || bad(Kind::Undecidable, counts.undecidable.max(counts.unsettled));
        let outcome = if fails {
            let parts = [
                (counts.newly_denied, kind(Kind::NewlyDenied)),
                (counts.newly_allowed, kind(Kind::NewlyAllowed)),
                (counts.undecidable, kind(Kind::Undecidable)),
            ];
            let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
            let message = format!("of {}: {}", many(counts.events, "event"), parts.collect::<Vec<_>>().join(", "));
            let at_door = |change: &Change| {
                let door = change.item.strip_prefix(group.name.as_str()).is_some_and(|rest| rest.starts_with(':'));
                door && rehearsed.level(change.kind) == Level::Error
            };
            Outcome::Failed { message, details: lines(&rehearsed.report.changes, at_door) }
        } else {
            Outcome::Passed
        };
        case(&format!("door {}", harmless(&group.name)), rehearsed, outcome)
    };
    rehearsed.report.doors.list.iter().map(one).collect()
}

fn case(name: &str, rehearsed: &Rehearsed<'_>, outcome: Outcome) -> Case {
    Case { name: name.to_owned(), place: rehearsed.policy.to_owned(), outcome }
}

fn lines(changes: &Changes, which: impl Fn(&Change) -> bool) -> String {
    let list: Vec<&Change> = by_impact(changes).into_iter().filter(|change| which(change)).collect();
    let mut out = String::new();
    for change in list.iter().take(MOST) {
        let first = change.samples.first();
        let (before, after) = (answer(&change.before), answer(&change.after));
        let place = first.map(event_place).unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{} {} {}: {} -> {}, first {} at {}",
            change.count,
            kind(change.kind),
            harmless(&change.item),
            harmless(&before),
            harmless(&after),
            harmless(first.map_or("", |s| &s.about)),
            harmless(&place),
        );
        if let Some(advice) = words::advice(change) {
            let _ = writeln!(out, "  to allow it: {}", harmless(advice));
        }
    }
    if list.len() > MOST {
        let _ = writeln!(out, "and {} more in the JSON report", many((list.len() - MOST) as u64, "row"));
    }
    out
}
