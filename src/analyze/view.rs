//! A policy, and what of it has a say about one item.

use std::collections::{BTreeMap, BTreeSet};

use super::place::{Place, RuleRef};
use crate::model::{ResourceKind, RuleKind, Timestamp};
use crate::policy::CompiledPolicy;
use crate::policy::argument::ArgPath;
use crate::policy::matcher::{ArgRules, Match, Matcher};
use crate::policy::set::{Issuer, Item, ItemPattern, PolicySet, Selector, Server, Statement, item_name};
use crate::policy::uri::is_plain_uri;

/// A policy with the statements filed by what they cover.
pub(super) struct View<'p> {
    pub(super) policy: &'p CompiledPolicy,
    pub(super) set: &'p PolicySet,
    filed: BTreeMap<&'p str, BTreeMap<String, Filed<'p>>>,
    identities: BTreeMap<(&'p str, &'p str), &'p str>,
}

/// The statements and scopes about one item, by number and name, ascending.
#[derive(Clone, Debug, Default)]
struct Filed<'p> {
    grants: BTreeSet<usize>,
    denies: BTreeSet<usize>,
    bundles: BTreeSet<&'p str>,
}

impl<'p> View<'p> {
    pub(super) fn new(policy: &'p CompiledPolicy) -> Self {
        let set = policy.set();
        let mut filed: BTreeMap<&str, BTreeMap<String, Filed<'_>>> = BTreeMap::new();
        for (server, declared) in &set.servers {
            let kinds = [
                (ResourceKind::Tool, &declared.tools),
                (ResourceKind::Prompt, &declared.prompts),
                (ResourceKind::Resource, &declared.resources),
            ];
            let names =
                kinds.into_iter().flat_map(|(kind, items)| items.keys().map(move |n| item_name(kind, n).into_owned()));
            filed.insert(server, names.chain([String::new()]).map(|n| (n, Filed::default())).collect());
        }
        for (number, grant) in set.grants.iter().enumerate() {
            for pattern in &grant.items {
                for (items, covered) in covered(&mut filed, pattern) {
                    file(items, &covered, |f| _ = f.grants.insert(number));
                    // Whoever may do something at a door may open it.
                    if let (false, Some(server)) = (covered.is_empty(), items.get_mut("")) {
                        server.grants.insert(number);
                    }
                }
            }
        }
        for (number, deny) in set.denies.iter().enumerate() {
            for pattern in &deny.items {
                for (items, covered) in covered(&mut filed, pattern) {
                    file(items, &covered, |f| _ = f.denies.insert(number));
                }
            }
        }
        for (bundle, patterns) in &set.scopes {
            for pattern in patterns {
                for (items, covered) in covered(&mut filed, pattern) {
                    file(items, &covered, |f| _ = f.bundles.insert(bundle));
                }
            }
        }
        let identities = set.servers.iter().filter_map(|(name, server)| {
            server.identity.as_ref().map(|i| ((i.issuer.as_str(), i.subject.as_str()), name.as_str()))
        });
        Self { policy, set, filed, identities: identities.collect() }
    }

    /// Whether any grant covers the item.
    pub(super) fn has_grant(&self, place: &Place) -> bool {
        self.filed(&place.server, &place.item()).is_some_and(|f| !f.grants.is_empty())
    }

    /// The grants that have a say about an item, and the denies, by number.
    pub(super) fn numbers(&self, place: &Place) -> (BTreeSet<usize>, BTreeSet<usize>) {
        self.filed(&place.server, &place.item()).map(|f| (f.grants.clone(), f.denies.clone())).unwrap_or_default()
    }

    /// The declaration of an item; none for the server itself.
    pub(super) fn declared(&self, place: &Place) -> Option<&'p Item> {
        let server = self.set.servers.get(&place.server)?;
        match place.kind {
            ResourceKind::Server => None,
            ResourceKind::Tool => server.tools.get(&place.name),
            ResourceKind::Prompt => server.prompts.get(&place.name),
            ResourceKind::Resource => server.resources.get(&place.name),
        }
    }

    /// The scopes that carry an item.
    pub(super) fn scopes(&self, place: &Place) -> Vec<String> {
        let own = self.declared(place).into_iter().flat_map(|item| item.scopes.iter().map(String::as_str));
        let bundles = self.filed(&place.server, &place.item()).into_iter().flat_map(|f| f.bundles.iter().copied());
        own.chain(bundles).collect::<BTreeSet<&str>>().into_iter().map(str::to_owned).collect()
    }

    fn filed(&self, server: &str, item: &str) -> Option<&Filed<'p>> {
        self.filed.get(server)?.get(item)
    }

    /// The server that a subject is.
    pub(super) fn server_of(&self, issuer: &str, subject: &str) -> Option<&'p str> {
        self.identities.get(&(issuer, subject)).copied()
    }

    pub(super) fn identities(&self) -> impl Iterator<Item = (&'p str, &'p str, &'p str)> {
        self.identities.iter().map(|((issuer, subject), server)| (*issuer, *subject, *server))
    }

    pub(super) fn grant_ref(&self, number: usize) -> RuleRef {
        let name = self.set.grants.get(number).and_then(|g| g.name.clone()).unwrap_or_default();
        let position = self.policy.positions().grants.get(number).cloned().unwrap_or_default();
        RuleRef { kind: RuleKind::Grant, number, name, position }
    }

    pub(super) fn deny_ref(&self, number: usize) -> RuleRef {
        let name = self.set.denies.get(number).and_then(|g| g.name.clone()).unwrap_or_default();
        let position = self.policy.positions().denies.get(number).cloned().unwrap_or_default();
        RuleRef { kind: RuleKind::Deny, number, name, position }
    }

    /// What has a say about an item, of a resource about one URI. `None` when it is not declared.
    pub(super) fn gate(&self, server: &str, kind: ResourceKind, name: &str) -> Option<Gate<'_, 'p>> {
        let (server, declared) = self.set.servers.get_key_value(server)?;
        let target = |items: &'p BTreeMap<String, Item>| {
            items
                .get_key_value(name)
                .map(|(n, item)| vec![Target { item: item_name(kind, n).into_owned(), declared: Some(item) }])
        };
        let targets = match kind {
            ResourceKind::Server => vec![Target { item: String::new(), declared: None }],
            ResourceKind::Tool => target(&declared.tools)?,
            ResourceKind::Prompt => target(&declared.prompts)?,
            ResourceKind::Resource => matching(declared, name),
        };
        let main = targets.first()?;
        let filed = self.filed(server, &main.item)?;
        let grants: Vec<Ask<'p>> = (filed.grants.iter())
            .filter_map(|n| Some(Ask::statement(self.set.grants.get(*n)?, *n, server, &main.item, false)))
            .collect();
        let denies = targets.iter().flat_map(|target| {
            let numbers = self.filed(server, &target.item).map(|f| f.denies.clone()).unwrap_or_default();
            let denies = numbers.into_iter().filter_map(|n| Some((n, self.set.denies.get(n)?)));
            denies.map(|(n, deny)| Ask::statement(deny, n, server, &target.item, true)).collect::<Vec<_>>()
        });
        let denies: Vec<Ask<'p>> = denies.collect();
        let scopes = main.declared.map(|item| {
            let own = item.scopes.iter().map(String::as_str);
            own.chain(filed.bundles.iter().copied()).collect::<BTreeSet<&'p str>>()
        });
        let ttls = targets.iter().filter_map(|t| t.declared?.token_ttl).chain(declared.token_ttl);
        Some(Gate {
            view: self,
            name: server,
            server: declared,
            own: Ask::own(main.declared.map(|d| &d.args)),
            ttl: ttls.min(),
            grants,
            denies,
            scopes,
            targets,
        })
    }
}

fn file<'p>(items: &mut BTreeMap<String, Filed<'p>>, covered: &[String], mut add: impl FnMut(&mut Filed<'p>)) {
    for name in covered {
        if let Some(filed) = items.get_mut(name) {
            add(filed);
        }
    }
}

/// The servers that a pattern reaches, each with the names of the items that it covers there.
fn covered<'f, 'p>(
    filed: &'f mut BTreeMap<&'p str, BTreeMap<String, Filed<'p>>>,
    pattern: &ItemPattern,
) -> Vec<(&'f mut BTreeMap<String, Filed<'p>>, Vec<String>)> {
    let of = |items: &'f mut BTreeMap<String, Filed<'p>>| {
        let names = match pattern.item.literal() {
            Some(item) => items.get_key_value(item).map(|(n, _)| n.clone()).into_iter().collect(),
            None => items.keys().filter(|i| pattern.item.matches(i)).cloned().collect(),
        };
        (items, names)
    };
    match pattern.server.literal() {
        Some(server) => filed.get_mut(server).map(of).into_iter().collect(),
        None => filed.iter_mut().filter(|(s, _)| pattern.server.matches(s)).map(|(_, items)| of(items)).collect(),
    }
}

/// The patterns that match a URI, most specific first.
fn matching<'p>(server: &'p Server, uri: &str) -> Vec<Target<'p>> {
    let plain = is_plain_uri(uri);
    let matches = |item: &Item| plain && item.uri.as_ref().is_some_and(|u| u.matches(uri));
    let mut found: Vec<(&String, &Item)> = server.resources.iter().filter(|(_, i)| matches(i)).collect();
    // Stable: patterns of one length stay in the order of their names.
    let prefix = |item: &Item| item.uri.as_ref().map_or(0, |u| u.literal_prefix().chars().count());
    found.sort_by_key(|(_, item)| std::cmp::Reverse(prefix(item)));
    let target = |(name, item): (&String, &'p Item)| Target {
        item: item_name(ResourceKind::Resource, name).into_owned(),
        declared: Some(item),
    };
    found.into_iter().map(target).collect()
}

/// One name of what a request reaches.
pub(super) struct Target<'p> {
    pub(super) item: String,
    pub(super) declared: Option<&'p Item>,
}

/// Everything in a policy that has a say about one item.
pub(super) struct Gate<'v, 'p> {
    pub(super) view: &'v View<'p>,
    pub(super) name: &'p str,
    pub(super) server: &'p Server,
    /// Of a resource each pattern that matches, most specific first.
    pub(super) targets: Vec<Target<'p>>,
    pub(super) grants: Vec<Ask<'p>>,
    pub(super) denies: Vec<Ask<'p>>,
    /// The argument rules of the item itself.
    pub(super) own: Ask<'p>,
    /// The scopes of which one is needed; `None` when none is.
    pub(super) scopes: Option<BTreeSet<&'p str>>,
    pub(super) ttl: Option<u32>,
}

impl<'p> Gate<'_, 'p> {
    /// An issuer, if it is accepted here.
    pub(super) fn issuer(&self, name: &str) -> Option<&'p Issuer> {
        let accepted = self.server.issuers.as_ref().is_none_or(|list| list.iter().any(|i| i == name));
        self.view.set.issuers.get(name).filter(|_| accepted)
    }

    /// The `aud` values of which one is needed.
    pub(super) fn audiences(&self, issuer: &'p Issuer) -> &'p [String] {
        if issuer.audiences.is_empty() { std::slice::from_ref(&self.server.resource) } else { &issuer.audiences }
    }

    /// Whether a token so many seconds after its `iat` is neither too new nor too old.
    pub(super) fn accepts_age(&self, issuer: &Issuer, age: i64) -> bool {
        age >= -i64::from(issuer.clock_skew) && self.ttl.is_none_or(|ttl| age < i64::from(ttl))
    }

    /// Whether a subject is no server, or one that may call here.
    pub(super) fn accepts_caller(&self, issuer: &str, subject: &str) -> bool {
        self.view.server_of(issuer, subject).is_none_or(|server| self.server.callers.iter().any(|c| c == server))
    }

    pub(super) fn carries(&self, scope: &str) -> bool {
        self.scopes.as_ref().is_none_or(|scopes| scopes.contains(scope))
    }

    /// Every condition on a request here.
    pub(super) fn asks(&self) -> impl Iterator<Item = &Ask<'p>> {
        self.grants.iter().chain(&self.denies).chain([&self.own])
    }
}

/// A statement as a condition on requests for one item.
#[derive(Clone, Debug)]
pub(super) struct Ask<'p> {
    /// Its number among grants or denies.
    pub(super) number: usize,
    /// Whom it is about; `None` for everyone.
    pub(super) to: Option<&'p Selector>,
    pub(super) expires: Option<Timestamp>,
    pub(super) rules: Vec<(&'p ArgPath, &'p Matcher)>,
    /// Whether a value that cannot be judged meets the rules.
    pub(super) forbid: bool,
}

impl<'p> Ask<'p> {
    pub(super) fn statement(statement: &'p Statement, number: usize, server: &str, item: &str, forbid: bool) -> Self {
        // The server itself has no arguments.
        let rules = statement.args.iter().filter(|(pattern, _)| !item.is_empty() && pattern.matches(server, item));
        Self {
            number,
            to: Some(&statement.to),
            expires: statement.expires,
            rules: rules.flat_map(|(_, rules)| rules.iter()).collect(),
            forbid,
        }
    }

    /// The rules of an item, for every caller.
    fn own(rules: Option<&'p ArgRules>) -> Self {
        let rules = rules.into_iter().flat_map(ArgRules::iter).collect();
        Self { number: 0, to: None, expires: None, rules, forbid: false }
    }

    /// A selector alone.
    pub(super) const fn selector(to: &'p Selector) -> Self {
        Self { number: 0, to: Some(to), expires: None, rules: Vec::new(), forbid: false }
    }

    /// Whether a value meets a matcher as this statement reads it.
    pub(super) fn meets(&self, outcome: Match) -> bool {
        match outcome {
            Match::Yes | Match::Excused => true,
            Match::Unfit => self.forbid,
            Match::No | Match::Unknown => false,
        }
    }

    /// Whether it asks for exactly what another one asks for.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.to == other.to && self.expires == other.expires && self.rules == other.rules && self.forbid == other.forbid
    }

    pub(super) fn accepts_issuer(&self, issuer: &str) -> bool {
        self.to.is_none_or(|to| to.issuers.is_empty() || to.issuers.iter().any(|i| i == issuer))
    }
}
