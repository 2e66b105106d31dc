//! One made-up rehearsal for the snapshots of both forms.

use std::collections::BTreeMap;

use super::*;
use crate::model::{Reason, RuleKind, Timestamp};
use crate::simulate::{
    Ages, ArgumentLimits, Change, Drift, Measure, Movers, Rates, RuleName, Sessions, Skipped, StatementHits, Terms,
    Usage, Window,
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
    let list = rows.iter().map(|(name, counts)| Group { name: (*name).to_owned(), counts: *counts }).collect();
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
        hours: Groups::default(),
        missing: [("arguments:amount".to_owned(), 1)].into(),
        subjects: groups(&[("corp/ana", rest), ("corp/kim", part)]),
        agents: Groups::default(),
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
        movers: Movers::default(),
        sessions: Sessions::default(),
        rates: Rates::default(),
        ages: Ages::default(),
        arguments: ArgumentLimits::default(),
    }
}

fn broken() -> GateVerdict {
    GateVerdict::Broken { breaches: vec![Breach { what: Measure::NewlyDenied, count: 4, limit: 0 }] }
}

#[test]
fn people_read_doubts_first_and_then_what_changes_most() {
    insta::assert_snapshot!(human(&report(), &broken(), Limits::default(), Style::PLAIN));
}

#[test]
fn a_table_that_is_cut_says_how_much_is_missing() {
    let text = human(&report(), &GateVerdict::Open, Limits { rows: 1 }, Style::PLAIN);
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
