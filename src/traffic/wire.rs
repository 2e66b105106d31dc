//! The JSON of one event, and the way between it and [`Event`].
//!
//! A key that the format does not have is refused, never skipped: a reader that ignores a field
//! might miss the one that says what was withheld.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::event::{Decided, Event, Identity, TokenFacts, only_kind};
use super::foreign::Foreign;
use super::pointer::{Lists, Optional, Statuses, Why};
use super::strict::{StrictObject, object, present, present_object, string_lists};
use crate::model::{Action, ResourceKind, Timestamp};

/// The most values one field may list: pointers, groups, scopes, audiences.
const MAX_LIST: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventIn {
    time: Timestamp,
    #[serde(default, deserialize_with = "present")]
    id: Option<String>,
    door: String,
    #[serde(default, deserialize_with = "present")]
    era: Option<String>,
    method: String,
    #[serde(default, deserialize_with = "present")]
    kind: Option<ResourceKind>,
    #[serde(default, deserialize_with = "present")]
    name: Option<String>,
    #[serde(default, deserialize_with = "present")]
    arguments: Option<StrictObject>,
    #[serde(default, deserialize_with = "object")]
    subject: SubjectIn,
    #[serde(default, deserialize_with = "object")]
    token: TokenIn,
    #[serde(default, deserialize_with = "present")]
    session: Option<String>,
    #[serde(default, deserialize_with = "present_object")]
    decided: Option<Decided>,
    #[serde(default, deserialize_with = "present_object")]
    foreign: Option<Foreign>,
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    redacted: Vec<String>,
    #[serde(default)]
    truncated: Vec<String>,
    #[serde(default)]
    unrecorded: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectIn {
    #[serde(default, deserialize_with = "present")]
    issuer: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    agent: Option<String>,
    #[serde(default, deserialize_with = "present")]
    groups: Option<Vec<String>>,
    #[serde(default, deserialize_with = "string_lists")]
    claims: Option<BTreeMap<String, Vec<String>>>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenIn {
    #[serde(default, deserialize_with = "present")]
    aud: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    scopes: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present")]
    iat: Option<Timestamp>,
    #[serde(default, deserialize_with = "present")]
    exp: Option<Timestamp>,
    #[serde(default, deserialize_with = "present")]
    nbf: Option<Timestamp>,
}

impl EventIn {
    pub(super) fn into_event(self) -> Result<Event, String> {
        let lists = [
            (self.absent, Some(Why::Absent)),
            (self.redacted, Some(Why::Redacted)),
            (self.truncated, Some(Why::Truncated)),
            (self.unrecorded, None),
        ];
        let mut statuses = Statuses::default();
        for (list, why) in lists {
            if list.len() > MAX_LIST {
                return Err(format!("more than {MAX_LIST} pointers in one list"));
            }
            statuses.add(list, why)?;
        }
        let kind = kind_of(&self.method, self.kind)?;
        let name = match (kind, self.name) {
            (ResourceKind::Server, None) => String::new(),
            (ResourceKind::Server, Some(name)) if Action::from_method(&self.method) != Action::Unknown => {
                return Err(format!("`{}` reaches the server itself, which has no name such as `{name}`", self.method));
            }
            (_, Some(name)) => name,
            (_, None) => return Err(format!("`{}` reaches something with a name, and there is none", self.method)),
        };
        let arguments = statuses.join(Optional::Arguments, self.arguments.map(|a| a.0))?;
        if arguments.present().is_none() && !statuses.withheld.is_empty() {
            return Err("parts of arguments are listed as withheld and there are no arguments".to_owned());
        }
        if self.decided.is_some() && self.foreign.is_some() {
            return Err("`decided` and `foreign` exclude each other: one system decided".to_owned());
        }
        let (subject, token) = (self.subject, self.token);
        Ok(Event {
            time: self.time,
            id: statuses.join(Optional::Id, self.id)?,
            door: self.door,
            era: statuses.join(Optional::Era, self.era)?,
            method: self.method,
            kind,
            name,
            arguments,
            subject: Identity {
                issuer: statuses.join(Optional::Issuer, subject.issuer)?,
                sub: statuses.join(Optional::Sub, subject.sub)?,
                agent: statuses.join(Optional::Agent, subject.agent)?,
                groups: statuses.join(Optional::Groups, subject.groups)?,
                claims: statuses.join(Optional::Claims, subject.claims)?,
            },
            token: TokenFacts {
                aud: statuses.join(Optional::Aud, token.aud)?,
                scopes: statuses.join(Optional::Scopes, token.scopes)?,
                iat: statuses.join(Optional::Iat, token.iat)?,
                exp: statuses.join(Optional::Exp, token.exp)?,
                nbf: statuses.join(Optional::Nbf, token.nbf)?,
            },
            session: statuses.join(Optional::Session, self.session)?,
            decided: self.decided,
            foreign: self.foreign,
            withheld: statuses.withheld,
        })
    }
}

/// The kind is written only where the method leaves a choice.
fn kind_of(method: &str, written: Option<ResourceKind>) -> Result<ResourceKind, String> {
    let action = Action::from_method(method);
    match (action.reaches(), written) {
        ([], written) => Ok(written.unwrap_or(ResourceKind::Server)),
        ([only], None) => Ok(*only),
        (kinds, Some(kind)) if kinds.contains(&kind) => Ok(kind),
        (_, Some(_)) => Err(format!("`{method}` does not reach a thing of that `kind`")),
        (_, None) => Err(format!("`{method}` may reach several kinds of thing: say which in `kind`")),
    }
}

#[derive(Serialize)]
pub(super) struct EventOut<'a> {
    time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a String>,
    door: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    era: Option<&'a String>,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<ResourceKind>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "SubjectOut::is_empty")]
    subject: SubjectOut<'a>,
    #[serde(skip_serializing_if = "TokenOut::is_empty")]
    token: TokenOut<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<&'a Decided>,
    #[serde(skip_serializing_if = "Option::is_none")]
    foreign: Option<&'a Foreign>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    absent: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redacted: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    truncated: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unrecorded: Vec<String>,
}

#[derive(PartialEq, Default, Serialize)]
struct SubjectOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    groups: Option<&'a Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    claims: Option<&'a BTreeMap<String, Vec<String>>>,
}

impl SubjectOut<'_> {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(PartialEq, Default, Serialize)]
struct TokenOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<&'a Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<&'a Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<&'a Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<&'a Timestamp>,
}

impl TokenOut<'_> {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl<'a> From<&'a Event> for EventOut<'a> {
    fn from(event: &'a Event) -> Self {
        let mut lists = Lists::default();
        let (subject, token) = (&event.subject, &event.token);
        let out = Self {
            time: event.time,
            id: lists.split(Optional::Id, &event.id),
            door: &event.door,
            era: lists.split(Optional::Era, &event.era),
            method: &event.method,
            kind: (only_kind(Action::from_method(&event.method)) != Some(event.kind)).then_some(event.kind),
            name: (event.kind != ResourceKind::Server || !event.name.is_empty()).then_some(&event.name),
            arguments: lists.split(Optional::Arguments, &event.arguments),
            subject: SubjectOut {
                issuer: lists.split(Optional::Issuer, &subject.issuer),
                sub: lists.split(Optional::Sub, &subject.sub),
                agent: lists.split(Optional::Agent, &subject.agent),
                groups: lists.split(Optional::Groups, &subject.groups),
                claims: lists.split(Optional::Claims, &subject.claims),
            },
            token: TokenOut {
                aud: lists.split(Optional::Aud, &token.aud),
                scopes: lists.split(Optional::Scopes, &token.scopes),
                iat: lists.split(Optional::Iat, &token.iat),
                exp: lists.split(Optional::Exp, &token.exp),
                nbf: lists.split(Optional::Nbf, &token.nbf),
            },
            session: lists.split(Optional::Session, &event.session),
            decided: event.decided.as_ref(),
            foreign: event.foreign.as_ref(),
            absent: Vec::new(),
            redacted: Vec::new(),
            truncated: Vec::new(),
            unrecorded: Vec::new(),
        };
        lists.withhold(&event.withheld);
        Self {
            absent: lists.absent,
            redacted: lists.redacted,
            truncated: lists.truncated,
            unrecorded: lists.unrecorded,
            ..out
        }
    }
}
