//! Problems as workflow commands, which GitHub shows beside the lines of a pull request.
//!
//! Every text is escaped: a policy cannot smuggle a command of its own into the log.

use std::fmt::Write;

use super::place::Place;
use super::text::harmless;
use crate::diagnostics::{Diagnostic, Severity, Sources};
use crate::model::Position;

/// One command a problem, each on its own line.
pub fn check(problems: &[Diagnostic], sources: &Sources) -> String {
    let mut out = String::new();
    for problem in problems {
        let command = match problem.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let place = problem.primary.as_ref().and_then(|label| Place::of(label.span, sources));
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "::{command} {}title={}::{}",
            position(place),
            property(problem.code.as_str()),
            body(problem)
        );
    }
    out
}

/// One error at a place, on its own line.
pub(super) fn error(at: &Position, title: &str, text: &str) -> String {
    let file = property(&harmless(&at.file));
    let lines: Vec<String> = text.lines().map(|line| message(&harmless(line))).collect();
    format!("::error file={file},line={},col={},title={}::{}\n", at.line, at.column, property(title), lines.join("%0A"))
}

fn position(place: Option<Place<'_>>) -> String {
    let Some(place) = place else { return String::new() };
    let mut text = format!("file={},line={},endLine={},", property(&harmless(place.file)), place.line, place.end_line);
    // GitHub refuses columns when a mark spans lines, and an empty mark has no end column.
    if place.line == place.end_line {
        let _ = write!(text, "col={},endColumn={},", place.column, place.end_column.max(place.column + 1));
    }
    text
}

fn body(problem: &Diagnostic) -> String {
    let note = problem.primary.as_ref().map(|label| label.note.as_str()).filter(|note| !note.is_empty());
    let mut lines = vec![match note {
        Some(note) => format!("{}: {note}", problem.message),
        None => problem.message.clone(),
    }];
    lines.extend(problem.help.as_ref().map(|help| format!("help: {help}")));
    lines.push(format!("docs: {}", problem.code.page_path()));
    let lines: Vec<String> = lines.iter().flat_map(|text| text.lines()).map(|line| message(&harmless(line))).collect();
    lines.join("%0A")
}

/// Text after the `::`.
pub(super) fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
pub(super) fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn each_problem_is_one_command() {
        let (sources, problems) = sample();
        let text = check(&problems, &sources);
        assert_eq!(text.lines().count(), problems.len());
        insta::assert_snapshot!(text);
    }

    #[test]
    fn nothing_in_a_text_ends_a_command_or_a_property() {
        assert_eq!(property("a:b,c%\r\n"), "a%3Ab%2Cc%25%0D%0A");
        assert_eq!(message("50%: a,b\n::error::x"), "50%25: a,b%0A::error::x");
    }
}
