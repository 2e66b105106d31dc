//! Facts of the token: whose it is, for which door, and how old.
//!
//! Times are compared as whole seconds. `exp` gets no leeway; `clock_skew` only forgives an `iat`
//! or `nbf` that lies a little in the future.

use crate::model::{Fact, FactSet, Reason, Request, Rule, RuleKind, Timestamp};
use crate::policy::{Door, Index, IssuerEntry, Target};

use super::evaluate::Checks;

/// What of the policy the token is held against.
#[derive(Clone, Copy)]
pub(super) struct Standard<'p> {
    pub(super) index: &'p Index,
    pub(super) door: &'p Door,
    /// The issuer's entry, where the issuer is known and declared.
    pub(super) issuer: Fact<&'p IssuerEntry>,
    /// The shortest `token_ttl` of everything that names the resource, with what says so.
    pub(super) ttl: Option<(u32, Rule<'p>)>,
}

/// One check of the token.
pub(super) type TokenCheck = for<'p> fn(&Standard<'p>, &Request<'_>, &mut Checks<'p>);

/// The checks with the reason that each gives, in order.
pub(super) const CHECKS: [(Reason, TokenCheck); 6] = [
    (Reason::Issuer, issuer),
    (Reason::Audience, audience),
    (Reason::TokenExpired, expired),
    (Reason::TokenNotYetValid, not_yet_valid),
    (Reason::TokenLifetime, lifetime),
    (Reason::TokenStale, stale),
];

/// Holds the token against the policy.
pub(super) fn check<'p>(standard: &Standard<'p>, request: &Request<'_>, checks: &mut Checks<'p>) {
    for (_, check) in CHECKS {
        check(standard, request, checks);
    }
}

fn issuer<'p>(standard: &Standard<'p>, _: &Request<'_>, checks: &mut Checks<'p>) {
    match standard.issuer {
        Fact::Known(entry) => {
            let accepted = standard.index.accepted(standard.door).is_none_or(|list| list.contains(&entry.number));
            if !accepted {
                checks.fail(Reason::Issuer, Some(server_rule(standard.index, standard.door)));
            }
        }
        Fact::Absent => checks.fail(Reason::Issuer, None),
        Fact::Unknown => checks.lack(FactSet::ISSUER),
    }
}

pub(super) fn audience<'p>(standard: &Standard<'p>, request: &Request<'_>, checks: &mut Checks<'p>) {
    let accepted = match (standard.issuer, request.context.token.audience) {
        // An issuer that is not declared has failed already.
        (Fact::Absent, _) => return,
        (_, Fact::Absent) => false,
        (Fact::Unknown, _) => return checks.lack(FactSet::ISSUER),
        (_, Fact::Unknown) => return checks.lack(FactSet::AUDIENCE),
        (Fact::Known(issuer), Fact::Known(audience)) if issuer.audiences.is_empty() => {
            audience.contains(standard.index.text(standard.door.resource))
        }
        (Fact::Known(issuer), Fact::Known(audience)) => issuer.audiences.iter().any(|a| audience.contains(a)),
    };
    if !accepted {
        checks.fail(Reason::Audience, Some(server_rule(standard.index, standard.door)));
    }
}

fn expired<'p>(_: &Standard<'p>, request: &Request<'_>, checks: &mut Checks<'p>) {
    match request.context.token.expires_at {
        Fact::Known(expires) if request.context.now < expires => {}
        Fact::Known(_) | Fact::Absent => checks.fail(Reason::TokenExpired, None),
        Fact::Unknown => checks.lack(FactSet::EXPIRES_AT),
    }
}

fn stale<'p>(standard: &Standard<'p>, request: &Request<'_>, checks: &mut Checks<'p>) {
    let Some((ttl, rule)) = standard.ttl else { return };
    match request.context.token.issued_at {
        Fact::Known(issued) if request.context.now < issued.plus(i64::from(ttl)) => {}
        Fact::Known(_) | Fact::Absent => checks.fail(Reason::TokenStale, Some(rule)),
        Fact::Unknown => checks.lack(FactSet::ISSUED_AT),
    }
}

fn not_yet_valid<'p>(standard: &Standard<'p>, request: &Request<'_>, checks: &mut Checks<'p>) {
    let (token, now) = (&request.context.token, request.context.now);
    let future = |at: Timestamp, skew: u32| at > now.plus(i64::from(skew));
    for (at, fact) in [(token.not_before, FactSet::NOT_BEFORE), (token.issued_at, FactSet::ISSUED_AT)] {
        match (at, standard.issuer) {
            (Fact::Known(at), Fact::Known(issuer)) if future(at, issuer.clock_skew) => {
                return checks.fail(Reason::TokenNotYetValid, None);
            }
            (Fact::Known(at), Fact::Unknown) if future(at, 0) => checks.lack(FactSet::ISSUER),
            (Fact::Unknown, _) => checks.lack(fact),
            _ => {}
        }
    }
}

fn lifetime<'p>(standard: &Standard<'p>, request: &Request<'_>, checks: &mut Checks<'p>) {
    let token = &request.context.token;
    match (token.issued_at, token.expires_at, standard.issuer) {
        // A token that does not say when it was issued has no bounded life.
        (Fact::Absent, ..) => checks.fail(Reason::TokenLifetime, None),
        (Fact::Known(issued), Fact::Known(expires), Fact::Known(issuer))
            if expires.since(issued) > i64::from(issuer.max_lifetime) =>
        {
            let rule = Rule { kind: RuleKind::Issuer, name: &issuer.name, position: &issuer.position };
            checks.fail(Reason::TokenLifetime, Some(rule));
        }
        // Whatever is unknown here has been noted by an earlier check.
        _ => {}
    }
}

pub(super) fn server_rule<'p>(index: &'p Index, door: &'p Door) -> Rule<'p> {
    Rule { kind: RuleKind::Server, name: index.text(door.name), position: &door.position }
}

pub(super) fn target_rule<'p>(index: &'p Index, target: &'p Target) -> Rule<'p> {
    Rule { kind: RuleKind::Item, name: index.text(target.reference), position: &target.position }
}

/// The shorter of two lifetimes; of equals the first.
pub(super) fn shorter<'p>(a: Option<(u32, Rule<'p>)>, b: Option<(u32, Rule<'p>)>) -> Option<(u32, Rule<'p>)> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.0 < a.0 { b } else { a }),
        (a, b) => a.or(b),
    }
}
