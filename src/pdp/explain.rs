//! The whole path of a decision: every check, every statement that covers the resource with the
//! first condition that it failed, and the edit that would allow the request.
//!
//! Made of the very checks that decide, run one by one instead of up to the first failure. It is
//! for the operator: it shows argument values and must never reach a caller.

use serde::{Deserialize, Serialize};

use super::advice::{self, Edit};
use super::evaluate::{Case, Checks, Groups, Standing, resolve};
use super::token;
use super::unmet::{of_arguments, of_statement};
use crate::model::{Effect, Fact, Reason, Request, ResourceKind, Rule, RuleKind, Strings, Verdict};
use crate::policy::CompiledPolicy;
use crate::policy::matcher::ArgRules;

/// A decision with everything that led to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation<'p> {
    /// What [`super::judge`] says.
    pub verdict: Verdict<'p>,
    /// Every check in order. After one that finds nothing to reach there are no more.
    pub checks: Vec<Check<'p>>,
    /// The denies, then the grants, that cover the resource, in the order of the policy.
    pub statements: Vec<Considered<'p>>,
    /// The edits that would allow the request, all of them together. Empty when it is allowed.
    pub advice: Vec<Edit<'p>>,
}

/// How a check or a statement came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The check passed; the statement applies.
    Yes,
    /// The check failed; the statement does not apply.
    No,
    /// It depends on facts that are not known.
    Unknown,
}

/// One check.
#[derive(Clone, Debug, PartialEq)]
pub struct Check<'p> {
    /// The reason that a failure gives.
    pub reason: Reason,
    /// How it came out.
    pub outcome: Outcome,
    /// The statement that failed it.
    pub rule: Option<Rule<'p>>,
    /// What was asked for, and what was found.
    pub condition: Condition,
}

/// A statement that covers the resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Considered<'p> {
    /// The statement.
    pub rule: Rule<'p>,
    /// Whether it applies.
    pub outcome: Outcome,
    /// The first condition that it failed or could not judge; `None` when it applies.
    pub condition: Option<Condition>,
}

/// What was asked for, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The part of the statement or request: `to.groups`, `args.amount`, `scope`, `expires`.
    pub field: String,
    /// What it asks for.
    pub wanted: String,
    /// What the request has.
    pub found: String,
}

impl Condition {
    pub(super) fn new(field: impl Into<String>, wanted: impl Into<String>, found: impl Into<String>) -> Self {
        Self { field: field.into(), wanted: wanted.into(), found: found.into() }
    }
}

/// Explains the decision on a request.
pub fn explain<'p>(policy: &'p CompiledPolicy, request: &Request<'_>) -> Explanation<'p> {
    let verdict = super::judge(policy, request);
    let case = match resolve(policy, request) {
        Ok(case) => case,
        Err(reason) => {
            let condition = unresolved(reason, request);
            let checks = vec![Check { reason, outcome: Outcome::No, rule: None, condition }];
            let advice = advice::unresolved(policy, reason, request).into_iter().collect();
            return Explanation { verdict, checks, statements: Vec::new(), advice };
        }
    };
    let checks = checks(&case);
    let statements = considered(&case);
    let allowed = matches!(verdict, Verdict::Decided(decision) if decision.effect == Effect::Allow);
    let advice = if allowed { Vec::new() } else { advice::edits(&case) };
    Explanation { verdict, checks, statements, advice }
}

fn unresolved(reason: Reason, request: &Request<'_>) -> Condition {
    let resource = request.resource;
    match reason {
        Reason::UnknownMethod => {
            Condition::new("method", "an MCP method for this kind of resource", request.action.method())
        }
        Reason::UnknownDoor => Condition::new("server", "a declared server", resource.door),
        _ => Condition::new(kind(resource.kind), format!("declared at server `{}`", resource.door), resource.name),
    }
}

pub(super) const fn kind(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Server => "server",
        ResourceKind::Tool => "tool",
        ResourceKind::Prompt => "prompt",
        ResourceKind::Resource => "resource",
    }
}

fn checks<'p>(case: &Case<'p, '_>) -> Vec<Check<'p>> {
    let standard = case.standard();
    let mut list = Vec::new();
    let mut add = |reason: Reason, run: &dyn Fn(&mut Checks<'p>)| {
        let mut checks = Checks::default();
        run(&mut checks);
        let (failed, missing) = checks.outcome();
        let outcome = match failed {
            Some(_) => Outcome::No,
            None if missing.is_empty() => Outcome::Yes,
            None => Outcome::Unknown,
        };
        let (found, rule) = failed.unwrap_or((reason, None));
        let condition = match (reason, found) {
            (Reason::NoGrant, Reason::Args) => grants("one whose argument rules are not met"),
            (Reason::NoGrant, Reason::GrantExpired) => grants("one that has expired"),
            _ => condition(case, found),
        };
        list.push(Check { reason: found, outcome, rule, condition });
    };
    let groups = Groups::of(case.request);
    for (reason, check) in token::CHECKS {
        add(reason, &|checks| check(&standard, case.request, checks));
    }
    add(Reason::Caller, &|checks| case.check_caller(checks));
    add(Reason::DeniedBy, &|checks| case.check_denies(&groups, checks));
    add(Reason::ScopeMissing, &|checks| case.check_scope(checks));
    add(Reason::NoGrant, &|checks| {
        case.check_grants(&groups, checks);
    });
    add(Reason::Args, &|checks| case.check_args(checks));
    list
}

/// What a check asks for and what the request has.
pub(super) fn condition(case: &Case<'_, '_>, reason: Reason) -> Condition {
    let standard = case.standard();
    let token = &case.request.context.token;
    let now = case.request.context.now;
    let (subject, target) = (&case.request.subject, case.target);
    let time = |fact: Fact<crate::model::Timestamp>| show(fact.map(|t| t.to_string()));
    match reason {
        Reason::Issuer => {
            let wanted = case.policy.index().accepted(case.door).map_or_else(
                || "a declared issuer".to_owned(),
                |list| list.iter().filter_map(|n| case.policy.index().issuer_name(*n)).collect::<Vec<_>>().join(", "),
            );
            Condition::new("issuer", wanted, show(subject.issuer.map(str::to_owned)))
        }
        Reason::Audience => {
            let own = standard.issuer.known().filter(|i| !i.audiences.is_empty()).map(|i| i.audiences.join(", "));
            Condition::new(
                "aud",
                own.unwrap_or_else(|| case.policy.index().text(case.door.resource).to_owned()),
                spaced(token.audience),
            )
        }
        Reason::TokenExpired => Condition::new("exp", format!("after {now}"), time(token.expires_at)),
        Reason::TokenNotYetValid => {
            let found = format!("iat {}, nbf {}", time(token.issued_at), time(token.not_before));
            Condition::new("iat, nbf", format!("not after {now}"), found)
        }
        Reason::TokenLifetime => {
            let wanted = standard.issuer.known().map_or_else(String::new, |i| format!("at most {}s", i.max_lifetime));
            let found = match (token.issued_at, token.expires_at) {
                (Fact::Known(issued), Fact::Known(expires)) => format!("{}s", expires.since(issued)),
                _ => "not known".to_owned(),
            };
            Condition::new("exp - iat", wanted, found)
        }
        Reason::TokenStale => {
            let wanted = standard.ttl.map_or_else(|| "any age".to_owned(), |(ttl, _)| format!("younger than {ttl}s"));
            Condition::new("token_ttl", wanted, show(token.issued_at.map(|t| format!("{}s", now.since(t)))))
        }
        Reason::Caller => {
            let wanted =
                if case.door.callers.is_empty() { "no server".to_owned() } else { case.door.callers.join(", ") };
            Condition::new(
                "callers",
                wanted,
                match case.caller {
                    Fact::Known(server) => format!("server {server}"),
                    Fact::Absent => "not a server".to_owned(),
                    Fact::Unknown => "not known".to_owned(),
                },
            )
        }
        Reason::ScopeMissing => {
            let wanted = case.policy.index().scopes(target);
            let wanted = wanted.map_or_else(|| "no scope".to_owned(), |s| s.collect::<Vec<_>>().join(" or "));
            Condition::new("scope", wanted, spaced(token.scopes))
        }
        Reason::DeniedBy => Condition::new("denies", "none that applies", String::new()),
        Reason::Args => {
            let unmet = of_arguments(case, &target.args, false).min_by_key(|unmet| !unmet.known);
            let met = if target.args.is_empty() { "nothing" } else { "as declared" };
            unmet.map_or_else(|| Condition::new("args", met, ""), |unmet| unmet.condition)
        }
        _ => grants(""),
    }
}

fn grants(found: &str) -> Condition {
    Condition::new("grants", "one that applies", found)
}

/// Every statement that covers the resource: denies first.
fn considered<'p>(case: &Case<'p, '_>) -> Vec<Considered<'p>> {
    let set = case.policy.set();
    let mut list = Vec::new();
    let lists =
        [(RuleKind::Deny, case.filed_denies().collect::<Vec<_>>()), (RuleKind::Grant, case.filed_grants().collect())];
    for (kind, filed) in lists {
        let mut entries: Vec<_> = filed
            .into_iter()
            .flat_map(|(filed, target, at_door)| {
                case.policy.index().all(filed).map(move |e| (e.statement, e, target, at_door))
            })
            .collect();
        entries.sort_by_key(|(number, ..)| *number);
        let mut found: Vec<(u32, Considered<'p>)> = Vec::new();
        for (number, entry, target, at_door) in entries {
            let grant = kind == RuleKind::Grant;
            let statements = if grant { &set.grants } else { &set.denies };
            let Some(statement) = statements.get(number as usize) else { continue };
            let Some(rule) = (if grant { case.grant_rule(number) } else { case.deny_rule(number) }) else { continue };
            let hold = if grant { ArgRules::permit } else { ArgRules::forbid };
            let standing = case.standing(entry, false, statements, target, at_door, hold);
            let rules = case.policy.index().rules(entry, target, at_door);
            let one = Considered {
                rule,
                outcome: match standing {
                    Standing::Applies => Outcome::Yes,
                    Standing::Depends(_) => Outcome::Unknown,
                    Standing::Elsewhere | Standing::Expired | Standing::ArgsFail(_) => Outcome::No,
                },
                condition: (standing != Standing::Applies)
                    .then(|| {
                        of_statement(case, statement, rules, !grant).into_iter().next().map(|unmet| unmet.condition)
                    })
                    .flatten(),
            };
            // A statement filed in several lists counts by its best standing.
            match found.last_mut().filter(|(last, _)| *last == number) {
                Some((_, before)) if before.outcome != Outcome::Yes && one.outcome == Outcome::Yes => *before = one,
                Some(_) => {}
                None => found.push((number, one)),
            }
        }
        list.extend(found.into_iter().map(|(_, one)| one));
    }
    list
}

pub(super) fn show(fact: Fact<String>) -> String {
    match fact {
        Fact::Known(text) if text.is_empty() => "none".to_owned(),
        Fact::Known(text) => text,
        Fact::Absent => "none".to_owned(),
        Fact::Unknown => "not known".to_owned(),
    }
}

pub(super) fn spaced(fact: Fact<Strings<'_>>) -> String {
    show(fact.map(|list| list.iter().collect::<Vec<_>>().join(" ")))
}
