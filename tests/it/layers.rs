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
            let word = |at: usize| {
                let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
                edge(code[..at].chars().next_back()) && edge(code[at + outside.len()..].chars().next())
            };
            if grouped || code.match_indices(outside).any(|(at, _)| word(at)) {
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
    for outside in ["tokio", "clap", "hyper", "http", "axum", "reqwest", "mio", "socket2", "rustls", "rand", "glob"] {
        assert!(!crates.contains(outside), "the core depends on {outside}");
    }
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
}
