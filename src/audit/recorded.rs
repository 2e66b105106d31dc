//! From a row back to the event that a rehearsal judges again.

use serde_json::Value;

use super::chain::{Column, Row};
use crate::model::{Action, Effect, Reason, ResourceKind, RuleKind, Timestamp};
use crate::traffic::{Decided, DecidedRule, Event, Field, read_event};

/// The event of a decision of the policy; `None` for a row that holds none: outcomes, counts, rows of
/// the log itself, and what the guard refused before it asked the policy.
pub fn recorded(row: &Row) -> Option<Event> {
    let entry = &row.entry;
    if entry.kind != "intent" && entry.kind != "denial" {
        return None;
    }
    let data = entry.data_object();
    let effect = if entry.get(Column::Decision) == Some("allow") { Effect::Allow } else { Effect::Deny };
    let reason = entry.get(Column::Reason).and_then(Reason::parse)?;
    let mut event = match data.get("event").and_then(|event| read_event(event.to_string().as_bytes()).ok()) {
        Some(event) => event,
        None => bare(row)?,
    };
    let kind = data.get("rule").and_then(|rule| rule.get("kind")).cloned();
    let kind = kind.and_then(|kind| serde_json::from_value::<RuleKind>(kind).ok());
    let rule = entry.get(Column::Rule).zip(kind).map(|(name, kind)| DecidedRule { kind, name: name.to_owned() });
    event.id = entry.get(Column::Request).map_or(Field::NotRecorded, |id| Field::Present(id.to_owned()));
    event.decided = Some(Decided { effect, reason, rule, digest: entry.get(Column::Policy)?.to_owned() });
    Some(event)
}

/// What the columns alone know of it.
fn bare(row: &Row) -> Option<Event> {
    let entry = &row.entry;
    let text = |column| entry.get(column).map_or(Field::NotRecorded, |text| Field::Present(text.to_owned()));
    let action = Action::from_method(entry.get(Column::Method)?);
    let name = entry.get(Column::Name).unwrap_or_default();
    let mut event = Event::new(Timestamp(entry.at.div_euclid(1_000_000)), entry.get(Column::Door)?, action, name);
    entry.get(Column::Method)?.clone_into(&mut event.method);
    if !name.is_empty() && event.kind == ResourceKind::Server {
        return None;
    }
    event.subject.issuer = text(Column::Issuer);
    event.subject.sub = text(Column::Subject);
    event.subject.agent = text(Column::Agent);
    event.session = text(Column::Session);
    if let Some(scopes) = entry.data_object().get("scopes").and_then(Value::as_array) {
        event.token.scopes = Field::Present(scopes.iter().filter_map(|s| s.as_str().map(str::to_owned)).collect());
    }
    Some(event)
}
