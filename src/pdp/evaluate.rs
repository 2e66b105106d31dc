//! The one evaluation behind [`super::decide`], [`super::judge`] and the explanation.
//!
//! Every check either passes, fails, or depends on facts that are not known. One failure denies,
//! whatever is unknown; without a failure, anything unknown leaves the answer open; only when all
//! checks pass is the request allowed.

use super::selector::{caller, selects};
use super::token::{Standard, check, server_rule, shorter, target_rule};
use super::truth::{Truth, join};
use crate::model::{
    Arguments, Decision, Effect, Fact, FactSet, Missing, Obligations, Reason, Request, ResourceKind, Rule, RuleKind,
    Strings, Verdict,
};
use crate::policy::matcher::{ArgRules, ArgsOutcome};
use crate::policy::set::Statement;
use crate::policy::{CompiledPolicy, Door, Entry, Filed, GroupHash, GroupSet, Index, Target};

/// What the checks so far have come to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Checks<'p> {
    /// The first failure, with the statement behind it.
    failed: Option<(Reason, Option<Rule<'p>>)>,
    missing: Missing<'p>,
}

impl<'p> Checks<'p> {
    pub(super) fn fail(&mut self, reason: Reason, rule: Option<Rule<'p>>) {
        self.failed = self.failed.or(Some((reason, rule)));
    }

    pub(super) fn lack(&mut self, facts: FactSet) {
        self.missing.facts = self.missing.facts.union(facts);
    }

    fn depend(&mut self, missing: Missing<'p>) {
        self.missing = join(self.missing, missing);
    }

    const fn has_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// The first failure, or else what the answer lacks.
    pub(super) const fn outcome(&self) -> (Option<(Reason, Option<Rule<'p>>)>, Missing<'p>) {
        (self.failed, self.missing)
    }
}

/// A request with the part of the policy that it reaches.
#[derive(Clone, Copy)]
pub(super) struct Case<'p, 'r> {
    pub(super) policy: &'p CompiledPolicy,
    pub(super) request: &'r Request<'r>,
    pub(super) door: &'p Door,
    /// The tool, prompt or server, or the most specific URI pattern.
    pub(super) target: &'p Target,
    pub(super) caller: Fact<&'p str>,
}

/// Finds what a request reaches.
pub(super) fn resolve<'p, 'r>(policy: &'p CompiledPolicy, request: &'r Request<'r>) -> Result<Case<'p, 'r>, Reason> {
    let index = policy.index();
    let resource = &request.resource;
    if !request.action.reaches().contains(&resource.kind) {
        return Err(Reason::UnknownMethod);
    }
    let unknown = |reason| if index.door(resource.door).is_none() { Reason::UnknownDoor } else { reason };
    let (door, target) = match resource.kind {
        ResourceKind::Tool => {
            index.target(resource.door, resource.kind, resource.name).ok_or_else(|| unknown(Reason::UnknownTool))?
        }
        ResourceKind::Prompt => {
            index.target(resource.door, resource.kind, resource.name).ok_or_else(|| unknown(Reason::UnknownPrompt))?
        }
        ResourceKind::Server => {
            let door = index.door(resource.door).ok_or(Reason::UnknownDoor)?;
            (door, index.session(door).ok_or(Reason::UnknownDoor)?)
        }
        ResourceKind::Resource => {
            let door = index.door(resource.door).ok_or(Reason::UnknownDoor)?;
            (door, index.uris(door, resource.name).next().ok_or(Reason::UnknownResource)?)
        }
    };
    Ok(Case { policy, request, door, target, caller: caller(index, &request.subject) })
}

pub(super) fn judge<'p>(policy: &'p CompiledPolicy, request: &Request<'_>) -> Verdict<'p> {
    let case = match resolve(policy, request) {
        Ok(case) => case,
        Err(reason) => return Verdict::Decided(deny(reason, None, None)),
    };
    let mut checks = Checks::default();
    check(&case.standard(), request, &mut checks);
    let mut rule = None;
    let groups = if checks.has_failed() { Groups::default() } else { Groups::of(request) };
    if !checks.has_failed() {
        case.check_caller(&mut checks);
    }
    if !checks.has_failed() {
        case.check_denies(&groups, &mut checks);
    }
    if !checks.has_failed() {
        case.check_scope(&mut checks);
    }
    if !checks.has_failed() {
        rule = case.check_grants(&groups, &mut checks);
    }
    if !checks.has_failed() {
        case.check_args(&mut checks);
    }
    let obligations = case.obligations();
    match checks.failed {
        Some((reason, rule)) => Verdict::Decided(deny(reason, rule, Some(obligations))),
        None if !checks.missing.is_empty() => Verdict::Undecided(checks.missing),
        None => Verdict::Decided(Decision {
            effect: Effect::Allow,
            reason: Reason::Granted,
            rule,
            obligations: Some(obligations),
            missing: Missing::NONE,
        }),
    }
}

const fn deny<'p>(reason: Reason, rule: Option<Rule<'p>>, obligations: Option<Obligations<'p>>) -> Decision<'p> {
    Decision { effect: Effect::Deny, reason, rule, obligations, missing: Missing::NONE }
}

/// How far one statement gets with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing<'p> {
    /// Its selector is not about the subject.
    Elsewhere,
    /// It has expired; else it would have been about the subject.
    Expired,
    /// Its argument rules do not hold; this path is the first that fails.
    ArgsFail(&'p str),
    /// It depends on facts that are not known.
    Depends(Missing<'p>),
    /// It applies.
    Applies,
}

impl<'p, 'r> Case<'p, 'r> {
    fn index(&self) -> &'p Index {
        self.policy.index()
    }

    pub(super) fn obligations(&self) -> Obligations<'p> {
        let audit = self.index().text(self.target.audit);
        Obligations { audit, rates: &self.target.rates, credential_ttl: self.target.credential_ttl }
    }

    /// What the token is held against. Every URI pattern that matches has a say in the lifetime.
    pub(super) fn standard(&self) -> Standard<'p> {
        let of_target = |t: &'p Target| t.token_ttl.map(|ttl| (ttl, target_rule(self.index(), t)));
        let mut ttl = of_target(self.target);
        if self.request.resource.kind == ResourceKind::Resource {
            ttl = self.targets().fold(ttl, |ttl, t| shorter(ttl, of_target(t)));
        }
        let issuer = match self.request.subject.issuer {
            Fact::Known(name) => self.policy.index().issuer(name).map_or(Fact::Absent, Fact::Known),
            Fact::Absent => Fact::Absent,
            Fact::Unknown => Fact::Unknown,
        };
        let of_door = self.door.token_ttl.map(|ttl| (ttl, server_rule(self.index(), self.door)));
        Standard { index: self.index(), door: self.door, issuer, ttl: shorter(ttl, of_door) }
    }

    /// Everything that names the resource: for a URI each pattern that matches.
    pub(super) fn targets(&self) -> impl Iterator<Item = &'p Target> + use<'p, 'r> {
        let Self { policy, request, door, target, .. } = *self;
        let others = (request.resource.kind == ResourceKind::Resource)
            .then(|| policy.index().uris(door, request.resource.name).skip(1));
        std::iter::once(target).chain(others.into_iter().flatten())
    }

    pub(super) fn check_caller(&self, checks: &mut Checks<'p>) {
        match self.caller {
            Fact::Absent => {}
            Fact::Known(server) if self.door.callers.iter().any(|c| **c == *server) => {}
            Fact::Known(_) => checks.fail(Reason::Caller, Some(server_rule(self.index(), self.door))),
            Fact::Unknown => checks.lack(FactSet::ISSUER.union(FactSet::SUBJECT)),
        }
    }

    pub(super) fn check_denies(&self, groups: &Groups, checks: &mut Checks<'p>) {
        let mut first: Option<u32> = None;
        for (filed, target, at_door) in self.filed_denies() {
            self.each(filed, groups, &mut |entry, selected| {
                if first.is_some_and(|f| f <= entry.statement) {
                    return;
                }
                match self.standing(entry, selected, &self.policy.set().denies, target, at_door, ArgRules::forbid) {
                    Standing::Applies => first = Some(entry.statement),
                    Standing::Depends(missing) => checks.depend(missing),
                    Standing::Elsewhere | Standing::Expired | Standing::ArgsFail(_) => {}
                }
            });
        }
        if let Some(number) = first {
            checks.fail(Reason::DeniedBy, self.deny_rule(number));
        }
    }

    /// Every deny that applies, in the order of the policy.
    pub(super) fn applying_denies(&self) -> Vec<Rule<'p>> {
        let denies = &self.policy.set().denies;
        let mut numbers = std::collections::BTreeSet::new();
        for (filed, target, at_door) in self.filed_denies() {
            let applies = |entry: &&'p Entry| {
                self.standing(entry, false, denies, target, at_door, ArgRules::forbid) == Standing::Applies
            };
            numbers.extend(self.index().all(filed).filter(applies).map(|entry| entry.statement));
        }
        numbers.into_iter().filter_map(|number| self.deny_rule(number)).collect()
    }

    pub(super) fn check_scope(&self, checks: &mut Checks<'p>) {
        let Some(mut carrying) = self.index().scopes(self.target) else { return };
        match self.request.context.token.scopes {
            Fact::Known(scopes) if carrying.any(|scope| scopes.contains(scope)) => {}
            Fact::Known(_) | Fact::Absent => {
                checks.fail(Reason::ScopeMissing, Some(target_rule(self.index(), self.target)));
            }
            Fact::Unknown => checks.lack(FactSet::SCOPES),
        }
    }

    /// Finds the first grant that applies, and returns it as a rule.
    pub(super) fn check_grants(&self, groups: &Groups, checks: &mut Checks<'p>) -> Option<Rule<'p>> {
        let mut granted: Option<u32> = None;
        let mut expired: Option<u32> = None;
        let mut args: Option<u32> = None;
        let mut missing = Missing::NONE;
        let lower = |best: Option<u32>, number: u32| Some(best.map_or(number, |b| b.min(number)));
        for (filed, target, at_door) in self.filed_grants() {
            self.each(filed, groups, &mut |entry, selected| {
                if granted.is_some_and(|g| g <= entry.statement) {
                    return;
                }
                match self.standing(entry, selected, &self.policy.set().grants, target, at_door, ArgRules::permit) {
                    Standing::Applies => granted = Some(entry.statement),
                    Standing::Expired => expired = lower(expired, entry.statement),
                    Standing::ArgsFail(_) => args = lower(args, entry.statement),
                    Standing::Depends(more) => missing = join(missing, more),
                    Standing::Elsewhere => {}
                }
            });
        }
        if let Some(number) = granted {
            return self.grant_rule(number);
        }
        if !missing.is_empty() {
            checks.depend(missing);
        } else if let Some(number) = args {
            checks.fail(Reason::Args, self.grant_rule(number));
        } else if let Some(number) = expired {
            checks.fail(Reason::GrantExpired, self.grant_rule(number));
        } else {
            checks.fail(Reason::NoGrant, None);
        }
        None
    }

    /// The argument rules of the tool itself, which hold for every caller.
    pub(super) fn check_args(&self, checks: &mut Checks<'p>) {
        match self.target.args.permit(&self.request.context.arguments) {
            ArgsOutcome::Hold => {}
            ArgsOutcome::Fail(_) => checks.fail(Reason::Args, Some(target_rule(self.index(), self.target))),
            ArgsOutcome::Unknown(path) => checks.depend(argument(path.as_str())),
        }
    }

    /// The lists in which a deny of the resource may be filed: every URI pattern counts. The last of
    /// the three says whether the list is the door's, where argument rules must still be matched to
    /// the item.
    pub(super) fn filed_denies(&self) -> impl Iterator<Item = (Filed, &'p Target, bool)> + use<'p, 'r> {
        // The server itself has all its statements in its own list.
        let door = self.door;
        let at_door = (self.request.resource.kind != ResourceKind::Server).then_some(door.denies);
        self.targets()
            .flat_map(move |t| std::iter::once((t.denies, t, false)).chain(at_door.map(|filed| (filed, t, true))))
    }

    /// The lists for grants: of several URI patterns only the most specific one can be granted.
    pub(super) fn filed_grants(&self) -> impl Iterator<Item = (Filed, &'p Target, bool)> + use<'p> {
        let door =
            (self.request.resource.kind != ResourceKind::Server).then_some((self.door.grants, self.target, true));
        std::iter::once((self.target.grants, self.target, false)).chain(door)
    }

    /// Calls `visit` with each entry that can apply, and with whether its selector is known to hold.
    pub(super) fn each(&self, filed: Filed, groups: &Groups, visit: &mut impl FnMut(&'p Entry, bool)) {
        let index = self.index();
        if filed.has_groups() {
            match self.request.subject.groups {
                Fact::Known(_) if !filed.may_name(groups.set) => {}
                Fact::Known(names) => {
                    for group in groups.hashed(names) {
                        index.each_of_group(filed, group, &mut |entry| visit(entry, entry.plain));
                    }
                }
                Fact::Absent => {}
                Fact::Unknown => index.all_by_group(filed).for_each(|entry| visit(entry, false)),
            }
        }
        index.others(filed).iter().for_each(|entry| visit(entry, false));
    }

    /// How far a statement gets. `selected` says that it is live and about the subject.
    pub(super) fn standing(
        &self,
        entry: &'p Entry,
        selected: bool,
        statements: &'p [Statement],
        target: &'p Target,
        at_door: bool,
        hold: fn(&'p ArgRules, &Arguments<'_>) -> ArgsOutcome<'p>,
    ) -> Standing<'p> {
        let mut missing = Missing::NONE;
        if !selected {
            let Some(statement) = statements.get(entry.statement as usize) else { return Standing::Elsewhere };
            let truth = selects(&statement.to, &self.request.subject, self.caller);
            if truth == Truth::No {
                return Standing::Elsewhere;
            }
            if !statement.is_live(self.request.context.now) {
                // An expired statement cannot change the effect, whatever is unknown about it.
                return if truth == Truth::Yes { Standing::Expired } else { Standing::Elsewhere };
            }
            if let Truth::Unknown(facts) = truth {
                missing = facts;
            }
        }
        for rules in self.policy.index().rules(entry, target, at_door) {
            match hold(rules, &self.request.context.arguments) {
                ArgsOutcome::Hold => {}
                ArgsOutcome::Fail(path) => {
                    // With an unknown selector it fails either way.
                    return if missing.is_empty() { Standing::ArgsFail(path.as_str()) } else { Standing::Elsewhere };
                }
                ArgsOutcome::Unknown(path) => missing = join(missing, argument(path.as_str())),
            }
        }
        if missing.is_empty() { Standing::Applies } else { Standing::Depends(missing) }
    }

    pub(super) fn grant_rule(&self, number: u32) -> Option<Rule<'p>> {
        let position = self.policy.positions().grants.get(number as usize)?;
        let name = self.policy.set().grants.get(number as usize)?.name.as_deref().unwrap_or("");
        Some(Rule { kind: RuleKind::Grant, name, position })
    }

    pub(super) fn deny_rule(&self, number: u32) -> Option<Rule<'p>> {
        let position = self.policy.positions().denies.get(number as usize)?;
        let name = self.policy.set().denies.get(number as usize)?.name.as_deref().unwrap_or("");
        Some(Rule { kind: RuleKind::Deny, name, position })
    }
}

/// The hashes of the subject's groups, taken once for the lists of denies and grants of the target
/// and its door. A subject in more groups pays for hashing the rest at each list.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Groups {
    first: [GroupHash; 16],
    set: GroupSet,
}

impl Groups {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let mut hashes = Self::default();
        if let Fact::Known(names) = request.subject.groups {
            let mut first = hashes.first.iter_mut();
            for name in names.iter() {
                let hash = GroupHash::of(name);
                hashes.set.add(hash);
                first.next().into_iter().for_each(|place| *place = hash);
            }
        }
        hashes
    }

    /// Each name with its hash.
    fn hashed<'n>(&self, names: Strings<'n>) -> impl Iterator<Item = (GroupHash, &'n str)> {
        let known = self.first.iter().map(|hash| Some(*hash)).chain(std::iter::repeat(None));
        names.iter().zip(known).map(|(name, hash)| (hash.unwrap_or_else(|| GroupHash::of(name)), name))
    }
}

const fn argument(path: &str) -> Missing<'_> {
    Missing { facts: FactSet::ARGUMENTS, argument: Some(path) }
}
