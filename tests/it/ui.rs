//! Every problem that loading can find, on small bad policies, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use doorward::diagnostics::{Code, Diagnostic, Label, SourceId};
use doorward::policy::{Layers, Loaded, WhatIf, load, load_with};

/// Each problem as `code file:line:column-line:column message`, then help and further places.
fn shown(loaded: &Loaded) -> String {
    loaded.problems.iter().map(|problem| one(loaded, problem)).collect()
}

fn one(loaded: &Loaded, problem: &Diagnostic) -> String {
    let place = |label: &Label| {
        let source = loaded.sources.get(label.span.source).unwrap();
        let (line, column) = source.line_column(label.span.start);
        let (end_line, end_column) = source.line_column(label.span.end);
        let note = if label.note.is_empty() { String::new() } else { format!(" ({})", label.note) };
        format!(
            "{}:{line}:{column}-{end_line}:{end_column} [{}]{note}",
            source.name,
            loaded.sources.text(label.span).escape_debug()
        )
    };
    let mut text = format!("{}", problem.code);
    if let Some(label) = &problem.primary {
        text += &format!(" {}", place(label));
    }
    text += &format!("\n  {}\n", problem.message);
    if let Some(help) = &problem.help {
        text += &format!("  help: {help}\n");
    }
    for label in &problem.secondary {
        text += &format!("  also: {}\n", place(label));
    }
    text
}

fn layers(files: &[(&str, &str)]) -> Layers {
    Layers {
        files: files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect(),
        ..Layers::default()
    }
}

#[test]
fn the_example_has_no_problems() {
    let loaded = load(&layers(&[("policies.toml", include_str!("../../policies.toml"))]));
    assert_eq!(shown(&loaded), "");
    let policy = loaded.policy.unwrap();
    assert_eq!(policy.compiled.set().grants.len(), 3);
    assert_eq!(policy.spans.grants.len(), 3);
}

/// What only the analysis of a policy that loads can find.
const FOUND_BY_ANALYSIS: [Code; 18] = [
    Code::InvariantFails,
    Code::ShadowedGrant,
    Code::DeadGrant,
    Code::UnsatisfiableArgs,
    Code::UnusedScope,
    Code::RiskyWildcard,
    Code::ExpiredStatement,
    Code::EmptyTest,
    Code::AnyIssuer,
    Code::SimilarGroup,
    Code::GlobStopsAtSlash,
    Code::DenyNeedsEvery,
    Code::AnalysisLimit,
    Code::NotServed,
    Code::NotDeclared,
    Code::UnknownArgument,
    Code::ArgumentType,
    Code::RedactedArgument,
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")
}

/// The cases: `CODE.toml` or `CODE.ABOUT.toml`. A line `#--- overlay` begins the overlay, a line
/// `#env NAME=VALUE` is a variable, a line `#--set PATH=VALUE` and the like a what-if.
fn cases() -> BTreeMap<String, (Layers, Vec<WhatIf>)> {
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| {
            let bytes = fs::read(&path).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let layers = match String::from_utf8(bytes) {
                Err(error) => {
                    let files = vec![("policies.toml".to_owned(), error.into_bytes())];
                    (Layers { files, environment: vec![] }, vec![])
                }
                Ok(text) => {
                    let variables = text.lines().filter_map(|line| line.strip_prefix("#env ")?.split_once('='));
                    let environment = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
                    let what_ifs = text.lines().filter_map(what_if).collect();
                    let names = ["policies.toml", "policies.prod.toml"];
                    let text: String = text
                        .split_inclusive('\n')
                        .filter(|line| !line.starts_with("#env ") && what_if(line).is_none())
                        .collect();
                    let files = names.iter().zip(text.split("#--- overlay\n"));
                    let files = files.map(|(n, t)| ((*n).to_owned(), t.as_bytes().to_vec())).collect();
                    (Layers { files, environment }, what_ifs)
                }
            };
            (name, layers)
        })
        .collect()
}

fn what_if(line: &str) -> Option<WhatIf> {
    let (flag, text) = line.trim_end().strip_prefix('#')?.split_once(' ')?;
    match flag {
        "--set" => Some(WhatIf::Set(text.to_owned())),
        "--drop-grant" => Some(WhatIf::DropGrant(text.to_owned())),
        "--drop-deny" => Some(WhatIf::DropDeny(text.to_owned())),
        "--drop-scope" => Some(WhatIf::DropScope(text.to_owned())),
        _ => None,
    }
}

#[test]
fn every_problem_says_what_where_and_what_next() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, (layers, what_ifs)) in cases() {
            let loaded = load_with(&layers, &what_ifs);
            assert!(loaded.policy.is_none(), "{name} loads");
            insta::assert_snapshot!(name.clone(), shown(&loaded));
            let wanted = name.split('.').next().unwrap();
            assert!(loaded.problems.iter().any(|p| p.code.as_str() == wanted), "{name} shows no {wanted}");
            for problem in &loaded.problems {
                assert!(problem.help.is_some(), "{name}: no help for {}", problem.message);
                assert!(
                    !problem.message.ends_with('.') && !problem.message.contains('\n'),
                    "{name}: {}",
                    problem.message
                );
            }
        }
    });
}

#[test]
fn every_code_that_loading_raises_has_a_case() {
    let cases: BTreeSet<String> = cases().into_keys().map(|name| name.split('.').next().unwrap().to_owned()).collect();
    let codes = Code::ALL.iter().filter(|code| !FOUND_BY_ANALYSIS.contains(code)).map(|code| code.as_str().to_owned());
    assert_eq!(cases, codes.collect());
}

#[test]
fn a_secret_never_leaves_the_policy() {
    for (name, (layers, _)) in cases().into_iter().filter(|(name, _)| name.starts_with("secret")) {
        let loaded = load(&layers);
        let texts: String =
            (0..9).filter_map(|id| loaded.sources.get(SourceId(id))).map(|s| s.text.to_string()).collect();
        for secret in ["Zm9vYmFy", "gehéim", "hvs.", "ghp_"] {
            assert!(!format!("{:?}", loaded.problems).contains(secret), "{name}");
            assert!(!texts.contains(secret), "{name} keeps {secret}");
        }
    }
}
