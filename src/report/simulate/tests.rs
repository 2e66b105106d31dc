//! One made-up rehearsal for the snapshots of both forms.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Rate, RateKey, Reason, RuleKind, Timestamp};
use crate::simulate::{
    AgeCurve, Ages, ArgumentLimit, ArgumentLimits, Because, BreakingItem, BrokenSession, Change, Changes, ClassStorage,
    Column, Columns as Ways, Counts, DoorAges, Drift, Flow, Group, Groups, ItemCalls, Kept, Measure, Moved, Mover,
    Movers, Passing, ROW_BYTES, RateLine, Rates, RuleName, Sessions, Skipped, Spread, StatementHits, Storage, Terms,
    TextCount, UnblockedSession, Untouched, Unusual, UnusualCalls, Usage, Volume, Window, WorstWindow,
};

fn rule(kind: RuleKind, name: &str) -> RuleName {
    RuleName { kind, name: name.to_owned(), at: "policies.toml:12:8".to_owned() }
}

fn change(kind: Kind, count: u64, before: Answer, after: Answer) -> Change {
    let sample = |record: u64| Sample {
        source: "a\u{1b}[31m.jsonl".to_owned(),
        place: record.into(),
        about: "corp/ana".to_owned(),
        time: Some(Timestamp(1_767_225_600)),
        agent: Some("desk".to_owned()),
        why: None,
    };
    let window = Window { first: Timestamp(1_767_225_600), last: Timestamp(1_767_225_700) };
    Change {
        kind,
        item: "tickets:refund".to_owned(),
        before,
        after,
        count,
        window,
        samples: vec![sample(7), sample(9)],
    }
}

fn groups(rows: &[(&str, Counts)]) -> Groups {
    let list =
        rows.iter().map(|(name, counts)| Group { name: (*name).to_owned(), counts: *counts, seen: None }).collect();
    Groups { list, others: Counts::default() }
}

fn report() -> Report {
    let totals = Counts {
        events: 12,
        allowed: 5,
        denied: 6,
        undecidable: 1,
        still_allowed: 4,
        still_denied: 2,
        newly_denied: 4,
        newly_allowed: 1,
        unsettled: 1,
        maybe_newly_denied: 1,
        other_reason: 1,
        ..Counts::default()
    };
    let part = Counts { events: 4, denied: 4, newly_denied: 4, ..Counts::default() };
    let rest = Counts { events: 8, allowed: 5, denied: 2, undecidable: 1, newly_allowed: 1, ..Counts::default() };
    let grant = Answer::Allow { rule: Some(rule(RuleKind::Grant, "support-desk")) };
    let args = Answer::Deny { reason: Reason::Args, rule: Some(rule(RuleKind::Grant, "support-desk")) };
    let denied = Answer::Deny { reason: Reason::NoGrant, rule: None };
    let unknown = Answer::Undecidable { missing: vec!["arguments:amount".to_owned()] };
    Report {
        candidate: "sha256:aa".to_owned(),
        terms: Terms::default(),
        baseline: Some("sha256:bb".to_owned()),
        drift: Drift {
            checked: 10,
            same: 8,
            undecidable: 1,
            other_policy: 1,
            foreign: 1,
            undecided: 1,
            different: Changes { list: vec![change(Kind::Drift, 1, grant.clone(), denied.clone())], others: 0 },
        },
        totals,
        unreadable: [("not-json".to_owned(), 2)].into(),
        unreadable_samples: vec![Sample {
            source: "a.jsonl".to_owned(),
            place: 4.into(),
            about: "the line is not a JSON object (not-json)".to_owned(),
            time: None,
            agent: None,
            why: None,
        }],
        skipped: Skipped {
            ignored: [("thinking".to_owned(), 3)].into(),
            unmapped: [("guess".to_owned(), 1)].into(),
            unidentified: 2,
        },
        window: Some(Window { first: Timestamp(1_767_225_600), last: Timestamp(1_767_229_200) }),
        changes: Changes {
            list: vec![
                change(Kind::NewlyDenied, 1, grant.clone(), denied.clone()),
                change(Kind::NewlyDenied, 3, grant.clone(), args.clone()),
                change(Kind::NewlyAllowed, 1, denied.clone(), grant.clone()),
                change(Kind::Undecidable, 1, grant, unknown),
                change(Kind::OtherReason, 1, denied, args),
            ],
            others: 0,
        },
        flow: Vec::new(),
        hours: groups(&[("2026-03-01T23Z", part), ("2026-03-02T00Z", rest), ("2026-03-02T13Z", part)]),
        missing: [("arguments:amount".to_owned(), 1)].into(),
        subjects: groups(&[("corp/ana", rest), ("corp/kim", part)]),
        agents: Groups::default(),
        roles: groups(&[("support", rest)]),
        tenants: groups(&[("issuer corp", totals)]),
        doors: Groups::default(),
        items: groups(&[("tickets:refund", part), ("tickets:search", rest)]),
        rules: Groups::default(),
        reasons: Groups::default(),
        statements: vec![
            StatementHits {
                rule: rule(RuleKind::Grant, "support-desk"),
                decided: 5,
                nearly: 0,
                applied: 5,
                applied_denied: 0,
                applied_undecidable: 0,
                usage: Usage::Decides,
            },
            StatementHits {
                rule: rule(RuleKind::Grant, "leads"),
                decided: 0,
                nearly: 2,
                applied: 0,
                applied_denied: 0,
                applied_undecidable: 0,
                usage: Usage::Never,
            },
            StatementHits {
                rule: rule(RuleKind::Deny, ""),
                decided: 0,
                nearly: 0,
                applied: 0,
                applied_denied: 0,
                applied_undecidable: 0,
                usage: Usage::Never,
            },
        ],
        untouched: Untouched {
            declared: 9,
            list: ["tickets:close", "tickets:prompt:triage", "tickets:resource:manuals"]
                .map(|name| rule(RuleKind::Item, name))
                .to_vec(),
        },
        movers: Movers::default(),
        sessions: Sessions::default(),
        rates: Rates::default(),
        ages: Ages::default(),
        arguments: ArgumentLimits::default(),
        storage: Storage::default(),
        unusual: Unusual::default(),
    }
}

/// The same with sessions, rates, ages, arguments and movers.
fn deep() -> Report {
    let witness = |place: u64| Sample {
        place: place.into(),
        ..change(Kind::Drift, 1, Answer::None, Answer::None).samples[0].clone()
    };
    let denied = Answer::Deny { reason: Reason::NoGrant, rule: None };
    let window = Window { first: Timestamp(1_767_225_600), last: Timestamp(1_767_225_700) };
    let session = |name: &str, before: Range, sure: bool| BrokenSession {
        session: name.to_owned(),
        subject: "corp/ana".to_owned(),
        window,
        calls: 9,
        before,
        sure,
        already: !sure,
        item: "tickets:refund".to_owned(),
        after: denied.clone(),
        time: window.last,
        witness: witness(7),
    };
    let exact = |n: u64| Range { at_least: n, at_most: n };
    let bounds = |at_least: u64, at_most: u64| Range { at_least, at_most };
    let mover = |name: &str, calls: u64| Mover {
        name: name.to_owned(),
        calls,
        items: vec![ItemCalls { item: "tickets:refund".to_owned(), calls: 2 }],
        other_items: 0,
        samples: vec![witness(9)],
    };
    let rate = |count: u32| Some(Rate { count, seconds: 60, per: RateKey::Subject, shared: false });
    let limit = |test: &str| ArgumentLimit {
        rule: rule(RuleKind::Grant, "support-desk"),
        item: "tickets:refund".to_owned(),
        path: "amount".to_owned(),
        test: test.to_owned(),
        seen: 12,
        passing: 9,
        missing: 1,
        unfit: 0,
        withheld: 2,
        spread: None,
        outside: Vec::new(),
        outside_others: 0,
    };
    let number = crate::policy::number::Number::from;
    let ways = |recorded, baseline, candidate| Ways { recorded, baseline: Some(baseline), candidate };
    Report {
        flow: vec![
            Flow { columns: ways(Column::Allow, Column::Allow, Column::Deny), count: 4 },
            Flow { columns: ways(Column::None, Column::Deny, Column::Allow), count: 1 },
            Flow { columns: ways(Column::Allow, Column::Allow, Column::Undecidable), count: 7 },
        ],
        movers: Movers {
            subjects: Moved {
                losers: vec![mover("corp/kim", 3), mover("corp/ana", 2)],
                winners: Vec::new(),
                others: 0,
            },
            agents: Moved { losers: vec![mover("bot", 5)], winners: vec![mover("cli", 1)], others: 0 },
            ..Movers::default()
        },
        sessions: Sessions {
            followed: 5,
            unbroken: 3,
            broken: 1,
            perhaps_broken: 1,
            unblocked: 1,
            seen: exact(5),
            breaking: bounds(1, 2),
            not_followed: 0,
            outside: 0,
            unknown: 4,
            items: vec![BreakingItem { item: "tickets:refund".to_owned(), sessions: 1, perhaps: 1 }],
            list: vec![session("s-1", exact(3), true), session("s-2", bounds(2, 8), false)],
            relieved: vec![UnblockedSession {
                session: "s-3".to_owned(),
                subject: "corp/kim".to_owned(),
                calls: 4,
                gained: 1,
            }],
        },
        rates: Rates {
            replayed: 12,
            not_replayed: 3,
            before: exact(0),
            now: bounds(2, 6),
            newly_limited: bounds(2, 5),
            no_longer_limited: exact(0),
            list: vec![RateLine {
                of: "tickets".to_owned(),
                per: RateKey::Subject,
                key: "corp/ana".to_owned(),
                before: rate(10),
                now: rate(3),
                limited_before: 0,
                limited_now: 2,
                newly_limited: 2,
                no_longer_limited: 0,
                worst: WorstWindow { start: window.first, seconds: 60, calls: 5, limited: 2 },
                samples: vec![witness(8)],
            }],
            more: 0,
        },
        ages: Ages {
            ttls: vec![60, 900],
            total: AgeCurve { calls: 5, older: vec![4, 1], unknown: 1 },
            doors: vec![DoorAges {
                door: "tickets".to_owned(),
                curve: AgeCurve { calls: 5, older: vec![4, 1], unknown: 1 },
            }],
            sessions: vec![2, 1],
            renewals: vec![bounds(2, 4), exact(1)],
        },
        arguments: ArgumentLimits {
            list: vec![
                ArgumentLimit {
                    spread: Some(Spread {
                        limit: number(50),
                        below: 8,
                        at: 1,
                        over: 3,
                        min: number(1),
                        p50: number(20),
                        p90: number(80),
                        p99: number(90),
                        max: number(90),
                        curve: vec![Passing { limit: number(90), passing: 12 }],
                    }),
                    ..limit("max = 50")
                },
                ArgumentLimit {
                    outside: vec![TextCount { text: "GBP".to_owned(), count: 3 }],
                    ..limit("one_of = [\"EUR\", \"USD\"]")
                },
            ],
            others: 0,
        },
        storage: storage(),
        unusual: Unusual {
            followed: 9,
            not_followed: 2,
            rare: 1,
            late: 0,
            hours: 120,
            list: [(Because::Rare, 1, None), (Because::Hour, 2, Some(3))]
                .map(|(because, calls, hour)| UnusualCalls {
                    because,
                    calls,
                    subject: "corp/kim".to_owned(),
                    item: "tickets:refund".to_owned(),
                    hour,
                    samples: vec![witness(7)],
                })
                .to_vec(),
        },
        ..report()
    }
}

/// A class of which a shorter retention removes rows, and one that is held.
fn storage() -> Storage {
    let exact = |n: u64| Range { at_least: n, at_most: n };
    let volume = |rows: u64| Volume { rows: exact(rows), bytes: exact(rows * 800) };
    let kept = |days: u64, rows: u64, held: bool| {
        let steady = Volume {
            rows: Range { at_least: rows * 1000, at_most: rows * 1200 },
            bytes: Range { at_least: rows * 800_000, at_most: rows * 960_000 },
        };
        let steady = (!held).then_some(steady);
        Some(Kept { retention: days * 86_400, held, written: volume(rows), kept: volume(rows / 2), steady })
    };
    let class = |name: &str, before, now, removed| ClassStorage { class: name.to_owned(), before, now, removed };
    Storage {
        row_bytes: ROW_BYTES,
        classes: vec![
            class("financial", kept(365, 8, false), kept(365, 8, true), Volume::default()),
            class("standard", kept(90, 20, false), kept(30, 18, false), volume(4)),
            class("trial", None, kept(1, 0, false), Volume::default()),
        ],
    }
}

fn broken() -> GateVerdict {
    GateVerdict::Broken { breaches: vec![Breach { what: Measure::NewlyDenied, count: 4, limit: 0 }] }
}

#[test]
fn people_read_doubts_first_and_then_what_changes_most() {
    let by = Tables::of([By::Tool, By::Subject]);
    insta::assert_snapshot!(human(&report(), &broken(), Limits { by, ..Limits::default() }, Style::PLAIN));
}

#[test]
fn people_read_which_sessions_break_and_who_loses() {
    insta::assert_snapshot!(human(&deep(), &broken(), Limits::default(), Style::PLAIN));
}

#[test]
fn people_read_the_tables_that_they_ask_for() {
    let by = Tables::of(By::ALL.map(|(_, by)| by));
    insta::assert_snapshot!(human(&deep(), &GateVerdict::Open, Limits { by, ..Limits::default() }, Style::PLAIN));
}

#[test]
fn a_table_that_is_cut_says_how_much_is_missing() {
    let limits = Limits { rows: 1, by: Tables::of([By::Subject]) };
    let text = human(&report(), &GateVerdict::Open, limits, Style::PLAIN);
    assert!(text.contains("and 4 rows more in the JSON report") && text.contains("1 other"), "{text}");
}

#[test]
fn the_json_form_holds_the_whole_report() {
    let text = json(&report(), &broken());
    insta::assert_snapshot!(text);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let back: Report = serde_json::from_value(value["report"].clone()).unwrap();
    assert_eq!(back, report());
}

#[test]
fn a_rehearsal_without_events_or_comparison_stays_short() {
    let empty = Report {
        baseline: None,
        drift: Drift::default(),
        totals: Counts::default(),
        unreadable: BTreeMap::new(),
        unreadable_samples: Vec::new(),
        skipped: Skipped::default(),
        window: None,
        changes: Changes::default(),
        missing: BTreeMap::new(),
        subjects: Groups::default(),
        items: Groups::default(),
        ..report()
    };
    let gate = GateVerdict::CannotTell { because: vec!["there are no events".to_owned()] };
    insta::assert_snapshot!(human(&empty, &gate, Limits::default(), Style::PLAIN), @"

    0 events
      allowed      0
      denied       0
      undecidable  0

    the gate cannot be judged
      there are no events
    ");
    let holds = human(&empty, &GateVerdict::Holds, Limits::default(), Style::PLAIN);
    assert!(holds.ends_with("the gate holds\n"));
}
