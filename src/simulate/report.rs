//! What a rehearsal found, as plain data that parts of it merge into.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::NotOneWhole;
use super::ages::Ages;
use super::answer::{Answer, RuleName, Side};
use super::arguments::ArgumentLimits;
use super::bounded::{MAX_EXPLAINED, MAX_KEYS, MAX_SAMPLES, trim_map};
use super::counts::{Counts, Range};
use super::movers::Movers;
use super::rates::Rates;
use super::sessions::Sessions;
use super::storage::Storage;
use super::terms::Terms;
use super::untouched::Untouched;
use super::unusual::Unusual;
use super::why::Why;
use crate::model::{Effect, Timestamp};
use crate::traffic::Place;

/// What a rehearsal found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The digest of the candidate.
    pub candidate: String,
    /// The digest of the baseline.
    pub baseline: Option<String>,
    /// What was asked.
    pub terms: Terms,
    /// Whether the recorded decisions are reproduced by the policy that made them.
    pub drift: Drift,
    /// All events together.
    pub totals: Counts,
    /// Records that could not be read, by code.
    pub unreadable: BTreeMap<String, u64>,
    /// The first of them.
    pub unreadable_samples: Vec<Sample>,
    /// What importers left out or could not attribute.
    pub skipped: Skipped,
    /// The first and the last instant.
    pub window: Option<Window>,
    /// How many events took which way through the three columns, in their order.
    pub flow: Vec<Flow>,
    /// What comes out differently, or may; of events without anything to compare with, what is denied.
    pub changes: Changes,
    /// Events that lacked a fact, by fact.
    pub missing: BTreeMap<String, u64>,
    /// By the hour in which they were made, as `2026-03-02T13Z`.
    pub hours: Groups,
    /// By subject.
    pub subjects: Groups,
    /// By agent.
    pub agents: Groups,
    /// By role: an event counts for each of the groups that its subject is in, so that these can add up to more than all.
    pub roles: Groups,
    /// By tenant: the values of the mapped claim `tenant`, or else the issuer, as `issuer corp`.
    pub tenants: Groups,
    /// By door.
    pub doors: Groups,
    /// By tool, prompt or resource.
    pub items: Groups,
    /// By the candidate's statement that decided.
    pub rules: Groups,
    /// By the candidate's reason.
    pub reasons: Groups,
    /// Each grant and deny of the candidate with how often it decided.
    pub statements: Vec<StatementHits>,
    /// What of the candidate the traffic did not ask for.
    pub untouched: Untouched,
    /// Who loses and who gains.
    pub movers: Movers,
    /// Which sessions break, and where.
    pub sessions: Sessions,
    /// What is over a rate.
    pub rates: Rates,
    /// What a shorter life of tokens would cost.
    pub ages: Ages,
    /// What calls send for each argument that a rule limits.
    pub arguments: ArgumentLimits,
    /// What the audit log takes.
    pub storage: Storage,
    /// Allowed calls that are unusual.
    pub unusual: Unusual,
}

/// Recorded decisions against the policy that made them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Events decided by the baseline or the candidate, by digest.
    pub checked: u64,
    /// Of these, those that come out as recorded.
    pub same: u64,
    /// Of these, those that cannot be decided from what was recorded.
    pub undecidable: u64,
    /// Events decided by a policy that is neither.
    pub other_policy: u64,
    /// Events decided by another system, which no policy here can reproduce.
    #[serde(default)]
    pub foreign: u64,
    /// Events without a recorded decision.
    pub undecided: u64,
    /// Those that come out otherwise.
    pub different: Changes,
}

impl Drift {
    /// How many events could be checked.
    pub const fn decidable(&self) -> u64 {
        self.checked.saturating_sub(self.undecidable)
    }

    /// How many events do not come out as recorded.
    pub const fn different_total(&self) -> u64 {
        self.decidable().saturating_sub(self.same)
    }
}

/// What importers left out or could not attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Skipped {
    /// Records that a mapping or a field map leaves out, by the name of its rule.
    pub ignored: BTreeMap<String, u64>,
    /// Calls of which no mapping says anything, by function.
    pub unmapped: BTreeMap<String, u64>,
    /// Events, counted as such, to which no identity rule applied.
    pub unidentified: u64,
}

/// A span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The first instant.
    pub first: Timestamp,
    /// The last instant.
    pub last: Timestamp,
}

impl Window {
    /// The instant as a window.
    pub(super) const fn at(time: Timestamp) -> Self {
        Self { first: time, last: time }
    }

    /// The window around both.
    pub(super) fn join(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

/// How many events took one way through the three columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Flow {
    /// The way.
    pub columns: Columns,
    /// How many.
    pub count: u64,
}

/// What the recording, the baseline and the candidate say of one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// As recorded.
    pub recorded: Column,
    /// The baseline now, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Column>,
    /// The candidate now.
    pub candidate: Column,
}

/// One of the three columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    /// Allowed.
    Allow,
    /// Denied.
    Deny,
    /// Not decidable from what was recorded.
    Undecidable,
    /// No decision was recorded.
    None,
}

impl Column {
    pub(super) fn of(side: &Side<'_>) -> Self {
        match (side, side.effect()) {
            (_, Some(Effect::Allow)) => Self::Allow,
            (_, Some(Effect::Deny)) => Self::Deny,
            (Side::Nothing, None) => Self::None,
            (_, None) => Self::Undecidable,
        }
    }
}

/// Counts by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// By name, at most [`MAX_KEYS`].
    pub list: Vec<Group>,
    /// Those over the limit, together.
    pub others: Counts,
}

/// The counts of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The counts.
    pub counts: Counts,
    /// When it was seen; of a subject, an agent, a door, an item, a role and a tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Presence>,
}

/// When something was seen, and in how many ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// First and last.
    pub window: Window,
    /// How many different pairs of a subject and an item. Exact up to 100.
    pub tuples: Range,
}

/// Changes, at most [`MAX_KEYS`] different ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Changes {
    /// In the order of what they are.
    pub list: Vec<Change>,
    /// Events over the limit.
    pub others: u64,
}

/// Events that come out differently in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// In what way.
    pub kind: Kind,
    /// The tool, prompt or resource, as `door:item`.
    pub item: String,
    /// What was answered before: by the baseline, or in the recording.
    pub before: Answer,
    /// What the candidate answers.
    pub after: Answer,
    /// How many events.
    pub count: u64,
    /// When.
    pub window: Window,
    /// The first of them, in the order of their places.
    pub samples: Vec<Sample>,
}

/// The ways in which an event comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Not as recorded, by the policy that was recorded.
    Drift,
    /// Allowed before and denied now.
    NewlyDenied,
    /// Denied before and allowed now.
    NewlyAllowed,
    /// Not decidable on one side or both.
    Undecidable,
    /// Denied before and now, for another reason.
    OtherReason,
    /// The same answer by another statement.
    OtherRule,
    /// The same answer with other obligations.
    OtherObligations,
    /// Denied, with nothing to compare with.
    Denied,
}

/// One event as a witness.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// The recording.
    pub source: String,
    /// The place in it.
    pub place: Place,
    /// The subject; of what could not be read, the message.
    pub about: String,
    /// When it was judged; none of what could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Timestamp>,
    /// The client that acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Why it came out as it did now; kept for the first [`MAX_EXPLAINED`] changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Box<Why>>,
}

/// What one statement did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct StatementHits {
    /// The statement.
    pub rule: RuleName,
    /// How many events it decided: a grant by allowing them, a deny by denying them.
    pub decided: u64,
    /// A grant that would have allowed but for its argument rules or its end date.
    pub nearly: u64,
    /// Events in which it applied, whatever decided them.
    pub applied: u64,
    /// Of these, those that were denied by something else than this statement.
    pub applied_denied: u64,
    /// Of these, those that cannot be decided.
    pub applied_undecidable: u64,
    /// What that comes to.
    pub usage: Usage,
}

/// What a statement is good for in the traffic of a rehearsal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// It decided requests.
    Decides,
    /// It applied, and each time another statement decided: for a grant one that also allows, for
    /// a deny one that also denies.
    Shadowed,
    /// A grant that applied only to requests that were denied for another reason.
    OnlyDenied,
    /// It applied only to requests that cannot be decided.
    OnlyUndecidable,
    /// It applied to nothing.
    #[default]
    Never,
}

/// What tells one change from another.
pub(super) type Key = (Kind, String, Answer, Answer);
/// How many, when, and which first.
pub(super) type Row = (u64, Window, Vec<Sample>);

impl Changes {
    pub(super) fn of(map: BTreeMap<Key, Row>, others: u64) -> Self {
        let list = map.into_iter().map(|((kind, item, before, after), (count, window, samples))| Change {
            kind,
            item,
            before,
            after,
            count,
            window,
            samples,
        });
        let mut list: Vec<Change> = list.collect();
        // The first of a whole are among the first of each part, so that no split changes which say why.
        for sample in list.iter_mut().skip(MAX_EXPLAINED).flat_map(|change| &mut change.samples) {
            sample.why = None;
        }
        Self { list, others }
    }

    fn merge(&mut self, other: Self) {
        let mut map: BTreeMap<Key, Row> = BTreeMap::new();
        let mut others = self.others.saturating_add(other.others);
        let full = [&*self, &other].into_iter().filter(|c| c.others > 0).filter_map(|c| c.list.last());
        let highest = full.map(Change::key).min();
        for change in std::mem::take(&mut self.list).into_iter().chain(other.list) {
            let key = change.key();
            if highest.as_ref().is_some_and(|highest| key > *highest) {
                others = others.saturating_add(change.count);
                continue;
            }
            let row = map.entry(key).or_insert((0, change.window, Vec::new()));
            row.0 = row.0.saturating_add(change.count);
            row.1 = row.1.join(change.window);
            merge_samples(&mut row.2, change.samples);
        }
        others = trim_map(&mut map, MAX_KEYS).fold(others, |sum, row| sum.saturating_add(row.0));
        *self = Self::of(map, others);
    }
}

impl Change {
    fn key(&self) -> Key {
        (self.kind, self.item.clone(), self.before.clone(), self.after.clone())
    }
}

fn merge_samples(into: &mut Vec<Sample>, more: Vec<Sample>) {
    into.extend(more);
    into.sort();
    into.truncate(MAX_SAMPLES);
}

fn merge_numbers(into: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (name, count) in more {
        let sum = into.entry(name).or_default();
        *sum = sum.saturating_add(count);
    }
}

impl Report {
    /// The time from the first event to the last, in seconds.
    pub fn seconds(&self) -> u64 {
        self.window.map_or(0, |window| u64::try_from(window.last.since(window.first)).unwrap_or(0))
    }

    /// Adds up what adds up. A [`Part`](super::Part) knows the rest.
    pub(super) fn merge(&mut self, other: Self) -> Result<(), NotOneWhole> {
        let rules = |r: &Self| r.statements.iter().map(|s| s.rule.clone()).collect::<Vec<_>>();
        let asked = |r: &Self| (r.candidate.clone(), r.baseline.clone(), r.terms.clone());
        if asked(self) != asked(&other) || rules(self) != rules(&other) {
            return Err(NotOneWhole);
        }
        let add = |a: &mut u64, b: u64| *a = a.saturating_add(b);
        add(&mut self.drift.checked, other.drift.checked);
        add(&mut self.drift.same, other.drift.same);
        add(&mut self.drift.undecidable, other.drift.undecidable);
        add(&mut self.drift.other_policy, other.drift.other_policy);
        add(&mut self.drift.foreign, other.drift.foreign);
        add(&mut self.drift.undecided, other.drift.undecided);
        self.drift.different.merge(other.drift.different);
        self.totals.add(&other.totals);
        merge_numbers(&mut self.unreadable, other.unreadable);
        merge_samples(&mut self.unreadable_samples, other.unreadable_samples);
        merge_numbers(&mut self.skipped.ignored, other.skipped.ignored);
        add(&mut self.skipped.unidentified, other.skipped.unidentified);
        merge_numbers(&mut self.skipped.unmapped, other.skipped.unmapped);
        self.window = match (self.window, other.window) {
            (Some(a), Some(b)) => Some(a.join(b)),
            (a, b) => a.or(b),
        };
        let mut flow: BTreeMap<Columns, u64> = BTreeMap::new();
        for Flow { columns, count } in std::mem::take(&mut self.flow).into_iter().chain(other.flow) {
            add(flow.entry(columns).or_default(), count);
        }
        self.flow = flow.into_iter().map(|(columns, count)| Flow { columns, count }).collect();
        self.changes.merge(other.changes);
        merge_numbers(&mut self.missing, other.missing);
        self.hours.merge(other.hours);
        self.subjects.merge(other.subjects);
        self.agents.merge(other.agents);
        self.roles.merge(other.roles);
        self.tenants.merge(other.tenants);
        self.doors.merge(other.doors);
        self.items.merge(other.items);
        self.rules.merge(other.rules);
        self.reasons.merge(other.reasons);
        for (mine, theirs) in self.statements.iter_mut().zip(other.statements) {
            add(&mut mine.decided, theirs.decided);
            add(&mut mine.nearly, theirs.nearly);
            add(&mut mine.applied, theirs.applied);
            add(&mut mine.applied_denied, theirs.applied_denied);
            add(&mut mine.applied_undecidable, theirs.applied_undecidable);
            mine.usage = mine.find_usage();
        }
        self.untouched.merge(other.untouched);
        Ok(())
    }

    /// How many records could not be read.
    pub fn unreadable_total(&self) -> u64 {
        self.unreadable.values().fold(0, |sum, count| sum.saturating_add(*count))
    }
}
