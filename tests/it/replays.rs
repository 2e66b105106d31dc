//! What a rehearsal promises of any policy and any traffic: a policy held against itself changes nothing,
//! what it recorded comes out as recorded, and no short cut shows in the report.

use bytes::Bytes;
use doorward::model::{Action, Timestamp, Verdict, Withheld, WithheldBecause};
use doorward::pdp;
use doorward::policy::CompiledPolicy;
use doorward::policy::set::PolicySet;
use doorward::simulate::{Against, Asked, Clock, Groups, Rehearsal, Rehearsals, Report, Terms};
use doorward::traffic::columns::{ColumnWriter, Columns};
use doorward::traffic::{Batch, Decided, DecidedRule, Event, Field, Header, Lines, Reader, Writer, line, read_event};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

use crate::accounts;
use crate::decide::compile;
use crate::suggest::event;
use crate::universe::{NOW, ask, hidden, policy};

/// Calls of a few sessions, of some of which not everything is known. Those that no recording can hold are left out.
fn traffic() -> BoxedStrategy<Vec<Event>> {
    let call = (prop_oneof![ask(), ask().prop_flat_map(hidden)], 0..5i64, 0..4u8);
    let some = vec(call.boxed(), 1..40).prop_map(|calls| {
        let made = calls.into_iter().map(|(ask, later, session)| {
            let mut event = event(&ask, NOW + later);
            if session > 0 {
                event.session = Field::Present(format!("s{session}"));
            }
            event
        });
        made.filter(|event| read_event(line(event).unwrap().trim_end().as_bytes()).is_ok()).collect()
    });
    some.boxed()
}

/// Any policy, kept where it does not fill the stack.
fn any_policy() -> BoxedStrategy<PolicySet> {
    policy().boxed()
}

/// Records what a policy decides.
fn decided(policy: &CompiledPolicy, mut event: Event) -> Event {
    let claims = event.claims();
    if let Verdict::Decided(decision) = pdp::judge(policy, &event.request(&claims)) {
        let rule = decision.rule.map(|rule| DecidedRule { kind: rule.kind, name: rule.name.to_owned() });
        let (effect, reason, digest) = (decision.effect, decision.reason, policy.digest().to_string());
        event.decided = Some(Decided { effect, reason, rule, digest });
    }
    event
}

/// The report of a rehearsal of every event as it is, with nothing remembered.
fn plain(candidate: &CompiledPolicy, baseline: Option<&CompiledPolicy>, terms: &Terms, events: &[Event]) -> Report {
    let mut rehearsal = Rehearsal::new(candidate, baseline).under(terms.clone()).remembering(0);
    rehearsal.source("x");
    for (line, event) in (2_u64..).zip(events) {
        rehearsal.event(line.into(), event);
    }
    rehearsal.finish()
}

fn lines(rehearsal: Rehearsal<'_>, asked: &Asked<'_>, events: &[Event]) -> Report {
    let mut writer = Writer::new(Vec::new(), &Header::new("test")).unwrap();
    for event in events {
        writer.write(event).unwrap();
    }
    let text = writer.finish().unwrap();
    let (mut lines, mut batch) = (Lines::new(asked), Batch::default());
    let (mut reader, mut rehearsal) = (Reader::new(&*text).unwrap(), rehearsal);
    rehearsal.source("x");
    while reader.fill(&mut batch) {
        rehearsal.batch(&mut lines, &batch);
    }
    rehearsal.finish()
}

fn columns(mut rehearsals: Rehearsals<'_>, asked: &Asked<'_>, events: &[Event]) -> Report {
    let mut writer = ColumnWriter::new(Vec::new(), &Header::new("test")).unwrap();
    for event in events {
        writer.write(event).unwrap();
    }
    let columns = Columns::open(Bytes::from(writer.finish().unwrap())).unwrap();
    let mut lines = Lines::new(asked);
    rehearsals.source("x");
    for number in 0..columns.groups() {
        rehearsals.rows(&mut lines, columns.group(number));
    }
    rehearsals.parts().pop().unwrap().finish()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_short_cut_shows_whatever_the_policies(
        (old, new, events, repeat) in (any_policy(), any_policy(), traffic(), 1..4_usize),
        (limit, with_baseline, clock, recorded_by) in (1..20_usize, any::<bool>(), 0..3_u8, 0..3_u8),
    ) {
        let (old, new) = (compile(old), compile(new));
        let baseline = with_baseline.then_some(&old);
        let against = if with_baseline { Against::Baseline } else { Against::Recorded };
        let clock = match clock {
            0 => Clock::AsRecorded,
            1 => Clock::Shifted { seconds: 1 },
            _ => Clock::At { instant: Timestamp(NOW + 2) },
        };
        let terms = Terms { against, clock, ..Terms::default() };
        let recorded = |event: Event| match recorded_by {
            0 => decided(&old, event),
            1 => decided(&new, event),
            _ => event,
        };
        let events: Vec<Event> = events.into_iter().map(recorded).collect();
        let events: Vec<Event> = events.iter().cycle().take(events.len() * repeat).cloned().collect();
        let expected = plain(&new, baseline, &terms, &events);
        let asked = Asked::by([&new, &old]);
        let start = || Rehearsal::new(&new, baseline).under(terms.clone());
        for rehearsal in [start(), start().remembering(limit)] {
            prop_assert_eq!(&lines(rehearsal, &asked, &events), &expected);
        }
        let rehearsals = Rehearsals::new([(&new, vec![])], baseline, &terms);
        prop_assert_eq!(&columns(rehearsals, &asked, &events), &expected);
    }

    #[test]
    fn lines_and_columns_give_the_report_of_every_event_on_its_own(
        (old, new, recorded) in (accounts::any_policy(), accounts::any_policy(), accounts::any_recorded()),
        (hidden, repeat, with_baseline) in (vec(0..14_u8, 60), 1..4_usize, any::<bool>()),
    ) {
        let baseline = with_baseline.then_some(&old);
        let against = if with_baseline { Against::Baseline } else { Against::Recorded };
        let terms = Terms { against, ..Terms::default() };
        let made = recorded.into_iter().zip(hidden).map(|(one, what)| {
            let mut event = decided(&old, one.event);
            accounts::hide(&mut event, what);
            match what {
                5 => event.arguments = Field::Truncated,
                6 => event.session = Field::Redacted,
                7 => event.token.exp = Field::Absent,
                8 => event.withheld = vec![Withheld { pointer: "/amount".to_owned(), because: WithheldBecause::Truncated }],
                9 => event.token.nbf = Field::Redacted,
                _ => {}
            }
            event
        });
        let events: Vec<Event> =
            made.filter(|event| read_event(line(event).unwrap().trim_end().as_bytes()).is_ok()).collect();
        let events: Vec<Event> = events.iter().cycle().take(events.len() * repeat).cloned().collect();
        let expected = plain(&new, baseline, &terms, &events);
        let asked = Asked::by([&new, &old]);
        prop_assert_eq!(&lines(Rehearsal::new(&new, baseline).under(terms.clone()), &asked, &events), &expected);
        let several = Rehearsals::new([(&new, vec![]), (&old, vec!["x".to_owned()]), (&new, vec![])], baseline, &terms);
        prop_assert_eq!(&columns(several, &asked, &events), &expected);
    }

    #[test]
    fn a_policy_held_against_itself_changes_nothing((set, events) in (any_policy(), traffic())) {
        let (old, new) = (compile(set.clone()), compile(set));
        let terms = Terms { against: Against::Baseline, ..Terms::default() };
        let report = columns(Rehearsals::new([(&new, vec![])], Some(&old), &terms), &Asked::by([&new, &old]), &events);
        let totals = report.totals;
        prop_assert_eq!(totals.events, events.len() as u64);
        prop_assert_eq!(totals.still_allowed + totals.still_denied + totals.unsettled, totals.events);
        prop_assert_eq!(totals.unsettled, totals.undecidable);
        prop_assert_eq!(totals.other_reason + totals.other_rule + totals.other_obligations, 0);
        prop_assert_eq!(report.sessions.broken + report.sessions.unblocked, 0);
        prop_assert!(report.movers.subjects.losers.is_empty() && report.movers.subjects.winners.is_empty());
    }

    #[test]
    fn what_a_policy_decided_and_recorded_comes_out_as_recorded((set, events) in (any_policy(), traffic())) {
        let policy = compile(set);
        let events: Vec<Event> = events.into_iter().map(|event| decided(&policy, event)).collect();
        let checked = events.iter().filter(|event| event.decided.is_some()).count() as u64;
        let (asked, terms) = (Asked::by([&policy]), Terms::default());
        let from_lines = lines(Rehearsal::new(&policy, None), &asked, &events);
        let from_columns = columns(Rehearsals::new([(&policy, vec![])], None, &terms), &asked, &events);
        prop_assert_eq!(&from_lines, &from_columns);
        let drift = &from_lines.drift;
        prop_assert_eq!((drift.checked, drift.same), (checked, checked));
        prop_assert!(drift.different.list.is_empty());
        let totals = from_lines.totals;
        prop_assert_eq!(totals.newly_allowed + totals.newly_denied + totals.other_reason + totals.other_rule, 0);
    }
}

#[test]
fn subjects_that_differ_in_nothing_that_a_policy_sees_are_still_told_apart() {
    let set = policy().new_tree(&mut TestRunner::deterministic()).unwrap().current();
    let policy = compile(set);
    let events: Vec<Event> = (0..6)
        .map(|number| {
            let mut event = Event::new(Timestamp(NOW), "a", Action::ToolsCall, "get");
            event.subject.issuer = Field::Present("i1".to_owned());
            event.subject.sub = Field::Present(format!("user-{number}"));
            event.subject.agent = Field::Present(format!("agent-{}", number % 2));
            event
        })
        .collect();
    let report = lines(Rehearsal::new(&policy, None), &Asked::by([&policy]), &events);
    let names = |groups: &Groups| groups.list.iter().map(|g| g.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&report.subjects), (0..6).map(|n| format!("i1/user-{n}")).collect::<Vec<_>>());
    assert_eq!(names(&report.agents), ["agent-0", "agent-1"]);
}
