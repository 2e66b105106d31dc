//! How much a policy grants to those who were seen.
//!
//! The surface is the number of pairs of a profile and an item of which [`what_can`] finds a request
//! that is allowed. A profile is an issuer, a `sub`, an agent and a list of groups that stand in the
//! traffic together, recorded as allowed or as denied; scopes and claims of its token can be
//! anything, and so can what was not recorded of it. An item is a declared tool, prompt or resource.

use std::collections::BTreeMap;

use super::limits::{MAX_ITEMS, MAX_PAIRS, MAX_PROFILES};
use super::lowest::Lowest;
use super::profile::{Class, Profile};
use crate::analyze::{Options, Place, what_can};
use crate::model::ResourceKind;
use crate::policy::CompiledPolicy;
use crate::policy::glob::NameGlob;

/// The steps that the question about one item may take.
const STEPS: u64 = 1_000_000;

/// How much is granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surface {
    /// Profiles seen in the traffic.
    pub profiles: usize,
    /// Items: those that today's policy declares, or without one those in the traffic.
    pub items: usize,
    /// What is compared with: the surface of today's policy, or every profile with every item.
    pub before: u64,
    /// The surface of the suggested policy.
    pub after: u64,
    /// The surface of the policy that was learned without the held-out events.
    pub held_out: Option<u64>,
    /// Pairs about which the question was too large; they count as granted.
    pub unanswered: u64,
}

/// Who and what was seen.
#[derive(Clone, Debug)]
pub(super) struct Sightings {
    profiles: Lowest<Profile, ()>,
    items: Lowest<Place, ()>,
}

impl Sightings {
    pub(super) const fn new() -> Self {
        Self { profiles: Lowest::new(MAX_PROFILES), items: Lowest::new(MAX_ITEMS) }
    }

    pub(super) fn add(&mut self, profile: Option<&Profile>, item: Option<&Place>) {
        if let Some(profile) = profile {
            self.profiles.of(profile);
        }
        if let Some(item) = item.filter(|item| item.kind != ResourceKind::Server) {
            self.items.of(item);
        }
    }

    /// The surface, and whether there were more profiles than it is of.
    pub(super) fn surface(
        &self,
        today: Option<&CompiledPolicy>,
        after: &CompiledPolicy,
        held_out: Option<&CompiledPolicy>,
    ) -> (Surface, bool) {
        let items = today.map_or_else(|| self.items.map().len(), |policy| policy.set().items().count());
        let most = MAX_PAIRS / items.max(1);
        let profiles: Vec<&Profile> = self.profiles.map().keys().take(most).collect();
        let cut = self.profiles.is_full() || profiles.len() < self.profiles.map().len();
        let mut unanswered = 0;
        let mut of = |policy: &CompiledPolicy| {
            let (granted, more) = reached(policy, &profiles);
            unanswered += more;
            granted
        };
        let every = profiles.len() as u64 * items as u64;
        let surface = Surface {
            profiles: profiles.len(),
            items,
            before: today.map_or(every, &mut of),
            after: of(after),
            held_out: held_out.map(&mut of),
            unanswered: 0,
        };
        (Surface { unanswered, ..surface }, cut)
    }
}

/// How many pairs are reached, and how many questions were too large.
fn reached(policy: &CompiledPolicy, profiles: &[&Profile]) -> (u64, u64) {
    let set = policy.set();
    let selectors = set.grants.iter().chain(&set.denies).map(|s| &s.to);
    let mut globs: Vec<&NameGlob> = selectors.flat_map(|to| &to.subjects).collect();
    globs.sort();
    globs.dedup();
    let options = Options { from: None, steps: STEPS };
    let (mut reached, mut unanswered) = (0, 0);
    // A `sub` matters only by the patterns that it matches.
    let mut known: BTreeMap<(&Class, Vec<usize>), (u64, u64)> = BTreeMap::new();
    for profile in profiles {
        let sub = profile.sub.as_deref();
        let matched = globs.iter().enumerate().filter(|(_, g)| sub.is_some_and(|s| g.matches(s))).map(|(n, _)| n);
        let mut signature: Vec<usize> = matched.collect();
        if sub.is_none() {
            signature.push(usize::MAX);
        }
        let (granted, open) = *known.entry((&profile.class, signature)).or_insert_with(|| {
            let answer = what_can(policy, &profile.who(), options);
            let behind = |place: &Place| place.kind != ResourceKind::Server;
            let granted = answer.items.iter().filter(|access| behind(&access.place)).count() as u64;
            let open = answer.unanswered.iter().filter(|one| behind(&one.place)).count() as u64;
            (granted + open, open)
        });
        reached += granted;
        unanswered += open;
    }
    (reached, unanswered)
}
