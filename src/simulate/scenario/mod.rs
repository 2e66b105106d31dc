//! Scenarios: what a rehearsal of given traffic must find.
//!
//! A scenario that expects nothing is refused, and what it does not speak of is expected too where
//! silence would hide a fault: no drift, and no record that cannot be read.

mod figures;
mod file;

use self::figures::{Figure, shown};
use super::answer::{Answer, RuleName};
use super::counts::{Counts, Range};
use super::examine::{Class, Examined};
use super::gate::GateVerdict;
use super::report::Report;
use super::select::Select;
use super::sessions::BrokenSession;
use super::terms::Clock;
use crate::diagnostics::{Sources, Span};
use crate::model::{Position, Reason};

pub use file::load;

/// One scenario, as its file says. Paths are as written, from the directory of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name; of one without, the name of its file.
    pub name: String,
    /// Where the name stands, or the file begins.
    pub at: Span,
    /// The traffic: files, directories and globs.
    pub recordings: Vec<String>,
    /// What the traffic comes as.
    pub from: Option<String>,
    /// The mapping of identities.
    pub mapping: Option<String>,
    /// The candidate.
    pub policy: Option<String>,
    /// The profile of both policies.
    pub profile: Option<String>,
    /// The baseline: a path, or `git:REV:PATH`.
    pub baseline: Option<String>,
    /// What-ifs as behind `--set`, `--drop-grant`, `--drop-deny` and `--drop-scope`.
    pub what_ifs: [Vec<String>; 4],
    /// The instant at which events are judged.
    pub clock: Clock,
    expectations: Vec<Expectation>,
    /// Particular events.
    pub events: Vec<EventExpectation>,
    breaks: Vec<BreakExpectation>,
}

/// Something that the report must say.
#[derive(Clone, Debug, PartialEq)]
struct Expectation {
    span: Span,
    what: Expected,
}

#[derive(Clone, Debug, PartialEq)]
enum Expected {
    Count(Counted, Amount),
    Reason(String, Amount),
    Missing(String, Amount),
    Bounds(Counted, Range),
    Figure(Figure, Amount),
    Gate(String),
}

/// A number of a report, by its name in scenarios.
#[derive(Clone, Copy, Debug)]
struct Counted(&'static str, fn(&Report) -> u64);

/// The name is the number's own.
impl PartialEq for Counted {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Every number that a scenario may expect.
const COUNTED: [Counted; 17] = [
    Counted("events", |r| r.totals.events),
    Counted("allowed", |r| r.totals.allowed),
    Counted("denied", |r| r.totals.denied),
    Counted("undecidable", |r| r.totals.undecidable),
    Counted("still_allowed", |r| r.totals.still_allowed),
    Counted("still_denied", |r| r.totals.still_denied),
    Counted("newly_denied", |r| r.totals.newly_denied),
    Counted("newly_allowed", |r| r.totals.newly_allowed),
    Counted("unsettled", |r| r.totals.unsettled),
    Counted("uncompared", |r| r.totals.uncompared),
    Counted("other_reason", |r| r.totals.other_reason),
    Counted("other_rule", |r| r.totals.other_rule),
    Counted("other_obligations", |r| r.totals.other_obligations),
    Counted("drift", |r| r.drift.different_total()),
    Counted("reproduced", |r| r.drift.same),
    Counted("other_policy", |r| r.drift.other_policy),
    Counted("unreadable", Report::unreadable_total),
];

type RangeOf = fn(&Counts) -> Range;

/// What has bounds.
const BOUNDED: [(&str, RangeOf); 4] = [
    ("allowed", Counts::allowed_range),
    ("denied", Counts::denied_range),
    ("newly_denied", Counts::newly_denied_range),
    ("newly_allowed", Counts::newly_allowed_range),
];

/// The words for the verdicts of the gate.
const GATES: [&str; 4] = ["open", "holds", "broken", "cannot-tell"];

/// How many there must be, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Amount {
    min: u64,
    max: u64,
}

impl Amount {
    fn shown(self) -> String {
        match self {
            Self { min, max } if min == max => min.to_string(),
            Self { min, max: u64::MAX } => format!("at least {min}"),
            Self { min: 0, max } => format!("at most {max}"),
            Self { min, max } => format!("{min} to {max}"),
        }
    }
}

/// What one event must come out as.
#[derive(Clone, Debug, PartialEq)]
pub struct EventExpectation {
    /// Which event.
    pub select: Select,
    span: Span,
    effect: Option<(String, Span)>,
    reason: Option<(Reason, Span)>,
    rule: Option<(String, Span)>,
    class: Option<(Class, Span)>,
    missing: Option<(Vec<String>, Span)>,
    drift: Option<(bool, Span)>,
}

/// That a particular session breaks, and how.
#[derive(Clone, Debug, PartialEq)]
struct BreakExpectation {
    session: String,
    span: Span,
    item: Option<(String, Span)>,
    before: Option<(Amount, Span)>,
    sure: Option<(bool, Span)>,
}

/// What differs from what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where the expectation stands.
    pub at: Position,
    /// What it is about.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What came out.
    pub actual: String,
}

impl Scenario {
    /// What of a rehearsal is not as expected. `found` is what came of each of the particular events;
    /// none where there is no such event.
    pub fn judge(
        &self,
        report: &Report,
        verdict: &GateVerdict,
        found: &[Option<Examined>],
        sources: &Sources,
    ) -> Vec<Mismatch> {
        let mut list = Mismatches { sources, list: Vec::new() };
        for Expectation { span, what } in &self.expectations {
            match what {
                Expected::Count(Counted(name, count), amount) => list.amount(*span, name, *amount, count(report)),
                Expected::Reason(reason, amount) => {
                    let group = report.reasons.list.iter().find(|group| group.name == *reason);
                    let count = group.map_or(0, |group| group.counts.events);
                    list.amount(*span, &format!("events with reason {reason}"), *amount, count);
                }
                Expected::Missing(fact, amount) => {
                    let count = report.missing.get(fact).copied().unwrap_or(0);
                    list.amount(*span, &format!("events that lack {fact}"), *amount, count);
                }
                Expected::Bounds(Counted(name, _), expected) => {
                    let actual = BOUNDED.iter().find(|(known, _)| known == name).map(|(_, of)| of(&report.totals));
                    let shown = |range: &Range| format!("at least {}, at most {}", range.at_least, range.at_most);
                    let actual = actual.as_ref().map(shown).unwrap_or_default();
                    list.same(*span, &format!("bounds of {name}"), &shown(expected), &actual);
                }
                Expected::Figure(figure, amount) => list.figure(*span, &figure.name(), *amount, figure.of(report)),
                Expected::Gate(expected) => list.same(*span, "gate", expected, gate_word(verdict)),
            }
        }
        // Without a word on them there must be none.
        for name in ["drift", "unreadable"] {
            let spoken = |e: &Expectation| matches!(&e.what, Expected::Count(counted, _) if counted.0 == name);
            if let Some(Counted(_, count)) = COUNTED.iter().find(|counted| counted.0 == name)
                && !self.expectations.iter().any(spoken)
            {
                list.amount(self.at, name, Amount { min: 0, max: 0 }, count(report));
            }
        }
        for (event, found) in self.events.iter().zip(found) {
            event.judge(found.as_ref(), &mut list);
        }
        for broken in &self.breaks {
            let found = report.sessions.list.iter().find(|session| session.session == broken.session);
            broken.judge(found, &mut list);
        }
        list.list
    }
}

impl EventExpectation {
    fn judge(&self, found: Option<&Examined>, list: &mut Mismatches<'_>) {
        let about = |what: &str| format!("{what} of event {}", self.select);
        let Some(found) = found else {
            list.same(self.span, &format!("event {}", self.select), "is in the traffic", "there is no such event");
            return;
        };
        let (effect, reason, rule, missing) = parts(&found.candidate);
        if let Some((expected, span)) = &self.effect {
            list.same(*span, &about("effect"), expected, effect);
        }
        if let Some((expected, span)) = &self.reason {
            list.same(*span, &about("reason"), expected.code(), reason);
        }
        if let Some((expected, span)) = &self.rule {
            list.same(*span, &about("rule"), expected, rule.map_or("none", RuleName::shown));
        }
        if let Some((expected, span)) = &self.missing {
            list.same(*span, &about("missing facts"), &expected.join(", "), &missing.join(", "));
        }
        if let Some((expected, span)) = &self.class {
            list.same(*span, &about("class"), expected.as_str(), found.class.as_str());
        }
        if let Some((expected, span)) = &self.drift {
            list.same(*span, &about("drift"), &expected.to_string(), &found.drifted.to_string());
        }
    }
}

impl BreakExpectation {
    fn judge(&self, found: Option<&BrokenSession>, list: &mut Mismatches<'_>) {
        let about = |what: &str| format!("{what} of session {}", self.session);
        let Some(found) = found else {
            list.same(
                self.span,
                &format!("session {}", self.session),
                "breaks",
                "is not listed among those that break",
            );
            return;
        };
        if let Some((expected, span)) = &self.item {
            list.same(*span, &about("break"), expected, &found.item);
        }
        if let Some((amount, span)) = &self.before {
            list.figure(*span, &about("calls before the break"), *amount, found.before);
        }
        if let Some((expected, span)) = &self.sure {
            list.same(*span, &about("certainty"), certainty(*expected), certainty(found.sure));
        }
    }
}

const fn certainty(sure: bool) -> &'static str {
    if sure { "breaks" } else { "may break" }
}

/// Effect, reason, statement and missing facts of an answer.
fn parts(answer: &Answer) -> (&'static str, &'static str, Option<&RuleName>, &[String]) {
    match answer {
        Answer::Allow { rule } => ("allow", Reason::Granted.code(), rule.as_ref(), &[]),
        Answer::Deny { reason, rule } => ("deny", reason.code(), rule.as_ref(), &[]),
        Answer::Undecidable { missing } => ("undecidable", "none", None, missing),
        _ => ("none", "none", None, &[]),
    }
}

fn gate_word(verdict: &GateVerdict) -> &'static str {
    match verdict {
        GateVerdict::Open => "open",
        GateVerdict::Holds => "holds",
        GateVerdict::Broken { .. } => "broken",
        GateVerdict::CannotTell { .. } => "cannot-tell",
    }
}

struct Mismatches<'a> {
    sources: &'a Sources,
    list: Vec<Mismatch>,
}

impl Mismatches<'_> {
    fn amount(&mut self, span: Span, what: &str, amount: Amount, actual: u64) {
        self.figure(span, what, amount, Range { at_least: actual, at_most: actual });
    }

    fn figure(&mut self, span: Span, what: &str, amount: Amount, actual: Range) {
        if !amount.holds(actual) {
            self.push(span, what, &amount.shown(), &shown(actual));
        }
    }

    fn same(&mut self, span: Span, what: &str, expected: &str, actual: &str) {
        if expected != actual {
            self.push(span, what, expected, actual);
        }
    }

    fn push(&mut self, span: Span, what: &str, expected: &str, actual: &str) {
        let at = self.sources.position(span);
        self.list.push(Mismatch {
            at,
            what: what.to_owned(),
            expected: expected.to_owned(),
            actual: actual.to_owned(),
        });
    }
}
