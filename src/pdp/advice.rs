//! What would allow a denied request: to the caller, what to ask for; to the operator, the edit.

use super::evaluate::Case;
use super::explain::{Check, Condition, Considered, Outcome, kind};
use crate::diagnostics::did_you_mean;
use crate::model::{Fact, Reason, Request, ResourceKind, Rule, RuleKind};
use crate::policy::CompiledPolicy;
use crate::policy::uri::is_plain_uri;

/// Advice for a request that reaches nothing.
pub(super) fn unresolved(policy: &CompiledPolicy, reason: Reason, request: &Request<'_>) -> Option<String> {
    let (index, resource) = (policy.index(), request.resource);
    let meant = |near: Option<&str>| near.map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    match reason {
        Reason::UnknownDoor => {
            let near = meant(did_you_mean(resource.door, index.door_names()));
            Some(format!("declare `[servers.{}]`{near}", resource.door))
        }
        Reason::UnknownTool | Reason::UnknownPrompt => {
            let near = meant(did_you_mean(resource.name, index.names(resource.door, resource.kind)));
            Some(format!(
                "declare `[servers.{}.{}s.{}]`{near}",
                resource.door,
                kind(resource.kind),
                quoted(resource.name)
            ))
        }
        Reason::UnknownResource if !is_plain_uri(resource.name) => Some(
            "name the resource by the one usual spelling of its URI: without `.`, `..` and empty segments, and with `%HH` \
             only for spaces and letters beyond ASCII"
                .to_owned(),
        ),
        Reason::UnknownResource => Some(format!(
            "declare a resource at `[servers.{}.resources]` whose `uri` matches `{}`",
            resource.door, resource.name
        )),
        Reason::UnknownMethod => Some("send a method of the MCP table; no policy can allow another".to_owned()),
        _ => None,
    }
}

/// A TOML key as it must be written.
fn quoted(key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { key.to_owned() } else { format!("\"{key}\"") }
}

/// Advice for each check that failed, in order.
pub(super) fn advice(case: &Case<'_, '_>, checks: &[Check<'_>], statements: &[Considered<'_>]) -> Vec<String> {
    let failed = checks.iter().filter(|c| c.outcome != Outcome::Yes);
    failed.flat_map(|check| for_check(case, check, statements)).collect()
}

fn for_check(case: &Case<'_, '_>, check: &Check<'_>, statements: &[Considered<'_>]) -> Vec<String> {
    let Condition { field, wanted, .. } = &check.condition;
    if check.outcome == Outcome::Unknown {
        return vec![format!("record `{field}`: the answer depends on it")];
    }
    let door = case.policy.index().text(case.door.name);
    let one = |text: String| vec![text];
    match check.reason {
        Reason::Issuer => one(format!("bring a token of an accepted issuer ({wanted})")),
        Reason::Audience => one(format!("bring a token issued for this door: `aud` = `{wanted}`")),
        Reason::TokenExpired => one("bring a token that has not expired".to_owned()),
        Reason::TokenNotYetValid => one("bring a token that is valid now, or set the clocks right".to_owned()),
        Reason::TokenLifetime => {
            one(format!("have the issuer make shorter tokens ({wanted}), or raise its `max_lifetime`"))
        }
        Reason::TokenStale => one(format!("bring a fresh token ({wanted})")),
        Reason::Caller => match case.caller {
            Fact::Known(server) => one(format!("add `{server}` to `callers` of `[servers.{door}]`")),
            Fact::Absent | Fact::Unknown => Vec::new(),
        },
        Reason::ScopeMissing => one(format!("ask for a token with scope `{}`", wanted.replace(" or ", "` or `"))),
        Reason::DeniedBy => {
            let applying = statements.iter().filter(|s| s.rule.kind == RuleKind::Deny && s.outcome == Outcome::Yes);
            applying.map(|s| format!("narrow or remove {}; a deny wins over every grant", at(&s.rule))).collect()
        }
        Reason::Args => match check.rule.filter(|r| r.kind == RuleKind::Grant) {
            Some(nearest) => {
                let (first, others): (Vec<_>, Vec<_>) = statements.iter().cloned().partition(|s| s.rule == nearest);
                [near_misses(&first), near_misses(&others)].concat()
            }
            None => one(format!("send `{field}` as declared: {wanted}")),
        },
        _ => {
            let near = near_misses(statements);
            if near.is_empty() { one(new_grant(case)) } else { near }
        }
    }
}

/// What each grant that does not apply would need.
fn near_misses(statements: &[Considered<'_>]) -> Vec<String> {
    let grants = statements.iter().filter(|s| s.rule.kind == RuleKind::Grant && s.outcome != Outcome::Yes);
    grants
        .filter_map(|grant| {
            let Condition { field, wanted, found } = grant.condition.as_ref()?;
            let place = at(&grant.rule);
            Some(match field.as_str() {
                "expires" => format!("renew `expires` of {place}: it ended {}", wanted.trim_start_matches("before ")),
                f if f.starts_with("args.") => {
                    format!("send `{f}` as {place} asks: {wanted}, not {found}; or change the rule there")
                }
                f => format!("widen `{f}` of {place}: it asks for {wanted}, the request has {found}"),
            })
        })
        .collect()
}

fn new_grant(case: &Case<'_, '_>) -> String {
    let what = match case.request.resource.kind {
        ResourceKind::Server => format!("something at server `{}`", case.policy.index().text(case.door.name)),
        _ => format!("`{}`", case.policy.index().text(case.target.reference)),
    };
    format!("add a grant that allows {what} to this subject; no grant names it yet")
}

fn at(rule: &Rule<'_>) -> String {
    let (kind, position) = (rule.kind, rule.position);
    if rule.name.is_empty() {
        format!("the {kind} at {position}")
    } else {
        format!("{kind} `{}` ({position})", rule.name)
    }
}
