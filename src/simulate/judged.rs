//! One event with its answers, as every part of a report takes it.
//!
//! It borrows all it shows. A part of a report copies what it keeps and nothing more.

use super::answer::Side;
use super::askers::Who;
use super::classes::Class;
use super::report::Sample;
use crate::model::{Context, Fact, Timestamp};
use crate::traffic::Place;

/// An event and what came of it.
#[derive(Clone, Copy)]
pub(super) struct Judged<'a> {
    /// The instant, the times of the token and the arguments, as recorded.
    pub(super) context: &'a Context<'a>,
    /// The session.
    pub(super) session: Fact<&'a str>,
    /// The event as a witness.
    pub(super) witness: Witness<'a>,
    /// What it came to.
    pub(super) class: &'a Class<'a>,
}

/// An event as a witness, before it is copied.
#[derive(Clone, Copy)]
pub(super) struct Witness<'a> {
    /// The recording.
    pub(super) source: &'a str,
    /// The place in it.
    pub(super) place: Place,
    /// When.
    pub(super) time: Timestamp,
    /// Who asked.
    pub(super) who: &'a Who,
}

impl<'a> Judged<'a> {
    /// What the candidate answers.
    pub(super) const fn after(&self) -> Side<'a> {
        Side::Judged(&self.class.candidate)
    }

    /// Whether the call is denied now and was not denied before, as far as that is known.
    pub(super) const fn is_lost(&self) -> bool {
        let counts = &self.class.counts;
        counts.newly_denied > 0 || (counts.uncompared > 0 && counts.denied > 0)
    }

    /// Whether the call may turn out to be such a one.
    pub(super) const fn may_be_lost(&self) -> bool {
        let counts = &self.class.counts;
        counts.maybe_newly_denied > 0 || (counts.uncompared > 0 && counts.undecidable > 0)
    }
}

impl Witness<'_> {
    /// The event as a sample, without an explanation.
    pub(super) fn sample(&self) -> Sample {
        Sample {
            source: self.source.to_owned(),
            place: self.place,
            about: self.who.subject.to_string(),
            time: Some(self.time),
            agent: Some(self.who.agent.to_string()),
            why: None,
        }
    }
}
