//! Today's grants against the legitimate calls: which were used, and how far.
//!
//! A call counts for the grant that decides it, which is one: of two grants that both apply, the
//! other may look unused.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Evidence, Example};
use super::profile::{Agent, Profile};
use crate::analyze::{self, Diff, Place};
use crate::model::{Position, ResourceKind, RuleKind, Verdict};
use crate::policy::CompiledPolicy;
use crate::policy::glob::NameGlob;
use crate::policy::set::Statement;
use crate::traffic::Event;

/// The steps that the exact difference may take for each item.
const STEPS: u64 = 5_000_000;

/// What the suggestion changes about today's policy.
#[derive(Clone, Debug)]
pub struct Against {
    /// The digest of today's policy.
    pub digest: String,
    /// Today's grants, in the order of its policy set.
    pub grants: Vec<Today>,
    /// The exact difference, from today's policy to the suggested one, once measured.
    pub diff: Option<Diff>,
}

/// One of today's grants.
#[derive(Clone, Debug)]
pub struct Today {
    /// The grant.
    pub statement: Statement,
    /// Where it stands.
    pub position: Position,
    /// The legitimate calls that it decided.
    pub evidence: Evidence,
    /// The declared items that it covers and that no call reached through it.
    pub unused: Vec<Place>,
    /// How many declared items it covers.
    pub covered: usize,
    /// Groups, subjects, agents and servers that it names and that no call came from, as
    /// `groups contractor`.
    pub idle: Vec<String>,
}

/// The fold behind it.
#[derive(Clone, Debug)]
pub(super) struct Usage<'p> {
    policy: &'p CompiledPolicy,
    /// The number of a grant by the address of its place.
    numbers: BTreeMap<usize, usize>,
    used: Vec<Used>,
}

#[derive(Clone, Debug, Default)]
struct Used {
    evidence: Evidence,
    items: BTreeSet<Place>,
    /// The patterns that somebody matched, by the name of their list.
    matched: BTreeSet<(&'static str, String)>,
}

impl<'p> Usage<'p> {
    pub(super) fn new(policy: &'p CompiledPolicy) -> Self {
        let address = |(number, position)| (std::ptr::from_ref::<Position>(position).addr(), number);
        let numbers = policy.positions().grants.iter().enumerate().map(address).collect();
        Self { policy, numbers, used: vec![Used::default(); policy.set().grants.len()] }
    }

    /// Takes in a legitimate event. Gives the number of the grant that allows it.
    pub(super) fn event(
        &mut self,
        event: &Event,
        item: Option<&Place>,
        profile: Option<&Profile>,
        example: &Example,
    ) -> Option<usize> {
        let claims = event.claims();
        let Verdict::Decided(decision) = crate::pdp::judge(self.policy, &event.request(&claims)) else { return None };
        let rule = decision.rule.filter(|rule| decision.is_allow() && rule.kind == RuleKind::Grant)?;
        let number = self.numbers.get(&std::ptr::from_ref(rule.position).addr()).copied()?;
        let used = self.used.get_mut(number)?;
        used.evidence.add(event.time, example);
        if let Some(item) = item.filter(|item| item.kind != ResourceKind::Server && !used.items.contains(*item)) {
            used.items.insert(item.clone());
        }
        let Some((grant, profile)) = self.policy.set().grants.get(number).zip(profile) else { return Some(number) };
        for (list, pattern) in patterns(grant) {
            if matches(list, pattern, profile) && !used.matched.contains(&(list, pattern.as_str().to_owned())) {
                used.matched.insert((list, pattern.as_str().to_owned()));
            }
        }
        Some(number)
    }

    pub(super) fn finish(self) -> Against {
        let set = self.policy.set();
        let places: Vec<Place> =
            Place::all(set).into_iter().filter(|place| place.kind != ResourceKind::Server).collect();
        let grants = set.grants.iter().zip(&self.policy.positions().grants).zip(self.used);
        let grants = grants.map(|((statement, position), used)| {
            let covered: Vec<&Place> = places.iter().filter(|p| statement.covers(&p.server, &p.item())).collect();
            let unused = covered.iter().filter(|p| !used.items.contains(**p)).map(|p| (*p).clone()).collect();
            let idle = patterns(statement)
                .filter(|(list, glob)| !used.matched.contains(&(*list, glob.as_str().to_owned())))
                .map(|(list, glob)| format!("{list} {glob}"))
                .collect();
            Today {
                statement: statement.clone(),
                position: position.clone(),
                evidence: used.evidence,
                unused,
                covered: covered.len(),
                idle,
            }
        });
        Against { digest: self.policy.digest().to_string(), grants: grants.collect(), diff: None }
    }
}

/// The exact difference between two policies.
pub(super) fn difference(today: &CompiledPolicy, suggested: &CompiledPolicy) -> Diff {
    analyze::diff(today, suggested, analyze::Options { from: None, steps: STEPS })
}

/// What a grant asks of whom, with the name of the list.
fn patterns(grant: &Statement) -> impl Iterator<Item = (&'static str, &NameGlob)> {
    let to = &grant.to;
    [("groups", &to.groups), ("subjects", &to.subjects), ("agents", &to.agents)]
        .into_iter()
        .flat_map(|(name, list)| list.iter().map(move |glob| (name, glob)))
}

fn matches(list: &str, glob: &NameGlob, profile: &Profile) -> bool {
    match list {
        "groups" => profile.class.groups.iter().flatten().any(|group| glob.matches(group)),
        "subjects" => profile.sub.as_ref().is_some_and(|sub| glob.matches(sub)),
        _ => matches!(&profile.class.agent, Agent::Known(agent) if glob.matches(agent)),
    }
}
