//! What a suggestion promises: it keeps what it learned, grants nothing else, reads back, and does
//! not depend on the order of the events.

use std::collections::{BTreeMap, BTreeSet};

use doorward::analyze::{self, Place, Who, reachable};
use doorward::model::{Effect, Fact, Reason, ResourceKind, Timestamp, Verdict};
use doorward::pdp;
use doorward::policy::{CompiledPolicy, Layers, Positions, load};
use doorward::report::suggest::{Findings, diff, json, toml};
use doorward::suggest::{Basis, LearnedGrant, Options, Proof, Score, Split, Studied, Study, Trial};
use doorward::traffic::{Decided, Event, Field};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::universe::{Ask, NOW, ask, hidden, policy};

/// A case costs milliseconds, and so does every step of making a failing one smaller.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, max_shrink_iters: 300, ..ProptestConfig::default() }
}

pub(crate) type Groups = BTreeMap<String, Vec<String>>;

fn field<T>(fact: Fact<T>) -> Field<T> {
    match fact {
        Fact::Known(value) => Field::Present(value),
        Fact::Absent => Field::Absent,
        Fact::Unknown => Field::NotRecorded,
    }
}

/// The request as a recording holds it.
pub(crate) fn event(ask: &Ask, time: i64) -> Event {
    ask.with(|request| {
        let texts =
            |list: Fact<doorward::model::Strings<'_>>| field(list.map(|l| l.iter().map(str::to_owned).collect()));
        let mut event = Event::new(Timestamp(time), request.resource.door, request.action, request.resource.name);
        event.kind = request.resource.kind;
        event.arguments = Field::Present(ask.arguments.clone());
        event.withheld.clone_from(&ask.withheld);
        event.subject.issuer = field(request.subject.issuer.map(str::to_owned));
        event.subject.sub = field(request.subject.id.map(str::to_owned));
        event.subject.agent = field(request.subject.agent.map(str::to_owned));
        event.subject.groups = texts(request.subject.groups);
        let claims = |list: &[doorward::model::Claim<'_>]| {
            list.iter().map(|c| (c.name.to_owned(), c.values.iter().map(str::to_owned).collect())).collect()
        };
        event.subject.claims = field(request.subject.claims.map(claims));
        let token = &request.context.token;
        event.token.aud = texts(token.audience);
        event.token.scopes = texts(token.scopes);
        event.token.iat = field(token.issued_at);
        event.token.exp = field(token.expires_at);
        event.token.nbf = field(token.not_before);
        event
    })
}

/// Records what a policy decides.
fn decide(policy: &CompiledPolicy, event: &mut Event) {
    let claims = event.claims();
    let decided = match pdp::judge(policy, &event.request(&claims)) {
        Verdict::Decided(decision) => Some((decision.effect, decision.reason)),
        Verdict::Undecided(_) => None,
    };
    event.decided =
        decided.map(|(effect, reason)| Decided { effect, reason, rule: None, digest: policy.digest().to_string() });
}

pub(crate) fn study<'p>(
    events: &[(u64, Event)],
    today: Option<&'p CompiledPolicy>,
    options: Options,
    split: Option<Split>,
) -> Studied<'p> {
    let mut study = Study::new(options, today, &Groups::new(), split);
    study.source("traffic.jsonl");
    for (line, event) in events {
        study.event((*line).into(), event);
    }
    study.finish()
}

pub(crate) fn replay(studied: &Studied<'_>, events: &[(u64, Event)]) -> (Proof, Option<Score>) {
    let mut trial = Trial::new(studied);
    trial.source("traffic.jsonl");
    for (line, event) in events {
        trial.event((*line).into(), event);
    }
    trial.finish()
}

fn reports(events: &[(u64, Event)], today: Option<&CompiledPolicy>, options: Options) -> (String, String, String) {
    let studied = study(events, today, options, Some(Split { share: 0.4, seed: 3 }));
    let (proof, score) = replay(&studied, events);
    let findings = Findings { studied: &studied, proof: &proof, score: score.as_ref() };
    (toml(&findings), json(&findings), diff(&findings))
}

pub(crate) fn loaded(text: &str) -> CompiledPolicy {
    let layers = Layers { files: vec![("suggested.toml".to_owned(), text.into())], environment: Vec::new() };
    let loaded = load(&layers);
    loaded.policy.unwrap_or_else(|| panic!("{:#?}\n{text}", loaded.problems)).compiled
}

fn numbered(asks: &[Ask]) -> Vec<(u64, Event)> {
    asks.iter().zip(2..).map(|(ask, line)| (line, event(ask, NOW + i64::try_from(line).unwrap() % 7))).collect()
}

fn small() -> Options {
    Options { min_support: 2, max_agents: 1, ..Options::default() }
}

/// Who made an event, as a question; `None` when the issuer is not known.
fn who(event: &Event) -> Option<Who> {
    let subject = &event.subject;
    Some(Who {
        issuer: Some(subject.issuer.present()?.clone()),
        id: subject.sub.present().cloned(),
        agent: match &subject.agent {
            Field::Present(agent) => Some(Some(agent.clone())),
            Field::Absent => Some(None),
            _ => None,
        },
        groups: match &subject.groups {
            Field::Present(groups) => Some(groups.clone()),
            Field::Absent => Some(Vec::new()),
            _ => None,
        },
        ..Who::default()
    })
}

/// Whether some call explains that this caller is granted this item by this grant.
fn explains(grant: &LearnedGrant, place: &Place, caller: &Who, calls: &[(&Event, Place)]) -> bool {
    if !grant.items.iter().any(|item| item.place == *place) {
        return false;
    }
    let in_group =
        |groups: &[String]| grant.statement.to.groups.iter().any(|glob| groups.iter().any(|group| glob.matches(group)));
    match grant.basis {
        // What groups generalise is declared.
        Basis::Groups => caller.groups.as_ref().is_none_or(|groups| in_group(groups)),
        Basis::Servers => true,
        // A subject has what it was seen calling, through an agent that it was seen with, or through
        // any when one of its calls does not say which.
        Basis::Subjects => calls.iter().any(|(event, at)| {
            let subject = &event.subject;
            let agent = subject.agent.present();
            at == place
                && subject.issuer.present() == caller.issuer.as_ref()
                && (caller.id.is_none() || subject.sub.present() == caller.id.as_ref())
                && (agent.is_none()
                    || grant.statement.to.agents.is_empty()
                    || caller.agent.as_ref().is_none_or(|own| own.as_ref() == agent))
        }),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_today_s_policy_allows_is_kept(set in policy(), asks in vec(ask(), 1..40)) {
        let today = CompiledPolicy::compile(set, Positions::default());
        let mut events = numbered(&asks);
        for (_, event) in &mut events {
            decide(&today, event);
        }
        let studied = study(&events, Some(&today), small(), None);
        let (proof, _) = replay(&studied, &events);
        prop_assert!(proof.holds(), "{:#?}", proof.lost);
        // Everything is known of these, so all that can be lost is a handshake at a door where
        // nothing was called.
        let calls: Vec<_> = events.into_iter().filter(|(_, e)| e.kind != ResourceKind::Server).collect();
        let (proof, _) = replay(&studied, &calls);
        prop_assert_eq!(&proof.lost, &[]);
        prop_assert_eq!(proof.kept, proof.replayed);
    }

    #[test]
    fn what_a_policy_that_stands_alone_loses_no_grant_could_keep(
        asks in vec(ask().prop_flat_map(hidden), 1..40),
        verdicts in vec(select(&[None, Some(Effect::Allow), Some(Effect::Deny)][..]), 40),
    ) {
        let mut events = numbered(&asks);
        for ((_, event), effect) in events.iter_mut().zip(verdicts) {
            event.decided = effect.map(|effect| Decided { effect, reason: Reason::Granted, rule: None, digest: String::new() });
        }
        let studied = study(&events, None, small(), None);
        let (proof, _) = replay(&studied, &events);
        prop_assert!(proof.holds(), "{:#?}\n{:#?}", proof.lost, studied.suggestion.policy.set());
        let findings = Findings { studied: &studied, proof: &proof, score: None };
        prop_assert_eq!(loaded(&toml(&findings)).digest(), studied.suggestion.policy.digest());
    }

    #[test]
    fn nobody_is_granted_what_was_never_called_but_by_a_group(
        asks in vec(ask().prop_flat_map(hidden), 1..30),
        set in policy(),
        alone in any::<bool>(),
    ) {
        let today = CompiledPolicy::compile(set, Positions::default());
        let today = (!alone).then_some(&today);
        let events = numbered(&asks);
        let studied = study(&events, today, small(), None);
        let suggested = &studied.suggestion.policy;
        let declared: BTreeSet<Place> = Place::all(suggested.set()).into_iter().collect();
        let named = |event: &Event| {
            let name = match (event.kind, today) {
                // In a policy that stands alone a URI is a resource; today's may match it by any pattern.
                (ResourceKind::Resource, _) => return None,
                _ => event.name.clone(),
            };
            Some(Place { server: event.door.clone(), kind: event.kind, name }).filter(|p| declared.contains(p))
        };
        let calls: Vec<(&Event, Place)> = events.iter().filter_map(|(_, e)| Some((e, named(e)?))).collect();
        let options = analyze::Options { from: None, steps: 100_000 };
        for (_, event) in &events {
            let Some(caller) = who(event) else { continue };
            for place in declared.iter().filter(|p| matches!(p.kind, ResourceKind::Tool | ResourceKind::Prompt)) {
                if let Ok(Some(witness)) = reachable(suggested, &caller, place, options) {
                    let grants = &studied.suggestion.grants;
                    let explained = grants.iter().any(|grant| explains(grant, place, &caller, &calls));
                    prop_assert!(explained, "{place} to {caller:?}\n{witness:?}\n{grants:#?}");
                }
            }
        }
    }

    #[test]
    fn the_order_of_the_events_does_not_show(
        set in policy(),
        asks in vec(ask().prop_flat_map(hidden), 1..25),
        order in any::<u64>(),
        alone in any::<bool>(),
    ) {
        let today = CompiledPolicy::compile(set, Positions::default());
        let today = (!alone).then_some(&today);
        let events = numbered(&asks);
        let mut other = events.clone();
        other.sort_by_key(|(line, _)| line.wrapping_mul(order | 1).rotate_left(17));
        prop_assert_eq!(reports(&events, today, small()), reports(&other, today, small()));
    }
}
