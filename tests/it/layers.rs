//! The shape of the code: which module may name which, what the core never touches, and how long a
//! file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The modules, lowest first. A module names only those before it.
const ORDER: [&str; 17] = [
    "model",
    "diagnostics",
    "mcp",
    "policy",
    "pdp",
    "analyze",
    "traffic",
    "simulate",
    "suggest",
    "report",
    "identity",
    "audit",
    "attest",
    "credentials",
    "pep",
    "gateway",
    "cli",
];

/// The modules that enforce: they have a runtime and a network, and are given clock, randomness and limits.
const GUARD: [&str; 5] = ["identity", "audit", "attest", "credentials", "pep"];

/// What is out of reach for them too.
const OUTSIDE_GUARD: [&str; 9] =
    ["std::fs", "std::env", "std::process", "SystemTime", "io::stdin", "io::stdout", "io::stderr", "now_utc", "clap"];

/// What is out of reach for the pure core.
const OUTSIDE: [&str; 14] = [
    "std::fs",
    "std::env",
    "std::net",
    "std::process",
    "std::thread",
    "std::os",
    "SystemTime",
    "Instant",
    "io::stdin",
    "io::stdout",
    "io::stderr",
    "now_utc",
    "tokio",
    "clap",
];

/// Every crate that the pure core is built from, those that they need themselves included. A new one is
/// a decision: it is made here.
const CORE: [&str; 39] = [
    "anstyle",
    "base64",
    "block-buffer",
    "cfg-if",
    "const-oid",
    "cpufeatures",
    "crypto-common",
    "deranged",
    "digest",
    "doorward",
    "figment",
    "foldhash",
    "hashbrown",
    "hybrid-array",
    "itoa",
    "memchr",
    "num-conv",
    "powerfmt",
    "proc-macro2",
    "quote",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "serde_spanned",
    "sha2",
    "strsim",
    "syn",
    "time",
    "time-core",
    "toml",
    "toml_datetime",
    "toml_parser",
    "typenum",
    "uncased",
    "unicode-ident",
    "unicode-width",
    "winnow",
    "zmij",
];

/// Crates that speak HTTP or read tokens.
const WIRE: [&str; 8] = ["http", "hyper", "reqwest", "axum", "tower", "jsonwebtoken", "rustls", "tokio"];

/// What carries an answer of HTTP.
const STATUS: [&str; 4] = ["StatusCode", "HeaderMap", "HeaderName", "HeaderValue"];

/// The longest a source file may be, in lines.
const LONGEST: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a directory of the package.
fn rust_files(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join(directory)];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The code of a file: without comments and without its tests.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The identifiers that follow `prefix` in `code`, `{a, b::c}` opened.
fn names_after(code: &str, prefix: &str) -> BTreeSet<String> {
    let identifier = |s: &str| s.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let whole = code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
        let rest = &code[at + prefix.len()..];
        if !whole {
            continue;
        }
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(identifier(rest));
            continue;
        };
        let (mut depth, mut start) = (1_i32, 0);
        for (i, c) in group.char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            if (c == ',' && depth == 1) || depth == 0 {
                names.insert(identifier(&group[start..i]));
                start = i + 1;
            }
            if depth == 0 {
                break;
            }
        }
    }
    names.remove("");
    names
}

/// How often `word` stands in `code` as a whole word.
fn says(code: &str, word: &str) -> usize {
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    let whole = |at: usize| edge(code[..at].chars().next_back()) && edge(code[at + word.len()..].chars().next());
    code.match_indices(word).filter(|(at, _)| whole(*at)).count()
}

/// Whether a path in `code` begins with that crate.
fn names_crate(code: &str, name: &str) -> bool {
    !names_after(code, &format!("{name}::")).is_empty()
}

/// The code of each file of a module of the crate root.
fn module(name: &str) -> Vec<(PathBuf, String)> {
    let files = rust_files("src").into_iter().filter(|file| place(file).0 == name);
    let found: Vec<_> = files.map(|file| (file.clone(), code(&fs::read_to_string(file).unwrap()))).collect();
    assert!(!found.is_empty(), "there is no module {name}");
    found
}

/// The module of the crate root that a file belongs to, and how deep in it.
fn place(file: &Path) -> (String, usize) {
    let path = file.strip_prefix(root().join("src")).unwrap().with_extension("");
    let parts: Vec<_> = path.iter().map(|p| p.to_str().unwrap()).filter(|p| *p != "mod").collect();
    (parts[0].to_owned(), parts.len())
}

#[test]
fn a_module_names_only_lower_ones() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let (module, depth) = place(&file);
        if module == "lib" || module == "main" {
            continue;
        }
        let own = ORDER.iter().position(|m| *m == module).unwrap_or_else(|| panic!("`{module}` is in no layer"));
        let code = code(&fs::read_to_string(&file).unwrap());
        let mut named = names_after(&code, "crate::");
        named.extend(names_after(&code, &"super::".repeat(depth)));
        for name in named {
            if ORDER.iter().position(|m| *m == name).is_some_and(|other| other > own) {
                wrong.push(format!("{} names {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_core_touches_nothing_outside_and_the_guard_only_what_it_needs() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let module = place(&file).0;
        let forbidden: &[&str] = match module.as_str() {
            "cli" | "gateway" | "main" => continue,
            // A log that promises durable rows writes and flushes a file; nothing else of it does.
            "audit" if file.ends_with("audit/writer.rs") => &OUTSIDE_GUARD[1..],
            module if GUARD.contains(&module) => &OUTSIDE_GUARD,
            _ => &OUTSIDE,
        };
        let code = code(&fs::read_to_string(&file).unwrap());
        let from_std = names_after(&code, "std::");
        for &outside in forbidden {
            let grouped = outside.strip_prefix("std::").is_some_and(|name| from_std.contains(name));
            if grouped || says(&code, outside) > 0 {
                wrong.push(format!("{} names {outside}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_core_has_no_runtime_no_network_and_no_command_line() {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--no-default-features",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    let crates: BTreeSet<&str> = text.lines().filter_map(|l| l.split(' ').next()).collect();
    assert!(crates.contains("doorward"));
    let others: Vec<&str> = crates.into_iter().filter(|name| !CORE.contains(name)).collect();
    assert!(others.is_empty(), "the core depends on {others:?} too");
}

#[test]
fn the_decision_knows_no_toml_and_no_http_and_the_policy_no_http_and_no_tokens() {
    let readers = ["toml", "toml_parser", "figment", "serde_saphyr"];
    for (file, code) in module("pdp") {
        for name in readers.iter().chain(&WIRE) {
            assert!(!names_crate(&code, name), "{} names {name}", file.display());
        }
        // How a text became a policy is out of its sight too: it sees the compiled one.
        let policy = names_after(&code, "crate::policy::");
        for name in ["load", "Layers", "Loaded", "LoadedPolicy", "document", "source", "layers"] {
            assert!(!policy.contains(name), "{} names policy::{name}", file.display());
        }
    }
    for (file, code) in module("policy") {
        let words = STATUS.iter().chain(&["Jws", "Verifier", "Verified", "Authorization"]);
        for word in words {
            assert_eq!(says(&code, word), 0, "{} names {word}", file.display());
        }
        for name in WIRE {
            assert!(!names_crate(&code, name), "{} names {name}", file.display());
        }
    }
}

#[test]
fn a_renderer_never_decides_and_a_command_never_renders_a_decision() {
    for (file, code) in module("report") {
        let named = names_after(&code, "crate::pdp::");
        // A type has a capital letter, a function has none.
        let functions: Vec<_> = named.iter().filter(|name| name.starts_with(char::is_lowercase)).collect();
        assert!(functions.is_empty(), "{} calls {functions:?} of pdp", file.display());
        assert_eq!(says(&code, "pdp"), code.matches("crate::pdp::").count(), "{} names pdp whole", file.display());
    }
    for (file, code) in module("cli") {
        let model = names_after(&code, "crate::model::");
        for part in ["Effect", "Obligations", "RuleKind", "Verdict", "Rule"] {
            assert!(!model.contains(part), "{} takes a decision apart: {part}", file.display());
        }
    }
}

#[test]
fn only_the_enforcement_point_makes_a_status_of_a_decision() {
    let mut wrong = Vec::new();
    for (name, file, code) in ORDER.iter().flat_map(|name| module(name).into_iter().map(move |(f, c)| (*name, f, c))) {
        let decides = ["Decision", "Reason", "Verdict"].iter().any(|part| {
            names_after(&code, "crate::model::").contains(*part) || names_after(&code, "model::").contains(*part)
        }) || names_after(&code, "crate::").contains("pdp");
        let answers = STATUS.iter().any(|word| says(&code, word) > 0) || code.contains("\"jsonrpc\"");
        if decides && (name == "gateway" || name != "pep" && answers) {
            wrong.push(file);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let statuses = module("pep").iter().filter(|(_, code)| says(code, "StatusCode") > 0).count();
    assert!(statuses > 0, "the scan sees no status where there is one");
}

#[test]
fn every_file_is_short_and_opens_by_saying_what_it_is() {
    let mut wrong = Vec::new();
    for file in ["src", "tests", "benches", "examples", "fuzz"].into_iter().flat_map(rust_files) {
        let text = fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        if lines > LONGEST {
            wrong.push(format!("{} has {lines} lines", file.display()));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{} does not open with `//!`", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_scan_sees_groups_and_skips_longer_words() {
    let code = "use crate::{model::{A, B}, policy};\nlet x = crate::pdp::decide; mycrate::cli::x;";
    let names = names_after(code, "crate::");
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["model", "pdp", "policy"]);
    assert!(names_crate("let x = http::StatusCode::OK;", "http") && !names_crate("\"http://a\"; myhttp::X", "http"));
    assert_eq!(says("Reason, ReasonText, a Reason", "Reason"), 2);
}
