//! Runs every console block of the README and of `docs/`, and compares the output.
//!
//! A block is one shell session in a directory that holds a copy of the example policies and
//! recordings. A code block below a line `<!-- file: NAME -->` is written there first.
//! A page that starts a gateway uses free ports in place of those that it shows, and may run the examples.
//! Between `<!-- keys: PLACE -->` and `<!-- end of keys -->` stands what the loader takes there.
//! `UPDATE_DOCS=1` writes the output that came instead of comparing it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{DOORWARD, untold};

/// What the shell prints behind each command.
const MARK: &str = "\u{1}";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A command of a console block, and the lines that are shown below it.
struct Step {
    shown: Vec<String>,
    expected: Vec<String>,
}

/// The pages that are written by hand, in the order of their names.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = ["docs", "docs/errors"]
        .iter()
        .flat_map(|folder| fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "md") && !path.ends_with("cli.md"))
        .collect();
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

/// Where the commands run: the example policies and recordings under version control.
fn playground() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for name in ["policies.toml", "simulations", "examples"] {
        let from = root().join(name);
        if from.exists() {
            assert!(
                Command::new("cp").arg("-R").args([&from, &directory.path().join(name)]).status().unwrap().success()
            );
        }
    }
    let git = |arguments: &[&str]| {
        let status = Command::new("git")
            .args(["-c", "user.name=doorward", "-c", "user.email=doorward@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(directory.path())
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    };
    git(&["init", "-q", "-b", "main"]);
    git(&["add", "-A"]);
    git(&["commit", "-q", "-m", "Add the policies"]);
    directory
}

fn steps(block: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut continued = false;
    for line in block {
        if continued || line.starts_with("$ ") {
            if !continued {
                steps.push(Step { shown: Vec::new(), expected: Vec::new() });
            }
            continued = line.ends_with('\\');
            steps.last_mut().unwrap().shown.push((*line).to_owned());
        } else {
            let step = steps.last_mut().expect("a console block starts with a `$ ` line");
            step.expected.push((*line).to_owned());
        }
    }
    steps
}

/// The ports that a page shows, each with the one that is used in its place.
struct Ports(Vec<(&'static str, String)>);

impl Ports {
    fn of(page: &str) -> Self {
        if !page.contains("$ doorward serve") {
            return Self(Vec::new());
        }
        // All are held until each is known, so that no two are one.
        let held = ["8787", "8788"].map(|shown| (shown, std::net::TcpListener::bind("127.0.0.1:0").unwrap()));
        Self(held.into_iter().map(|(shown, held)| (shown, held.local_addr().unwrap().port().to_string())).collect())
    }

    fn used(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (shown, used)| text.replace(shown, used))
    }

    fn shown(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (shown, used)| text.replace(used, shown))
    }
}

/// Builds the examples that a page runs. Where everything is tested they are built already.
fn build_examples(page: &str) {
    for example in ["notes_server", "call_tool"].into_iter().filter(|example| page.contains(example)) {
        let built = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--offline", "--all-features", "--example", example])
            .current_dir(root())
            .output()
            .unwrap();
        assert!(built.status.success(), "{example}: {}", String::from_utf8_lossy(&built.stderr));
    }
}

/// Runs the steps in one shell and gives the output of each.
fn run(steps: &[Step], directory: &Path, ports: &Ports) -> Vec<Vec<String>> {
    let mut script = String::from("exec 2>&1\n");
    for step in steps {
        let command = step.shown.join("\n");
        let command = command.strip_prefix("$ ").unwrap().replace("cargo run --release --", "doorward");
        // The mark leaves the exit code as it was, for an `echo $?` that follows.
        let _ = writeln!(script, "{command}\n__code=$?; printf '{MARK}'; (exit $__code)");
    }
    let binary = Path::new(DOORWARD).parent().unwrap();
    let path = format!("{0}:{0}/examples:{1}", binary.display(), std::env::var("PATH").unwrap());
    let output =
        untold("sh").arg("-c").arg(ports.used(&script)).env("PATH", path).current_dir(directory).output().unwrap();
    let text = ports.shown(&String::from_utf8(output.stdout).unwrap());
    let mut parts: Vec<Vec<String>> =
        text.split(MARK).map(|part| part.lines().map(|l| l.trim_end().to_owned()).collect()).collect();
    parts.pop();
    assert_eq!(parts.len(), steps.len(), "the shell stopped early: {text}");
    parts
}

/// The page with what its commands print.
fn rerun(text: &str) -> String {
    let directory = playground();
    let ports = Ports::of(text);
    build_examples(text);
    let lines: Vec<&str> = text.lines().collect();
    let mut out = String::new();
    let mut file = None;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let _ = writeln!(out, "{line}");
        at += 1;
        if let Some(place) = crate::language::place(line) {
            out.push_str(&crate::language::table(place));
            at += lines[at..].iter().position(|l| *l == crate::language::END).expect("a table of keys ends");
        }
        if let Some(name) = line.strip_prefix("<!-- file: ").and_then(|l| l.strip_suffix(" -->")) {
            file = Some(name);
        }
        if !line.starts_with("```") {
            continue;
        }
        let end = at + lines[at..].iter().position(|l| *l == "```").expect("every code block ends");
        let block = &lines[at..end];
        at = end + 1;
        if let Some(name) = file.take() {
            let text = ports.used(&format!("{}\n", block.join("\n")));
            fs::write(directory.path().join(name), text).unwrap();
        }
        if *line == "```console" {
            let steps = steps(block);
            for (step, output) in steps.iter().zip(run(&steps, directory.path(), &ports)) {
                for line in step.shown.iter().chain(&output) {
                    let _ = writeln!(out, "{line}");
                }
            }
        } else {
            for line in block {
                let _ = writeln!(out, "{line}");
            }
        }
        out.push_str("```\n");
    }
    out
}

#[test]
fn what_the_documents_show_is_what_the_commands_print() {
    let mut wrong = Vec::new();
    for page in pages() {
        let Ok(text) = fs::read_to_string(&page) else { continue };
        let new = rerun(&text);
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(&page, &new).unwrap();
        } else if new != text {
            let first = text.lines().zip(new.lines()).position(|(a, b)| a != b).unwrap_or(0);
            let near = |t: &str| t.lines().skip(first.saturating_sub(2)).take(12).collect::<Vec<_>>().join("\n");
            wrong.push(format!(
                "{}:{}\n--- shown\n{}\n--- printed\n{}",
                page.display(),
                first + 1,
                near(&text),
                near(&new)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "`UPDATE_DOCS=1 cargo test --test it docs` writes what is printed\n{}",
        wrong.join("\n\n")
    );
}

#[test]
fn the_reference_of_the_command_line_is_the_command_line() {
    let page = root().join("docs/cli.md");
    let new = doorward::cli::reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &new).unwrap();
    }
    assert_eq!(fs::read_to_string(&page).unwrap(), new, "`UPDATE_DOCS=1 cargo test --test it docs` writes it");
}

#[test]
fn every_link_between_the_documents_leads_somewhere() {
    let mut wrong = Vec::new();
    let own = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root().join(name));
    for page in pages().into_iter().chain(own) {
        let Ok(text) = fs::read_to_string(&page) else { continue };
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !target.contains("://") && !page.parent().unwrap().join(path).exists() {
                wrong.push(format!("{}: {target}", page.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Every function that is declared below these folders.
fn functions(folder: &Path, names: &mut std::collections::BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            functions(&entry, names);
        } else if entry.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&entry).unwrap();
            names.extend(text.split("fn ").skip(1).filter_map(|rest| {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
                Some(rest[..end].to_owned())
            }));
        }
    }
}

#[test]
fn the_readme_names_every_command() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let commands = fs::read_to_string(root().join("docs/cli.md")).unwrap();
    let commands: Vec<&str> = commands.lines().filter_map(|line| line.strip_prefix("## doorward ")).collect();
    assert!(commands.len() > 15, "{commands:?}");
    for command in commands.iter().filter(|command| !["schema", "completions", "man"].contains(command)) {
        assert!(
            readme.contains(&format!("`{command}`")) || readme.contains(&format!("doorward {command}`")),
            "{command}"
        );
    }
}

#[test]
fn the_threat_model_names_tests_that_exist() {
    let page = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let mut names = std::collections::BTreeSet::new();
    functions(&root().join("src"), &mut names);
    functions(&root().join("tests"), &mut names);
    let mut shown = 0;
    for line in page.lines().filter(|line| line.starts_with("| ")) {
        let last = line.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let tests: Vec<&str> = last.split('`').skip(1).step_by(2).filter(|name| name.contains('_')).collect();
        for name in &tests {
            assert!(names.contains(*name), "there is no test `{name}`: {line}");
        }
        shown += tests.len();
        let is_row = line.contains(" | ") && !line.contains("---") && tests.is_empty();
        // Who is trusted is no threat, and the head of a table is none either.
        if is_row && ["ASI", "MCP"].iter().any(|list| line.starts_with(&format!("| {list}"))) {
            assert!(line.to_lowercase().contains("not covered"), "neither a test nor `not covered`: {line}");
        }
    }
    assert!(shown > 30, "{shown}");
}
