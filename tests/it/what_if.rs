//! What-ifs: other instants and other policies than those that stand in a file.

use doorward::policy::{CompiledPolicy, Layers, load};
use doorward::simulate::{Against, Clock, Rehearsal, Rehearsals, Report, Terms};
use doorward::traffic::{Numbered, Reader};

const POLICY: &str = include_str!("../../policies.toml");
const RECORDING: &str = include_str!("../../simulations/support-desk.jsonl");

fn layers() -> Layers {
    Layers { files: vec![("policies.toml".into(), POLICY.into())], environment: Vec::new() }
}

fn policy() -> CompiledPolicy {
    load(&layers()).policy.unwrap().compiled
}

fn events() -> Vec<Numbered> {
    Reader::new(RECORDING.as_bytes()).unwrap().map(Result::unwrap).collect()
}

fn rehearse(candidate: &CompiledPolicy, baseline: Option<&CompiledPolicy>, terms: Terms) -> Report {
    let mut rehearsal = Rehearsal::new(candidate, baseline).under(terms);
    rehearsal.source("desk.jsonl");
    for Numbered { place, event } in events() {
        rehearsal.event(place, &event);
    }
    rehearsal.finish()
}

fn clock(clock: Clock, against: Against) -> Terms {
    Terms { clock, against, ..Terms::default() }
}

#[test]
fn another_instant_changes_nothing_but_what_has_an_end_date() {
    let policy = policy();
    // `leads-refund-more` ends on 2027-06-30; the recording is of March 2026.
    for (seconds, newly_denied) in [(0, 0), (86_400, 0), (-10 * 31_536_000, 0), (2 * 31_536_000, 1)] {
        let report = rehearse(&policy, None, clock(Clock::Shifted { seconds }, Against::Recorded));
        assert_eq!((report.totals.newly_denied, report.totals.newly_allowed), (newly_denied, 0), "{seconds}");
        assert_eq!(report.drift.checked, report.drift.same, "the self-check is about the recorded instants");
        assert!(report.drift.checked > 0);
        assert_eq!(report.window, rehearse(&policy, None, Terms::default()).window);
    }
    let later = doorward::model::Timestamp(1_900_000_000);
    let at = rehearse(&policy, None, clock(Clock::At { instant: later }, Against::Recorded));
    assert_eq!((at.totals.newly_denied, at.totals.newly_allowed), (1, 0));
}

#[test]
fn a_baseline_keeps_the_same_clock_and_the_policy_itself_the_recorded_one() {
    let policy = policy();
    let later = Clock::Shifted { seconds: 2 * 31_536_000 };
    let held = |against| rehearse(&policy, Some(&policy), clock(later, against)).totals.newly_denied;
    assert_eq!(held(Against::Baseline), 0);
    assert_eq!(held(Against::Unchanged), 1);
}

#[test]
fn several_candidates_in_one_pass_are_each_rehearsed_as_alone() {
    let (first, second) = (policy(), {
        let mut layers = layers();
        layers.files.push((
            "over.toml".into(),
            "version = 1\n[servers.tickets.tools.reply.args]\nticket = { glob = \"X-*\" }\n".into(),
        ));
        load(&layers).policy.unwrap().compiled
    });
    let terms = clock(Clock::AsRecorded, Against::Baseline);
    let candidates = [(&first, vec!["a".to_owned()]), (&second, Vec::new())];
    let mut several = Rehearsals::new(candidates, Some(&first), &terms);
    several.source("desk.jsonl");
    for Numbered { place, event } in events() {
        several.event(place, &event);
    }
    let reports: Vec<Report> = several.parts().into_iter().map(doorward::simulate::Part::finish).collect();
    let alone = |policy, what_if: &[&str]| {
        let what_if = what_if.iter().map(|w| (*w).to_owned()).collect();
        rehearse(policy, Some(&first), Terms { what_if, ..terms.clone() })
    };
    assert_eq!(reports, [alone(&first, &["a"]), alone(&second, &[])]);
    assert!(reports[1].totals.newly_denied > 0);
}
