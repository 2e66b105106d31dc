//! The accounts that are kept of events beyond counts, each with its own state and its own part.
//!
//! All of them take an event through [`Judged`], copy of it what they keep, and give the same
//! report for any split of a recording, merged in any order.

use serde::{Deserialize, Serialize};

use super::ages::{AgesPart, Aging};
use super::askers::{Askers, Pair};
use super::following::{Following, SessionsPart};
use super::gauges::{Gauges, GaugesPart};
use super::habits::{Habits, HabitsPart};
use super::judged::Judged;
use super::logged::{LoggedPart, Logging};
use super::movers::MoversPart;
use super::order::{Sources, join};
use super::outcome::Outcome;
use super::rated::{Held, HeldBy, Rated, RatesPart};
use super::rates::MAX_RATED;
use super::reach::{Applied, Reaches};
use super::report::Report;
use super::spans::{Spans, SpansPart};
use super::untouched::{Touching, Untouched};
use crate::model::{Decision, Request, Rule, RuleKind, Verdict};
use crate::pdp::{Covering, Reach, Survey};
use crate::policy::CompiledPolicy;
use crate::traffic::Observed;

/// What the policies have to do with every event of one question.
#[derive(Debug, Default)]
pub(super) struct Covered<'p> {
    held: Held<'p>,
    /// The number of the door under which ages are counted, where anything may be allowed.
    door: Option<u32>,
    /// The rules on its arguments, by their numbers among the gauges.
    gauged: Box<[u32]>,
    /// The grants and denies that apply.
    applied: Box<[(RuleKind, u32)]>,
}

impl Covered<'_> {
    /// What hardly two have in common that are not alike.
    pub(super) fn mark(&self) -> impl std::hash::Hash {
        (&self.gauged, &self.applied)
    }

    /// Whether it is the same, down to what it points at: accounts are kept by place.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let numbers = |one: &Self| (one.door, &one.gauged, &one.applied) == (other.door, &other.gauged, &other.applied);
        self.held.is_like(&other.held) && numbers(self)
    }
}

/// The accounts of one rehearsal.
#[derive(Debug)]
pub(super) struct Accounts<'p> {
    candidate: &'p CompiledPolicy,
    baseline: Option<&'p CompiledPolicy>,
    digest: String,
    sources: Sources,
    sessions: Following,
    rates: Rated,
    ages: Aging,
    movers: MoversPart,
    habits: Habits,
    spans: Spans,
    gauges: Gauges<'p>,
    reaches: Reaches,
    touching: Touching<'p>,
}

impl<'p> Accounts<'p> {
    pub(super) fn new(candidate: &'p CompiledPolicy, baseline: Option<&'p CompiledPolicy>) -> Self {
        Self {
            candidate,
            baseline,
            digest: candidate.digest().to_string(),
            sources: Sources::default(),
            sessions: Following::default(),
            rates: Rated::of(MAX_RATED),
            ages: Aging::default(),
            movers: MoversPart::default(),
            habits: Habits::default(),
            spans: Spans::default(),
            gauges: Gauges::default(),
            reaches: Reaches::of(candidate),
            touching: Touching::of(candidate),
        }
    }

    /// The same, with so many calls under a rate replayed.
    pub(super) fn replaying(self, calls: usize) -> Self {
        Self { rates: Rated::of(calls), ..self }
    }

    /// Names the recording of what comes from now on.
    pub(super) fn source(&mut self, name: &str) {
        self.sources.enter(name);
    }

    /// What the policies have to do with every event of one question.
    pub(super) fn cover(
        &mut self,
        seen: &Observed<'_>,
        asked: &Request<'_>,
        candidate: Verdict<'p>,
        baseline: Option<Verdict<'p>>,
    ) -> Covered<'p> {
        let mut covered = Covered::default();
        let lets = |verdict| !matches!(verdict, Verdict::Decided(decision) if !Decision::is_allow(&decision));
        if let (Some(policy), Some(_)) = (self.baseline, baseline.filter(|verdict| lets(*verdict))) {
            covered.held.before = Survey::of(policy, &seen.request).as_ref().map(HeldBy::of).unwrap_or_default();
        }
        let Some(survey) = Survey::of(self.candidate, asked) else { return covered };
        if lets(candidate) {
            covered.held.now = HeldBy::of(&survey);
        }
        // What this very policy decided was under these very rates.
        if baseline.is_none() && seen.decided.is_some_and(|decided| decided.digest == self.digest) {
            covered.held.before = covered.held.now;
        }
        let denied = matches!(candidate, Verdict::Decided(decision) if !decision.is_allow());
        covered.door = (!denied).then(|| self.ages.door(asked.resource.door));
        let item = survey.item();
        self.touching.touch(item);
        let (gauges, mut gauged) = (&mut self.gauges, Vec::new());
        if !survey.declared().is_empty() {
            gauged.push(gauges.board(item, item.name, survey.declared()));
        }
        let grants = (&self.candidate.set().grants, &self.candidate.positions().grants);
        let (mut came, mut applied) = (Vec::new(), Vec::new());
        survey.statements(&mut |covering: &Covering<'p>| {
            let (kind, number) = (covering.kind, covering.number);
            if covering.reach == Reach::Applies {
                applied.push((kind, number));
            }
            // One that comes twice holds the arguments to its rules once.
            let counts = kind == RuleKind::Grant && covering.reach != Reach::Expired && !came.contains(&number);
            if counts {
                came.push(number);
            }
            let named = grants.0.get(number as usize).zip(grants.1.get(number as usize)).filter(|_| counts);
            if let Some((grant, position)) = named {
                let rule = Rule { kind, name: grant.name.as_deref().unwrap_or_default(), position };
                gauged.extend(covering.rules().map(|rules| gauges.board(rule, item.name, rules)));
            }
        });
        covered.gauged = gauged.into_boxed_slice();
        applied.sort_unstable();
        applied.dedup();
        covered.applied = applied.into_boxed_slice();
        covered
    }

    /// Adds an event.
    pub(super) fn observe(&mut self, judged: &Judged<'_>, pair: Option<Pair>) {
        let covered = &judged.class.covered;
        let spot = self.sources.spot(judged.witness.time, judged.witness.place);
        let age = covered.door.map_or(0, |door| self.ages.add(door, judged));
        self.sessions.add(&self.sources, spot, judged, age);
        if !covered.held.is_free() {
            self.rates.add(&self.sources, spot, judged, &covered.held);
        }
        for board in &covered.gauged {
            self.gauges.add(*board, &judged.context.arguments);
        }
        self.movers.add(judged);
        self.habits.add(&self.sources, spot, judged, pair);
        self.spans.add(judged, pair);
    }

    /// Folds what is known by the numbers of those who ask.
    pub(super) fn settle_pairs(&mut self, askers: &Askers<'_>) {
        self.habits.settle(&self.sources, askers);
        self.spans.settle(askers);
    }

    /// Adds what was only counted, of all events of an outcome.
    pub(super) fn settle(&mut self, outcome: &Outcome<'p>) {
        let class = &*outcome.class;
        for applied in &class.covered.applied {
            self.reaches.add(self.candidate, *applied, class.candidate, outcome.events);
        }
    }

    /// How often a statement applied.
    pub(super) fn applied(&self, kind: RuleKind, number: usize) -> Applied {
        self.reaches.get(kind, number)
    }

    /// What of the candidate nobody asked for.
    pub(super) fn untouched(&self) -> Untouched {
        self.touching.untouched()
    }

    /// What these accounts add to a whole.
    pub(super) fn part(self, logging: Logging) -> AccountsPart {
        let rates = self.rates.part(&self.sources);
        let (sources, numbers) = self.sources.sorted();
        AccountsPart {
            sources,
            sessions: self.sessions.part(&numbers),
            rates: rates.renumbered(&numbers),
            ages: self.ages.part(),
            movers: self.movers,
            habits: self.habits.part(&numbers),
            spans: self.spans.part(),
            gauges: self.gauges.part(),
            logged: logging.part(self.candidate, self.baseline),
        }
    }
}

/// The accounts of a part of a rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct AccountsPart {
    /// The recordings by number.
    sources: Vec<String>,
    sessions: SessionsPart,
    rates: RatesPart,
    ages: AgesPart,
    movers: MoversPart,
    gauges: GaugesPart,
    habits: HabitsPart,
    spans: SpansPart,
    logged: LoggedPart,
}

impl AccountsPart {
    pub(super) fn merge(&mut self, other: Self) {
        let (sources, mine, theirs) = join(&self.sources, &other.sources);
        self.sources = sources;
        self.sessions.merge(other.sessions, (&mine, &theirs));
        self.rates.merge(other.rates, (&mine, &theirs));
        self.ages.merge(other.ages);
        self.movers.merge(other.movers);
        self.gauges.merge(other.gauges);
        self.habits.merge(other.habits, (&mine, &theirs));
        self.spans.merge(other.spans);
        self.logged.merge(other.logged);
    }

    /// Writes what the accounts come to into a report.
    pub(super) fn finish(self, report: &mut Report) {
        report.rates = self.rates.finish(&self.sources);
        report.ages = self.ages.finish(self.sessions.older(), self.sessions.renewals());
        report.sessions = self.sessions.finish(&self.sources);
        report.unusual = self.habits.finish(&self.sources, report.window);
        report.movers = self.movers.finish();
        report.arguments = self.gauges.finish();
        report.storage = self.logged.finish(report);
        self.spans.finish(report);
    }
}
