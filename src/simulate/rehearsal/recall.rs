//! Events whose like has been judged: they are looked up and counted, and nothing else of them is looked at.
//!
//! Whether an event was recalled or judged never shows in a report.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::Rehearsal;
use crate::simulate::askers::Pair;
use crate::simulate::judged::{Judged, Witness};
use crate::simulate::outcome::Drifted;
use crate::simulate::question::Question;
use crate::simulate::report::Window;
use crate::simulate::terms::Clock;
use crate::traffic::{Glance, Place};

/// How many kinds of event are remembered.
const MOST: usize = 1 << 17;

/// What events of the same numbers share: who asks, and all of their question but its bearing.
#[derive(Debug, Default)]
pub(super) struct Alike {
    map: HashMap<Kind, Found, FixedState>,
}

/// The numbers of an event, in a form that is compared fast.
type Kind = [u64; 3];

fn kind(numbers: [u32; 5]) -> Kind {
    let [lists, subject, token, verdict, item] = numbers.map(u64::from);
    [lists << 32 | subject, token << 32 | verdict, item]
}

/// What is remembered of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    /// The numbers of the one who asked, and for what.
    pub(super) asker: Pair,
    /// A question of theirs.
    pub(super) question: Question,
    /// The place of its answer, which is that of many that follow.
    pub(super) at: u32,
}

impl Alike {
    /// Remembers it for events of these numbers.
    pub(super) fn insert(&mut self, numbers: [u32; 5], found: Found) {
        if self.map.len() >= MOST {
            self.map.clear();
        }
        self.map.insert(kind(numbers), found);
    }

    pub(super) fn clear(&mut self) {
        self.map.clear();
    }
}

impl Rehearsal<'_> {
    /// Feeds an event by what differs between it and its like. False, and nothing happens, when it has to be looked at
    /// whole: nothing like it is remembered, or it may be a witness.
    pub(in crate::simulate) fn recall(&mut self, place: Place, glance: &Glance<'_>) -> bool {
        if self.is_full() || !self.questions.is_in(glance.numbers.space()) {
            return false;
        }
        let recorded = &glance.context;
        let moved = (self.terms.clock != Clock::AsRecorded).then(|| self.terms.clock.context(*recorded));
        let bearing = self.questions.bearing(&glance.numbers, recorded, moved.as_ref().unwrap_or(recorded));
        let (Some(found), Some(bearing)) = (self.alike.map.get_mut(&kind(glance.numbers.of())), bearing) else {
            return false;
        };
        if !found.question.bears(bearing) {
            let question = found.question.with(bearing);
            let Some(at) = self.memo.find(&question) else { return false };
            (found.question, found.at) = (question, at);
        }
        let (Some(who), Some(outcome)) = (self.askers.who(found.asker.who), self.memo.at(found.at)) else {
            return false;
        };
        let asker = found.asker;
        let class = &*outcome.class;
        let (differs, changes) = (matches!(class.drift, Drifted::Different(..)), class.kind.is_some());
        if differs || changes {
            let Some(counted) = &mut outcome.counted else { return false };
            let may_be_a_sample =
                differs && counted.difference.may_sample(place) || changes && counted.change.may_sample(place);
            if may_be_a_sample {
                return false;
            }
            let rows = [(differs, &mut counted.difference), (changes, &mut counted.change)];
            rows.into_iter().filter(|(is, _)| *is).for_each(|(_, row)| row.take(recorded.now));
        }
        let witness = Witness { source: &self.source, place, time: recorded.now, who };
        let judged = Judged { context: recorded, session: glance.session, witness, class };
        let now = Window::at(recorded.now);
        self.window = Some(self.window.map_or(now, |w| w.join(now)));
        self.hours.add(recorded.now, class.way);
        self.accounts.observe(&judged, Some(asker));
        let way = class.way;
        outcome.events += 1;
        self.askers.count(asker.who, way);
        true
    }
}
