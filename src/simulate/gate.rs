//! The gate between a candidate and production.
//!
//! A gate that could not be judged never counts as held.

use serde::{Deserialize, Serialize};

use super::report::Report;
use crate::policy::checks::Rollout;

/// Whether the gate holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "gate", deny_unknown_fields)]
pub enum GateVerdict {
    /// No limit is set.
    Open,
    /// Every limit holds.
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

/// Judges a report by the limits of `[rollout]`.
pub fn gate(rollout: &Rollout, report: &Report) -> GateVerdict {
    let totals = &report.totals;
    let limits = [
        (Measure::NewlyDenied, totals.newly_denied, rollout.max_newly_denied),
        (Measure::NewlyAllowed, totals.newly_allowed, rollout.max_newly_allowed),
        // What is unsettled because the baseline cannot be decided is as little known.
        (Measure::Undecidable, totals.undecidable.max(totals.unsettled), rollout.max_undecidable),
    ];
    let mut set =
        limits.iter().filter_map(|&(what, count, limit)| Some(Breach { what, count, limit: limit? })).peekable();
    if set.peek().is_none() {
        return GateVerdict::Open;
    }
    let breaches: Vec<Breach> = set.filter(|breach| breach.count > breach.limit).collect();
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
    if because.is_empty() { GateVerdict::Holds } else { GateVerdict::CannotTell { because } }
}
