//! The JSON of one event as it is read: borrowed from the line, and strict.
//!
//! A key that the format does not have is refused, never skipped: a reader that ignores a field
//! might miss the one that says what was withheld. The parts that repeat from line to line stay
//! text here and are read by the functions of this module, once for each different text.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use super::event::Decided;
use super::foreign::Foreign;
use super::pointer::{Optional, Statuses, Why};
use super::strict::{object, present, string_lists};
use crate::model::{ResourceKind, Timestamp};

/// The most pointers one list may hold.
const MAX_LIST: usize = 10_000;

/// A string of the line, copied only where it holds an escape.
#[derive(Clone, Debug)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

/// One event as its line says it, before its parts are held against each other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventIn<'a> {
    pub(super) time: Timestamp,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) door: Text<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) era: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) method: Text<'a>,
    #[serde(default, deserialize_with = "present")]
    pub(super) kind: Option<ResourceKind>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) subject: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "object")]
    pub(super) token: TokenIn<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) session: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) decided: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) foreign: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) absent: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) redacted: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) truncated: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) unrecorded: Option<&'a RawValue>,
}

/// The facts of the token. Its times differ from line to line, its lists hardly.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenIn<'a> {
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) aud: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "raw")]
    pub(super) scopes: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "present")]
    pub(super) iat: Option<Timestamp>,
    #[serde(default, deserialize_with = "present")]
    pub(super) exp: Option<Timestamp>,
    #[serde(default, deserialize_with = "present")]
    pub(super) nbf: Option<Timestamp>,
}

/// Who asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubjectIn {
    #[serde(default, deserialize_with = "present")]
    pub(super) issuer: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) agent: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub(super) groups: Option<Vec<String>>,
    #[serde(default, deserialize_with = "string_lists")]
    pub(super) claims: Option<BTreeMap<String, Vec<String>>>,
}

/// Why a part of a line cannot be read.
#[derive(Debug)]
pub(super) enum Bad<'a> {
    /// The JSON of this part is not what it must be.
    Json(serde_json::Error, &'a str),
    /// The parts contradict each other.
    Rule(String),
}

impl From<String> for Bad<'_> {
    fn from(message: String) -> Self {
        Self::Rule(message)
    }
}

/// A value as it is written. `null` is a value here; whatever reads it refuses it.
fn raw<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A field that must be an object where it is there.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        object(deserializer).map(Self)
    }
}

fn part<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Bad<'a>> {
    serde_json::from_str(text).map_err(|error| Bad::Json(error, text))
}

pub(super) fn subject(text: Option<&str>) -> Result<SubjectIn, Bad<'_>> {
    text.map_or(Ok(SubjectIn::default()), |text| part::<Object<SubjectIn>>(text).map(|o| o.0))
}

/// The lists of a token.
#[derive(Clone, Debug, Default)]
pub(super) struct TokenLists {
    pub(super) aud: Option<Vec<String>>,
    pub(super) scopes: Option<Vec<String>>,
}

pub(super) fn token_lists([aud, scopes]: [Option<&str>; 2]) -> Result<TokenLists, Bad<'_>> {
    Ok(TokenLists { aud: aud.map(part).transpose()?, scopes: scopes.map(part).transpose()? })
}

/// What was decided, by doorward or by another system.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts {
    pub(super) decided: Option<Decided>,
    pub(super) foreign: Option<Foreign>,
}

pub(super) fn verdicts([decided, foreign]: [Option<&str>; 2]) -> Result<Verdicts, Bad<'_>> {
    let decided = decided.map(part::<Object<Decided>>).transpose()?.map(|o| o.0);
    let foreign = foreign.map(part::<Object<Foreign>>).transpose()?.map(|o| o.0);
    if decided.is_some() && foreign.is_some() {
        return Err(Bad::Rule("`decided` and `foreign` exclude each other: one system decided".to_owned()));
    }
    Ok(Verdicts { decided, foreign })
}

/// What of an event hardly repeats.
#[derive(Debug)]
pub(super) struct Own<'a> {
    pub(super) time: Timestamp,
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) door: Cow<'a, str>,
    pub(super) era: Option<Cow<'a, str>>,
    pub(super) method: Cow<'a, str>,
    pub(super) kind: Option<ResourceKind>,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) arguments: Option<&'a str>,
    pub(super) session: Option<Cow<'a, str>>,
    pub(super) iat: Option<Timestamp>,
    pub(super) exp: Option<Timestamp>,
    pub(super) nbf: Option<Timestamp>,
}

/// What of an event repeats from one to the next, as JSON.
#[derive(Debug)]
pub(super) struct Shared<'a> {
    /// The lists that say why a field is not there, in the order in which they are read.
    pub(super) lists: [Option<&'a str>; 4],
    pub(super) subject: Option<&'a str>,
    /// `aud` and `scopes`.
    pub(super) token: [Option<&'a str>; 2],
    /// `decided` and `foreign`.
    pub(super) verdicts: [Option<&'a str>; 2],
}

impl<'a> EventIn<'a> {
    /// The event in its two parts.
    pub(super) fn split(self) -> (Own<'a>, Shared<'a>) {
        let json = |raw: Option<&'a RawValue>| raw.map(RawValue::get);
        let text = |text: Option<Text<'a>>| text.map(|text| text.0);
        let shared = Shared {
            lists: [json(self.absent), json(self.redacted), json(self.truncated), json(self.unrecorded)],
            subject: json(self.subject),
            token: [json(self.token.aud), json(self.token.scopes)],
            verdicts: [json(self.decided), json(self.foreign)],
        };
        let own = Own {
            time: self.time,
            id: text(self.id),
            door: self.door.0,
            era: text(self.era),
            method: self.method.0,
            kind: self.kind,
            name: text(self.name),
            arguments: json(self.arguments),
            session: text(self.session),
            iat: self.token.iat,
            exp: self.token.exp,
            nbf: self.token.nbf,
        };
        (own, shared)
    }
}

/// The fields of a list that are there, as a set.
pub(super) fn set<const N: usize>(fields: [(Optional, bool); N]) -> u32 {
    fields.into_iter().fold(0, |all, (field, there)| if there { all | field.bit() } else { all })
}

impl Own<'_> {
    /// The optional fields that are there.
    pub(super) fn present(&self) -> u32 {
        set([
            (Optional::Id, self.id.is_some()),
            (Optional::Era, self.era.is_some()),
            (Optional::Arguments, self.arguments.is_some()),
            (Optional::Iat, self.iat.is_some()),
            (Optional::Exp, self.exp.is_some()),
            (Optional::Nbf, self.nbf.is_some()),
            (Optional::Session, self.session.is_some()),
        ])
    }
}

impl TokenLists {
    /// The optional fields that are there.
    pub(super) fn present(&self) -> u32 {
        set([(Optional::Aud, self.aud.is_some()), (Optional::Scopes, self.scopes.is_some())])
    }
}

impl SubjectIn {
    /// The optional fields that are there.
    pub(super) fn present(&self) -> u32 {
        set([
            (Optional::Issuer, self.issuer.is_some()),
            (Optional::Sub, self.sub.is_some()),
            (Optional::Agent, self.agent.is_some()),
            (Optional::Groups, self.groups.is_some()),
            (Optional::Claims, self.claims.is_some()),
        ])
    }
}

/// What the four lists say.
pub(super) fn statuses(lists: [Option<&str>; 4]) -> Result<Statuses, Bad<'_>> {
    let mut statuses = Statuses::default();
    let why = [Some(Why::Absent), Some(Why::Redacted), Some(Why::Truncated), None];
    for (text, why) in lists.into_iter().zip(why) {
        let Some(text) = text else { continue };
        let list: Vec<String> = part(text)?;
        if list.len() > MAX_LIST {
            return Err(Bad::Rule(format!("more than {MAX_LIST} pointers in one list")));
        }
        statuses.add(list, why)?;
    }
    Ok(statuses)
}
