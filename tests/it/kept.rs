//! What a rehearsal says of the audit log, against a naive count of the rows of each event.

use std::collections::BTreeMap;

use doorward::model::Timestamp;
use doorward::pdp;
use doorward::policy::CompiledPolicy;
use doorward::simulate::{Part, ROW_BYTES, Range, Rehearsal, Report};
use doorward::traffic::{Event, Field};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::rehearsals::pay;
use super::reports::policy;

/// 2026-03-02T00:00:00Z
const START: i64 = 1_772_409_600;
const DAY: i64 = 86_400;

fn kept(limit: u32, retention: &[(&str, &str)], holds: &str) -> CompiledPolicy {
    let retention: String = retention.iter().map(|(class, time)| format!("{class} = \"{time}\"\n")).collect();
    policy(&format!(
        r#"
version = 1
[issuers.corp]
url = "https://login.example.com"
audiences = ["https://mcp.example.com/desk/mcp"]
[servers.desk]
url = "http://127.0.0.1:9001/mcp"
[servers.desk.tools.find]
[servers.desk.tools.pay]
audit = "financial"
[[grants]]
to = {{ groups = ["staff"] }}
allow = ["desk:*"]
args = {{ "desk:pay" = {{ amount = {{ max = {limit} }} }} }}
[gateway]
url = "https://mcp.example.com"
[audit.retention]
{retention}
{holds}
"#
    ))
}

fn at(time: i64, tool: &str, amount: u32) -> Event {
    let mut event = pay(amount, &["staff"]);
    tool.clone_into(&mut event.name);
    event.time = Timestamp(time);
    event.token.iat = Field::Present(Timestamp(time - 10));
    event.token.exp = Field::Present(Timestamp(time + 500));
    event
}

fn rehearsed(candidate: &CompiledPolicy, baseline: Option<&CompiledPolicy>, events: &[Event]) -> Report {
    let mut rehearsal = Rehearsal::new(candidate, baseline);
    (1u64..).zip(events).for_each(|(line, event)| rehearsal.event(line.into(), event));
    rehearsal.finish()
}

const fn exactly(count: u64) -> Range {
    Range { at_least: count, at_most: count }
}

/// Rows that each event writes, by class, with the month in which.
fn rows(policy: &CompiledPolicy, events: &[Event]) -> BTreeMap<String, Vec<(String, u64)>> {
    let mut all: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for event in events {
        let decision = pdp::decide(policy, &event.request(&event.claims()));
        let class = decision.obligations.map_or("standard", |obligations| obligations.audit);
        let month = event.time.to_string().chars().take(7).collect();
        all.entry(class.to_owned()).or_default().push((month, 1 + u64::from(decision.is_allow())));
    }
    all
}

#[test]
fn a_shorter_retention_says_what_goes_when_it_is_applied() {
    let old = kept(100, &[("standard", "90d"), ("financial", "1y")], "");
    let new = kept(50, &[("standard", "30d"), ("financial", "2y")], "");
    // One of each a day for 100 days, from 2026-03-02 to 2026-06-09.
    let days = 0..100;
    let events: Vec<Event> =
        days.flat_map(|day| [at(START + day * DAY, "find", 0), at(START + day * DAY, "pay", 60)]).collect();
    let storage = rehearsed(&new, Some(&old), &events).storage;
    let [financial, standard] = &*storage.classes else { panic!("{storage:?}") };
    let (before, now) = (standard.before.as_ref().unwrap(), standard.now.as_ref().unwrap());
    assert_eq!((before.retention, now.retention), (90 * 86_400, 30 * 86_400));
    assert_eq!((before.written.rows, now.written.rows), (exactly(200), exactly(200)));
    // Whole months go: of 2026-06-09 less 90 days, nothing; less 30 days, what is before May: 60 days.
    assert_eq!((before.kept.rows, now.kept.rows), (exactly(200), exactly(80)));
    assert_eq!(standard.removed.rows, exactly(120));
    assert_eq!(standard.removed.bytes, exactly(60 * (ROW_BYTES.intent + ROW_BYTES.outcome)));
    // Two rows a day.
    let steady = now.steady.unwrap().rows;
    assert_eq!(steady, Range { at_least: 200 * 30 / 99, at_most: 200 * 61 / 99 });
    // 60 is over the new limit: a denial instead of an intent and its outcome.
    let (before, now) = (financial.before.as_ref().unwrap(), financial.now.as_ref().unwrap());
    assert_eq!((before.written.rows, now.written.rows), (exactly(200), exactly(100)));
    assert_eq!(now.written.bytes, exactly(100 * ROW_BYTES.denial));
    assert_eq!(financial.removed.rows, exactly(0));
    assert!(storage.changes());

    let hold = "[audit.holds.case]\nclasses = [\"standard\"]";
    let held = kept(50, &[("standard", "30d"), ("financial", "2y")], hold);
    let standard = &rehearsed(&held, Some(&old), &events).storage.classes[1];
    assert_eq!(standard.removed.rows, exactly(0), "what is held stays");
    let now = standard.now.as_ref().unwrap();
    assert!(now.held && now.steady.is_none() && now.kept.rows == exactly(200));
    let hold = "[audit.holds.case]\nsubjects = [\"ana\"]";
    let held = kept(50, &[("standard", "30d"), ("financial", "2y")], hold);
    let standard = &rehearsed(&held, Some(&old), &events).storage.classes[1];
    assert_eq!(standard.removed.rows, Range { at_least: 0, at_most: 120 }, "of a subject whose rows may be any");
}

#[test]
fn a_request_that_cannot_be_decided_writes_one_row_or_two() {
    let policy = kept(50, &[("standard", "90d"), ("financial", "7y")], "");
    let mut event = at(START, "pay", 10);
    event.arguments = Field::NotRecorded;
    let storage = rehearsed(&policy, None, &[event, at(START, "gone", 0)]).storage;
    let financial = storage.classes[0].now.as_ref().unwrap();
    assert_eq!(financial.written.rows, Range { at_least: 1, at_most: 2 });
    assert_eq!(financial.steady, None, "there is no rate in an instant");
    let standard = storage.classes[1].now.as_ref().unwrap();
    assert_eq!(standard.written.rows, exactly(1), "what is declared nowhere is in the class of its server");
    assert!(!storage.changes());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_those_of_a_naive_count_whatever_the_split(
        calls in vec((0..500i64, select(vec!["find", "pay", "gone"]), 0..120u32, 0..3usize), 1..50),
        retention in 1..400i64,
    ) {
        let old = kept(100, &[("standard", "90d"), ("financial", "1y")], "");
        let new = kept(50, &[("standard", &format!("{retention}d")), ("financial", "60d")], "");
        let events: Vec<Event> =
            calls.iter().map(|(day, tool, amount, _)| at(START + day * DAY + 7 * day, tool, *amount)).collect();
        let whole = rehearsed(&new, Some(&old), &events);
        let last = events.iter().map(|event| event.time).max().unwrap();
        let month = |days: i64| -> String { Timestamp(last.0 - days * DAY).to_string().chars().take(7).collect() };
        let (before, now) = (rows(&old, &events), rows(&new, &events));
        for class in &whole.storage.classes {
            let (kept_before, kept_now) =
                if class.class == "standard" { (month(90), month(retention)) } else { (month(365), month(60)) };
            let of = |rows: &BTreeMap<String, Vec<(String, u64)>>| rows.get(&class.class).cloned().unwrap_or_default();
            let sum = |rows: Vec<(String, u64)>, fits: &dyn Fn(&str) -> bool| {
                exactly(rows.into_iter().filter(|(month, _)| fits(month)).map(|(_, rows)| rows).sum())
            };
            let told = (class.before.as_ref().unwrap(), class.now.as_ref().unwrap());
            prop_assert_eq!(told.0.written.rows, sum(of(&before), &|_| true));
            prop_assert_eq!(told.1.written.rows, sum(of(&now), &|_| true));
            prop_assert_eq!(told.0.kept.rows, sum(of(&before), &|month| month >= &*kept_before));
            prop_assert_eq!(told.1.kept.rows, sum(of(&now), &|month| month >= &*kept_now));
            let goes = |month: &str| month >= &*kept_before && month < &*kept_now;
            prop_assert_eq!(class.removed.rows, sum(of(&before), &goes));
        }
        let mut parts = [(); 3].map(|()| Rehearsal::new(&new, Some(&old)));
        for (line, (event, call)) in (1u64..).zip(events.iter().zip(&calls)).collect::<Vec<_>>().into_iter().rev() {
            parts[call.3].event(line.into(), event);
        }
        let [first, second, mut merged] = parts.map(|part| -> Part {
            serde_json::from_str(&serde_json::to_string(&part.part()).unwrap()).unwrap()
        });
        merged.merge(first).unwrap();
        merged.merge(second).unwrap();
        prop_assert_eq!(merged.finish().storage, whole.storage);
    }
}
