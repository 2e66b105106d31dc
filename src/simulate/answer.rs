//! One answer to one request, in a form that outlives the policy that gave it.

use serde::{Deserialize, Serialize};

use super::closed::nothing;
use crate::model::{Decision, Effect, Missing, Reason, Rule, RuleKind, Verdict};
use crate::traffic::{Decided, Foreign};

/// What was answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case", tag = "answer", deny_unknown_fields)]
pub enum Answer {
    /// Nothing is known of an answer.
    #[serde(deserialize_with = "nothing")]
    None,
    /// Allowed.
    Allow {
        /// The statement that decided.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<RuleName>,
    },
    /// Denied.
    Deny {
        /// The reason code.
        reason: Reason,
        /// The statement that decided, where one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<RuleName>,
    },
    /// What another system decided, in its own word.
    Foreign {
        /// What it came to.
        effect: Effect,
        /// The word in its log.
        said: String,
    },
    /// It depends on what was not recorded.
    Undecidable {
        /// The facts, and the argument path after `arguments:`.
        missing: Vec<String>,
    },
}

impl Answer {
    /// The statement that decided, where one did and is known.
    pub const fn rule(&self) -> Option<&RuleName> {
        match self {
            Self::Allow { rule } | Self::Deny { rule, .. } => rule.as_ref(),
            Self::None | Self::Foreign { .. } | Self::Undecidable { .. } => None,
        }
    }

    /// The reason of a deny, where it is known.
    pub const fn reason(&self) -> Option<Reason> {
        match self {
            Self::Deny { reason, .. } => Some(*reason),
            Self::None | Self::Allow { .. } | Self::Foreign { .. } | Self::Undecidable { .. } => None,
        }
    }
}

/// A statement by kind and name; of one without a name, its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleName {
    /// What kind of statement.
    pub kind: RuleKind,
    /// Its name; empty when it has none.
    pub name: String,
    /// Where it stands, as `file:line:column`; empty when that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
}

impl From<Rule<'_>> for RuleName {
    fn from(rule: Rule<'_>) -> Self {
        let at = if rule.position.line == 0 { String::new() } else { rule.position.to_string() };
        Self { kind: rule.kind, name: rule.name.to_owned(), at }
    }
}

impl RuleName {
    /// `grant support-desk`; of a statement without a name, its place.
    pub fn label(&self) -> String {
        format!("{} {}", self.kind, self.shown())
    }

    /// Its name; of a statement without one, its place.
    pub fn shown(&self) -> &str {
        if self.name.is_empty() { &self.at } else { &self.name }
    }
}

/// One side of a comparison, borrowed: what a policy says now, or what was recorded.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side<'a> {
    Nothing,
    Recorded(&'a Decided),
    Foreign(&'a Foreign),
    Judged(&'a Verdict<'a>),
}

impl<'a> Side<'a> {
    /// The effect, if there is a decided one.
    pub(super) fn effect(&self) -> Option<Effect> {
        match self {
            Self::Recorded(decided) => Some(decided.effect),
            Self::Foreign(foreign) => Some(foreign.effect),
            Self::Judged(Verdict::Decided(decision)) => Some(decision.effect),
            Self::Nothing | Self::Judged(Verdict::Undecided(_)) => None,
        }
    }

    pub(super) fn decision(&self) -> Option<&Decision<'a>> {
        match self {
            Self::Judged(Verdict::Decided(decision)) => Some(decision),
            _ => None,
        }
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        match self {
            Self::Recorded(decided) => Some(decided.reason),
            _ => self.decision().map(|d| d.reason),
        }
    }

    /// The statement by kind and name. Those without a name are not told apart: their places move
    /// with every edit above them.
    pub(super) fn rule(&self) -> Option<(RuleKind, &str)> {
        match self {
            Self::Recorded(decided) => decided.rule.as_ref().map(|r| (r.kind, r.name.as_str())),
            _ => self.decision().and_then(|d| d.rule).map(|r| (r.kind, r.name)),
        }
    }

    pub(super) fn answer(&self) -> Answer {
        let answer = |effect, reason, rule| match effect {
            Effect::Allow => Answer::Allow { rule },
            Effect::Deny => Answer::Deny { reason, rule },
        };
        match self {
            Self::Nothing => Answer::None,
            Self::Foreign(Foreign { effect, said, .. }) => Answer::Foreign { effect: *effect, said: said.clone() },
            Self::Recorded(Decided { effect, reason, rule, .. }) => {
                let rule = rule.as_ref();
                let named = rule.map(|r| RuleName { kind: r.kind, name: r.name.clone(), at: String::new() });
                answer(*effect, *reason, named)
            }
            Self::Judged(Verdict::Decided(d)) => answer(d.effect, d.reason, d.rule.map(Into::into)),
            Self::Judged(Verdict::Undecided(missing)) => Answer::Undecidable { missing: missing_names(missing) },
        }
    }
}

/// The missing facts by name; arguments with the path that was asked for.
pub(super) fn missing_names(missing: &Missing<'_>) -> Vec<String> {
    let name = |fact: &str| match missing.argument {
        Some(path) if fact == "arguments" => format!("arguments:{path}"),
        _ => fact.to_owned(),
    };
    missing.facts.names().map(name).collect()
}
