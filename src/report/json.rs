//! Problems as one JSON document, `doorward.check/v1`.
//!
//! Keys may be added within a version; none is renamed, removed or given another meaning.

use serde::Serialize;

use super::place::Place;
use super::text::{counts, pretty};
use crate::diagnostics::{Code, Diagnostic, Label, Severity, Sources};

/// The name and version of the format.
pub const SCHEMA: &str = "doorward.check/v1";

/// The problems as JSON, in the order given.
pub fn check(problems: &[Diagnostic], sources: &Sources) -> String {
    let (errors, warnings) = counts(problems);
    pretty(&Report {
        schema: SCHEMA,
        errors,
        warnings,
        problems: problems.iter().map(|problem| Problem::of(problem, sources)).collect(),
    })
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    errors: usize,
    warnings: usize,
    problems: Vec<Problem<'a>>,
}

#[derive(Serialize)]
struct Problem<'a> {
    code: Code,
    severity: Severity,
    message: &'a str,
    /// `null` when the problem has no place in a file.
    place: Option<Marked<'a>>,
    related: Vec<Marked<'a>>,
    help: Option<&'a str>,
    docs: String,
}

#[derive(Serialize)]
struct Marked<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    note: Option<&'a str>,
}

impl<'a> Problem<'a> {
    fn of(problem: &'a Diagnostic, sources: &'a Sources) -> Self {
        Self {
            code: problem.code,
            severity: problem.severity(),
            message: &problem.message,
            place: problem.primary.as_ref().and_then(|label| Marked::of(label, sources)),
            related: problem.secondary.iter().filter_map(|label| Marked::of(label, sources)).collect(),
            help: problem.help.as_deref(),
            docs: problem.code.page_path(),
        }
    }
}

impl<'a> Marked<'a> {
    fn of(label: &'a Label, sources: &'a Sources) -> Option<Self> {
        let place = Place::of(label.span, sources)?;
        Some(Self { place, note: Some(label.note.as_str()).filter(|note| !note.is_empty()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn every_problem_has_its_code_place_and_page() {
        let (sources, problems) = sample();
        insta::assert_snapshot!(check(&problems, &sources));
    }

    #[test]
    fn no_problem_is_an_empty_list() {
        insta::assert_snapshot!(check(&[], &Sources::default()), @r#"
        {
          "schema": "doorward.check/v1",
          "errors": 0,
          "warnings": 0,
          "problems": []
        }
        "#);
    }
}
