//! The fold over events. Holds counts and a few samples, never the events.

mod recall;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{Rule, RuleKind, Verdict};
use crate::pdp;
use crate::policy::CompiledPolicy;
use crate::simulate::accounts::Accounts;
use crate::simulate::ages::Ages;
use crate::simulate::answer::Side;
use crate::simulate::arguments::ArgumentLimits;
use crate::simulate::askers::{Askers, Who};
use crate::simulate::bounded::keep_sample;
use crate::simulate::classes::{Class, Classes};
use crate::simulate::judged::{Judged, Witness};
use crate::simulate::logged::{Write, Writes};
use crate::simulate::memo::{Memo, REMEMBERED};
use crate::simulate::movers::Movers;
use crate::simulate::outcome::{Counted, Drifted, Names, Outcome, recorded};
use crate::simulate::part::Part;
use crate::simulate::question::Questions;
use crate::simulate::rates::Rates;
use crate::simulate::report::{Flow, Kind, Report, Sample, Skipped, StatementHits, Usage, Window};
use crate::simulate::rows::Rows;
use crate::simulate::sessions::Sessions;
use crate::simulate::storage::Storage;
use crate::simulate::tables::{Hours, Tables};
use crate::simulate::terms::{Against, Clock, Terms};
use crate::simulate::unusual::Unusual;
use crate::simulate::why::Why;
use crate::traffic::{Batch, Event, Imported, Lines, Numbered, Observed, Place, Unreadable};
use recall::{Alike, Found};

/// A rehearsal that events are fed to.
#[derive(Debug)]
pub struct Rehearsal<'p> {
    candidate: &'p CompiledPolicy,
    baseline: Option<&'p CompiledPolicy>,
    digests: (String, Option<String>),
    terms: Terms,
    source: String,
    questions: Questions<'p>,
    askers: Askers<'p>,
    memo: Memo<'p>,
    alike: Alike,
    classes: Classes<'p>,
    names: Names,
    tables: Tables<'p>,
    hours: Hours<'p>,
    drifted: Rows,
    changed: Rows,
    unreadable: BTreeMap<String, u64>,
    unreadable_samples: Vec<Sample>,
    skipped: Skipped,
    window: Option<Window>,
    accounts: Accounts<'p>,
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
            questions: Questions::new(candidate, baseline),
            askers: Askers::of(std::iter::once(candidate).chain(baseline).collect()),
            memo: Memo::new(REMEMBERED),
            alike: Alike::default(),
            classes: Classes::default(),
            names: Names::default(),
            tables: Tables::default(),
            hours: Hours::default(),
            drifted: Rows::default(),
            changed: Rows::default(),
            unreadable: BTreeMap::new(),
            unreadable_samples: Vec::new(),
            skipped: Skipped::default(),
            window: None,
            accounts: Accounts::new(candidate, baseline),
        }
    }

    /// The same, remembering the answers to so many different questions; with 0 every event is judged.
    /// The report does not depend on it.
    #[must_use]
    pub fn remembering(self, questions: usize) -> Self {
        Self { memo: Memo::new(questions), ..self }
    }

    /// The same, with so many calls under a rate replayed instead of [`MAX_RATED`](super::MAX_RATED). To
    /// be said before the first event.
    #[must_use]
    pub fn replaying(self, calls: usize) -> Self {
        Self { accounts: self.accounts.replaying(calls), ..self }
    }

    /// The same under other terms. Whether there is a baseline stays as it is.
    #[must_use]
    pub fn under(self, terms: Terms) -> Self {
        Self { terms, ..self }
    }

    /// Names the source of what is fed from now on.
    pub fn source(&mut self, name: &str) {
        if name != self.source {
            // What a row keeps no more samples of was told within one source.
            self.settle();
            name.clone_into(&mut self.source);
            self.accounts.source(name);
        }
    }

    /// Feeds lines of a recording.
    pub fn batch(&mut self, lines: &mut Lines<'_>, batch: &Batch) {
        for (number, item) in batch.items() {
            match item.and_then(|(bytes, ended)| lines.read(bytes, number, ended)) {
                Ok(line) if self.recall(number.into(), &line.glance()) => {}
                Ok(line) => {
                    let claims = line.claims();
                    self.observe(number.into(), &line.observe(&claims));
                }
                Err(unreadable) => self.unreadable(&unreadable),
            }
        }
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
        let (baseline, asked) = (self.baseline, self.terms.before(seen.request));
        self.observe_against(place, seen, || baseline.map(|policy| pdp::judge(policy, &asked)));
    }

    /// Feeds an event. The baseline is asked only when its judgement is not remembered.
    pub(super) fn observe_against(
        &mut self,
        place: Place,
        seen: &Observed<'_>,
        baseline: impl FnOnce() -> Option<Verdict<'p>>,
    ) {
        // Groups, hours and witnesses are of the event as it was recorded.
        let time = seen.request.context.now;
        let now = Window::at(time);
        self.window = Some(self.window.map_or(now, |w| w.join(now)));
        if self.memo.is_on() && self.is_full() {
            self.settle();
        }
        let moved = (self.terms.clock != Clock::AsRecorded).then(|| self.terms.clock.context(seen.request.context));
        let context = moved.as_ref().unwrap_or(&seen.request.context);
        let (mut asker, mut question) = (None, None);
        if let Some(numbers) = seen.numbers.as_ref().filter(|_| self.memo.is_on()) {
            if self.questions.enter(numbers) {
                self.settle();
                self.askers.clear();
                self.names.clear();
            }
            let found = self.askers.find(&seen.request, numbers);
            question = self.questions.of(seen, numbers, found, context);
            asker = Some(found.pair);
        }
        let remembered = question.and_then(|question| self.memo.find(&question));
        let (mut once, mut at) = (None, remembered);
        let outcome = match remembered.and_then(|at| self.memo.at(at)) {
            Some(outcome) => outcome,
            None => {
                let outcome = self.judge(seen, baseline(), question.is_some());
                match question {
                    None => once.insert(outcome),
                    Some(question) => {
                        let place = self.memo.insert(question, outcome);
                        at = Some(place);
                        let Some(outcome) = self.memo.at(place) else { return };
                        outcome
                    }
                }
            }
        };
        let (recorded, class) = (recorded(seen), &*outcome.class);
        let stranger;
        let who = match asker.and_then(|pair| self.askers.who(pair.who)) {
            Some(who) => who,
            None => {
                stranger = Who::of(&seen.request);
                self.tables.asked(&stranger, &class.counts);
                &stranger
            }
        };
        let witness = Witness { source: &self.source, place, time, who };
        let judged = Judged { context: &seen.request.context, session: seen.session, witness, class };
        self.hours.add(time, class.way);
        self.accounts.observe(&judged, asker);
        let counted = &mut outcome.counted;
        if let Drifted::Different(policy, now) = &class.drift
            && !Counted::takes(counted, |counted| &mut counted.difference, place, time)
        {
            let sides = (&recorded, &Side::Judged(now));
            let why = || Why::of(policy, &seen.request);
            let behind = self.drifted.add(Kind::Drift, &judged, sides, why);
            Counted::behind(counted, |counted| &mut counted.difference, behind, seen);
        }
        if let Some(kind) = class.kind
            && !Counted::takes(counted, |counted| &mut counted.change, place, time)
        {
            let sides = (&class.before(recorded), &judged.after());
            let why = || Why::of(self.candidate, &self.terms.after(seen.request));
            let behind = self.changed.add(kind, &judged, sides, why);
            Counted::behind(counted, |counted| &mut counted.change, behind, seen);
        }
        if let Some(pair) = asker {
            self.askers.count(pair.who, class.way);
        }
        if let (Some(numbers), Some(question), Some(asker), Some(at)) = (&seen.numbers, question, asker, at) {
            self.alike.insert(numbers.of(), Found { asker, question, at });
        }
        outcome.events += 1;
        if let Some(outcome) = once {
            self.fold(&outcome);
        }
    }

    /// Whether what is remembered should be folded before anything is added; always, where nothing is remembered.
    fn is_full(&self) -> bool {
        self.memo.is_full() || self.classes.is_full() || self.askers.is_full()
    }

    /// Asks the candidate. What is remembered shares what it has in common.
    fn judge(&mut self, seen: &Observed<'_>, baseline: Option<Verdict<'p>>, remembered: bool) -> Outcome<'p> {
        let (asked, numbers) = (self.terms.after(seen.request), seen.numbers.as_ref().filter(|_| remembered));
        let candidate = pdp::judge(self.candidate, &asked);
        let covered = self.accounts.cover(seen, &asked, candidate, baseline);
        let drift = self.drift(seen, candidate, baseline);
        let item = self.names.item(&seen.request, numbers);
        let mut class = Class::new(item, candidate, baseline, seen, drift, covered);
        let before = self.baseline.zip(baseline);
        let writes = Writes {
            before: before.and_then(|(policy, said)| Write::of(policy, &self.terms.before(seen.request), &said)),
            now: Write::of(self.candidate, &asked, &candidate),
        };
        class.way = self.hours.way(&class.counts, writes);
        let class = if remembered { self.classes.share(class) } else { Arc::new(class) };
        Outcome::new(class)
    }

    /// Holds the recorded decision against the policy that made it, if that policy is here. Always at
    /// the recorded instant: what the engine would say at another is no ground to doubt it.
    fn drift(&self, seen: &Observed<'_>, candidate: Verdict<'p>, baseline: Option<Verdict<'p>>) -> Drifted<'p> {
        let Some(decided) = seen.decided else {
            return if seen.foreign.is_some() { Drifted::Foreign } else { Drifted::Undecided };
        };
        let of_baseline = self.baseline.filter(|_| self.digests.1.as_ref() == Some(&decided.digest));
        let (now, policy) = match of_baseline {
            Some(policy) => (baseline, policy),
            None if self.digests.0 == decided.digest => (Some(candidate), self.candidate),
            None => return Drifted::OtherPolicy,
        };
        let unmoved = self.terms.clock == Clock::AsRecorded;
        let now = now.filter(|_| unmoved).unwrap_or_else(|| pdp::judge(policy, &seen.request));
        Drifted::of(decided, policy, now)
    }

    /// Folds what is remembered into the tables.
    fn settle(&mut self) {
        self.classes.clear();
        self.alike.clear();
        self.questions.forget();
        let (tables, hours) = (&mut self.tables, &self.hours);
        self.askers.settle(|who, way, events| tables.asked(who, &hours.counts(way).times(events)));
        self.askers.forget();
        self.accounts.settle_pairs(&self.askers);
        let mut remembered = self.memo.take();
        for (_, outcome) in remembered.drain(..) {
            self.fold(&outcome);
        }
        self.memo.reuse(remembered);
    }

    /// Folds what was only counted of an outcome.
    fn fold(&mut self, outcome: &Outcome<'p>) {
        self.tables.add(outcome, outcome.events);
        self.accounts.settle(outcome);
        let Some(counted) = &outcome.counted else { return };
        let (class, recorded) = (&*outcome.class, counted.recorded());
        if let (Drifted::Different(_, now), Some(window)) = (&class.drift, counted.difference.window) {
            let sides = (&recorded, &Side::Judged(now));
            self.drifted.late(Kind::Drift, &class.item, sides, counted.difference.count, window);
        }
        if let (Some(kind), Some(window)) = (class.kind, counted.change.window) {
            let sides = (&class.before(recorded), &Side::Judged(&class.candidate));
            self.changed.late(kind, &class.item, sides, counted.change.count, window);
        }
    }

    /// The report.
    pub fn finish(self) -> Report {
        self.part().finish()
    }

    /// What this rehearsal adds to a whole.
    pub fn part(mut self) -> Part {
        self.settle();
        let statements = self.statements();
        let rules = self.tables.rules();
        let tables = self.tables;
        let mut drift = tables.drift;
        drift.different = self.drifted.finish();
        let (hours, logged) = self.hours.finish();
        let report = Report {
            candidate: self.digests.0,
            baseline: self.digests.1,
            terms: self.terms,
            drift,
            totals: tables.totals,
            unreadable: self.unreadable,
            unreadable_samples: self.unreadable_samples,
            skipped: self.skipped,
            window: self.window,
            flow: tables.flow.into_iter().map(|(columns, count)| Flow { columns, count }).collect(),
            changes: self.changed.finish(),
            missing: tables.missing,
            hours: hours.finish(),
            subjects: tables.subjects.finish(),
            agents: tables.agents.finish(),
            roles: tables.roles.finish(),
            tenants: tables.tenants.finish(),
            doors: tables.doors.finish(),
            items: tables.items.finish(),
            rules: rules.finish(),
            reasons: tables.reasons.finish(),
            statements,
            untouched: self.accounts.untouched(),
            movers: Movers::default(),
            sessions: Sessions::default(),
            rates: Rates::default(),
            ages: Ages::default(),
            arguments: ArgumentLimits::default(),
            storage: Storage::default(),
            unusual: Unusual::default(),
        };
        Part::new(report, self.accounts.part(logged))
    }

    /// Every grant and deny of the candidate, in its order, also those that nothing hit.
    fn statements(&self) -> Vec<StatementHits> {
        let (set, positions) = (self.candidate.set(), self.candidate.positions());
        let grants = set.grants.iter().zip(&positions.grants).map(|(s, p)| (RuleKind::Grant, s, p));
        let denies = set.denies.iter().zip(&positions.denies).map(|(s, p)| (RuleKind::Deny, s, p));
        grants
            .enumerate()
            .chain(denies.enumerate())
            .map(|(number, (kind, statement, position))| {
                let name = statement.name.as_deref().unwrap_or_default();
                let counts = self.tables.rule(Rule { kind, name, position });
                let (decided, nearly) = match kind {
                    RuleKind::Grant => (counts.allowed, counts.denied),
                    _ => (counts.denied, 0),
                };
                let applied = self.accounts.applied(kind, number);
                let mut hits = StatementHits {
                    rule: Rule { kind, name, position }.into(),
                    decided,
                    nearly,
                    applied: applied.events,
                    applied_denied: applied.denied,
                    applied_undecidable: applied.undecidable,
                    usage: Usage::default(),
                };
                hits.usage = hits.find_usage();
                hits
            })
            .collect()
    }
}
