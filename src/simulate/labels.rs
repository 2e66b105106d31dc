//! How subjects, agents and items are called in a report.
//!
//! What is not known and what is absent are told apart, and never taken for a name.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Fact, Request, ResourceKind, Strings, Subject, Timestamp};

/// A fact as text: its value, `(none)` or `(unknown)`.
pub(super) fn shown(fact: Fact<&str>) -> &str {
    match fact {
        Fact::Known(text) => text,
        Fact::Absent => "(none)",
        Fact::Unknown => "(unknown)",
    }
}

/// A hash of two texts by FNV-1a with a final mix: the same on every machine and in every build.
pub(super) fn rank(first: &str, second: &str) -> u64 {
    let bytes = first.bytes().chain([0xff]).chain(second.bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}

/// `issuer/sub`, so that one `sub` of two issuers is two subjects.
pub(super) fn write_subject(label: &mut String, subject: &Subject<'_>) {
    label.clear();
    match (subject.issuer, subject.id) {
        (Fact::Known(issuer), Fact::Known(sub)) => {
            label.push_str(issuer);
            label.push('/');
            label.push_str(sub);
        }
        (Fact::Unknown, Fact::Unknown) => label.push_str("(unknown)"),
        (issuer, sub) => {
            label.push_str(shown(issuer));
            label.push('/');
            label.push_str(shown(sub));
        }
    }
}

/// The groups that a subject is in.
pub(super) fn roles(subject: &Subject<'_>) -> Arc<[Arc<str>]> {
    let groups = subject.groups.known().map(Strings::iter);
    names(groups.into_iter().flatten()).unwrap_or_else(|| {
        let none = if subject.groups.is_unknown() { Fact::Unknown } else { Fact::Absent };
        Arc::from([Arc::from(shown(none))])
    })
}

/// The values of the claim that the policy calls `tenant`; without one, who issued the token.
pub(super) fn tenants(subject: &Subject<'_>) -> Arc<[Arc<str>]> {
    let claims = subject.claims.known().into_iter().flatten().filter(|claim| claim.name == "tenant");
    names(claims.flat_map(|claim| claim.values.iter())).unwrap_or_else(|| {
        let issuer = || format!("issuer {}", shown(subject.issuer));
        Arc::from([if subject.claims.is_unknown() { Arc::from(shown(Fact::Unknown)) } else { Arc::from(issuer()) }])
    })
}

/// Each once, in their order; `None` when there is none.
fn names<'a>(names: impl Iterator<Item = &'a str>) -> Option<Arc<[Arc<str>]>> {
    let names: BTreeSet<&str> = names.collect();
    (!names.is_empty()).then(|| names.into_iter().map(Arc::from).collect())
}

/// `door:tool`, `door:prompt:NAME`, `door:resource:URI`; of the server itself `door: method`.
pub(super) fn write_item(label: &mut String, request: &Request<'_>) {
    label.clear();
    let resource = &request.resource;
    label.push_str(resource.door);
    label.push_str(match resource.kind {
        ResourceKind::Server => ": ",
        ResourceKind::Tool => ":",
        ResourceKind::Prompt => ":prompt:",
        ResourceKind::Resource => ":resource:",
    });
    label.push_str(if resource.kind == ResourceKind::Server { request.action.method() } else { resource.name });
}

/// The hour of an instant, as `2026-03-02T13Z`.
pub(super) fn hour(time: Timestamp) -> String {
    let mut text = time.to_string();
    // `2026-03-02T13:05:00Z` up to the first colon.
    text.truncate(text.find(':').unwrap_or(text.len()));
    text.push('Z');
    text
}
