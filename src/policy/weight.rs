//! What the index of a policy set would cost, before it is built.
//!
//! The index holds an entry for each statement and each item that it covers, so a short text of many
//! statements with wildcards over many items would take any amount of memory. Nothing here builds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::lookup::Lookup;
use super::set::{ItemPattern, PolicySet, Statement, item_name};
use crate::model::ResourceKind;

/// The most entries: statements and bundles by what they cover, statements also by group.
pub(super) const MAX_ENTRIES: u64 = 20_000_000;
/// The most comparisons of a pattern with a name.
const MAX_STEPS: u64 = 500_000_000;

/// Why a policy set cannot be indexed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooHeavy;

/// Counts what each pattern covers.
struct Scale<'s> {
    items: Lookup<&'s str, Vec<Cow<'s, str>>>,
    known: BTreeMap<&'s ItemPattern, u64>,
    steps: u64,
}

/// Whether the index of a set stays within bounds.
pub(super) fn weigh(set: &PolicySet) -> Result<(), TooHeavy> {
    let mut scale = Scale { items: items(set), known: BTreeMap::new(), steps: 0 };
    let mut entries = 0_u64;
    let mut add = |more: u64| {
        entries = entries.saturating_add(more);
        if entries > MAX_ENTRIES { Err(TooHeavy) } else { Ok(()) }
    };
    for Statement { items, args, to, .. } in set.grants.iter().chain(&set.denies) {
        let filed = to.groups.len().max(1).saturating_add(args.len());
        for pattern in items {
            add(scale.covered(pattern)?.saturating_mul(filed as u64))?;
        }
    }
    for pattern in set.scopes.values().flatten() {
        add(scale.covered(pattern)?)?;
    }
    Ok(())
}

/// What is behind each server, the server itself included.
fn items(set: &PolicySet) -> Lookup<&str, Vec<Cow<'_, str>>> {
    let mut items = Lookup::default();
    for (name, server) in &set.servers {
        let itself = item_name(ResourceKind::Server, "");
        let declared = server.items().map(|(kind, name, _)| item_name(kind, name));
        items.insert(name.as_str(), std::iter::once(itself).chain(declared).collect());
    }
    items
}

impl<'s> Scale<'s> {
    /// How many items a pattern covers, of a server covered whole one.
    fn covered(&mut self, pattern: &'s ItemPattern) -> Result<u64, TooHeavy> {
        let one_name = pattern.item.matches_everything() || pattern.item.literal().is_some();
        if let (Some(server), true) = (pattern.server.literal(), one_name) {
            return Ok(u64::from(self.items.contains_key(server)));
        }
        if let Some(count) = self.known.get(pattern) {
            return Ok(*count);
        }
        let one = pattern.server.literal().and_then(|server| self.items.get_key_value(server));
        let servers: Box<dyn Iterator<Item = (&&str, &Vec<Cow<'_, str>>)>> = match pattern.server.literal() {
            Some(_) => Box::new(one.into_iter()),
            None => Box::new(self.items.iter()),
        };
        let mut count = 0_u64;
        for (server, items) in servers {
            self.steps += 1;
            if !pattern.server.matches(server) {
                continue;
            }
            if one_name {
                count += 1;
                continue;
            }
            self.steps += items.len() as u64;
            if self.steps > MAX_STEPS {
                return Err(TooHeavy);
            }
            count += items.iter().filter(|item| pattern.item.matches(item)).count() as u64;
        }
        if self.steps > MAX_STEPS {
            return Err(TooHeavy);
        }
        self.known.insert(pattern, count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::set::{Item, Server};

    fn set(pattern: impl Fn(usize) -> String) -> PolicySet {
        let server: Server = serde_json::from_value(serde_json::json!({
            "upstream": {"url": "http://127.0.0.1:1/"}, "resource": "x:y", "issuers": null, "token_ttl": null,
            "credential": "none", "audit": "standard", "rate": null, "callers": [], "identity": null,
            "tools": {}, "prompts": {}, "resources": {},
        }))
        .unwrap();
        let mut set = PolicySet::default();
        let tools = (0..5_000).map(|n| (format!("t{n}"), Item::default())).collect();
        set.servers.insert("s".to_owned(), Server { tools, ..server });
        let statement =
            |n| Statement { items: vec![ItemPattern::parse(&pattern(n)).unwrap().unwrap()], ..Statement::default() };
        set.grants = (0..5_000).map(statement).collect();
        set
    }

    #[test]
    fn statements_that_each_cover_every_item_one_by_one_are_too_heavy() {
        assert_eq!(weigh(&set(|_| "s:t*".to_owned())), Err(TooHeavy));
        assert_eq!(weigh(&set(|_| "s:*".to_owned())), Ok(()));
        assert_eq!(weigh(&set(|n| format!("s:t{n}"))), Ok(()));
    }
}
