//! One event on its own: its three answers, and how they compare.

use serde::{Deserialize, Serialize};

use super::answer::{Answer, Side};
use super::rehearsal::Rehearsal;
use super::terms::Terms;
use crate::pdp;
use crate::policy::CompiledPolicy;
use crate::traffic::{Observed, Place};

/// What came of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// What was recorded.
    pub recorded: Answer,
    /// What the baseline answers, where there is one.
    pub baseline: Option<Answer>,
    /// What the candidate answers.
    pub candidate: Answer,
    /// How the candidate compares with what it is held against.
    pub class: Class,
    /// Whether the policy that decided it, being here, answers otherwise than was recorded.
    pub drifted: bool,
}

/// How an event comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Allowed before and now, by the same statement with the same obligations.
    StillAllowed,
    /// Denied before and now, for the same reason by the same statement.
    StillDenied,
    /// Allowed before and denied now.
    NewlyDenied,
    /// Denied before and allowed now.
    NewlyAllowed,
    /// Denied before and now, for another reason.
    OtherReason,
    /// The same answer by another statement.
    OtherRule,
    /// The same answer with other obligations.
    OtherObligations,
    /// Not decidable on one side or both.
    Undecidable,
    /// Nothing to compare with.
    Uncompared,
}

impl Class {
    /// Every class.
    pub const ALL: [Self; 9] = [
        Self::StillAllowed,
        Self::StillDenied,
        Self::NewlyDenied,
        Self::NewlyAllowed,
        Self::OtherReason,
        Self::OtherRule,
        Self::OtherObligations,
        Self::Undecidable,
        Self::Uncompared,
    ];

    /// The class as written in scenarios and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StillAllowed => "still-allowed",
            Self::StillDenied => "still-denied",
            Self::NewlyDenied => "newly-denied",
            Self::NewlyAllowed => "newly-allowed",
            Self::OtherReason => "other-reason",
            Self::OtherRule => "other-rule",
            Self::OtherObligations => "other-obligations",
            Self::Undecidable => "undecidable",
            Self::Uncompared => "uncompared",
        }
    }
}

/// Examines one event, by the very fold that a rehearsal of it is made of.
pub fn examine(
    candidate: &CompiledPolicy,
    baseline: Option<&CompiledPolicy>,
    terms: &Terms,
    seen: &Observed<'_>,
) -> Examined {
    let mut rehearsal = Rehearsal::new(candidate, baseline).under(terms.clone());
    rehearsal.observe(Place::default(), seen);
    let report = rehearsal.finish();
    let totals = &report.totals;
    let class = [
        (totals.uncompared, Class::Uncompared),
        (totals.unsettled, Class::Undecidable),
        (totals.newly_denied, Class::NewlyDenied),
        (totals.newly_allowed, Class::NewlyAllowed),
        (totals.other_reason, Class::OtherReason),
        (totals.other_rule, Class::OtherRule),
        (totals.other_obligations, Class::OtherObligations),
        (totals.still_allowed, Class::StillAllowed),
    ];
    let class = class.into_iter().find(|(count, _)| *count > 0).map_or(Class::StillDenied, |(_, class)| class);
    let judged = |policy, request| Side::Judged(&pdp::judge(policy, &request)).answer();
    let foreign = seen.foreign.map_or(Side::Nothing, Side::Foreign);
    Examined {
        recorded: seen.decided.map_or(foreign, Side::Recorded).answer(),
        baseline: baseline.map(|policy| judged(policy, terms.before(seen.request))),
        candidate: judged(candidate, terms.after(seen.request)),
        class,
        drifted: report.drift.different_total() > 0,
    }
}
