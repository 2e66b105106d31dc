//! Promises of the renderers for any text and any place, however wrong: none panics, none lets a
//! terminal sequence or a workflow command through, and every problem is in every output.

use doorward::diagnostics::{Code, Diagnostic, SourceId, Sources, Span};
use doorward::report::{Style, github, human, json, junit, sarif};
use proptest::prelude::*;
use serde_json::Value;

/// Text that is made to break renderers: line ends, tabs, controls, wide and combining characters,
/// the syntax of every format.
fn hostile() -> impl Strategy<Value = String> + Clone {
    let piece = prop_oneof![
        Just("\n"),
        Just("\r\n"),
        Just("\r"),
        Just("\t"),
        Just("\u{1b}[31m"),
        Just("\u{9b}2J"),
        Just("\u{0}"),
        Just("\u{202e}"),
        Just("\u{200d}"),
        Just("e\u{301}"),
        Just("日本"),
        Just("👩\u{200d}🚀"),
        Just("::error::x"),
        Just("%0A"),
        Just("]]>"),
        Just("<a b=\"c\">&amp;"),
        Just("key = \"value\" # comment"),
        Just("                                                                                        "),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// A problem with places that may lie outside the texts, in the middle of a character, or nowhere.
fn problem() -> impl Strategy<Value = Diagnostic> {
    let place =
        (0u32..4, 0u32..400, 0u32..400).prop_map(|(source, start, end)| Span { source: SourceId(source), start, end });
    let label = (place, hostile());
    let code = (0..Code::ALL.len()).prop_map(|i| Code::ALL[i]);
    (code, hostile(), prop::option::of(label.clone()), prop::collection::vec(label, 0..3), prop::option::of(hostile()))
        .prop_map(|(code, message, primary, secondary, help)| {
            let mut problem = Diagnostic::new(code, message);
            if let Some((span, note)) = primary {
                problem = problem.at(span, note);
            }
            for (span, note) in secondary {
                problem = problem.also(span, note);
            }
            match help {
                Some(help) => problem.help(help),
                None => problem,
            }
        })
}

fn sources() -> impl Strategy<Value = Sources> {
    prop::collection::vec((hostile(), hostile()), 0..3).prop_map(|texts| {
        let mut sources = Sources::default();
        for (name, text) in texts {
            sources.add(&name, &text);
        }
        sources
    })
}

/// Whether nothing but line ends could move a terminal's cursor.
fn is_harmless(text: &str) -> bool {
    text.chars()
        .all(|c| c == '\n' || !(c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_report_for_people_cannot_drive_the_terminal(
        sources in sources(),
        problems in prop::collection::vec(problem(), 0..4),
    ) {
        let text = human::check(&problems, &sources, Style::PLAIN);
        prop_assert!(is_harmless(&text), "{text:?}");
        for problem in &problems {
            let page = problem.code.page_path();
            prop_assert!(text.contains(&page));
        }
    }

    #[test]
    fn a_problem_is_one_workflow_command_and_no_text_becomes_another(
        sources in sources(),
        problems in prop::collection::vec(problem(), 0..4),
    ) {
        let text = github::check(&problems, &sources);
        prop_assert!(is_harmless(&text), "{text:?}");
        prop_assert_eq!(text.lines().count(), problems.len());
        for (line, problem) in text.lines().zip(&problems) {
            let (properties, _) = line.trim_start_matches("::").split_once("::").unwrap();
            prop_assert!(properties.ends_with(&format!("title={}", problem.code)), "{}", line);
        }
    }

    #[test]
    fn every_problem_is_in_the_documents_for_machines(
        sources in sources(),
        problems in prop::collection::vec(problem(), 0..4),
    ) {
        let report: Value = serde_json::from_str(&json::check(&problems, &sources)).unwrap();
        let log: Value = serde_json::from_str(&sarif::check(&problems, &sources)).unwrap();
        let (listed, results) = (&report["problems"], &log["runs"][0]["results"]);
        for (i, problem) in problems.iter().enumerate() {
            prop_assert_eq!(&listed[i]["message"], problem.message.as_str());
            prop_assert_eq!(&results[i]["ruleId"], problem.code.as_str());
            let rule = usize::try_from(results[i]["ruleIndex"].as_u64().unwrap()).unwrap();
            prop_assert_eq!(&log["runs"][0]["tool"]["driver"]["rules"][rule]["id"], problem.code.as_str());
        }
    }

    #[test]
    fn no_text_opens_a_tag_in_junit(name in hostile(), message in hostile(), details in hostile()) {
        let outcome = junit::Outcome::Failed { message, details };
        let case = junit::Case { name: name.clone(), place: name.clone(), outcome };
        let text = junit::render(&[junit::Suite { name, cases: vec![case] }]);
        prop_assert_eq!(text.matches('<').count(), 9, "{}", text);
        prop_assert!(text.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
    }
}
