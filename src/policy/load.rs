//! From texts and variables to a compiled policy and a list of problems.

use std::collections::{BTreeMap, BTreeSet};

use super::checks::{Checks, Spans};
use super::compiled::{CompiledPolicy, Positions};
use super::resolve::{self, Resolved};
use super::source::{self, Kind, Node};
use super::weight::{MAX_ENTRIES, weigh};
use super::what_if::{self, WhatIf};
use super::{document, environment, layers, secret};
use crate::diagnostics::{self, Code, Diagnostic, Severity, Sources, Span};

/// What a policy is read from, lowest layer first.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    /// The base file, then the overlay of the profile, each with its name.
    pub files: Vec<(String, Vec<u8>)>,
    /// `DOORWARD_*` variables. Anything else is ignored.
    pub environment: Vec<(String, String)>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The texts that the places of the problems point into.
    pub sources: Sources,
    /// Every problem found while reading, sorted. Lints that need analysis are not among them.
    pub problems: Vec<Diagnostic>,
    /// The policy; `None` when any problem is an error.
    pub policy: Option<LoadedPolicy>,
}

/// A policy with what judges it.
#[derive(Clone, Debug)]
pub struct LoadedPolicy {
    /// The policy.
    pub compiled: CompiledPolicy,
    /// Tests, invariants and the gate.
    pub checks: Checks,
    /// Where everything stands.
    pub spans: Spans,
    /// The groups there are, by issuer; of an issuer that is not here any group may come.
    pub groups: BTreeMap<String, Vec<String>>,
}

/// Reads a policy. Never fails: what is wrong is among the problems.
pub fn load(layers: &Layers) -> Loaded {
    load_with(layers, &[])
}

/// Reads a policy and lays what-ifs over it, in their order. What is wrong with a what-if is among
/// the problems like everything else, with its place in a source called like its flag.
pub fn load_with(layers: &Layers, what_ifs: &[WhatIf]) -> Loaded {
    let mut sources = Sources::default();
    let mut problems = Vec::new();
    let policy = read(layers, what_ifs, &mut sources, &mut problems);
    let secrets = problems.iter().filter(|p| p.code == Code::SecretInPolicy);
    let mut spans: Vec<_> = secrets.filter_map(|p| p.primary.as_ref()).map(|label| label.span).collect();
    if !problems.is_empty() {
        // A line with a secret may also be shown for what else is wrong in it.
        spans.extend(sources.find(secret::in_text));
    }
    sources.mask(&spans);
    diagnostics::sort(&mut problems);
    let usable = problems.iter().all(|problem| problem.severity() != Severity::Error);
    Loaded { sources, problems, policy: policy.filter(|_| usable) }
}

fn read(
    layers: &Layers,
    what_ifs: &[WhatIf],
    sources: &mut Sources,
    problems: &mut Vec<Diagnostic>,
) -> Option<LoadedPolicy> {
    if layers.files.is_empty() {
        let problem = Diagnostic::new(Code::MissingKey, "there is no policy file")
            .help("write a `policies.toml` that begins with `version = 1`");
        problems.push(problem);
        return None;
    }
    let files: Vec<Option<Node<'_>>> =
        layers.files.iter().map(|(name, bytes)| source::read(name, bytes, sources, problems)).collect();
    // Without one of the files every name in it would be unknown: what is known is said first.
    let mut trees: Vec<Node<'_>> = files.into_iter().collect::<Option<_>>()?;
    let servers = trees.iter().flat_map(server_names).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    trees.extend(environment::read(layers, &servers, sources, problems));
    let mut root = layers::merge(trees);
    what_if::lay_over(&mut root, what_ifs, sources, problems);
    let document = document::read(&root, problems)?;
    drop(root);
    let listed = document.issuers.iter().filter_map(|i| Some((i.name.value.clone(), i.groups.clone()?)));
    let groups = listed.collect();
    let Resolved { mut set, checks, spans } = resolve::resolve(document, problems);
    what_if::drop_scopes(&mut set, what_ifs, sources, problems);
    if problems.iter().any(|problem| problem.severity() == Severity::Error) {
        return None;
    }
    if weigh(&set).is_err() {
        let message = format!("statements, items and groups combine in more than {MAX_ENTRIES} ways");
        let help = "cover whole servers with `server:*`, or fewer items";
        problems.push(Diagnostic::new(Code::TooLarge, message).help(help));
        return None;
    }
    let positions = positions(&spans, sources);
    Some(LoadedPolicy { compiled: CompiledPolicy::compile(set, positions), checks, spans, groups })
}

fn server_names(root: &Node<'_>) -> Vec<String> {
    let Kind::Table(table) = &root.kind else { return Vec::new() };
    let servers = table.iter().find(|(key, _)| **key == *"servers");
    match servers.map(|(_, node)| &node.kind) {
        Some(Kind::Table(servers)) => servers.iter().map(|(name, _)| name.to_string()).collect(),
        _ => Vec::new(),
    }
}

fn positions(spans: &Spans, sources: &Sources) -> Positions {
    let place = |span: &Span| sources.position(*span);
    Positions {
        issuers: spans.issuers.iter().map(|(name, span)| (name.clone(), place(span))).collect(),
        servers: spans.servers.iter().map(|(name, span)| (name.clone(), place(span))).collect(),
        // Both go by server, kind and name.
        items: spans.items.values().map(place).collect(),
        grants: spans.grants.iter().map(|s| place(&s.head)).collect(),
        denies: spans.denies.iter().map(|s| place(&s.head)).collect(),
    }
}
