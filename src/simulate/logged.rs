//! The rows of the audit log that requests write, by audit class and hour, while events come.
//!
//! It takes kinds of events with how many they stand for, never events.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::bounded::MAX_KEYS;
use super::counts::Range;
use super::few::{Few, Filling, Tally};
use super::labels::hour;
use super::report::Report;
use super::storage::{ClassStorage, Kept, ROW_BYTES, Storage, Volume};
use crate::model::{Request, Timestamp, Verdict};
use crate::pdp::Survey;
use crate::policy::CompiledPolicy;

/// What one event writes under the baseline and under the candidate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Writes<'p> {
    pub(super) before: Option<Write<'p>>,
    pub(super) now: Option<Write<'p>>,
}

/// What one event writes: its audit class, and what it counts as there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Write<'p> {
    class: &'p str,
    rows: Rows,
}

impl<'p> Write<'p> {
    /// What a request writes that comes out so; nothing at a door that is not declared.
    pub(super) fn of(policy: &'p CompiledPolicy, request: &Request<'_>, verdict: &Verdict<'p>) -> Option<Self> {
        let mut rows = Rows::default();
        let obligations = match verdict {
            Verdict::Decided(decision) => {
                *(if decision.is_allow() { &mut rows.allowed } else { &mut rows.denied }) = 1;
                decision.obligations
            }
            Verdict::Undecided(_) => {
                rows.either = 1;
                Survey::of(policy, request).map(|survey| survey.obligations())
            }
        };
        // What is declared nowhere is in the class of its server.
        let of_server = || policy.set().servers.get(request.resource.door).map(|server| server.audit.as_str());
        let class = obligations.map(|obligations| obligations.audit).or_else(of_server)?;
        Some(Self { class, rows })
    }
}

/// Requests by the rows that they write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Rows {
    /// An intent and an outcome.
    allowed: u64,
    /// A denial.
    denied: u64,
    /// The one or the other.
    either: u64,
}

impl Rows {
    fn add(&mut self, other: Self, times: u64) {
        let add = |sum: &mut u64, count: u64| *sum = sum.saturating_add(count.saturating_mul(times));
        add(&mut self.allowed, other.allowed);
        add(&mut self.denied, other.denied);
        add(&mut self.either, other.either);
    }

    const fn less(self, other: Self) -> Self {
        Self {
            allowed: self.allowed.saturating_sub(other.allowed),
            denied: self.denied.saturating_sub(other.denied),
            either: self.either.saturating_sub(other.either),
        }
    }

    const fn requests(self) -> u64 {
        self.allowed.saturating_add(self.denied).saturating_add(self.either)
    }

    fn volume(self) -> Volume {
        let Self { allowed, denied, either } = self;
        let (both, denial) = (ROW_BYTES.intent + ROW_BYTES.outcome, ROW_BYTES.denial);
        let sum = |of_allowed: u64, of_denied: u64, of_either: u64| {
            let all = [(allowed, of_allowed), (denied, of_denied), (either, of_either)];
            all.into_iter().fold(0_u64, |sum, (count, each)| sum.saturating_add(count.saturating_mul(each)))
        };
        let bytes = |of_either| sum(both, denial, of_either);
        Volume {
            rows: Range { at_least: sum(2, 1, 1), at_most: sum(2, 1, 2) },
            bytes: Range { at_least: bytes(both.min(denial)), at_most: bytes(both.max(denial)) },
        }
    }
}

/// Rows by audit class, under each of the two policies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Classes {
    before: BTreeMap<String, Rows>,
    now: BTreeMap<String, Rows>,
}

impl Classes {
    fn add(&mut self, writes: Writes<'_>, events: u64) {
        let sides = [(&mut self.before, writes.before), (&mut self.now, writes.now)];
        for (map, Write { class, rows }) in sides.into_iter().filter_map(|(map, write)| Some((map, write?))) {
            match map.get_mut(class) {
                Some(sum) => sum.add(rows, events),
                None => map.entry(class.to_owned()).or_default().add(rows, events),
            }
        }
    }
}

impl Tally for Classes {
    fn events(&self) -> u64 {
        self.before.values().chain(self.now.values()).fold(0, |sum, rows| sum.saturating_add(rows.requests()))
    }

    fn join(&mut self, other: Self) {
        for (mine, theirs) in [(&mut self.before, other.before), (&mut self.now, other.now)] {
            for (class, rows) in theirs {
                mine.entry(class).or_default().add(rows, 1);
            }
        }
    }
}

/// The rows so far.
#[derive(Debug, Default)]
pub(super) struct Logging {
    all: Classes,
    hours: Filling<Classes, MAX_KEYS>,
}

impl Logging {
    /// Adds so many events of one hour that write the same.
    pub(super) fn add(&mut self, hour: &str, writes: Writes<'_>, events: u64) {
        if events == 0 || writes == Writes::default() {
            return;
        }
        self.all.add(writes, events);
        if let Some(classes) = self.hours.of(hour) {
            classes.add(writes, events);
        }
    }

    pub(super) fn part(self, candidate: &CompiledPolicy, baseline: Option<&CompiledPolicy>) -> LoggedPart {
        LoggedPart { all: self.all, hours: self.hours.finish(), before: baseline.map(keeping), now: keeping(candidate) }
    }
}

/// How long a policy keeps an audit class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct Keeping {
    seconds: u64,
    /// Whether a hold keeps all of it, and whether one may keep some of it.
    held: bool,
    perhaps_held: bool,
}

fn keeping(policy: &CompiledPolicy) -> BTreeMap<String, Keeping> {
    let audit = &policy.set().audit;
    let perhaps_held = audit.holds.values().any(|hold| !hold.subjects.is_empty());
    let of = |(class, seconds): (&String, &u64)| {
        let held = audit.holds.values().any(|hold| hold.classes.contains(class));
        (class.clone(), Keeping { seconds: *seconds, held, perhaps_held })
    };
    audit.retention.iter().map(of).collect()
}

impl Keeping {
    /// The name of the first hour whose rows stay at that instant, by the retention alone.
    fn first(self, now: Timestamp) -> Option<String> {
        let seconds = i64::try_from(self.seconds).ok()?;
        Some(hour(Timestamp(now.0.checked_sub(seconds)?).month()?))
    }
}

/// The rows of a part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(super) struct LoggedPart {
    all: Classes,
    hours: Few<Classes, MAX_KEYS>,
    before: Option<BTreeMap<String, Keeping>>,
    now: BTreeMap<String, Keeping>,
}

impl LoggedPart {
    pub(super) fn merge(&mut self, other: Self) {
        self.all.join(other.all);
        self.hours.join(other.hours);
    }

    pub(super) fn finish(self, report: &Report) -> Storage {
        let last = report.window.map(|window| window.last);
        let seconds = report.seconds();
        let (hours, _) = self.hours.into_parts();
        let names: BTreeSet<&String> = self.before.iter().flat_map(BTreeMap::keys).chain(self.now.keys()).collect();
        let compared = self.before.is_some();
        let classes = names.into_iter().map(|class| {
            let (before, now) = (self.before.as_ref().and_then(|map| map.get(class)), self.now.get(class));
            let side = |is_before: bool| {
                let of = |classes: &Classes| {
                    let map = if is_before { &classes.before } else { &classes.now };
                    map.get(class).copied().unwrap_or_default()
                };
                Aged { all: of(&self.all), hours: hours.iter().map(|(hour, all)| (hour.as_str(), of(all))).collect() }
            };
            let first = |keeping: Option<&Keeping>| keeping.filter(|keeping| !keeping.held)?.first(last?);
            let kept = |keeping: Option<&Keeping>, rows: &Aged<'_>| {
                let keeping = *keeping?;
                let written = rows.all.volume();
                let steady = written.steady(keeping.seconds, seconds).filter(|_| !keeping.held);
                let removed = rows.removed(None, first(Some(&keeping)).as_deref(), keeping.perhaps_held);
                Some(Kept { retention: keeping.seconds, held: keeping.held, written, kept: rows.left(removed), steady })
            };
            let (rows_before, rows_now) = (side(true), side(false));
            let there = if compared { &rows_before } else { &rows_now };
            let perhaps_held = now.is_some_and(|keeping| keeping.perhaps_held);
            let removed = there.removed(first(before).as_deref(), first(now).as_deref(), perhaps_held);
            ClassStorage {
                class: class.clone(),
                before: kept(before, &rows_before),
                now: kept(now, &rows_now),
                removed: Volume {
                    rows: Range {
                        at_least: removed.0.volume().rows.at_least,
                        at_most: removed.1.volume().rows.at_most,
                    },
                    bytes: Range {
                        at_least: removed.0.volume().bytes.at_least,
                        at_most: removed.1.volume().bytes.at_most,
                    },
                },
            }
        });
        Storage { row_bytes: ROW_BYTES, classes: classes.collect() }
    }
}

/// The rows of one class by hour.
struct Aged<'a> {
    all: Rows,
    hours: Vec<(&'a str, Rows)>,
}

impl Aged<'_> {
    /// The rows of the hours before `until` and not before `from`: those that surely are, and those that may be.
    fn removed(&self, from: Option<&str>, until: Option<&str>, perhaps_held: bool) -> (Rows, Rows) {
        let Some(until) = until else { return Default::default() };
        let (mut sure, mut known) = (Rows::default(), Rows::default());
        for (hour, rows) in &self.hours {
            known.add(*rows, 1);
            if *hour < until && from.is_none_or(|from| *hour >= from) {
                sure.add(*rows, 1);
            }
        }
        // Of hours over the limit it is not known which they are.
        let mut perhaps = self.all.less(known);
        perhaps.add(sure, 1);
        (if perhaps_held { Rows::default() } else { sure }, perhaps)
    }

    /// What is left when those are gone.
    fn left(&self, (sure, perhaps): (Rows, Rows)) -> Volume {
        let (least, most) = (self.all.less(perhaps).volume(), self.all.less(sure).volume());
        Volume {
            rows: Range { at_least: least.rows.at_least, at_most: most.rows.at_most },
            bytes: Range { at_least: least.bytes.at_least, at_most: most.bytes.at_most },
        }
    }
}
