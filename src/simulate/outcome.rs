//! What comes of one question, whoever asks it how often.

use std::sync::Arc;

use hashbrown::HashMap;

use super::ages::Reached;
use super::answer::Side;
use super::classes::Class;
use super::counts::Counts;
use super::labels::{shown, write_item, write_subject};
use super::report::{Kind, Window};
use crate::model::{Effect, Request, Timestamp, Verdict};
use crate::policy::CompiledPolicy;
use crate::traffic::{Decided, Foreign, Numbers, Observed, Place};

/// What one question came to, and how many events asked it.
#[derive(Debug)]
pub(super) struct Outcome<'p> {
    pub(super) class: Arc<Class<'p>>,
    pub(super) labels: Labels,
    /// The ages of the tokens of its events so far.
    pub(super) reached: Option<Box<Reached>>,
    /// How many events asked it since it was last folded.
    pub(super) events: u64,
    /// Of those that are worth a line, and of those that differ from what was recorded.
    pub(super) change: Option<Box<Late>>,
    pub(super) difference: Option<Box<Late>>,
    /// What was recorded, once events are only counted.
    pub(super) recorded: Option<Box<(Option<Decided>, Option<Foreign>)>>,
}

/// How the event is called in the tables. One text is shared by all that are called so.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    /// The tool, prompt or resource, as `door:item`.
    pub(super) item: Arc<str>,
    pub(super) door: Arc<str>,
    /// `issuer/sub`
    pub(super) subject: Arc<str>,
    pub(super) agent: Arc<str>,
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
    /// Begins to count behind a place.
    pub(super) fn behind(late: &mut Option<Box<Self>>, behind: Option<Place>) {
        if let Some(late) = late {
            late.behind = behind;
        } else if behind.is_some() {
            *late = Some(Box::new(Self { behind, ..Self::default() }));
        }
    }

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
    pub(super) fn of(request: &Request<'_>) -> Self {
        let ((item, door), (subject, agent)) = (named_item(request), named_subject(request));
        Self { item, door, subject, agent }
    }
}

fn named_item(request: &Request<'_>) -> (Arc<str>, Arc<str>) {
    let mut item = String::new();
    write_item(&mut item, request);
    (item.into(), request.resource.door.into())
}

fn named_subject(request: &Request<'_>) -> (Arc<str>, Arc<str>) {
    let mut subject = String::new();
    write_subject(&mut subject, &request.subject);
    (subject.into(), shown(request.subject.agent).into())
}

/// Labels by the numbers of what they name.
#[derive(Debug, Default)]
pub(super) struct Names {
    items: HashMap<u32, (Arc<str>, Arc<str>), foldhash::fast::FixedState>,
    /// By what is missing too: what is absent and what is not known have different labels.
    subjects: HashMap<[u32; 2], (Arc<str>, Arc<str>), foldhash::fast::FixedState>,
}

impl Names {
    pub(super) fn of(&mut self, request: &Request<'_>, numbers: &Numbers<'_>) -> Labels {
        let [lists, subject, _, _, item] = numbers.of();
        let (item, door) = self.items.entry(item).or_insert_with(|| named_item(request)).clone();
        let named = self.subjects.entry([lists, subject]).or_insert_with(|| named_subject(request));
        let (subject, agent) = named.clone();
        Labels { item, door, subject, agent }
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.subjects.clear();
    }
}

impl<'p> Outcome<'p> {
    pub(super) const fn new(class: Arc<Class<'p>>, labels: Labels) -> Self {
        Self { class, labels, reached: None, events: 0, change: None, difference: None, recorded: None }
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
