//! Sessions and rates against naive loops over all events in order, whatever the split; and bounds
//! that hold the truth when facts are hidden.

use std::collections::{BTreeMap, HashMap};

use doorward::model::{Effect, Fact, Rate, RateKey, Timestamp, Verdict};
use doorward::pdp;
use doorward::policy::CompiledPolicy;
use doorward::simulate::{MAX_RATED, MAX_SESSION_CALLS, MAX_SESSIONS, Part, Range, Rehearsal, Report, Usage};
use doorward::traffic::{Event, Field, Place};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::rehearsals::{pay, policy_with};

/// A recorded event, with the recording and the line where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) source: &'static str,
    pub(crate) line: u64,
    pub(crate) event: Event,
}

pub(crate) fn any_recorded() -> impl Strategy<Value = Vec<Recorded>> {
    let event = (
        select(vec!["find", "pay", "close"]),
        vec(select(vec!["staff", "contractor", "guest"]), 0..3),
        0..120u32,
        select(vec![Some("s1"), Some("s2"), Some("s3"), None]),
        select(vec!["ana", "ben"]),
        select(vec![Some("bot"), Some("cli"), None]),
        880..1100i64,
        select(vec!["a.jsonl", "b.jsonl"]),
    );
    let event = event.prop_map(|(tool, groups, amount, session, sub, agent, time, source)| {
        let mut event = pay(amount, &groups);
        tool.clone_into(&mut event.name);
        event.time = Timestamp(time);
        event.session = session.map_or(Field::Absent, |id| Field::Present(id.to_owned()));
        event.subject.sub = Field::Present(sub.to_owned());
        event.subject.agent = agent.map_or(Field::Absent, |id| Field::Present(id.to_owned()));
        (source, event)
    });
    vec(event, 0..60).prop_map(|events| {
        (1u64..).zip(events).map(|(line, (source, event))| Recorded { source, line, event }).collect()
    })
}

/// What is hidden of an event, by a small number.
pub(crate) fn hide(event: &mut Event, what: u8) {
    match what {
        0 => event.arguments = Field::NotRecorded,
        1 => event.subject.groups = Field::Redacted,
        2 => event.subject.sub = Field::NotRecorded,
        3 => event.subject.agent = Field::Redacted,
        4 => event.token.iat = Field::NotRecorded,
        _ => {}
    }
}

fn any_rate() -> impl Strategy<Value = Value> {
    let rate = (0..5u32, select(vec![1u32, 10, 60, 90]), select(vec!["subject", "agent", "all"]));
    prop_oneof![Just(Value::Null), rate.prop_map(|(n, s, per)| json!({ "count": n, "seconds": s, "per": per }))]
}

pub(crate) fn any_policy() -> impl Strategy<Value = CompiledPolicy> {
    (select(vec![20u32, 50, 100]), any::<bool>(), any_rate(), any_rate())
        .prop_map(|(limit, deny, door, item)| policy_with(limit, deny, &[door, item]))
}

pub(crate) fn whole(candidate: &CompiledPolicy, baseline: Option<&CompiledPolicy>, events: &[Recorded]) -> Report {
    part(candidate, baseline, &events.iter().collect::<Vec<_>>()).finish()
}

fn part(candidate: &CompiledPolicy, baseline: Option<&CompiledPolicy>, events: &[&Recorded]) -> Part {
    capped(candidate, baseline, events, MAX_RATED)
}

/// The same, with so many calls under a rate replayed.
pub(crate) fn capped(
    candidate: &CompiledPolicy,
    baseline: Option<&CompiledPolicy>,
    events: &[&Recorded],
    most: usize,
) -> Part {
    let mut rehearsal = Rehearsal::new(candidate, baseline).replaying(most);
    for one in events {
        rehearsal.source(one.source);
        rehearsal.event(Place::from(one.line), &one.event);
    }
    rehearsal.part()
}

/// What a policy says: `None` when that depends on what is hidden.
fn allowed(policy: &CompiledPolicy, event: &Event) -> Option<bool> {
    let claims = event.claims();
    match pdp::judge(policy, &event.request(&claims)) {
        Verdict::Decided(decision) => Some(decision.effect == Effect::Allow),
        Verdict::Undecided(_) => None,
    }
}

fn in_order(events: &[Recorded]) -> Vec<&Recorded> {
    let mut sorted: Vec<&Recorded> = events.iter().collect();
    sorted.sort_by_key(|one| (one.event.time, one.source, one.line));
    sorted
}

fn label(event: &Event) -> String {
    let text = |field: &Field<String>| match field {
        Field::Present(text) => text.clone(),
        Field::Absent => "(none)".to_owned(),
        _ => "(unknown)".to_owned(),
    };
    format!("{}/{}", text(&event.subject.issuer), text(&event.subject.sub))
}

/// A session in one line, by a loop over its calls in order.
fn naive_sessions(new: &CompiledPolicy, old: &CompiledPolicy, events: &[Recorded]) -> (Vec<String>, [u64; 4]) {
    let mut sessions: BTreeMap<(String, String), Vec<&Recorded>> = BTreeMap::new();
    for one in in_order(events) {
        if let Field::Present(id) = &one.event.session {
            sessions.entry((id.clone(), label(&one.event))).or_default().push(one);
        }
    }
    let (mut lines, mut totals) = (Vec::new(), [0; 4]);
    for ((id, subject), calls) in sessions {
        let answers: Vec<_> = calls.iter().map(|one| (allowed(old, &one.event), allowed(new, &one.event))).collect();
        let sure = answers.iter().position(|answer| *answer == (Some(true), Some(false)));
        let open = |(was, is): &(Option<bool>, Option<bool>)| {
            *was != Some(false) && *is != Some(true) && (was.is_none() || is.is_none())
        };
        let perhaps = answers.iter().position(open);
        let Some(at) = sure.or(perhaps) else {
            let denied_before = answers.iter().any(|(was, _)| *was == Some(false));
            let whole_now = answers.iter().all(|(_, is)| *is == Some(true));
            totals[0] += 1;
            totals[3] += u64::from(denied_before && whole_now);
            continue;
        };
        totals[if sure.is_some() { 1 } else { 2 }] += 1;
        let least = perhaps.filter(|perhaps| *perhaps < at).unwrap_or(at);
        let most = if sure.is_some() { at } else { calls.len() - 1 };
        let already = answers[..at].iter().any(|(was, _)| *was == Some(false));
        let (first, last, place) = (calls[0].event.time, calls[calls.len() - 1].event.time, calls[at]);
        lines.push(format!(
            "{id} {subject} {first} {last} {} {least}..{most} {} {already} desk:{} {}:{}",
            calls.len(),
            sure.is_some(),
            place.event.name,
            place.source,
            place.line,
        ));
    }
    lines.sort();
    (lines, totals)
}

fn told_sessions(report: &Report) -> (Vec<String>, [u64; 4]) {
    let found = &report.sessions;
    let mut lines: Vec<String> = found
        .list
        .iter()
        .map(|one| {
            let (Range { at_least, at_most }, window) = (one.before, one.window);
            format!(
                "{} {} {} {} {} {at_least}..{at_most} {} {} {} {}:{}",
                one.session,
                one.subject,
                window.first,
                window.last,
                one.calls,
                one.sure,
                one.already,
                one.item,
                one.witness.source,
                one.witness.place,
            )
        })
        .collect();
    lines.sort();
    (lines, [found.unbroken, found.broken, found.perhaps_broken, found.unblocked])
}

/// Whether each call, in order, is over a rate of the policy that allows it.
fn naive_limits(policy: &CompiledPolicy, events: &[&Recorded]) -> Vec<bool> {
    let mut counts: HashMap<(&str, String, i64), u32> = HashMap::new();
    let of = |rate: &Rate, event: &Event| match rate.per {
        RateKey::Subject => label(event),
        RateKey::Agent => format!("{:?}", event.subject.agent),
        RateKey::All => String::new(),
    };
    let server = &policy.set().servers["desk"];
    let mut over = Vec::new();
    for one in events {
        let event = &one.event;
        let mut limited = false;
        if allowed(policy, event) == Some(true) {
            let of_item = server.tools.get(&event.name).and_then(|item| item.rate.as_ref());
            let named = [("", server.rate.as_ref()), (event.name.as_str(), of_item)];
            for (name, rate) in named.into_iter().filter_map(|(name, rate)| Some((name, rate?))) {
                let window = event.time.0.div_euclid(i64::from(rate.seconds));
                let count = counts.entry((name, of(rate, event), window)).or_default();
                limited |= *count >= rate.count;
                *count += 1;
            }
        }
        over.push(limited);
    }
    over
}

/// Limited before, now, newly and no longer.
pub(crate) fn naive_rates(new: &CompiledPolicy, old: &CompiledPolicy, events: &[Recorded]) -> [u64; 4] {
    let sorted = in_order(events);
    let (before, now) = (naive_limits(old, &sorted), naive_limits(new, &sorted));
    let mut totals = [0; 4];
    for ((one, before), now) in sorted.iter().zip(before).zip(now) {
        let both = allowed(old, &one.event) == Some(true) && allowed(new, &one.event) == Some(true);
        totals[0] += u64::from(before);
        totals[1] += u64::from(now);
        totals[2] += u64::from(both && now && !before);
        totals[3] += u64::from(both && before && !now);
    }
    totals
}

pub(crate) fn told_rates(report: &Report) -> [Range; 4] {
    let rates = &report.rates;
    [rates.before, rates.now, rates.newly_limited, rates.no_longer_limited]
}

pub(crate) fn holds(range: Range, truth: u64) -> bool {
    range.at_least <= truth && truth <= range.at_most
}

/// What a rehearsal says of single events, told apart by what they are meant to show.
pub(crate) fn rehearse(new: &CompiledPolicy, old: Option<&CompiledPolicy>, events: Vec<Event>) -> Report {
    let events = (1u64..).zip(events).map(|(line, event)| Recorded { source: "a.jsonl", line, event });
    whole(new, old, &events.collect::<Vec<_>>())
}

#[test]
fn the_same_answer_by_another_statement_or_with_another_obligation_is_told_apart() {
    let rate = |count: u32| json!({ "count": count, "seconds": 60, "per": "all" });
    let old = policy_with(50, false, &[Value::Null, rate(5)]);
    let new = policy_with(50, false, &[Value::Null, rate(6)]);
    let report = rehearse(&new, Some(&old), vec![pay(10, &["staff"]), pay(90, &["staff"])]);
    assert_eq!((report.totals.other_obligations, report.totals.still_allowed, report.totals.still_denied), (2, 1, 1));

    // `readers` comes before `staff`; a recording that names the other one was decided otherwise.
    let mut event = super::rehearsals::event("find", &["staff"]);
    let rule = doorward::traffic::DecidedRule { kind: doorward::model::RuleKind::Grant, name: "staff".into() };
    let reason = doorward::model::Reason::Granted;
    event.decided = Some(doorward::traffic::Decided {
        effect: Effect::Allow,
        reason,
        rule: Some(rule),
        digest: "sha256:00".into(),
    });
    let report = rehearse(&new, None, vec![event]);
    assert_eq!((report.totals.other_rule, report.totals.still_allowed), (1, 1));
}

#[test]
fn a_statement_is_shadowed_or_only_denied_or_never_hit() {
    let policy = policy_with(50, true, &[Value::Null, Value::Null]);
    let find = |groups: &[&str]| super::rehearsals::event("find", groups);
    let usage = |events: Vec<Event>| -> BTreeMap<String, Usage> {
        let report = rehearse(&policy, None, events);
        report.statements.into_iter().map(|hits| (hits.rule.name, hits.usage)).collect()
    };
    let none = usage(vec![]);
    assert!(none.values().all(|usage| *usage == Usage::Never));
    // The grant for everyone comes first and decides what the one for staff would allow too.
    let found = usage(vec![find(&["staff"]), find(&["guest"])]);
    assert_eq!((found["readers"], found["staff"]), (Usage::Decides, Usage::Shadowed));
    let found = usage(vec![pay(10, &["staff", "contractor"])]);
    assert_eq!((found["staff"], found["no-contractors"]), (Usage::OnlyDenied, Usage::Decides));
    let mut stale = find(&["contractor"]);
    stale.token.exp = Field::Present(Timestamp(950));
    assert_eq!(usage(vec![stale])["readers"], Usage::OnlyDenied);
}

#[test]
fn token_ages_tell_what_each_lifetime_would_deny() {
    let policy = policy_with(50, false, &[Value::Null, Value::Null]);
    let at = |time: i64| {
        let mut event = pay(10, &["staff"]);
        (event.time, event.session) = (Timestamp(time), Field::Present("s".to_owned()));
        event
    };
    let mut unknown = at(1000);
    unknown.token.iat = Field::NotRecorded;
    // Issued at 900.
    let report = rehearse(&policy, None, vec![at(929), at(930), at(1100), unknown, at(1600)]);
    let ages = report.ages;
    assert_eq!((ages.total.calls, ages.total.unknown, &ages.ttls[..4]), (3, 1, &[30, 60, 120, 300][..]));
    assert_eq!(ages.total.older[..4], [2, 1, 1, 0]);
    assert_eq!((ages.sessions[..4].to_vec(), ages.doors.len()), (vec![1, 1, 1, 0], 1));
    assert_eq!(ages.doors[0].curve, ages.total);
}

#[test]
fn losers_and_winners_have_their_items_and_witnesses() {
    let (new, old) =
        (policy_with(20, false, &[Value::Null, Value::Null]), policy_with(50, true, &[Value::Null, Value::Null]));
    let events = vec![pay(30, &["staff"]), pay(40, &["staff"]), pay(10, &["staff", "contractor"]), pay(10, &["staff"])];
    let movers = rehearse(&new, Some(&old), events).movers;
    for moved in [&movers.subjects, &movers.agents, &movers.doors, &movers.items] {
        let (loser, winner) = (&moved.losers[0], &moved.winners[0]);
        assert_eq!((loser.calls, winner.calls, loser.items[0].item.as_str()), (2, 1, "desk:pay"));
        let places = |one: &doorward::simulate::Mover| one.samples.iter().map(|s| s.place.record).collect::<Vec<_>>();
        assert_eq!((places(loser), places(winner)), (vec![1, 2], vec![3]));
    }
}

#[test]
fn sessions_over_the_limit_are_bounds_and_the_same_from_any_split() {
    let (new, old) =
        (policy_with(20, false, &[Value::Null, Value::Null]), policy_with(50, false, &[Value::Null, Value::Null]));
    let count = MAX_SESSIONS as u64 + 3_000;
    let events: Vec<Recorded> = (0..count)
        .map(|n| {
            let mut event = pay(if n % 2 == 0 { 30 } else { 10 }, &["staff"]);
            event.session = Field::Present(format!("session-{n}"));
            Recorded { source: "a.jsonl", line: n, event }
        })
        .collect();
    let report = whole(&new, Some(&old), &events);
    let found = &report.sessions;
    assert_eq!((found.followed, found.not_followed), (MAX_SESSIONS as u64, 3_000));
    assert!(holds(found.seen, count) && holds(found.breaking, count / 2), "{:?}", found.breaking);
    // They are a fair sample: about half of them break.
    assert!((4_700..5_300).contains(&found.broken), "{}", found.broken);
    let (odd, even): (Vec<&Recorded>, Vec<&Recorded>) = events.iter().partition(|one| one.line % 3 == 0);
    let mut parts = part(&new, Some(&old), &odd);
    parts.merge(part(&new, Some(&old), &even)).unwrap();
    assert_eq!(parts.finish(), report);
}

#[test]
fn how_far_a_long_session_came_is_exact_up_to_a_limit_and_then_a_bound() {
    let (new, old) =
        (policy_with(20, false, &[Value::Null, Value::Null]), policy_with(50, false, &[Value::Null, Value::Null]));
    for (before, exact) in [(MAX_SESSION_CALLS - 1, true), (MAX_SESSION_CALLS, false), (MAX_SESSION_CALLS + 40, false)]
    {
        let mut events = vec![pay(10, &["staff"]); before];
        events.extend([pay(30, &["staff"]), pay(10, &["staff"])]);
        for event in &mut events {
            event.session = Field::Present("s".to_owned());
        }
        let found = rehearse(&new, Some(&old), events).sessions;
        let told = found.list[0].before;
        assert!(holds(told, before as u64) && (told.at_least == told.at_most) == exact, "{told:?} for {before}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_merged_in_any_order_gives_the_accounts_of_the_whole(
        (new, old) in (any_policy(), any_policy()),
        mut events in any_recorded(),
        hidden in vec(0..20u8, 60),
        part_of in vec(0..4usize, 60),
        order in Just(vec![0usize, 1, 2, 3]).prop_shuffle(),
        with_baseline: bool,
    ) {
        let baseline = with_baseline.then_some(&old);
        events.iter_mut().zip(hidden).for_each(|(one, what)| hide(&mut one.event, what));
        let expected = whole(&new, baseline, &events);
        let parts: Vec<Part> = (0..4)
            .map(|number| {
                let of_part = events.iter().zip(&part_of).filter(|(_, part)| **part == number);
                let part = part(&new, baseline, &of_part.map(|(one, _)| one).collect::<Vec<_>>());
                serde_json::from_str(&serde_json::to_string(&part).unwrap()).unwrap()
            })
            .collect();
        let merge = |a: Part, b: Part| {
            let mut all: Part = serde_json::from_str(&serde_json::to_string(&a).unwrap()).unwrap();
            all.merge(b).unwrap();
            all
        };
        let mut ordered = order.iter().map(|number| parts[*number].clone());
        let (left, right) = (ordered.by_ref().take(2).reduce(merge).unwrap(), ordered.reduce(merge).unwrap());
        prop_assert_eq!(&merge(left, right).finish(), &expected, "merged as a tree");
        let chained = order.iter().rev().map(|number| parts[*number].clone()).reduce(merge).unwrap();
        prop_assert_eq!(&chained.finish(), &expected, "merged as a chain");
    }

    #[test]
    fn sessions_break_where_a_loop_over_their_calls_says(
        (new, old) in (any_policy(), any_policy()),
        mut events in any_recorded(),
        hidden in vec(0..20u8, 60),
    ) {
        events.iter_mut().zip(hidden).for_each(|(one, what)| hide(&mut one.event, what));
        let report = whole(&new, Some(&old), &events);
        prop_assert_eq!(told_sessions(&report), naive_sessions(&new, &old, &events));
        let calls = events.iter().filter(|one| matches!(one.event.session, Field::Present(_))).count();
        prop_assert_eq!(report.sessions.outside, (events.len() - calls) as u64);
        let at_items: u64 = report.sessions.items.iter().map(|item| item.sessions).sum();
        prop_assert_eq!(at_items, report.sessions.broken);
    }

    #[test]
    fn what_is_hidden_widens_the_bounds_and_never_moves_them_off_the_truth(
        (new, old) in (any_policy(), any_policy()),
        events in any_recorded(),
        hidden in vec(0..8u8, 60),
    ) {
        let mut blurred = events.clone();
        blurred.iter_mut().zip(hidden).for_each(|(one, what)| hide(&mut one.event, what));
        let report = whole(&new, Some(&old), &blurred);
        let truth = naive_rates(&new, &old, &events);
        for (range, truth) in told_rates(&report).into_iter().zip(truth) {
            prop_assert!(holds(range, truth), "{range:?} does not hold {truth}");
        }
        let known = |one: &Recorded| one.event.subject.sub.fact() != Fact::Unknown;
        if blurred.iter().all(known) {
            let [_, broken, ..] = naive_sessions(&new, &old, &events).1;
            prop_assert!(holds(report.sessions.breaking, broken));
        }
    }
}
