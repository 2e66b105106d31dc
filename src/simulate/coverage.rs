//! What of a policy its tests exercise.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::answer::RuleName;
use crate::model::{ResourceKind, Rule, RuleKind};
use crate::policy::CompiledPolicy;
use crate::policy::set::item_name;

/// Every grant, deny and declared item, and whether a test exercised it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// In the order of the policy: grants, denies, items.
    pub lines: Vec<CoverageLine>,
}

/// One statement or item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct CoverageLine {
    /// The statement or item.
    pub rule: RuleName,
    /// Whether a grant or deny decided a request of a test, or a test named the item.
    pub covered: bool,
}

impl Coverage {
    /// How many are exercised.
    pub fn covered(&self) -> usize {
        self.lines.iter().filter(|line| line.covered).count()
    }

    /// The share that is exercised, in whole per cent, rounded down; 100 when there is nothing.
    pub fn percent(&self) -> u8 {
        let share = self.covered() * 100;
        share.checked_div(self.lines.len()).and_then(|p| u8::try_from(p).ok()).unwrap_or(100)
    }
}

/// What tests exercised so far.
#[derive(Debug, Default)]
pub(super) struct Covered {
    rules: BTreeSet<RuleName>,
    items: BTreeSet<(String, ResourceKind, String)>,
}

impl Covered {
    pub(super) fn rule(&mut self, rule: Option<Rule<'_>>) {
        self.rules.extend(rule.map(RuleName::from));
    }

    pub(super) fn item(&mut self, door: &str, kind: ResourceKind, name: &str) {
        self.items.insert((door.to_owned(), kind, name.to_owned()));
    }

    pub(super) fn of(&self, policy: &CompiledPolicy) -> Coverage {
        let (set, positions) = (policy.set(), policy.positions());
        let mut lines = Vec::new();
        let statements =
            [(RuleKind::Grant, &set.grants, &positions.grants), (RuleKind::Deny, &set.denies, &positions.denies)];
        for (kind, list, places) in statements {
            for (statement, position) in list.iter().zip(places) {
                let name = statement.name.as_deref().unwrap_or_default();
                let rule = RuleName::from(Rule { kind, name, position });
                let covered = self.rules.contains(&rule);
                lines.push(CoverageLine { rule, covered });
            }
        }
        for ((door, kind, name, _), position) in set.items().zip(&positions.items) {
            let key = (door.to_owned(), kind, name.to_owned());
            let at = if position.line > 0 { position.to_string() } else { String::new() };
            let rule = RuleName { kind: RuleKind::Item, name: format!("{door}:{}", item_name(kind, name)), at };
            lines.push(CoverageLine { rule, covered: self.items.contains(&key) });
        }
        Coverage { lines }
    }
}
