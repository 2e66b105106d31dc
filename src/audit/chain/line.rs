//! Reads a row back from the line that an export writes.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::row::{Entry, Row};

/// An exported line, as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow)]
    agent: Option<Cow<'a, str>>,
    at: i64,
    #[serde(borrow)]
    class: Cow<'a, str>,
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(borrow)]
    decision: Option<Cow<'a, str>>,
    #[serde(borrow)]
    door: Option<Cow<'a, str>>,
    #[serde(borrow)]
    hash: Cow<'a, str>,
    #[serde(borrow)]
    issuer: Option<Cow<'a, str>>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    latency: Option<i64>,
    #[serde(borrow)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    policy: Option<Cow<'a, str>>,
    #[serde(borrow)]
    prev: Cow<'a, str>,
    #[serde(borrow)]
    reason: Option<Cow<'a, str>>,
    #[serde(borrow)]
    request: Option<Cow<'a, str>>,
    #[serde(borrow)]
    rule: Option<Cow<'a, str>>,
    seq: i64,
    #[serde(borrow)]
    session: Option<Cow<'a, str>>,
    status: Option<i32>,
    #[serde(borrow)]
    subject: Option<Cow<'a, str>>,
    #[serde(borrow)]
    trace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    writer: Cow<'a, str>,
    written: i64,
}

impl Row {
    /// Reads an exported line. The error says what is wrong with it.
    pub fn read_line(line: &[u8]) -> Result<Self, String> {
        let line: Line<'_> = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        let hash = |name: &str, text: &str| text.parse().map_err(|()| format!("`{name}` is not 64 hexadecimal digits"));
        let (prev, own) = (hash("prev", &line.prev)?, hash("hash", &line.hash)?);
        let owned = |text: Option<Cow<'_, str>>| text.map(|t| Arc::from(t.as_ref()));
        Ok(Self {
            writer: line.writer.as_ref().into(),
            seq: line.seq,
            written: line.written,
            prev,
            hash: own,
            entry: Entry {
                class: line.class.as_ref().into(),
                kind: Cow::Owned(line.kind.into_owned()),
                at: line.at,
                status: line.status,
                latency: line.latency,
                texts: [
                    line.agent,
                    line.decision,
                    line.door,
                    line.issuer,
                    line.method,
                    line.name,
                    line.policy,
                    line.reason,
                    line.request,
                    line.rule,
                    line.session,
                    line.subject,
                    line.trace,
                ]
                .map(owned),
                data: line.data.get().into(),
            },
        })
    }
}
