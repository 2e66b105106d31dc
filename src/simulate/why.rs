//! Why one sampled event came out as it did, in a form that outlives the policy.
//!
//! Made by [`crate::pdp::explain`] while the event is at hand, so that no renderer needs the event,
//! and bounded: a report holds the nearest of what an explanation finds, and says how much it
//! leaves out. It is for the operator: it shows the values of the conditions that decided.

use serde::{Deserialize, Serialize};

use super::answer::RuleName;
use crate::model::{Request, RuleKind};
use crate::pdp::{self, Condition, Outcome};
use crate::policy::CompiledPolicy;

/// The most checks, statements and edits that are kept of one explanation, each.
const MOST: usize = 4;
/// The longest text that is kept, in characters.
const LONGEST: usize = 240;

/// Why an event came out as it did.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// The checks that did not pass, in the order of the decision.
    pub failed: Vec<Condition>,
    /// The statements that cover the item: those that apply first, then those that came near.
    pub statements: Vec<Considered>,
    /// How many further statements cover it.
    pub more_statements: u64,
    /// What would allow it, the nearest first. Empty when it is allowed.
    pub advice: Vec<String>,
}

/// A statement that covers the item of an event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Considered {
    /// The statement.
    pub rule: RuleName,
    /// Whether it applies.
    pub applies: Outcome,
    /// The first condition that it failed or could not judge; none when it applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmet: Option<Condition>,
}

impl Why {
    /// Why the policy answers the request as it does.
    pub(super) fn of(policy: &CompiledPolicy, request: &Request<'_>) -> Self {
        let explanation = pdp::explain(policy, request);
        let failed = explanation.checks.into_iter().filter(|check| check.outcome != Outcome::Yes);
        let mut statements: Vec<Considered> = explanation
            .statements
            .into_iter()
            .map(|one| Considered {
                rule: one.rule.into(),
                applies: one.outcome,
                unmet: one.condition.map(bounded_condition),
            })
            .collect();
        statements.sort_by_key(|one| match (one.applies, one.rule.kind) {
            (Outcome::Yes, _) => 0,
            (Outcome::Unknown, _) => 1,
            // A deny that does not apply is not what stands in the way.
            (Outcome::No, RuleKind::Deny) => 4,
            // One that is for this subject came nearer than one that is for others.
            (Outcome::No, _) => 2 + u8::from(one.unmet.as_ref().is_some_and(|unmet| unmet.field.starts_with("to."))),
        });
        let more_statements = statements.len().saturating_sub(MOST) as u64;
        statements.truncate(MOST);
        Self {
            failed: failed.map(|check| bounded_condition(check.condition)).take(MOST).collect(),
            statements,
            more_statements,
            advice: explanation.advice.iter().map(ToString::to_string).map(bounded).take(MOST).collect(),
        }
    }
}

fn bounded_condition(condition: Condition) -> Condition {
    let Condition { field, wanted, found } = condition;
    Condition { field: bounded(field), wanted: bounded(wanted), found: bounded(found) }
}

fn bounded(text: String) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some(_) => text.chars().take(LONGEST).chain("…".chars()).collect(),
    }
}
