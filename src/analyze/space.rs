//! The values of each part of a request that a question has to try.
//!
//! # Why lists of groups can be short
//!
//! A statement asks of a list (groups, the values of a claim) that *some* member matches, so a
//! longer list meets more statements and never fewer. Take any request that meets the statements a
//! question says must hold and escapes those that must not. For each of the former keep one member
//! that it matches and drop the rest: they still hold, and the others are still escaped. So lists
//! with at most one member for each statement that must hold are enough. Scopes and audiences are
//! lists of the same sort.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::cells::{Cluster, clusters, lies_under, names};
use super::view::{Ask, Gate};
use super::{Budget, Limit, Options};
use crate::model::{Arguments, Timestamp};
use crate::policy::glob::NameGlob;
use crate::policy::set::Selector;

/// 2026-01-01T00:00:00Z, the instant of inline tests that name none.
const USUAL: Timestamp = Timestamp(1_767_225_600);

/// What is known of a subject. What is `None` can be anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Who {
    /// The issuer, by its name in the policy.
    pub issuer: Option<String>,
    /// `sub`
    pub id: Option<String>,
    /// The agent; `Some(None)` for a token without one.
    pub agent: Option<Option<String>>,
    /// The groups, all of them.
    pub groups: Option<Vec<String>>,
    /// Mapped claims; one that is not named here can be anything.
    pub claims: BTreeMap<String, Vec<String>>,
    /// The scopes of the token, all of them.
    pub scopes: Option<Vec<String>>,
}

/// What a question fixes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fixed<'w> {
    pub(super) who: &'w Who,
    pub(super) arguments: Option<&'w Map<String, Value>>,
    pub(super) options: Options,
}

/// Values for each part of a request, one for each combination of answers.
#[derive(Debug)]
pub(super) struct Space {
    pub(super) subjects: Vec<String>,
    pub(super) agents: Vec<Option<String>>,
    pub(super) groups: Members,
    pub(super) claims: BTreeMap<String, Members>,
    pub(super) instants: Vec<Timestamp>,
    pub(super) clusters: Vec<Cluster>,
}

/// A list of strings in a token.
#[derive(Clone, Debug)]
pub(super) enum Members {
    /// Any list of these.
    Free(Vec<String>),
    /// This list.
    Fixed(Vec<String>),
}

impl Space {
    /// Values for everything that the gates and `more` ask.
    pub(super) fn new(
        gates: &[&Gate<'_, '_>],
        more: &[Ask<'_>],
        fixed: &Fixed<'_>,
        budget: &mut Budget,
    ) -> Result<Self, Limit> {
        let asks: Vec<&Ask<'_>> = gates.iter().flat_map(|g| g.asks()).chain(more).collect();
        let selectors: Vec<&Selector> = asks.iter().filter_map(|a| a.to).collect();
        let who = fixed.who;
        let lists = |of: fn(&Selector) -> &[NameGlob]| {
            selectors.iter().map(|s| of(s)).filter(|l| !l.is_empty()).collect::<Vec<_>>()
        };
        let subjects = match &who.id {
            Some(id) => vec![id.clone()],
            None => subjects(gates, lists(|s| &s.subjects), budget)?,
        };
        let agents = if let Some(agent) = &who.agent {
            vec![agent.clone()]
        } else {
            let known = names(lists(|s| &s.agents), [], budget)?;
            std::iter::once(None).chain(known.into_iter().map(Some)).collect()
        };
        let groups = match &who.groups {
            Some(groups) => Members::Fixed(groups.clone()),
            None => Members::Free(names(lists(|s| &s.groups), [], budget)?),
        };
        let claimed: BTreeSet<&String> =
            selectors.iter().flat_map(|s| s.claims.keys()).chain(who.claims.keys()).collect();
        let mut claims = BTreeMap::new();
        for name in claimed {
            let members = if let Some(values) = who.claims.get(name) {
                Members::Fixed(values.clone())
            } else {
                let lists = selectors.iter().filter_map(|s| s.claims.get(name)).map(Vec::as_slice);
                Members::Free(names(lists, [], budget)?)
            };
            claims.insert(name.clone(), members);
        }
        let clusters = match fixed.arguments {
            Some(object) => vec![Cluster { root: String::new(), objects: vec![object.clone()] }],
            None => clusters(asks.iter().flat_map(|a| a.rules.iter().copied()), budget)?,
        };
        let expiries = asks.iter().filter_map(|a| a.expires);
        Ok(Self { subjects, agents, groups, claims, instants: instants(expiries, fixed.options.from), clusters })
    }
}

/// Subjects, with those servers among them that may call at one of the gates.
fn subjects(gates: &[&Gate<'_, '_>], lists: Vec<&[NameGlob]>, budget: &mut Budget) -> Result<Vec<String>, Limit> {
    let identities: BTreeSet<(&str, &str)> =
        gates.iter().flat_map(|g| g.view.identities()).map(|(issuer, subject, _)| (issuer, subject)).collect();
    let welcome: BTreeSet<&str> = (identities.iter())
        .filter(|(issuer, subject)| gates.iter().any(|g| g.accepts_caller(issuer, subject)))
        .map(|(_, subject)| *subject)
        .collect();
    let named: BTreeSet<&str> = lists.iter().copied().flatten().filter_map(NameGlob::literal).collect();
    let found = names(lists, identities.iter().map(|(_, subject)| *subject), budget)?;
    let identities: BTreeSet<&str> = identities.into_iter().map(|(_, subject)| subject).collect();
    let wanted =
        |s: &String| !identities.contains(s.as_str()) || welcome.contains(s.as_str()) || named.contains(s.as_str());
    Ok(found.into_iter().filter(wanted).collect())
}

/// An instant in every span in which the same statements are live.
fn instants(expiries: impl Iterator<Item = Timestamp>, from: Option<Timestamp>) -> Vec<Timestamp> {
    let edges: BTreeSet<Timestamp> = expiries.flat_map(|e| [e.plus(-1), e]).collect();
    if edges.is_empty() {
        // Nothing expires, so that one instant is as good as another.
        return vec![USUAL];
    }
    let usual = from.map_or(USUAL, |from| from.max(USUAL));
    let edges: BTreeSet<Timestamp> = edges.into_iter().chain(from).collect();
    let counts = |at: &Timestamp| from.is_none_or(|from| *at >= from);
    let others = edges.into_iter().filter(|at| counts(at) && *at != usual);
    std::iter::once(usual).chain(others).collect()
}

/// One part of a request with a value.
#[derive(Clone, Debug)]
pub(super) enum Part<'s> {
    Subject(&'s str),
    Agent(Option<&'s str>),
    Groups(Vec<&'s str>),
    Claim(&'s str, Vec<&'s str>),
    Now(Timestamp),
    Arguments(&'s Cluster, &'s Map<String, Value>),
}

fn any(globs: &[NameGlob], text: &str) -> bool {
    globs.iter().any(|g| g.matches(text))
}

impl Ask<'_> {
    /// Whether a part of a request meets what this statement asks of that part.
    pub(super) fn holds(&self, gate: &Gate<'_, '_>, issuer: &str, part: &Part<'_>) -> bool {
        let to = |holds: &dyn Fn(&Selector) -> bool| self.to.is_none_or(holds);
        match part {
            Part::Subject(subject) => to(&|to| {
                let server = || gate.view.server_of(issuer, subject);
                (to.subjects.is_empty() || any(&to.subjects, subject))
                    && (to.servers.is_empty() || server().is_some_and(|s| to.servers.iter().any(|t| t == s)))
            }),
            Part::Agent(agent) => to(&|to| to.agents.is_empty() || agent.is_some_and(|a| any(&to.agents, a))),
            Part::Groups(groups) => to(&|to| to.groups.is_empty() || groups.iter().any(|g| any(&to.groups, g))),
            Part::Claim(name, values) => {
                to(&|to| to.claims.get(*name).is_none_or(|wanted| values.iter().any(|v| any(wanted, v))))
            }
            Part::Now(now) => self.expires.is_none_or(|expires| *now < expires),
            Part::Arguments(cluster, object) => {
                let arguments = Arguments::known(object);
                let here = |pointer: &str| pointer == cluster.root || lies_under(pointer, &cluster.root);
                let mut rules = self.rules.iter().filter(|(path, _)| here(path.pointer()));
                rules.all(|(path, matcher)| self.meets(path.answer(&arguments, matcher)))
            }
        }
    }

    /// Whether one member of a list would do for what this statement asks of the list.
    pub(super) fn wants<'s>(&'s self, part: &Part<'_>) -> Option<&'s [NameGlob]> {
        let to = self.to?;
        let globs = match part {
            Part::Groups(_) => to.groups.as_slice(),
            Part::Claim(name, _) => to.claims.get(*name)?,
            _ => return None,
        };
        (!globs.is_empty()).then_some(globs)
    }
}
