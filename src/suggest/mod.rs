//! The least policy that keeps recorded traffic working.
//!
//! A [`Study`] is fed every event once and gives a [`Suggestion`]: grants by group and tool, with
//! argument bounds where the data supports them, each with the events behind it. A [`Trial`] is fed
//! the same events again and judges them by the suggested policy with [`crate::pdp::judge`].
//!
//! Never learns from an event that was recorded as denied, from a value that was withheld, or from
//! a text that looks like a secret. Never guesses an identity, and never writes a wildcard that no
//! option asked for. What comes out does not depend on the order of the events, and memory is
//! bounded by [`limits`]: a full map keeps its lowest keys, and says so.

mod against;
mod bounds;
mod cover;
mod evidence;
mod grants;
mod learner;
mod lowest;
mod profile;
mod scaffold;
mod shape;
mod split;
mod study;
mod surface;
mod trial;

pub mod limits;

pub use against::{Against, Today};
pub use bounds::{Bound, Open, Why};
pub use evidence::{Evidence, Example};
pub use grants::{Basis, LearnedGrant, LearnedItem};
pub use learner::{Counts, Left, LeftOut, Suggestion};
pub use limits::Cap;
pub use profile::literal;
pub use scaffold::{AUDIENCE_HOST, FILL_IN};
pub use split::Split;
pub use study::{Studied, Study};
pub use surface::Surface;
pub use trial::{Lost, Proof, Score, Trial};

/// Which events count as legitimate. One that was recorded as denied never does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Those recorded as allowed.
    Allowed,
    /// Those recorded as allowed, and those of which no decision was recorded.
    #[default]
    All,
}

/// How a policy is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which events are learned from.
    pub keep: Keep,
    /// How many distinct events a bound on an argument needs.
    pub min_support: usize,
    /// The most agents that a grant names; calls through more are granted through any.
    pub max_agents: usize,
    /// How far a limit lies beyond the numbers seen, in percent of their range.
    pub headroom: u32,
    /// Write `door:*` where a grant allows every known item of a door, and at least so many.
    pub generalise: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self { keep: Keep::All, min_support: 20, max_agents: 3, headroom: 10, generalise: None }
    }
}
