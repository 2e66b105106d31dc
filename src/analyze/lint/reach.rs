//! Grants that no request can use, and grants that add nothing to the others.
//!
//! For each item one search asks for a request that this grant allows and no other grant does. Most
//! grants have one at the first item that they cover, and that settles both questions. Only the
//! rest are looked at closely.

use std::collections::{BTreeMap, BTreeSet};

use super::super::place::Place;
use super::super::search::Asked;
use super::super::space::{Fixed, Who};
use super::super::spot::{Spot, at_points};
use super::super::view::Ask;
use super::super::{Budget, Limit};
use super::{Lint, called};
use crate::diagnostics::{Code, Diagnostic};
use crate::model::ResourceKind;
use crate::policy::set::Selector;

/// What is known of each grant.
#[derive(Default)]
struct Known {
    /// Grants that some request can use.
    used: BTreeSet<usize>,
    /// Grants that some request can use and that no other one allows.
    needed: BTreeSet<usize>,
    /// Grants about which some question is open.
    open: BTreeSet<usize>,
}

impl Lint<'_> {
    pub(super) fn reach(&mut self) {
        let places = self.places();
        let live: BTreeSet<usize> = self.live();
        let mut known = Known::default();
        for place in &places {
            if self.view.has_grant(place) {
                self.settle(place, &live, &mut known);
            }
        }
        // Later grants first: of two that say the same, the one written first stays.
        let mut rest: Vec<usize> =
            live.difference(&known.needed).copied().filter(|n| !known.open.contains(n)).collect();
        rest.sort_by_key(|n| std::cmp::Reverse((self.grant_span(*n), *n)));
        let (used, unused): (Vec<usize>, Vec<usize>) = rest.into_iter().partition(|n| known.used.contains(n));
        for number in unused {
            self.dead(number, &places);
        }
        let mut left = live;
        // What one grant covers goes before what several do: then the wider one stays.
        for by_one in [true, false] {
            for number in &used {
                if left.contains(number) {
                    self.shadowed(*number, &places, by_one, &mut left);
                }
            }
        }
    }

    /// Items before servers: a grant of an item opens the door too, and that alone is no use.
    fn places(&self) -> Vec<Place> {
        let (servers, items): (Vec<Place>, Vec<Place>) =
            Place::all(self.view.set).into_iter().partition(|p| p.kind == ResourceKind::Server);
        items.into_iter().chain(servers).collect()
    }

    fn live(&self) -> BTreeSet<usize> {
        let grants = self.view.set.grants.iter().enumerate();
        grants.filter(|(_, g)| g.is_live(self.now())).map(|(number, _)| number).collect()
    }

    /// Whether a grant is about a place and not only opens its door.
    fn concerns(&self, number: usize, place: &Place) -> bool {
        let Some(grant) = self.view.set.grants.get(number) else { return false };
        match place.kind {
            ResourceKind::Server => {
                let server = self.view.set.servers.get(&place.server);
                let items = server.into_iter().flat_map(|s| {
                    let tools = s.tools.keys().map(|n| (ResourceKind::Tool, n));
                    let prompts = s.prompts.keys().map(|n| (ResourceKind::Prompt, n));
                    tools.chain(prompts).chain(s.resources.keys().map(|n| (ResourceKind::Resource, n)))
                });
                let mut items = items.map(|(kind, name)| Place::new(&place.server, kind, name));
                grant.covers(&place.server, "") && !items.any(|p| grant.covers(&p.server, &p.item()))
            }
            _ => grant.covers(&place.server, &place.item()),
        }
    }

    /// Finds out about the grants at one place of which not enough is known.
    fn settle(&mut self, place: &Place, live: &BTreeSet<usize>, known: &mut Known) {
        let (grants, _) = self.view.numbers(place);
        let fresh = grants.into_iter().filter(|n| live.contains(n) && !known.needed.contains(n));
        let of_place: BTreeSet<usize> = fresh.filter(|n| self.concerns(*n, place)).collect();
        if of_place.is_empty() || self.gave_up() {
            known.open.extend(of_place.iter().filter(|_| self.gave_up()));
            return;
        }
        let who = Who::default();
        let fixed = Fixed { who: &who, arguments: None, options: self.options };
        let result = at_points(&self.view, place, &fixed, |spot, budget| {
            let rivals = Rivals::new(&spot.gate.grants);
            for grant in spot.gate.grants.iter().filter(|g| of_place.contains(&g.number)) {
                if known.needed.contains(&grant.number) {
                    continue;
                }
                let others = rivals.of(spot, grant, live);
                if spot.allowed(grant, &[], &others, budget)?.is_some() {
                    known.needed.insert(grant.number);
                    known.used.insert(grant.number);
                } else if !known.used.contains(&grant.number) && spot.allowed(grant, &[], &[], budget)?.is_some() {
                    known.used.insert(grant.number);
                }
            }
            Ok(())
        });
        if let Err(limit) = result {
            known.open.extend(of_place);
            self.open("grants could not be compared", place, &limit);
        }
    }

    /// Reports a grant that one of those left, or all of them together, cover. It is left no longer.
    fn shadowed(&mut self, number: usize, places: &[Place], by_one: bool, left: &mut BTreeSet<usize>) {
        left.remove(&number);
        let covered = |others: &BTreeSet<usize>| self.is_covered(number, places, others).unwrap_or(false);
        let single = if by_one { left.iter().copied().find(|other| covered(&BTreeSet::from([*other]))) } else { None };
        if single.is_none() && (by_one || !covered(left)) {
            left.insert(number);
            return;
        }
        let grants = &self.view.set.grants;
        let name = |n: usize| called("grant", grants.get(n).and_then(|g| g.name.as_deref()));
        let message = match single {
            Some(other) => format!("{} adds nothing: {} allows all that it allows", name(number), name(other)),
            None => format!("{} adds nothing: other grants together allow all that it allows", name(number)),
        };
        let mut problem = Diagnostic::new(Code::ShadowedGrant, message)
            .at(self.grant_span(number), "")
            .help("remove it, or narrow the other");
        if let Some(other) = single {
            problem = problem.also(self.grant_span(other), "this grant covers it");
        }
        self.add(problem);
    }

    /// Whether every request that a grant allows is allowed by one of the others too.
    fn is_covered(&self, number: usize, places: &[Place], others: &BTreeSet<usize>) -> Result<bool, Limit> {
        let who = Who::default();
        let fixed = Fixed { who: &who, arguments: None, options: self.options };
        let mut covered = true;
        for place in places.iter().filter(|p| self.concerns(number, p)) {
            at_points(&self.view, place, &fixed, |spot, budget| {
                let rivals = Rivals::new(&spot.gate.grants);
                for grant in spot.gate.grants.iter().filter(|g| g.number == number) {
                    let avoid = rivals.of(spot, grant, others);
                    covered = covered && spot.allowed(grant, &[], &avoid, budget)?.is_none();
                }
                Ok(())
            })?;
            if !covered {
                break;
            }
        }
        Ok(covered)
    }

    /// Reports a grant that no request can use, with the first reason that can be named.
    fn dead(&mut self, number: usize, places: &[Place]) {
        let Some(grant) = self.view.set.grants.get(number) else { return };
        let places: Vec<&Place> = places.iter().filter(|p| self.concerns(number, p)).collect();
        let told = !places.is_empty() && places.iter().all(|p| self.unmet_places.contains(*p));
        if told || self.unmet.contains(&number) {
            return;
        }
        let (why, help) = match places.first() {
            None => ("it covers nothing that is declared".to_owned(), "correct its patterns, or remove it"),
            Some(place) => self.why_dead(number, place),
        };
        let message = format!("no request can use {}: {why}", called("grant", grant.name.as_deref()));
        let problem = Diagnostic::new(Code::DeadGrant, message).at(self.grant_span(number), "").help(help);
        self.add(problem);
    }

    fn why_dead(&self, number: usize, place: &Place) -> (String, &'static str) {
        let who = Who::default();
        let fixed = Fixed { who: &who, arguments: None, options: self.options };
        let mut why = None;
        let result = at_points(&self.view, place, &fixed, |spot, budget| {
            for grant in spot.gate.grants.iter().filter(|g| g.number == number) {
                if why.is_none() {
                    why = Some(reason(spot, grant, budget)?);
                }
            }
            Ok(())
        });
        let unknown = || ("its conditions rule each other out".to_owned(), "correct its conditions, or remove it");
        result.ok().and(why).unwrap_or_else(unknown)
    }
}

/// Why a grant that no request can use at a place is of no use there.
fn reason<'p>(spot: &Spot<'_, 'p>, grant: &Ask<'p>, budget: &mut Budget) -> Result<(String, &'static str), Limit> {
    let issuers = spot.issuers();
    let place = &spot.point.place;
    if !issuers.iter().any(|(name, _)| grant.accepts_issuer(name)) {
        let why = format!("no issuer that it names is accepted at `{}`", place.server);
        return Ok((why, "add the issuer to the server's `issuers`, or change the grant"));
    }
    for deny in &spot.gate.denies {
        if spot.meet(grant, deny, budget)? && spot.escapes(grant, &[(spot.gate, deny)], budget)?.is_none() {
            let name = spot.gate.view.deny_ref(deny.number).name;
            let name = called("deny", Some(name.as_str()).filter(|n| !n.is_empty()));
            return Ok((format!("{name} denies all of it"), "remove one of the two"));
        }
    }
    if spot.escapes(grant, &[], budget)?.is_some() {
        return Ok(("the denies together take all of it away".to_owned(), "remove it, or narrow the denies"));
    }
    let to_servers = grant.to.is_some_and(|to: &Selector| !to.servers.is_empty());
    if to_servers {
        let why = format!("none of its servers may call `{}`", place.server);
        return Ok((why, "list the server in `callers`, with an `identity`, or change the grant"));
    }
    let plain = Ask { rules: Vec::new(), ..grant.clone() };
    if !grant.rules.is_empty() && spot.escapes(&plain, &[], budget)?.is_some() {
        return Ok(("no arguments meet its rules".to_owned(), "correct its argument rules"));
    }
    Ok((
        format!("no token that `{}` accepts meets its conditions", place.server),
        "compare `to` with what the server and the declaration ask",
    ))
}

/// The other grants at a place, filed by the groups they ask for, so that only those are compared
/// with a grant that can be about the same subjects.
struct Rivals<'a, 'p> {
    by_group: BTreeMap<&'p str, Vec<&'a Ask<'p>>>,
    others: Vec<&'a Ask<'p>>,
    all: &'a [Ask<'p>],
}

impl<'a, 'p> Rivals<'a, 'p> {
    fn new(all: &'a [Ask<'p>]) -> Self {
        let mut rivals = Self { by_group: BTreeMap::new(), others: Vec::new(), all };
        for ask in all {
            match literal_groups(ask) {
                Some(groups) => groups.into_iter().for_each(|g| rivals.by_group.entry(g).or_default().push(ask)),
                None => rivals.others.push(ask),
            }
        }
        rivals
    }

    /// A list of groups with one member that the grant asks for escapes every grant that asks for
    /// other ones; those need not be looked at.
    fn of<'b>(&self, spot: &'b Spot<'_, 'p>, grant: &Ask<'p>, among: &BTreeSet<usize>) -> Vec<Asked<'b, 'p>>
    where
        'a: 'b,
    {
        let fits = |ask: &&&'a Ask<'p>| ask.number != grant.number && among.contains(&ask.number);
        let found: Vec<&'a Ask<'p>> = match literal_groups(grant) {
            Some(groups) => {
                let named = groups.iter().filter_map(|g| self.by_group.get(g)).flatten();
                named.chain(&self.others).filter(fits).copied().collect()
            }
            None => self.all.iter().collect::<Vec<_>>().iter().filter(fits).copied().collect(),
        };
        let mut seen = BTreeSet::new();
        found.into_iter().filter(|ask| seen.insert(ask.number)).map(|ask| (spot.gate, ask)).collect()
    }
}

/// The groups that a statement asks for, when it names them all.
fn literal_groups<'p>(ask: &Ask<'p>) -> Option<Vec<&'p str>> {
    let groups = &ask.to?.groups;
    if groups.is_empty() { None } else { groups.iter().map(|g| g.literal()).collect() }
}
