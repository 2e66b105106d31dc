//! The gate between a candidate and production.
//!
//! A gate that could not be judged never counts as held.

use serde::{Deserialize, Serialize};

use super::closed::nothing;
use super::report::Report;
use crate::policy::checks::Rollout;
use crate::policy::written;

/// Whether the gate holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "gate", deny_unknown_fields)]
pub enum GateVerdict {
    /// No limit is set.
    #[serde(deserialize_with = "nothing")]
    Open,
    /// Every limit holds.
    #[serde(deserialize_with = "nothing")]
    Holds,
    /// These limits do not hold.
    Broken {
        /// Each limit that is broken.
        breaches: Vec<Breach>,
    },
    /// The rehearsal is no ground for an answer.
    CannotTell {
        /// Why, one line each.
        because: Vec<String>,
    },
}

/// A limit that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Breach {
    /// What is limited.
    pub what: Measure,
    /// How many there are.
    pub count: u64,
    /// How many there may be.
    pub limit: u64,
}

impl GateVerdict {
    /// The verdict on a report that does not rest on all of its traffic, and why not. A limit that is
    /// broken stays broken.
    #[must_use]
    pub fn in_doubt(self, why: &str) -> Self {
        let mut because = match self {
            Self::Open | Self::Broken { .. } => return self,
            Self::Holds => Vec::new(),
            Self::CannotTell { because } => because,
        };
        because.push(why.to_owned());
        Self::CannotTell { because }
    }
}

/// What a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// `max_newly_denied`
    NewlyDenied,
    /// `max_newly_allowed`
    NewlyAllowed,
    /// `max_undecidable`
    Undecidable,
}

impl Measure {
    /// The key in `[rollout]`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::NewlyDenied => "max_newly_denied",
            Self::NewlyAllowed => "max_newly_allowed",
            Self::Undecidable => "max_undecidable",
        }
    }
}

/// Every limit that is set with what it measures, whether it holds or not.
pub fn limits(rollout: &Rollout, report: &Report) -> Vec<Breach> {
    let totals = &report.totals;
    let limits = [
        // A call that a rate newly holds up is lost to its caller like one that is denied.
        (Measure::NewlyDenied, totals.newly_denied + report.rates.newly_limited.at_least, rollout.max_newly_denied),
        (Measure::NewlyAllowed, totals.newly_allowed, rollout.max_newly_allowed),
        // What is unsettled because the baseline cannot be decided is as little known.
        (
            Measure::Undecidable,
            totals.undecidable.max(totals.unsettled),
            rollout.max_undecidable.map(|most| most.of(totals.events)),
        ),
    ];
    limits.into_iter().filter_map(|(what, count, limit)| Some(Breach { what, count, limit: limit? })).collect()
}

/// Judges a report by the limits of `[rollout]`.
///
/// A limit that is broken is broken whatever else is in doubt. Otherwise every doubt, and traffic
/// that is thinner than what was asked for, leaves it open whether the gate holds.
pub fn gate(rollout: &Rollout, report: &Report) -> GateVerdict {
    let totals = &report.totals;
    let set = limits(rollout, report);
    if set.is_empty() && rollout.min_events.is_none() && rollout.min_window.is_none() {
        return GateVerdict::Open;
    }
    let breaches: Vec<Breach> = set.into_iter().filter(|breach| breach.count > breach.limit).collect();
    if !breaches.is_empty() {
        return GateVerdict::Broken { breaches };
    }
    let mut because = Vec::new();
    let mut doubt = |count: u64, what: &str| {
        if count > 0 {
            because.push(format!("{count} {what}"));
        }
    };
    doubt(report.unreadable_total(), "records could not be read");
    doubt(report.drift.different_total(), "decisions are not reproduced by the policy that made them");
    if rollout.max_newly_denied.is_some() || rollout.max_newly_allowed.is_some() {
        doubt(totals.uncompared, "events have no decision to compare with: give a baseline");
    }
    if totals.events == 0 {
        because.push("there are no events".to_owned());
    }
    because.extend(open(rollout, report));
    because.extend(thin(rollout, report));
    if because.is_empty() { GateVerdict::Holds } else { GateVerdict::CannotTell { because } }
}

/// Limits of which it depends on something unknown whether they hold.
fn open(rollout: &Rollout, report: &Report) -> impl Iterator<Item = String> {
    let (totals, rates) = (&report.totals, &report.rates);
    // How many may stay undecidable is its own limit. Without one, none of them counts as harmless.
    let undecidable = |count: u64| if rollout.max_undecidable.is_some() { 0 } else { count };
    let (denied, allowed) = (undecidable(totals.maybe_newly_denied), undecidable(totals.maybe_newly_allowed));
    let limited = rates.newly_limited;
    let perhaps_limited = limited.at_most.saturating_sub(limited.at_least);
    let measured = [
        (
            Measure::NewlyDenied,
            totals.newly_denied + limited.at_least,
            perhaps_limited,
            denied,
            rollout.max_newly_denied,
        ),
        (Measure::NewlyAllowed, totals.newly_allowed, 0, allowed, rollout.max_newly_allowed),
    ];
    let not_replayed = rates.not_replayed;
    measured.into_iter().filter_map(move |(what, least, limited, undecidable, limit)| {
        let (limit, most) = (limit?, least.saturating_add(limited).saturating_add(undecidable));
        if most <= limit {
            return None;
        }
        let mut why = Vec::new();
        if limited > 0 {
            why.push(format!("{limited} may be over a rate"));
        }
        if limited > 0 && not_replayed > 0 {
            why.push(format!("{not_replayed} came after those that are replayed"));
        }
        if undecidable > 0 {
            why.push(format!("{undecidable} cannot be decided, and max_undecidable says nothing of them"));
        }
        Some(format!("{} = {limit}, and there are {least} to {most}: {}", what.key(), why.join(", ")))
    })
}

/// In what the traffic is thinner than what was asked for.
fn thin(rollout: &Rollout, report: &Report) -> impl Iterator<Item = String> {
    let events = report.totals.events;
    let few = rollout.min_events.filter(|least| events < *least);
    let few = few.map(|least| format!("min_events = {least}, and there are {events}"));
    let seconds = report.seconds();
    let short = rollout.min_window.filter(|least| seconds < *least);
    let short = short.map(|least| format!("min_window = {}, and they span {}", written(least), written(seconds)));
    few.into_iter().chain(short)
}
