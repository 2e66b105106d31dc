//! Problems as SARIF 2.1.0, for code scanning.
//!
//! Holds nothing of the machine: no absolute path, time or user.

use std::fmt::Write;

use serde::Serialize;

use super::place::Place;
use super::text::pretty;
use crate::diagnostics::{Code, Diagnostic, Label, Severity, SourceId, Sources};

/// The problems as one SARIF run with a rule for each code that occurs.
pub fn check(problems: &[Diagnostic], sources: &Sources) -> String {
    let mut codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
    codes.sort();
    codes.dedup();
    let results = problems.iter().map(|problem| Finding::of(problem, &codes, sources)).collect();
    let driver = Driver {
        name: "doorward",
        semantic_version: env!("CARGO_PKG_VERSION"),
        information_uri: repository(),
        rules: codes.iter().map(|code| Rule::of(*code)).collect(),
    };
    pretty(&Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run { tool: Tool { driver }, column_kind: "unicodeCodePoints", results }],
    })
}

/// Where the package lives, when it says so; help URIs must be absolute.
fn repository() -> Option<&'static str> {
    Some(env!("CARGO_PKG_REPOSITORY")).filter(|url| !url.is_empty())
}

#[derive(Serialize)]
struct Log<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    tool: Tool,
    column_kind: &'static str,
    results: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    semantic_version: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    information_uri: Option<&'static str>,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: Code,
    short_description: Text<'static>,
    default_configuration: Configuration,
    help: Help,
    #[serde(skip_serializing_if = "Option::is_none")]
    help_uri: Option<String>,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
struct Help {
    text: String,
    markdown: &'static str,
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    rule_id: Code,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: Vec<Location<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_locations: Vec<Location<'a>>,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the standard")]
struct Location<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<usize>,
    physical_location: Physical,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Text<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Physical {
    artifact_location: Artifact,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
struct Artifact {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
    start_column: u32,
    end_line: u32,
    end_column: u32,
}

impl Rule {
    fn of(code: Code) -> Self {
        Self {
            id: code,
            short_description: Text { text: code.summary() },
            default_configuration: Configuration { level: level(code.severity()) },
            help: Help { text: format!("{}; see {}", code.summary(), code.page_path()), markdown: code.page() },
            help_uri: repository().map(|url| format!("{url}/blob/main/{}", code.page_path())),
        }
    }
}

impl<'a> Finding<'a> {
    fn of(problem: &'a Diagnostic, codes: &[Code], sources: &'a Sources) -> Self {
        let place = problem.primary.as_ref().and_then(|label| Place::of(label.span, sources));
        // Code scanning drops a result without a file: blame the policy as a whole.
        let location = match place {
            Some(place) => Some(Physical::of(place)),
            None => sources.get(SourceId::default()).map(|source| Physical::whole(&source.name)),
        };
        Self {
            rule_id: problem.code,
            rule_index: codes.partition_point(|code| *code < problem.code),
            level: level(problem.severity()),
            message: Message { text: sentence(problem) },
            locations: location
                .map(|physical_location| Location { id: None, physical_location, message: None })
                .into_iter()
                .collect(),
            related_locations: problem
                .secondary
                .iter()
                .enumerate()
                .filter_map(|(i, label)| Location::related(i, label, sources))
                .collect(),
        }
    }
}

/// Message, note and help in one text: viewers show nothing else of ours beside the line.
fn sentence(problem: &Diagnostic) -> String {
    let mut text = problem.message.clone();
    if let Some(note) = problem.primary.as_ref().map(|label| &label.note).filter(|note| !note.is_empty()) {
        text = format!("{text}: {note}");
    }
    if let Some(help) = &problem.help {
        text = format!("{text}\nhelp: {help}");
    }
    text
}

impl<'a> Location<'a> {
    fn related(id: usize, label: &'a Label, sources: &'a Sources) -> Option<Self> {
        let place = Place::of(label.span, sources)?;
        let message = (!label.note.is_empty()).then_some(Text { text: &label.note });
        Some(Self { id: Some(id), physical_location: Physical::of(place), message })
    }
}

impl Physical {
    fn of(place: Place<'_>) -> Self {
        let region = Region {
            start_line: place.line,
            start_column: place.column,
            end_line: place.end_line,
            end_column: place.end_column,
        };
        Self { artifact_location: Artifact { uri: uri(place.file) }, region: Some(region) }
    }

    fn whole(file: &str) -> Self {
        Self { artifact_location: Artifact { uri: uri(file) }, region: None }
    }
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// A path as a URI reference (RFC 3986 section 4.2): percent-encoded, with `/` between segments.
fn uri(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    // Writing to a string cannot fail.
    for byte in path.bytes() {
        match byte {
            b'\\' => out.push('/'),
            b'/' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn every_problem_is_a_result_of_a_rule() {
        let (sources, problems) = sample();
        let text = check(&problems, &sources);
        let log: serde_json::Value = serde_json::from_str(&text).unwrap();
        let run = &log["runs"][0];
        let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
        for result in run["results"].as_array().unwrap() {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert_eq!(result["locations"].as_array().unwrap().len(), 1);
        }
        insta::assert_json_snapshot!(log, {
            ".runs[0].tool.driver.semanticVersion" => "[version]",
            ".runs[0].tool.driver.rules[].help.markdown" => "[page]",
        });
    }

    #[test]
    fn a_path_becomes_a_uri_reference() {
        assert_eq!(uri("conf d/ä,b%.toml"), "conf%20d/%C3%A4%2Cb%25.toml");
        assert_eq!(uri("conf\\x.toml"), "conf/x.toml");
    }
}
