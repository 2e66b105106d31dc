//! Test results as JUnit XML, in the shape that GitLab, Jenkins and GitHub actions agree on.
//!
//! Times are left out, so that the same results give the same file.

use std::fmt::Write;

/// Cases that belong together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suite {
    /// Its name: the policy, or the gate.
    pub name: String,
    /// Its cases, in order.
    pub cases: Vec<Case>,
}

/// One check and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// The file and line that it stands in, as `policies.toml:12`; may be empty.
    pub place: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It does not hold: one line, and the details.
    Failed {
        /// One line.
        message: String,
        /// All that helps to mend it; may have many lines.
        details: String,
    },
    /// It was not judged, and why.
    Skipped(String),
}

/// The suites as one XML document.
pub fn render(suites: &[Suite]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all = suites.iter().flat_map(|suite| &suite.cases);
    // Writing to a string cannot fail.
    let _ = writeln!(out, "<testsuites name=\"doorward\"{}>", totals(all));
    for suite in suites {
        let _ = writeln!(out, "  <testsuite name=\"{}\"{}>", attribute(&suite.name), totals(suite.cases.iter()));
        for case in &suite.cases {
            write_case(&mut out, suite, case);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn write_case(out: &mut String, suite: &Suite, case: &Case) {
    let _ = write!(out, "    <testcase classname=\"{}\" name=\"{}\"", attribute(&suite.name), attribute(&case.name));
    let (file, line) = case.place.rsplit_once(':').unwrap_or((&case.place, ""));
    if !file.is_empty() {
        let _ = write!(out, " file=\"{}\"", attribute(file));
    }
    if !line.is_empty() {
        let _ = write!(out, " line=\"{}\"", attribute(line));
    }
    let _ = match &case.outcome {
        Outcome::Passed => writeln!(out, "/>"),
        Outcome::Failed { message, details } => writeln!(
            out,
            ">\n      <failure message=\"{}\">{}</failure>\n    </testcase>",
            attribute(message),
            escaped(details)
        ),
        Outcome::Skipped(why) => {
            writeln!(out, ">\n      <skipped message=\"{}\"/>\n    </testcase>", attribute(why))
        }
    };
}

fn totals<'a>(cases: impl Iterator<Item = &'a Case>) -> String {
    let (mut tests, mut failures, mut skipped) = (0, 0, 0);
    for case in cases {
        tests += 1;
        match case.outcome {
            Outcome::Passed => {}
            Outcome::Failed { .. } => failures += 1,
            Outcome::Skipped(_) => skipped += 1,
        }
    }
    format!(" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"")
}

/// Text between tags (XML 1.0 section 2.4). A character that XML cannot hold at all (section 2.2)
/// is shown as U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(c),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            _ => out.push(c),
        }
    }
    out
}

/// Text in a quoted attribute, where a reader would turn a bare line end or tab into a space.
fn attribute(text: &str) -> String {
    escaped(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_and_every_text_is_escaped() {
        let case = |name: &str, outcome| Case { name: name.into(), place: "policies.toml:12".into(), outcome };
        let failed = Outcome::Failed {
            message: "`tickets:refund` was allowed & \"should\"\nnot be".into(),
            details: "grant <support-desk>\n\tat policies.toml:3:1 ]]> \u{0}\u{1b}[31m 日本".into(),
        };
        let suites = [
            Suite {
                name: "policies.toml".into(),
                cases: vec![
                    case("reads < writes", Outcome::Passed),
                    case("no \"refund\"", failed),
                    case("later", Outcome::Skipped("filtered out".into())),
                ],
            },
            Suite { name: "empty & done".into(), cases: Vec::new() },
        ];
        insta::assert_snapshot!(render(&suites));
    }
}
