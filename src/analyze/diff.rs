//! What one policy allows and another does not.
//!
//! For each item and each grant of the policy that allows, every way in which the other policy can
//! refuse is tried on its own: its token rules, its callers, each of its denies, its scopes, the
//! absence of a grant, its argument rules. A request found is decided by both policies before it
//! is reported.

use std::collections::BTreeSet;

use super::duties::{Change, changes};
use super::place::{Place, RuleRef};
use super::search::{Asked, Goal, find};
use super::space::{Fixed, Space, Who};
use super::spot::{DISAGREE, Spot, Token, points};
use super::view::{Ask, Gate, View};
use super::witness::Witness;
use super::{Budget, Limit, Options, Unanswered};
use crate::model::Reason;
use crate::policy::CompiledPolicy;
use crate::policy::set::Issuer;

/// Whether access was gained or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// The new policy allows what the old one denies.
    Gained,
    /// The new policy denies what the old one allows.
    Lost,
}

/// A request that the two policies decide differently.
#[derive(Clone, Debug, PartialEq)]
pub struct Flip {
    /// The item.
    pub place: Place,
    /// Which policy allows.
    pub direction: Direction,
    /// A grant of the policy that allows, which allows the request.
    pub grant: RuleRef,
    /// Whom that grant is about.
    pub to: String,
    /// The request.
    pub witness: Witness,
    /// Why the other policy denies.
    pub reason: Reason,
    /// The statement of the other policy behind it, where there is one.
    pub rule: Option<RuleRef>,
}

/// Everything that differs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// Access gained and lost, by item.
    pub flips: Vec<Flip>,
    /// Servers and items that only the new policy declares.
    pub added: Vec<Place>,
    /// Servers and items that only the old policy declares.
    pub removed: Vec<Place>,
    /// What changed beside access.
    pub changes: Vec<Change>,
    /// Items about which no answer could be found.
    pub unanswered: Vec<Unanswered>,
}

impl Diff {
    /// Whether some request is newly allowed, or may be because an issuer is trusted otherwise.
    pub fn widens(&self) -> bool {
        self.has(Direction::Gained) || self.changes.iter().any(Change::is_of_trust)
    }

    /// Whether some request is newly denied, or may be because an issuer is trusted otherwise.
    pub fn narrows(&self) -> bool {
        self.has(Direction::Lost) || self.changes.iter().any(Change::is_of_trust)
    }

    /// Whether nothing differs, and that for certain.
    pub fn is_empty(&self) -> bool {
        self.flips.is_empty()
            && self.added.is_empty()
            && self.removed.is_empty()
            && self.changes.is_empty()
            && self.unanswered.is_empty()
    }

    fn has(&self, direction: Direction) -> bool {
        self.flips.iter().any(|f| f.direction == direction)
    }
}

/// Compares two policies.
pub fn diff(old: &CompiledPolicy, new: &CompiledPolicy, options: Options) -> Diff {
    let (before, after) = (View::new(old), View::new(new));
    let (old_places, new_places) = (Place::all(before.set), Place::all(after.set));
    let only = |of: &[Place], other: &[Place]| of.iter().filter(|p| !other.contains(p)).cloned().collect();
    let mut diff = Diff {
        added: only(&new_places, &old_places),
        removed: only(&old_places, &new_places),
        changes: changes(before.set, after.set),
        ..Diff::default()
    };
    for (direction, allows, denies, places) in
        [(Direction::Gained, &after, &before, &new_places), (Direction::Lost, &before, &after, &old_places)]
    {
        for place in places.iter().filter(|p| allows.has_grant(p)) {
            match flips(direction, allows, denies, place, options) {
                Ok(found) => diff.flips.extend(found),
                Err(limit) => diff.unanswered.push(Unanswered { place: place.clone(), limit }),
            }
        }
    }
    diff.flips.sort_by(|a, b| (&a.place, a.direction, a.grant.number).cmp(&(&b.place, b.direction, b.grant.number)));
    diff.unanswered.sort();
    diff.unanswered.dedup();
    diff
}

/// Requests for an item that one policy allows and the other denies: for each grant one for each
/// reason.
fn flips(
    direction: Direction,
    allows: &View<'_>,
    denies: &View<'_>,
    place: &Place,
    options: Options,
) -> Result<Vec<Flip>, Limit> {
    let mut budget = Budget::new(options.steps);
    let who = Who::default();
    let fixed = Fixed { who: &who, arguments: None, options };
    let mut found = Vec::new();
    let mut seen: BTreeSet<(usize, Reason, Option<RuleRef>)> = BTreeSet::new();
    for point in points(allows, &[denies], place, &mut budget)? {
        let Some(gate) = point.gate(allows) else { continue };
        let other = point.gate(denies);
        let candidates: Vec<&Ask<'_>> =
            gate.grants.iter().filter(|g| !is_carried_over(&gate, other.as_ref(), g)).collect();
        if candidates.is_empty() {
            continue;
        }
        let gates: Vec<&Gate<'_, '_>> = std::iter::once(&gate).chain(&other).collect();
        let space = Space::new(&gates, &[], &fixed, &mut budget)?;
        let spot = Spot { point: &point, gate: &gate, space: &space, who: &who };
        for grant in candidates {
            let mut report = |witness: Witness| {
                let there = witness.decide(denies.policy);
                if !witness.decide(allows.policy).is_allow() || there.is_allow() {
                    return Err(DISAGREE);
                }
                let rule = there.rule.as_ref().map(RuleRef::of);
                if seen.insert((grant.number, there.reason, rule.clone())) {
                    found.push(Flip {
                        place: place.clone(),
                        direction,
                        grant: allows.grant_ref(grant.number),
                        to: super::wording::selector(grant.to),
                        witness,
                        reason: there.reason,
                        rule,
                    });
                }
                Ok(())
            };
            for (name, issuer) in spot.issuers() {
                for way in ways(&spot, other.as_ref(), name, issuer) {
                    if let Some(witness) = way.find(&spot, grant, name, &mut budget)? {
                        report(witness)?;
                    }
                }
            }
        }
    }
    Ok(found)
}

/// Whether the other policy has the same grant and differs in nothing else that has a say here.
fn is_carried_over(gate: &Gate<'_, '_>, other: Option<&Gate<'_, '_>>, grant: &Ask<'_>) -> bool {
    let Some(other) = other else { return false };
    let same_identities = || gate.view.identities().eq(other.view.identities());
    let same_issuers = || {
        gate.view.set.issuers.iter().all(|(name, _)| match (gate.issuer(name), other.issuer(name)) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(a), Some(b)) => {
                gate.audiences(a) == other.audiences(b)
                    && (a.max_lifetime, a.clock_skew) == (b.max_lifetime, b.clock_skew)
            }
        })
    };
    other.grants.iter().any(|g| g.is_like(grant))
        && gate.ttl == other.ttl
        && gate.scopes == other.scopes
        && gate.server.callers == other.server.callers
        && gate.own.rules == other.own.rules
        && other.denies.iter().all(|d| gate.denies.iter().any(|e| e.is_like(d)))
        && same_identities()
        && same_issuers()
}

/// One way in which the other policy can refuse.
struct Way<'a, 'p> {
    token: Token,
    must: Vec<Asked<'a, 'p>>,
    avoid: Vec<Asked<'a, 'p>>,
    /// The gate that must refuse the subject as a caller.
    refuses: Option<&'a Gate<'a, 'p>>,
}

impl<'p> Way<'_, 'p> {
    fn find(
        &self,
        spot: &Spot<'_, 'p>,
        grant: &Ask<'p>,
        issuer: &str,
        budget: &mut Budget,
    ) -> Result<Option<Witness>, Limit> {
        let gate = spot.gate;
        let subject = |subject: &str| {
            gate.accepts_caller(issuer, subject)
                && self.refuses.is_none_or(|other| !other.accepts_caller(issuer, subject))
        };
        let goal = Goal {
            issuer,
            must: [(gate, grant), (gate, &gate.own)].into_iter().chain(self.must.iter().copied()).collect(),
            avoid: gate.denies.iter().map(|d| (gate, d)).chain(self.avoid.iter().copied()).collect(),
            subject: &subject,
        };
        let found = find(spot.space, &goal, budget)?;
        Ok(found.map(|found| spot.witness(issuer, found, self.token.clone())))
    }
}

/// Every way in which the other policy can refuse what this one allows.
fn ways<'a, 'p>(
    spot: &Spot<'a, 'p>,
    other: Option<&'a Gate<'a, 'p>>,
    name: &str,
    issuer: &'p Issuer,
) -> Vec<Way<'a, 'p>> {
    let way = |token: Token| Way { token, must: Vec::new(), avoid: Vec::new(), refuses: None };
    let Some((gate, there)) = other.and_then(|gate| Some((gate, gate.issuer(name)?))) else {
        // Not declared there, or its issuer is not accepted there: refused whatever else holds.
        return spot.token(issuer).map(way).into_iter().collect();
    };
    let audiences = spot.gate.audiences(issuer);
    let scopes = spot.scopes();
    let times = spot.times(issuer, Some((gate, there)));
    let knows = |audience: &&String| gate.audiences(there).contains(audience);
    let carries = |scopes: &&Vec<String>| gate.scopes.is_none() || scopes.iter().any(|s| gate.carries(s));
    let young = |age: i64| gate.ttl.is_none_or(|ttl| age < i64::from(ttl));
    let begun = |age: i64| age >= -i64::from(there.clock_skew);
    let short = |lifetime: i64| lifetime <= i64::from(there.max_lifetime);
    let fits = |(age, lifetime): &&(i64, i64)| young(*age) && begun(*age) && short(*lifetime);
    let plain = || {
        let (age, lifetime) = times.iter().find(fits).or(times.first())?;
        Some(Token {
            audience: audiences.iter().find(knows).or(audiences.first())?.clone(),
            scopes: scopes.iter().find(carries).or(scopes.first())?.clone(),
            age: *age,
            lifetime: *lifetime,
        })
    };
    let Some(plain) = plain() else { return Vec::new() };
    let mut ways = Vec::new();
    if let Some(audience) = audiences.iter().find(|a| !knows(a)) {
        ways.push(way(Token { audience: audience.clone(), ..plain.clone() }));
    }
    let refused: [&dyn Fn(i64, i64) -> bool; 3] =
        [&|_, lifetime| !short(lifetime), &|age, _| !begun(age), &|age, _| !young(age)];
    for refuses in refused {
        if let Some((age, lifetime)) = times.iter().find(|(age, lifetime)| refuses(*age, *lifetime)) {
            ways.push(way(Token { age: *age, lifetime: *lifetime, ..plain.clone() }));
        }
    }
    ways.push(Way { refuses: Some(gate), ..way(plain.clone()) });
    for deny in gate.denies.iter().filter(|d| !spot.gate.denies.iter().any(|e| e.is_like(d))) {
        ways.push(Way { must: vec![(gate, deny)], ..way(plain.clone()) });
    }
    if let Some(scopes) = scopes.iter().find(|s| !carries(s)) {
        ways.push(way(Token { scopes: scopes.clone(), ..plain.clone() }));
    }
    ways.push(Way { avoid: gate.grants.iter().map(|g| (gate, g)).collect(), ..way(plain.clone()) });
    ways.push(Way { avoid: vec![(gate, &gate.own)], ..way(plain) });
    ways
}
