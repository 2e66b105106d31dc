//! One decision, for a person and as JSON (`doorward.decision/v1`).
//!
//! Says what was decided and by what. Why not otherwise is the explanation's to say.

use std::fmt::Write;

use serde::Serialize;

use super::style::Style;
use super::text::{harmless, pretty};
use crate::model::{Decision, Effect, Missing, Obligations, Position, Reason, RuleKind};

/// The name and version of the JSON format.
pub const SCHEMA: &str = "doorward.decision/v1";

/// A few lines for a person.
pub fn human(decision: &Decision<'_>, style: Style) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = match decision.effect {
        Effect::Allow => writeln!(out, "{}: {}", style.good("allow"), decision.reason.text()),
        Effect::Deny => writeln!(out, "{}: {} [{}]", style.bad("deny"), decision.reason.text(), decision.reason),
    };
    if let Some(rule) = decision.rule {
        let _ = writeln!(
            out,
            "  {} `{}` at {}",
            rule.kind,
            harmless(rule.name),
            style.faint(harmless(&rule.position.to_string()))
        );
    }
    if !decision.missing.is_empty() {
        let _ = writeln!(out, "  not known: {}", missing(&decision.missing));
    }
    if let Some(obligations) = decision.obligations.filter(|_| decision.is_allow()) {
        let _ = writeln!(out, "  {}", duties(&obligations));
    }
    out
}

/// The facts that were not known, with the first argument among them.
pub fn missing(missing: &Missing<'_>) -> String {
    let mut names: Vec<String> = missing.facts.names().map(str::to_owned).collect();
    names.extend(missing.argument.map(|path| format!("argument `{}`", harmless(path))));
    names.join(", ")
}

fn duties(obligations: &Obligations<'_>) -> String {
    let mut text = format!("recorded as `{}`", harmless(obligations.audit));
    for limit in obligations.rates {
        let _ = write!(text, ", at most {limit}");
    }
    if let Some(ttl) = obligations.credential_ttl {
        let _ = write!(text, ", credential for at most {ttl} s");
    }
    text
}

/// The decision as one JSON document. `digest` is that of the policy.
pub fn json(decision: &Decision<'_>, digest: &str) -> String {
    pretty(&Report {
        schema: SCHEMA,
        policy: digest,
        effect: decision.effect,
        reason: decision.reason,
        message: decision.reason.text(),
        rule: decision.rule.map(|rule| RuleJson { kind: rule.kind, name: rule.name, place: rule.position }),
        missing: decision.missing.facts.names().collect(),
        missing_argument: decision.missing.argument,
        obligations: decision.obligations,
    })
}

#[derive(Serialize)]
struct Report<'a> {
    schema: &'static str,
    policy: &'a str,
    effect: Effect,
    reason: Reason,
    message: &'static str,
    rule: Option<RuleJson<'a>>,
    missing: Vec<&'static str>,
    missing_argument: Option<&'a str>,
    obligations: Option<Obligations<'a>>,
}

#[derive(Serialize)]
struct RuleJson<'a> {
    kind: RuleKind,
    name: &'a str,
    place: &'a Position,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FactSet, Rate, RateKey, Rule};

    #[test]
    fn a_decision_says_what_decided_and_what_follows() {
        let position = Position { file: "policies.toml".into(), line: 3, column: 8 };
        let rates = [Rate { count: 10, seconds: 60, per: RateKey::Subject, shared: false }];
        let allow = Decision {
            effect: Effect::Allow,
            reason: Reason::Granted,
            rule: Some(Rule { kind: RuleKind::Grant, name: "desk", position: &position }),
            obligations: Some(Obligations { audit: "financial", rates: &rates, credential_ttl: Some(600) }),
            missing: Missing::NONE,
        };
        insta::assert_snapshot!(human(&allow, Style::PLAIN), @"
        allow: a grant allows it and nothing forbids it
          grant `desk` at policies.toml:3:8
          recorded as `financial`, at most 10/min per subject, credential for at most 600 s
        ");
        let facts = FactSet::GROUPS.union(FactSet::ARGUMENTS);
        let deny = Decision {
            effect: Effect::Deny,
            reason: Reason::MissingFact,
            rule: None,
            obligations: None,
            missing: Missing { facts, argument: Some("amount") },
        };
        insta::assert_snapshot!(human(&deny, Style::PLAIN), @"
        deny: a fact that the policy asks about is not known [missing-fact]
          not known: groups, arguments, argument `amount`
        ");
        insta::assert_snapshot!(json(&allow, "sha256:00"), @r#"
        {
          "schema": "doorward.decision/v1",
          "policy": "sha256:00",
          "effect": "allow",
          "reason": "granted",
          "message": "a grant allows it and nothing forbids it",
          "rule": {
            "kind": "grant",
            "name": "desk",
            "place": {
              "file": "policies.toml",
              "line": 3,
              "column": 8
            }
          },
          "missing": [],
          "missing_argument": null,
          "obligations": {
            "audit": "financial",
            "rates": [
              {
                "count": 10,
                "seconds": 60,
                "per": "subject"
              }
            ],
            "credential_ttl": 600
          }
        }
        "#);
    }
}
