//! The log in a database: what the guard says, as rows of a chain.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use super::chain::{Column, Data, Entry};
use super::event::EventText;
use super::row::{Intent, Outcome, Refusals, RowRule};
use super::store::{Logger, Refused};
use super::{About, Log, Lost, Pending, Receipt, Unavailable};
use crate::model::{Action, Effect, Position, Reason, RuleKind, Timestamp};

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
    words: Words,
}

/// The words that most rows have in common, so that each row does not have them anew.
struct Words(BTreeSet<Arc<str>>);

impl Words {
    fn new() -> Self {
        let reasons = Reason::ALL.iter().map(|reason| reason.code());
        let methods = Action::ALL.iter().map(|action| action.method());
        Self(reasons.chain(methods).chain(["allow", "deny", "answered", "disconnected"]).map(Arc::from).collect())
    }

    fn shared(&self, text: &str) -> Arc<str> {
        self.0.get(text).cloned().unwrap_or_else(|| text.into())
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("health", &self.logger.health()).finish_non_exhaustive()
    }
}

impl Ledger {
    /// A log that writes with this logger. `class` is that of requests of which nobody is known.
    pub fn new(logger: Logger, class: Option<&str>) -> Self {
        Self { logger, nobody: class.unwrap_or(NOBODY).into(), words: Words::new() }
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
            class: Arc::clone(&intent.class),
            request: Arc::clone(&intent.request),
            door: Arc::clone(&intent.door),
        };
        let entry = of_intent(&self.words, &intent, self.within(intent.time));
        // What has no part in the row need not be there while it is written.
        drop(intent);
        match self.logger.append(entry).await {
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
            self.logger.note(of_outcome(&self.words, &outcome, sequence, &about, self.within(outcome.time)), room);
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

fn of_intent(words: &Words, intent: &Intent, at: i64) -> Entry {
    let allowed = intent.verdict.effect == Effect::Allow;
    let (who, rule) = (&*intent.who, intent.verdict.rule.as_ref());
    let data = Data::new()
        .texts("actors", &who.actors)
        .text("arguments", intent.arguments.as_deref())
        .text("era", intent.era.as_deref())
        .written("event", intent.event.as_ref().map(EventText::as_str))
        .text("message", intent.message.as_deref())
        .inner("rule", rule.map(of_rule))
        .texts("scopes", &who.scopes)
        .text("token", who.token.as_deref());
    let mut entry = Entry::new(Arc::clone(&intent.class), if allowed { "intent" } else { "denial" }, at)
        .with_shared(Column::Decision, &words.shared(if allowed { "allow" } else { "deny" }))
        .with_shared(Column::Door, &intent.door)
        .with_shared(Column::Issuer, &who.issuer)
        .with_shared(Column::Method, &words.shared(&intent.method))
        .with(Column::Name, Some(intent.name.as_str()).filter(|name| !name.is_empty()))
        .with_shared(Column::Policy, &intent.policy)
        .with_shared(Column::Reason, &words.shared(&intent.verdict.reason))
        .with_shared(Column::Request, &intent.request)
        .with(Column::Rule, rule.map(|rule| rule.name.as_str()))
        .with(Column::Session, intent.session.as_deref())
        .with_shared(Column::Subject, &who.subject)
        .with(Column::Trace, intent.trace.as_deref())
        .with_written(data);
    if let Some(agent) = &who.agent {
        entry = entry.with_shared(Column::Agent, agent);
    }
    entry
}

fn of_rule(rule: &RowRule) -> Data {
    let Position { file, line, column } = &rule.at;
    let at = Data::new()
        .number("column", Some((*column).into()))
        .text("file", Some(file))
        .number("line", Some((*line).into()));
    let kind = match rule.kind {
        RuleKind::Grant => "grant",
        RuleKind::Deny => "deny",
        RuleKind::Server => "server",
        RuleKind::Item => "item",
        RuleKind::Issuer => "issuer",
    };
    Data::new().inner("at", Some(at)).text("kind", Some(kind)).text("name", Some(&rule.name))
}

fn of_outcome(words: &Words, outcome: &Outcome, sequence: u64, about: &About, at: i64) -> Entry {
    let mut entry = Entry::new(about.class.clone(), "outcome", at)
        .with_shared(Column::Door, &about.door)
        .with_shared(Column::Reason, &words.shared(&outcome.end))
        .with_shared(Column::Request, &about.request)
        .with_written(
            Data::new()
                .number("bytes", i64::try_from(outcome.bytes).ok())
                .number("error", outcome.error)
                .number("of", i64::try_from(sequence).ok()),
        );
    entry.status = outcome.status.map(i32::from);
    entry.latency = i64::try_from(outcome.milliseconds.saturating_mul(1_000)).ok();
    entry
}

fn of_refusals(refusals: &Refusals, class: Arc<str>, at: i64) -> Entry {
    Entry::new(class, "refusals", at)
        .with(Column::Decision, "deny")
        .with(Column::Door, refusals.door.as_str())
        .with(Column::Reason, refusals.reason.as_str())
        .with_written(
            Data::new().number("count", i64::try_from(refusals.count).ok()).number("since", Some(refusals.since.0)),
        )
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::audit::row::{Verdict, Who};

    #[test]
    fn data_are_what_any_json_library_makes_of_the_same() {
        let event = json!({"z": [1.50, null], "\u{fb33}": 1, "\u{1f600}": 2, "nul": "a\0b"});
        for kind in [RuleKind::Grant, RuleKind::Deny, RuleKind::Server, RuleKind::Item, RuleKind::Issuer] {
            let intent = intent(kind, event.as_object().map(EventText::from));
            let written = of_intent(&Words::new(), &intent, 1);
            let same = json!({
                "arguments": intent.arguments, "event": event, "rule": intent.verdict.rule, "scopes": intent.who.scopes,
                "token": intent.who.token,
            });
            let expected = Entry::new("standard".into(), "intent", 1).with_data(object(&same));
            assert_eq!(written.data(), expected.data());
            assert!(!written.data().contains("\\u0000"), "{}", written.data());
        }
        let about = About { class: "standard".into(), request: "r".into(), door: "d".into() };
        let outcome = Outcome {
            time: Timestamp(1),
            of: 0,
            end: "answered".into(),
            status: None,
            error: Some(-3),
            milliseconds: 1,
            bytes: 5,
        };
        let expected =
            Entry::new("standard".into(), "outcome", 1).with_data(object(&json!({"of": 7, "error": -3, "bytes": 5})));
        assert_eq!(of_outcome(&Words::new(), &outcome, 7, &about, 1).data(), expected.data());
    }

    fn intent(kind: RuleKind, event: Option<EventText>) -> Intent {
        let at = Position { file: "a \"b\".toml".into(), line: 40, column: 1 };
        Intent {
            time: Timestamp(1),
            request: "r".into(),
            trace: None,
            session: None,
            who: Arc::new(Who {
                issuer: "corp".into(),
                subject: "ana".into(),
                agent: None,
                actors: Vec::new(),
                scopes: ["a:read", "b"].map(str::to_owned).to_vec(),
                token: Some("sha256:00".to_owned()),
            }),
            door: "tickets".into(),
            era: None,
            method: "tools/call".to_owned(),
            name: "refund".to_owned(),
            arguments: Some("sha256:11".to_owned()),
            message: None,
            event,
            verdict: Verdict {
                effect: Effect::Allow,
                reason: Reason::Granted.code().into(),
                rule: Some(RowRule { kind, name: "g".to_owned(), at }),
            },
            policy: "sha256:22".into(),
            class: "standard".into(),
        }
    }

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap_or_default()
    }
}
