//! One event with its answers, as every part of a report takes it.
//!
//! It borrows all it shows. A part of a report copies what it keeps and nothing more.

use super::answer::Side;
use super::counts::Counts;
use super::report::Kind;
use crate::model::Timestamp;
use crate::traffic::{Observed, Place};

/// An event and what came of it.
#[derive(Clone, Copy)]
pub(super) struct Judged<'a, 'p> {
    /// The event.
    pub(super) seen: &'a Observed<'a>,
    /// The event as a witness.
    pub(super) witness: Witness<'a>,
    /// The tool, prompt or resource, as `door:item`.
    pub(super) item: &'a str,
    /// What is compared with: the baseline, or else the recorded decision.
    pub(super) before: Side<'p>,
    /// The candidate.
    pub(super) after: Side<'p>,
    /// The event in numbers.
    pub(super) counts: Counts,
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
    pub(super) subject: &'a str,
    /// The client that acted.
    pub(super) agent: &'a str,
}
