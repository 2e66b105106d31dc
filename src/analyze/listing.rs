//! What belongs in a list that one caller sees: whether a call could be allowed with some arguments,
//! and which URIs there are to ask about.
//!
//! Every other fact is as in the request that is asked about, the instant too.

use super::cells::{clusters, merge, uris};
use super::{Budget, Limit};
use crate::model::{Arguments, Request};
use crate::pdp::{self, Survey};
use crate::policy::CompiledPolicy;
use crate::policy::glob::PathGlob;
use crate::policy::matcher::ArgRules;

/// Whether there are arguments with which a request for a tool or prompt is allowed.
///
/// # Errors
///
/// When more than `steps` steps would be needed.
pub fn some_arguments(policy: &CompiledPolicy, request: &Request<'_>, steps: u64) -> Result<bool, Limit> {
    let Some(survey) = Survey::of(policy, request) else { return Ok(false) };
    // Only what is about this subject can matter.
    let mut rules = vec![survey.declared()];
    survey.statements(&mut |covering| rules.extend(covering.rules()));
    let mut budget = Budget::new(steps);
    let clusters = clusters(rules.into_iter().flat_map(ArgRules::iter), &mut budget)?;
    // Clusters ask about different places, so that their objects combine freely.
    let mut combined = vec![serde_json::Map::new()];
    for cluster in &clusters {
        let mut next = Vec::new();
        for base in &combined {
            for object in &cluster.objects {
                budget.spend(1)?;
                let mut joined = base.clone();
                merge(&mut joined, object);
                next.push(joined);
            }
        }
        combined = next;
    }
    for object in &combined {
        budget.spend(1)?;
        let mut with = *request;
        with.context.arguments = Arguments::known(object);
        if pdp::decide(policy, &with).is_allow() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// URIs for every way in which the resource patterns of a server meet, with a template (RFC 6570)
/// only such as fit it.
///
/// # Errors
///
/// When more than `steps` steps would be needed, or the template is longer than a pattern may be.
pub fn uris_of(
    policy: &CompiledPolicy,
    server: &str,
    template: Option<&str>,
    steps: u64,
) -> Result<Vec<String>, Limit> {
    let Some(declared) = policy.set().servers.get(server) else { return Ok(Vec::new()) };
    let template = template.map(fits).transpose()?;
    let patterns = declared.resources.values().filter_map(|item| item.uri.as_ref());
    let found = uris(patterns.chain(&template), &mut Budget::new(steps))?;
    Ok(found.into_iter().filter(|uri| template.as_ref().is_none_or(|t| t.matches(uri))).collect())
}

/// A pattern that at least every expansion of a template matches.
fn fits(template: &str) -> Result<PathGlob, Limit> {
    let (mut pattern, mut rest) = (String::new(), template);
    while let Some((literal, expression)) = rest.split_once('{') {
        push_literal(&mut pattern, literal);
        // An expansion may hold anything, or nothing; `**` and what follows are one wildcard.
        if !pattern.ends_with("**") {
            pattern.push_str("**");
        }
        rest = expression.split_once('}').map_or("", |(_, rest)| rest);
    }
    push_literal(&mut pattern, rest);
    PathGlob::new(&pattern).map_err(|_| Limit::new("the template is no pattern"))
}

/// Text that a pattern takes as it is.
fn push_literal(pattern: &mut String, literal: &str) {
    for c in literal.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
}
