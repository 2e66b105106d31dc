//! From a record to an event, by a map and a mapping.
//!
//! What the log says goes before what the mapping assigns, and a record whose server, method or
//! name cannot be told is an error, never an event with a guess in it.

use serde_json::{Map, Value};

use super::record::{Pointer, Record, scalar};
use super::value::Facts;
use super::{Decision, FieldMap, FieldSource, Key, Origin, Rule, hold};
use crate::model::{Action, Effect, ResourceKind, Timestamp, Withheld};
use crate::policy::glob::NameGlob;
use crate::traffic::event::{Event, Field, only_kind};
use crate::traffic::foreign::Foreign;
use crate::traffic::mapping::{Mapping, Surroundings};
use crate::traffic::secrets;

/// What becomes of a record that is a call.
pub(in crate::traffic) enum Made {
    /// An event, and whether anything is known of who asked.
    Event(Box<Event>, bool),
    /// A notification, which asks for nothing.
    Notification,
    /// Of this word for a method the map says nothing.
    Unmapped(String),
    /// It cannot be told what was asked.
    Wrong(String),
}

/// What a request asks for.
pub(in crate::traffic) struct Asked {
    pub(in crate::traffic) method: String,
    pub(in crate::traffic) kind: ResourceKind,
    pub(in crate::traffic) name: String,
    pub(in crate::traffic) arguments: Field<Map<String, Value>>,
    pub(in crate::traffic) withheld: Vec<Withheld>,
}

/// Reads one record. `asked` is what its message asks for, when it holds one; `number` counts the
/// events before it, for a log without times; `begin` tells from the time of a call the instant from
/// which the age of its token counts.
pub(in crate::traffic) fn event(
    map: &FieldMap,
    rule: &Rule,
    record: Record<'_>,
    asked: Option<Asked>,
    mapping: Option<&Mapping>,
    number: u64,
    begin: &mut dyn FnMut(&Event) -> Timestamp,
) -> Made {
    let Some(fields) = &rule.fields else { return Made::Wrong("the rule leaves the record out".to_owned()) };
    let facts = Facts { record, fields, marks: &map.marks, states: &map.states };
    let asked = match asked {
        Some(asked) => asked,
        None => match method(facts, fields.get(&Key::Method)) {
            Ok(method) if method.starts_with("notifications/") => return Made::Notification,
            Ok(method) => match asks(facts, method) {
                Ok(asked) => asked,
                Err(message) => return Made::Wrong(message),
            },
            Err(made) => return made,
        },
    };
    let number = mapping.filter(|mapping| mapping.clock.given).map(|mapping| mapping.clock.call(0, number));
    let built = (|| {
        let time = match facts.instant(Key::Time)? {
            Field::Present(time) => time,
            _ => number.ok_or_else(|| missing("time", fields.get(&Key::Time)))?,
        };
        let door = door(facts, fields.get(&Key::Door), mapping)?;
        let name = match mapping {
            Some(mapping) if asked.kind == ResourceKind::Tool => mapping.tool(&door, &asked.name),
            _ => asked.name,
        };
        let mut event = Event::new(time, door, Action::from_method(&asked.method), name);
        event.method = asked.method;
        event.kind = asked.kind;
        event.arguments = asked.arguments;
        event.withheld = asked.withheld;
        event.id = facts.text(Key::Id)?;
        event.era = facts.text(Key::Era)?;
        event.session = facts.text(Key::Session)?;
        identity(&mut event, facts, rule)?;
        event.foreign = verdict(&map.name, &map.decisions, record);
        Ok(event)
    })();
    let mut event = match built {
        Ok(event) => event,
        Err(message) => return Made::Wrong(message),
    };
    let mut known = !matches!(event.subject.sub, Field::NotRecorded);
    if let Some(mapping) = mapping {
        if let Field::Present(issuer) = event.subject.issuer {
            event.subject.issuer = Field::Present(mapping.issuer(issuer));
        }
        let session = event.session.present().cloned();
        let around = Surroundings { begin: begin(&event), session: session.as_deref(), fields: &record };
        known |= mapping.identify(&mut event, around);
    }
    Made::Event(Box::new(event), known)
}

/// The conversation that a message belongs to: its server and its session, as the log has them.
pub(in crate::traffic) fn scope(map: &FieldMap, rule: &Rule, record: Record<'_>) -> String {
    let Some(fields) = &rule.fields else { return String::new() };
    let facts = Facts { record, fields, marks: &map.marks, states: &map.states };
    let part = |key| facts.text(key).ok().and_then(|field| field.present().cloned()).unwrap_or_default();
    format!("{}\u{1f}{}", part(Key::Door), part(Key::Session))
}

fn method(facts: Facts<'_, '_>, source: Option<&FieldSource>) -> Result<String, Made> {
    let text = facts.text(Key::Method).map_err(Made::Wrong)?;
    let Field::Present(method) = text else { return Err(Made::Wrong(missing("method", source))) };
    let Some(source) = source.filter(|source| !source.words.is_empty()) else { return Ok(method) };
    // `text` has put in what the word means; a word without a meaning came through as it was.
    let known = source.words.values().any(|meaning| *meaning == method);
    if known || matches!(source.from, Origin::Fixed(_)) { Ok(method) } else { Err(Made::Unmapped(method)) }
}

fn asks(facts: Facts<'_, '_>, method: String) -> Result<Asked, String> {
    let action = Action::from_method(&method);
    let kind = match (only_kind(action), action) {
        (Some(kind), _) => kind,
        (None, Action::Unknown) => ResourceKind::Server,
        (None, _) => {
            let known = match facts.text(Key::Kind)? {
                Field::Present(word) => kind_named(&word).filter(|kind| action.reaches().contains(kind)),
                _ => None,
            };
            known.ok_or_else(|| {
                format!("`{method}` may reach several kinds of thing, and the record does not say which")
            })?
        }
    };
    let name = if kind == ResourceKind::Server {
        String::new()
    } else {
        match facts.text(Key::Name)? {
            Field::Present(name) => name,
            _ => return Err(format!("{} for `{method}`", missing("name", facts.fields.get(&Key::Name)))),
        }
    };
    let (arguments, withheld) = facts.arguments()?;
    Ok(Asked { method, kind, name, arguments, withheld })
}

fn kind_named(word: &str) -> Option<ResourceKind> {
    match word {
        "tool" => Some(ResourceKind::Tool),
        "prompt" => Some(ResourceKind::Prompt),
        "resource" => Some(ResourceKind::Resource),
        "server" => Some(ResourceKind::Server),
        _ => None,
    }
}

/// The server by its name in the policy.
fn door(facts: Facts<'_, '_>, source: Option<&FieldSource>, mapping: Option<&Mapping>) -> Result<String, String> {
    match (facts.text(Key::Door)?, mapping) {
        (Field::Present(server), Some(mapping)) => Ok(mapping.door(&server)),
        (Field::Present(server), None) => Ok(secrets::bare(&server).into_owned()),
        (_, Some(mapping)) if mapping.doors.contains_key("") => Ok(mapping.door("")),
        _ => Err(missing("door", source)),
    }
}

fn missing(what: &str, source: Option<&FieldSource>) -> String {
    match source.map(|source| &source.from) {
        Some(Origin::At(places)) => {
            let places: Vec<String> = places.iter().map(|place| format!("`{place}`")).collect();
            format!("there is no {what} at {}", places.join(" or "))
        }
        _ => format!("the map says no {what}"),
    }
}

fn identity(event: &mut Event, facts: Facts<'_, '_>, rule: &Rule) -> Result<(), String> {
    let subject = &mut event.subject;
    subject.issuer = facts.text(Key::Issuer)?;
    subject.sub = facts.text(Key::Sub)?;
    subject.agent = facts.text(Key::Agent)?;
    subject.groups = facts.list(Key::Groups)?;
    subject.claims = match facts.text(Key::Claims)? {
        Field::NotRecorded => claims(facts, rule)?,
        Field::Present(_) | Field::Absent => Field::Absent,
        Field::Redacted => Field::Redacted,
        Field::Truncated => Field::Truncated,
    };
    let token = &mut event.token;
    token.scopes = facts.list(Key::Scopes)?;
    token.aud = facts.list(Key::Audience)?;
    token.iat = facts.instant(Key::Issued)?;
    token.exp = facts.instant(Key::Expires)?;
    token.nbf = facts.instant(Key::NotBefore)?;
    Ok(())
}

/// The claims are known when the state of each is: with one unknown they are not.
fn claims(facts: Facts<'_, '_>, rule: &Rule) -> Result<Field<std::collections::BTreeMap<String, Vec<String>>>, String> {
    if rule.claims.is_empty() {
        return Ok(Field::NotRecorded);
    }
    let mut claims = std::collections::BTreeMap::new();
    for (name, source) in &rule.claims {
        match facts.list_of(source, false)? {
            Field::Present(values) => {
                claims.insert(name.clone(), values);
            }
            Field::Absent => {}
            Field::Redacted => return Ok(Field::Redacted),
            Field::Truncated => return Ok(Field::Truncated),
            Field::NotRecorded => return Ok(Field::NotRecorded),
        }
    }
    Ok(if claims.is_empty() { Field::Absent } else { Field::Present(claims) })
}

/// What the log says was decided.
pub(in crate::traffic) fn verdict(by: &str, decisions: &[Decision], record: Record<'_>) -> Option<Foreign> {
    decisions.iter().filter(|decision| hold(&decision.when, record)).find_map(|decision| {
        let (effect, said) = match record.first(&decision.at) {
            Some((at, value)) => {
                let word = scalar(value);
                let any = |globs: &[NameGlob]| word.as_ref().is_some_and(|w| globs.iter().any(|g| g.matches(w)));
                let effect = if any(&decision.deny) {
                    Effect::Deny
                } else if any(&decision.allow) {
                    Effect::Allow
                } else {
                    decision.present?
                };
                let said = match word {
                    // `true` alone says nothing.
                    Some(word) if value.is_boolean() => format!("{} = {word}", at.last()),
                    Some(word) => word.into_owned(),
                    None => at.last().to_owned(),
                };
                (effect, said)
            }
            None => (decision.missing?, format!("no {}", decision.at.first().map_or("", Pointer::last))),
        };
        let because = record.first(&decision.because).and_then(|(_, value)| words(value));
        Some(Foreign::new(effect, by, &said, because.as_deref()))
    })
}

/// A scalar, or a list of them.
fn words(value: &Value) -> Option<String> {
    match value {
        Value::Array(list) => {
            let all: Vec<_> = list.iter().filter_map(scalar).collect();
            (!all.is_empty()).then(|| all.join(", "))
        }
        value => scalar(value).map(std::borrow::Cow::into_owned),
    }
}
