//! What of a policy the traffic did not ask for: nothing is known of how it is used, whatever the rest of a report says.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::answer::RuleName;
use crate::model::{Rule, RuleKind};
use crate::policy::CompiledPolicy;
use crate::policy::set::item_name;

/// The declared tools, prompts and resources that no event is about, of a URI only by the pattern that is the most specific.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Untouched {
    /// How many are declared.
    pub declared: u64,
    /// Those that no event is about, in the order of the policy.
    pub list: Vec<RuleName>,
}

impl Untouched {
    /// What no part asked for, nobody did.
    pub(super) fn merge(&mut self, other: Self) {
        let theirs: BTreeSet<RuleName> = other.list.into_iter().collect();
        self.list.retain(|mine| theirs.contains(mine));
    }
}

/// What was asked for so far.
#[derive(Debug)]
pub(super) struct Touching<'p> {
    policy: &'p CompiledPolicy,
    touched: HashSet<&'p str, foldhash::fast::FixedState>,
}

impl<'p> Touching<'p> {
    pub(super) fn of(policy: &'p CompiledPolicy) -> Self {
        Self { policy, touched: HashSet::default() }
    }

    /// A request was about this declaration.
    pub(super) fn touch(&mut self, item: Rule<'p>) {
        self.touched.insert(item.name);
    }

    pub(super) fn untouched(&self) -> Untouched {
        let items = self.policy.set().items().zip(&self.policy.positions().items);
        let mut found = Untouched::default();
        for ((door, kind, name, _), position) in items {
            found.declared += 1;
            let name = format!("{door}:{}", item_name(kind, name));
            if !self.touched.contains(name.as_str()) {
                found.list.push(Rule { kind: RuleKind::Item, name: &name, position }.into());
            }
        }
        found
    }
}
