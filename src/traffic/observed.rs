//! A recorded request as a rehearsal sees it, borrowed from wherever it stands.
//!
//! An owned event, a line of text and a column store all give one of these, so that there is one
//! way to judge them. It never owns what it shows.

use std::sync::Arc;

use super::event::Decided;
use super::foreign::Foreign;
use crate::model::{Context, Fact, Request};

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
    /// Numbers for the facts, where whoever read them has numbered them.
    pub numbers: Option<Numbers<'a>>,
}

/// What of an event is not in its numbers: all in which two events of the same numbers can differ.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    /// The numbers.
    pub numbers: Numbers<'a>,
    /// The instant, the times of the token and the arguments. The lists of the token have a number and are not in it.
    pub context: Context<'a>,
    /// The session it belongs to.
    pub session: Fact<&'a str>,
}

/// Numbers that stand for facts: within one space, equal numbers are equal facts. They cover all of
/// an event but its times, the values of its arguments, its identifier and its session.
#[derive(Clone, Copy, Debug)]
pub struct Numbers<'a> {
    space: &'a Arc<()>,
    of: [u32; 5],
}

impl<'a> Numbers<'a> {
    /// In this order: what the lists of missing fields say, the subject, the lists of the token,
    /// the recorded decision, the item with its method.
    pub(super) const fn new(space: &'a Arc<()>, of: [u32; 5]) -> Self {
        Self { space, of }
    }

    /// Within which the numbers count. Whoever remembers numbers keeps a clone of it, so that no
    /// later space can be taken for it.
    pub(crate) const fn space(&self) -> &'a Arc<()> {
        self.space
    }

    pub(crate) const fn of(&self) -> [u32; 5] {
        self.of
    }

    /// The number of the item with its method. Such numbers are given one after another, from 0.
    pub(crate) const fn item(&self) -> u32 {
        let [.., item] = self.of;
        item
    }
}
