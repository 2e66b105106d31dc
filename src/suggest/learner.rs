//! The fold from events to what is known of callers, items and tokens.
//!
//! Holds counts by caller and item, never an event. Everything in it keeps its lowest keys.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Evidence, Example};
use super::grants::LearnedGrant;
use super::limits::{Cap, MAX_CALLERS, MAX_ITEMS, MAX_SHAPED};
use super::lowest::Lowest;
use super::profile::{Class, Profile, fingerprint, item, subject_hash};
use super::scaffold::uri_pattern;
use super::shape::{Common, Seen, Shapes};
use super::{Keep, Options, grants, scaffold};
use crate::analyze::Place;
use crate::model::{Action, Effect, ResourceKind};
use crate::policy::set::PolicySet;
use crate::policy::uri::is_plain_uri;
use crate::policy::{CompiledPolicy, Positions, is_item, is_plain, looks_secret};
use crate::traffic::{Event, Field};

/// Why a legitimate call was not learned from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Left {
    /// No policy can allow the method.
    UnknownMethod,
    /// The issuer was not recorded.
    NoIssuer,
    /// Neither a group nor a `sub` is known to grant it to.
    NoIdentity,
    /// Today's policy does not declare what it reaches.
    NotDeclared,
    /// Today's policy does not declare the issuer.
    NoSuchIssuer,
    /// The name of the server, tool, prompt, resource or issuer is none that a policy can hold.
    BadName,
    /// There were more callers than are told apart.
    Capped,
}

impl Left {
    /// The stable kebab-case code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownMethod => "unknown-method",
            Self::NoIssuer => "no-issuer",
            Self::NoIdentity => "no-identity",
            Self::NotDeclared => "not-declared",
            Self::NoSuchIssuer => "no-such-issuer",
            Self::BadName => "bad-name",
            Self::Capped => "too-many-callers",
        }
    }

    /// One line for a person.
    pub const fn text(self) -> &'static str {
        match self {
            Self::UnknownMethod => "no policy can allow the method",
            Self::NoIssuer => "the issuer was not recorded",
            Self::NoIdentity => "neither a group nor a `sub` was recorded that a grant could name",
            Self::NotDeclared => "the policy does not declare what they reach",
            Self::NoSuchIssuer => "the policy does not declare the issuer",
            Self::BadName => "a policy cannot hold the name of the server, the item or the issuer",
            Self::Capped => "there are more callers than are told apart",
        }
    }
}

/// Calls that were not learned from.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// Why.
    pub why: Left,
    /// Which.
    pub evidence: Evidence,
}

/// What a study went over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Of these, legitimate ones.
    pub legitimate: u64,
    /// Of the legitimate ones, those of which no decision was recorded.
    pub undecided: u64,
    /// Those that were recorded as denied.
    pub denied: u64,
    /// Those that were passed over because nothing was decided and only allowed ones count.
    pub passed_over: u64,
    /// Records that could not be read.
    pub unreadable: u64,
    /// Calls in a foreign log that its mapping says are none, or says nothing of.
    pub unmapped: u64,
}

/// A suggested policy with the events behind each part.
#[derive(Clone, Debug)]
pub struct Suggestion {
    /// The whole policy: today's with the learned grants in place of its own, or one that stands
    /// alone.
    pub policy: CompiledPolicy,
    /// Whether it stands alone, with addresses that somebody must fill in.
    pub stands_alone: bool,
    /// The grants, in the order of the policy set.
    pub grants: Vec<LearnedGrant>,
    /// The calls that were learned from.
    pub learned: Evidence,
    /// The legitimate calls that were not.
    pub left_out: Vec<LeftOut>,
    /// The limits that were reached.
    pub caps: BTreeSet<Cap>,
}

/// A caller of an item.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) item: Place,
    pub(super) profile: Profile,
}

/// What the tokens of the calls of an item, or at a door, had in common.
pub(super) type Shared = Common<BTreeSet<String>>;

/// Today's policy, as far as it matters here.
#[derive(Clone, Debug, Default)]
pub(super) struct Vocabulary<'p> {
    pub(super) policy: Option<&'p CompiledPolicy>,
    /// The groups that issuers list.
    pub(super) groups: BTreeMap<String, BTreeSet<String>>,
}

impl Vocabulary<'_> {
    /// Who calls what, and whether groups were left out.
    pub(super) fn key(&self, event: &Event) -> Result<(Key, bool), Left> {
        if !Action::from_method(&event.method).reaches().contains(&event.kind) {
            return Err(Left::UnknownMethod);
        }
        let item = item(event, self.policy).ok_or(Left::NotDeclared)?;
        let (mut profile, cut) = Profile::of(event, self.policy).ok_or(Left::NoIssuer)?;
        let issuer = &profile.class.issuer;
        if let Some(policy) = self.policy {
            if !policy.set().issuers.contains_key(issuer) {
                return Err(Left::NoSuchIssuer);
            }
        } else {
            let named = match item.kind {
                ResourceKind::Server => true,
                ResourceKind::Tool | ResourceKind::Prompt => is_item(&item.name),
                ResourceKind::Resource => is_plain_uri(&item.name) && uri_pattern(&item.name).is_some(),
            };
            // Servers and issuers are named in placeholder addresses too.
            let plain = |name: &str| is_plain(name) && !looks_secret(name);
            if !named || !plain(&item.server) || !plain(issuer) {
                return Err(Left::BadName);
            }
        }
        if let (Some(listed), Some(groups)) = (self.groups.get(issuer), &mut profile.class.groups) {
            groups.retain(|group| listed.contains(group));
        }
        let grouped = profile.class.groups.as_ref().is_some_and(|groups| !groups.is_empty());
        if grouped || profile.sub.is_some() || profile.class.server.is_some() {
            Ok((Key { item, profile }, cut))
        } else {
            Err(Left::NoIdentity)
        }
    }
}

/// What is known so far.
#[derive(Clone, Debug)]
pub(super) struct Learner<'p> {
    pub(super) options: Options,
    pub(super) today: Vocabulary<'p>,
    pub(super) callers: Lowest<Key, Evidence>,
    pub(super) shapes: Lowest<(Place, Class), Shapes>,
    /// Today's grants that decide the calls; `None` among them for a call that none allows.
    pub(super) deciders: Lowest<(Place, Class), BTreeSet<Option<usize>>>,
    /// The scopes that all calls of an item carried.
    pub(super) scopes: Lowest<Place, Shared>,
    /// The audiences of all calls at a door, by issuer.
    pub(super) audiences: Lowest<(String, String), Shared>,
    /// The longest `exp - iat` of an issuer, in seconds.
    pub(super) lifetimes: Lowest<String, i64>,
    left_out: BTreeMap<Left, Evidence>,
    learned: Evidence,
    caps: BTreeSet<Cap>,
}

/// What was decided when an event was recorded, by doorward or by whatever stood there.
pub(super) fn recorded(event: &Event) -> Option<Effect> {
    let own = event.decided.as_ref().map(|decided| decided.effect);
    own.or(event.foreign.as_ref().map(|foreign| foreign.effect))
}

/// Whether an event is legitimate. `None`: it is neither that nor denied.
pub(super) fn is_legitimate(event: &Event, keep: Keep) -> Option<bool> {
    match (recorded(event), keep) {
        (Some(effect), _) => Some(effect == Effect::Allow),
        (None, Keep::All) => Some(true),
        (None, Keep::Allowed) => None,
    }
}

impl<'p> Learner<'p> {
    pub(super) fn new(options: Options, today: Vocabulary<'p>) -> Self {
        Self {
            options,
            today,
            callers: Lowest::new(MAX_CALLERS),
            shapes: Lowest::new(MAX_SHAPED),
            deciders: Lowest::new(MAX_CALLERS),
            scopes: Lowest::new(MAX_ITEMS),
            audiences: Lowest::new(MAX_ITEMS),
            lifetimes: Lowest::new(MAX_ITEMS),
            left_out: BTreeMap::new(),
            learned: Evidence::default(),
            caps: BTreeSet::new(),
        }
    }

    /// Learns from a legitimate event. `decider` is the one of today's grants that allows it.
    pub(super) fn event(&mut self, event: &Event, example: &Example, decider: Option<usize>) {
        match self.today.key(event) {
            Ok((key, cut)) => {
                if cut {
                    self.caps.insert(Cap::Groups);
                }
                self.learned.add(event.time, example);
                self.learn(&key, event, example);
                if let Some(deciders) = self.deciders.of(&(key.item, key.profile.class)) {
                    deciders.insert(decider);
                }
            }
            Err(why) => self.left_out.entry(why).or_default().add(event.time, example),
        }
    }

    fn learn(&mut self, key: &Key, event: &Event, example: &Example) {
        if let Some(evidence) = self.callers.of(key) {
            evidence.add(event.time, example);
        }
        let issuer = &key.profile.class.issuer;
        if let Field::Present(aud) = &event.token.aud
            && let Some(shared) = self.audiences.of(&(event.door.clone(), issuer.clone()))
        {
            shared.join(Some(aud.iter().cloned().collect()), intersect);
        }
        if let (Field::Present(iat), Field::Present(exp)) = (&event.token.iat, &event.token.exp)
            && let Some(longest) = self.lifetimes.of(issuer)
        {
            *longest = (*longest).max(exp.since(*iat));
        }
        if key.item.kind == ResourceKind::Server {
            return;
        }
        if let Field::Present(scopes) = &event.token.scopes
            && let Some(shared) = self.scopes.of(&key.item)
        {
            shared.join(Some(scopes.iter().cloned().collect()), intersect);
        }
        let hashes = (fingerprint(event), subject_hash(&key.profile));
        let seen = Seen { time: event.time, example, hashes, support: self.options.min_support };
        if let Some(shapes) = self.shapes.of(&(key.item.clone(), key.profile.class.clone())) {
            shapes.add(event, &seen);
        }
    }

    /// The suggestion.
    pub(super) fn finish(mut self) -> Suggestion {
        for (full, cap) in [
            (self.callers.is_full(), Cap::Callers),
            (self.shapes.is_full(), Cap::Shaped),
            (self.scopes.is_full() || self.audiences.is_full() || self.lifetimes.is_full(), Cap::Items),
            (self.shapes.map().values().any(|s| s.more), Cap::Arguments),
        ] {
            if full {
                self.caps.insert(cap);
            }
        }
        let mut kept = Evidence::default();
        self.callers.map().values().for_each(|evidence| kept.merge(evidence));
        let mut left_out = std::mem::take(&mut self.left_out);
        if kept.calls < self.learned.calls {
            // Which these were is not held: that is why they were given up.
            let calls = self.learned.calls - kept.calls;
            left_out.insert(Left::Capped, Evidence { calls, ..Evidence::default() });
        }
        let mut set = match self.today.policy {
            Some(policy) => PolicySet { grants: Vec::new(), ..policy.set().clone() },
            None => scaffold::scaffold(&self),
        };
        let grants = grants::grants(&self, &set);
        set.grants = grants.iter().map(|g| g.statement.clone()).collect();
        Suggestion {
            policy: CompiledPolicy::compile(set, Positions::default()),
            stands_alone: self.today.policy.is_none(),
            grants,
            learned: kept,
            left_out: left_out.into_iter().map(|(why, evidence)| LeftOut { why, evidence }).collect(),
            caps: self.caps,
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of every join")]
fn intersect(held: &mut BTreeSet<String>, more: BTreeSet<String>) -> bool {
    held.retain(|text| more.contains(text));
    true
}
