//! What a gateway says of itself: which policy is in force and why, and what came of the last attempt at
//! another. As JSON, and for a person.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::harmless;

/// The `schema` of a status.
pub const SCHEMA: &str = "doorward.status/v1";
/// The `schema` of the report of a reload.
pub const RELOAD_SCHEMA: &str = "doorward.reload/v1";

/// The state of one gateway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Status {
    /// The format of this document.
    pub schema: String,
    /// The version of doorward.
    pub doorward: String,
    /// The host.
    pub node: String,
    /// When the process started, in RFC 3339.
    pub started: String,
    /// Whether requests should be sent here.
    pub ready: bool,
    /// Why not, one code each.
    pub because: Vec<String>,
    /// The policy in force.
    pub policy: InForce,
    /// What is asked of the next one.
    pub gate: Gate,
    /// Whether changed files are noticed.
    pub watching: bool,
    /// The last attempt at another policy.
    pub reload: Option<Attempt>,
    /// The doors.
    pub doors: Vec<Door>,
    /// The issuers.
    pub issuers: Vec<Issuer>,
    /// The nodes of Vault, where the policy needs one.
    #[serde(default)]
    pub vault: Vec<VaultNode>,
    /// The audit log.
    pub audit: Audit,
    /// The recording of the traffic, where there is one.
    pub capture: Option<Capture>,
    /// Whether rates are counted for each gateway or for all together: `per-gateway`, `across-gateways` or
    /// `per-gateway-and-across`.
    pub rates: String,
}

/// A policy in force.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct InForce {
    /// Its digest.
    pub digest: String,
    /// How many were in force before it in this process.
    pub generation: u64,
    /// Since when, in RFC 3339.
    pub since: String,
    /// Why it may be: `first`, `open`, `rehearsed`, `narrowing` or `attested`.
    pub evidence: String,
    /// The same in a line.
    pub says: String,
}

/// What is asked of the next policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Gate {
    /// Whether anything is asked.
    pub open: bool,
    /// Whether an attestation is.
    pub attestation: bool,
    /// By one of which keys, by their ids.
    pub trusted: Vec<String>,
}

/// A door.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Door {
    /// Its name.
    pub name: String,
    /// `well`, `being-tried` or `left-alone`.
    pub state: String,
}

/// An issuer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Issuer {
    /// Its name.
    pub name: String,
    /// How many keys are known.
    pub keys: usize,
    /// How old they are, in seconds.
    pub age: Option<u64>,
    /// Why the last attempt to get them failed.
    pub failed: Option<String>,
}

/// A node of Vault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct VaultNode {
    /// Where it is.
    pub address: String,
    /// `in-charge`, `standby`, `sealed`, `uninitialised`, or the code of why it does not say.
    pub state: String,
    /// Whether it is the one that is asked for credentials.
    pub asked: bool,
}

/// The audit log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Audit {
    /// Where it is, without a password.
    pub store: String,
    /// Whether it can be written, as far as is known.
    pub available: bool,
    /// How many rows wait to be durable.
    pub waiting: u64,
    /// How many durable rows the store has lost, in this process.
    #[serde(default)]
    pub lost: u64,
}

/// The recording of the traffic, for rehearsals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Capture {
    /// The folder.
    pub directory: String,
    /// How many events were written since the process started.
    pub written: u64,
    /// How many could not be, of which recordings and rehearsals know.
    pub dropped: u64,
}

/// What came of an attempt at another policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Reloaded {
    /// It is in force.
    InForce,
    /// It decides as the one in force.
    Unchanged,
    /// It stays out.
    #[default]
    Refused,
}

impl Reloaded {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::InForce => "in-force",
            Self::Unchanged => "unchanged",
            Self::Refused => "refused",
        }
    }
}

/// An attempt at another policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Attempt {
    /// When, in RFC 3339.
    pub time: String,
    /// What asked for it: `files`, `signal` or `admin`.
    pub cause: String,
    /// What came of it.
    pub result: Reloaded,
    /// The digest of the candidate, as far as it has one.
    pub candidate: Option<String>,
    /// The digest of the policy that it was held against.
    pub in_force: String,
    /// Why it was refused.
    pub code: Option<String>,
    /// The same in a line; or why it may be in force.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
    /// Where the report is.
    pub report: Option<String>,
}

/// The status as JSON.
pub fn json(status: &Status) -> String {
    written(&json!(status))
}

/// What came of a reload, as JSON.
#[derive(Serialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
struct ReloadReport<'r> {
    /// The format of this document.
    schema: &'static str,
    #[serde(flatten)]
    attempt: &'r Attempt,
    /// The problems in full, for a person. In the report that is kept, and not in the answer to who asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'r str>,
    /// The rehearsal, where there was one (`doorward.simulation/v1`). In the report that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    simulation: Option<&'r Value>,
}

/// The answer to who asked for a reload, as JSON.
pub fn answer(attempt: &Attempt) -> String {
    written(&json!(ReloadReport { schema: RELOAD_SCHEMA, attempt, detail: None, simulation: None }))
}

/// The report of an attempt as JSON: with the problems in full, and the rehearsal.
pub fn attempt(attempt: &Attempt, detail: &str, simulation: Option<&Value>) -> String {
    written(&json!(ReloadReport { schema: RELOAD_SCHEMA, attempt, detail: Some(detail), simulation }))
}

/// The schemas of a status and of what came of a reload.
#[cfg(feature = "cli")]
pub fn schemas() -> (schemars::Schema, schemars::Schema) {
    (schemars::schema_for!(Status), schemars::schema_for!(ReloadReport<'_>))
}

fn written(value: &Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    text.push('\n');
    text
}

/// The status for a person.
pub fn human(status: &Status) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{name:<10} {}", harmless(value));
    };
    let Status { policy, gate, audit, .. } = status;
    line("gateway", &format!("doorward {} on {}, since {}", status.doorward, status.node, status.started));
    line("ready", &if status.ready { "yes".to_owned() } else { format!("no: {}", status.because.join(", ")) });
    line("policy", &policy.digest);
    line("", &format!("in force since {}, number {} of this process", policy.since, policy.generation + 1));
    line("", &policy.says);
    let asked = match (gate.open, gate.attestation) {
        (true, _) => "nothing is asked of the next policy".to_owned(),
        (false, false) => "the next policy is rehearsed".to_owned(),
        (false, true) => format!("the next policy must be attested by {}", gate.trusted.join(" or ")),
    };
    line("gate", &asked);
    line("watching", if status.watching { "changed files are noticed" } else { "only when told to reload" });
    if let Some(last) = &status.reload {
        line("reload", &format!("{} at {} ({})", last.result.word(), last.time, last.cause));
        line("", &last.candidate.clone().unwrap_or_else(|| "no policy".to_owned()));
        let code = last.code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
        line("", &format!("{}{code}", last.message));
        if let Some(help) = &last.help {
            line("", &format!("help: {help}"));
        }
        if let Some(report) = &last.report {
            line("", &format!("report: {report}"));
        }
    }
    for (number, door) in status.doors.iter().enumerate() {
        line(if number == 0 { "doors" } else { "" }, &format!("{} {}", door.name, door.state));
    }
    for (number, issuer) in status.issuers.iter().enumerate() {
        let age = issuer.age.map(|age| format!(", {age} s old")).unwrap_or_default();
        let failed = issuer.failed.as_ref().map(|code| format!(", {code}")).unwrap_or_default();
        let told = format!("{} has {} keys{age}{failed}", issuer.name, issuer.keys);
        line(if number == 0 { "issuers" } else { "" }, &told);
    }
    for (number, node) in status.vault.iter().enumerate() {
        let asked = if node.asked { ", and is asked" } else { "" };
        line(if number == 0 { "vault" } else { "" }, &format!("{} is {}{asked}", node.address, node.state));
    }
    let available = if audit.available { "can be written" } else { "CANNOT BE WRITTEN" };
    let waiting = if audit.waiting == 0 { String::new() } else { format!(", rows that wait: {}", audit.waiting) };
    let lost = if audit.lost == 0 { String::new() } else { format!(", ROWS THAT THE STORE LOST: {}", audit.lost) };
    line("audit", &format!("{} {available}{waiting}{lost}", audit.store));
    if let Some(capture) = &status.capture {
        let dropped =
            if capture.dropped == 0 { String::new() } else { format!(", {} COULD NOT BE KEPT", capture.dropped) };
        line("capture", &format!("{} has {} events of this process{dropped}", capture.directory, capture.written));
    }
    line("rates", &format!("counted {}", status.rates.replace('-', " ")));
    text
}

/// What came of a reload, for a person.
pub fn reloaded(attempt: &Attempt) -> String {
    let candidate = attempt.candidate.as_deref().unwrap_or("no policy");
    let mut text = match attempt.result {
        Reloaded::InForce => format!("{candidate} is in force: {}\n", attempt.message),
        Reloaded::Unchanged => format!("{candidate} is in force as before\n"),
        Reloaded::Refused => {
            let code = attempt.code.as_deref().unwrap_or("refused");
            format!("{candidate} stays out: {} ({code})\n", attempt.message)
        }
    };
    if let Some(help) = &attempt.help {
        text.push_str(&format!("  = help: {help}\n"));
    }
    if let Some(report) = &attempt.report {
        text.push_str(&format!("  = report: {report}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let refused = Attempt {
            time: "2026-03-02T14:00:00Z".into(),
            cause: "files".into(),
            candidate: Some("sha256:bb".into()),
            in_force: "sha256:aa".into(),
            code: Some("gate-broken".into()),
            message: "the gate is broken: max_newly_denied = 0, and there are 3".into(),
            help: Some("read the report".into()),
            report: Some("doorward-reload.json".into()),
            ..Attempt::default()
        };
        Status {
            schema: SCHEMA.into(),
            doorward: "0.1.0".into(),
            node: "gw-1".into(),
            started: "2026-03-02T12:00:00Z".into(),
            ready: false,
            because: vec!["audit-unavailable".into()],
            policy: InForce {
                digest: "sha256:aa".into(),
                generation: 2,
                since: "2026-03-02T13:00:00Z".into(),
                evidence: "rehearsed".into(),
                says: "every gate holds on 12 events".into(),
            },
            gate: Gate { open: false, attestation: true, trusted: vec!["k1".into()] },
            watching: true,
            reload: Some(refused),
            doors: vec![Door { name: "desk".into(), state: "well".into() }],
            issuers: vec![Issuer { name: "corp".into(), keys: 2, age: Some(30), failed: None }],
            vault: vec![
                VaultNode { address: "https://vault-1.example.com".into(), state: "sealed".into(), asked: false },
                VaultNode { address: "https://vault-2.example.com".into(), state: "in-charge".into(), asked: true },
            ],
            audit: Audit { store: "sqlite:doorward.db".into(), available: false, waiting: 1, lost: 2 },
            capture: Some(Capture { directory: "captured".into(), written: 12, dropped: 2 }),
            rates: "per-gateway".into(),
        }
    }

    #[test]
    fn a_person_sees_what_is_in_force_and_why_and_what_stays_out() {
        insta::assert_snapshot!(human(&status()));
        let read: Status = serde_json::from_str(&json(&status())).unwrap();
        assert_eq!(read, status());
        insta::assert_snapshot!(reloaded(status().reload.as_ref().unwrap()));
    }

    #[test]
    fn what_a_gateway_says_cannot_act_on_a_terminal() {
        let evil = Status { node: "\u{1b}[2J".into(), ..status() };
        assert!(!human(&evil).contains('\u{1b}'));
    }
}
