//! From callers of items to grants.
//!
//! For each issuer and item: callers that are servers of today's policy are granted as such; those
//! with groups by a [cover](super::cover) of groups; the others by `sub`. Where all of them came
//! through few agents, the grant asks for these. Items with the same selector share a grant.

use std::collections::{BTreeMap, BTreeSet};

use super::bounds::{Bound, Open, bounds, keep};
use super::cover::{Members, cover};
use super::evidence::Evidence;
use super::learner::Learner;
use super::profile::{Agent, Class, Profile, literal};
use super::scaffold;
use super::shape::Shapes;
use crate::analyze::Place;
use crate::model::{ResourceKind, Timestamp};
use crate::policy::glob::NameGlob;
use crate::policy::matcher::ArgRules;
use crate::policy::set::{ItemPattern, PolicySet, Selector, Statement};

/// The longest part of a name that is made from what a selector asks for.
const MAX_SLUG: usize = 40;

/// Whom a grant names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Groups.
    Groups,
    /// Subjects, for no group of theirs is known.
    Subjects,
    /// Servers that call other servers.
    Servers,
}

/// A grant with the events behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedGrant {
    /// The grant.
    pub statement: Statement,
    /// Whom it names.
    pub basis: Basis,
    /// The calls that it keeps.
    pub evidence: Evidence,
    /// How many subjects made them.
    pub subjects: usize,
    /// Its items, in the order of their references.
    pub items: Vec<LearnedItem>,
}

/// What a grant gives of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnedItem {
    /// The item, as the policy declares it.
    pub place: Place,
    /// The calls.
    pub evidence: Evidence,
    /// How many subjects made them.
    pub subjects: usize,
    /// How many other callers were seen that it is granted to: what the groups generalise.
    pub idle: usize,
    /// The bounds on its arguments.
    pub bounds: Vec<Bound>,
    /// Its arguments without a bound.
    pub open: Vec<Open>,
    /// The one of today's grants that decided all these calls: what it asks is asked again.
    pub from: Option<String>,
}

/// Callers of one item with their calls.
type Callers<'l> = Vec<(&'l Profile, &'l Evidence)>;

/// One item for one selector.
struct Part {
    to: Selector,
    expires: Option<Timestamp>,
    basis: Basis,
    item: LearnedItem,
    subjects: BTreeSet<(String, Option<String>)>,
}

/// What all parts are made with.
struct Maker<'l, 'p> {
    learner: &'l Learner<'p>,
    /// Every caller by its number.
    profiles: Vec<&'l Profile>,
    numbers: BTreeMap<&'l Profile, usize>,
    /// The members of groups, by issuer.
    members: BTreeMap<&'l str, Members<'l>>,
    names: scaffold::Names,
}

/// The grants, in the order in which a policy set has them.
pub(super) fn grants(learner: &Learner<'_>, set: &PolicySet) -> Vec<LearnedGrant> {
    let maker = Maker::new(learner, set);
    let mut items: BTreeMap<&Place, Callers<'_>> = BTreeMap::new();
    for (key, evidence) in learner.callers.map() {
        // The server itself is open to whoever has a grant behind it.
        if key.item.kind != ResourceKind::Server {
            items.entry(&key.item).or_default().push((&key.profile, evidence));
        }
    }
    let mut parts: BTreeMap<(Selector, Option<Timestamp>), Vec<Part>> = BTreeMap::new();
    for (place, callers) in items {
        for part in maker.parts(place, &callers) {
            parts.entry((part.to.clone(), part.expires)).or_default().push(part);
        }
    }
    let mut used = BTreeSet::new();
    let mut grants: Vec<LearnedGrant> =
        parts.into_iter().map(|(key, parts)| grant(key, parts, set, learner.options.generalise, &mut used)).collect();
    grants.sort_by(|a, b| a.statement.cmp(&b.statement));
    grants
}

impl<'l, 'p> Maker<'l, 'p> {
    fn new(learner: &'l Learner<'p>, set: &PolicySet) -> Self {
        let distinct: BTreeSet<&Profile> = learner.callers.map().keys().map(|key| &key.profile).collect();
        let profiles: Vec<&Profile> = distinct.into_iter().collect();
        let mut members: BTreeMap<&str, Members<'_>> = BTreeMap::new();
        for (number, profile) in profiles.iter().enumerate() {
            let of_issuer = members.entry(&profile.class.issuer).or_default();
            if profile.class.server.is_none() {
                for group in profile.class.groups.iter().flatten() {
                    of_issuer.entry(group).or_default().insert(number);
                }
            }
        }
        let numbers = profiles.iter().enumerate().map(|(n, p)| (*p, n)).collect();
        Self { learner, profiles, numbers, members, names: scaffold::Names::of(set, learner.today.policy.is_none()) }
    }

    fn parts(&self, place: &Place, callers: &Callers<'l>) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut by_issuer: BTreeMap<&str, Callers<'l>> = BTreeMap::new();
        for (profile, evidence) in callers {
            by_issuer.entry(&profile.class.issuer).or_default().push((profile, evidence));
        }
        for (issuer, callers) in by_issuer {
            let (servers, people): (Callers<'_>, Callers<'_>) =
                callers.into_iter().partition(|(p, _)| p.class.server.is_some());
            let grouped = |p: &Profile| p.class.groups.as_ref().is_some_and(|g| !g.is_empty());
            let (members, others): (Callers<'_>, Callers<'_>) = people.into_iter().partition(|(p, _)| grouped(p));
            if !servers.is_empty() {
                let names: BTreeSet<String> = servers.iter().filter_map(|(p, _)| p.class.server.clone()).collect();
                let to = Selector { servers: names.into_iter().collect(), ..Selector::default() };
                parts.push(self.part(to, Basis::Servers, place, &servers, &BTreeSet::new()));
            }
            if !members.is_empty() {
                self.by_group(issuer, place, &members, &mut parts);
            }
            self.by_subject(issuer, place, others, &mut parts);
        }
        parts
    }

    /// A part for each list of agents, so that no subject gets an agent of another's.
    fn by_subject(&self, issuer: &str, place: &Place, callers: Callers<'l>, parts: &mut Vec<Part>) {
        let mut of_subject: BTreeMap<&str, Callers<'l>> = BTreeMap::new();
        for (profile, evidence) in callers {
            if let Some(sub) = &profile.sub {
                of_subject.entry(sub).or_default().push((profile, evidence));
            }
        }
        let mut by_agents: BTreeMap<Option<BTreeSet<&str>>, Callers<'l>> = BTreeMap::new();
        for callers in of_subject.into_values() {
            by_agents.entry(self.agents(&callers)).or_default().extend(callers);
        }
        for callers in by_agents.into_values() {
            let subjects = globs(callers.iter().filter_map(|(p, _)| p.sub.as_deref()));
            let to = Selector { issuers: vec![issuer.to_owned()], subjects, ..Selector::default() };
            parts.push(self.part(to, Basis::Subjects, place, &callers, &BTreeSet::new()));
        }
    }

    /// One part for all groups, or one for each where their arguments differ and each has enough of
    /// them to say so.
    fn by_group(&self, issuer: &str, place: &Place, callers: &Callers<'l>, parts: &mut Vec<Part>) {
        let numbers: BTreeSet<usize> = callers.iter().filter_map(|(p, _)| self.numbers.get(p).copied()).collect();
        let Some(members) = self.members.get(issuer) else { return };
        let found = cover(&numbers, members);
        let of = |groups: &[&str], callers: &Callers<'l>, idle: &BTreeSet<usize>| {
            let groups = globs(groups.iter().copied());
            let to = Selector { issuers: vec![issuer.to_owned()], groups, ..Selector::default() };
            self.part(to, Basis::Groups, place, callers, idle)
        };
        let groups: Vec<&str> = found.groups.iter().copied().collect();
        let whole = of(&groups, callers, &found.idle);
        let split: Vec<Part> = groups
            .iter()
            .map(|group| {
                let in_group = |p: &Profile| p.class.groups.iter().flatten().any(|g| g == group);
                let own: Callers<'_> = callers.iter().filter(|(p, _)| in_group(p)).copied().collect();
                let idle = members.get(group).map(|m| m.difference(&numbers).copied().collect()).unwrap_or_default();
                of(&[*group], &own, &idle)
            })
            .collect();
        let rules = |part: &Part| part.item.bounds.iter().map(|b| (b.path.clone(), b.matcher.clone())).collect();
        let of_whole: Vec<_> = rules(&whole);
        let paths = |part: &Part| part.item.bounds.iter().map(|b| b.path.clone()).collect::<Vec<_>>();
        let each_knows = split.iter().all(|part| paths(part) == paths(&whole));
        let differs = split.iter().any(|part| rules(part) != of_whole);
        // Where today's grants tell the groups apart, and all of them together no longer would.
        let apart = |part: &Part| differs || !part.to.claims.is_empty() || part.expires.is_some();
        let told_apart =
            whole.item.from.is_none() && split.iter().all(|part| part.item.from.is_some()) && split.iter().any(apart);
        if !(told_apart || each_knows && differs) {
            parts.push(whole);
            return;
        }
        for mut part in split {
            // What holds for all calls holds for those of one group.
            for bound in &whole.item.bounds {
                if !paths(&part).contains(&bound.path) {
                    part.item.open.retain(|open| open.path != bound.path.as_str());
                    part.item.bounds.push(bound.clone());
                }
            }
            part.item.bounds.sort_by(|a, b| a.path.cmp(&b.path));
            parts.push(part);
        }
    }

    fn part(
        &self,
        mut to: Selector,
        basis: Basis,
        place: &Place,
        callers: &Callers<'l>,
        idle: &BTreeSet<usize>,
    ) -> Part {
        let agents = self.agents(callers);
        to.agents = globs(agents.iter().flatten().copied());
        let through = |profile: &Profile| match (&agents, &profile.class.agent) {
            (Some(agents), Agent::Known(agent)) => agents.contains(agent.as_str()),
            (Some(_), Agent::Absent) => false,
            _ => true,
        };
        let idle = idle.iter().filter_map(|n| self.profiles.get(*n)).filter(|p| through(p)).count();
        let mut evidence = Evidence::default();
        for (_, calls) in callers {
            evidence.merge(calls);
        }
        let subjects: BTreeSet<_> = callers.iter().map(|(p, _)| (p.class.issuer.clone(), p.sub.clone())).collect();
        let (mut bounds, mut open) = self.bounds(place, callers);
        let today = self.decider(place, callers);
        if let Some(grant) = today {
            to.claims.clone_from(&grant.to.claims);
            if place.kind != ResourceKind::Resource {
                for rules in grant.args_for(&place.server, &place.item()) {
                    keep(&mut bounds, &mut open, rules.iter(), &evidence, subjects.len());
                }
            }
        }
        let from = today.map(|grant| grant.name.clone().unwrap_or_else(|| "(no name)".to_owned()));
        let place = self.names.declared(place);
        let item = LearnedItem { place, evidence, subjects: subjects.len(), idle, bounds, open, from };
        Part { to, expires: today.and_then(|grant| grant.expires), basis, item, subjects }
    }

    /// The one of today's grants that decided all these calls.
    fn decider(&self, place: &Place, callers: &Callers<'l>) -> Option<&'l Statement> {
        let mut all: BTreeSet<Option<usize>> = BTreeSet::new();
        for (profile, _) in callers {
            all.extend(self.learner.deciders.map().get(&(place.clone(), profile.class.clone()))?.iter().copied());
        }
        let one = all.pop_first().filter(|_| all.is_empty())?;
        self.learner.today.policy?.set().grants.get(one?)
    }

    /// The agents of all calls, when they are known and few.
    fn agents(&self, callers: &Callers<'l>) -> Option<BTreeSet<&'l str>> {
        let known = |agent: &'l Agent| if let Agent::Known(agent) = agent { Some(agent.as_str()) } else { None };
        let agents: Option<BTreeSet<&str>> = callers.iter().map(|(p, _)| known(&p.class.agent)).collect();
        agents.filter(|agents| agents.len() <= self.learner.options.max_agents)
    }

    /// Bounds from the shapes of all these callers; none when one of them was given up.
    fn bounds(&self, place: &Place, callers: &Callers<'l>) -> (Vec<Bound>, Vec<Open>) {
        if place.kind == ResourceKind::Resource {
            return (Vec::new(), Vec::new());
        }
        let options = &self.learner.options;
        let classes: BTreeSet<&Class> = callers.iter().map(|(p, _)| &p.class).collect();
        let mut shapes = Shapes::default();
        for class in classes {
            match self.learner.shapes.map().get(&(place.clone(), class.clone())) {
                Some(more) => shapes.merge(more, options.min_support),
                None => return (Vec::new(), Vec::new()),
            }
        }
        bounds(&shapes, options.min_support, options.headroom)
    }
}

/// Patterns for these texts and no others, sorted.
fn globs<'t>(texts: impl Iterator<Item = &'t str>) -> Vec<NameGlob> {
    let mut globs: Vec<NameGlob> = texts.filter_map(literal).collect();
    globs.sort();
    globs.dedup();
    globs
}

fn grant(
    (to, expires): (Selector, Option<Timestamp>),
    parts: Vec<Part>,
    set: &PolicySet,
    generalise: Option<usize>,
    used: &mut BTreeSet<String>,
) -> LearnedGrant {
    let basis = parts.first().map_or(Basis::Subjects, |p| p.basis);
    let mut evidence = Evidence::default();
    let mut subjects = BTreeSet::new();
    let mut learned = Vec::new();
    for part in parts {
        evidence.merge(&part.item.evidence);
        subjects.extend(part.subjects);
        learned.push(part.item);
    }
    learned.sort_by(|a, b| a.place.cmp(&b.place));
    let places: BTreeSet<&Place> = learned.iter().map(|i| &i.place).collect();
    let mut items: BTreeSet<ItemPattern> = BTreeSet::new();
    for place in &places {
        let whole =
            basis == Basis::Groups && generalise.is_some_and(|least| is_whole(&place.server, &places, set, least));
        items.extend(if whole { everything(&place.server) } else { pattern(place) });
    }
    let mut args: Vec<(ItemPattern, ArgRules)> = Vec::new();
    for item in learned.iter().filter(|item| !item.bounds.is_empty()) {
        let rules: BTreeMap<_, _> = item.bounds.iter().map(|b| (b.path.clone(), b.matcher.clone())).collect();
        args.extend(pattern(&item.place).map(|pattern| (pattern, ArgRules::from(rules))));
    }
    args.sort();
    let name = Some(name(&to, used));
    let statement = Statement { name, expires, to, items: items.into_iter().collect(), args, ..Statement::default() };
    LearnedGrant { statement, basis, evidence, subjects: subjects.len(), items: learned }
}

/// Whether every known item of a server is among the places, and there are enough of them.
fn is_whole(server: &str, places: &BTreeSet<&Place>, set: &PolicySet, least: usize) -> bool {
    let known = set.items().filter(|(s, ..)| *s == server);
    let mut count = 0;
    for (server, kind, name, _) in known {
        let place = Place { server: server.to_owned(), kind, name: name.to_owned() };
        if !places.contains(&place) {
            return false;
        }
        count += 1;
    }
    count >= least.max(1)
}

fn everything(server: &str) -> Option<ItemPattern> {
    Some(ItemPattern { server: literal(server)?, item: NameGlob::new("*").ok()? })
}

fn pattern(place: &Place) -> Option<ItemPattern> {
    Some(ItemPattern { server: literal(&place.server)?, item: literal(&place.item())? })
}

/// A name from what a selector asks for, different from those before.
fn name(to: &Selector, used: &mut BTreeSet<String>) -> String {
    let lists = [&to.groups, &to.subjects].into_iter().flatten().filter_map(|glob| glob.literal());
    let words: Vec<&str> = lists.chain(to.servers.iter().map(String::as_str)).collect();
    let mut slug = String::new();
    for word in &words {
        for c in std::iter::once('-').chain(word.chars()) {
            let c = if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
            if slug.len() < MAX_SLUG && (c != '-' || !slug.is_empty() && !slug.ends_with('-')) {
                slug.push(c);
            }
        }
    }
    let slug = slug.trim_end_matches('-');
    let base = if slug.is_empty() { "learned".to_owned() } else { format!("learned-{slug}") };
    let mut name = base.clone();
    let mut number = 1;
    while !used.insert(name.clone()) {
        number += 1;
        name = format!("{base}-{number}");
    }
    name
}
