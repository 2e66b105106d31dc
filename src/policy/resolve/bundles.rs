//! Bundles: what one token scope carries, with the bundles in it opened.

use std::collections::BTreeMap;

use super::names::Check;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::policy::argument::sorted;
use crate::policy::document::{At, Document};
use crate::policy::lookup::Lookup;
use crate::policy::name::quoted;
use crate::policy::set::{ItemPattern, item_name};

/// The most patterns in all opened bundles together.
const MAX_PATTERNS: usize = 1_000_000;

/// How far a bundle is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Done,
}

/// A bundle on the way down, with the next of its entries.
struct Step<'d> {
    name: &'d str,
    entries: &'d [At<String>],
    next: usize,
}

/// Opens every bundle, whatever the order in which they stand.
pub(super) fn open(document: &Document, check: &mut Check<'_, '_>) -> BTreeMap<String, Vec<ItemPattern>> {
    conflicts(document, check);
    let declared: BTreeMap<&str, (&At<String>, &[At<String>])> =
        document.scopes.iter().map(|(name, list)| (name.value.as_str(), (name, list.as_slice()))).collect();
    let mut opened: BTreeMap<String, Vec<ItemPattern>> = BTreeMap::new();
    let mut states: BTreeMap<&str, State> = BTreeMap::new();
    let mut total = 0usize;
    for (root, (_, entries)) in &declared {
        if states.contains_key(root) {
            continue;
        }
        states.insert(root, State::Open);
        let mut path = vec![Step { name: root, entries, next: 0 }];
        // A list of steps and not a call for each: a chain of bundles may be long.
        while let Some(step) = path.last_mut() {
            let Some(entry) = step.entries.get(step.next) else {
                let patterns = collect(step, &opened, check);
                total += patterns.len();
                if total > MAX_PATTERNS {
                    too_large(document, step.name, check);
                    return BTreeMap::new();
                }
                opened.insert(step.name.to_owned(), patterns);
                states.insert(step.name, State::Done);
                path.pop();
                continue;
            };
            step.next += 1;
            let Some((name, (_, entries))) = declared.get_key_value(entry.value.as_str()) else { continue };
            match states.get(name) {
                Some(State::Done) => {}
                Some(State::Open) => cycle(&path, name, entry.span, check),
                None => {
                    states.insert(name, State::Open);
                    path.push(Step { name, entries, next: 0 });
                }
            }
        }
    }
    opened
}

/// The patterns of a bundle whose own bundles are open.
fn collect(
    step: &Step<'_>,
    opened: &BTreeMap<String, Vec<ItemPattern>>,
    check: &mut Check<'_, '_>,
) -> Vec<ItemPattern> {
    let mut patterns = Vec::new();
    for entry in step.entries {
        if check.index().has_bundle(&entry.value) {
            patterns.extend(opened.get(&entry.value).into_iter().flatten().cloned());
            continue;
        }
        match ItemPattern::parse(&entry.value) {
            Ok(Some(pattern)) => {
                check.pattern(&pattern, entry.span);
                patterns.push(pattern);
            }
            Ok(None) => check.unknown_bundle(entry),
            Err(error) => {
                let message = format!("`{}` is not an item pattern", quoted(&entry.value));
                check.report(Diagnostic::new(Code::InvalidPattern, message).at(entry.span, "").help(error.to_string()));
            }
        }
    }
    sorted(patterns)
}

fn cycle(path: &[Step<'_>], name: &str, span: Span, check: &mut Check<'_, '_>) {
    let ring: Vec<&Step<'_>> = path.iter().skip_while(|step| step.name != name).collect();
    let names: Vec<String> =
        ring.iter().take(8).map(|step| step.name).chain([name]).map(|name| format!("`{}`", quoted(name))).collect();
    let mut problem =
        Diagnostic::new(Code::ScopeCycle, format!("bundles contain each other: {}", names.join(" contains ")))
            .at(span, "")
            .help("remove one of the entries that make the ring");
    for step in ring.iter().take(8) {
        let entry = step.next.checked_sub(1).and_then(|at| step.entries.get(at));
        if let Some(entry) = entry.filter(|entry| entry.span != span) {
            problem = problem.also(entry.span, "and this entry");
        }
    }
    check.report(problem);
}

fn too_large(document: &Document, name: &str, check: &mut Check<'_, '_>) {
    let span = document.scopes.iter().find(|(at, _)| at.value == name).map(|(at, _)| at.span);
    let message = format!("the bundles carry more than {MAX_PATTERNS} patterns together");
    let problem = Diagnostic::new(Code::TooLarge, message).help("cover items with a wildcard, as in `server:*`");
    check.report(match span {
        Some(span) => problem.at(span, ""),
        None => problem,
    });
}

/// A bundle that has the name of an item or of its scope would carry two things.
fn conflicts(document: &Document, check: &mut Check<'_, '_>) {
    let bundles: Lookup<&str, Span> =
        document.scopes.iter().map(|(name, _)| (name.value.as_str(), name.span)).collect();
    if bundles.is_empty() {
        return;
    }
    let mut reference = String::new();
    for server in &document.servers {
        for declared in &server.items {
            reference.clear();
            let item = item_name(declared.kind, &declared.name.value);
            reference.extend([server.name.value.as_str(), ":", &item]);
            let scopes = || declared.item.scopes.iter().map(String::as_str);
            let own = (!scopes().any(|scope| scope == reference)).then_some(reference.as_str());
            for name in scopes().chain(own) {
                if let Some(span) = bundles.get(name) {
                    let message = format!("the bundle `{}` has the name of what carries an item", quoted(name));
                    let problem = Diagnostic::new(Code::ScopeConflict, message)
                        .at(*span, "")
                        .also(declared.name.span, "the item")
                        .help("rename the bundle, so that a token scope means one thing");
                    check.report(problem);
                }
            }
        }
    }
}
