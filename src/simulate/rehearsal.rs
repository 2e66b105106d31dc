//! The fold over events. Holds counts and a few samples, never the events.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::ages::Ages;
use super::answer::{RuleName, Side, missing_names};
use super::arguments::ArgumentLimits;
use super::bounded::{Tallies, keep_sample};
use super::counts::Counts;
use super::judged::{Judged, Witness};
use super::labels::{hour, shown, write_item, write_subject};
use super::movers::Movers;
use super::part::Part;
use super::rates::Rates;
use super::report::{Column, Columns, Drift, Flow, Kind, Report, Sample, Skipped, StatementHits, Usage, Window};
use super::rows::Rows;
use super::sessions::Sessions;
use super::terms::{Against, Clock, Terms};
use super::why::Why;
use crate::model::{Effect, Rule, RuleKind, Verdict};
use crate::pdp;
use crate::policy::CompiledPolicy;
use crate::traffic::{Event, Imported, Numbered, Observed, Place, Unreadable};

/// A rehearsal that events are fed to.
#[derive(Debug)]
pub struct Rehearsal<'p> {
    candidate: &'p CompiledPolicy,
    baseline: Option<&'p CompiledPolicy>,
    digests: (String, Option<String>),
    terms: Terms,
    source: String,
    totals: Counts,
    drift: Drift,
    drifted: Rows,
    changed: Rows,
    unreadable: BTreeMap<String, u64>,
    unreadable_samples: Vec<Sample>,
    skipped: Skipped,
    window: Option<Window>,
    flow: BTreeMap<Columns, u64>,
    missing: BTreeMap<String, u64>,
    hours: Tallies,
    subjects: Tallies,
    agents: Tallies,
    doors: Tallies,
    items: Tallies,
    reasons: Tallies,
    /// By the address of the statement's place, which is one for each statement.
    rules: HashMap<usize, RuleCounts<'p>, foldhash::fast::FixedState>,
    no_rule: Counts,
    item: String,
    subject: String,
}

#[derive(Debug)]
struct RuleCounts<'p> {
    rule: Rule<'p>,
    counts: Counts,
}

impl<'p> Rehearsal<'p> {
    /// A rehearsal of `candidate`. Without a baseline the recorded decisions are compared with.
    pub fn new(candidate: &'p CompiledPolicy, baseline: Option<&'p CompiledPolicy>) -> Self {
        let against = if baseline.is_some() { Against::Baseline } else { Against::Recorded };
        Self {
            terms: Terms { against, ..Terms::default() },
            candidate,
            baseline,
            digests: (candidate.digest().to_string(), baseline.map(|b| b.digest().to_string())),
            source: String::new(),
            totals: Counts::default(),
            drift: Drift::default(),
            drifted: Rows::default(),
            changed: Rows::default(),
            unreadable: BTreeMap::new(),
            unreadable_samples: Vec::new(),
            skipped: Skipped::default(),
            window: None,
            flow: BTreeMap::new(),
            missing: BTreeMap::new(),
            hours: Tallies::default(),
            subjects: Tallies::default(),
            agents: Tallies::default(),
            doors: Tallies::default(),
            items: Tallies::default(),
            reasons: Tallies::default(),
            rules: HashMap::default(),
            no_rule: Counts::default(),
            item: String::new(),
            subject: String::new(),
        }
    }

    /// The same under other terms. Whether there is a baseline stays as it is.
    #[must_use]
    pub fn under(self, terms: Terms) -> Self {
        Self { terms, ..self }
    }

    /// Names the source of what is fed from now on.
    pub fn source(&mut self, name: &str) {
        name.clone_into(&mut self.source);
    }

    /// Feeds an event, or what stands in its place.
    pub fn item(&mut self, item: &Result<Numbered, Unreadable>) {
        match item {
            Ok(Numbered { place, event }) => self.event(*place, event),
            Err(unreadable) => self.unreadable(unreadable),
        }
    }

    /// Feeds a record that could not be read.
    pub fn unreadable(&mut self, unreadable: &Unreadable) {
        *self.unreadable.entry(unreadable.code.as_str().to_owned()).or_default() += 1;
        let here = (self.source.as_str(), unreadable.place);
        keep_sample(
            &mut self.unreadable_samples,
            |kept| here < (kept.source.as_str(), kept.place),
            || Sample {
                source: self.source.clone(),
                place: unreadable.place,
                about: format!("{} ({})", unreadable.message, unreadable.code),
                time: None,
                agent: None,
                why: None,
            },
        );
    }

    /// Feeds what an importer left out.
    pub fn imported(&mut self, imported: &Imported) {
        for (rule, count) in &imported.ignored {
            *self.skipped.ignored.entry(rule.clone()).or_default() += count;
        }
        self.skipped.unidentified += imported.unidentified;
        for (function, count) in &imported.unmapped {
            *self.skipped.unmapped.entry(function.clone()).or_default() += count;
        }
    }

    /// Feeds an event.
    pub fn event(&mut self, place: Place, event: &Event) {
        let claims = event.claims();
        self.observe(place, &event.observe(&claims));
    }

    /// Feeds an event that is borrowed from wherever it stands.
    pub fn observe(&mut self, place: Place, seen: &Observed<'_>) {
        let baseline = self.baseline.map(|policy| pdp::judge(policy, &self.terms.before(seen.request)));
        self.observe_against(place, seen, baseline);
    }

    /// Feeds an event of which the baseline's judgement is known.
    pub(super) fn observe_against(&mut self, place: Place, seen: &Observed<'_>, baseline: Option<Verdict<'p>>) {
        // Groups, hours and witnesses are of the event as it was recorded.
        let request = &seen.request;
        let asked = self.terms.clock.request(seen.request);
        let candidate = pdp::judge(self.candidate, &asked);
        let after = Side::Judged(candidate);
        let foreign = seen.foreign.map_or(Side::Nothing, Side::Foreign);
        let recorded = seen.decided.map_or(foreign, Side::Recorded);
        let before = baseline.map_or(recorded, Side::Judged);
        let time = request.context.now;
        let now = Window::at(time);
        self.window = Some(self.window.map_or(now, |w| w.join(now)));
        write_item(&mut self.item, request);
        write_subject(&mut self.subject, &request.subject);
        let (counts, kind) = compare(&before, &after);
        let judged = Judged {
            seen,
            witness: Witness {
                source: &self.source,
                place,
                time,
                subject: &self.subject,
                agent: shown(request.subject.agent),
            },
            item: &self.item,
            before,
            after,
            counts,
            kind,
        };
        let policies = (self.candidate, self.baseline);
        let unmoved = self.terms.clock == Clock::AsRecorded;
        check_drift(&mut self.drift, &mut self.drifted, policies, &self.digests, &judged, unmoved);
        let columns = Columns {
            recorded: Column::of(&recorded),
            baseline: baseline.map(|verdict| Column::of(&Side::Judged(verdict))),
            candidate: Column::of(&after),
        };
        *self.flow.entry(columns).or_default() += 1;
        if let Some(kind) = judged.kind {
            let sides = (&judged.before, &judged.after);
            self.changed.add(kind, &judged, sides, || Why::of(self.candidate, &asked));
        }
        self.totals.add(&judged.counts);
        self.hours.of(&hour(time)).add(&judged.counts);
        self.items.of(judged.item).add(&judged.counts);
        self.doors.of(request.resource.door).add(&judged.counts);
        self.agents.of(judged.witness.agent).add(&judged.counts);
        self.subjects.of(judged.witness.subject).add(&judged.counts);
        match candidate {
            Verdict::Decided(decision) => {
                self.reasons.of(decision.reason.code()).add(&judged.counts);
                let counted = match decision.rule {
                    None => &mut self.no_rule,
                    Some(rule) => {
                        let address = std::ptr::from_ref(rule.position).addr();
                        let entry = self.rules.entry(address);
                        &mut entry.or_insert_with(|| RuleCounts { rule, counts: Counts::default() }).counts
                    }
                };
                counted.add(&judged.counts);
            }
            Verdict::Undecided(missing) => {
                self.reasons.of("undecidable").add(&judged.counts);
                self.no_rule.add(&judged.counts);
                for name in missing_names(&missing) {
                    *self.missing.entry(name).or_default() += 1;
                }
            }
        }
    }

    /// The report.
    pub fn finish(self) -> Report {
        self.part().finish()
    }

    /// What this rehearsal adds to a whole.
    pub fn part(mut self) -> Part {
        let statements = self.statements();
        let mut rules = Tallies::default();
        for RuleCounts { rule, counts } in self.rules.values() {
            rules.of(&RuleName::from(*rule).label()).add(counts);
        }
        if self.no_rule.events > 0 {
            rules.of("(no statement)").add(&self.no_rule);
        }
        self.drift.different = self.drifted.finish();
        Part::new(Report {
            candidate: self.digests.0,
            baseline: self.digests.1,
            terms: self.terms,
            drift: self.drift,
            totals: self.totals,
            unreadable: self.unreadable,
            unreadable_samples: self.unreadable_samples,
            skipped: self.skipped,
            window: self.window,
            flow: self.flow.into_iter().map(|(columns, count)| Flow { columns, count }).collect(),
            changes: self.changed.finish(),
            missing: self.missing,
            hours: self.hours.finish(),
            subjects: self.subjects.finish(),
            agents: self.agents.finish(),
            doors: self.doors.finish(),
            items: self.items.finish(),
            rules: rules.finish(),
            reasons: self.reasons.finish(),
            statements,
            movers: Movers::default(),
            sessions: Sessions::default(),
            rates: Rates::default(),
            ages: Ages::default(),
            arguments: ArgumentLimits::default(),
        })
    }

    /// Every grant and deny of the candidate, in its order, also those that nothing hit.
    fn statements(&self) -> Vec<StatementHits> {
        let (set, positions) = (self.candidate.set(), self.candidate.positions());
        let grants = set.grants.iter().zip(&positions.grants).map(|(s, p)| (RuleKind::Grant, s, p));
        let denies = set.denies.iter().zip(&positions.denies).map(|(s, p)| (RuleKind::Deny, s, p));
        grants
            .chain(denies)
            .map(|(kind, statement, position)| {
                let name = statement.name.as_deref().unwrap_or_default();
                let counts =
                    self.rules.get(&std::ptr::from_ref(position).addr()).map_or(Counts::default(), |r| r.counts);
                let (decided, nearly) = match kind {
                    RuleKind::Grant => (counts.allowed, counts.denied),
                    _ => (counts.denied, 0),
                };
                StatementHits {
                    rule: Rule { kind, name, position }.into(),
                    decided,
                    nearly,
                    applied: 0,
                    applied_denied: 0,
                    usage: Usage::default(),
                }
            })
            .collect()
    }
}

/// Holds the recorded decision against the policy that made it, if that policy is here. Always at
/// the recorded instant: what the engine would say at another is no ground to doubt it. `unmoved`
/// when the comparison is made at that instant too.
fn check_drift(
    drift: &mut Drift,
    drifted: &mut Rows,
    (candidate, baseline): (&CompiledPolicy, Option<&CompiledPolicy>),
    digests: &(String, Option<String>),
    judged: &Judged<'_, '_>,
    unmoved: bool,
) {
    let Some(decided) = judged.seen.decided else {
        match judged.seen.foreign {
            Some(_) => drift.foreign += 1,
            None => drift.undecided += 1,
        }
        return;
    };
    let of_baseline = baseline.filter(|_| digests.1.as_ref() == Some(&decided.digest));
    let (now, policy) = match of_baseline {
        Some(baseline) => (judged.before, baseline),
        None if digests.0 == decided.digest => (judged.after, candidate),
        None => {
            drift.other_policy += 1;
            return;
        }
    };
    let now = if unmoved { now } else { Side::Judged(pdp::judge(policy, &judged.seen.request)) };
    drift.checked += 1;
    let recorded = Side::Recorded(decided);
    if now.effect().is_none() {
        drift.undecidable += 1;
    } else if now.effect() == recorded.effect() && now.reason() == recorded.reason() && now.rule() == recorded.rule() {
        drift.same += 1;
    } else {
        drifted.add(Kind::Drift, judged, (&recorded, &now), || Why::of(policy, &judged.seen.request));
    }
}

/// How one event comes out, and whether that is worth a line.
fn compare(before: &Side<'_>, after: &Side<'_>) -> (Counts, Option<Kind>) {
    let mut counts = Counts { events: 1, ..Counts::default() };
    match after.effect() {
        Some(Effect::Allow) => counts.allowed = 1,
        Some(Effect::Deny) => counts.denied = 1,
        None => counts.undecidable = 1,
    }
    if matches!(before, Side::Nothing) {
        counts.uncompared = 1;
        let kind = match after.effect() {
            Some(Effect::Allow) => None,
            Some(Effect::Deny) => Some(Kind::Denied),
            None => Some(Kind::Undecidable),
        };
        return (counts, kind);
    }
    let kind = match (before.effect(), after.effect()) {
        (Some(Effect::Allow), Some(Effect::Deny)) => {
            counts.newly_denied = 1;
            Some(Kind::NewlyDenied)
        }
        (Some(Effect::Deny), Some(Effect::Allow)) => {
            counts.newly_allowed = 1;
            Some(Kind::NewlyAllowed)
        }
        (Some(effect), Some(_)) => {
            match effect {
                Effect::Allow => counts.still_allowed = 1,
                Effect::Deny => counts.still_denied = 1,
            }
            nuance(before, after, &mut counts)
        }
        (was, is) => {
            counts.unsettled = 1;
            counts.maybe_newly_denied = u64::from(was != Some(Effect::Deny) && is != Some(Effect::Allow));
            counts.maybe_newly_allowed = u64::from(was != Some(Effect::Allow) && is != Some(Effect::Deny));
            Some(Kind::Undecidable)
        }
    };
    (counts, kind)
}

fn nuance(before: &Side<'_>, after: &Side<'_>, counts: &mut Counts) -> Option<Kind> {
    if matches!(before, Side::Foreign(_)) {
        // It has no reason and no statement of ours to differ from.
        return None;
    }
    if before.reason() != after.reason() {
        counts.other_reason = 1;
        return Some(Kind::OtherReason);
    }
    if before.rule() != after.rule() {
        counts.other_rule = 1;
        return Some(Kind::OtherRule);
    }
    // A recording does not keep obligations.
    let differ = before.decision().zip(after.decision()).is_some_and(|(b, a)| b.obligations != a.obligations);
    counts.other_obligations = u64::from(differ);
    differ.then_some(Kind::OtherObligations)
}
