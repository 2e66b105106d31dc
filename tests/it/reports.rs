//! The reports of a rehearsal in every format: what they say, that no name from traffic becomes
//! markup, a link, a command or a script, and that each stays within its bounds.

use std::collections::BTreeSet;
use std::fs;

use doorward::model::{Action, Timestamp};
use doorward::policy::checks::{Allowance, Rollout};
use doorward::policy::{CompiledPolicy, Layers, load};
use doorward::report::Style;
use doorward::report::simulate::{
    Limits, MARKDOWN_LIMIT, Rehearsed, github, html, human, json, junit, markdown, sarif,
};
use doorward::simulate::{Report, gate, limits, simulate};
use doorward::traffic::{Event, Field, Numbered, Place, Unreadable, UnreadableCode};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::place::{DOORWARD, untold};
use crate::schema::assert_fits_simulation;

const POLICY: &str = r#"version = 1

[issuers.corp]
url = "https://login.example.com"

[servers.desk]
url = "http://127.0.0.1:9001/mcp"
resource = "https://mcp.example.com/desk/mcp"

[servers.desk.tools.find]
[servers.desk.tools.pay]

[[grants]]
name = "staff"
to = { groups = ["staff"] }
allow = ["desk:find", "desk:pay"]
args = { "desk:pay" = { amount = { max = 50 } } }

[[grants]]
name = "auditors"
to = { groups = ["auditor"] }
allow = ["desk:find"]

[[grants]]
name = "nobody"
to = { groups = ["nobody"] }
allow = ["desk:find"]
"#;

pub(crate) fn policy(text: &str) -> CompiledPolicy {
    let layers = Layers { files: vec![("policies.toml".to_owned(), text.as_bytes().to_vec())], ..Layers::default() };
    let loaded = load(&layers);
    loaded.policy.unwrap_or_else(|| panic!("{:?}", loaded.problems)).compiled
}

/// The policy before, and after: less money for the staff, and auditors may pay.
fn policies() -> (CompiledPolicy, CompiledPolicy) {
    let after = POLICY.replace("max = 50", "max = 30").replace(
        "allow = [\"desk:find\"]\n\n[[grants]]\nname = \"nobody\"",
        "allow = [\"desk:*\"]\n\n[[grants]]\nname = \"nobody\"",
    );
    (policy(POLICY), policy(&after))
}

fn event(time: i64, tool: &str, sub: &str, group: &str) -> Event {
    let mut event = Event::new(Timestamp(1_767_225_600 + time), "desk", Action::ToolsCall, tool);
    let list = |item: &str| Field::Present(vec![item.to_owned()]);
    event.subject.issuer = Field::Present("corp".into());
    event.subject.sub = Field::Present(sub.into());
    event.subject.agent = Field::Present("desk-assistant".into());
    event.subject.groups = list(group);
    event.subject.claims = Field::Absent;
    event.token.aud = list("https://mcp.example.com/desk/mcp");
    event.token.scopes = Field::Present(vec!["desk:find".into(), "desk:pay".into()]);
    event.token.iat = Field::Present(Timestamp(1_767_225_500 + time));
    event.token.exp = Field::Present(Timestamp(1_767_226_000 + time));
    event.token.nbf = Field::Absent;
    event.session = Field::Present(format!("session of {sub}"));
    event.arguments = Field::Absent;
    event
}

fn pay(time: i64, sub: &str, group: &str, amount: &Value) -> Event {
    let mut event = event(time, "pay", sub, group);
    event.arguments = Field::Present(json!({ "amount": amount }).as_object().unwrap().clone());
    event
}

/// A rehearsal with something of most kinds. `name` is what traffic calls things.
pub(crate) fn made(name: &str) -> Report {
    let (before, after) = policies();
    let mut unknown = event(400, "pay", "kim", "staff");
    unknown.arguments = Field::NotRecorded;
    let mut named = event(500, name, name, name);
    named.subject.agent = Field::Present(name.to_owned());
    named.session = Field::Present(name.to_owned());
    let mut elsewhere = event(600, "find", name, "staff");
    elsewhere.door = name.to_owned();
    let events = [
        event(0, "find", "ana", "staff"),
        pay(60, "ana", "staff", &json!(20)),
        pay(120, "ana", "staff", &json!(40)),
        pay(180, "ben", "staff", &json!(45)),
        pay(240, "lea", "auditor", &json!(10)),
        pay(300, name, "staff", &json!(31)),
        pay(320, "ana", "staff", &json!(name)),
        unknown,
        named,
        elsewhere,
    ];
    let unreadable =
        Unreadable { place: Place::from(3), code: UnreadableCode::NotJson, message: name.to_owned(), gap: None };
    let numbered = (4u64..).zip(events).map(|(line, event)| Ok(Numbered { place: line.into(), event }));
    simulate(&after, Some(&before), name, std::iter::once(Err(unreadable)).chain(numbered))
}

pub(crate) fn strict() -> Rollout {
    Rollout {
        max_newly_denied: Some(0),
        max_newly_allowed: Some(5),
        max_undecidable: Some(Allowance::Count(0)),
        ..Rollout::default()
    }
}

/// Hands the rehearsal to `f` as the renderers take it.
pub(crate) fn with<R>(report: &Report, f: impl FnOnce(&Rehearsed<'_>) -> R) -> R {
    let verdict = gate(&strict(), report);
    f(&Rehearsed { report, gate: &verdict, limits: &limits(&strict(), report), policy: "policies.toml" })
}

#[test]
fn each_format_says_what_comes_out_differently() {
    let report = made("recording.jsonl");
    insta::assert_snapshot!("rehearsal_junit", with(&report, junit));
    insta::assert_snapshot!("rehearsal_github", with(&report, github));
    insta::assert_snapshot!("rehearsal_markdown", with(&report, markdown));
    let log: Value = serde_json::from_str(&with(&report, sarif)).unwrap();
    insta::assert_json_snapshot!("rehearsal_sarif", log, {
        ".runs[0].tool.driver.semanticVersion" => "[version]",
        ".runs[0].tool.driver.rules" => "[rules]",
    });
    let page = with(&report, html);
    let body = &page[page.find("<body>").unwrap()..page.find("<script>").unwrap()];
    insta::assert_snapshot!("rehearsal_page", body.replace("><", ">\n<"));
}

#[test]
fn a_sarif_finding_is_of_a_rule_stands_somewhere_and_is_told_again() {
    let report = made("recording.jsonl");
    let log: Value = serde_json::from_str(&with(&report, sarif)).unwrap();
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let mut prints = BTreeSet::new();
    let results = run["results"].as_array().unwrap();
    assert!(results.len() > 4, "{}", results.len());
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert_eq!(result["locations"].as_array().unwrap().len(), 1);
        let print = result["partialFingerprints"]["doorwardRehearsal/v1"].as_str().unwrap();
        assert!(prints.insert(print.to_owned()), "{print} stands twice");
    }
    // Further down in the file and more often, it is the same finding.
    let mut moved = report.clone();
    moved.statements.iter_mut().for_each(|hits| hits.rule.at = "policies.toml:99:1".to_owned());
    moved.changes.list.iter_mut().for_each(|change| change.count += 7);
    let log: Value = serde_json::from_str(&with(&moved, sarif)).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let again = results.iter().map(|result| result["partialFingerprints"]["doorwardRehearsal/v1"].as_str().unwrap());
    assert_eq!(again.map(str::to_owned).collect::<BTreeSet<_>>(), prints);
}

/// Text that is made to break renderers.
fn hostile() -> impl Strategy<Value = String> + Clone {
    let piece = prop::sample::select(vec![
        "<img src=x onerror=alert(1)>",
        "</script><script>alert(1)</script>",
        "</style>",
        "<!--",
        "-->",
        "]]>",
        "\"",
        "'",
        "`",
        "``",
        "|",
        "\\",
        "\\|",
        "&lt;",
        "&#x3c;",
        "\n",
        "\r\n",
        "\t",
        "\u{0}",
        "\u{1b}[31m",
        "\u{9b}",
        "\u{2028}",
        "\u{2029}",
        "\u{202e}",
        "\u{2066}",
        "\u{feff}",
        "@everyone",
        "#1",
        "[x](javascript:alert(1))",
        "![x](http://evil.example/x.png)",
        "https://evil.example",
        "www.evil.example",
        "</details>",
        "::error::x",
        "%0A",
        "**",
        "_",
        "~~",
        ":smile:",
        "日本",
        "e\u{301}",
        "\u{5d0}\u{5d1}",
        "x",
        " ",
        "---",
        "| --- |",
        "<",
        ">",
        "&",
    ]);
    prop::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

const TAGS: [&str; 48] = [
    "!DOCTYPE",
    "a",
    "bdi",
    "body",
    "button",
    "caption",
    "code",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "head",
    "header",
    "html",
    "i",
    "input",
    "kbd",
    "label",
    "li",
    "main",
    "meta",
    "output",
    "p",
    "path",
    "rect",
    "script",
    "section",
    "span",
    "strong",
    "style",
    "summary",
    "svg",
    "table",
    "tbody",
    "td",
    "text",
    "tfoot",
    "th",
    "thead",
    "time",
    "title",
];
const MORE_TAGS: [&str; 3] = ["tr", "tspan", "ul"];

/// Fails unless the page is made of our own tags and attributes alone, each closed.
fn assert_only_ours(page: &str) {
    let (mut rest, mut open): (&str, Vec<&str>) = (page, Vec::new());
    while let Some(at) = rest.find('<') {
        let text = &rest[at + 1..];
        if open.last().is_some_and(|tag| matches!(*tag, "script" | "style")) && !text.starts_with("/s") {
            rest = text;
            continue;
        }
        let end = end_of_tag(text);
        let tag = &text[..end];
        rest = &text[end + 1..];
        if let Some(closed) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{tag}");
            continue;
        }
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        let name = name.trim_end_matches('/');
        assert!(TAGS.contains(&name) || MORE_TAGS.contains(&name), "<{tag}>");
        for attribute in attribute_names(attributes) {
            assert!(!attribute.starts_with("on") && attribute != "style" && attribute != "src", "<{tag}>");
            let ours = attribute.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            assert!(ours, "<{tag}>");
        }
        assert!(name != "a" || attributes.contains("href=\"#"), "<{tag}>");
        let void = matches!(name, "meta" | "input" | "!DOCTYPE") || tag.ends_with('/');
        if !void {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<&str>::new());
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("<style").count(), 1);
}

fn end_of_tag(text: &str) -> usize {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return at,
            _ => {}
        }
    }
    panic!("a tag does not end: {text:.80}");
}

/// The names in `a="1" b c="2"`.
fn attribute_names(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text.trim().trim_end_matches('/').trim_end();
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        names.push(&rest[..end]);
        rest = match rest[end..].strip_prefix("=\"") {
            Some(value) => value[value.find('"').unwrap() + 1..].trim_start(),
            None => rest[end..].trim_start(),
        };
    }
    names
}

fn is_visible(text: &str) -> bool {
    text.chars().all(|c| {
        c == '\n'
            || !(c.is_control()
                || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}'))
    })
}

/// The Markdown without its code spans.
fn outside_code(text: &str) -> String {
    text.split('`').step_by(2).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_name_from_traffic_becomes_anything_else(name in hostile()) {
        let report = made(&name);
        let page = with(&report, html);
        prop_assert!(is_visible(&page));
        assert_only_ours(&page);
        prop_assert_eq!(&page, &with(&report, html));

        let text = with(&report, markdown);
        prop_assert!(is_visible(&text));
        let outside = outside_code(&text);
        for mark in ["@", "](", "![", "://", "www.", "<img", "<script", "<!--", "~~", ":smile:"] {
            prop_assert!(!outside.contains(mark), "{mark} in {outside}");
        }
        let opened = text.matches("<details>").count();
        prop_assert_eq!(outside.matches("</details>").count(), opened);
        for table in text.split("\n\n").filter(|block| block.starts_with('|')) {
            let columns: BTreeSet<usize> = table.lines().map(|line| line.matches('|').count()).collect();
            prop_assert_eq!(columns.len(), 1, "{}", table);
        }

        let commands = with(&report, github);
        prop_assert!(is_visible(&commands));
        for line in commands.lines() {
            let command = ["::error ", "::warning ", "::notice "].iter().any(|start| line.starts_with(start));
            prop_assert!(command, "{}", line);
            prop_assert_eq!(line.matches("title=doorward").count(), 1);
        }

        let cases = with(&report, junit);
        prop_assert!(cases.chars().all(|c| matches!(c, '\n' | '\t') || !c.is_control()));
        let starts = ["<testsuite", "</testsuite", "<testcase", "</testcase", "<failure", "</failure", "<skipped", "<?xml"];
        for (at, _) in cases.match_indices('<') {
            prop_assert!(starts.iter().any(|start| cases[at..].starts_with(start)), "{}", &cases[at..]);
        }

        let log: Value = serde_json::from_str(&with(&report, sarif)).unwrap();
        prop_assert!(log["runs"][0]["results"].as_array().unwrap().len() > 4);
        let whole: Value = serde_json::from_str(&with(&report, |r| json(r.report, r.gate))).unwrap();
        assert_fits_simulation(&whole);
        let people = with(&report, |r| human(r.report, r.gate, Limits::default(), Style::PLAIN));
        prop_assert!(is_visible(&people));
    }
}

#[test]
fn reports_stay_within_their_bounds_whatever_the_traffic() {
    let (before, after) = policies();
    let events = (0..12_000_u64).map(|n| {
        let name = format!("{n:05}-{}", "<&\"".repeat(60));
        let mut event = pay(i64::try_from(n).unwrap(), &name, "staff", &json!(40));
        event.subject.agent = Field::Present(name.clone());
        if n % 2 == 0 {
            event.name = name;
        }
        Ok(Numbered { place: (n + 2).into(), event })
    });
    let report = simulate(&after, Some(&before), "a.jsonl", events);
    assert_eq!(report.subjects.list.len(), 10_000);
    let page = with(&report, html);
    assert!(page.len() < 5_000_000, "{} bytes", page.len());
    assert!(page.contains("more in the JSON report"));
    assert_only_ours(&page);
    let text = with(&report, markdown);
    assert!(text.chars().count() <= MARKDOWN_LIMIT, "{} characters", text.chars().count());
    let commands = with(&report, github);
    for level in ["::error", "::warning", "::notice"] {
        assert!(commands.lines().filter(|line| line.starts_with(level)).count() <= 10, "{commands}");
    }
}

fn doorward(directory: &std::path::Path, arguments: &[&str]) -> std::process::Output {
    let root = env!("CARGO_MANIFEST_DIR");
    let policy = format!("{root}/policies.toml");
    let recording = format!("{root}/simulations/support-desk.jsonl");
    let mut command = untold(DOORWARD);
    command.current_dir(directory).args(["simulate", "--policy", &policy]).args(arguments).arg(recording);
    command.output().unwrap()
}

#[test]
fn one_run_writes_every_format_or_none() {
    let directory = tempfile::tempdir().unwrap();
    let formats = ["human", "json", "junit", "sarif", "github", "markdown", "html"];
    let reports: Vec<String> = formats.iter().map(|format| format!("{format}=out.{format}")).collect();
    let mut arguments: Vec<&str> = reports.iter().flat_map(|report| ["--report", report]).collect();
    let output = doorward(directory.path(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for format in formats {
        let alone = doorward(directory.path(), &["--format", format]);
        let file = fs::read(directory.path().join(format!("out.{format}"))).unwrap();
        assert_eq!(String::from_utf8(file), String::from_utf8(alone.stdout), "{format}");
    }
    let whole: Value = serde_json::from_slice(&fs::read(directory.path().join("out.json")).unwrap()).unwrap();
    assert_fits_simulation(&whole);

    let elsewhere = tempfile::tempdir().unwrap();
    arguments.extend(["--report", "html=no-such-directory/page.html"]);
    let output = doorward(elsewhere.path(), &arguments);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    assert!(output.stdout.is_empty());
}

#[test]
fn what_cannot_be_written_is_refused_before_anything_is_read() {
    let directory = tempfile::tempdir().unwrap();
    for (arguments, told) in [
        (vec!["--report", "html=a", "--report", "json=a"], "two reports would be written to `a`"),
        (vec!["--report", "json=a", "--output", "a"], "two reports would be written to `a`"),
        (vec!["--matrix", "--format", "html"], "a matrix is written as `human` or `json`"),
        (vec!["--report", "pdf=a"], "there is no format `pdf`"),
        (vec!["--report", "html"], "as in `html=report.html`"),
        (vec!["--report", "html=-"], "name a file"),
    ] {
        let output = doorward(directory.path(), &arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(told), "{arguments:?}: {text}");
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}
