//! From declared parts to a policy set: every reference followed, every list in its fixed order.
//!
//! Never changes what a policy means: what cannot be resolved is a problem, not a guess.

mod bundles;
mod canonical;
mod lifetimes;
mod names;

use super::checks::{Checks, Spans};
use super::document::Document;
use super::set::PolicySet;
use crate::diagnostics::Diagnostic;

/// A policy with what judges it and where it stands.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) set: PolicySet,
    pub(super) checks: Checks,
    pub(super) spans: Spans,
}

/// Follows every reference. Adds to the problems; the result means something only without errors.
pub(super) fn resolve(mut document: Document, problems: &mut Vec<Diagnostic>) -> Resolved {
    let index = names::Index::of(&document);
    let mut check = names::Check::new(&index, problems);
    check.everything(&document);
    let scopes = bundles::open(&document, &mut check);
    lifetimes::check(&document, problems);
    canonical::fill_tests(&mut document, problems);
    canonical::build(document, scopes)
}
