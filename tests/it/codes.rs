//! Every code and every reason has a page, in the fixed shape, with links that lead somewhere and
//! examples that do what the page says.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use doorward::analyze::served;
use doorward::diagnostics::{Code, Severity};
use doorward::mcp::{Catalogue, Limits};
use doorward::model::{Effect, Reason};
use doorward::policy::{Layers, load};
use doorward::report::{Style, human, pages};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs")
}

/// The names of the Markdown files of a folder, without the ending.
fn names(folder: &str) -> BTreeSet<String> {
    let files = fs::read_dir(docs().join(folder)).unwrap();
    files.map(|file| file.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// The second-level headings of a page.
fn headings(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix("## ")).collect()
}

#[test]
fn no_page_is_without_a_code_or_a_reason() {
    let codes = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    let reasons = Reason::ALL.iter().map(|reason| reason.code().to_owned()).collect();
    assert_eq!(names("codes"), codes);
    assert_eq!(names("reasons"), reasons);
    assert!(pages::index().all(|(name, _)| pages::page(name).is_some()));
}

/// The failures of the command line with their meanings, from its reference.
fn failures() -> Vec<(String, String)> {
    let reference = doorward::cli::reference();
    let rows = reference.split("## Errors").nth(1).unwrap().lines().filter_map(|line| line.strip_prefix("| [`"));
    rows.map(|row| {
        let (code, rest) = row.split_once('`').unwrap();
        (code.to_owned(), rest.split(" | ").nth(1).unwrap().trim_end_matches(" |").to_owned())
    })
    .collect()
}

#[test]
fn every_failure_has_a_page_of_the_fixed_shape_and_explain_prints_it() {
    let place = crate::place::Place::new();
    let list = place.run(&["explain", "codes"]).stdout;
    let failures = failures();
    assert_eq!(names("errors"), failures.iter().map(|(code, _)| code.clone()).collect());
    for (code, summary) in failures {
        let page = fs::read_to_string(docs().join("errors").join(format!("{code}.md"))).unwrap();
        assert!(page.starts_with(&format!("# `{code}`\n\nFailure: {summary}.\n\n")), "docs/errors/{code}.md");
        assert_eq!(headings(&page), ["What it means", "Example", "What to do", "Related"], "docs/errors/{code}.md");
        // What the example prints is compared with the rest of the documents.
        let shown = page.contains(&format!("error[{code}]: ")) || code == "compiled-invalid";
        assert!(shown, "docs/errors/{code}.md shows no such failure");
        assert!(place.run(&["explain", &code]).stdout.ends_with(&page), "{code}");
        assert!(list.lines().any(|line| line.split_whitespace().next() == Some(&code)), "{code}");
    }
}

#[test]
fn the_failures_of_a_compiled_file_are_the_codes_of_the_library() {
    use doorward::policy::{CompiledPolicy, FORMAT};
    let place = crate::place::Place::new();
    let good = place.run(&["compile", "--policy=p.toml"]).stdout;
    for (text, code) in [
        ("{}".to_owned(), "compiled-malformed"),
        (good.replace(FORMAT, "doorward.policy/v9"), "compiled-format"),
        (good.replace("staff", "stuff"), "compiled-digest"),
    ] {
        assert_eq!(CompiledPolicy::from_file(text.as_bytes()).unwrap_err().code(), code);
        place.write("policy.json", text);
        place.run(&["decide", "--policy=policy.json", "notes:search"]).fails_with(code);
    }
}

#[test]
fn the_page_of_a_code_has_the_fixed_shape() {
    for &code in Code::ALL {
        let (severity, why) = match code.severity() {
            Severity::Error => ("Error", "Why it is an error"),
            Severity::Warning => ("Warning", "Why it is a warning"),
        };
        let page = code.page();
        let opening = format!("# `{code}`\n\n{severity}: {}.\n\n", code.summary());
        assert!(page.starts_with(&opening), "docs/codes/{code}.md must start with\n{opening}");
        assert_eq!(headings(page), ["What it means", "Example", "Fixed", why, "Related"], "docs/codes/{code}.md");
    }
}

#[test]
fn the_page_of_a_reason_has_the_fixed_shape() {
    for &reason in Reason::ALL {
        let effect = if reason == Reason::Granted { Effect::Allow } else { Effect::Deny };
        let page = reason.page();
        let opening = format!("# `{reason}`\n\n{effect:?}: {}.\n\n", reason.text());
        assert!(page.starts_with(&opening), "docs/reasons/{reason}.md must start with\n{opening}");
        assert_eq!(
            headings(page),
            ["What it means", "What the caller can do", "What the operator can do", "Related"],
            "docs/reasons/{reason}.md"
        );
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() {
    for folder in ["codes", "reasons", "errors"] {
        for name in names(folder) {
            let file = docs().join(folder).join(format!("{name}.md"));
            let page = fs::read_to_string(&file).unwrap();
            for link in page.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
                let target = file.parent().unwrap().join(link.0);
                assert!(target.is_file(), "{} links to {}", file.display(), link.0);
                assert_ne!(target.file_name(), file.file_name(), "{} links to itself", file.display());
            }
        }
    }
}

/// Codes whose examples are no policy: the text of a file cannot show them.
const NO_POLICY: [Code; 4] = [Code::NotUtf8, Code::TooLarge, Code::EnvironmentSetsPolicy, Code::UnknownStatement];

/// Codes that only show beside what a server offers, which stands on the page as JSON.
const CATALOGUE: [Code; 4] = [Code::NotServed, Code::NotDeclared, Code::UnknownArgument, Code::ArgumentType];

/// The two examples of a page: the bad one and the fixed one.
fn examples(page: &'static str, language: &str) -> Vec<&'static str> {
    let opening = format!("```{language}\n");
    page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split_once("```")).map(|(text, _)| text).collect()
}

/// What is found in a policy by loading it.
fn found(policy: &str, environment: &[(&str, &str)]) -> (BTreeSet<Code>, String) {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let loaded = load(&Layers { files: vec![("policies.toml".to_owned(), policy.into())], environment });
    let problems = loaded.problems.clone();
    let text = human::check(&problems, &loaded.sources, Style::PLAIN);
    (problems.iter().map(|problem| problem.code).collect(), text)
}

/// Whether only a lint raises the code: its examples load without a problem.
fn is_lint(code: Code) -> bool {
    code.severity() == Severity::Warning || code == Code::InvariantFails
}

#[test]
fn the_bad_example_of_a_page_raises_its_code_and_the_fixed_one_nothing() {
    let mut wrong = Vec::new();
    for &code in Code::ALL {
        let examples = examples(code.page(), "toml");
        if CATALOGUE.contains(&code) {
            continue;
        }
        if NO_POLICY.contains(&code) {
            assert!(examples.is_empty(), "docs/codes/{code}.md shows a policy: check it");
            continue;
        }
        let [bad, fixed] = examples[..] else { panic!("docs/codes/{code}.md needs two policies") };
        let raised = if is_lint(code) { BTreeSet::new() } else { BTreeSet::from([code]) };
        for (policy, expected) in [(bad, raised), (fixed, BTreeSet::new())] {
            let (codes, text) = found(policy, &[]);
            if codes != expected {
                wrong.push(format!("docs/codes/{code}.md should raise {expected:?} and raises {codes:?}\n{text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What analysis finds does not keep a policy from loading: `doorward check` is what says it.
#[test]
fn the_bad_example_of_a_lint_is_what_check_warns_about_and_the_fixed_one_is_clean() {
    let place = crate::place::Place::new();
    let lints: Vec<Code> = Code::ALL.iter().copied().filter(|c| is_lint(*c) && !CATALOGUE.contains(c)).collect();
    assert!(lints.len() > 10, "{lints:?}");
    let mut wrong = Vec::new();
    for code in lints {
        let [bad, fixed] = examples(code.page(), "toml")[..] else { panic!("docs/codes/{code}.md needs two policies") };
        let exit = match code {
            Code::InvariantFails => 1,
            // Neither a yes nor a no.
            Code::AnalysisLimit => 2,
            _ => 0,
        };
        for (policy, expected, exit) in [(bad, vec![code.as_str()], exit), (fixed, vec![], 0)] {
            place.write("page.toml", policy);
            let check = |format| {
                place.run(&["check", "--policy=page.toml", "--now=2026-03-02T00:00:00Z", &format!("--format={format}")])
            };
            let (ran, human) = (check("json"), check("human"));
            let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
            let mut found: Vec<&str> = report["problems"]
                .as_array()
                .unwrap()
                .iter()
                .map(|problem| problem["code"].as_str().unwrap())
                .collect();
            found.dedup();
            if (&found, ran.code) != (&expected, exit) {
                wrong.push(format!("docs/codes/{code}.md: {expected:?} {exit}, got {}\n{}", ran.code, human.stdout));
            }
            for shown in examples(code.page(), "text") {
                if !expected.is_empty() && !human.stdout.contains(shown.trim_end()) {
                    wrong.push(format!("docs/codes/{code}.md shows {shown}, printed is {}", human.stdout));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_variables_on_the_page_about_the_environment_do_what_it_says() {
    let [_, policy] = examples(Code::UnknownKey.page(), "toml")[..] else { panic!("no policy") };
    let expected = [BTreeSet::from([Code::EnvironmentSetsPolicy]), BTreeSet::new()];
    let shown = examples(Code::EnvironmentSetsPolicy.page(), "sh");
    assert_eq!(shown.len(), expected.len());
    for (line, expected) in shown.into_iter().zip(expected) {
        let variable = line.split(' ').next().and_then(|word| word.split_once('=')).unwrap();
        let (codes, text) = found(policy, &[variable]);
        assert_eq!(codes, expected, "{line}\n{text}");
    }
}

#[test]
fn the_bad_example_of_a_page_beside_a_catalogue_raises_its_code_and_the_fixed_one_nothing() {
    for code in CATALOGUE {
        let [bad, fixed] = examples(code.page(), "toml")[..] else { panic!("docs/codes/{code}.md needs two policies") };
        let [listed] = examples(code.page(), "json")[..] else { panic!("docs/codes/{code}.md needs one catalogue") };
        let mut catalogue = Catalogue::default();
        catalogue.add(listed.as_bytes(), Limits::default()).unwrap();
        let also = (code == Code::NotServed).then_some(Code::NotDeclared);
        for (text, expected) in [(bad, also.into_iter().chain([code]).collect()), (fixed, Vec::new())] {
            let layers = Layers { files: vec![("policies.toml".to_owned(), text.into())], environment: Vec::new() };
            let policy = load(&layers).policy.unwrap();
            let found: Vec<Code> = served(&policy, "tickets", &catalogue).iter().map(|p| p.code).collect();
            assert_eq!(found, expected, "docs/codes/{code}.md\n{text}");
        }
    }
}
