//! What came of scenarios: for people, as JSON (`doorward.scenarios/v1`), as JUnit XML and as GitHub
//! annotations.

use std::fmt::Write;

use serde::Serialize;

use super::junit::{Case, Outcome, Suite};
use super::style::Style;
use super::text::{harmless, plural, pretty};
use super::{github, junit as xml};
use crate::model::Position;
use crate::simulate::scenario::Mismatch;

/// The name and version of the JSON form.
pub const SCHEMA: &str = "doorward.scenarios/v1";

/// What came of one scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Result {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub at: Position,
    /// How many events were rehearsed.
    pub events: u64,
    /// What came of it.
    pub outcome: Ran,
}

/// What came of running a scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ran {
    /// What differs from what was expected; nothing when it passed.
    Judged(Vec<Mismatch>),
    /// It could not be run, and why.
    CouldNot(String),
}

impl Result {
    fn mismatches(&self) -> &[Mismatch] {
        match &self.outcome {
            Ran::Judged(list) => list,
            Ran::CouldNot(_) => &[],
        }
    }

    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        matches!(&self.outcome, Ran::Judged(list) if list.is_empty())
    }

    /// Whether it could not be run.
    pub fn could_not(&self) -> bool {
        matches!(self.outcome, Ran::CouldNot(_))
    }
}

/// One line a scenario, and one for each difference.
pub fn human(results: &[Result], style: Style) -> String {
    let mut out = String::new();
    for result in results {
        let name = harmless(&result.name);
        let events = style.faint(plural(usize::try_from(result.events).unwrap_or(usize::MAX), "event")).to_string();
        // Writing to a string cannot fail.
        let _ = match &result.outcome {
            Ran::Judged(list) if list.is_empty() => writeln!(out, "{}  {name}  {events}", style.good("ok")),
            Ran::Judged(_) => writeln!(out, "{}  {name}  {events}", style.bad("FAILED")),
            Ran::CouldNot(why) => {
                let lines: String = why.trim_end().lines().map(|line| format!("  {line}\n")).collect();
                writeln!(out, "{}  {name}", style.caution("could not run")).map(|()| out.push_str(&lines))
            }
        };
        for Mismatch { at, what, expected, actual } in result.mismatches() {
            let at = style.faint(harmless(&at.to_string())).to_string();
            let (what, expected, actual) = (harmless(what), harmless(expected), harmless(actual));
            let _ = writeln!(out, "  {at}  {what}: expected {expected}, found {actual}");
        }
    }
    let failed = results.iter().filter(|r| !r.passed() && !r.could_not()).count();
    let could_not = results.iter().filter(|r| r.could_not()).count();
    let all = plural(results.len(), "scenario");
    let _ = match (failed, could_not) {
        (0, 0) => writeln!(out, "{all}, {}", style.good("all as expected")),
        (failed, 0) => writeln!(out, "{all}, {}", style.bad(format!("{failed} failed"))),
        (failed, stuck) => writeln!(out, "{all}, {}", style.bad(format!("{failed} failed, {stuck} could not be run"))),
    };
    out
}

/// The JSON form.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Whole<'a> {
    /// Always `doorward.scenarios/v1`.
    schema: &'static str,
    /// Whether all came out as expected.
    passed: bool,
    /// One for each scenario, in their order.
    scenarios: Vec<One<'a>>,
}

/// One scenario.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct One<'a> {
    /// Its name.
    name: &'a str,
    /// Where the name stands.
    place: &'a Position,
    /// How many events were rehearsed.
    events: u64,
    /// `passed`, `failed` or `could-not-run`.
    outcome: &'static str,
    /// Why it could not be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<&'a str>,
    /// What differs from what was expected.
    differences: Vec<Difference<'a>>,
}

/// Something that differs.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
struct Difference<'a> {
    /// Where the expectation stands.
    place: &'a Position,
    /// What it is about.
    what: &'a str,
    /// What was expected.
    expected: &'a str,
    /// What was found.
    actual: &'a str,
}

/// The JSON Schema of the JSON form.
#[cfg(feature = "cli")]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Whole<'_>)
}

/// All of them as one JSON document.
pub fn json(results: &[Result]) -> String {
    let one = |result: &'_ Result| -> (&'static str, Option<String>) {
        match &result.outcome {
            Ran::Judged(list) if list.is_empty() => ("passed", None),
            Ran::Judged(_) => ("failed", None),
            Ran::CouldNot(why) => ("could-not-run", Some(why.clone())),
        }
    };
    let outcomes: Vec<_> = results.iter().map(one).collect();
    let scenarios = results.iter().zip(&outcomes).map(|(result, (outcome, because))| One {
        name: &result.name,
        place: &result.at,
        events: result.events,
        outcome,
        because: because.as_deref(),
        differences: result
            .mismatches()
            .iter()
            .map(|m| Difference { place: &m.at, what: &m.what, expected: &m.expected, actual: &m.actual })
            .collect(),
    });
    pretty(&Whole { schema: SCHEMA, passed: results.iter().all(Result::passed), scenarios: scenarios.collect() })
}

/// All of them as one JUnit suite.
pub fn junit(results: &[Result]) -> String {
    let case = |result: &Result| {
        let lines = |m: &Mismatch| format!("{}: {}: expected {}, found {}", m.at, m.what, m.expected, m.actual);
        let outcome = match &result.outcome {
            Ran::Judged(list) if list.is_empty() => Outcome::Passed,
            Ran::Judged(list) => Outcome::Failed {
                message: format!(
                    "{} as expected",
                    if list.len() == 1 { "one thing is not" } else { "several things are not" }
                ),
                details: list.iter().map(lines).collect::<Vec<_>>().join("\n"),
            },
            Ran::CouldNot(why) => {
                Outcome::Failed { message: "the scenario could not be run".to_owned(), details: why.clone() }
            }
        };
        Case { name: result.name.clone(), place: format!("{}:{}", result.at.file, result.at.line), outcome }
    };
    xml::render(&[Suite { name: "scenarios".to_owned(), cases: results.iter().map(case).collect() }])
}

/// One annotation a difference, at the place of the expectation.
pub fn github(results: &[Result]) -> String {
    let mut out = String::new();
    for result in results {
        if let Ran::CouldNot(why) = &result.outcome {
            out.push_str(&github::error(&result.at, "scenario", &format!("{}: {why}", result.name)));
        }
        for Mismatch { at, what, expected, actual } in result.mismatches() {
            let text = format!("{}: {what}: expected {expected}, found {actual}", result.name);
            out.push_str(&github::error(at, "scenario", &text));
        }
    }
    out
}
