//! A token taken apart for whoever holds it, for a person and as JSON (`doorward.token/v1`).
//!
//! Shows header and claims and never the signature, so that what is shown cannot be used.

use std::fmt::Write;

use serde::Serialize;
use serde_json::{Map, Value};

use super::style::Style;
use super::text::{harmless, pretty};
use crate::model::{Reason, Timestamp};

/// The name and version of the JSON format.
pub const SCHEMA: &str = "doorward.token/v1";

/// What is said of a token.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// Its header, if it can be read.
    pub header: Option<Map<String, Value>>,
    /// Its claims, if they can be read. Believed only when `problem` is `None`.
    pub claims: Option<Map<String, Value>>,
    /// The issuer that signed it, by its name in the policy; `None` when nobody did.
    pub issuer: Option<String>,
    /// Why it is not believed, or why nobody can say.
    pub problem: Option<Problem>,
    /// What each door makes of it. Empty when it is not believed.
    pub doors: Vec<Door>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The stable code.
    pub code: &'static str,
    /// One line.
    pub message: String,
    /// What to do next.
    pub help: String,
}

/// What a door makes of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Door {
    /// The server, by its name in the policy.
    pub door: String,
    /// Each check of the token that fails there.
    pub failed: Vec<Failed>,
}

/// A check that fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// The reason that a decision would give.
    pub reason: Reason,
    /// What was asked for.
    pub wanted: String,
    /// What the token has.
    pub found: String,
}

impl Inspection {
    /// Whether the token is believed and at least one door takes it.
    pub fn is_good(&self) -> bool {
        self.problem.is_none() && self.doors.iter().any(|door| door.failed.is_empty())
    }
}

/// The inspection for a person.
pub fn human(inspection: &Inspection, now: Timestamp, style: Style) -> String {
    let mut out = String::new();
    members(&mut out, "header", inspection.header.as_ref(), now, style);
    members(&mut out, "claims", inspection.claims.as_ref(), now, style);
    // Writing to a string cannot fail.
    let _ = match (&inspection.problem, &inspection.issuer) {
        (Some(problem), _) => writeln!(
            out,
            "{}: {} [{}]\n  = help: {}",
            style.bad("not verified"),
            harmless(&problem.message),
            problem.code,
            harmless(&problem.help)
        ),
        (None, Some(issuer)) => writeln!(out, "{}: signed by issuer `{}`", style.good("verified"), harmless(issuer)),
        (None, None) => Ok(()),
    };
    for door in &inspection.doors {
        let name = style.strong(harmless(&door.door));
        if door.failed.is_empty() {
            let _ = writeln!(out, "  {name}: {}", style.good("taken"));
        }
        for failed in &door.failed {
            let _ = writeln!(
                out,
                "  {name}: {} {} [{}]\n    asked for {}, has {}",
                style.bad("refused:"),
                failed.reason.text(),
                failed.reason,
                harmless(&failed.wanted),
                harmless(&failed.found)
            );
        }
    }
    out
}

fn members(out: &mut String, title: &str, members: Option<&Map<String, Value>>, now: Timestamp, style: Style) {
    let Some(members) = members else {
        let _ = writeln!(out, "{}: cannot be read", style.strong(title));
        return;
    };
    let _ = writeln!(out, "{}", style.strong(title));
    let width = members.keys().map(|name| name.chars().count()).max().unwrap_or(0).min(24);
    for (name, value) in members {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let instant = matches!(name.as_str(), "exp" | "iat" | "nbf" | "auth_time").then(|| value.as_i64()).flatten();
        let instant = instant.map(|at| format!("  {}", style.faint(when(Timestamp(at), now)))).unwrap_or_default();
        let _ = writeln!(out, "  {:width$}  {}{instant}", harmless(name), harmless(&text));
    }
}

/// An instant, and how far from now.
fn when(at: Timestamp, now: Timestamp) -> String {
    let apart = at.since(now);
    let (number, unit) = match apart.unsigned_abs() {
        seconds @ 0..120 => (seconds, "s"),
        seconds @ 120..7_200 => (seconds / 60, "min"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "h"),
        seconds => (seconds / 86_400, "d"),
    };
    if apart < 0 { format!("{at}, {number} {unit} ago") } else { format!("{at}, in {number} {unit}") }
}

/// The inspection as one JSON document. `digest` is that of the policy.
pub fn json(inspection: &Inspection, digest: &str) -> String {
    #[derive(Serialize)]
    struct Report<'a> {
        schema: &'static str,
        policy: &'a str,
        good: bool,
        #[serde(flatten)]
        inspection: &'a Inspection,
    }
    pretty(&Report { schema: SCHEMA, policy: digest, good: inspection.is_good(), inspection })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Option<Map<String, Value>> {
        value.as_object().cloned()
    }

    #[test]
    fn a_token_is_shown_with_what_each_door_makes_of_it() {
        let failed = Failed {
            reason: Reason::Audience,
            wanted: "`https://mcp.example.com/b`".into(),
            found: "`https://mcp.example.com/a`".into(),
        };
        let inspection = Inspection {
            header: object(&json!({ "alg": "EdDSA", "kid": "k\u{1b}[31m" })),
            claims: object(&json!({ "exp": 100, "iat": -1, "sub": "ana", "groups": ["a", "b"] })),
            issuer: Some("corp".into()),
            problem: None,
            doors: vec![Door { door: "a".into(), failed: Vec::new() }, Door { door: "b".into(), failed: vec![failed] }],
        };
        assert!(inspection.is_good());
        insta::assert_snapshot!(human(&inspection, Timestamp(40), Style::default()), @r#"
        header
          alg  EdDSA
          kid  k␛[31m
        claims
          exp     100  1970-01-01T00:01:40Z, in 60 s
          groups  ["a","b"]
          iat     -1  1969-12-31T23:59:59Z, 41 s ago
          sub     ana
        verified: signed by issuer `corp`
          a: taken
          b: refused: the token was not issued for this door [audience]
            asked for `https://mcp.example.com/b`, has `https://mcp.example.com/a`
        "#);
    }

    #[test]
    fn a_token_that_is_not_believed_says_why() {
        let problem =
            Problem { code: "token-type", message: "it is no access token".into(), help: "ask for one".into() };
        let inspection =
            Inspection { header: None, claims: None, issuer: None, problem: Some(problem), doors: Vec::new() };
        assert!(!inspection.is_good());
        insta::assert_snapshot!(human(&inspection, Timestamp(0), Style::default()), @"
        header: cannot be read
        claims: cannot be read
        not verified: it is no access token [token-type]
          = help: ask for one
        ");
        insta::assert_snapshot!(json(&inspection, "sha256:0"), @r#"
        {
          "schema": "doorward.token/v1",
          "policy": "sha256:0",
          "good": false,
          "header": null,
          "claims": null,
          "issuer": null,
          "problem": {
            "code": "token-type",
            "message": "it is no access token",
            "help": "ask for one"
          },
          "doors": []
        }
        "#);
    }
}
