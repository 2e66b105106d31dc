//! Invariants: what must not be possible for any request.
//!
//! An invariant is read as a deny, less those it excepts. It holds when that deny would change
//! nothing: when no request that it is about is allowed.

use super::place::{Place, RuleRef};
use super::space::{Fixed, Space, Who};
use super::spot::{Spot, points};
use super::view::{Ask, Gate, View};
use super::witness::Witness;
use super::{Budget, Limit, Options, Unanswered};
use crate::policy::CompiledPolicy;
use crate::policy::checks::Invariant;

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Which one, by its number in the list.
    pub invariant: usize,
    /// The item that it is broken by.
    pub place: Place,
    /// The grant that allows the request.
    pub grant: RuleRef,
    /// A request that it forbids and the policy allows.
    pub witness: Witness,
}

/// What came of proving invariants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proof {
    /// Those that fail, one counterexample for each item.
    pub violations: Vec<Violation>,
    /// Invariants and items about which no answer could be found.
    pub unanswered: Vec<(usize, Unanswered)>,
}

impl Proof {
    /// Whether every invariant holds, and that for certain.
    pub fn holds(&self) -> bool {
        self.violations.is_empty() && self.unanswered.is_empty()
    }
}

/// Proves invariants, or finds requests that break them.
pub fn check_invariants(policy: &CompiledPolicy, invariants: &[Invariant], options: Options) -> Proof {
    let view = View::new(policy);
    let places = Place::all(view.set);
    let mut proof = Proof::default();
    for (number, invariant) in invariants.iter().enumerate() {
        for place in places.iter().filter(|p| view.has_grant(p) && concerns(&view, invariant, p)) {
            match break_at(&view, invariant, place, options) {
                Ok(None) => {}
                Ok(Some((grant, witness))) => {
                    proof.violations.push(Violation { invariant: number, place: place.clone(), grant, witness });
                }
                Err(limit) => proof.unanswered.push((number, Unanswered { place: place.clone(), limit })),
            }
        }
    }
    proof
}

/// Whether an invariant may be about an item; of a resource also by another pattern of the door.
fn concerns(view: &View<'_>, invariant: &Invariant, place: &Place) -> bool {
    let names = |item: &str| invariant.never.iter().any(|p| p.matches(&place.server, item));
    let is_resource = place.kind == crate::model::ResourceKind::Resource;
    let others = view.set.servers.get(&place.server).filter(|_| is_resource).into_iter();
    names(&place.item())
        || others.flat_map(|s| s.resources.keys()).any(|name| names(&crate::policy::set::item_name(place.kind, name)))
}

fn break_at(
    view: &View<'_>,
    invariant: &Invariant,
    place: &Place,
    options: Options,
) -> Result<Option<(RuleRef, Witness)>, Limit> {
    let mut budget = Budget::new(options.steps);
    let who = Who::default();
    let fixed = Fixed { who: &who, arguments: None, options };
    for point in points(view, &[], place, &mut budget)? {
        let Some(gate) = point.gate(view) else { continue };
        let forbidden = asks(invariant, &gate);
        let except: Vec<Ask<'_>> = invariant.except.iter().map(Ask::selector).collect();
        let more: Vec<Ask<'_>> = forbidden.iter().chain(&except).cloned().collect();
        let space = Space::new(&[&gate], &more, &fixed, &mut budget)?;
        let spot = Spot { point: &point, gate: &gate, space: &space, who: &who };
        let avoid: Vec<_> = except.iter().map(|ask| (&gate, ask)).collect();
        for grant in &gate.grants {
            for ask in &forbidden {
                if let Some(witness) = spot.allowed(grant, &[(&gate, ask)], &avoid, &mut budget)? {
                    return Ok(Some((view.grant_ref(grant.number), witness)));
                }
            }
        }
    }
    Ok(None)
}

/// The invariant as denies, one for each name of the item that it covers.
fn asks<'p>(invariant: &'p Invariant, gate: &Gate<'_, 'p>) -> Vec<Ask<'p>> {
    let covered = gate.targets.iter().filter(|t| invariant.never.iter().any(|p| p.matches(gate.name, &t.item)));
    let ask = |item: &str| {
        // The server itself has no arguments.
        let rules = invariant.args.iter().filter(|(p, _)| !item.is_empty() && p.matches(gate.name, item));
        Ask { rules: rules.flat_map(|(_, rules)| rules.iter()).collect(), forbid: true, ..Ask::selector(&invariant.to) }
    };
    covered.map(|target| ask(&target.item)).collect()
}
