//! Warnings that the text of a statement shows by itself.

use std::collections::BTreeSet;

use super::super::place::Place;
use super::{Lint, called};
use crate::diagnostics::{Code, Diagnostic, Span, did_you_mean};
use crate::policy::argument::ArgPath;
use crate::policy::glob::{NameGlob, PathGlob};
use crate::policy::matcher::{Matcher, Test};
use crate::policy::set::{ItemPattern, Selector, Statement};

impl<'p> Lint<'p> {
    pub(super) fn expired(&mut self) {
        let (now, set, spans) = (self.now(), self.view.set, &self.loaded.spans);
        let kinds = [("grant", &set.grants, &spans.grants), ("deny", &set.denies, &spans.denies)];
        for (kind, statements, spans) in kinds {
            for (statement, spans) in statements.iter().zip(spans).filter(|(s, _)| !s.is_live(now)) {
                let Some(expires) = statement.expires else { continue };
                let name = called(kind, statement.name.as_deref());
                let message = format!("{name} expired at {expires}");
                let help = match kind {
                    "deny" => "it no longer denies anything: remove it, or give it a later `expires`",
                    _ => "it no longer allows anything: remove it, or give it a later `expires`",
                };
                let place = spans.expires.unwrap_or(spans.head);
                self.add(Diagnostic::new(Code::ExpiredStatement, message).at(place, "").help(help));
            }
        }
    }

    pub(super) fn empty_tests(&mut self) {
        let places: Vec<(Place, String)> =
            Place::all(self.view.set).into_iter().map(|p| (p.clone(), p.item())).collect();
        for test in &self.loaded.checks.tests {
            if test.allow.is_empty() && test.deny.is_empty() && !test.closed {
                let problem = Diagnostic::new(Code::EmptyTest, format!("test `{}` asserts nothing", test.name))
                    .at(test.span, "")
                    .help("list what it allows and denies, or leave out `others = \"any\"`");
                self.add(problem);
            }
            for expectation in test.allow.iter().chain(&test.deny) {
                if !places.iter().any(|(place, item)| expectation.call.matches(&place.server, item)) {
                    let message =
                        format!("`{}` in test `{}` names nothing that is declared", expectation.call, test.name);
                    let problem = Diagnostic::new(Code::EmptyTest, message)
                        .at(expectation.span, "")
                        .help("name a declared tool, prompt or resource");
                    self.add(problem);
                }
            }
        }
    }

    /// Grants that trust a group, a `sub`, an agent or a claim whoever vouches for it. Where one issuer
    /// is accepted that is what everyone means; with two, the second can hand out what the first was
    /// meant to.
    pub(super) fn any_issuer(&mut self) {
        let set = self.view.set;
        for (number, grant) in set.grants.iter().enumerate() {
            // A server as a caller is known by its issuer already.
            if !grant.to.issuers.is_empty() || !grant.to.servers.is_empty() || !grant.is_live(self.now()) {
                continue;
            }
            let reached = set.servers.iter().filter(|(name, _)| grant.items.iter().any(|p| p.server.matches(name)));
            let mut accepted: BTreeSet<&str> = BTreeSet::new();
            for (_, server) in reached {
                match &server.issuers {
                    Some(issuers) => accepted.extend(issuers.iter().map(String::as_str)),
                    None => accepted.extend(set.issuers.keys().map(String::as_str)),
                }
            }
            if accepted.len() < 2 {
                continue;
            }
            let name = called("grant", grant.name.as_deref());
            let accepted: Vec<&str> = accepted.into_iter().collect();
            let message = format!("{name} takes the word of every issuer: {}", accepted.join(", "));
            let problem = Diagnostic::new(Code::AnyIssuer, message)
                .at(self.grant_span(number), "")
                .help("add `issuer` to its `to`, or a list of issuers if several are meant");
            self.add(problem);
        }
    }

    /// Groups that only denies, invariants and tests name, and that a grant nearly names.
    pub(super) fn similar_groups(&mut self) {
        let globs: Vec<&'p NameGlob> = self.view.set.grants.iter().flat_map(|g| &g.to.groups).collect();
        let known: BTreeSet<&str> = globs.iter().filter_map(|g| g.literal()).collect();
        let mut named: Vec<(String, Span, &str)> = Vec::new();
        for spans in &self.loaded.spans.denies {
            named.extend(spans.groups.iter().map(|(group, span)| (group.as_str().to_owned(), *span, "this deny")));
        }
        for invariant in &self.loaded.checks.invariants {
            let of = |selector: &Selector| selector.groups.iter().map(|g| g.as_str().to_owned()).collect::<Vec<_>>();
            let groups = of(&invariant.to).into_iter().chain(invariant.except.iter().flat_map(of));
            named.extend(groups.map(|group| (group, invariant.span, "this invariant")));
        }
        for test in &self.loaded.checks.tests {
            named.extend(test.subject.groups.iter().map(|group| (group.clone(), test.span, "this test")));
        }
        for (group, span, place) in named {
            let named = NameGlob::new(&group).is_ok_and(|glob| known.iter().any(|k| glob.matches(k)));
            if named || globs.iter().any(|glob| glob.matches(&group)) {
                continue;
            }
            if let Some(near) = did_you_mean(&group, known.iter().copied()) {
                let message = format!("no grant names the group `{group}` of {place}");
                let help = format!("did you mean `{near}`?");
                self.add(Diagnostic::new(Code::SimilarGroup, message).at(span, "").help(help));
            }
        }
    }

    /// Argument rules of denies that an argument escapes more easily than it seems.
    pub(super) fn weak_denies(&mut self) {
        for (number, deny) in self.view.set.denies.iter().enumerate() {
            let name = called("deny", deny.name.as_deref());
            for (pattern, rules) in &deny.args {
                for (path, matcher) in rules.iter() {
                    let span = self.rule_span(number, pattern, path);
                    if let Some(glob) = single_star(matcher) {
                        let message =
                            format!("{name} lets `{path}` pass when `*` in `{glob}` would have to match a `/`");
                        let help = format!("write `{}` if it should match at any depth", glob.replace('*', "**"));
                        self.add(Diagnostic::new(Code::GlobStopsAtSlash, message).at(span, "").help(help));
                    }
                    if matcher.tests.iter().any(|t| matches!(t, Test::Each(_))) {
                        let message = format!("{name} denies only when every element of `{path}` matches");
                        let help = "one other element is enough to pass: use `any` in place of `each`";
                        self.add(Diagnostic::new(Code::DenyNeedsEvery, message).at(span, "").help(help));
                    }
                }
            }
        }
    }

    fn rule_span(&self, deny: usize, pattern: &ItemPattern, path: &ArgPath) -> Span {
        let spans = self.loaded.spans.denies.get(deny);
        let rule = spans.and_then(|s| s.args.iter().find(|(p, at, _)| p == pattern && at == path));
        rule.map_or_else(|| self.deny_span(deny), |(.., span)| *span)
    }

    /// Wildcards in grants that cover an item which was given its own lifetime or audit class.
    pub(super) fn risky_wildcards(&mut self) {
        for (number, grant) in self.view.set.grants.iter().enumerate() {
            let wild: Vec<&ItemPattern> = grant.items.iter().filter(|p| !p.is_literal()).collect();
            if wild.is_empty() || !grant.is_live(self.now()) {
                continue;
            }
            for (server, kind, name, declared) in self.view.set.items() {
                let risky = declared.token_ttl.is_some() || declared.audit.is_some();
                let place = Place::new(server, kind, name);
                let item = place.item();
                let Some(pattern) = wild.iter().find(|p| risky && p.matches(server, &item)) else { continue };
                if is_named(grant, server, &item) {
                    continue;
                }
                let own = if declared.token_ttl.is_some() { "`token_ttl`" } else { "audit class" };
                let message = format!("`{pattern}` gives `{place}`, which has its own {own}, without naming it");
                let spans = self.loaded.spans.grants.get(number);
                let written = spans.and_then(|s| s.items.iter().find(|(p, _)| p == *pattern));
                let span = written.map_or_else(|| self.grant_span(number), |(_, span)| *span);
                let problem = Diagnostic::new(Code::RiskyWildcard, message)
                    .at(span, "")
                    .also(self.span_of(&place), "declared here")
                    .help(format!("add `{place}` to the list if it is meant, or narrow the pattern if it is not"));
                self.add(problem);
            }
        }
    }
}

/// Whether a grant names an item in so many words, in its list or in its argument rules.
fn is_named(grant: &Statement, server: &str, item: &str) -> bool {
    let patterns = grant.items.iter().chain(grant.args.iter().map(|(pattern, _)| pattern));
    patterns.filter(|p| p.is_literal()).any(|p| p.matches(server, item))
}

/// A glob in which a `*` stops at a slash.
fn single_star(matcher: &Matcher) -> Option<&str> {
    matcher.tests.iter().find_map(|test| match test {
        Test::Glob(globs) => globs.iter().map(PathGlob::as_str).find(|text| has_single_star(text)),
        Test::Any(inner) => single_star(inner),
        _ => None,
    })
}

fn has_single_star(text: &str) -> bool {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => _ = chars.next(),
            '*' => {
                let mut stars = 1;
                while chars.next_if_eq(&'*').is_some() {
                    stars += 1;
                }
                if stars == 1 {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}
