//! Declarations that no grant reaches.

use super::super::place::Place;
use super::Lint;
use crate::diagnostics::{Code, Diagnostic};
use crate::model::ResourceKind;
use crate::policy::set::item_name;

impl Lint<'_> {
    /// Whether a deny, an invariant or a test speaks of an item: then that nobody has it is no
    /// oversight.
    fn is_named_elsewhere(&self, server: &str, item: &str) -> bool {
        let checks = &self.loaded.checks;
        let of_invariants = checks.invariants.iter().flat_map(|i| &i.never);
        let of_tests = checks.tests.iter().flat_map(|t| &t.deny).map(|e| &e.call);
        self.view.set.denies.iter().any(|d| d.covers(server, item))
            || of_invariants.chain(of_tests).any(|p| p.matches(server, item))
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
                reached.push((server, item.into_owned()));
                continue;
            }
            if self.is_named_elsewhere(server, &item) {
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
