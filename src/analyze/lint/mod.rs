//! Warnings about policies that are legal and probably do not say what their author meant.
//!
//! A warning that rests on "no request" has been proved for all requests from `now` on. What could
//! not be proved within the limits is said to be open, and never warned about as if it were so.

mod conditions;
mod reach;
mod redacted;
mod unused;
mod words;

use std::collections::BTreeSet;

use super::place::Place;
use super::view::View;
use super::{Limit, Options};
use crate::diagnostics::{Code, Diagnostic, Span, sort};
use crate::model::{ResourceKind, Timestamp};
use crate::policy::LoadedPolicy;

/// The most steps for one item: lints run at every check.
const STEPS: u64 = 20_000_000;

/// So many items without an answer, and analysis gives up on the rest.
const MOST_LIMITS: usize = 10;

/// Everything that looks wrong in a policy, sorted. Invariants are asked about by
/// [`super::check_invariants`].
pub fn lint(loaded: &LoadedPolicy, now: Timestamp) -> Vec<Diagnostic> {
    let mut lint = Lint {
        loaded,
        view: View::new(&loaded.compiled),
        options: Options { from: Some(now), steps: STEPS },
        found: Vec::new(),
        limits: 0,
        unmet: BTreeSet::new(),
        unmet_places: BTreeSet::new(),
    };
    lint.expired();
    lint.empty_tests();
    lint.any_issuer();
    lint.similar_groups();
    lint.weak_denies();
    lint.risky_wildcards();
    lint.redacted();
    lint.unused();
    lint.conditions();
    lint.reach();
    sort(&mut lint.found);
    lint.found
}

struct Lint<'p> {
    loaded: &'p LoadedPolicy,
    view: View<'p>,
    options: Options,
    found: Vec<Diagnostic>,
    /// How many questions had no answer.
    limits: usize,
    /// Grants and items of which the argument rules have been reported.
    unmet: BTreeSet<usize>,
    unmet_places: BTreeSet<Place>,
}

impl Lint<'_> {
    fn add(&mut self, problem: Diagnostic) {
        self.found.push(problem);
    }

    fn now(&self) -> Timestamp {
        self.options.from.unwrap_or_default()
    }

    /// Notes that a question about an item has no answer.
    fn open(&mut self, what: &str, place: &Place, limit: &Limit) {
        self.limits += 1;
        let problem = Diagnostic::new(Code::AnalysisLimit, format!("{what} for `{place}`: {limit}"))
            .at(self.span_of(place), "")
            .help("split the statements about it, or use fewer wildcards in them");
        self.add(problem);
    }

    fn gave_up(&self) -> bool {
        self.limits >= MOST_LIMITS
    }

    fn span_of(&self, place: &Place) -> Span {
        let spans = &self.loaded.spans;
        let found = match place.kind {
            ResourceKind::Server => spans.servers.get(&place.server),
            kind => spans.items.get(&(place.server.as_str().into(), kind, place.name.as_str().into())),
        };
        found.copied().unwrap_or_default()
    }

    fn grant_span(&self, number: usize) -> Span {
        self.loaded.spans.grants.get(number).map(|s| s.head).unwrap_or_default()
    }

    fn deny_span(&self, number: usize) -> Span {
        self.loaded.spans.denies.get(number).map(|s| s.head).unwrap_or_default()
    }
}

/// The kind and name of a statement; only the kind when it has no name.
fn called(kind: &str, name: Option<&str>) -> String {
    name.map_or_else(|| format!("the {kind}"), |name| format!("{kind} `{name}`"))
}

#[cfg(test)]
mod tests;
