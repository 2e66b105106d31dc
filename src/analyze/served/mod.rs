//! Whether a policy fits what a server says it offers: names that nobody serves, tools that nobody
//! declared, and rules on arguments that a tool does not have.
//!
//! The listing is the server's word, so nothing here is ever more than a warning, and what the
//! listing leaves open is not warned about.

mod shape;

use std::collections::BTreeSet;

use serde_json::Value;

use self::shape::{Place as At, elements, find, types};
use super::place::Place;
use crate::diagnostics::{Code, Diagnostic, Span, did_you_mean, sort};
use crate::mcp::Catalogue;
use crate::model::ResourceKind;
use crate::policy::LoadedPolicy;
use crate::policy::argument::{ArgPath, Scalar};
use crate::policy::checks::StatementSpans;
use crate::policy::matcher::{Matcher, Test};
use crate::policy::set::{Server, Statement};

/// The most names that one message lists.
const SHOWN: usize = 8;

/// What of a server's declaration does not fit its listing, sorted. Nothing for a server that the
/// policy does not declare.
pub fn served(policy: &LoadedPolicy, server: &str, catalogue: &Catalogue) -> Vec<Diagnostic> {
    let Some(declared) = policy.compiled.set().servers.get(server) else { return Vec::new() };
    let mut fit = Fit { policy, server, declared, catalogue, found: Vec::new() };
    for kind in [ResourceKind::Tool, ResourceKind::Prompt] {
        fit.names(kind);
    }
    fit.resources();
    fit.arguments();
    sort(&mut fit.found);
    fit.found
}

struct Fit<'p> {
    policy: &'p LoadedPolicy,
    server: &'p str,
    declared: &'p Server,
    catalogue: &'p Catalogue,
    found: Vec<Diagnostic>,
}

impl Fit<'_> {
    fn span(&self, kind: ResourceKind, name: &str) -> Span {
        let key = (self.server.into(), kind, name.into());
        self.policy.spans.items.get(&key).copied().unwrap_or_default()
    }

    fn head(&self) -> Span {
        self.policy.spans.servers.get(self.server).copied().unwrap_or_default()
    }

    fn names(&mut self, kind: ResourceKind) {
        let served: BTreeSet<&str> = self.catalogue.names(kind).collect();
        let declared: BTreeSet<&str> =
            self.declared.items().filter(|(of, ..)| *of == kind).map(|(_, name, _)| name).collect();
        if self.catalogue.is_complete(kind) {
            for name in declared.difference(&served) {
                let help = match did_you_mean(name, served.difference(&declared).copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "remove it, or correct its name".to_owned(),
                };
                let place = Place::new(self.server, kind, name);
                let message = format!("`{place}` is not on the list of the server");
                let problem = Diagnostic::new(Code::NotServed, message).at(self.span(kind, name), "").help(help);
                self.found.push(problem);
            }
        }
        self.undeclared(kind, &served.difference(&declared).copied().collect::<Vec<_>>());
    }

    fn resources(&mut self) {
        let patterns: Vec<_> = self.declared.resources.values().filter_map(|item| item.uri.as_ref()).collect();
        let left = self.catalogue.uris().filter(|uri| !patterns.iter().any(|pattern| pattern.matches(uri)));
        self.undeclared(ResourceKind::Resource, &left.collect::<Vec<_>>());
    }

    /// One problem for all of a kind: it is the door that is incomplete.
    fn undeclared(&mut self, kind: ResourceKind, names: &[&str]) {
        if names.is_empty() {
            return;
        }
        let what = match kind {
            ResourceKind::Prompt => "prompt",
            ResourceKind::Resource => "resource",
            ResourceKind::Tool | ResourceKind::Server => "tool",
        };
        let s = if let [_] = names { "" } else { "s" };
        let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
        let more = names.len().saturating_sub(SHOWN);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let message =
            format!("`{}` offers the {what}{s} {}{more}, which nobody can use", self.server, shown.join(", "));
        let problem = Diagnostic::new(Code::NotDeclared, message)
            .at(self.head(), "")
            .help("declare what is meant to be used; the rest stays denied");
        self.found.push(problem);
    }

    fn arguments(&mut self) {
        let declared = self.declared;
        for (kind, name, item) in declared.items() {
            let Some(schema) = self.catalogue.schema(kind, name) else { continue };
            let place = Place::new(self.server, kind, name);
            for (path, matcher) in item.args.iter() {
                self.rule(&place, schema, path, Some(matcher), self.span(kind, name));
            }
            // What is taken out may be in every element of a list, so that only its first part is looked up.
            let first =
                item.redact.iter().filter_map(|path| path.segments().next().and_then(|first| ArgPath::new(first).ok()));
            for path in item.capture.iter().cloned().chain(first) {
                self.rule(&place, schema, &path, None, self.span(kind, name));
            }
            let set = self.policy.compiled.set();
            let spans = &self.policy.spans;
            for (statements, spans) in [(&set.grants, &spans.grants), (&set.denies, &spans.denies)] {
                for (statement, spans) in statements.iter().zip(spans) {
                    self.statement(&place, schema, statement, spans);
                }
            }
        }
    }

    fn statement(&mut self, place: &Place, schema: &Value, statement: &Statement, spans: &StatementSpans) {
        let item = place.item();
        if !statement.covers(&place.server, &item) {
            return;
        }
        for rules in statement.args_for(&place.server, &item) {
            for (path, matcher) in rules.iter() {
                let written = spans.args.iter().find(|(of, at, _)| at == path && of.matches(&place.server, &item));
                let span = written.map_or(spans.head, |(.., span)| *span);
                self.rule(place, schema, path, Some(matcher), span);
            }
        }
    }

    fn rule(&mut self, place: &Place, schema: &Value, path: &ArgPath, matcher: Option<&Matcher>, span: Span) {
        let problem = match find(schema, path.segments()) {
            At::Open => return,
            At::Missing(beside) => {
                let last = path.segments().last().unwrap_or_default();
                let help = match did_you_mean(last, beside.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None if matcher.is_some_and(|matcher| matcher.optional) => {
                        "the rule is optional and so limits nothing: correct the path".to_owned()
                    }
                    None if matcher.is_none() => "nothing is there to keep or to take out: correct the path".to_owned(),
                    None => "a grant with a rule on it never applies, a deny always does: correct the path".to_owned(),
                };
                let message = format!("`{place}` has no argument `{path}`");
                Diagnostic::new(Code::UnknownArgument, message).at(span, "").help(help)
            }
            At::Fits(here) => {
                let Some((asked, given)) = matcher.and_then(|matcher| mismatch(schema, &here, matcher)) else { return };
                let message = format!("the argument `{path}` of `{place}` is {given}, and the rule asks for {asked}");
                let help = "a grant with this rule never applies, a deny always does: use a matcher for that type";
                Diagnostic::new(Code::ArgumentType, message).at(span, "").help(help)
            }
        };
        self.found.push(problem);
    }
}

/// What a matcher asks for and what the schema gives, where no value can be both.
fn mismatch(root: &Value, here: &[&Value], matcher: &Matcher) -> Option<(String, String)> {
    let given = types(root, here);
    matcher.tests.iter().find_map(|test| {
        if let (Some(given), Some(asked)) = (&given, asked(test))
            && !asked.iter().any(|kind| given.contains(kind))
        {
            let given: Vec<&str> = given.iter().copied().collect();
            return Some((with_article(&asked), with_article(&given)));
        }
        match test {
            Test::Each(inner) | Test::Any(inner) => {
                let (asked, given) = mismatch(root, &elements(root, here)?, inner)?;
                Some((format!("{asked} in it"), format!("an array of which each element is {given}")))
            }
            _ => None,
        }
    })
}

/// The types that a test can be met by; nothing where any will do.
fn asked(test: &Test) -> Option<Vec<&'static str>> {
    let scalar = |scalar: &Scalar| match scalar {
        Scalar::Bool(_) => vec!["boolean"],
        Scalar::Number(_) => vec!["number", "integer"],
        Scalar::String(_) => vec!["string"],
    };
    match test {
        Test::Present(_) => None,
        Test::Eq(one) => Some(scalar(one)),
        Test::OneOf(many) => Some(many.iter().flat_map(scalar).collect()),
        Test::Min(_) | Test::Max(_) => Some(vec!["number", "integer"]),
        Test::Glob(_) | Test::Prefix(_) | Test::Under(_) | Test::Host(_) | Test::MaxLen(_) => Some(vec!["string"]),
        Test::MaxItems(_) | Test::Each(_) | Test::Any(_) => Some(vec!["array"]),
    }
}

/// `a string`, `a string or null`.
fn with_article(types: &[&str]) -> String {
    let mut words: Vec<&str> = Vec::new();
    for kind in types {
        let word = match *kind {
            "string" => "a string",
            "number" => "a number",
            "integer" if types.contains(&"number") => continue,
            "integer" => "an integer",
            "boolean" => "a boolean",
            "array" => "an array",
            "object" => "an object",
            "null" => "null",
            _ => "of another type",
        };
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" or ")
}
