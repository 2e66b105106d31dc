//! A recorded request as a rehearsal sees it, borrowed from wherever it stands.
//!
//! An owned event, a line of text and a column store all give one of these, so that there is one
//! way to judge them. It never owns what it shows.

use super::event::Decided;
use super::foreign::Foreign;
use crate::model::{Fact, Request};

/// One recorded request, with what the recording says besides.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// The request, judged at the recorded instant.
    pub request: Request<'a>,
    /// The identifier under which the audit log knows it.
    pub id: Fact<&'a str>,
    /// The session it belongs to.
    pub session: Fact<&'a str>,
    /// What doorward decided then.
    pub decided: Option<&'a Decided>,
    /// What another system decided then.
    pub foreign: Option<&'a Foreign>,
}
