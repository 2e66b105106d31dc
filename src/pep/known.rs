//! What is known of a caller from its token alone: made once a token, and shared by its requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::guard::Rules;
use super::principal::Principal;
use crate::audit::{self, Asker, Who};
use crate::identity::Verified;
use crate::model::{Action, Fact, Strings, Timestamp};
use crate::traffic::{Event, Field};

/// Whom a token is about, as rows and their events say it.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) principal: Principal,
    pub(super) who: Arc<Who>,
    pub(super) asker: Asker,
}

impl Known {
    /// What is kept beside the facts of a token, if whoever vouches for it is still the same.
    pub(super) fn of(verified: &Verified, rules: &Rules) -> Arc<Self> {
        let voucher = rules.voucher(verified.issuer()).cloned().unwrap_or_else(|| "".into());
        let known = verified.beside(|| Self::new(verified, Arc::clone(&voucher)));
        if *known.principal.voucher() == *voucher { known } else { Arc::new(Self::new(verified, voucher)) }
    }

    fn new(verified: &Verified, voucher: Arc<str>) -> Self {
        let principal = Principal::of(verified, voucher);
        let who = Who {
            issuer: principal.issuer().into(),
            subject: principal.subject().into(),
            agent: principal.agent().map(Into::into),
            actors: verified.actors().to_vec(),
            scopes: verified.scopes().to_vec(),
            token: verified.id().map(|id| audit::digest(id.as_bytes())),
        };
        Self { asker: asker(verified), principal, who: Arc::new(who) }
    }
}

/// Who asks and what the token says, without the secrets that can be known.
fn asker(verified: &Verified) -> Asker {
    let claims = verified.claims();
    let (subject, token) = verified.facts(&claims);
    // Nothing but these two parts of it is taken.
    let mut event = Event::new(Timestamp(0), "", Action::Ping, "");
    event.subject.issuer = field(subject.issuer, str::to_owned);
    event.subject.sub = field(subject.id, str::to_owned);
    event.subject.agent = field(subject.agent, str::to_owned);
    event.subject.groups = field(subject.groups, list);
    event.subject.claims = field(subject.claims, |claims| {
        let claims = claims.iter().map(|claim| (claim.name.to_owned(), list(claim.values)));
        claims.collect::<BTreeMap<_, _>>()
    });
    event.token.aud = field(token.audience, list);
    event.token.scopes = field(token.scopes, list);
    event.token.iat = field(token.issued_at, |time| time);
    event.token.exp = field(token.expires_at, |time| time);
    event.token.nbf = field(token.not_before, |time| time);
    // It fails only for a method or a name.
    let _ = event.redact();
    Asker::of(&event)
}

fn list(strings: Strings<'_>) -> Vec<String> {
    strings.iter().map(str::to_owned).collect()
}

fn field<T, U>(fact: Fact<T>, known: impl FnOnce(T) -> U) -> Field<U> {
    match fact {
        Fact::Known(value) => Field::Present(known(value)),
        Fact::Absent => Field::Absent,
        Fact::Unknown => Field::NotRecorded,
    }
}
