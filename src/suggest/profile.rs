//! Who called, as far as a grant can ask for it.
//!
//! A fact that was not recorded is not known, and is never taken for absent.

use std::hash::BuildHasher;

use super::limits::MAX_GROUPS;
use crate::analyze::{Place, Who};
use crate::model::{Fact, ResourceKind};
use crate::policy::CompiledPolicy;
use crate::policy::glob::NameGlob;
use crate::traffic::{Event, Field};

/// The agent of a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Agent {
    /// This one.
    Known(String),
    /// None.
    Absent,
    /// Not recorded, or not a name that a policy can hold.
    #[default]
    Unknown,
}

/// A kind of caller: everything that a grant can ask for but the `sub`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Class {
    /// The issuer by name.
    pub(super) issuer: String,
    /// The server of today's policy that it is.
    pub(super) server: Option<String>,
    /// The agent.
    pub(super) agent: Agent,
    /// The groups, sorted, as far as a policy can name them; `None` when they are not known.
    pub(super) groups: Option<Vec<String>>,
}

/// A caller. `sub` is `None` when it is not known, or not a name that a policy can hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Profile {
    pub(super) class: Class,
    pub(super) sub: Option<String>,
}

/// The pattern that matches this text and no other; `None` when a policy can hold none.
pub fn literal(text: &str) -> Option<NameGlob> {
    let mut pattern = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '*' | '?' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    NameGlob::new(&pattern).ok()
}

impl Profile {
    /// The caller of an event and whether groups were left out; `None` when the issuer is not known.
    pub(super) fn of(event: &Event, today: Option<&CompiledPolicy>) -> Option<(Self, bool)> {
        let subject = &event.subject;
        let Field::Present(issuer) = &subject.issuer else { return None };
        let agent = match &subject.agent {
            Field::Present(agent) if literal(agent).is_some() => Agent::Known(agent.clone()),
            Field::Absent => Agent::Absent,
            _ => Agent::Unknown,
        };
        let (mut groups, mut cut) = (None, false);
        match subject.groups.fact() {
            Fact::Known(names) => {
                let mut known: Vec<String> = names.iter().filter(|name| literal(name).is_some()).cloned().collect();
                known.sort();
                known.dedup();
                cut = known.len() > MAX_GROUPS;
                known.truncate(MAX_GROUPS);
                groups = Some(known);
            }
            Fact::Absent => groups = Some(Vec::new()),
            Fact::Unknown => {}
        }
        let sub = subject.sub.present();
        let server = sub.and_then(|sub| today?.index().server_of(issuer, sub)).map(str::to_owned);
        let class = Class { issuer: issuer.clone(), server, agent, groups };
        Some((Self { class, sub: sub.filter(|sub| literal(sub).is_some()).cloned() }, cut))
    }

    /// The same as a question to `analyze`; what is not known can be anything.
    pub(super) fn who(&self) -> Who {
        Who {
            issuer: Some(self.class.issuer.clone()),
            id: self.sub.clone(),
            agent: match &self.class.agent {
                Agent::Known(agent) => Some(Some(agent.clone())),
                Agent::Absent => Some(None),
                Agent::Unknown => None,
            },
            groups: self.class.groups.clone(),
            ..Who::default()
        }
    }
}

/// The item that an event reaches: of a resource its pattern in today's policy, or without one its
/// URI. `None` when today's policy declares none.
pub(super) fn item(event: &Event, today: Option<&CompiledPolicy>) -> Option<Place> {
    let place = |name: &str| Place { server: event.door.clone(), kind: event.kind, name: name.to_owned() };
    let Some(policy) = today else { return Some(place(&event.name)) };
    let index = policy.index();
    match event.kind {
        ResourceKind::Server => index.door(&event.door).map(|_| place("")),
        ResourceKind::Tool | ResourceKind::Prompt => {
            index.target(&event.door, event.kind, &event.name).map(|_| place(&event.name))
        }
        ResourceKind::Resource => {
            let target = index.uris(index.door(&event.door)?, &event.name).next()?;
            index.text(target.item).strip_prefix("resource:").map(place)
        }
    }
}

/// A number for an event, the same for an event that was recorded twice.
pub(super) fn fingerprint(event: &Event) -> u64 {
    let hasher = foldhash::fast::FixedState::with_seed(1);
    let subject = &event.subject;
    hasher.hash_one((
        event.time,
        (subject.issuer.present(), subject.sub.present(), event.session.present()),
        (&event.door, &event.method, &event.name),
        event.arguments.present(),
    ))
}

/// A number for a subject.
pub(super) fn subject_hash(profile: &Profile) -> u64 {
    foldhash::fast::FixedState::with_seed(2).hash_one((&profile.class.issuer, &profile.sub))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_name_is_never_a_pattern() {
        for text in ["*", "a?b", r"a\b", "a*", "plain", "zoë", "a\nb", "\"'"] {
            let glob = literal(text).unwrap();
            assert_eq!(glob.literal(), Some(text));
            assert!(glob.matches(text) && !glob.matches("other"), "{text}");
        }
        assert!(literal("").is_none() && literal(&"x".repeat(256)).is_none());
    }
}
