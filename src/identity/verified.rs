//! What a verified token says. Never the token.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::model::{Claim, Fact, Subject, Timestamp, Token};

/// The facts of a token whose signature holds. Only [`super::Unverified::verify`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Verified {
    pub(super) issuer: String,
    pub(super) subject: String,
    pub(super) agent: Fact<String>,
    pub(super) actors: Vec<String>,
    pub(super) groups: Fact<Vec<String>>,
    pub(super) claims: Fact<BTreeMap<String, Vec<String>>>,
    pub(super) audience: Option<Vec<String>>,
    pub(super) scopes: Option<Vec<String>>,
    pub(super) issued_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    pub(super) not_before: Option<Timestamp>,
    pub(super) id: Option<String>,
    pub(super) beside: Beside,
}

/// What is kept beside the facts. It is made of them, so it makes no two facts differ.
#[derive(Default)]
pub(super) struct Beside(OnceLock<Arc<dyn Any + Send + Sync>>);

impl Clone for Beside {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Beside {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Beside {}

impl fmt::Debug for Verified {
    /// The issuer only: the rest may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verified").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Verified {
    /// Facts without a token.
    #[cfg(test)]
    pub(super) fn of(issuer: &str, subject: &str, expires_at: Option<Timestamp>) -> Self {
        Self {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            agent: Fact::Absent,
            actors: Vec::new(),
            groups: Fact::Absent,
            claims: Fact::Absent,
            audience: None,
            scopes: None,
            issued_at: None,
            expires_at,
            not_before: None,
            id: None,
            beside: Beside::default(),
        }
    }

    /// The issuer, by its name in the policy.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The `sub` claim.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The actors of a delegated token (RFC 8693 section 4.1), the current one first.
    pub fn actors(&self) -> &[String] {
        &self.actors
    }

    /// When the token ends; nothing must be remembered of it for longer.
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// The scopes of the token; none where it has no such claim.
    pub fn scopes(&self) -> &[String] {
        self.scopes.as_deref().unwrap_or_default()
    }

    /// The `jti` claim.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// What somebody makes of the facts, made once for as long as they are remembered. It is to take no more memory
    /// than they do: their size counts twice.
    pub fn beside<T: Send + Sync + 'static>(&self, make: impl Fn() -> T) -> Arc<T> {
        let kept = self.beside.0.get_or_init(|| Arc::new(make()));
        Arc::clone(kept).downcast().unwrap_or_else(|_| Arc::new(make()))
    }

    /// About how many bytes the facts take, and what is kept beside them.
    pub(super) fn size(&self) -> usize {
        2 * self.facts_size()
    }

    fn facts_size(&self) -> usize {
        let of = |list: &[String]| list.iter().map(|text| text.len() + size_of::<String>()).sum::<usize>();
        let list = |list: &Option<Vec<String>>| list.as_deref().map_or(0, of);
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let claims = self.claims.as_ref().known().into_iter().flatten();
        let claims = claims.map(|(name, values)| name.len() + of(values) + 64).sum::<usize>();
        size_of::<Self>()
            + self.issuer.len()
            + self.subject.len()
            + self.agent.as_ref().known().map_or(0, String::len)
            + text(&self.id)
            + of(&self.actors)
            + self.groups.as_ref().known().map_or(0, |groups| of(groups))
            + list(&self.audience)
            + list(&self.scopes)
            + claims
    }

    /// The mapped claims, as [`Verified::facts`] takes them.
    pub fn claims(&self) -> Vec<Claim<'_>> {
        let claims = self.claims.as_ref().known().into_iter().flatten();
        claims.map(|(name, values)| Claim { name, values: values.into() }).collect()
    }

    /// The facts as a request takes them. `claims` is what [`Verified::claims`] gives.
    pub fn facts<'a>(&'a self, claims: &'a [Claim<'a>]) -> (Subject<'a>, Token<'a>) {
        let time = |time: Option<Timestamp>| time.map_or(Fact::Absent, Fact::Known);
        let list = |list: &'a Option<Vec<String>>| list.as_ref().map_or(Fact::Absent, |list| Fact::Known(list.into()));
        let subject = Subject {
            issuer: Fact::Known(&self.issuer),
            id: Fact::Known(&self.subject),
            agent: self.agent.as_ref().map(String::as_str),
            groups: self.groups.as_ref().map(Into::into),
            claims: match &self.claims {
                Fact::Unknown => Fact::Unknown,
                _ if claims.is_empty() => Fact::Absent,
                _ => Fact::Known(claims),
            },
        };
        let token = Token {
            audience: list(&self.audience),
            scopes: list(&self.scopes),
            issued_at: time(self.issued_at),
            expires_at: time(self.expires_at),
            not_before: time(self.not_before),
        };
        (subject, token)
    }
}
