//! Whom a statement is about: a selector against a subject.

use super::truth::Truth;
use crate::model::{Fact, FactSet, Strings, Subject};
use crate::policy::Index;
use crate::policy::glob::NameGlob;
use crate::policy::set::Selector;

/// The server that the subject is, as far as that is known.
pub(super) fn caller<'p>(index: &'p Index, subject: &Subject<'_>) -> Fact<&'p str> {
    if !index.has_identities() {
        return Fact::Absent;
    }
    match (subject.issuer, subject.id) {
        (Fact::Known(issuer), Fact::Known(id)) => index.server_of(issuer, id).map_or(Fact::Absent, Fact::Known),
        (Fact::Absent, _) | (_, Fact::Absent) => Fact::Absent,
        _ => Fact::Unknown,
    }
}

/// Whether a selector is about a subject.
pub(super) fn selects<'p>(selector: &Selector, subject: &Subject<'_>, caller: Fact<&str>) -> Truth<'p> {
    let mut truth = Truth::Yes;
    if !selector.issuers.is_empty() {
        truth = truth.and(one(subject.issuer, FactSet::ISSUER, |i| selector.issuers.iter().any(|name| name == i)));
    }
    if !selector.subjects.is_empty() {
        truth = truth.and(one(subject.id, FactSet::SUBJECT, |s| any(&selector.subjects, s)));
    }
    if !selector.agents.is_empty() {
        truth = truth.and(one(subject.agent, FactSet::AGENT, |a| any(&selector.agents, a)));
    }
    if !selector.groups.is_empty() {
        let holds = |groups: Strings<'_>| groups.iter().any(|group| any(&selector.groups, group));
        truth = truth.and(one(subject.groups, FactSet::GROUPS, holds));
    }
    for (name, wanted) in &selector.claims {
        truth = truth.and(one(subject.claims, FactSet::CLAIMS, |claims| {
            claims.iter().any(|c| c.name == name && c.values.iter().any(|v| any(wanted, v)))
        }));
    }
    if !selector.servers.is_empty() {
        let facts = FactSet::ISSUER.union(FactSet::SUBJECT);
        truth = truth.and(one(caller, facts, |server| selector.servers.iter().any(|name| name == server)));
    }
    truth
}

fn any(globs: &[NameGlob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

fn one<'p, T>(fact: Fact<T>, name: FactSet, holds: impl FnOnce(T) -> bool) -> Truth<'p> {
    match fact {
        Fact::Known(value) => holds(value).into(),
        Fact::Absent => Truth::No,
        Fact::Unknown => Truth::unknown(name),
    }
}
