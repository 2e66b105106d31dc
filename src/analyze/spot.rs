//! One item, of a resource one URI, with everything that a search about it needs.

use super::cells::uris;
use super::place::Place;
use super::search::{Asked, Found, Goal, find};
use super::space::{Fixed, Space, Who};
use super::view::{Ask, Gate, View};
use super::witness::Witness;
use super::{Budget, Limit};
use crate::model::ResourceKind;
use crate::policy::set::Issuer;

/// An item, or one class of URIs of a resource.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) place: Place,
    pub(super) uri: Option<String>,
}

/// The requests to look at for an item: of a resource one URI for each combination of patterns, of
/// `others` too, for which this one decides.
pub(super) fn points(
    view: &View<'_>,
    others: &[&View<'_>],
    place: &Place,
    budget: &mut Budget,
) -> Result<Vec<Point>, Limit> {
    if place.kind != ResourceKind::Resource {
        return Ok(vec![Point { place: place.clone(), uri: None }]);
    }
    let servers = std::iter::once(view).chain(others.iter().copied()).filter_map(|v| v.set.servers.get(&place.server));
    let patterns = servers.flat_map(|s| s.resources.values()).filter_map(|item| item.uri.as_ref());
    let uris = uris(patterns, budget)?;
    let wanted = place.item();
    let decides = |uri: &String| {
        let gate = view.gate(&place.server, place.kind, uri);
        gate.is_some_and(|gate| gate.targets.first().is_some_and(|t| t.item == wanted))
    };
    Ok(uris.into_iter().filter(decides).map(|uri| Point { place: place.clone(), uri: Some(uri) }).collect())
}

impl Point {
    pub(super) fn gate<'v, 'p>(&self, view: &'v View<'p>) -> Option<Gate<'v, 'p>> {
        view.gate(&self.place.server, self.place.kind, self.uri.as_deref().unwrap_or(&self.place.name))
    }
}

/// The facts of a token that no statement asks about.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) audience: String,
    pub(super) scopes: Vec<String>,
    pub(super) age: i64,
    pub(super) lifetime: i64,
}

/// A point at the gate of the policy that is to allow.
#[derive(Clone, Copy)]
pub(super) struct Spot<'a, 'p> {
    pub(super) point: &'a Point,
    pub(super) gate: &'a Gate<'a, 'p>,
    pub(super) space: &'a Space,
    pub(super) who: &'a Who,
}

impl<'p> Spot<'_, 'p> {
    /// The issuers whose tokens can pass.
    pub(super) fn issuers(&self) -> Vec<(&'p str, &'p Issuer)> {
        let wanted = |name: &str| self.who.issuer.as_ref().is_none_or(|i| i == name);
        let names = self.gate.view.set.issuers.keys().filter(|name| wanted(name));
        names.filter_map(|name| Some((name.as_str(), self.gate.issuer(name)?))).collect()
    }

    /// Lists of scopes with which a token passes: one carrying scope each, or what is given.
    pub(super) fn scopes(&self) -> Vec<Vec<String>> {
        match (&self.who.scopes, &self.gate.scopes) {
            (Some(given), _) => {
                let passes = self.gate.scopes.is_none() || given.iter().any(|s| self.gate.carries(s));
                if passes { vec![given.clone()] } else { Vec::new() }
            }
            (None, None) => vec![Vec::new()],
            (None, Some(scopes)) => scopes.iter().map(|s| vec![(*s).to_owned()]).collect(),
        }
    }

    /// Ages and lifetimes of tokens that pass, the plainest first, with those among them that lie
    /// at the limits of `other`.
    pub(super) fn times(&self, issuer: &Issuer, other: Option<(&Gate<'_, '_>, &Issuer)>) -> Vec<(i64, i64)> {
        let longest = i64::from(issuer.max_lifetime);
        let mut lifetimes = vec![longest];
        let mut ages = vec![0, -i64::from(issuer.clock_skew)];
        if let Some((gate, issuer)) = other {
            lifetimes.insert(0, longest.min(i64::from(issuer.max_lifetime)));
            ages.extend(gate.ttl.map(i64::from));
        }
        let times = ages.into_iter().flat_map(|age| lifetimes.iter().map(move |lifetime| (age, *lifetime)));
        times.filter(|(age, lifetime)| age < lifetime && self.gate.accepts_age(issuer, *age)).collect()
    }

    /// The plainest token that passes.
    pub(super) fn token(&self, issuer: &'p Issuer) -> Option<Token> {
        let (age, lifetime) = self.times(issuer, None).into_iter().next()?;
        let audience = self.gate.audiences(issuer).first()?.clone();
        let scopes = self.scopes().into_iter().next()?;
        Some(Token { audience, scopes, age, lifetime })
    }

    /// A request that a grant allows here and that meets and escapes further statements.
    pub(super) fn allowed(
        &self,
        grant: &Ask<'p>,
        must: &[Asked<'_, 'p>],
        avoid: &[Asked<'_, 'p>],
        budget: &mut Budget,
    ) -> Result<Option<Witness>, Limit> {
        for (name, issuer) in self.issuers() {
            let Some(token) = self.token(issuer) else { continue };
            let gate = self.gate;
            let goal = Goal {
                issuer: name,
                must: [(gate, grant), (gate, &gate.own)].into_iter().chain(must.iter().copied()).collect(),
                avoid: gate.denies.iter().map(|d| (gate, d)).chain(avoid.iter().copied()).collect(),
                subject: &|subject| gate.accepts_caller(name, subject),
            };
            if let Some(found) = find(self.space, &goal, budget)? {
                let witness = self.witness(name, found, token);
                if !witness.decide(gate.view.policy).is_allow() {
                    return Err(DISAGREE);
                }
                return Ok(Some(witness));
            }
        }
        Ok(None)
    }

    /// A request that a grant is about here, whatever the denies say, and that escapes further
    /// statements.
    pub(super) fn escapes(
        &self,
        grant: &Ask<'p>,
        avoid: &[Asked<'_, 'p>],
        budget: &mut Budget,
    ) -> Result<Option<Found>, Limit> {
        let gate = self.gate;
        for (name, issuer) in self.issuers() {
            let goal = Goal {
                issuer: name,
                must: vec![(gate, grant), (gate, &gate.own)],
                avoid: avoid.to_vec(),
                subject: &|subject| gate.accepts_caller(name, subject),
            };
            if self.token(issuer).is_some()
                && let Some(found) = find(self.space, &goal, budget)?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Whether a grant and another statement can be about one request.
    pub(super) fn meet(&self, grant: &Ask<'p>, other: &Ask<'p>, budget: &mut Budget) -> Result<bool, Limit> {
        let gate = self.gate;
        for (name, _) in self.issuers() {
            let goal = Goal {
                issuer: name,
                must: vec![(gate, grant), (gate, &gate.own), (gate, other)],
                avoid: Vec::new(),
                subject: &|subject| gate.accepts_caller(name, subject),
            };
            if find(self.space, &goal, budget)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn witness(&self, issuer: &str, found: Found, token: Token) -> Witness {
        Witness {
            place: self.point.place.clone(),
            uri: self.point.uri.clone(),
            now: found.now,
            issuer: issuer.to_owned(),
            subject: found.subject,
            agent: found.agent,
            groups: found.groups,
            claims: found.claims,
            scopes: token.scopes,
            audience: token.audience,
            age: token.age,
            lifetime: token.lifetime,
            arguments: found.arguments,
        }
    }
}

/// Every witness is decided again on the whole policy; should the two ever differ, no answer is
/// given.
pub(super) const DISAGREE: Limit = Limit::new("the search and the decision disagree, which is a fault in doorward");

/// A point with its gate and space, for questions about one policy.
pub(super) fn at_points<'p>(
    view: &View<'p>,
    place: &Place,
    fixed: &Fixed<'_>,
    mut visit: impl FnMut(&Spot<'_, 'p>, &mut Budget) -> Result<(), Limit>,
) -> Result<(), Limit> {
    let mut budget = Budget::new(fixed.options.steps);
    for point in points(view, &[], place, &mut budget)? {
        let Some(gate) = point.gate(view) else { continue };
        if gate.grants.is_empty() {
            continue;
        }
        let space = Space::new(&[&gate], &[], fixed, &mut budget)?;
        visit(&Spot { point: &point, gate: &gate, space: &space, who: fixed.who }, &mut budget)?;
    }
    Ok(())
}
