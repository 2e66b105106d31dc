//! The order of a request, held by types: [`Authenticated`], then [`Permitted`], then [`Recorded`].
//!
//! Each is made only of the one before, and only the last can do anything:
//!
//! ```
//! # use doorward::pep::{Ask, Guard, Refusal};
//! # async fn whole(guard: Guard, token: &str, ask: Ask) -> Result<(), Refusal> {
//! let recorded = guard.authenticate("desk", Some(token)).await?.permit(ask).await?.record(None).await?;
//! recorded.run(async { Ok(()) }).await
//! # }
//! ```
//!
//! A path that skips one does not compile:
//!
//! ```compile_fail,E0451
//! # use doorward::pep::{Authenticated, Permitted};
//! # fn skip(who: Authenticated) -> Permitted {
//! Permitted { caller: who.caller, intent: todo!(), trace: todo!() }
//! # }
//! ```
//!
//! ```compile_fail,E0599
//! # use doorward::pep::Authenticated;
//! # async fn skip(who: Authenticated) {
//! who.record(None).await; // what was not permitted cannot be recorded
//! # }
//! ```
//!
//! ```compile_fail,E0599
//! # use doorward::pep::Permitted;
//! # async fn skip(permitted: Permitted) {
//! permitted.run(async { Ok::<(), ()>(()) }).await; // what is not on record cannot be done
//! # }
//! ```
//!
//! ```compile_fail,E0599
//! # use doorward::pep::{Ask, Guard};
//! # async fn skip(guard: Guard, ask: Ask) {
//! guard.permit(ask).await; // nobody is permitted anything before it is known who it is
//! # }
//! ```

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use super::caller::{Ask, Caller};
use super::code::GuardCode;
use super::guard::Guard;
use super::known::Known;
use super::principal::Principal;
use super::refusal::Refusal;
use super::trace::Trace;
use super::watch::Watch;
use crate::audit::{self, Intent};
use crate::identity::NotVerified;

/// A caller whose token holds. Whether it is for this door and fresh is part of the decision.
pub struct Authenticated {
    pub(super) caller: Arc<Caller>,
}

/// A request that the policy allows, and that is on no record yet.
pub struct Permitted {
    pub(super) caller: Arc<Caller>,
    pub(super) intent: Box<Intent>,
    pub(super) trace: Option<Trace>,
}

/// A request that the policy allows and whose row is durable: it may take effect.
pub struct Recorded {
    pub(super) caller: Arc<Caller>,
    pub(super) watch: Watch,
}

impl Guard {
    /// Finds out who asks at a door, from a bearer token.
    ///
    /// # Errors
    ///
    /// When there is no token, or it is not believed. Such refusals are counted in the audit log.
    pub async fn authenticate(&self, door: &str, token: Option<&str>) -> Result<Authenticated, Refusal> {
        let rules = self.0.rules.load_full();
        let door = rules.door(door);
        let now = self.now();
        let count = |reason| self.0.tally.add(&*self.0.log, door.name(), reason, now);
        let Some(token) = token else {
            count(GuardCode::TokenMissing.as_str());
            return Err(GuardCode::TokenMissing.into());
        };
        let verified = rules.verifier.verify(token, now).await.map_err(|not_verified| {
            count(not_verified.code());
            tracing::debug!(code = not_verified.code(), door = &**door.name(), "a token was refused");
            match not_verified {
                NotVerified::Refused(_) => GuardCode::TokenInvalid,
                NotVerified::Unavailable => GuardCode::KeysUnavailable,
            }
        })?;
        let known = Known::of(&verified, &rules);
        let principal = known.principal.clone();
        let request = (self.0.surroundings.ids)().into();
        Ok(Authenticated {
            caller: Arc::new(Caller { guard: self.clone(), rules, door, verified, principal, known, request, now }),
        })
    }
}

impl Authenticated {
    /// Whom the token is about.
    pub fn principal(&self) -> &Principal {
        &self.caller.principal
    }

    /// Asks the policy.
    ///
    /// # Errors
    ///
    /// What the caller is told when the policy denies it or a rate is used up. The denial is on record
    /// then; if it cannot be, the refusal is `audit-unavailable`.
    pub async fn permit(self, ask: Ask) -> Result<Permitted, Refusal> {
        let (intent, passes) = self.caller.weigh(&ask).await;
        match passes {
            Ok(()) => Ok(Permitted { caller: self.caller, intent: Box::new(intent), trace: ask.trace }),
            Err(refusal) => Err(self.denied(&ask, intent, refusal).await),
        }
    }

    /// Puts a refusal by the guard itself on record.
    pub(super) async fn refuse(&self, ask: &Ask, refusal: Refusal) -> Refusal {
        let intent = self.caller.refused(ask, &refusal);
        self.denied(ask, intent, refusal).await
    }

    async fn denied(&self, ask: &Ask, intent: Intent, refusal: Refusal) -> Refusal {
        let guard = &self.caller.guard;
        let span = ask.trace.as_ref().and_then(|trace| trace.span(&intent));
        let refusal = match guard.0.log.intent(intent).await {
            Ok(_) => refusal,
            Err(audit::Unavailable) => GuardCode::AuditUnavailable.into(),
        };
        if let (Some(span), Some(tracer)) = (span, guard.tracer()) {
            tracer.end(span.refused(&refusal));
        }
        refusal
    }
}

impl Permitted {
    /// Puts the request on record, with the digest of the bytes that take effect.
    ///
    /// # Errors
    ///
    /// When the row cannot be made durable.
    pub async fn record(self, message: Option<&[u8]>) -> Result<Recorded, Refusal> {
        let Self { caller, intent, trace } = self;
        let intent = Intent { message: message.map(audit::digest), ..*intent };
        let span = trace.as_ref().and_then(|trace| trace.span(&intent));
        let receipt = match caller.guard.0.log.intent(intent).await {
            Ok(receipt) => receipt,
            Err(audit::Unavailable) => {
                let refusal = Refusal::from(GuardCode::AuditUnavailable);
                if let (Some(span), Some(tracer)) = (span, caller.guard.tracer()) {
                    tracer.end(span.refused(&refusal));
                }
                return Err(refusal);
            }
        };
        let own = trace.and_then(|trace| trace.own().copied());
        let watch = Watch::new(caller.guard.clone(), receipt, own, span);
        Ok(Recorded { caller, watch })
    }
}

impl Recorded {
    /// Does what is on record, and records what became of it.
    ///
    /// # Errors
    ///
    /// Those of `effect`.
    pub async fn run<T, E>(mut self, effect: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let done = effect.await;
        self.watch.end(if done.is_ok() { "answered" } else { GuardCode::UpstreamFailed.as_str() });
        done
    }

    /// The identifier of the request in the audit log.
    pub fn request(&self) -> &str {
        &self.caller.request
    }
}

impl fmt::Debug for Authenticated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticated").field("principal", self.principal()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Permitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permitted").field("request", &self.caller.request).finish_non_exhaustive()
    }
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").field("request", &self.caller.request).finish_non_exhaustive()
    }
}
