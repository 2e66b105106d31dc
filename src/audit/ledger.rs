//! The log in a database: what the guard says, as rows of a chain.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::chain::{Column, Entry};
use super::row::{Intent, Outcome, Refusals};
use super::store::{Logger, Refused};
use super::{About, Log, Lost, Pending, Receipt, Unavailable};
use crate::model::{Effect, Timestamp};

/// The class of rows about requests of which nobody is known.
const NOBODY: &str = "standard";

/// A [`Log`] in `SQLite` or `PostgreSQL`.
///
/// Rows are of these kinds: `intent` for what was allowed, before it takes effect; `denial` for what
/// was not; `outcome` for what became of an intent, with its number in `of`; `refusals` for how many
/// requests were refused before anyone was known; `unconfirmed` for an intent that was written after
/// its caller had been refused. The log's own rows are in [`super::chain`].
pub struct Ledger {
    logger: Logger,
    nobody: Arc<str>,
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("health", &self.logger.health()).finish_non_exhaustive()
    }
}

impl Ledger {
    /// A log that writes with this logger. `class` is that of requests of which nobody is known.
    pub fn new(logger: Logger, class: Option<&str>) -> Self {
        Self { logger, nobody: class.unwrap_or(NOBODY).into() }
    }

    /// Writes what waits and the seal that closes the writer. What comes later is refused. Does not end
    /// while the store is away.
    pub async fn close(&self) {
        self.logger.close().await;
    }

    /// The microsecond within a second that is known already: the second decided, and a replay of the row
    /// must find it.
    fn within(&self, time: Timestamp) -> i64 {
        let second = time.0.saturating_mul(1_000_000);
        self.logger.now().clamp(second, second.saturating_add(999_999))
    }

    async fn append(&self, intent: Intent) -> Result<Receipt, Unavailable> {
        let room = self.logger.room().ok_or(Unavailable)?;
        let about = About {
            class: intent.class.as_str().into(),
            request: intent.request.as_str().into(),
            door: intent.door.as_str().into(),
        };
        let at = self.within(intent.time);
        match self.logger.append(of_intent(&intent, about.class.clone(), at)).await {
            Ok(placed) => Ok(Receipt::about(placed.seq.unsigned_abs(), room, about)),
            Err(Refused::Full | Refused::Away | Refused::Late | Refused::Impossible) => Err(Unavailable),
        }
    }
}

impl Log for Ledger {
    fn intent(&self, intent: Intent) -> Pending<'_, Result<Receipt, Unavailable>> {
        Box::pin(self.append(intent))
    }

    fn outcome(&self, receipt: Receipt, outcome: Outcome) {
        let sequence = receipt.sequence();
        if let (Some(room), Some(about)) = (receipt.room, receipt.about) {
            self.logger.note(of_outcome(&outcome, sequence, &about, self.within(outcome.time)), room);
        }
    }

    fn refusals(&self, refusals: Refusals) {
        if let Some(room) = self.logger.room() {
            self.logger.note(of_refusals(&refusals, self.nobody.clone(), self.within(refusals.until)), room);
        }
    }

    fn is_available(&self) -> bool {
        self.logger.health().away.is_none()
    }

    fn check(&self) -> Pending<'_, bool> {
        Box::pin(self.logger.check())
    }

    fn lost(&self) -> Lost {
        let health = self.logger.health();
        Lost { gone: health.lost, restored: health.restored }
    }

    fn unsigned(&self) -> Option<String> {
        self.logger.health().unsigned
    }
}

/// An object without the fields that say nothing.
fn object(fields: Value) -> Map<String, Value> {
    let Value::Object(fields) = fields else { return Map::new() };
    fields.into_iter().filter(|(_, v)| !v.is_null() && v.as_array().is_none_or(|items| !items.is_empty())).collect()
}

fn of_intent(intent: &Intent, class: Arc<str>, at: i64) -> Entry {
    let allowed = intent.verdict.effect == Effect::Allow;
    let rule = intent.verdict.rule.as_ref();
    let data = object(json!({
        "actors": intent.actors,
        "arguments": intent.arguments,
        "era": intent.era,
        "event": intent.event,
        "message": intent.message,
        "rule": rule,
        "scopes": intent.scopes,
        "token": intent.token,
    }));
    Entry::new(class, if allowed { "intent" } else { "denial" }, at)
        .with(Column::Agent, intent.agent.as_deref())
        .with(Column::Decision, if allowed { "allow" } else { "deny" })
        .with(Column::Door, intent.door.as_str())
        .with(Column::Issuer, intent.issuer.as_str())
        .with(Column::Method, intent.method.as_str())
        .with(Column::Name, Some(intent.name.as_str()).filter(|name| !name.is_empty()))
        .with(Column::Policy, intent.policy.as_str())
        .with(Column::Reason, intent.verdict.reason.as_str())
        .with(Column::Request, intent.request.as_str())
        .with(Column::Rule, rule.map(|rule| rule.name.as_str()))
        .with(Column::Session, intent.session.as_deref())
        .with(Column::Subject, intent.subject.as_str())
        .with(Column::Trace, intent.trace.as_deref())
        .with_data(data)
}

fn of_outcome(outcome: &Outcome, sequence: u64, about: &About, at: i64) -> Entry {
    let mut entry = Entry::new(about.class.clone(), "outcome", at)
        .with(Column::Door, &*about.door)
        .with(Column::Reason, outcome.end.as_str())
        .with(Column::Request, &*about.request)
        .with_data(object(json!({"of": sequence, "error": outcome.error, "bytes": outcome.bytes})));
    entry.status = outcome.status.map(i32::from);
    entry.latency = i64::try_from(outcome.milliseconds.saturating_mul(1_000)).ok();
    entry
}

fn of_refusals(refusals: &Refusals, class: Arc<str>, at: i64) -> Entry {
    Entry::new(class, "refusals", at)
        .with(Column::Decision, "deny")
        .with(Column::Door, refusals.door.as_str())
        .with(Column::Reason, refusals.reason.as_str())
        .with_data(object(json!({"count": refusals.count, "since": refusals.since.0})))
}
