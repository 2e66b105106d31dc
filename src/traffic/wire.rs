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
            kind: states_kind(event).then_some(event.kind),
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

/// Whether the kind of an event is said: its method alone does not say it.
pub(crate) fn states_kind(event: &Event) -> bool {
    only_kind(Action::from_method(&event.method)) != Some(event.kind)
}

/// What of an event is not there, and why: absent, redacted, truncated and not recorded.
#[cfg(feature = "guard")]
pub(crate) fn missing(event: &Event) -> [Vec<String>; 4] {
    let EventOut { absent, redacted, truncated, unrecorded, .. } = EventOut::from(event);
    [absent, redacted, truncated, unrecorded]
}

/// One event as a row of columns: its times, and its texts in the order of their columns.
#[cfg(feature = "parquet")]
pub(super) struct Row {
    pub(super) numbers: [Option<i64>; 4],
    pub(super) texts: [Option<String>; 12],
}

#[cfg(feature = "parquet")]
impl Row {
    /// How many bytes of text it has.
    pub(super) fn size(&self) -> usize {
        self.texts.iter().flatten().map(String::len).sum()
    }
}

/// What was decided, as it stands in its column.
#[cfg(feature = "parquet")]
#[derive(Serialize)]
struct VerdictOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    decided: Option<&'a Decided>,
    #[serde(skip_serializing_if = "Option::is_none")]
    foreign: Option<&'a Foreign>,
}

/// The lists of what is missing, as they stand in their column.
#[cfg(feature = "parquet")]
#[derive(Serialize)]
struct MissingOut {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    absent: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    redacted: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    truncated: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unrecorded: Vec<String>,
}

/// Takes an event apart into a row.
#[cfg(feature = "parquet")]
pub(super) fn row(event: &Event) -> Result<Row, serde_json::Error> {
    let out = EventOut::from(event);
    let json = |there: bool, value: &dyn Fn() -> Result<String, serde_json::Error>| there.then(value).transpose();
    let (subject, verdict) = (out.subject, VerdictOut { decided: out.decided, foreign: out.foreign });
    let token = TokenOut { iat: None, exp: None, nbf: None, ..out.token };
    let missing =
        MissingOut { absent: out.absent, redacted: out.redacted, truncated: out.truncated, unrecorded: out.unrecorded };
    let lists = [&missing.absent, &missing.redacted, &missing.truncated, &missing.unrecorded];
    let time = |time: Option<&Timestamp>| time.map(|time| time.0);
    let kind = json(out.kind.is_some(), &|| serde_json::to_string(&out.kind))?;
    Ok(Row {
        numbers: [Some(out.time.0), time(out.token.iat), time(out.token.exp), time(out.token.nbf)],
        texts: [
            Some(out.door.to_owned()),
            Some(out.method.to_owned()),
            kind.map(|quoted| quoted.trim_matches('"').to_owned()),
            out.name.map(str::to_owned),
            json(!subject.is_empty(), &|| serde_json::to_string(&subject))?,
            json(!token.is_empty(), &|| serde_json::to_string(&token))?,
            out.session.cloned(),
            json(out.decided.is_some() || out.foreign.is_some(), &|| serde_json::to_string(&verdict))?,
            json(lists.iter().any(|list| !list.is_empty()), &|| serde_json::to_string(&missing))?,
            json(out.arguments.is_some(), &|| serde_json::to_string(&out.arguments))?,
            out.id.cloned(),
            out.era.cloned(),
        ],
    })
}
