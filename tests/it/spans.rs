//! By role and tenant, and when each name was seen in how many pairs, against a loop over the events.

use std::collections::{BTreeMap, BTreeSet};

use doorward::simulate::{Groups, Presence, Range, Rehearsal, Window};
use doorward::traffic::{Event, Field};
use proptest::prelude::*;
use proptest::sample::select;

use super::accounts::{Recorded, any_policy, any_recorded, whole};
use super::rehearsals::{event, policy_with};

/// Of each name: events, and what was seen.
type Told = BTreeMap<String, (u64, Presence)>;

fn told(groups: &Groups) -> Told {
    groups.list.iter().map(|group| (group.name.clone(), (group.counts.events, group.seen.unwrap()))).collect()
}

/// The same by a loop.
fn naive(events: &[Recorded], names: impl Fn(&Event) -> Vec<String>) -> Told {
    type Seen = (u64, BTreeSet<(String, String)>, Window);
    let mut all: BTreeMap<String, Seen> = BTreeMap::new();
    for Recorded { event, .. } in events {
        let pair = (subject(event), event.name.clone());
        for name in names(event).into_iter().collect::<BTreeSet<_>>() {
            let window = Window { first: event.time, last: event.time };
            let (count, pairs, seen) = all.entry(name).or_insert_with(|| (0, BTreeSet::new(), window));
            *count += 1;
            pairs.insert(pair.clone());
            *seen = Window { first: seen.first.min(event.time), last: seen.last.max(event.time) };
        }
    }
    let exactly = |count: usize| Range { at_least: count as u64, at_most: count as u64 };
    all.into_iter()
        .map(|(name, (count, pairs, window))| (name, (count, Presence { window, tuples: exactly(pairs.len()) })))
        .collect()
}

fn subject(event: &Event) -> String {
    format!("corp/{}", event.subject.sub.present().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn groups_are_those_of_a_loop(
        events in any_recorded(),
        tenants in proptest::collection::vec(select(vec![Some("acme"), Some("zeta"), None]), 60),
        policy in any_policy(),
    ) {
        let mut events = events;
        for (one, tenant) in events.iter_mut().zip(&tenants) {
            if let Some(tenant) = tenant {
                one.event.subject.claims = Field::Present([("tenant".to_owned(), vec![(*tenant).to_owned()])].into());
            }
        }
        let report = whole(&policy, None, &events);
        let roles = |event: &Event| match event.subject.groups.present() {
            Some(groups) if !groups.is_empty() => groups.clone(),
            _ => vec!["(none)".to_owned()],
        };
        let tenant = |event: &Event| match event.subject.claims.present() {
            Some(claims) => claims["tenant"].clone(),
            None => vec!["issuer corp".to_owned()],
        };
        let agent = |event: &Event| vec![event.subject.agent.present().map_or("(none)", String::as_str).to_owned()];
        prop_assert_eq!(told(&report.roles), naive(&events, roles));
        prop_assert_eq!(told(&report.tenants), naive(&events, tenant));
        prop_assert_eq!(told(&report.subjects), naive(&events, |event| vec![subject(event)]));
        prop_assert_eq!(told(&report.agents), naive(&events, agent));
        prop_assert_eq!(told(&report.doors), naive(&events, |event| vec![event.door.clone()]));
        prop_assert_eq!(told(&report.items), naive(&events, |event| vec![format!("{}:{}", event.door, event.name)]));
    }
}

#[test]
fn pairs_are_exact_up_to_a_hundred_and_then_at_least_so_many() {
    let policy = policy_with(50, false, &[serde_json::Value::Null, serde_json::Value::Null]);
    for (subjects, expected) in [(100, (100, 100)), (101, (100, 202))] {
        let events = (0..2 * subjects).map(|n| {
            let mut event = event("find", &["staff"]);
            event.subject.sub = Field::Present(format!("s{}", n % subjects));
            event
        });
        let mut rehearsal = Rehearsal::new(&policy, None);
        (1u64..).zip(events).for_each(|(line, event)| rehearsal.event(line.into(), &event));
        let report = rehearsal.finish();
        let Range { at_least, at_most } = report.roles.list[0].seen.unwrap().tuples;
        assert_eq!((at_least, at_most), expected);
        assert_eq!(report.subjects.list[0].seen.unwrap().tuples, Range { at_least: 1, at_most: 1 });
    }
}

#[test]
fn what_is_not_known_of_a_subject_is_a_role_and_a_tenant_of_its_own() {
    let policy = policy_with(50, false, &[serde_json::Value::Null, serde_json::Value::Null]);
    let mut unknown = event("find", &["staff"]);
    unknown.subject.groups = Field::Redacted;
    unknown.subject.claims = Field::NotRecorded;
    let mut rehearsal = Rehearsal::new(&policy, None);
    rehearsal.event(1.into(), &unknown);
    let report = rehearsal.finish();
    assert_eq!([&report.roles, &report.tenants].map(|groups| &*groups.list[0].name), ["(unknown)"; 2]);
}
