//! One recorded request and what is known of it.
//!
//! Every field that a policy may ask about is present, absent, redacted, truncated or not recorded,
//! and says which; only `Present` and `Absent` are knowledge. There is no field for a token.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::foreign::Foreign;
use super::observed::Observed;
use super::strict::present_object;
use crate::model::{
    Action, Arguments, Claim, Context, Effect, Fact, Reason, Request, Resource, ResourceKind, RuleKind, Strings,
    Subject, Timestamp, Token, Withheld, WithheldBecause,
};

/// The name and version of the format, in the first line of each recording.
pub const SCHEMA: &str = "doorward.recording/v1";

/// What a recording says of one field.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Field<T> {
    /// The value was recorded.
    Present(T),
    /// It was recorded that there is no value.
    Absent,
    /// There was a value and it was removed because it is secret or personal.
    Redacted,
    /// There was a value and it was too long to keep.
    Truncated,
    /// The recorder does not keep this field.
    #[default]
    NotRecorded,
}

impl<T> Field<T> {
    /// The value, if it was recorded.
    pub fn present(&self) -> Option<&T> {
        match self {
            Self::Present(value) => Some(value),
            _ => None,
        }
    }

    /// What can be known from the recording.
    pub fn fact(&self) -> Fact<&T> {
        match self {
            Self::Present(value) => Fact::Known(value),
            Self::Absent => Fact::Absent,
            Self::Redacted | Self::Truncated | Self::NotRecorded => Fact::Unknown,
        }
    }
}

/// The first line of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// What wrote it, with its version.
    pub recorder: String,
    /// The digest of the policy in force when the recording began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What a reader should know of where the events come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl Header {
    /// The header of a recording by `recorder`.
    pub fn new(recorder: impl Into<String>) -> Self {
        Self { schema: SCHEMA.to_owned(), recorder: recorder.into(), policy: None, note: None }
    }
}

/// One recorded request.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it was judged.
    pub time: Timestamp,
    /// The identifier under which the audit log knows it.
    pub id: Field<String>,
    /// The server, by its name in the policy.
    pub door: String,
    /// The protocol revision spoken.
    pub era: Field<String>,
    /// The JSON-RPC method as received.
    pub method: String,
    /// What kind of thing it reaches.
    pub kind: ResourceKind,
    /// The tool or prompt, the URI of a resource, empty for the server itself.
    pub name: String,
    /// The arguments, of which parts may be withheld.
    pub arguments: Field<Map<String, Value>>,
    /// The places in present arguments whose true value is not there.
    pub withheld: Vec<Withheld>,
    /// Who asked.
    pub subject: Identity,
    /// Facts of the verified token.
    pub token: TokenFacts,
    /// The session it belongs to.
    pub session: Field<String>,
    /// What doorward decided then.
    pub decided: Option<Decided>,
    /// What another system decided then. Never there beside `decided`.
    pub foreign: Option<Foreign>,
}

/// The verified identity behind an event.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The issuer, by its name in the policy.
    pub issuer: Field<String>,
    /// The `sub` claim.
    pub sub: Field<String>,
    /// The client that acted.
    pub agent: Field<String>,
    /// Group names.
    pub groups: Field<Vec<String>>,
    /// Further mapped claims with their values.
    pub claims: Field<BTreeMap<String, Vec<String>>>,
}

/// What a verified token said. Never the token.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TokenFacts {
    /// `aud`
    pub aud: Field<Vec<String>>,
    /// `scope`, split at spaces.
    pub scopes: Field<Vec<String>>,
    /// `iat`
    pub iat: Field<Timestamp>,
    /// `exp`
    pub exp: Field<Timestamp>,
    /// `nbf`
    pub nbf: Field<Timestamp>,
}

/// The decision that was made when the event was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    /// Allow or deny.
    pub effect: Effect,
    /// The reason that was given.
    pub reason: Reason,
    /// The statement that decided, where one did.
    #[serde(default, deserialize_with = "present_object", skip_serializing_if = "Option::is_none")]
    pub rule: Option<DecidedRule>,
    /// The digest of the policy that decided.
    pub digest: String,
}

/// The statement behind a recorded decision.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecidedRule {
    /// What kind of statement.
    pub kind: RuleKind,
    /// Its name.
    pub name: String,
}

/// What stands for arguments of which nothing was kept.
pub(super) static ALL_WITHHELD: [Withheld; 1] =
    [Withheld { pointer: String::new(), because: WithheldBecause::NotRecorded }];

impl Event {
    /// An event of which nothing is known but what was asked.
    pub fn new(time: Timestamp, door: impl Into<String>, action: Action, name: impl Into<String>) -> Self {
        Self {
            time,
            id: Field::NotRecorded,
            door: door.into(),
            era: Field::NotRecorded,
            method: action.method().to_owned(),
            kind: only_kind(action).unwrap_or(ResourceKind::Server),
            name: name.into(),
            arguments: Field::NotRecorded,
            withheld: Vec::new(),
            subject: Identity::default(),
            token: TokenFacts::default(),
            session: Field::NotRecorded,
            decided: None,
            foreign: None,
        }
    }

    /// The claims as a request takes them. Empty, and without an allocation, when there are none.
    pub fn claims(&self) -> Vec<Claim<'_>> {
        self.subject.claims.present().map_or_else(Vec::new, |claims| {
            claims.iter().map(|(name, values)| Claim { name, values: values.into() }).collect()
        })
    }

    /// The event as a rehearsal sees it. `claims` is what [`Event::claims`] gives.
    pub fn observe<'a>(&'a self, claims: &'a [Claim<'a>]) -> Observed<'a> {
        Observed {
            request: self.request(claims),
            id: text(&self.id),
            session: text(&self.session),
            decided: self.decided.as_ref(),
            foreign: self.foreign.as_ref(),
            numbers: None,
        }
    }

    /// The request that was made, as far as it is known. `claims` is what [`Event::claims`] gives.
    pub fn request<'a>(&'a self, claims: &'a [Claim<'a>]) -> Request<'a> {
        Request {
            subject: Subject {
                issuer: text(&self.subject.issuer),
                id: text(&self.subject.sub),
                agent: text(&self.subject.agent),
                groups: list(&self.subject.groups),
                claims: self.subject.claims.fact().map(|_| claims),
            },
            action: Action::from_method(&self.method),
            resource: Resource { door: &self.door, kind: self.kind, name: &self.name },
            context: Context {
                now: self.time,
                token: Token {
                    audience: list(&self.token.aud),
                    scopes: list(&self.token.scopes),
                    issued_at: self.token.iat.fact().map(|t| *t),
                    expires_at: self.token.exp.fact().map(|t| *t),
                    not_before: self.token.nbf.fact().map(|t| *t),
                },
                arguments: match &self.arguments {
                    Field::Present(object) => Arguments { object: Some(object), withheld: &self.withheld },
                    Field::Absent => Arguments::NONE,
                    Field::Redacted | Field::Truncated | Field::NotRecorded => {
                        Arguments { object: None, withheld: &ALL_WITHHELD }
                    }
                },
            },
        }
    }
}

/// The kind that a method reaches, when there is no other.
pub(super) fn only_kind(action: Action) -> Option<ResourceKind> {
    match action.reaches() {
        [kind] => Some(*kind),
        _ => None,
    }
}

fn text(field: &Field<String>) -> Fact<&str> {
    field.fact().map(String::as_str)
}

fn list(field: &Field<Vec<String>>) -> Fact<Strings<'_>> {
    field.fact().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_recorded_is_known() {
        let mut event = Event::new(Timestamp(7), "tickets", Action::ToolsCall, "search");
        event.subject.issuer = Field::Present("corp".into());
        event.subject.agent = Field::Absent;
        event.subject.groups = Field::Redacted;
        event.token.scopes = Field::Truncated;
        let claims = event.claims();
        let request = event.request(&claims);
        assert_eq!(request.subject.issuer, Fact::Known("corp"));
        assert_eq!(request.subject.agent, Fact::Absent);
        assert!(request.subject.groups.is_unknown() && request.context.token.scopes.is_unknown());
        assert!(request.subject.id.is_unknown() && request.subject.claims.is_unknown());
        assert_eq!(request.context.arguments.withheld.first().map(|w| w.pointer.as_str()), Some(""));
    }

    #[test]
    fn a_call_without_arguments_is_not_one_with_unknown_arguments() {
        let mut event = Event::new(Timestamp(7), "tickets", Action::ToolsCall, "search");
        event.arguments = Field::Absent;
        assert!(event.request(&[]).context.arguments.withheld.is_empty());
    }
}
