//! The policy decision point.
//!
//! One pure function decides, in the middleware, the gateway and the simulator. It never reads a
//! file, a clock or the environment, never fails and never allocates for an answer.
//!
//! The checks, in order; the first that fails gives the reason:
//! method, door and name are known; the token is from an accepted issuer, for this door, and young
//! enough; a server that calls is listed; no deny applies; the token carries a scope; a grant
//! applies; the argument rules of the tool hold.

mod advice;
mod evaluate;
mod explain;
mod selector;
mod stance;
mod survey;
mod token;
mod truth;
mod unmet;

pub use advice::Edit;
pub use explain::{Check, Condition, Considered, Explanation, Outcome, explain};
pub(crate) use stance::{stance, token_stance};
pub(crate) use survey::{Covering, Reach, Survey};

use crate::model::{Decision, Effect, Reason, Request, Verdict};
use crate::policy::CompiledPolicy;

/// Decides a request. A fact that is not known denies, with [`Reason::MissingFact`].
pub fn decide<'p>(policy: &'p CompiledPolicy, request: &Request<'_>) -> Decision<'p> {
    match judge(policy, request) {
        Verdict::Decided(decision) => decision,
        Verdict::Undecided(missing) => {
            Decision { effect: Effect::Deny, reason: Reason::MissingFact, rule: None, obligations: None, missing }
        }
    }
}

/// Judges a request of which not every fact may be known: decided only when no unknown fact could
/// change the effect.
///
/// It may stay undecided although every completion would give one effect: facts are taken one at a
/// time, not together.
pub fn judge<'p>(policy: &'p CompiledPolicy, request: &Request<'_>) -> Verdict<'p> {
    evaluate::judge(policy, request)
}
