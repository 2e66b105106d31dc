//! What was asked of a rehearsal besides which policy: what-ifs, the clock, and whom the candidate is
//! held against. Parts of different terms are not parts of one whole.

use serde::{Deserialize, Serialize};

use super::closed::nothing;
use crate::model::{Context, Request, Timestamp, Token};

/// The terms of one rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// What of the candidate stands in no file, as it was written on the command line.
    pub what_if: Vec<String>,
    /// What the candidate is held against.
    pub against: Against,
    /// The instant at which each event is judged.
    pub clock: Clock,
}

impl Terms {
    /// The request as the baseline sees it.
    pub fn before<'a>(&self, request: Request<'a>) -> Request<'a> {
        match self.against {
            Against::Unchanged => request,
            Against::Recorded | Against::Baseline => self.clock.request(request),
        }
    }

    /// The request as the candidate sees it.
    pub fn after<'a>(&self, request: Request<'a>) -> Request<'a> {
        self.clock.request(request)
    }
}

/// What the candidate is held against.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Against {
    /// The recorded decisions.
    #[default]
    Recorded,
    /// Another policy, judged by the same clock.
    Baseline,
    /// The candidate's own policy without what-ifs, at the recorded instants.
    Unchanged,
}

/// The instant at which an event is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", rename_all_fields = "snake_case", tag = "judged", deny_unknown_fields)]
pub enum Clock {
    /// Its own.
    #[default]
    #[serde(deserialize_with = "nothing")]
    AsRecorded,
    /// So much later; earlier if negative.
    Shifted {
        /// How much.
        seconds: i64,
    },
    /// The same for all.
    At {
        /// Which.
        instant: Timestamp,
    },
}

impl Clock {
    /// The request as if it had been made at that instant. Its token moves with it, so that the
    /// token's age and the life it has left stay what they were.
    #[must_use]
    pub fn request(self, mut request: Request<'_>) -> Request<'_> {
        request.context = self.context(request.context);
        request
    }

    /// The same of the context alone, which is all that a clock moves.
    #[must_use]
    pub(super) fn context(self, mut context: Context<'_>) -> Context<'_> {
        let seconds = match self {
            Self::AsRecorded => return context,
            Self::Shifted { seconds } => seconds,
            Self::At { instant } => instant.since(context.now),
        };
        let moved = |time: Timestamp| time.plus(seconds);
        context.now = context.now.plus(seconds);
        let token = context.token;
        context.token = Token {
            issued_at: token.issued_at.map(moved),
            expires_at: token.expires_at.map(moved),
            not_before: token.not_before.map(moved),
            ..token
        };
        context
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Fact};
    use crate::traffic::{Event, Field};

    #[test]
    fn a_token_keeps_its_age_and_what_is_left_of_it_whatever_the_clock() {
        let mut event = Event::new(Timestamp(1000), "desk", Action::ToolsCall, "pay");
        event.token.iat = Field::Present(Timestamp(900));
        event.token.exp = Field::Present(Timestamp(1500));
        event.token.nbf = Field::Absent;
        for (clock, now) in [
            (Clock::AsRecorded, 1000),
            (Clock::Shifted { seconds: -400 }, 600),
            (Clock::At { instant: Timestamp(9_000) }, 9000),
        ] {
            let context = clock.request(event.request(&[])).context;
            assert_eq!(context.now, Timestamp(now));
            assert_eq!(context.token.issued_at, Fact::Known(Timestamp(now - 100)));
            assert_eq!(context.token.expires_at, Fact::Known(Timestamp(now + 500)));
            assert_eq!(context.token.not_before, Fact::Absent);
        }
    }
}
