//! Invariants that fail, and declarations that no grant reaches.

use super::super::place::Place;
use super::super::{check_invariants, wording};
use super::Lint;
use crate::diagnostics::{Code, Diagnostic};
use crate::model::ResourceKind;
use crate::policy::set::item_name;

impl Lint<'_> {
    pub(super) fn invariants(&mut self) {
        let invariants = &self.loaded.checks.invariants;
        let proof = check_invariants(&self.loaded.compiled, invariants, self.options);
        for violation in proof.violations {
            let Some(invariant) = invariants.get(violation.invariant) else { continue };
            let grant =
                super::called("grant", Some(&violation.grant.name).filter(|n| !n.is_empty()).map(String::as_str));
            let message = format!("invariant `{}` fails: {grant} allows `{}`", invariant.name, violation.place);
            let problem = Diagnostic::new(Code::InvariantFails, message)
                .at(invariant.span, "")
                .also(self.grant_span(violation.grant.number), "this grant allows it")
                .help(format!("for example {}", wording::witness(&violation.witness)));
            self.add(problem);
        }
        for (number, open) in proof.unanswered {
            let name = invariants.get(number).map_or("", |i| i.name.as_str());
            self.open(&format!("invariant `{name}` could not be proved"), &open.place, &open.limit);
        }
    }

    /// Items that no live grant covers, and bundles that carry no item that one covers.
    pub(super) fn unused(&mut self) {
        let now = self.now();
        let live: Vec<_> = self.view.set.grants.iter().filter(|g| g.is_live(now)).collect();
        if live.is_empty() {
            // A policy that gives nothing yet has nothing to say about what it does not give.
            return;
        }
        let mut reached: Vec<(&str, String)> = Vec::new();
        for (server, kind, name, _) in self.view.set.items() {
            let item = item_name(kind, name);
            if live.iter().any(|g| g.covers(server, &item)) {
                reached.push((server, item));
                continue;
            }
            let place = Place { server: server.to_owned(), kind, name: name.to_owned() };
            let what = match kind {
                ResourceKind::Prompt => "prompt",
                ResourceKind::Resource => "resource",
                ResourceKind::Tool | ResourceKind::Server => "tool",
            };
            let problem = Diagnostic::new(Code::UnusedScope, format!("no grant gives the {what} `{place}` to anyone"))
                .at(self.span_of(&place), "")
                .help("add it to a grant, or remove it: what is not declared is denied too");
            self.found.push(problem);
        }
        for (scope, patterns) in &self.view.set.scopes {
            let carries = |(server, item): &(&str, String)| patterns.iter().any(|p| p.matches(server, item));
            if !reached.iter().any(carries) {
                let span = self.loaded.spans.scopes.get(scope).copied().unwrap_or_default();
                let problem =
                    Diagnostic::new(Code::UnusedScope, format!("scope `{scope}` carries nothing that a grant gives"))
                        .at(span, "")
                        .help("add what it carries to a grant, or remove it");
                self.found.push(problem);
            }
        }
    }
}
