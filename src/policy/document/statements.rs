//! `[[grants]]`, `[[denies]]` and the selectors that say whom they are about.

use super::fields::{At, Fields, Reader};
use super::matchers::{item_rules, nothing_excused};
use crate::diagnostics::{Code, Span};
use crate::model::Timestamp;
use crate::policy::argument::sorted;
use crate::policy::checks::StatementSpans;
use crate::policy::glob::NameGlob;
use crate::policy::instant::{INSTANT_HELP, instant};
use crate::policy::name::{is_shown_whole, quoted};
use crate::policy::set::{ItemPattern, Selector, Statement};
use crate::policy::source::{Kind, Node};

const GRANT_KEYS: [&str; 6] = ["name", "reason", "expires", "to", "allow", "args"];
const DENY_KEYS: [&str; 6] = ["name", "reason", "expires", "to", "deny", "args"];
const SELECTOR_KEYS: [&str; 6] = ["issuer", "subjects", "agents", "groups", "claims", "servers"];

/// A grant or deny with its places.
#[derive(Debug)]
pub(crate) struct DeclaredStatement {
    pub(crate) statement: Statement,
    pub(crate) spans: StatementSpans,
    /// The item patterns of `args`.
    pub(crate) args: Vec<(ItemPattern, Span)>,
}

/// What a selector or a test subject names, with its places.
#[derive(Debug, Default)]
pub(crate) struct Mentions {
    pub(crate) issuers: Vec<At<String>>,
    pub(crate) groups: Vec<At<NameGlob>>,
    pub(crate) claims: Vec<At<String>>,
    pub(crate) servers: Vec<At<String>>,
}

pub(super) fn grants(reader: &mut Reader<'_>, root: Fields<'_>) -> Vec<DeclaredStatement> {
    reader
        .tables(root, "grants", "a grant", &GRANT_KEYS)
        .into_iter()
        .map(|fields| {
            match fields.get("to") {
                None => {
                    let help = "add `to = { groups = [\"support\"] }`; a grant to everyone says `{ subjects = \"*\" }`";
                    reader.invalid(Code::EmptySelector, fields.span(), "a grant must say to whom", help);
                }
                Some(node) if matches!(&node.kind, Kind::Table(table) if table.is_empty()) => {
                    let help = "name groups, agents or subjects; a grant to everyone says `{ subjects = \"*\" }`";
                    reader.invalid(Code::EmptySelector, node.span, "a grant must say to whom", help);
                }
                Some(_) => {}
            }
            statement(reader, fields, "a grant", "allow")
        })
        .collect()
}

pub(super) fn denies(reader: &mut Reader<'_>, root: Fields<'_>) -> Vec<DeclaredStatement> {
    let tables = reader.tables(root, "denies", "a deny", &DENY_KEYS);
    tables
        .into_iter()
        .map(|fields| {
            nothing_excused(reader, fields);
            statement(reader, fields, "a deny", "deny")
        })
        .collect()
}

fn statement(reader: &mut Reader<'_>, fields: Fields<'_>, what: &str, list: &str) -> DeclaredStatement {
    let name = name(reader, fields);
    let expires = time(reader, fields, "expires");
    let (to, groups) = fields.get("to").map(|node| selector(reader, node, "to")).unwrap_or_default();
    let items = patterns(reader, fields, list, what);
    let (args, places, keys) = item_rules(reader, fields);
    let spans = StatementSpans {
        head: name.as_ref().map_or(fields.span(), |at| at.span),
        expires: expires.as_ref().map(|at| at.span),
        args: places,
        groups,
        items: items.clone(),
    };
    let statement = Statement {
        name: name.map(|at| at.value),
        reason: reader.text(fields, "reason").map(|at| at.value.to_owned()),
        expires: expires.map(|at| at.value),
        to,
        items: sorted(items.into_iter().map(|(pattern, _)| pattern).collect()),
        args,
    };
    DeclaredStatement { statement, spans, args: keys }
}

/// The name of a statement, invariant or test: any text that shows what it is.
pub(super) fn name(reader: &mut Reader<'_>, fields: Fields<'_>) -> Option<At<String>> {
    let at = reader.text(fields, "name")?;
    if at.value.trim().is_empty() || !is_shown_whole(at.value) {
        let message = format!("`{}` cannot be a name", quoted(at.value));
        reader.invalid(Code::InvalidName, at.span, message, "write at most 80 visible characters");
    }
    Some(At { value: at.value.to_owned(), span: at.span })
}

/// The instant of a key, if it is there.
pub(super) fn time(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Option<At<Timestamp>> {
    let node = fields.get(key)?;
    let (Kind::Datetime(text) | Kind::String(text)) = &node.kind else {
        reader.wrong_type(node, key, "a date");
        return None;
    };
    let found = instant(text).filter(|_| matches!(node.kind, Kind::Datetime(_)));
    if found.is_none() {
        let message = format!("`{key}` cannot be `{}`", quoted(text));
        reader.invalid(Code::InvalidValue, node.span, message, INSTANT_HELP);
    }
    found.map(|value| At { value, span: node.span })
}

/// The item patterns of a key that must name at least one.
pub(super) fn patterns(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str, what: &str) -> Vec<(ItemPattern, Span)> {
    let list = reader.strings(fields, key);
    let written = list.as_ref().is_some_and(|list| !list.is_empty());
    if !written && fields.get(key).is_none_or(|node| matches!(&node.kind, Kind::Array(items) if items.is_empty())) {
        let span = fields.get(key).map_or(fields.span(), |node| node.span);
        let message = format!("{what} must name what it is about in `{key}`");
        reader.invalid(Code::EmptyStatement, span, message, format!("write `{key} = [\"server:tool\"]`"));
    }
    let list = list.unwrap_or_default();
    // These stay as long as the policy does, so they take no more than they need.
    let mut found = Vec::with_capacity(list.len());
    found.extend(list.iter().filter_map(|at| pattern(reader, at.value, at.span).map(|p| (p, at.span))));
    found
}

/// One item pattern.
pub(super) fn pattern(reader: &mut Reader<'_>, text: &str, span: Span) -> Option<ItemPattern> {
    let help = match reader.shared.pattern(text) {
        Ok(Some(pattern)) => return Some(pattern),
        Ok(None) => "write `server:tool`, `server:prompt:NAME`, `server:resource:NAME` or `server:*`".to_owned(),
        Err(error) => error.to_string(),
    };
    reader.invalid(Code::InvalidPattern, span, format!("`{}` is not an item pattern", quoted(text)), help);
    None
}

/// A selector, and its groups as written.
pub(super) fn selector(reader: &mut Reader<'_>, node: &Node<'_>, key: &str) -> (Selector, Vec<(NameGlob, Span)>) {
    let mut selector = Selector::default();
    let mut mentions = Mentions::default();
    let Some(fields) = reader.table(node, key, "a selector", &SELECTOR_KEYS) else { return (selector, Vec::new()) };
    mentions.issuers = plain(reader, fields, "issuer");
    mentions.servers = plain(reader, fields, "servers");
    let groups = fields.get("groups").map(|node| globs(reader, node, "groups")).unwrap_or_default();
    let written = groups.iter().map(|at| (at.value.clone(), at.span)).collect();
    selector.issuers = sorted(mentions.issuers.iter().map(|at| at.value.clone()).collect());
    selector.servers = sorted(mentions.servers.iter().map(|at| at.value.clone()).collect());
    selector.subjects = bare(fields.get("subjects").map(|node| globs(reader, node, "subjects")));
    selector.agents = bare(fields.get("agents").map(|node| globs(reader, node, "agents")));
    selector.groups = sorted(groups.iter().map(|at| at.value.clone()).collect());
    mentions.groups = groups;
    if let Some(claims) = reader.named(fields, "claims") {
        for (claim, node) in claims.keys() {
            mentions.claims.push(At { value: claim.to_owned(), span: node.key_span });
            selector.claims.insert(claim.to_owned(), bare(Some(globs(reader, node, claim))));
        }
    }
    reader.references.mentions.push(mentions);
    (selector, written)
}

fn bare(globs: Option<Vec<At<NameGlob>>>) -> Vec<NameGlob> {
    sorted(globs.unwrap_or_default().into_iter().map(|at| at.value).collect())
}

fn plain(reader: &mut Reader<'_>, fields: Fields<'_>, key: &str) -> Vec<At<String>> {
    let Some(node) = fields.get(key) else { return Vec::new() };
    let list = reader.string_list(node, key);
    nobody(reader, node, key);
    list.into_iter().map(|at| At { value: at.value.to_owned(), span: at.span }).collect()
}

fn globs(reader: &mut Reader<'_>, node: &Node<'_>, key: &str) -> Vec<At<NameGlob>> {
    nobody(reader, node, key);
    let mut found = Vec::new();
    for at in reader.string_list(node, key) {
        match reader.shared.glob(at.value) {
            Ok(value) => found.push(At { value, span: at.span }),
            Err(error) => {
                let message = format!("`{}` cannot be `{}`", quoted(key), quoted(at.value));
                reader.invalid(Code::InvalidPattern, at.span, message, error.to_string());
            }
        }
    }
    found
}

/// An empty list would read as nobody and mean everybody.
fn nobody(reader: &mut Reader<'_>, node: &Node<'_>, key: &str) {
    if matches!(&node.kind, Kind::Array(items) if items.is_empty()) {
        let message = format!("`{}` is an empty list", quoted(key));
        reader.invalid(
            Code::EmptySelector,
            node.span,
            message,
            "name at least one, or leave the key out to ask nothing",
        );
    }
}
