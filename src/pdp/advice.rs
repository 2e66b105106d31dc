//! What would allow a denied request: edits of the token, the call and the policy, of which all together do.
//!
//! Typed, so that a program can make them and a property holds them to it. They lead one way, the nearest;
//! the statements of the explanation show the others. Nothing here decides or changes anything.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::evaluate::{Case, Checks, Groups, resolve};
use super::explain::{Condition, condition, kind};
use super::token;
use super::unmet::{Part, Unmet, of_arguments, of_statement};
use crate::diagnostics::did_you_mean;
use crate::model::{Claim, Fact, Missing, Reason, Request, ResourceKind, Rule, Strings, Timestamp};
use crate::policy::CompiledPolicy;
use crate::policy::glob::NameGlob;
use crate::policy::uri::is_plain_uri;

/// One edit. All that an explanation lists are needed, and together they make the decision an allow, unless
/// an argument that is changed meets a deny.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "edit", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Edit<'p> {
    /// Send a method of the MCP table; no policy can allow another.
    SendAnotherMethod,
    /// Name a resource by the one usual spelling of its URI.
    SpellUri,
    /// Declare a server.
    DeclareServer {
        /// Its name.
        server: String,
        /// A declared one with nearly that name.
        near: Option<String>,
    },
    /// Declare a tool, prompt or resource.
    DeclareItem {
        /// The server that has it.
        server: String,
        /// What it is.
        kind: ResourceKind,
        /// The name of a tool or prompt, the URI of a resource.
        name: String,
        /// A declared one with nearly that name.
        near: Option<String>,
    },
    /// Record a fact that the answer depends on.
    Record {
        /// The part of the request.
        field: String,
    },
    /// Bring a token of an accepted issuer.
    BringIssuer {
        /// One of them.
        issuer: String,
        /// All of them, as text.
        accepted: String,
    },
    /// Bring a token that is issued for this door.
    BringAudience {
        /// One that is accepted.
        audience: String,
        /// All of them, as text.
        accepted: String,
    },
    /// Bring a token of other times.
    BringFreshToken {
        /// What is wrong with those of this one.
        because: Reason,
        /// What is asked of them.
        wanted: String,
    },
    /// Ask for a token that carries a scope.
    AskForScope {
        /// Of these one suffices.
        any_of: Vec<String>,
    },
    /// Bring a token that says something of the subject which this one does not say at all.
    BringFact {
        /// The grant that asks for it.
        rule: Rule<'p>,
        /// The part of the selector: `to.agents`, `to.groups`, `to.subjects` or `to.claims.NAME`.
        field: String,
        /// A value that the grant takes.
        value: String,
        /// What it asks for.
        wanted: String,
    },
    /// Add a server to the callers of another.
    AddCaller {
        /// The one that calls.
        caller: String,
        /// The one that is called.
        server: String,
    },
    /// Narrow or remove a deny; it wins over every grant.
    NarrowDeny {
        /// The deny.
        rule: Rule<'p>,
    },
    /// Add a grant to this subject.
    AddGrant {
        /// What it must allow; of a server itself, anything there.
        item: String,
        /// Whether that is a server itself.
        server: bool,
    },
    /// Add a value to the selector of a grant.
    WidenGrant {
        /// The grant.
        rule: Rule<'p>,
        /// The part of the selector.
        field: String,
        /// The value to add; `null` where the condition has to go, for no value can be added.
        value: Option<String>,
        /// What it asks for.
        wanted: String,
        /// What the request has.
        found: String,
    },
    /// Give a grant a later end.
    RenewGrant {
        /// The grant.
        rule: Rule<'p>,
        /// When it ended.
        ended: Timestamp,
    },
    /// Send an argument as it is asked for, or change the rule.
    SetArgument {
        /// Whose rule it is: a grant, or nothing for the declaration.
        rule: Option<Rule<'p>>,
        /// Where it is in `arguments`, as the policy writes it.
        path: String,
        /// What is asked of it.
        wanted: String,
        /// What the request has.
        found: String,
    },
}

/// The edit for a request that reaches nothing.
pub(super) fn unresolved<'p>(policy: &'p CompiledPolicy, reason: Reason, request: &Request<'_>) -> Option<Edit<'p>> {
    let (index, resource) = (policy.index(), request.resource);
    let item = |near: Option<&str>| Edit::DeclareItem {
        server: resource.door.to_owned(),
        kind: resource.kind,
        name: resource.name.to_owned(),
        near: near.map(str::to_owned),
    };
    match reason {
        Reason::UnknownDoor => Some(Edit::DeclareServer {
            server: resource.door.to_owned(),
            near: did_you_mean(resource.door, index.door_names()).map(str::to_owned),
        }),
        Reason::UnknownTool | Reason::UnknownPrompt => {
            Some(item(did_you_mean(resource.name, index.names(resource.door, resource.kind))))
        }
        Reason::UnknownResource if !is_plain_uri(resource.name) => Some(Edit::SpellUri),
        Reason::UnknownResource => Some(item(None)),
        Reason::UnknownMethod => Some(Edit::SendAnotherMethod),
        _ => None,
    }
}

/// The edits for a request that is denied or open, in the order of the checks.
pub(super) fn edits<'p>(case: &Case<'p, '_>) -> Vec<Edit<'p>> {
    let (policy, request) = (case.policy, case.request);
    let Some((_, issuer)) = token::CHECKS.first() else { return Vec::new() };
    if run(|checks| issuer(&case.standard(), request, checks)).0.is_none() {
        return with_issuer(policy, request);
    }
    // Of the accepted issuers the one with which the least is left to do.
    let index = policy.index();
    let accepts = |name: &str| {
        let number = index.issuer(name).map(|issuer| issuer.number);
        index.accepted(case.door).is_none_or(|list| number.is_some_and(|number| list.contains(&number)))
    };
    let accepted = || policy.set().issuers.keys().map(String::as_str).filter(|name| accepts(name));
    let ways = accepted().map(|issuer| {
        let mut other = *request;
        other.subject.issuer = Fact::Known(issuer);
        let first = Edit::BringIssuer { issuer: issuer.to_owned(), accepted: listed(case, accepted()) };
        std::iter::once(first).chain(with_issuer(policy, &other)).collect::<Vec<_>>()
    });
    ways.min_by_key(Vec::len).unwrap_or_default()
}

/// The issuers that a door accepts, as a check says it.
fn listed<'a>(case: &Case<'_, '_>, accepted: impl Iterator<Item = &'a str>) -> String {
    match case.policy.index().accepted(case.door) {
        None => "a declared issuer".to_owned(),
        Some(_) => accepted.collect::<Vec<_>>().join(", "),
    }
}

/// What is left to do with a token of an accepted issuer, or of one that is not known.
fn with_issuer<'p>(policy: &'p CompiledPolicy, request: &Request<'_>) -> Vec<Edit<'p>> {
    let Ok(case) = resolve(policy, request) else { return Vec::new() };
    let mut edits = Vec::new();
    for (reason, check) in token::CHECKS {
        let (failed, missing) = run(|checks| check(&case.standard(), request, checks));
        match failed {
            Some(_) => edits.push(of_token(&case, reason)),
            None => record(&mut edits, missing),
        }
    }
    // What the nearest grant needs the token to say counts for the checks before the grants too.
    let (granting, brought) = granting(&case);
    brought.with(request, |request| edits.extend(beside_grants(policy, request)));
    edits.extend(granting);
    edits.extend(of_arguments(&case, &case.target.args, false).map(|unmet| argument(unmet, None)));
    // A fact that several checks ask about is recorded once.
    let mut once: Vec<Edit<'p>> = Vec::with_capacity(edits.len());
    for edit in edits {
        if !once.contains(&edit) {
            once.push(edit);
        }
    }
    once
}

/// The failure of one check, or else what it lacks.
fn run<'p>(check: impl FnOnce(&mut Checks<'p>)) -> (Option<(Reason, Option<Rule<'p>>)>, Missing<'p>) {
    let mut checks = Checks::default();
    check(&mut checks);
    checks.outcome()
}

fn record(edits: &mut Vec<Edit<'_>>, missing: Missing<'_>) {
    let facts = missing.facts.names().filter(|name| *name != "arguments" || missing.argument.is_none());
    edits.extend(facts.map(|name| Edit::Record { field: name.to_owned() }));
    edits.extend(missing.argument.map(|path| Edit::Record { field: format!("args.{path}") }));
}

fn of_token<'p>(case: &Case<'p, '_>, reason: Reason) -> Edit<'p> {
    let wanted = condition(case, reason).wanted;
    if reason != Reason::Audience {
        return Edit::BringFreshToken { because: reason, wanted };
    }
    let own = case.standard().issuer.known().and_then(|issuer| issuer.audiences.first());
    let audience = own.map_or(case.policy.index().text(case.door.resource), |audience| &**audience);
    Edit::BringAudience { audience: audience.to_owned(), accepted: wanted }
}

/// Callers, denies and scope.
fn beside_grants<'p>(policy: &'p CompiledPolicy, request: &Request<'_>) -> Vec<Edit<'p>> {
    let Ok(case) = resolve(policy, request) else { return Vec::new() };
    let (index, groups) = (policy.index(), Groups::of(request));
    let mut edits = Vec::new();
    let (failed, missing) = run(|checks| case.check_caller(checks));
    match (failed, case.caller) {
        (Some(_), Fact::Known(caller)) => {
            let server = index.text(case.door.name).to_owned();
            edits.push(Edit::AddCaller { caller: caller.to_owned(), server });
        }
        _ => record(&mut edits, missing),
    }
    let (failed, missing) = run(|checks| case.check_denies(&groups, checks));
    match failed {
        Some(_) => edits.extend(case.applying_denies().into_iter().map(|rule| Edit::NarrowDeny { rule })),
        None => record(&mut edits, missing),
    }
    let (failed, missing) = run(|checks| case.check_scope(checks));
    match failed {
        Some(_) => {
            let carrying = index.scopes(case.target).into_iter().flatten();
            edits.push(Edit::AskForScope { any_of: carrying.map(str::to_owned).collect() });
        }
        None => record(&mut edits, missing),
    }
    edits
}

/// Everything that the nearest grant lacks: the one behind the reason, or else the one that lacks the least.
fn granting<'p>(case: &Case<'p, '_>) -> (Vec<Edit<'p>>, Brought<'p>) {
    let groups = Groups::of(case.request);
    let mut edits = Vec::new();
    let mut brought = Brought::default();
    let mut applies = false;
    let (failed, missing) = run(|checks| applies = case.check_grants(&groups, checks).is_some());
    let Some((_, named)) = failed else {
        record(&mut edits, if applies { Missing::NONE } else { missing });
        return (edits, brought);
    };
    let policy = case.policy;
    let near = case.filed_grants().flat_map(|(filed, target, at_door)| {
        policy.index().all(filed).filter_map(move |entry| {
            let statement = policy.set().grants.get(entry.statement as usize)?;
            let rules = policy.index().rules(entry, target, at_door);
            Some((entry.statement, of_statement(case, statement, rules, false)))
        })
    });
    let far = |number: u32| named.is_some() && case.grant_rule(number) != named;
    let nearest = near.min_by_key(|(number, unmet)| (far(*number), unmet.len(), *number));
    let Some((rule, unmet)) = nearest.and_then(|(number, unmet)| Some((case.grant_rule(number)?, unmet))) else {
        let server = case.request.resource.kind == ResourceKind::Server;
        let item = if server { case.door.name } else { case.target.reference };
        return (vec![Edit::AddGrant { item: policy.index().text(item).to_owned(), server }], brought);
    };
    edits.extend(unmet.into_iter().map(|unmet| of_grant(case, unmet, rule, &mut brought)));
    (edits, brought)
}

/// The edit by which one condition of a grant is met.
fn of_grant<'p>(case: &Case<'p, '_>, unmet: Unmet<'p>, rule: Rule<'p>, brought: &mut Brought<'p>) -> Edit<'p> {
    let subject = &case.request.subject;
    if !unmet.known {
        let field = unmet.condition.field;
        return Edit::Record { field: field.strip_prefix("to.").unwrap_or(&field).to_owned() };
    }
    let first = |fact: Fact<Strings<'_>>| fact.known().and_then(|list| list.iter().next().map(str::to_owned));
    let (value, lacking) = match unmet.part {
        Part::Expires(ended) => return Edit::RenewGrant { rule, ended },
        Part::Argument(_) => return argument(unmet, Some(rule)),
        Part::Issuer => (subject.issuer.known().map(str::to_owned), None),
        Part::Servers => (case.caller.known().map(str::to_owned), None),
        Part::Subjects(globs) => (subject.id.known().map(str::to_owned), Some((&mut brought.id, globs))),
        Part::Agents(globs) => (subject.agent.known().map(str::to_owned), Some((&mut brought.agent, globs))),
        Part::Groups(globs) => (first(subject.groups), Some((&mut brought.group, globs))),
        Part::Claim(name, globs) => {
            let claims = subject.claims.known().unwrap_or_default();
            let value =
                claims.iter().filter(|claim| claim.name == name).find_map(|claim| first(Fact::Known(claim.values)));
            (value, Some((brought.claims.entry(name).or_default(), globs)))
        }
    };
    let condition = unmet.condition;
    match (value, lacking) {
        (None, Some((place, globs))) => {
            let value = globs.first().map(|glob: &NameGlob| glob.filled(|| "x")).unwrap_or_default();
            *place = Some(value.clone());
            Edit::BringFact { rule, field: condition.field, value, wanted: condition.wanted }
        }
        (value, _) => {
            Edit::WidenGrant { rule, field: condition.field, value, wanted: condition.wanted, found: condition.found }
        }
    }
}

fn argument<'p>(unmet: Unmet<'p>, rule: Option<Rule<'p>>) -> Edit<'p> {
    let Condition { field, wanted, found } = unmet.condition;
    match unmet.part {
        Part::Argument(path) if unmet.known => Edit::SetArgument { rule, path: path.to_string(), wanted, found },
        _ => Edit::Record { field },
    }
}

/// What a token is to say that says nothing of it.
#[derive(Default)]
struct Brought<'p> {
    id: Option<String>,
    agent: Option<String>,
    group: Option<String>,
    claims: BTreeMap<&'p str, Option<String>>,
}

impl Brought<'_> {
    /// Hands on the request with it.
    fn with(&self, request: &Request<'_>, then: impl FnOnce(&Request<'_>)) {
        let mut other = *request;
        let groups: Vec<&str> = self.group.as_deref().into_iter().collect();
        let values: Vec<(&str, [&str; 1])> =
            self.claims.iter().filter_map(|(name, value)| Some((*name, [value.as_deref()?]))).collect();
        let own = request.subject.claims.known().unwrap_or_default().iter().copied();
        let more = values.iter().map(|(name, value)| Claim { name, values: Strings::Borrowed(value) });
        let claims: Vec<Claim<'_>> = own.chain(more).collect();
        if let Some(id) = &self.id {
            other.subject.id = Fact::Known(id);
        }
        if let Some(agent) = &self.agent {
            other.subject.agent = Fact::Known(agent);
        }
        if !groups.is_empty() {
            other.subject.groups = Fact::Known(Strings::Borrowed(&groups));
        }
        if !values.is_empty() {
            other.subject.claims = Fact::Known(&claims);
        }
        then(&other);
    }
}

/// A TOML key as it must be written.
fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { key.to_owned() } else { format!("\"{key}\"") }
}

/// A statement with its place.
struct At<'r, 'p>(&'r Rule<'p>);

impl fmt::Display for At<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { kind, name, position } = self.0;
        if name.is_empty() { write!(f, "the {kind} at {position}") } else { write!(f, "{kind} `{name}` ({position})") }
    }
}

/// For a person: one sentence.
impl fmt::Display for Edit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let meant =
            |near: &Option<String>| near.as_ref().map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
        match self {
            Self::SendAnotherMethod => f.write_str("send a method of the MCP table; no policy can allow another"),
            Self::SpellUri => f.write_str(
                "name the resource by the one usual spelling of its URI: without `.`, `..` and empty segments, and with \
                 `%HH` only for spaces and letters beyond ASCII",
            ),
            Self::DeclareServer { server, near } => write!(f, "declare `[servers.{server}]`{}", meant(near)),
            Self::DeclareItem { server, kind: ResourceKind::Resource, name, .. } => {
                write!(f, "declare a resource at `[servers.{server}.resources]` whose `uri` matches `{name}`")
            }
            Self::DeclareItem { server, kind: of, name, near } => {
                write!(f, "declare `[servers.{server}.{}s.{}]`{}", kind(*of), quoted(name), meant(near))
            }
            Self::Record { field } => write!(f, "record `{field}`: the answer depends on it"),
            Self::BringIssuer { accepted, .. } => write!(f, "bring a token of an accepted issuer ({accepted})"),
            Self::BringAudience { accepted, .. } => {
                write!(f, "bring a token issued for this door: `aud` = `{accepted}`")
            }
            Self::BringFreshToken { because, wanted } => match because {
                Reason::TokenExpired => f.write_str("bring a token that has not expired"),
                Reason::TokenNotYetValid => f.write_str("bring a token that is valid now, or set the clocks right"),
                Reason::TokenLifetime => {
                    write!(f, "have the issuer make shorter tokens ({wanted}), or raise its `max_lifetime`")
                }
                _ => write!(f, "bring a fresh token ({wanted})"),
            },
            Self::AskForScope { any_of } => write!(f, "ask for a token with scope `{}`", any_of.join("` or `")),
            Self::BringFact { rule, field, value, wanted } => {
                let fact = field.strip_prefix("to.").unwrap_or(field);
                write!(f, "bring a token that has `{fact}`, such as `{value}`: {} asks for {wanted}", At(rule))
            }
            Self::AddCaller { caller, server } => write!(f, "add `{caller}` to `callers` of `[servers.{server}]`"),
            Self::NarrowDeny { rule } => write!(f, "narrow or remove {}; a deny wins over every grant", At(rule)),
            Self::AddGrant { item, server } => {
                let what = if *server { "something at server " } else { "" };
                write!(f, "add a grant that allows {what}`{item}` to this subject; no grant names it yet")
            }
            Self::WidenGrant { rule, field, value, wanted, found } => {
                let how = if value.is_some() { format!("widen `{field}` of") } else { format!("take `{field}` out of") };
                write!(f, "{how} {}: it asks for {wanted}, the request has {found}", At(rule))
            }
            Self::RenewGrant { rule, ended } => write!(f, "renew `expires` of {}: it ended {ended}", At(rule)),
            Self::SetArgument { rule: Some(rule), path, wanted, found } => {
                write!(f, "send `args.{path}` as {} asks: {wanted}, not {found}; or change the rule there", At(rule))
            }
            Self::SetArgument { rule: None, path, wanted, .. } => {
                write!(f, "send `args.{path}` as declared: {wanted}")
            }
        }
    }
}
