//! Everything of a policy that covers one request, whatever decides it.
//!
//! It does not stop at the first statement that applies, so it shows what a decision hides. It
//! never decides and never allocates.

use super::evaluate::{Case, Groups, Standing, resolve};
use crate::model::{Obligations, Request, Rule, RuleKind};
use crate::policy::matcher::ArgRules;
use crate::policy::{CompiledPolicy, Entry, Target};

/// What of a policy covers a request.
#[derive(Clone, Copy)]
pub(crate) struct Survey<'p, 'r> {
    case: Case<'p, 'r>,
}

/// How far a statement that is about the subject gets with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// It applies.
    Applies,
    /// It would, but for its argument rules.
    Args,
    /// It would have, before its end date.
    Expired,
    /// It depends on facts that are not known.
    Depends,
}

/// A statement that is about the subject and covers what it asks for.
#[derive(Clone, Copy)]
pub(crate) struct Covering<'p> {
    pub(crate) kind: RuleKind,
    /// Its number among the grants, or among the denies.
    pub(crate) number: u32,
    pub(crate) reach: Reach,
    policy: &'p CompiledPolicy,
    entry: &'p Entry,
    target: &'p Target,
    at_door: bool,
}

impl<'p> Covering<'p> {
    /// The argument rules that it lays on the item.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &'p ArgRules> + use<'p> {
        self.policy.index().rules(self.entry, self.target, self.at_door)
    }
}

impl<'p, 'r> Survey<'p, 'r> {
    /// `None` when the request reaches nothing that is declared.
    pub(crate) fn of(policy: &'p CompiledPolicy, request: &'r Request<'r>) -> Option<Self> {
        resolve(policy, request).ok().map(|case| Self { case })
    }

    /// The door, if it has a rate of its own: then that is the first of the obligations' rates.
    pub(crate) fn rated_door(&self) -> Option<&'p str> {
        let policy = self.case.policy;
        let door = policy.index().text(self.case.door.name);
        policy.set().servers.get(door).and_then(|server| server.rate).map(|_| door)
    }

    /// The declaration, as `door:item`; of a URI the most specific pattern.
    pub(crate) fn item(&self) -> Rule<'p> {
        super::token::target_rule(self.case.policy.index(), self.case.target)
    }

    /// The argument rules of the declaration.
    pub(crate) fn declared(&self) -> &'p ArgRules {
        &self.case.target.args
    }

    /// What holds for the request once it is allowed.
    pub(crate) fn obligations(&self) -> Obligations<'p> {
        self.case.obligations()
    }

    /// Visits each grant and each deny that is about the subject and covers the item. One that asks
    /// for several of the subject's groups, or covers the item in several ways, comes more than once.
    pub(crate) fn statements(&self, visit: &mut impl FnMut(&Covering<'p>)) {
        let policy = self.case.policy;
        let groups = Groups::of(self.case.request);
        let mut one = |kind, (filed, target, at_door)| {
            let grant = kind == RuleKind::Grant;
            let statements = if grant { &policy.set().grants } else { &policy.set().denies };
            let hold = if grant { ArgRules::permit } else { ArgRules::forbid };
            self.case.each(filed, &groups, &mut |entry, selected| {
                let reach = match self.case.standing(entry, selected, statements, target, at_door, hold) {
                    Standing::Elsewhere => return,
                    Standing::Applies => Reach::Applies,
                    Standing::ArgsFail(_) => Reach::Args,
                    Standing::Expired => Reach::Expired,
                    Standing::Depends(_) => Reach::Depends,
                };
                visit(&Covering { kind, number: entry.statement, reach, policy, entry, target, at_door });
            });
        };
        self.case.filed_grants().for_each(|place| one(RuleKind::Grant, place));
        self.case.filed_denies().for_each(|place| one(RuleKind::Deny, place));
    }
}
