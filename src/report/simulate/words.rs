//! What the renderers of a rehearsal share: one order, one set of words and one idea of how bad
//! something is. Nothing here decides: the gate was judged before.

use std::cmp::Reverse;

use crate::simulate::{
    Ages, Breach, Change, Changes, GateVerdict, Group, Kind, Measure, Presence, Range, Report, RuleName, Sample, Usage,
};

/// A rehearsal as the renderers take it.
#[derive(Clone, Copy, Debug)]
pub struct Rehearsed<'a> {
    /// What was found.
    pub report: &'a Report,
    /// What the gate says of it.
    pub gate: &'a GateVerdict,
    /// Every limit that is set, with what it measures.
    pub limits: &'a [Breach],
    /// The file of the candidate, as it is called in places.
    pub policy: &'a str,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Error,
    Warning,
    Note,
}

impl Rehearsed<'_> {
    /// The verdict in one line.
    pub(super) fn headline(&self) -> &'static str {
        match self.gate {
            GateVerdict::Open => "no limit is set",
            GateVerdict::Holds => "the gate holds",
            GateVerdict::Broken { .. } => "the gate does not hold",
            GateVerdict::CannotTell { .. } => "the gate cannot be judged",
        }
    }

    /// What stands behind the verdict, one line each.
    pub(super) fn because(&self) -> Vec<String> {
        match self.gate {
            GateVerdict::Open | GateVerdict::Holds => Vec::new(),
            GateVerdict::Broken { breaches } => {
                breaches.iter().map(|b| format!("{} = {}, and there are {}", b.what.key(), b.limit, b.count)).collect()
            }
            GateVerdict::CannotTell { because } => because.clone(),
        }
    }

    /// Whether there is anything to compare with.
    pub(super) fn is_compared(&self) -> bool {
        self.report.totals.uncompared < self.report.totals.events
    }

    /// How bad a change of this kind is: an error where it breaks the gate.
    pub(super) fn level(&self, kind: Kind) -> Level {
        let measure = match measure(kind) {
            _ if kind == Kind::Drift => return Level::Error,
            None => return Level::Note,
            Some(measure) => measure,
        };
        match self.gate {
            GateVerdict::Broken { breaches } if breaches.iter().any(|b| b.what == measure) => Level::Error,
            _ if kind == Kind::Undecidable => Level::Note,
            _ => Level::Warning,
        }
    }

    /// Where the statement stands that a change is about, as `file:line:column`: the one that
    /// decides now, the one that decided before, or the nearest that would allow.
    pub(super) fn place<'c>(&'c self, change: &'c Change) -> Option<&'c str> {
        let named = |rule: &RuleName| self.report.statements.iter().map(|s| &s.rule).find(|r| same(r, rule));
        let at = |rule: &'c RuleName| Some(rule.at.as_str()).filter(|at| !at.is_empty());
        let near = || {
            let why = change.samples.first()?.why.as_ref()?;
            why.statements.iter().find_map(|one| at(&one.rule))
        };
        let before = || change.before.rule().and_then(named).and_then(at);
        change.after.rule().and_then(at).or_else(before).or_else(near)
    }
}

fn same(a: &RuleName, b: &RuleName) -> bool {
    a.kind == b.kind && a.name == b.name && !a.name.is_empty()
}

/// What of a change can be done about, from its first event that says why.
pub(super) fn advice(change: &Change) -> Option<&str> {
    change.samples.iter().find_map(|s| s.why.as_ref()?.advice.first()).map(String::as_str)
}

/// By kind, then by how often; equal ones as they are in the report.
pub(super) fn by_impact(changes: &Changes) -> Vec<&Change> {
    let mut list: Vec<&Change> = changes.list.iter().collect();
    list.sort_by_key(|change| (change.kind, Reverse(change.count)));
    list
}

/// Where an event stands.
pub(super) fn event_place(sample: &Sample) -> String {
    format!("{}:{}", sample.source, sample.place)
}

/// The statements that decided nothing, of a rehearsal that had events.
pub(super) fn idle(report: &Report) -> impl Iterator<Item = &crate::simulate::StatementHits> {
    report.statements.iter().filter(|hits| hits.decided == 0 && report.totals.events > 0)
}

/// What a limit on events of a kind measures.
pub(super) const fn measure(kind: Kind) -> Option<Measure> {
    match kind {
        Kind::NewlyDenied => Some(Measure::NewlyDenied),
        Kind::NewlyAllowed => Some(Measure::NewlyAllowed),
        Kind::Undecidable => Some(Measure::Undecidable),
        Kind::Drift | Kind::OtherReason | Kind::OtherRule | Kind::OtherObligations | Kind::Denied => None,
    }
}

/// A place as file, line and column.
pub(super) fn place_of(at: &str) -> Option<(&str, u32, u32)> {
    let (rest, column) = at.rsplit_once(':')?;
    let (file, line) = rest.rsplit_once(':')?;
    Some((file, line.parse().ok()?, column.parse().ok()?))
}

/// The stable name of what a statement that decided nothing was good for, and what a person reads.
pub(super) const fn usage(usage: Usage) -> (&'static str, &'static str) {
    match usage {
        Usage::Shadowed => ("shadowed", "applied, and another statement decided each time"),
        Usage::OnlyDenied => ("only-denied", "applied only to requests that were denied for another reason"),
        Usage::OnlyUndecidable => ("only-undecidable", "applied only to requests that cannot be decided"),
        Usage::Never | Usage::Decides => ("never-hit", "decided nothing in this traffic"),
    }
}

/// What a person reads for a kind.
pub(super) const fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Drift => "not as recorded",
        Kind::NewlyDenied => "newly denied",
        Kind::NewlyAllowed => "newly allowed",
        Kind::Undecidable => "undecidable",
        Kind::OtherReason => "other reason",
        Kind::OtherRule => "other statement",
        Kind::OtherObligations => "other obligations",
        Kind::Denied => "denied",
    }
}

/// The stable name of a kind.
pub(super) const fn code(kind: Kind) -> &'static str {
    match kind {
        Kind::Drift => "drift",
        Kind::NewlyDenied => "newly-denied",
        Kind::NewlyAllowed => "newly-allowed",
        Kind::Undecidable => "undecidable",
        Kind::OtherReason => "other-reason",
        Kind::OtherRule => "other-rule",
        Kind::OtherObligations => "other-obligations",
        Kind::Denied => "denied",
    }
}

/// What one token lifetime would cost.
pub(super) struct Cost {
    pub(super) ttl: u32,
    /// Allowed calls that it would deny, and sessions with one.
    pub(super) denied: u64,
    pub(super) cut: u64,
    /// New tokens with which it would deny none.
    pub(super) renewals: Range,
}

/// What each lifetime would cost, the shortest first.
pub(super) fn costs(ages: &Ages) -> impl Iterator<Item = Cost> {
    let at = |counts: &[u64], n: usize| counts.get(n).copied().unwrap_or_default();
    ages.ttls.iter().enumerate().map(move |(n, ttl)| Cost {
        ttl: *ttl,
        denied: at(&ages.total.older, n),
        cut: at(&ages.sessions, n),
        renewals: ages.renewals.get(n).copied().unwrap_or_default(),
    })
}

/// `12.3 %` of a whole; what is less than a tenth of a per cent says so.
pub(super) fn share(part: u64, whole: u64) -> String {
    let per_mille = u128::from(part) * 1000 / u128::from(whole.max(1));
    match per_mille {
        0 if part > 0 => "under 0.1 %".to_owned(),
        _ => format!("{}.{} %", per_mille / 10, per_mille % 10),
    }
}

/// What stands over [`presence`].
pub(super) const PRESENCE: [&str; 4] = ["share", "tuples", "first seen", "last seen"];

/// The share that a group has of so many events, its pairs of a subject and an item, and when it was seen.
pub(super) fn presence(group: &Group, events: u64) -> Option<[String; 4]> {
    let Presence { window, tuples } = group.seen?;
    let share = share(group.counts.events, events);
    Some([share, between(tuples), window.first.to_string(), window.last.to_string()])
}

/// A number, or from where to where it lies.
pub(super) fn between(range: Range) -> String {
    let Range { at_least, at_most } = range;
    if at_least == at_most { at_least.to_string() } else { format!("{at_least} to {at_most}") }
}

pub(super) fn many(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

pub(super) fn were(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}
