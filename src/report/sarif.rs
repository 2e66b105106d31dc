//! Problems as SARIF 2.1.0, for code scanning.
//!
//! Holds nothing of the machine: no absolute path, time or user.

pub(super) mod log;

use std::collections::BTreeMap;

use self::log::{
    Artifact, Configuration, Finding, Help, Location, Message, Physical, Region, Rule, Text, repository, uri,
};
use super::place::Place;

use crate::diagnostics::{Code, Diagnostic, Label, Severity, SourceId, Sources};

/// The problems as one SARIF run with a rule for each code that occurs.
pub fn check(problems: &[Diagnostic], sources: &Sources) -> String {
    let mut codes: Vec<Code> = problems.iter().map(|problem| problem.code).collect();
    codes.sort();
    codes.dedup();
    let results = problems.iter().map(|problem| Finding::of(problem, &codes, sources)).collect();
    log::render(codes.iter().map(|code| Rule::of(*code)).collect(), results)
}

impl Rule {
    fn of(code: Code) -> Self {
        Self {
            id: code.as_str(),
            short_description: Text { text: code.summary() },
            default_configuration: Configuration { level: level(code.severity()) },
            help: Help { text: format!("{}; see {}", code.summary(), code.page_path()), markdown: code.page().into() },
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
            rule_id: problem.code.as_str(),
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
            partial_fingerprints: BTreeMap::new(),
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
            end_line: Some(place.end_line),
            end_column: Some(place.end_column),
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
