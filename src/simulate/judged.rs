//! One event with its answers, as every part of a report takes it.
//!
//! It borrows all it shows. A part of a report copies what it keeps and nothing more.

use std::sync::Arc;

use super::answer::Side;
use super::counts::Counts;
use super::report::{Kind, Sample};
use crate::model::Timestamp;
use crate::traffic::{Observed, Place};

/// An event and what came of it.
#[derive(Clone, Copy)]
pub(super) struct Judged<'a> {
    /// The event.
    pub(super) seen: &'a Observed<'a>,
    /// The event as a witness.
    pub(super) witness: Witness<'a>,
    /// The tool, prompt or resource, as `door:item`.
    pub(super) item: &'a str,
    /// What is compared with: the baseline, or else the recorded decision.
    pub(super) before: Side<'a>,
    /// The candidate.
    pub(super) after: Side<'a>,
    /// The event in numbers.
    pub(super) counts: &'a Counts,
    /// Whether and how that is worth a line.
    pub(super) kind: Option<Kind>,
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
    /// `issuer/sub`
    pub(super) subject: &'a Arc<str>,
    /// The client that acted.
    pub(super) agent: &'a Arc<str>,
}

impl Judged<'_> {
    /// Whether the call is denied now and was not denied before, as far as that is known.
    pub(super) const fn is_lost(&self) -> bool {
        self.counts.newly_denied > 0 || (self.counts.uncompared > 0 && self.counts.denied > 0)
    }

    /// Whether the call may turn out to be such a one.
    pub(super) const fn may_be_lost(&self) -> bool {
        self.counts.maybe_newly_denied > 0 || (self.counts.uncompared > 0 && self.counts.undecidable > 0)
    }
}

impl Witness<'_> {
    /// The event as a sample, without an explanation.
    pub(super) fn sample(&self) -> Sample {
        Sample {
            source: self.source.to_owned(),
            place: self.place,
            about: self.subject.to_string(),
            time: Some(self.time),
            agent: Some(self.agent.to_string()),
            why: None,
        }
    }
}
