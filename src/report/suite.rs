//! The results of inline tests: for people, as JSON and as JUnit cases.
//!
//! Whether a threshold of coverage is met is for the caller to say.

use std::fmt::Write;

use serde::Serialize;

use super::junit::{self, Case, Outcome};
use super::simulate::answer;
use super::style::Style;
use super::text::{Cell, Columns, harmless, plural, pretty};
use crate::model::Position;
use crate::simulate::suite::{Expected, Failure, SuiteResult, TestResult};
use crate::simulate::{Answer, Coverage, CoverageLine};

/// The schema of the JSON form.
pub const SCHEMA: &str = "doorward.test/v1";

/// The results for people; with coverage, what no test exercises.
pub fn human(result: &SuiteResult, coverage: bool, style: Style) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    for test in &result.tests {
        let verdict =
            if test.failures.is_empty() { style.good("ok").to_string() } else { style.bad("failed").to_string() };
        let requests = style.faint(plural(count(test.requests), "request"));
        let _ = writeln!(out, "{verdict}  {}  {requests}", harmless(&test.name));
        for failure in &test.failures {
            let _ = writeln!(out, "    {}  {}", style.faint(place(&failure.at)), harmless(&message(failure)));
            for advice in &failure.advice {
                let _ = writeln!(out, "      {}", harmless(advice));
            }
        }
    }
    let failed = result.tests.iter().filter(|t| !t.failures.is_empty()).count();
    let all = plural(result.tests.len(), "test");
    let _ = match failed {
        0 => writeln!(out, "{all}, {}", style.good("all passed")),
        _ => writeln!(out, "{all}, {}", style.bad(format!("{failed} failed"))),
    };
    if coverage {
        write_coverage(&mut out, &result.coverage, style);
    }
    out
}

fn write_coverage(out: &mut String, coverage: &Coverage, style: Style) {
    let (covered, all) = (coverage.covered(), coverage.lines.len());
    let _ = writeln!(out, "\n{}% of statements and items exercised, {covered} of {all}", coverage.percent());
    let mut table = Columns::new(2);
    for CoverageLine { rule, .. } in coverage.lines.iter().filter(|line| !line.covered) {
        table.row([Cell::caution("not exercised"), Cell::text(rule.label()), Cell::faint(rule.at.clone())]);
    }
    out.push_str(&table.render(style));
}

/// The results as JSON.
pub fn json(result: &SuiteResult) -> String {
    #[derive(Serialize)]
    struct Whole<'a> {
        schema: &'static str,
        passed: bool,
        tests: Vec<Test<'a>>,
        coverage: Covered<'a>,
    }
    #[derive(Serialize)]
    struct Test<'a> {
        name: &'a str,
        at: String,
        passed: bool,
        requests: u64,
        failures: Vec<Failed<'a>>,
    }
    #[derive(Serialize)]
    struct Failed<'a> {
        at: String,
        item: &'a str,
        message: String,
        answer: &'a Answer,
        advice: &'a [String],
    }
    #[derive(Serialize)]
    struct Covered<'a> {
        percent: u8,
        exercised: usize,
        of: usize,
        lines: &'a [CoverageLine],
    }
    let failed = |failure: &'_ Failure| message(failure);
    let tests = result.tests.iter().map(|test| Test {
        name: &test.name,
        at: place(&test.at),
        passed: test.failures.is_empty(),
        requests: test.requests,
        failures: test
            .failures
            .iter()
            .map(|f| Failed {
                at: place(&f.at),
                item: &f.item,
                message: failed(f),
                answer: &f.answer,
                advice: &f.advice,
            })
            .collect(),
    });
    let coverage = &result.coverage;
    pretty(&Whole {
        schema: SCHEMA,
        passed: result.passed(),
        tests: tests.collect(),
        coverage: Covered {
            percent: coverage.percent(),
            exercised: coverage.covered(),
            of: coverage.lines.len(),
            lines: &coverage.lines,
        },
    })
}

/// The results as JUnit, one case a test.
pub fn junit(name: &str, result: &SuiteResult) -> String {
    let case = |test: &TestResult| Case {
        name: test.name.clone(),
        place: format!("{}:{}", test.at.file, test.at.line),
        outcome: match test.failures.as_slice() {
            [] => Outcome::Passed,
            [first, ..] => Outcome::Failed { message: message(first), details: details(&test.failures) },
        },
    };
    let cases = result.tests.iter().map(case).collect();
    junit::render(&[junit::Suite { name: name.to_owned(), cases }])
}

fn details(failures: &[Failure]) -> String {
    let mut out = String::new();
    for failure in failures {
        let _ = writeln!(out, "{}: {}", place(&failure.at), message(failure));
        for advice in &failure.advice {
            let _ = writeln!(out, "  {advice}");
        }
    }
    out
}

fn message(failure: &Failure) -> String {
    let (item, got) = (&failure.item, answer(&failure.answer));
    match failure.expected {
        Expected::Allow => format!("`{item}` must be allowed, and the answer is: {got}"),
        Expected::Deny(None) => format!("`{item}` must be denied, and the answer is: {got}"),
        Expected::Deny(Some(reason)) => format!("`{item}` must be denied because `{reason}`, and the answer is: {got}"),
        Expected::OutOfReach => match &failure.answer {
            Answer::Undecidable { .. } => format!("`{item}` is not named here and some arguments reach it"),
            _ => format!("`{item}` is not named here and is within reach: {got}"),
        },
        Expected::Something => format!("`{item}` covers nothing that is declared"),
    }
}

fn place(position: &Position) -> String {
    if position.line == 0 { String::new() } else { position.to_string() }
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
