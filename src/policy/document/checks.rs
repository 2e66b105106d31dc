//! `[[invariants]]` and `[[tests]]`.

use std::collections::BTreeMap;

use serde_json::Map;

use super::fields::{At, Fields, Reader, listed, owned, words};
use super::matchers::item_rules;
use super::statements::{Mentions, name, pattern, patterns, selector, time};
use crate::diagnostics::{Code, Span};
use crate::model::{Reason, Timestamp};
use crate::policy::checks::{Expectation, Invariant, PolicyTest, TestSubject};
use crate::policy::duration::{DURATION_HELP, duration};
use crate::policy::glob::NameGlob;
use crate::policy::name::quoted;
use crate::policy::source::{Kind, Node};

const INVARIANT_KEYS: [&str; 5] = ["name", "to", "except", "never", "args"];
const TEST_KEYS: [&str; 6] = ["name", "now", "others", "as", "allow", "deny"];
const SUBJECT_KEYS: [&str; 9] = ["issuer", "sub", "agent", "groups", "claims", "scope", "aud", "age", "lifetime"];
/// 2026-01-01T00:00:00Z
const NOW: Timestamp = Timestamp(1_767_225_600);
/// The subject of a test that does not name one.
const SOMEONE: &str = "someone";

/// A test with what `resolve` must fill in.
#[derive(Debug)]
pub(crate) struct DeclaredTest {
    pub(crate) test: PolicyTest,
    /// Where its subject stands.
    pub(crate) subject: Span,
    /// Whether the issuer was left out.
    pub(crate) no_issuer: bool,
    /// Whether the lifetime was left out.
    pub(crate) no_lifetime: bool,
}

pub(super) fn invariants(reader: &mut Reader<'_>, root: Fields<'_>) -> Vec<Invariant> {
    let tables = reader.tables(root, "invariants", "an invariant", &INVARIANT_KEYS);
    tables
        .into_iter()
        .map(|fields| {
            reader.required(fields, "name", "an invariant", "\"no contractor can move money\"");
            let name = name(reader, fields);
            let never = patterns(reader, fields, "never", "an invariant");
            let (args, _, keys) = item_rules(reader, fields);
            let invariant = Invariant {
                span: name.as_ref().map_or(fields.span(), |at| at.span),
                name: name.map(|at| at.value).unwrap_or_default(),
                to: fields.get("to").map(|node| selector(reader, node, "to").0).unwrap_or_default(),
                except: fields.get("except").map(|node| {
                    if matches!(&node.kind, Kind::Table(table) if table.is_empty()) {
                        let help = "name whom it is not about, or leave `except` out";
                        reader.invalid(
                            Code::EmptySelector,
                            node.span,
                            "an exception for everyone leaves nothing",
                            help,
                        );
                    }
                    selector(reader, node, "except").0
                }),
                never: crate::policy::argument::sorted(never.iter().map(|(pattern, _)| pattern.clone()).collect()),
                args,
            };
            reader.references.patterns.extend(never.into_iter().chain(keys));
            invariant
        })
        .collect()
}

pub(super) fn tests(reader: &mut Reader<'_>, root: Fields<'_>) -> Vec<DeclaredTest> {
    let tables = reader.tables(root, "tests", "a test", &TEST_KEYS);
    tables.into_iter().map(|fields| test(reader, fields)).collect()
}

fn test(reader: &mut Reader<'_>, fields: Fields<'_>) -> DeclaredTest {
    reader.required(fields, "name", "a test", "\"support reads tickets\"");
    let name = name(reader, fields);
    let now = time(reader, fields, "now").map_or(NOW, |at| at.value);
    let others = reader.parsed(fields, "others", "write `deny` or `any`", |text| match text {
        "deny" => Some(true),
        "any" => Some(false),
        _ => None,
    });
    let subject = reader.required(fields, "as", "a test", "{ sub = \"ana\", groups = [\"support\"] }");
    let (who, no_lifetime) = subject.and_then(|node| self::subject(reader, node)).unwrap_or_default();
    let test = PolicyTest {
        span: name.as_ref().map_or(fields.span(), |at| at.span),
        name: name.map(|at| at.value).unwrap_or_default(),
        now,
        closed: others.is_none_or(|at| at.value),
        allow: expectations(reader, fields, "allow"),
        deny: expectations(reader, fields, "deny"),
        subject: who,
    };
    let no_issuer = subject.is_some() && test.subject.issuer.is_empty();
    DeclaredTest { test, subject: subject.map_or(fields.span(), |node| node.span), no_issuer, no_lifetime }
}

fn subject(reader: &mut Reader<'_>, node: &Node<'_>) -> Option<(TestSubject, bool)> {
    let fields = reader.table(node, "as", "a subject", &SUBJECT_KEYS)?;
    let mut mentions = Mentions::default();
    let issuer = reader.text(fields, "issuer");
    mentions.issuers.extend(issuer.iter().map(|at| At { value: at.value.to_owned(), span: at.span }));
    let groups = reader.strings(fields, "groups").unwrap_or_default();
    for at in &groups {
        // A group of a test is a name: its wildcards are text.
        let literal: String = at
            .value
            .chars()
            .flat_map(|c| matches!(c, '*' | '?' | '\\').then_some('\\').into_iter().chain([c]))
            .collect();
        mentions.groups.extend(NameGlob::new(&literal).map(|value| At { value, span: at.span }));
    }
    let mut claims = BTreeMap::new();
    if let Some(table) = reader.named(fields, "claims") {
        for (claim, node) in table.keys() {
            mentions.claims.push(At { value: claim.to_owned(), span: node.key_span });
            claims.insert(claim.to_owned(), owned(&reader.string_list(node, claim)));
        }
    }
    reader.references.mentions.push(mentions);
    let mut scopes = Vec::new();
    for at in reader.strings(fields, "scope").unwrap_or_default() {
        for word in words(&at) {
            scopes.push(word.value.to_owned());
            reader.references.scopes.push(At { value: word.value.to_owned(), span: word.span });
        }
    }
    let seconds = |text: &str| duration(text).and_then(|seconds| u32::try_from(seconds).ok());
    let age = reader.parsed(fields, "age", DURATION_HELP, seconds);
    let lifetime = reader.parsed(fields, "lifetime", DURATION_HELP, seconds);
    let subject = TestSubject {
        issuer: issuer.map(|at| at.value.to_owned()).unwrap_or_default(),
        id: reader.text(fields, "sub").map_or(SOMEONE, |at| at.value).to_owned(),
        agent: reader.text(fields, "agent").map(|at| at.value.to_owned()),
        groups: owned(&groups),
        claims,
        scopes,
        audience: owned(&reader.strings(fields, "aud").unwrap_or_default()),
        age: age.map_or(0, |at| at.value),
        lifetime: lifetime.as_ref().map_or(0, |at| at.value),
    };
    Some((subject, lifetime.is_none()))
}

fn expectations(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Vec<Expectation> {
    let Some(node) = fields.get(key) else { return Vec::new() };
    let one = std::slice::from_ref(node);
    let items = match &node.kind {
        Kind::Array(items) => items.as_slice(),
        _ => one,
    };
    items.iter().filter_map(|item| expectation(reader, item, key)).collect()
}

fn expectation(reader: &mut Reader<'_>, node: &Node<'_>, key: &str) -> Option<Expectation> {
    if let Kind::String(text) = &node.kind {
        let call = pattern(reader, text, node.span)?;
        reader.references.patterns.push((call.clone(), node.span));
        return Some(Expectation { call, uri: None, args: Map::new(), because: None, span: node.span });
    }
    let Kind::Table(_) = &node.kind else {
        reader.wrong_type(node, key, "item patterns, or tables with `call`");
        return None;
    };
    let fields = reader.table(node, key, "an expectation", &["call", "uri", "args", "because"])?;
    reader.required(fields, "call", "an expectation", "\"tickets:search\"");
    let call = reader.text(fields, "call")?;
    let because = because(reader, fields, key);
    let args = arguments(reader, fields);
    let uri = reader.text(fields, "uri");
    let pattern = pattern(reader, call.value, call.span)?;
    reader.references.patterns.push((pattern.clone(), call.span));
    Some(Expectation { call: pattern, uri: uri.map(|at| at.value.to_owned()), args, because, span: call.span })
}

fn because(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Option<Reason> {
    let at = reader.text(fields, "because")?;
    let found = Reason::ALL.iter().copied().find(|reason| reason.code() == at.value);
    match found {
        Some(reason) if (reason == Reason::Granted) == (key == "allow") => return Some(reason),
        Some(_) => {
            let message = format!("`{}` is never the reason of `{key}`", at.value);
            reader.invalid(
                Code::InvalidValue,
                at.span,
                message,
                "correct it or leave it out: an allow is `granted`, a deny anything else",
            );
        }
        None => {
            let codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
            let help = match reader.suggest(at.value, codes.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it may be {}", listed(&codes)),
            };
            reader.invalid(Code::InvalidValue, at.span, format!("`{}` is not a reason", quoted(at.value)), help);
        }
    }
    None
}

fn arguments(reader: &mut Reader<'_>, fields: Fields<'_>) -> Map<String, serde_json::Value> {
    let Some(table) = reader.named(fields, "args") else { return Map::new() };
    let mut args = Map::new();
    for (name, node) in table.keys() {
        match node.to_json() {
            Some(value) => {
                args.insert(name.to_owned(), value);
            }
            None => {
                let message = format!("`{}` has a value that JSON cannot hold", quoted(name));
                reader.invalid(Code::InvalidValue, node.span, message, "use finite numbers of at most 64 bits");
            }
        }
    }
    args
}
