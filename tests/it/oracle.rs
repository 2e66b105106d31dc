//! A naive interpreter of policy sets: loops over every statement, no index, no three values.
//!
//! Slow and plainly right; the real decision is held against it. It reads the policy set as data: globs, item
//! patterns and argument tests are worked out here (`arguments`), not by the engine.

#[path = "oracle/arguments.rs"]
mod arguments;

use arguments::{covers, forbidden, literal_characters, matches, names as named, permitted, rules_of};
use doorward::model::{Decision, Effect, Fact, Rate, Reason, Request, ResourceKind, RuleKind, Strings, Timestamp};
use doorward::policy::glob::NameGlob;
use doorward::policy::set::{Credential, Item, PolicySet, Selector, Server, Statement};

/// What is compared of a decision.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) effect: Effect,
    pub(crate) reason: Reason,
    /// The number of the statement, where one decided.
    pub(crate) statement: Option<(RuleKind, usize)>,
    /// Audit class, rates and longest life of a credential, where something is reached.
    pub(crate) duties: Option<(String, Vec<Rate>, Option<u32>)>,
}

impl Answer {
    /// Of a decision by a policy whose positions are the numbers of its statements.
    pub(crate) fn of(decision: &Decision<'_>) -> Self {
        let rule = decision.rule.filter(|rule| matches!(rule.kind, RuleKind::Grant | RuleKind::Deny));
        Self {
            effect: decision.effect,
            reason: decision.reason,
            statement: rule.map(|rule| (rule.kind, rule.position.line as usize)),
            duties: decision.obligations.map(|o| (o.audit.to_owned(), o.rates.to_vec(), o.credential_ttl)),
        }
    }
}

pub(crate) fn decide(set: &PolicySet, request: &Request<'_>) -> Answer {
    let duties = reached(set, request).ok().and_then(|(server, names)| Some(duties(server, names.first()?.1)));
    match denial(set, request) {
        Ok(grant) => {
            Answer { effect: Effect::Allow, reason: Reason::Granted, statement: Some((RuleKind::Grant, grant)), duties }
        }
        Err((reason, statement)) => Answer { effect: Effect::Deny, reason, statement, duties },
    }
}

/// The class of the item before that of the server, the rates of both, and a credential's life where it is made.
fn duties(server: &Server, item: Option<&Item>) -> (String, Vec<Rate>, Option<u32>) {
    let class = item.and_then(|item| item.audit.clone()).unwrap_or_else(|| server.audit.clone());
    let rates = [server.rate, item.and_then(|item| item.rate)].into_iter().flatten().collect();
    let ttl = if let Credential::Vault { ttl, .. } = &server.credential { Some(*ttl) } else { None };
    (class, rates, ttl)
}

type Denial = (Reason, Option<(RuleKind, usize)>);

fn known<T: Copy>(fact: Fact<T>) -> Option<T> {
    fact.known()
}

/// A server, and the names that something goes by there with what is declared of each, most specific first.
/// Only a URI goes by several.
type Reached<'s> = (&'s Server, Vec<(String, Option<&'s Item>)>);

fn reached<'s>(set: &'s PolicySet, request: &Request<'_>) -> Result<Reached<'s>, Reason> {
    let resource = request.resource;
    if !request.action.reaches().contains(&resource.kind) {
        return Err(Reason::UnknownMethod);
    }
    let server = set.servers.get(resource.door).ok_or(Reason::UnknownDoor)?;
    let (mut names, unknown): (Vec<(String, Option<&Item>)>, Reason) = match resource.kind {
        ResourceKind::Server => (vec![(String::new(), None)], Reason::UnknownDoor),
        ResourceKind::Tool => (
            server.tools.get(resource.name).map(|item| (resource.name.to_owned(), Some(item))).into_iter().collect(),
            Reason::UnknownTool,
        ),
        ResourceKind::Prompt => (
            server
                .prompts
                .get(resource.name)
                .map(|i| (format!("prompt:{}", resource.name), Some(i)))
                .into_iter()
                .collect(),
            Reason::UnknownPrompt,
        ),
        ResourceKind::Resource => {
            let fits = |item: &Item| is_plain(resource.name) && matches(uri(item), resource.name, false);
            let fitting = server.resources.iter().filter(|(_, item)| fits(item));
            (fitting.map(|(name, item)| (format!("resource:{name}"), Some(item))).collect(), Reason::UnknownResource)
        }
    };
    let literal = |item: Option<&Item>| item.map_or(0, |item| literal_characters(uri(item)));
    names.sort_by_key(|(name, item)| {
        (std::cmp::Reverse(if names_a_uri(name) { literal(*item) } else { 0 }), name.clone())
    });
    if names.is_empty() { Err(unknown) } else { Ok((server, names)) }
}

fn names_a_uri(name: &str) -> bool {
    name.starts_with("resource:")
}

fn uri(item: &Item) -> &str {
    item.uri.as_ref().unwrap().as_str()
}

/// Whether a URI of a file is written in the one usual way.
fn is_plain(uri: &str) -> bool {
    let segments: Vec<&str> = uri.strip_prefix("file:///").unwrap().split('/').collect();
    let (last, others) = segments.split_last().unwrap();
    segments.iter().all(|s| !matches!(*s, "." | "..")) && others.iter().all(|s| !s.is_empty()) && !last.contains('#')
}

fn denial(set: &PolicySet, request: &Request<'_>) -> Result<usize, Denial> {
    let no = |reason| Err((reason, None));
    let resource = request.resource;
    let (server, names) = reached(set, request).map_err(|reason| (reason, None))?;
    let (name, item) = &names[0];
    token(set, server, &names, request)?;

    let subject = &request.subject;
    let caller = set.servers.iter().find(|(_, s)| {
        s.identity.as_ref().is_some_and(|i| {
            known(subject.issuer) == Some(i.issuer.as_str()) && known(subject.id) == Some(i.subject.as_str())
        })
    });
    let caller = caller.map(|(name, _)| name.as_str());
    if caller.is_some_and(|c| !server.callers.iter().any(|listed| listed == c)) {
        return no(Reason::Caller);
    }

    let now = request.context.now;
    let arguments = request.context.arguments.object;
    let session = resource.kind == ResourceKind::Server;
    for (number, deny) in set.denies.iter().enumerate() {
        let applies = names.iter().any(|(name, _)| {
            covers(deny, resource.door, name)
                && (session || rules_of(deny, resource.door, name).iter().all(|rules| forbidden(rules, arguments)))
        });
        if applies && live(deny, now) && selects(&deny.to, request, caller) {
            return Err((Reason::DeniedBy, Some((RuleKind::Deny, number))));
        }
    }

    if !session {
        let held: Vec<&str> = known(request.context.token.scopes).map(|s| s.iter().collect()).unwrap_or_default();
        let carried = |scope: &str| {
            item.is_some_and(|item| item.scopes.iter().any(|own| own == scope))
                || set.scopes.get(scope).is_some_and(|bundle| bundle.iter().any(|p| named(p, resource.door, name)))
        };
        if !held.iter().any(|scope| carried(scope)) {
            return no(Reason::ScopeMissing);
        }
    }

    let covers = |grant: &Statement| {
        if session {
            let prefixed = |prefix: &str, name: &String| format!("{prefix}{name}");
            let tools = server.tools.keys().map(|name| prefixed("", name));
            let prompts = server.prompts.keys().map(|name| prefixed("prompt:", name));
            let resources = server.resources.keys().map(|name| prefixed("resource:", name));
            let mut all = tools.chain(prompts).chain(resources).chain([String::new()]);
            all.any(|name| covers(grant, resource.door, &name))
        } else {
            covers(grant, resource.door, name)
        }
    };
    let args_hold = |grant: &Statement| {
        session || rules_of(grant, resource.door, name).iter().all(|rules| permitted(rules, arguments))
    };
    let mine: Vec<(usize, &Statement)> =
        set.grants.iter().enumerate().filter(|(_, g)| covers(g) && selects(&g.to, request, caller)).collect();
    let Some((grant, _)) = mine.iter().find(|(_, g)| live(g, now) && args_hold(g)) else {
        return match (mine.iter().find(|(_, g)| live(g, now)), mine.first()) {
            (Some((number, _)), _) => Err((Reason::Args, Some((RuleKind::Grant, *number)))),
            (None, Some((number, _))) => Err((Reason::GrantExpired, Some((RuleKind::Grant, *number)))),
            (None, None) => no(Reason::NoGrant),
        };
    };
    if item.is_some_and(|item| !permitted(&item.args, arguments)) {
        return no(Reason::Args);
    }
    Ok(*grant)
}

fn token(
    set: &PolicySet,
    server: &Server,
    names: &[(String, Option<&Item>)],
    request: &Request<'_>,
) -> Result<(), Denial> {
    let no = |reason| Err((reason, None));
    let token = &request.context.token;
    let now = request.context.now.0;
    let issuer_name = known(request.subject.issuer);
    let Some((name, issuer)) = issuer_name.and_then(|n| set.issuers.get_key_value(n)) else {
        return no(Reason::Issuer);
    };
    if server.issuers.as_ref().is_some_and(|accepted| !accepted.contains(name)) {
        return no(Reason::Issuer);
    }
    let accepted: Vec<&str> = if issuer.audiences.is_empty() {
        vec![&server.resource]
    } else {
        issuer.audiences.iter().map(String::as_str).collect()
    };
    if !known(token.audience).is_some_and(|aud| aud.iter().any(|a| accepted.contains(&a))) {
        return no(Reason::Audience);
    }
    let seconds = |fact: Fact<Timestamp>| known(fact).map(|t| t.0);
    let Some(exp) = seconds(token.expires_at).filter(|exp| now < *exp) else { return no(Reason::TokenExpired) };
    let latest = now + i64::from(issuer.clock_skew);
    if seconds(token.not_before).is_some_and(|t| t > latest) || seconds(token.issued_at).is_some_and(|t| t > latest) {
        return no(Reason::TokenNotYetValid);
    }
    let Some(iat) = seconds(token.issued_at) else { return no(Reason::TokenLifetime) };
    if exp - iat > i64::from(issuer.max_lifetime) {
        return no(Reason::TokenLifetime);
    }
    let ttl = names.iter().filter_map(|(_, item)| item.and_then(|item| item.token_ttl)).chain(server.token_ttl).min();
    if ttl.is_some_and(|ttl| now >= iat + i64::from(ttl)) {
        return no(Reason::TokenStale);
    }
    Ok(())
}

fn live(statement: &Statement, now: Timestamp) -> bool {
    statement.expires.is_none_or(|expires| now.0 < expires.0)
}

fn selects(selector: &Selector, request: &Request<'_>, caller: Option<&str>) -> bool {
    let subject = &request.subject;
    let glob = |globs: &[NameGlob], text: Option<&str>| {
        globs.is_empty() || text.is_some_and(|t| globs.iter().any(|g| matches(g.as_str(), t, true)))
    };
    let list =
        |names: &[String], text: Option<&str>| names.is_empty() || text.is_some_and(|t| names.iter().any(|n| n == t));
    let among = |globs: &[NameGlob], values: Option<Strings<'_>>| {
        values.is_some_and(|values| values.iter().any(|v| globs.iter().any(|g| matches(g.as_str(), v, true))))
    };
    list(&selector.issuers, known(subject.issuer))
        && glob(&selector.subjects, known(subject.id))
        && glob(&selector.agents, known(subject.agent))
        && (selector.groups.is_empty() || among(&selector.groups, known(subject.groups)))
        && selector.claims.iter().all(|(name, globs)| {
            known(subject.claims)
                .is_some_and(|claims| claims.iter().any(|c| c.name == name && among(globs, Some(c.values))))
        })
        && list(&selector.servers, caller)
}
