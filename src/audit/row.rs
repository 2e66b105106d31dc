//! What a row says. The shape of the log's JSON, and of the columns of a later store.
//!
//! There is no field for a token or a session id, and of arguments only the values that a rule of the
//! policy reads or that the tool declares under `capture`.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::event::EventText;
use crate::model::{Effect, Position, RuleKind, Timestamp};

/// The name and version of the format, in every row.
pub const SCHEMA: &str = "doorward.audit/v1";

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Who wrote it: one name for each process that writes.
    pub writer: String,
    /// The number of the row, counted up by one for each row of the log.
    pub sequence: u64,
    /// What it says.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Entry {
    /// A decision on a request of a known subject, before it took effect.
    Intent(Box<Intent>),
    /// What became of an allowed request.
    Outcome(Outcome),
    /// Requests that were refused before anyone was known.
    Refusals(Refusals),
}

/// A decision on a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// When it was judged.
    pub time: Timestamp,
    /// The identifier of the request.
    pub request: Arc<str>,
    /// The trace that it is part of (W3C trace context), where the caller sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The digest of the session id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Who asks.
    #[serde(flatten)]
    pub who: Arc<Who>,
    /// The server, by its name in the policy.
    pub door: Arc<str>,
    /// The protocol revision spoken; none when the request does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub era: Option<String>,
    /// The method as received, or how the message came: `GET`, `DELETE`, `response`.
    pub method: String,
    /// The tool or prompt, the URI of a resource, empty for the server itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The digest of the arguments, in the JSON that doorward writes of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<String>,
    /// The digest of the bytes that the server gets; none for a request without a body or refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the policy was asked, as a line of a recording: what it needs to judge again. Of arguments
    /// it holds those that a rule reads or that the tool declares under `capture`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventText>,
    /// What was decided.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// The digest of the policy that decided.
    pub policy: Arc<str>,
    /// The audit class.
    pub class: Arc<str>,
}

/// Who asks, from a verified token: the same for every request with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// The issuer, by its name in the policy.
    pub issuer: Arc<str>,
    /// The `sub` claim.
    pub subject: Arc<str>,
    /// The client that acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
    /// The actors of a delegated token, the current one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actors: Vec<String>,
    /// The scopes of the token.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// The digest of the token's `jti`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// What was decided, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Allow or deny.
    pub effect: Effect,
    /// The reason's stable code: one of a decision, or of a check that the guard makes itself.
    pub reason: Cow<'static, str>,
    /// The statement that decided, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RowRule>,
}

/// The statement of the policy that decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRule {
    /// What kind of statement.
    pub kind: RuleKind,
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub at: Position,
}

/// What became of an allowed request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// When it ended.
    pub time: Timestamp,
    /// The sequence of the intent; the log fills it in from the receipt.
    pub of: u64,
    /// How it ended: `answered`, or the code of what went wrong.
    pub end: Cow<'static, str>,
    /// The HTTP status that the caller got; none when the caller went away before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The code of the JSON-RPC error that the server answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<i64>,
    /// Milliseconds from the decision to the end.
    pub milliseconds: u64,
    /// Bytes of the answer that were passed on.
    pub bytes: u64,
}

/// Requests that were refused before anyone was known, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusals {
    /// From when on they are counted.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The server, by its name in the policy.
    pub door: String,
    /// The code of the refusal.
    pub reason: String,
    /// How many.
    pub count: u64,
}

/// SHA-256 as `sha256:` and 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    crate::policy::Digest(Sha256::digest(bytes).into()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_back_as_it_was_written() {
        let row = Row {
            schema: SCHEMA.to_owned(),
            writer: "w".to_owned(),
            sequence: 7,
            entry: Entry::Refusals(Refusals {
                since: Timestamp(1),
                until: Timestamp(2),
                door: "desk".to_owned(),
                reason: "token-expired".to_owned(),
                count: 3,
            }),
        };
        let text = serde_json::to_string(&row).unwrap();
        insta::assert_snapshot!(text, @r#"{"schema":"doorward.audit/v1","writer":"w","sequence":7,"kind":"refusals","since":1,"until":2,"door":"desk","reason":"token-expired","count":3}"#);
        assert_eq!(serde_json::from_str::<Row>(&text).unwrap(), row);
        assert_eq!(digest(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
