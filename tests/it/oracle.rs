//! A naive interpreter of policy sets: loops over every statement, no index, no three values.
//!
//! Slow and plainly right; the real decision is held against it.

use doorward::model::{Effect, Fact, Reason, Request, ResourceKind, RuleKind, Strings, Timestamp};
use doorward::policy::glob::NameGlob;
use doorward::policy::matcher::ArgsOutcome;
use doorward::policy::set::{Item, PolicySet, Selector, Server, Statement, item_name};
use doorward::policy::uri::is_plain_uri;

/// Effect, reason and the number of the statement, where one decided.
pub(crate) type Answer = (Effect, Reason, Option<(RuleKind, usize)>);

pub(crate) fn decide(set: &PolicySet, request: &Request<'_>) -> Answer {
    match denial(set, request) {
        Ok(grant) => (Effect::Allow, Reason::Granted, Some((RuleKind::Grant, grant))),
        Err((reason, rule)) => (Effect::Deny, reason, rule),
    }
}

type Denial = (Reason, Option<(RuleKind, usize)>);

fn known<T: Copy>(fact: Fact<T>) -> Option<T> {
    fact.known()
}

fn denial(set: &PolicySet, request: &Request<'_>) -> Result<usize, Denial> {
    let no = |reason| Err((reason, None));
    let resource = request.resource;
    if !request.action.reaches().contains(&resource.kind) {
        return no(Reason::UnknownMethod);
    }
    let Some(server) = set.servers.get(resource.door) else { return no(Reason::UnknownDoor) };
    let none = Item::default();
    // The names that a URI goes by, most specific first; one name for all else.
    let names: Vec<(String, &Item)> = match resource.kind {
        ResourceKind::Server => vec![(String::new(), &none)],
        ResourceKind::Tool => {
            server.tools.get(resource.name).map(|i| (resource.name.to_owned(), i)).into_iter().collect()
        }
        ResourceKind::Prompt => server
            .prompts
            .get(resource.name)
            .map(|i| (item_name(resource.kind, resource.name).into_owned(), i))
            .into_iter()
            .collect(),
        ResourceKind::Resource => {
            let mut all: Vec<_> = server
                .resources
                .iter()
                .filter(|(_, i)| is_plain_uri(resource.name) && i.uri.as_ref().unwrap().matches(resource.name))
                .map(|(n, i)| (item_name(resource.kind, n).into_owned(), i))
                .collect();
            all.sort_by_key(|(name, i)| {
                (std::cmp::Reverse(i.uri.as_ref().unwrap().literal_prefix().chars().count()), name.clone())
            });
            all
        }
    };
    let Some((name, item)) = names.first() else {
        return no(match resource.kind {
            ResourceKind::Tool => Reason::UnknownTool,
            ResourceKind::Prompt => Reason::UnknownPrompt,
            ResourceKind::Resource | ResourceKind::Server => Reason::UnknownResource,
        });
    };
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
    let arguments = &request.context.arguments;
    let session = resource.kind == ResourceKind::Server;
    for (number, deny) in set.denies.iter().enumerate() {
        let applies = names.iter().any(|(name, _)| {
            deny.covers(resource.door, name)
                && (session || deny.args_for(resource.door, name).all(|r| r.forbid(arguments) == ArgsOutcome::Hold))
        });
        if applies && live(deny, now) && selects(&deny.to, request, caller) {
            return Err((Reason::DeniedBy, Some((RuleKind::Deny, number))));
        }
    }

    if !session {
        let held: Vec<&str> = known(request.context.token.scopes).map(|s| s.iter().collect()).unwrap_or_default();
        let carried = |scope: &str| {
            item.scopes.iter().any(|own| own == scope)
                || set.scopes.get(scope).is_some_and(|patterns| patterns.iter().any(|p| p.matches(resource.door, name)))
        };
        if !held.iter().any(|scope| carried(scope)) {
            return no(Reason::ScopeMissing);
        }
    }

    let covers = |grant: &Statement| {
        if session {
            let declared = set.items().filter(|(s, ..)| *s == resource.door);
            let mut names = declared.map(|(_, kind, n, _)| item_name(kind, n).into_owned()).chain([String::new()]);
            names.any(|n| grant.covers(resource.door, &n))
        } else {
            grant.covers(resource.door, name)
        }
    };
    let args_hold = |grant: &Statement| {
        session || grant.args_for(resource.door, name).all(|r| r.permit(arguments) == ArgsOutcome::Hold)
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
    if item.args.permit(arguments) != ArgsOutcome::Hold {
        return no(Reason::Args);
    }
    Ok(*grant)
}

fn token(set: &PolicySet, server: &Server, names: &[(String, &Item)], request: &Request<'_>) -> Result<(), Denial> {
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
    let ttl = names.iter().filter_map(|(_, i)| i.token_ttl).chain(server.token_ttl).min();
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
        globs.is_empty() || text.is_some_and(|t| globs.iter().any(|g| g.matches(t)))
    };
    let list =
        |names: &[String], text: Option<&str>| names.is_empty() || text.is_some_and(|t| names.iter().any(|n| n == t));
    let among = |globs: &[NameGlob], values: Option<Strings<'_>>| {
        values.is_some_and(|values| values.iter().any(|v| globs.iter().any(|g| g.matches(v))))
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
