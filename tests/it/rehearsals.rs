//! A rehearsal counts every event once, does not depend on how a recording is split, and says what
//! it does not know.

use doorward::model::{Action, Effect, Reason, Timestamp, Withheld, WithheldBecause};
use doorward::policy::checks::{Allowance, Rollout};
use doorward::policy::set::PolicySet;
use doorward::policy::{CompiledPolicy, Layers, Positions, load};
use doorward::simulate::{
    Against, Asked, Breach, Clock, GateVerdict, Kind, Measure, Part, Rehearsal, Report, Terms, gate, simulate,
};
use doorward::traffic::{
    Batch, Decided, Event, Field, Header, Lines, Numbered, Place, Reader, Unreadable, UnreadableCode, Writer,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// One issuer, one door with three tools. `limit` is the most that `pay` takes by the grant.
fn policy(limit: u32, deny_contractors: bool) -> CompiledPolicy {
    policy_with(limit, deny_contractors, &[Value::Null, Value::Null])
}

/// The same with a rate of the door and a rate of `pay`.
pub(crate) fn policy_with(limit: u32, deny_contractors: bool, [of_door, of_pay]: &[Value; 2]) -> CompiledPolicy {
    let item = |name: &str| match (name, of_pay) {
        ("pay", Value::Object(_)) => json!({ "scopes": ["desk:pay"], "rate": of_pay }),
        _ => json!({ "scopes": [format!("desk:{name}")] }),
    };
    let grant = |name: &str, groups: Value, items: Value, args: Value| json!({ "name": name, "to": { "groups": groups }, "items": items, "args": args });
    let amount = json!([["desk:pay", { "amount": { "tests": [{ "max": limit }] } }]]);
    let deny = json!({ "name": "no-contractors", "to": { "groups": ["contractor"] }, "items": ["desk:pay"] });
    let set: PolicySet = serde_json::from_value(json!({
        "issuers": { "corp": {
            "url": "https://login.example.com", "keys": "discovery", "audiences": [], "algorithms": ["ES256"],
            "max_lifetime": 3600, "clock_skew": 30, "claims": { "groups": "groups", "agent": "client_id", "others": {} },
        } },
        "servers": { "desk": {
            "upstream": { "url": "http://127.0.0.1:9001/mcp" }, "resource": "https://mcp.example.com/desk/mcp",
            "issuers": null, "token_ttl": null, "credential": "none", "audit": "standard", "rate": of_door,
            "callers": [], "identity": null, "prompts": {}, "resources": {},
            "tools": { "find": item("find"), "pay": item("pay"), "close": item("close") },
        } },
        "scopes": {},
        "grants": [
            grant("staff", json!(["staff"]), json!(["desk:*"]), amount),
            grant("readers", json!(["*"]), json!(["desk:find"]), json!([])),
        ],
        "denies": if deny_contractors { json!([deny]) } else { json!([]) },
        "audit": { "store": "sqlite:doorward.db", "retention": { "standard": 1 } },
        "gateway": { "listen": "127.0.0.1:8787", "url": "https://mcp.example.com" },
    }))
    .unwrap();
    CompiledPolicy::compile(set, Positions::default())
}

pub(crate) fn event(tool: &str, groups: &[&str]) -> Event {
    let mut event = Event::new(Timestamp(1000), "desk", Action::ToolsCall, tool);
    let list = |items: &[&str]| Field::Present(items.iter().map(|i| (*i).to_owned()).collect());
    event.subject.issuer = Field::Present("corp".into());
    event.subject.sub = Field::Present("ana".into());
    event.subject.agent = Field::Absent;
    event.subject.groups = list(groups);
    event.subject.claims = Field::Absent;
    event.token.aud = list(&["https://mcp.example.com/desk/mcp"]);
    event.token.scopes = list(&["desk:find", "desk:pay", "desk:close"]);
    event.token.iat = Field::Present(Timestamp(900));
    event.token.exp = Field::Present(Timestamp(1500));
    event.token.nbf = Field::Absent;
    event.arguments = Field::Absent;
    event
}

pub(crate) fn pay(amount: u32, groups: &[&str]) -> Event {
    let mut event = event("pay", groups);
    event.arguments = Field::Present(json!({ "amount": amount }).as_object().unwrap().clone());
    event
}

fn rehearse(candidate: &CompiledPolicy, baseline: Option<&CompiledPolicy>, events: Vec<Event>) -> Report {
    let numbered = (2u64..).zip(events).map(|(line, event)| Ok(Numbered { place: line.into(), event }));
    simulate(candidate, baseline, "a.jsonl", numbered)
}

#[test]
fn each_kind_of_change_is_counted_once_and_has_its_witness() {
    let (old, new) = (policy(100, false), policy(50, true));
    let mut unknown_amount = event("pay", &["staff"]);
    unknown_amount.arguments = Field::Redacted;
    let events = vec![
        pay(10, &["staff"]),
        pay(80, &["staff"]),
        pay(10, &["staff", "contractor"]),
        pay(10, &["contractor"]),
        event("find", &["guest"]),
        unknown_amount,
        event("gone", &["staff"]),
    ];
    let report = rehearse(&new, Some(&old), events);
    let totals = report.totals;
    assert_eq!((totals.events, totals.allowed, totals.denied, totals.undecidable), (7, 2, 4, 1));
    assert_eq!((totals.still_allowed, totals.still_denied), (2, 2));
    assert_eq!((totals.newly_denied, totals.newly_allowed, totals.unsettled), (2, 0, 1));
    assert_eq!((totals.maybe_newly_denied, totals.maybe_newly_allowed), (1, 1));
    assert_eq!((totals.other_reason, totals.other_rule), (1, 0));
    assert_eq!(report.missing.get("arguments:amount"), Some(&1));
    let kinds: Vec<(Kind, u64, u64)> =
        report.changes.list.iter().map(|c| (c.kind, c.count, c.samples[0].place.record)).collect();
    assert_eq!(
        kinds,
        [(Kind::NewlyDenied, 1, 4), (Kind::NewlyDenied, 1, 3), (Kind::Undecidable, 1, 7), (Kind::OtherReason, 1, 5)]
    );
    let hits: Vec<(&str, u64)> = report.statements.iter().map(|s| (s.rule.name.as_str(), s.decided)).collect();
    assert_eq!(hits, [("readers", 1), ("staff", 1), ("no-contractors", 2)]);

    let back = rehearse(&old, Some(&new), vec![pay(80, &["staff"])]);
    assert_eq!(back.totals.newly_allowed, 1);
}

#[test]
fn without_a_baseline_the_recorded_decision_is_compared_with() {
    let new = policy(50, false);
    let mut recorded = pay(80, &["staff"]);
    recorded.decided =
        Some(Decided { effect: Effect::Allow, reason: Reason::Granted, rule: None, digest: "sha256:00".into() });
    let report = rehearse(&new, None, vec![recorded, pay(80, &["staff"])]);
    assert_eq!((report.totals.newly_denied, report.totals.uncompared), (1, 1));
    assert_eq!((report.drift.other_policy, report.drift.undecided), (1, 1));
}

#[test]
fn a_decision_that_its_own_policy_does_not_reproduce_is_drift() {
    let policy = policy(50, false);
    let recorded = |effect, reason| {
        let mut event = pay(80, &["staff"]);
        event.decided = Some(Decided { effect, reason, rule: None, digest: policy.digest().to_string() });
        event
    };
    let mut same = pay(10, &["staff"]);
    let rule = Some(doorward::traffic::DecidedRule { kind: doorward::model::RuleKind::Grant, name: "staff".into() });
    same.decided =
        Some(Decided { effect: Effect::Allow, reason: Reason::Granted, rule, digest: policy.digest().to_string() });
    let report = rehearse(&policy, None, vec![recorded(Effect::Allow, Reason::Granted), same]);
    assert_eq!((report.drift.checked, report.drift.same), (2, 1));
    assert_eq!(report.drift.different.list[0].samples[0].place.record, 2);
    let limits = Rollout { max_undecidable: Some(Allowance::Count(9)), ..Rollout::default() };
    assert!(matches!(gate(&limits, &report), GateVerdict::CannotTell { .. }));
}

#[test]
fn the_token_is_judged_at_the_recorded_instant() {
    let policy = policy(50, false);
    let mut late = pay(10, &["staff"]);
    late.time = Timestamp(1500);
    let report = rehearse(&policy, None, vec![pay(10, &["staff"]), late]);
    let reasons: Vec<(&str, u64)> = report.reasons.list.iter().map(|g| (g.name.as_str(), g.counts.events)).collect();
    assert_eq!(reasons, [("granted", 1), ("token-expired", 1)]);
}

#[test]
fn the_gate_breaks_holds_or_cannot_tell_and_never_holds_by_accident() {
    let (old, new) = (policy(100, false), policy(50, false));
    let limits = Rollout { max_newly_denied: Some(0), max_newly_allowed: Some(0), ..Rollout::default() };
    let judge = |events| gate(&limits, &rehearse(&new, Some(&old), events));
    assert_eq!(judge(vec![pay(10, &["staff"])]), GateVerdict::Holds);
    let breach = Breach { what: Measure::NewlyDenied, count: 1, limit: 0 };
    assert_eq!(judge(vec![pay(80, &["staff"])]), GateVerdict::Broken { breaches: vec![breach] });
    assert!(matches!(judge(vec![]), GateVerdict::CannotTell { .. }));
    assert!(matches!(gate(&limits, &rehearse(&new, None, vec![pay(1, &["staff"])])), GateVerdict::CannotTell { .. }));
    let unreadable =
        Unreadable { place: Place::from(3), code: UnreadableCode::NotJson, message: "x".into(), gap: None };
    let items = vec![Ok(Numbered { place: 2.into(), event: pay(10, &["staff"]) }), Err(unreadable)];
    let report = simulate(&new, Some(&old), "a.jsonl", items);
    assert!(matches!(gate(&limits, &report), GateVerdict::CannotTell { .. }));
    assert_eq!(report.unreadable.get("not-json"), Some(&1));
    assert_eq!(gate(&Rollout::default(), &report), GateVerdict::Open);
}

#[test]
fn thin_traffic_and_a_share_of_it_are_judged() {
    let (old, new) = (policy(100, false), policy(50, false));
    let at = |seconds: i64| {
        let mut event = pay(10, &["staff"]);
        event.time = Timestamp(1000 + seconds);
        event
    };
    let mut unknown = at(0);
    unknown.arguments = Field::Redacted;
    let events = || vec![at(0), at(100), at(200), unknown.clone()];
    let report = rehearse(&new, Some(&old), events());
    let judge = |rollout: Rollout| gate(&rollout, &report);
    let cannot = |verdict| match verdict {
        GateVerdict::CannotTell { because } => because.join("; "),
        other => panic!("{other:?}"),
    };
    let none = Rollout::default();
    assert_eq!(judge(Rollout { min_events: Some(4), ..none.clone() }), GateVerdict::Holds);
    assert_eq!(cannot(judge(Rollout { min_events: Some(5), ..none.clone() })), "min_events = 5, and there are 4");
    assert_eq!(judge(Rollout { min_window: Some(200), ..none.clone() }), GateVerdict::Holds);
    let short = judge(Rollout { min_window: Some(604_800), ..none.clone() });
    assert_eq!(cannot(short), "min_window = 7d, and they span 3m20s");
    let share = |text| Rollout { max_undecidable: Allowance::share(text), ..none.clone() };
    assert_eq!(judge(share("25%")), GateVerdict::Holds);
    let breach = Breach { what: Measure::Undecidable, count: 1, limit: 0 };
    assert_eq!(judge(share("24.9999%")), GateVerdict::Broken { breaches: vec![breach] });
    // What is broken is broken, however thin.
    let both = Rollout { min_events: Some(5), ..share("0%") };
    assert_eq!(judge(both), GateVerdict::Broken { breaches: vec![breach] });
    let empty = rehearse(&new, Some(&old), vec![]);
    let asked = Rollout { min_events: Some(0), ..none };
    assert!(matches!(gate(&asked, &empty), GateVerdict::CannotTell { .. }));
}

#[test]
fn reports_of_different_policies_do_not_merge() {
    let (one, other) = (policy(50, false), policy(51, false));
    let mut part = Rehearsal::new(&one, None).part();
    assert!(part.merge(Rehearsal::new(&other, None).part()).is_err());
}

#[test]
fn memory_stays_bounded_and_what_is_over_the_limit_is_still_counted() {
    let policy = policy(50, false);
    let events = |from: u32, to: u32| (from..to).map(|n| event(&format!("tool-{n}"), &["staff"])).collect::<Vec<_>>();
    let whole = rehearse(&policy, None, events(0, 25_000));
    assert_eq!(whole.items.list.len(), doorward::simulate::MAX_KEYS);
    assert_eq!(whole.items.others.events, 25_000 - doorward::simulate::MAX_KEYS as u64);
    let part = |from, to| {
        let mut rehearsal = Rehearsal::new(&policy, None);
        (2u64..).zip(events(from, to)).for_each(|(line, event)| rehearsal.event(line.into(), &event));
        rehearsal.part()
    };
    let mut parts = part(12_000, 25_000);
    parts.merge(part(0, 12_000)).unwrap();
    assert_eq!(parts.finish().items, whole.items);
}

fn any_event() -> impl Strategy<Value = Event> {
    let groups = vec(select(vec!["staff", "contractor", "guest"]), 0..3);
    let tool = select(vec!["find", "pay", "close", "gone"]);
    (tool, groups, 0..120u32, 0..8u8, 0..4u8, 900..1600i64).prop_map(|(tool, groups, amount, lack, decided, time)| {
        let mut event = pay(amount, &groups);
        tool.clone_into(&mut event.name);
        event.time = Timestamp(time);
        match lack {
            0 => event.arguments = Field::NotRecorded,
            1 => event.subject.groups = Field::Redacted,
            2 => event.token.scopes = Field::NotRecorded,
            3 => event.subject.sub = Field::NotRecorded,
            _ => {}
        }
        let digest = match decided {
            0 => policy(50, true).digest().to_string(),
            1 => policy(100, false).digest().to_string(),
            2 => "sha256:00".to_owned(),
            _ => return event,
        };
        event.decided = Some(Decided { effect: Effect::Allow, reason: Reason::Granted, rule: None, digest });
        event
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_split_of_a_recording_gives_the_report_of_the_whole(
        events in vec(any_event(), 0..60),
        bad in vec(any::<Index>(), 0..3),
        part_of in vec(0..3usize, 64),
        with_baseline: bool,
    ) {
        let (old, new) = (policy(100, false), policy(50, true));
        let baseline = with_baseline.then_some(&old);
        let mut items: Vec<Result<Numbered, Unreadable>> =
            (2u64..).zip(events).map(|(line, event)| Ok(Numbered { place: line.into(), event })).collect();
        for index in bad.iter().filter(|_| !items.is_empty()).map(|b| b.index(items.len())).collect::<Vec<_>>() {
            let place = Place::from(index as u64 + 2);
            items[index] = Err(Unreadable { place, code: UnreadableCode::NotJson, message: "x".into(), gap: None });
        }
        let whole = simulate(&new, baseline, "a.jsonl", items.clone());

        let mut parts = [(); 3].map(|()| Rehearsal::new(&new, baseline));
        for (item, part) in items.iter().zip(part_of.iter().cycle()) {
            parts[*part].source("a.jsonl");
            parts[*part].item(item);
        }
        let [first, second, mut merged] = parts.map(Rehearsal::part).map(|part| -> Part {
            serde_json::from_str(&serde_json::to_string(&part).unwrap()).unwrap()
        });
        merged.merge(first).unwrap();
        merged.merge(second).unwrap();
        prop_assert_eq!(&merged.finish(), &whole);
    }

    #[test]
    fn every_event_is_counted_once_in_every_table(events in vec(any_event(), 0..40)) {
        let report = rehearse(&policy(50, true), Some(&policy(100, false)), events.clone());
        let t = report.totals;
        prop_assert_eq!(t.events, events.len() as u64);
        prop_assert_eq!(t.allowed + t.denied + t.undecidable, t.events);
        let shifts = t.still_allowed + t.still_denied + t.newly_allowed + t.newly_denied + t.unsettled + t.uncompared;
        prop_assert_eq!(shifts, t.events);
        for groups in [&report.subjects, &report.agents, &report.doors, &report.items, &report.rules, &report.reasons] {
            prop_assert_eq!(groups.list.iter().map(|g| g.counts.events).sum::<u64>(), t.events);
        }
        // What is declared is in the table of items, or nobody asked for it.
        let asked = |name: &str| report.items.list.iter().any(|group| group.name == name);
        let untouched: Vec<&str> = report.untouched.list.iter().map(|item| item.name.as_str()).collect();
        let expected: Vec<String> = ["close", "find", "pay"].map(|name| format!("desk:{name}")).into();
        let expected: Vec<&str> = expected.iter().map(String::as_str).filter(|name| !asked(name)).collect();
        prop_assert_eq!((report.untouched.declared, untouched), (3, expected));
    }
}

#[test]
fn the_recording_that_is_shipped_comes_out_as_recorded_and_the_gate_holds() {
    let text = include_bytes!("../../policies.toml").to_vec();
    let layers = Layers { files: vec![("policies.toml".to_owned(), text)], environment: Vec::new() };
    let policy = load(&layers).policy.unwrap();
    let recording = Reader::new(&include_bytes!("../../simulations/support-desk.jsonl")[..]).unwrap();
    let report = simulate(&policy.compiled, None, "support-desk.jsonl", recording);
    assert!(report.totals.events > 30 && report.totals.denied > 5);
    assert_eq!((report.drift.checked, report.drift.same), (report.totals.events, report.totals.events));
    assert_eq!(gate(&policy.checks.rollout, &report), GateVerdict::Holds);
}

#[test]
fn only_a_withheld_argument_that_a_rule_asks_about_leaves_the_answer_open() {
    let policy = policy(50, false);
    let withheld = |pointer: &str| {
        let mut event = pay(10, &["staff"]);
        event.withheld = vec![Withheld { pointer: pointer.to_owned(), because: WithheldBecause::Redacted }];
        rehearse(&policy, None, vec![event]).totals
    };
    assert_eq!(withheld("/amount").undecidable, 1);
    assert_eq!(withheld("/amount/value").undecidable, 1);
    assert_eq!(withheld("/card").allowed, 1);
    assert_eq!(withheld("/amounts").allowed, 1);
}

/// The events of a recording as its lines are read: with what repeats numbered.
pub(crate) fn rehearse_lines(rehearsal: Rehearsal<'_>, policies: &[&CompiledPolicy], text: &[u8]) -> Report {
    let asked = Asked::by(policies.iter().copied());
    let (mut lines, mut batch) = (Lines::new(&asked), Batch::default());
    let (mut reader, mut rehearsal) = (Reader::new(text).unwrap(), rehearsal);
    rehearsal.source("a.jsonl");
    while reader.fill(&mut batch) {
        rehearsal.batch(&mut lines, &batch);
    }
    rehearsal.finish()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: ProptestConfig::default().cases / 4,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_remembered_never_shows(
        events in vec(any_event(), 1..60),
        repeat in 1..4usize,
        limit in 1..40usize,
        with_baseline: bool,
        clock in 0..3u8,
    ) {
        let (old, new) = (policy(100, false), policy(50, true));
        let baseline = with_baseline.then_some(&old);
        let against = if with_baseline { Against::Baseline } else { Against::Recorded };
        let clock = match clock {
            0 => Clock::AsRecorded,
            1 => Clock::Shifted { seconds: 77 },
            _ => Clock::At { instant: Timestamp(1200) },
        };
        let start = || {
            Rehearsal::new(&new, baseline).under(Terms { against, clock, ..Terms::default() })
        };
        let mut writer = Writer::new(Vec::new(), &Header::new("test")).unwrap();
        let mut whole = start();
        whole.source("a.jsonl");
        for (line, event) in (2u64..).zip(events.iter().cycle().take(events.len() * repeat)) {
            writer.write(event).unwrap();
            whole.event(line.into(), event);
        }
        let (whole, text) = (whole.finish(), writer.finish().unwrap());
        for rehearsal in [start(), start().remembering(limit), start().remembering(0)] {
            prop_assert_eq!(&rehearse_lines(rehearsal, &[&new, &old], &text), &whole);
        }
    }
}
