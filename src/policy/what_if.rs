//! Changes to a policy that stand in no file: the top layer of all.
//!
//! A what-if is read as strictly as a file, points at its own text when it is wrong, and never
//! declares a server, an issuer or an item by the way: a name that is not there is a slip.

use std::borrow::Cow;
use std::fmt;

use super::layers::STATEMENTS;
use super::name::quoted;
use super::set::PolicySet;
use super::source::{self, Kind, Node, Table};
use crate::diagnostics::{Code, Diagnostic, SourceId, Sources, Span, did_you_mean};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhatIf {
    /// `PATH=VALUE`: the value of a key, by the names of the tables that lead to it. A statement is a
    /// table by its name, as in `grants.support-desk.expires=2027-01-01`.
    Set(String),
    /// The grant of that name is not there.
    DropGrant(String),
    /// The deny of that name is not there.
    DropDeny(String),
    /// The token scope of that name carries nothing: no item by itself and no bundle. A bundle that
    /// contains it keeps what it has from it.
    DropScope(String),
}

impl WhatIf {
    /// The flag that asks for it.
    pub const fn flag(&self) -> &'static str {
        match self {
            Self::Set(_) => "--set",
            Self::DropGrant(_) => "--drop-grant",
            Self::DropDeny(_) => "--drop-deny",
            Self::DropScope(_) => "--drop-scope",
        }
    }

    /// What stands behind the flag.
    pub fn text(&self) -> &str {
        match self {
            Self::Set(text) | Self::DropGrant(text) | Self::DropDeny(text) | Self::DropScope(text) => text,
        }
    }

    /// What it changes: two that change the same are alternatives.
    pub fn subject(&self) -> Vec<String> {
        let words = match self {
            Self::Set(text) => split(text).map(|(words, _)| words.into_iter().map(|w| w.text.to_owned()).collect()),
            _ => Err(Slip::default()),
        };
        let words = words.unwrap_or_else(|_| vec![self.text().to_owned()]);
        std::iter::once(self.flag().to_owned()).chain(words).collect()
    }
}

/// As on a command line, for people.
impl fmt::Display for WhatIf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.flag(), self.text())
    }
}

/// Lays what-ifs over the merged tree. Scopes are dropped later, from the policy set.
pub(super) fn lay_over<'t>(
    root: &mut Node<'t>,
    what_ifs: &'t [WhatIf],
    sources: &mut Sources,
    problems: &mut Vec<Diagnostic>,
) {
    for what_if in what_ifs {
        let text = what_if.text();
        let mut whole = || Span { source: sources.add(what_if.flag(), text), start: 0, end: offset(text.len()) };
        let done = match what_if {
            WhatIf::Set(_) => set(root, text, whole().source, problems),
            WhatIf::DropGrant(name) => drop_statement(root, "grants", name, whole()),
            WhatIf::DropDeny(name) => drop_statement(root, "denies", name, whole()),
            WhatIf::DropScope(_) => Ok(()),
        };
        problems.extend(done.err());
    }
}

/// Drops scopes from the policy set.
pub(super) fn drop_scopes(
    set: &mut PolicySet,
    what_ifs: &[WhatIf],
    sources: &mut Sources,
    problems: &mut Vec<Diagnostic>,
) {
    for what_if in what_ifs {
        let WhatIf::DropScope(scope) = what_if else { continue };
        let mut carried = set.scopes.remove(scope).is_some();
        for server in set.servers.values_mut() {
            let items =
                server.tools.values_mut().chain(server.prompts.values_mut()).chain(server.resources.values_mut());
            for item in items {
                let before = item.scopes.len();
                item.scopes.retain(|own| own != scope);
                carried |= item.scopes.len() < before;
            }
        }
        if !carried {
            let own = set.items().flat_map(|(_, _, _, item)| item.scopes.iter());
            let known = set.scopes.keys().chain(own).map(String::as_str);
            let problem = Diagnostic::new(Code::UnknownScope, format!("no scope `{}` carries anything", quoted(scope)));
            let problem = match did_you_mean(scope, known) {
                Some(near) => problem.help(format!("did you mean `{}`?", quoted(near))),
                None => problem.help("name the scope of an item, or a bundle of `[scopes]`"),
            };
            let source = sources.add(what_if.flag(), scope);
            problems.push(problem.at(Span { source, start: 0, end: offset(scope.len()) }, ""));
        }
    }
}

/// A word of a path with its place.
#[derive(Clone, Copy)]
struct Word<'t> {
    text: &'t str,
    start: usize,
    end: usize,
}

/// Where a path cannot be read.
#[derive(Default)]
struct Slip {
    at: usize,
    message: &'static str,
}

/// The words of `PATH=VALUE`, and where the value begins.
fn split(text: &str) -> Result<(Vec<Word<'_>>, usize), Slip> {
    let mut words = Vec::new();
    let mut at = 0;
    loop {
        let slip = |at, message| Err(Slip { at, message });
        let rest = text.get(at..).unwrap_or_default();
        let (start, end, after) = match rest.chars().next() {
            Some(quote @ ('"' | '\'')) => match rest.get(1..).and_then(|inner| inner.find(quote)) {
                Some(length) => (at + 1, at + 1 + length, at + 2 + length),
                None => return slip(at, "the quoted name does not end"),
            },
            _ => {
                let length = rest.find(['.', '=']).unwrap_or(rest.len());
                (at, at + length, at + length)
            }
        };
        if start == end {
            return slip(at, "a name is missing in the path");
        }
        words.push(Word { text: text.get(start..end).unwrap_or_default(), start, end });
        match text.get(after..).unwrap_or_default().chars().next() {
            Some('.') => at = after + 1,
            Some('=') => return Ok((words, after + 1)),
            Some(_) => return slip(after, "a `.` or a `=` must follow a quoted name"),
            None => return slip(after, "there is no `=` with a value"),
        }
    }
}

const PATH_HELP: &str = "write PATH=VALUE, as in `servers.tickets.token_ttl=10m`; a name with a dot goes in quotes";

fn set<'t>(
    root: &mut Node<'t>,
    text: &'t str,
    source: SourceId,
    problems: &mut Vec<Diagnostic>,
) -> Result<(), Diagnostic> {
    let (words, value) = split(text).map_err(|Slip { at, message }| {
        let span = Span { source, start: offset(at), end: offset(text.len()) };
        Diagnostic::new(Code::InvalidValue, message).at(span, "").help(PATH_HELP)
    })?;
    let Some(last) = words.last() else { return Ok(()) };
    let trimmed = text.get(value..).unwrap_or_default();
    let key_span = last.span(source);
    let Some(leaf) = source::value(trimmed, value, key_span, problems) else { return Ok(()) };
    put(root, &words, 0, source, leaf)
}

impl Word<'_> {
    fn span(&self, source: SourceId) -> Span {
        Span { source, start: offset(self.start), end: offset(self.end) }
    }
}

/// Puts a value at the end of a path, of which `depth` words lead to `node`.
fn put<'t>(
    node: &mut Node<'t>,
    words: &[Word<'t>],
    depth: usize,
    source: SourceId,
    leaf: Node<'t>,
) -> Result<(), Diagnostic> {
    let Some(word) = words.get(depth) else {
        *node = leaf;
        return Ok(());
    };
    let span = word.span(source);
    let type_name = node.kind.type_name();
    let table = match &mut node.kind {
        Kind::Table(table) => table,
        Kind::Array(list) if depth == 1 && words.first().is_some_and(|first| STATEMENTS.contains(&first.text)) => {
            let list_name = words.first().map_or("", |first| first.text);
            let at = find(list, list_name, word.text, span)?;
            if words.len() == depth + 1 {
                let message = format!("`{}` is a whole statement", quoted(word.text));
                let help = format!("name a key of it, as in `{list_name}.NAME.expires=2027-01-01`");
                return Err(Diagnostic::new(Code::InvalidValue, message).at(span, "").help(help));
            }
            return list.get_mut(at).map_or(Ok(()), |one| put(one, words, depth + 1, source, leaf));
        }
        _ => {
            let before = depth.checked_sub(1).and_then(|at| words.get(at)).map_or("", |before| before.text);
            let message = format!("`{}` is {type_name} and has no key `{}`", quoted(before), quoted(word.text));
            let help = "end the path before it, and give the whole value";
            return Err(Diagnostic::new(Code::WrongType, message).at(span, "").help(help));
        }
    };
    let place = table.binary_search_by(|(key, _)| (**key).cmp(word.text));
    let last = words.len() == depth + 1;
    match place {
        Ok(at) => table.get_mut(at).map_or(Ok(()), |(_, inner)| put(inner, words, depth + 1, source, leaf)),
        Err(_) if !last && declared_elsewhere(words, depth).is_some() => {
            let (code, what) = declared_elsewhere(words, depth).unwrap_or((Code::UnknownKey, "key"));
            let message = format!("no {what} `{}` is declared", quoted(word.text));
            Err(near(Diagnostic::new(code, message), word.text, table.iter().map(|(key, _)| &**key)).at(span, ""))
        }
        Err(_) if depth == 0 && STATEMENTS.contains(&word.text) => match words.get(1) {
            Some(name) => find(&[], word.text, name.text, name.span(source)).map(drop),
            None => Err(Diagnostic::new(Code::InvalidValue, "a list of statements cannot be set").at(span, "")),
        },
        Err(at) => {
            let mut inner = Node { span, key_span: span, kind: Kind::Table(Table::new()) };
            put(&mut inner, words, depth + 1, source, leaf)?;
            table.insert(at, (Cow::Borrowed(word.text), inner));
            Ok(())
        }
    }
}

/// What the word at `depth` names, where a name must be declared before anything is set in it.
fn declared_elsewhere(words: &[Word<'_>], depth: usize) -> Option<(Code, &'static str)> {
    let word = |at: usize| words.get(at).map(|word| word.text);
    match (depth, word(0)?, word(2)) {
        (1, "servers", _) => Some((Code::UnknownServer, "server")),
        (1, "issuers", _) => Some((Code::UnknownIssuer, "issuer")),
        (3, "servers", Some("tools")) => Some((Code::UnknownItem, "tool")),
        (3, "servers", Some("prompts")) => Some((Code::UnknownItem, "prompt")),
        (3, "servers", Some("resources")) => Some((Code::UnknownItem, "resource")),
        _ => None,
    }
}

fn drop_statement(root: &mut Node<'_>, list_name: &str, name: &str, span: Span) -> Result<(), Diagnostic> {
    let Kind::Table(table) = &mut root.kind else { return Ok(()) };
    let list = table.iter_mut().find(|(key, _)| **key == *list_name).map(|(_, node)| &mut node.kind);
    match list {
        Some(Kind::Array(list)) => {
            let at = find(list, list_name, name, span)?;
            list.remove(at);
            Ok(())
        }
        // What is no list is a problem of its own.
        Some(_) => Ok(()),
        None => find(&[], list_name, name, span).map(drop),
    }
}

/// The statement of that name.
fn find(list: &[Node<'_>], list_name: &str, name: &str, span: Span) -> Result<usize, Diagnostic> {
    let names = || list.iter().map(name_of);
    if let Some(at) = names().position(|known| known == Some(name)) {
        return Ok(at);
    }
    let what = match list_name {
        "grants" => "grant",
        "denies" => "deny",
        "invariants" => "invariant",
        _ => "test",
    };
    let problem = Diagnostic::new(Code::UnknownStatement, format!("no {what} is called `{}`", quoted(name)));
    Err(near(problem, name, names().flatten()).at(span, ""))
}

fn name_of<'n>(statement: &'n Node<'_>) -> Option<&'n str> {
    let Kind::Table(table) = &statement.kind else { return None };
    match table.iter().find(|(key, _)| **key == *"name").map(|(_, node)| &node.kind) {
        Some(Kind::String(name)) => Some(name),
        _ => None,
    }
}

fn near<'k>(problem: Diagnostic, word: &str, known: impl Iterator<Item = &'k str> + Clone) -> Diagnostic {
    if let Some(near) = did_you_mean(word, known.clone()) {
        return problem.help(format!("did you mean `{}`?", quoted(near)));
    }
    let some: Vec<String> = known.take(8).map(|name| format!("`{}`", quoted(name))).collect();
    if some.is_empty() {
        return problem.help("only what has a name can be named; there is nothing of the kind");
    }
    problem.help(format!("there is {}", some.join(", ")))
}

fn offset(byte: usize) -> u32 {
    u32::try_from(byte).unwrap_or(u32::MAX)
}
