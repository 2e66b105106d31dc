//! What comes of one question, whoever asks it how often.

use super::accounts::Covered;
use super::answer::Side;
use super::counts::Counts;
use super::labels::{shown, write_item, write_subject};
use super::report::{Column, Columns, Kind, Window};
use crate::model::{Effect, Request, Timestamp, Verdict};
use crate::policy::CompiledPolicy;
use crate::traffic::{Decided, Foreign, Observed, Place};

/// The answers to one question, how they compare, and how many events asked it.
#[derive(Debug)]
pub(super) struct Outcome<'p> {
    pub(super) candidate: Verdict<'p>,
    pub(super) baseline: Option<Verdict<'p>>,
    pub(super) drift: Drifted<'p>,
    /// One event in numbers.
    pub(super) counts: Counts,
    /// Whether and how one event is worth a line.
    pub(super) kind: Option<Kind>,
    pub(super) columns: Columns,
    pub(super) labels: Labels,
    pub(super) covered: Covered<'p>,
    /// How many events asked it since it was last folded.
    pub(super) events: u64,
    pub(super) change: Late,
    pub(super) difference: Late,
    /// What was recorded, once events are only counted.
    pub(super) recorded: Option<Box<(Option<Decided>, Option<Foreign>)>>,
}

/// How the event is called in the tables.
#[derive(Debug, Default)]
pub(super) struct Labels {
    /// The tool, prompt or resource, as `door:item`.
    pub(super) item: String,
    pub(super) door: String,
    /// `issuer/sub`
    pub(super) subject: String,
    pub(super) agent: String,
}

/// The recorded decision against the policy that made it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Drifted<'p> {
    /// Nothing was recorded.
    Undecided,
    /// Another system decided.
    Foreign,
    /// The policy that decided is not here.
    OtherPolicy,
    /// It cannot be decided from what was recorded.
    Undecidable,
    /// It comes out as recorded.
    Same,
    /// It comes out otherwise: what this policy says now.
    Different(&'p CompiledPolicy, Verdict<'p>),
}

/// Events that add to a row which keeps no further sample: counted here and added later.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Late {
    /// Behind this place the row keeps no sample.
    pub(super) behind: Option<Place>,
    pub(super) count: u64,
    pub(super) window: Option<Window>,
}

impl Late {
    /// Counts an event, if it can be no sample.
    pub(super) fn takes(&mut self, place: Place, time: Timestamp) -> bool {
        if self.behind.is_none_or(|behind| place <= behind) {
            return false;
        }
        self.count += 1;
        let now = Window::at(time);
        self.window = Some(self.window.map_or(now, |w| w.join(now)));
        true
    }
}

impl Labels {
    pub(super) fn write(&mut self, request: &Request<'_>) {
        write_item(&mut self.item, request);
        request.resource.door.clone_into(&mut self.door);
        write_subject(&mut self.subject, &request.subject);
        shown(request.subject.agent).clone_into(&mut self.agent);
    }
}

impl<'p> Outcome<'p> {
    pub(super) fn new(
        candidate: Verdict<'p>,
        baseline: Option<Verdict<'p>>,
        seen: &Observed<'_>,
        labels: Labels,
        drift: Drifted<'p>,
        covered: Covered<'p>,
    ) -> Self {
        let (recorded, after) = (recorded(seen), Side::Judged(candidate));
        let before = baseline.map_or(recorded, Side::Judged);
        let (counts, kind) = compare(&before, &after);
        let columns = Columns {
            recorded: Column::of(&recorded),
            baseline: baseline.map(|verdict| Column::of(&Side::Judged(verdict))),
            candidate: Column::of(&after),
        };
        Self {
            candidate,
            baseline,
            drift,
            counts,
            kind,
            columns,
            labels,
            covered,
            events: 0,
            change: Late::default(),
            difference: Late::default(),
            recorded: None,
        }
    }

    /// What is compared with.
    pub(super) fn before<'a>(&self, recorded: Side<'a>) -> Side<'a>
    where
        'p: 'a,
    {
        self.baseline.map_or(recorded, Side::Judged)
    }

    /// What was recorded, of events that are only counted.
    pub(super) fn kept(&self) -> Side<'_> {
        match self.recorded.as_deref() {
            Some((Some(decided), _)) => Side::Recorded(decided),
            Some((None, Some(foreign))) => Side::Foreign(foreign),
            _ => Side::Nothing,
        }
    }
}

/// What a recording says of the decision.
pub(super) fn recorded<'a>(seen: &Observed<'a>) -> Side<'a> {
    let foreign = seen.foreign.map_or(Side::Nothing, Side::Foreign);
    seen.decided.map_or(foreign, Side::Recorded)
}

impl<'p> Drifted<'p> {
    /// How a recorded decision stands to what the policy that made it says now.
    pub(super) fn of(decided: &Decided, policy: &'p CompiledPolicy, now: Verdict<'p>) -> Self {
        let (then, verdict) = (Side::Recorded(decided), now);
        let now = Side::Judged(verdict);
        if now.effect().is_none() {
            Self::Undecidable
        } else if now.effect() == then.effect() && now.reason() == then.reason() && now.rule() == then.rule() {
            Self::Same
        } else {
            Self::Different(policy, verdict)
        }
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
