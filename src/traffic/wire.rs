//! The JSON of one event as it is written. How it is read is in `incoming` and `lines`.
//!
//! Nothing is written for a field that is not there but the list that says why.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::event::{Decided, Event, only_kind};
use super::foreign::Foreign;
use super::pointer::{Lists, Optional};
use crate::model::{Action, ResourceKind, Timestamp};

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
