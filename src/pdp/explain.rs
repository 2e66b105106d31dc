//! The whole path of a decision: every check, every statement that covers the resource with the
//! first condition that it failed, and the edit that would allow the request.
//!
//! Made of the very checks that decide, run one by one instead of up to the first failure. It is
//! for the operator: it shows argument values and must never reach a caller.

use serde::{Deserialize, Serialize};

use super::advice;
use super::evaluate::{Case, Checks, Groups, Standing, resolve};
use super::selector::selects;
use super::token;
use super::truth::Truth;
use crate::model::{Effect, Fact, Reason, Request, ResourceKind, Rule, RuleKind, Strings, Verdict};
use crate::policy::CompiledPolicy;
use crate::policy::argument::Found;
use crate::policy::matcher::{ArgRules, ArgsOutcome};
use crate::policy::set::{Selector, Statement};

/// A decision with everything that led to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation<'p> {
    /// What [`super::judge`] says.
    pub verdict: Verdict<'p>,
    /// Every check in order. After one that finds nothing to reach there are no more.
    pub checks: Vec<Check<'p>>,
    /// The denies, then the grants, that cover the resource, in the order of the policy.
    pub statements: Vec<Considered<'p>>,
    /// What would allow the request, the nearest first. Empty when it is allowed.
    pub advice: Vec<String>,
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
    let advice = if allowed { Vec::new() } else { advice::advice(&case, &checks, &statements) };
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
fn condition(case: &Case<'_, '_>, reason: Reason) -> Condition {
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
                list(token.audience),
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
            Condition::new("scope", wanted, list(token.scopes))
        }
        Reason::DeniedBy => Condition::new("denies", "none that applies", String::new()),
        Reason::Args => args_condition(case, &target.args, ArgRules::permit).unwrap_or_else(|| {
            Condition::new("args", if target.args.is_empty() { "nothing" } else { "as declared" }, "")
        }),
        _ => grants(""),
    }
}

fn grants(found: &str) -> Condition {
    Condition::new("grants", "one that applies", found)
}

/// The first argument rule that fails or cannot be judged.
fn args_condition<'s>(
    case: &Case<'_, '_>,
    rules: &'s ArgRules,
    hold: impl Fn(&'s ArgRules, &crate::model::Arguments<'_>) -> ArgsOutcome<'s>,
) -> Option<Condition> {
    let arguments = &case.request.context.arguments;
    let (path, known) = match hold(rules, arguments) {
        ArgsOutcome::Hold => return None,
        ArgsOutcome::Fail(path) => (path, true),
        ArgsOutcome::Unknown(path) => (path, false),
    };
    let matcher = rules.get(path)?;
    let found = match path.look(arguments) {
        _ if !known => "not recorded".to_owned(),
        Found::Value(value) => shortened(&value.to_string()),
        Found::Nothing => "missing".to_owned(),
        Found::Blocked => "out of reach: a value above it is of another type".to_owned(),
    };
    Some(Condition::new(format!("args.{path}"), matcher.to_string(), found))
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    if text.chars().count() <= LONGEST {
        text.to_owned()
    } else {
        text.chars().take(LONGEST).chain("…".chars()).collect()
    }
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
                condition: (standing != Standing::Applies).then(|| unmet(case, statement, rules, hold)).flatten(),
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

/// The first condition of a statement that is not met, or not known to be.
fn unmet<'s>(
    case: &Case<'_, '_>,
    statement: &'s Statement,
    rules: impl Iterator<Item = &'s ArgRules>,
    hold: fn(&'s ArgRules, &crate::model::Arguments<'_>) -> ArgsOutcome<'s>,
) -> Option<Condition> {
    let subject = &case.request.subject;
    let to = &statement.to;
    let only = |part: Selector| (part != Selector::default()).then_some(part);
    let join = |globs: &[crate::policy::glob::NameGlob]| {
        globs.iter().map(super::super::policy::glob::NameGlob::as_str).collect::<Vec<_>>().join(", ")
    };
    let parts = [
        (
            only(Selector { issuers: to.issuers.clone(), ..Selector::default() }),
            "to.issuer",
            to.issuers.join(", "),
            show(subject.issuer.map(str::to_owned)),
        ),
        (
            only(Selector { subjects: to.subjects.clone(), ..Selector::default() }),
            "to.subjects",
            join(&to.subjects),
            show(subject.id.map(str::to_owned)),
        ),
        (
            only(Selector { agents: to.agents.clone(), ..Selector::default() }),
            "to.agents",
            join(&to.agents),
            show(subject.agent.map(str::to_owned)),
        ),
        (
            only(Selector { groups: to.groups.clone(), ..Selector::default() }),
            "to.groups",
            join(&to.groups),
            list(subject.groups),
        ),
        (
            only(Selector { servers: to.servers.clone(), ..Selector::default() }),
            "to.servers",
            to.servers.join(", "),
            show(case.caller.map(str::to_owned)),
        ),
    ];
    for (part, field, wanted, found) in parts {
        if part.is_some_and(|part| selects(&part, subject, case.caller) != Truth::Yes) {
            return Some(Condition::new(field, wanted, found));
        }
    }
    for (name, wanted) in &to.claims {
        let part = Selector { claims: [(name.clone(), wanted.clone())].into(), ..Selector::default() };
        if selects(&part, subject, case.caller) != Truth::Yes {
            let values = subject.claims.map(|claims| {
                let values = claims.iter().filter(|c| c.name == name).flat_map(|c| c.values.iter());
                values.collect::<Vec<_>>().join(", ")
            });
            return Some(Condition::new(format!("to.claims.{name}"), join(wanted), show(values)));
        }
    }
    let now = case.request.context.now;
    if let Some(expires) = statement.expires.filter(|_| !statement.is_live(now)) {
        return Some(Condition::new("expires", format!("before {expires}"), now.to_string()));
    }
    rules.into_iter().find_map(|rules| args_condition(case, rules, hold))
}

fn show(fact: Fact<String>) -> String {
    match fact {
        Fact::Known(text) if text.is_empty() => "none".to_owned(),
        Fact::Known(text) => text,
        Fact::Absent => "none".to_owned(),
        Fact::Unknown => "not known".to_owned(),
    }
}

fn list(fact: Fact<Strings<'_>>) -> String {
    show(fact.map(|list| list.iter().collect::<Vec<_>>().join(" ")))
}
