//! What each statement of the candidate would have decided, whatever did decide.

use super::report::{StatementHits, Usage};
use crate::model::{RuleKind, Verdict};
use crate::policy::CompiledPolicy;

/// How often one statement applied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Applied {
    pub(super) events: u64,
    /// Of these, those that something else denied, and those that cannot be decided.
    pub(super) denied: u64,
    pub(super) undecidable: u64,
}

/// How often each statement applied.
#[derive(Debug)]
pub(super) struct Reaches {
    grants: Vec<Applied>,
    denies: Vec<Applied>,
}

impl Reaches {
    pub(super) fn of(policy: &CompiledPolicy) -> Self {
        let set = policy.set();
        let none = |count: usize| vec![Applied::default(); count];
        Self { grants: none(set.grants.len()), denies: none(set.denies.len()) }
    }

    /// Adds events to which a statement applied, with what came of them.
    pub(super) fn add(
        &mut self,
        policy: &CompiledPolicy,
        (kind, number): (RuleKind, u32),
        verdict: Verdict<'_>,
        events: u64,
    ) {
        let list = if kind == RuleKind::Grant { &mut self.grants } else { &mut self.denies };
        let Some(applied) = list.get_mut(number as usize) else { return };
        applied.events += events;
        match verdict {
            Verdict::Undecided(_) => applied.undecidable += events,
            Verdict::Decided(decision) if !decision.is_allow() => {
                let own = policy.positions().denies.get(number as usize).filter(|_| kind == RuleKind::Deny);
                let itself = decision.rule.is_some_and(|rule| own.is_some_and(|own| std::ptr::eq(own, rule.position)));
                applied.denied += if itself { 0 } else { events };
            }
            Verdict::Decided(_) => {}
        }
    }

    pub(super) fn get(&self, kind: RuleKind, number: usize) -> Applied {
        let list = if kind == RuleKind::Grant { &self.grants } else { &self.denies };
        list.get(number).copied().unwrap_or_default()
    }
}

impl StatementHits {
    /// What the counts come to.
    pub(super) const fn find_usage(&self) -> Usage {
        let grant = matches!(self.rule.kind, RuleKind::Grant);
        let others = self.applied_denied + self.applied_undecidable;
        if self.decided > 0 {
            Usage::Decides
        } else if self.applied == 0 {
            Usage::Never
        } else if self.applied > others || (!grant && self.applied_denied > 0) {
            Usage::Shadowed
        } else if self.applied_denied > 0 {
            Usage::OnlyDenied
        } else {
            Usage::OnlyUndecidable
        }
    }
}
