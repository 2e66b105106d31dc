//! Rows of a usual size: those of a call of a tool with two arguments.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use doorward::audit::chain::{Column, Entry};
use serde_json::json;

const DIGEST: &str = "sha256:8c2059c277c1b8754e47c0970266f22eb9855255819551f859f4ec360200481e";

/// Microseconds since 1970 UTC.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

/// The name of a writer that was never used before.
pub(crate) fn writer() -> String {
    static WRITERS: AtomicU64 = AtomicU64::new(0);
    format!("{:020x}{:08x}{:04x}", now(), std::process::id(), WRITERS.fetch_add(1, Ordering::Relaxed))
}

/// The two rows of a call, made once: what differs from call to call is put in for each. To make the rest is the work of
/// whoever calls, and is measured with the gateway.
#[derive(Debug)]
pub(crate) struct Rows {
    intent: Entry,
    outcome: Entry,
}

impl Rows {
    pub(crate) fn new() -> Self {
        Self { intent: intent(), outcome: outcome() }
    }

    /// A call that is allowed.
    pub(crate) fn intent(&self, n: usize) -> Entry {
        of(self.intent.clone(), n)
    }

    /// What became of it.
    pub(crate) fn outcome(&self, n: usize) -> Entry {
        of(self.outcome.clone(), n)
    }
}

fn of(mut row: Entry, n: usize) -> Entry {
    row.at = now();
    row.with(Column::Request, request(n).as_str())
}

fn intent() -> Entry {
    let data = json!({
        "arguments": DIGEST,
        "era": "2026-07-28",
        "event": {
            "absent": ["/subject/claims", "/token/id"], "action": "tools/call", "arguments": {"amount": 20, "currency": "EUR"},
            "door": "tickets", "era": "2026-07-28", "kind": "tool", "method": "tools/call", "name": "refund",
            "subject": {"agent": "desk-assistant", "groups": ["support"], "issuer": "corp", "sub": "ana"},
            "time": 1_772_456_580, "token": {"audience": ["https://mcp.example.com/tickets/mcp"], "expires": 1_772_457_180,
                "issued": 1_772_456_280, "scopes": ["tickets:read", "tickets:refund"]},
        },
        "message": DIGEST,
        "rule": {"at": {"column": 1, "file": "policies.toml", "line": 40}, "kind": "grant", "name": "support-desk"},
        "scopes": ["tickets:read", "tickets:refund"],
        "token": DIGEST,
    });
    Entry::new("standard".into(), "intent", 0)
        .with(Column::Agent, "desk-assistant")
        .with(Column::Decision, "allow")
        .with(Column::Door, "tickets")
        .with(Column::Issuer, "corp")
        .with(Column::Method, "tools/call")
        .with(Column::Name, "refund")
        .with(Column::Policy, DIGEST)
        .with(Column::Reason, "granted")
        .with(Column::Rule, "support-desk")
        .with(Column::Session, DIGEST)
        .with(Column::Subject, "ana")
        .with_data(data.as_object().cloned().unwrap_or_default())
}

fn outcome() -> Entry {
    let data = json!({"bytes": 512, "of": 1});
    let mut entry = Entry::new("standard".into(), "outcome", 0)
        .with(Column::Door, "tickets")
        .with(Column::Reason, "answered")
        .with_data(data.as_object().cloned().unwrap_or_default());
    (entry.status, entry.latency) = (Some(200), Some(41_000));
    entry
}

fn request(n: usize) -> String {
    format!("01a2b3c4-0000-7000-8000-{n:012}")
}
