//! A request that an answer shows: as a command that asks again, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::analyze::Witness;
use crate::model::{ResourceKind, Timestamp};

/// The command that explains the request, for a POSIX shell.
pub fn command(witness: &Witness) -> String {
    let mut text = String::from("doorward explain");
    let mut flag = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = write!(text, " --{name} {}", quoted(value));
    };
    flag("issuer", &witness.issuer);
    flag("sub", &witness.subject);
    if let Some(agent) = &witness.agent {
        flag("agent", agent);
    }
    for group in &witness.groups {
        flag("groups", group);
    }
    for (name, values) in &witness.claims {
        for value in values {
            flag("claim", &format!("{name}={value}"));
        }
    }
    if !witness.scopes.is_empty() {
        flag("scope", &witness.scopes.join(" "));
    }
    flag("aud", &witness.audience);
    flag("age", &format!("{}s", witness.age));
    flag("lifetime", &format!("{}s", witness.lifetime));
    flag("now", &witness.now.to_string());
    if witness.place.kind == ResourceKind::Server {
        flag("method", witness.action().method());
    }
    if let Some(uri) = &witness.uri {
        flag("uri", uri);
    }
    if !witness.arguments.is_empty() {
        flag("args", &Value::Object(witness.arguments.clone()).to_string());
    }
    let _ = write!(text, " {}", quoted(&format!("{}:{}", witness.place.server, witness.place.item())));
    text
}

/// The text as one word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The JSON form.
#[derive(Serialize)]
pub(super) struct Json<'a> {
    call: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    uri: Option<&'a str>,
    now: Timestamp,
    issuer: &'a str,
    sub: &'a str,
    agent: Option<&'a str>,
    groups: &'a [String],
    claims: &'a BTreeMap<String, Vec<String>>,
    scopes: &'a [String],
    aud: &'a str,
    age: i64,
    lifetime: i64,
    arguments: &'a Map<String, Value>,
}

impl<'a> Json<'a> {
    pub(super) fn of(witness: &'a Witness) -> Self {
        Self {
            call: format!("{}:{}", witness.place.server, witness.place.item()),
            uri: witness.uri.as_deref(),
            now: witness.now,
            issuer: &witness.issuer,
            sub: &witness.subject,
            agent: witness.agent.as_deref(),
            groups: &witness.groups,
            claims: &witness.claims,
            scopes: &witness.scopes,
            aud: &witness.audience,
            age: witness.age,
            lifetime: witness.lifetime,
            arguments: &witness.arguments,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn nothing_leaves_its_word() {
        assert_eq!(quoted("tickets:refund"), "tickets:refund");
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("$(x) 'y' `z`"), r"'$(x) '\''y'\'' `z`'");
        assert_eq!(quoted("*"), "'*'");
    }
}
