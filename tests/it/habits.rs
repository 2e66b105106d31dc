//! Calls that are unusual: each rule at its edges, and the same from any split.

use doorward::model::Timestamp;
use doorward::policy::CompiledPolicy;
use doorward::simulate::{Because, Part, Rehearsal, Report};
use doorward::traffic::{Event, Field, Header, Writer};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use super::rehearsals::{event, policy_with, rehearse_lines};

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

fn policy() -> CompiledPolicy {
    policy_with(50, true, &[Value::Null, Value::Null])
}

fn call(sub: &str, tool: &str, time: i64) -> Event {
    let mut event = event(tool, &["staff"]);
    event.subject.sub = Field::Present(sub.to_owned());
    event.time = Timestamp(time);
    event.token.iat = Field::Present(Timestamp(time - 10));
    event.token.exp = Field::Present(Timestamp(time + 500));
    event
}

/// So many calls of one tool, one an hour from 9 to 18 o'clock.
fn work(sub: &str, tool: &str, from: i64, count: i64) -> Vec<Event> {
    (0..count).map(|n| call(sub, tool, (from + n / 10) * DAY + (9 + n % 10) * HOUR)).collect()
}

fn report(events: &[Event]) -> Report {
    let policy = policy();
    let mut rehearsal = Rehearsal::new(&policy, None);
    rehearsal.source("a.jsonl");
    (1u64..).zip(events).for_each(|(line, event)| rehearsal.event(line.into(), event));
    rehearsal.finish()
}

/// The rows as `rule subject item hour calls first-line`.
fn told(events: &[Event]) -> Vec<String> {
    let unusual = report(events).unusual;
    assert_eq!(unusual.rare + unusual.late + unusual.hours, unusual.list.len() as u64);
    let row = |row: &doorward::simulate::UnusualCalls| {
        let hour = row.hour.map(|hour| format!(" {hour}h")).unwrap_or_default();
        let at = &row.samples[0];
        format!("{} {} {}{hour} {} {}", row.because.as_str(), row.subject, row.item, row.calls, at.place)
    };
    unusual.list.iter().map(row).collect()
}

#[test]
fn a_tool_that_others_often_call_and_one_hardly_does_is_rare() {
    let others = |count| ["ben", "kim", "lea"].into_iter().take(count).flat_map(|sub| work(sub, "close", 0, 4));
    let base: Vec<Event> = work("ana", "find", 0, 30);
    let three: Vec<Event> = base.iter().cloned().chain(others(3)).chain(work("ana", "close", 1, 3)).collect();
    assert_eq!(told(&three), ["rare corp/ana desk:close 3 43"]);
    let often: Vec<Event> = base.iter().cloned().chain(others(3)).chain(work("ana", "close", 1, 4)).collect();
    assert_eq!(told(&often), [""; 0], "four calls are not few");
    let two: Vec<Event> = base.iter().cloned().chain(others(2)).chain(work("ana", "close", 1, 3)).collect();
    assert_eq!(told(&two), [""; 0], "two others do not make it common");
    let idle: Vec<Event> =
        work("ana", "find", 0, 26).into_iter().chain(others(3)).chain(work("ana", "close", 1, 3)).collect();
    assert_eq!(told(&idle), [""; 0], "who hardly calls has no habits");
    let mut denied = three;
    denied.iter_mut().skip(42).for_each(|event| event.subject.groups = Field::Absent);
    assert_eq!(told(&denied), [""; 0], "what is denied needs no look");
}

#[test]
fn what_others_called_before_and_one_begins_at_the_end_is_late() {
    // Ten days of work; on the last of them ana begins what ben has always done.
    let base: Vec<Event> = work("ana", "find", 0, 100).into_iter().chain(work("ben", "close", 0, 90)).collect();
    let begins = |day| base.iter().cloned().chain(work("ana", "close", day, 6)).collect::<Vec<_>>();
    assert_eq!(told(&begins(9)), ["late corp/ana desk:close 6 191"]);
    assert_eq!(told(&begins(5)), [""; 0]);
    let new: Vec<Event> = work("ana", "find", 0, 100).into_iter().chain(work("ana", "close", 9, 6)).collect();
    assert_eq!(told(&new), [""; 0], "nobody else called it");
    let joined: Vec<Event> = work("ben", "close", 0, 90).into_iter().chain(work("ana", "close", 8, 40)).collect();
    assert_eq!(told(&joined), [""; 0], "who is new has no habits");
}

#[test]
fn an_hour_in_which_a_subject_hardly_calls_is_unusual() {
    let base = work("ana", "find", 0, 40);
    let at = |hours: &[i64]| {
        let night = hours.iter().map(|hour| call("ana", "find", 3 * DAY + hour * HOUR));
        base.iter().cloned().chain(night).collect::<Vec<_>>()
    };
    assert_eq!(told(&at(&[3])), ["hour corp/ana desk:find 3h 1 41"]);
    assert_eq!(told(&at(&[3, 3, 3])), ["hour corp/ana desk:find 3h 3 41"]);
    assert_eq!(told(&at(&[3, 3, 3, 3])), [""; 0]);
    assert_eq!(told(&at(&[19])), [""; 0], "an hour after work");
    let samples = report(&at(&[0, 23, 23])).unusual.list;
    assert_eq!(samples.iter().map(|row| row.samples.len()).collect::<Vec<_>>(), [1, 2]);
    assert!(samples.iter().all(|row| row.because == Because::Hour));
    let short: Vec<Event> =
        (0..40).map(|n| call("ana", "find", 9 * HOUR + n)).chain([call("ana", "find", DAY)]).collect();
    assert_eq!(told(&short), [""; 0], "two days show no habit");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn unusual_calls_are_the_same_from_any_split(
        calls in vec((select(vec!["ana", "ben", "kim", "lea", "joe"]), select(vec!["find", "close"]), 0..5i64, 0..24i64, 0..3usize), 1..400),
        night in select(vec![9, 24]),
    ) {
        let policy = policy();
        let events: Vec<(Event, usize, &str)> = calls
            .iter()
            .map(|(sub, tool, day, hour, part)| {
                let rare = *sub == "ana" && (hour + day) % 7 != 0;
                let tool = if rare { "find" } else { tool };
                // All at whole hours, so that the recording and the place often say which is first.
                let source = if hour % 2 == 0 { "b.jsonl" } else { "a.jsonl" };
                (call(sub, tool, day * DAY + (hour % night + 9) * HOUR), *part, source)
            })
            .collect();
        let rehearse = |wanted: Option<usize>| {
            let mut rehearsal = Rehearsal::new(&policy, None);
            for (line, (event, part, source)) in (1u64..).zip(&events) {
                if wanted.is_none_or(|wanted| wanted == *part) {
                    rehearsal.source(source);
                    rehearsal.event(line.into(), event);
                }
            }
            rehearsal.part()
        };
        let whole = rehearse(None).finish();
        let [first, second, mut merged] = [0, 1, 2].map(|part| -> Part {
            serde_json::from_str(&serde_json::to_string(&rehearse(Some(part))).unwrap()).unwrap()
        });
        merged.merge(first).unwrap();
        merged.merge(second).unwrap();
        prop_assert_eq!(merged.finish().unusual, whole.unusual);
    }

    #[test]
    fn unusual_calls_are_the_same_whatever_is_remembered(
        calls in vec((select(vec!["ana", "ben", "kim", "lea"]), any::<bool>(), 0..5i64, 0..24i64), 1..300),
        limit in 1..9usize,
    ) {
        let policy = policy();
        let mut writer = Writer::new(Vec::new(), &Header::new("test")).unwrap();
        let mut whole = Rehearsal::new(&policy, None);
        whole.source("a.jsonl");
        for (line, (sub, common, day, hour)) in (2u64..).zip(&calls) {
            let tool = if *common || *sub == "ana" && hour % 5 != 0 { "find" } else { "close" };
            let event = call(sub, tool, day * DAY + (hour % 12 + 9) * HOUR);
            writer.write(&event).unwrap();
            whole.event(line.into(), &event);
        }
        let (whole, text) = (whole.finish().unusual, writer.finish().unwrap());
        for rehearsal in [Rehearsal::new(&policy, None), Rehearsal::new(&policy, None).remembering(limit)] {
            prop_assert_eq!(&rehearse_lines(rehearsal, &[&policy], &text).unusual, &whole);
        }
    }
}
