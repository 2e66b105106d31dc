//! From what is on record back to the event that a rehearsal judges again.
//!
//! Never makes up a fact: what neither a row nor its event says is not recorded.

#[cfg(feature = "store")]
use serde_json::Value;

#[cfg(feature = "store")]
use super::chain::{Column, Row};
use super::row::Intent;
#[cfg(feature = "store")]
use crate::model::{Action, ResourceKind, RuleKind, Timestamp};
use crate::model::{Effect, Reason};
#[cfg(feature = "store")]
use crate::policy::REDACTED;
use crate::traffic::{Decided, DecidedRule, Event, Field, read_event};

/// The reasons of what a rate stopped, and of what could not be counted, as the guard writes them.
const RATES: [&str; 2] = ["rate-limited", "rates-unavailable"];

/// What the policy decided; `None` when the guard refused without asking it.
fn decided(effect: Effect, reason: &str, rule: Option<DecidedRule>, digest: &str) -> Option<Decided> {
    let (effect, reason) = match reason {
        // The policy had allowed it. A rehearsal replays the rates by itself.
        reason if RATES.contains(&reason) => (Effect::Allow, Reason::Granted),
        reason => (effect, Reason::parse(reason)?),
    };
    Some(Decided { effect, reason, rule, digest: digest.to_owned() })
}

impl Intent {
    /// Whether the policy decided it, and not the guard alone.
    pub fn is_of_policy(&self) -> bool {
        decided(self.verdict.effect, &self.verdict.reason, None, "").is_some()
    }

    /// The event of a decision of the policy, from the line that holds what was asked; `None` when
    /// the guard refused without asking the policy.
    pub fn recorded(&self, line: &str) -> Option<Event> {
        let rule = self.verdict.rule.as_ref().map(|rule| DecidedRule { kind: rule.kind, name: rule.name.clone() });
        let decided = decided(self.verdict.effect, &self.verdict.reason, rule, &self.policy)?;
        let mut event = read_event(line.as_bytes()).ok()?;
        event.id = Field::Present(self.request.to_string());
        event.decided = Some(decided);
        Some(event)
    }
}

/// The event of a decision of the policy; `None` for a row that holds none: outcomes, counts, rows of
/// the log itself, and what the guard refused before it asked the policy.
#[cfg(feature = "store")]
pub fn recorded(row: &Row) -> Option<Event> {
    let entry = &row.entry;
    if entry.kind != "intent" && entry.kind != "denial" {
        return None;
    }
    let data = entry.data_object();
    let kind = data.get("rule").and_then(|rule| rule.get("kind")).cloned();
    let kind = kind.and_then(|kind| serde_json::from_value::<RuleKind>(kind).ok());
    let rule = entry.get(Column::Rule).zip(kind).map(|(name, kind)| DecidedRule { kind, name: name.to_owned() });
    let effect = if entry.get(Column::Decision) == Some("allow") { Effect::Allow } else { Effect::Deny };
    let decided = decided(effect, entry.get(Column::Reason)?, rule, entry.get(Column::Policy)?)?;
    let mut event = match data.get("event").and_then(|event| read_event(event.to_string().as_bytes()).ok()) {
        Some(event) => event,
        None => bare(row)?,
    };
    event.id = entry.get(Column::Request).map_or(Field::NotRecorded, |id| Field::Present(id.to_owned()));
    event.decided = Some(decided);
    Some(event)
}

/// What the columns alone know of it.
#[cfg(feature = "store")]
fn bare(row: &Row) -> Option<Event> {
    let entry = &row.entry;
    let text = |column| entry.get(column).map_or(Field::NotRecorded, |text| Field::Present(text.to_owned()));
    let method = entry.get(Column::Method)?;
    let action = match Action::from_method(method) {
        // Also one that only its revision does not have.
        _ if entry.get(Column::Reason) == Some(Reason::UnknownMethod.code()) => Action::Unknown,
        // What is no request of its own was asked as a ping.
        Action::Unknown => Action::Ping,
        action => action,
    };
    let name = entry.get(Column::Name).unwrap_or_default();
    if name.contains(REDACTED) {
        // What was asked for is not known any more.
        return None;
    }
    let mut event = Event::new(Timestamp(entry.at.div_euclid(1_000_000)), entry.get(Column::Door)?, action, name);
    if action == Action::Unknown && Action::from_method(method) == Action::Unknown {
        method.clone_into(&mut event.method);
    }
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
