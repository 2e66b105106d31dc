//! The policy decision point.
//!
//! One pure function decides, in the middleware, the gateway and the simulator. It never reads a
//! file, a clock or the environment, never fails and never allocates for an answer.

use crate::model::{Decision, Effect, Missing, Reason, Request, Verdict};
use crate::policy::CompiledPolicy;

/// Decides a request. A fact that is not known denies.
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
pub fn judge<'p>(_policy: &'p CompiledPolicy, _request: &Request<'_>) -> Verdict<'p> {
    Verdict::Undecided(Missing::NONE)
}
