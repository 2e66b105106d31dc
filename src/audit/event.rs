//! What a policy was asked, as a row holds it: the object of a line of a recording, in its canonical form.
//!
//! The same as any JSON library makes of the event. Who asks and what the token says are written once for all
//! requests with one token.

use std::sync::Arc;

use serde::de::Deserializer;
use serde::ser::{Error as _, Serializer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::chain::{Data, canonical_object};
use crate::model::ResourceKind;
use crate::traffic::{Event, missing, object, states_kind};

/// The canonical text of an event. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventText(Arc<str>);

/// What is the same in all events of one token: who asks, what the token says, and what of both is not there.
/// Never the token.
#[derive(Clone, Debug)]
pub struct Asker {
    subject: Option<String>,
    token: Option<String>,
    missing: [Vec<String>; 4],
}

impl Asker {
    /// Of an event that says nothing else.
    pub fn of(event: &Event) -> Self {
        let all = object(event).unwrap_or_default();
        let part = |name: &str| all.get(name).and_then(Value::as_object).map(canonical_object);
        Self { subject: part("subject"), token: part("token"), missing: missing(event) }
    }
}

impl EventText {
    /// The text of an event that says neither who asks nor what the token says, with both. Nor may it say what
    /// was decided, and have no id.
    pub fn asked_by(asker: &Asker, event: &Event) -> Self {
        let [absent, redacted, truncated, unrecorded] = missing(event);
        let [of_asker @ .., _] = &asker.missing;
        let mut lists = [absent, redacted, truncated];
        for (list, more) in lists.iter_mut().zip(of_asker) {
            list.extend(more.iter().cloned());
        }
        let [absent, redacted, truncated] = lists;
        let text = |text: &crate::traffic::Field<String>| text.present().cloned();
        let kind = states_kind(event).then_some(match event.kind {
            ResourceKind::Server => "server",
            ResourceKind::Tool => "tool",
            ResourceKind::Prompt => "prompt",
            ResourceKind::Resource => "resource",
        });
        let named = event.kind != ResourceKind::Server || !event.name.is_empty();
        let data = Data::new()
            .texts("absent", &absent)
            .object("arguments", event.arguments.present())
            .text("door", Some(&event.door))
            .text("era", text(&event.era).as_deref())
            .text("kind", kind)
            .text("method", Some(&event.method))
            .text("name", named.then_some(&*event.name))
            .texts("redacted", &redacted)
            .text("session", text(&event.session).as_deref())
            .written("subject", asker.subject.as_deref())
            .number("time", Some(event.time.0))
            .written("token", asker.token.as_deref())
            .texts("truncated", &truncated)
            .texts("unrecorded", &unrecorded);
        Self(data.into_text().into())
    }

    /// The JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&Map<String, Value>> for EventText {
    fn from(object: &Map<String, Value>) -> Self {
        Self(canonical_object(object).into())
    }
}

impl Serialize for EventText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<Map<String, Value>>(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for EventText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Map::deserialize(deserializer).map(|object| Self::from(&object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{Action, Timestamp, Withheld, WithheldBecause};
    use crate::traffic::{Field, Identity, TokenFacts, read_event};

    fn present(text: &str) -> Field<String> {
        Field::Present(text.to_owned())
    }

    #[test]
    fn in_two_parts_an_event_says_what_it_says_in_one() {
        let ana = Identity {
            issuer: present("corp"),
            sub: present("ana \"a\"\n"),
            agent: Field::Redacted,
            groups: Field::Present(vec!["staff".to_owned(), "ä".to_owned()]),
            claims: Field::Absent,
        };
        let token = TokenFacts { iat: Field::Present(Timestamp(5)), nbf: Field::Absent, ..TokenFacts::default() };
        let arguments = json!({"\u{fb33}": 1, "\u{1f600}": [2.0, 1.5, "\u{7}"], "a": {"b": null}});
        let withheld = |pointer: &str, because| Withheld { pointer: pointer.to_owned(), because };
        let withheld = vec![withheld("/b", WithheldBecause::NotRecorded), withheld("/a/b", WithheldBecause::Redacted)];
        for (action, name) in [(Action::ToolsCall, "add"), (Action::CompletionComplete, "x"), (Action::Ping, "")] {
            for (subject, token) in [(ana.clone(), token.clone()), Default::default()] {
                let mut asked = Event::new(Timestamp(7), "desk", action, name);
                (asked.era, asked.session) = (present("2026-07-28"), Field::Absent);
                if action == Action::CompletionComplete {
                    asked.kind = ResourceKind::Prompt;
                }
                if action == Action::ToolsCall {
                    asked.arguments = Field::Present(arguments.as_object().cloned().unwrap());
                    asked.withheld.clone_from(&withheld);
                }
                let asker = Asker::of(&Event {
                    subject: subject.clone(),
                    token: token.clone(),
                    ..Event::new(Timestamp(0), "", Action::Ping, "")
                });
                let text = EventText::asked_by(&asker, &asked);
                let whole = Event { subject, token, ..asked };
                let same = EventText::from(&object(&whole).unwrap());
                let read = |text: &EventText| read_event(text.as_str().as_bytes()).unwrap();
                assert_eq!(read(&text), read(&same));
                let again = serde_json::from_str::<Map<String, Value>>(text.as_str()).unwrap();
                assert_eq!(EventText::from(&again), text, "it is canonical");
                assert_eq!(serde_json::to_value(&text).unwrap(), Value::Object(again));
                assert_eq!(serde_json::from_str::<EventText>(text.as_str()).unwrap(), text);
            }
        }
    }
}
