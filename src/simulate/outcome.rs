//! What comes of one question, whoever asks it how often.

use std::sync::Arc;

use hashbrown::HashMap;

use super::answer::Side;
use super::classes::Class;
use super::counts::Counts;
use super::labels::write_item;
use super::report::{Kind, Window};
use crate::model::{Effect, Request, Timestamp, Verdict};
use crate::policy::CompiledPolicy;
use crate::traffic::{Decided, Foreign, Numbers, Observed, Place};

/// What one question came to, and how many events asked it. There are many: it is kept small.
#[derive(Debug)]
pub(super) struct Outcome<'p> {
    pub(super) class: Arc<Class<'p>>,
    /// How many events asked it since it was last folded.
    pub(super) events: u64,
    /// Of its events, those that are only counted in their rows.
    pub(super) counted: Option<Box<Counted>>,
}

/// Events that come to rows which keep no further sample.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Of those that are worth a line, and of those that differ from what was recorded.
    pub(super) change: Late,
    pub(super) difference: Late,
    /// What was recorded.
    recorded: (Option<Decided>, Option<Foreign>),
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
        let takes = !self.may_sample(place);
        if takes {
            self.take(time);
        }
        takes
    }

    /// Whether an event at that place can be a sample.
    pub(super) fn may_sample(&self, place: Place) -> bool {
        self.behind.is_none_or(|behind| place <= behind)
    }

    /// Counts an event that can be no sample.
    pub(super) fn take(&mut self, time: Timestamp) {
        self.count += 1;
        let now = Window::at(time);
        self.window = Some(self.window.map_or(now, |w| w.join(now)));
    }
}

fn named_item(request: &Request<'_>) -> (Arc<str>, Arc<str>) {
    let mut item = String::new();
    write_item(&mut item, request);
    (item.into(), request.resource.door.into())
}

/// The labels of items by their numbers.
#[derive(Debug, Default)]
pub(super) struct Names {
    items: HashMap<u32, (Arc<str>, Arc<str>), foldhash::fast::FixedState>,
}

impl Names {
    /// The tool, prompt or resource, as `door:item`, and the door.
    pub(super) fn item(&mut self, request: &Request<'_>, numbers: Option<&Numbers<'_>>) -> (Arc<str>, Arc<str>) {
        let Some(numbers) = numbers else { return named_item(request) };
        self.items.entry(numbers.item()).or_insert_with(|| named_item(request)).clone()
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
    }
}

impl<'p> Outcome<'p> {
    pub(super) const fn new(class: Arc<Class<'p>>) -> Self {
        Self { class, events: 0, counted: None }
    }
}

impl Counted {
    /// Counts an event in one of its two rows, if it can be no sample.
    pub(super) fn takes(
        counted: &mut Option<Box<Self>>,
        row: fn(&mut Self) -> &mut Late,
        place: Place,
        time: Timestamp,
    ) -> bool {
        counted.as_mut().is_some_and(|counted| row(counted).takes(place, time))
    }

    /// Begins to count behind a place, such events as `seen`.
    pub(super) fn behind(
        counted: &mut Option<Box<Self>>,
        row: fn(&mut Self) -> &mut Late,
        behind: Option<Place>,
        seen: &Observed<'_>,
    ) {
        if counted.is_none() && behind.is_none() {
            return;
        }
        let begin = || Box::new(Self { recorded: (seen.decided.cloned(), seen.foreign.cloned()), ..Self::default() });
        row(counted.get_or_insert_with(begin)).behind = behind;
    }

    /// What was recorded.
    pub(super) fn recorded(&self) -> Side<'_> {
        match &self.recorded {
            (Some(decided), _) => Side::Recorded(decided),
            (None, Some(foreign)) => Side::Foreign(foreign),
            (None, None) => Side::Nothing,
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
        let now = Side::Judged(&verdict);
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
pub(super) fn compare(before: &Side<'_>, after: &Side<'_>) -> (Counts, Option<Kind>) {
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
