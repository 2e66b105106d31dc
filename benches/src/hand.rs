//! The table that a good engineer would write by hand for exactly this policy, and no more: the
//! mark to measure the others against.
//!
//! One hash finds the tool, group names become bits, conditions are compiled. It knows no globs,
//! prompts, resources, claims, expiry, unknown facts or rates; whatever the policy language has
//! beyond this workload costs it nothing.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use serde_json::{Map, Value};

use crate::workload::{Ask, CLOCK_SKEW, Condition, MAX_LIFETIME, NOW, Policy, Rule};

/// The table, with `WORDS` times 64 groups.
#[derive(Debug)]
pub struct Hand<const WORDS: usize> {
    hash: FixedState,
    slots: HashTable<Slot<WORDS>>,
    doors: HashMap<Box<str>, (), FixedState>,
    groups: HashMap<Box<str>, u32, FixedState>,
}

/// Why, in the words of doorward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are doorward's reasons")]
pub enum Because {
    Granted(u32),
    UnknownDoor,
    UnknownTool,
    Issuer,
    Audience,
    TokenExpired,
    TokenNotYetValid,
    TokenLifetime,
    TokenStale,
    DeniedBy(u32),
    ScopeMissing,
    NoGrant,
    Args,
}

#[derive(Debug)]
struct Slot<const WORDS: usize> {
    server: Box<str>,
    tool: Box<str>,
    issuers: Box<[Box<str>]>,
    audience: Box<str>,
    ttl: i64,
    scopes: Box<[Box<str>]>,
    denies: Box<[Compiled<WORDS>]>,
    grants: Box<[Compiled<WORDS>]>,
}

#[derive(Debug)]
struct Compiled<const WORDS: usize> {
    groups: Bits<WORDS>,
    condition: Condition,
    index: u32,
}

/// A set of groups. One word suffices for the standard policy.
#[derive(Clone, Copy, Debug)]
struct Bits<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Bits<WORDS> {
    const NONE: Self = Self([0; WORDS]);

    #[inline]
    fn add(&mut self, group: u32) {
        self.0[group as usize / 64] |= 1 << (group % 64);
    }

    #[inline]
    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |common, (a, b)| common | (a & b)) != 0
    }
}

impl<const WORDS: usize> Hand<WORDS> {
    /// The table for a policy; `None` when it has more groups than the bits hold.
    pub fn new(policy: &Policy) -> Option<Self> {
        let hash = FixedState::default();
        let mut groups = HashMap::with_hasher(hash.clone());
        for name in policy.grants.iter().chain(&policy.denies).flat_map(|r| &r.groups) {
            let next = u32::try_from(groups.len()).ok()?;
            groups.entry(name.as_str().into()).or_insert(next);
        }
        if groups.len() > 64 * WORDS {
            return None;
        }
        // The grants and denies of a tool are few: those for it and those for its whole server.
        let mut by_server: Vec<[Vec<(u32, &Rule)>; 2]> = policy.servers.iter().map(|_| Default::default()).collect();
        for (which, rules) in [&policy.grants, &policy.denies].into_iter().enumerate() {
            for (index, rule) in (0..).zip(rules) {
                by_server[rule.server][which].push((index, rule));
            }
        }
        let mut slots = HashTable::new();
        for (at, server, t, tool) in policy.tools() {
            let compile = |rules: &[(u32, &Rule)]| -> Box<[Compiled<WORDS>]> {
                rules
                    .iter()
                    .filter(|(_, rule)| rule.tool.is_none_or(|only| only == t))
                    .map(|(index, rule)| Compiled {
                        groups: rule.groups.iter().fold(Bits::NONE, |mut set, g| {
                            set.add(groups[g.as_str()]);
                            set
                        }),
                        condition: rule.condition.clone(),
                        index: *index,
                    })
                    .collect()
            };
            let slot = Slot {
                server: server.name.as_str().into(),
                tool: tool.name.as_str().into(),
                issuers: server.issuers.iter().map(|i| Box::from(*i)).collect(),
                audience: server.resource.as_str().into(),
                ttl: tool.token_ttl.map_or(server.token_ttl, |ttl| ttl.min(server.token_ttl)),
                scopes: tool.scopes.iter().map(|s| s.as_str().into()).collect(),
                denies: compile(&by_server[at][1]),
                grants: compile(&by_server[at][0]),
            };
            let hash_of = |slot: &Slot<WORDS>| key(&hash, &slot.server, &slot.tool);
            slots.insert_unique(hash_of(&slot), slot, hash_of);
        }
        let doors = policy.servers.iter().map(|s| (s.name.as_str().into(), ())).collect();
        Some(Self { hash, slots, doors, groups })
    }

    /// Decides.
    #[inline]
    pub fn decide(&self, ask: &Ask<'_>) -> Because {
        let found = self
            .slots
            .find(key(&self.hash, ask.server, ask.tool), |slot| *slot.tool == *ask.tool && *slot.server == *ask.server);
        let Some(slot) = found else {
            return if self.doors.contains_key(ask.server) { Because::UnknownTool } else { Because::UnknownDoor };
        };
        if !slot.issuers.iter().any(|i| **i == *ask.issuer) {
            return Because::Issuer;
        }
        if !ask.audience.contains(&&*slot.audience) {
            return Because::Audience;
        }
        if NOW >= ask.expires_at {
            return Because::TokenExpired;
        }
        if ask.issued_at > NOW + CLOCK_SKEW {
            return Because::TokenNotYetValid;
        }
        if ask.expires_at - ask.issued_at > MAX_LIFETIME {
            return Because::TokenLifetime;
        }
        if NOW >= ask.issued_at + slot.ttl {
            return Because::TokenStale;
        }
        let mut groups = Bits::NONE;
        for group in &ask.groups {
            if let Some(number) = self.groups.get(*group) {
                groups.add(*number);
            }
        }
        for deny in &slot.denies {
            if deny.groups.meets(&groups) && deny.condition.answer(ask.arguments) != Some(false) {
                return Because::DeniedBy(deny.index);
            }
        }
        if !ask.scopes.iter().any(|scope| slot.scopes.iter().any(|s| **s == **scope)) {
            return Because::ScopeMissing;
        }
        let mut near = false;
        for grant in &slot.grants {
            if grant.groups.meets(&groups) {
                if grant.condition.answer(ask.arguments) == Some(true) {
                    return Because::Granted(grant.index);
                }
                near = true;
            }
        }
        if near { Because::Args } else { Because::NoGrant }
    }
}

impl Because {
    /// Whether it is allowed.
    pub fn is_allow(self) -> bool {
        matches!(self, Self::Granted(_))
    }

    /// doorward's code for it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Granted(_) => "granted",
            Self::UnknownDoor => "unknown-door",
            Self::UnknownTool => "unknown-tool",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::TokenExpired => "token-expired",
            Self::TokenNotYetValid => "token-not-yet-valid",
            Self::TokenLifetime => "token-lifetime",
            Self::TokenStale => "token-stale",
            Self::DeniedBy(_) => "denied-by",
            Self::ScopeMissing => "scope-missing",
            Self::NoGrant => "no-grant",
            Self::Args => "args",
        }
    }
}

impl Condition {
    /// The answer of the arguments; `None` when the argument is missing or of another type.
    #[inline]
    fn answer(&self, arguments: &Map<String, Value>) -> Option<bool> {
        match self {
            Self::None => Some(true),
            Self::Max(limit) => arguments.get("amount")?.as_i64().map(|n| n <= *limit),
            Self::Min(limit) => arguments.get("amount")?.as_i64().map(|n| n >= *limit),
            Self::Prefix(prefix) => arguments.get("path")?.as_str().map(|s| s.starts_with(prefix.as_str())),
        }
    }
}

#[inline]
fn key(hash: &FixedState, server: &str, tool: &str) -> u64 {
    let mut hasher = hash.build_hasher();
    hasher.write(server.as_bytes());
    hasher.write(tool.as_bytes());
    hasher.finish()
}
