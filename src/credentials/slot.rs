//! One credential over time: fetched once for all who wait, renewed before its end, never used after.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::Instant;

use super::credential::{Credential, Handle};
use super::source::{Asked, Caller};
use super::unavailable::Unavailable;
use crate::model::Timestamp;

/// The place of one credential: a server's, or a server's for one caller.
pub(super) struct Slot {
    server: Arc<str>,
    caller: Option<Arc<Caller>>,
    held: ArcSwapOption<Held>,
    flight: Mutex<Flight>,
    /// Counts the fetches that ended.
    landed: watch::Sender<u64>,
}

/// A credential that may be used now.
pub(super) struct Held {
    pub(super) credential: Arc<Credential>,
    /// When to ask for the next.
    pub(super) renew: Instant,
    /// When it is over by the clock that does not jump; by the other it is over at `not_after`.
    pub(super) until: Instant,
}

/// Whether somebody is asking, and how it went before.
#[derive(Default)]
struct Flight {
    running: bool,
    gone: bool,
    failed: Option<Unavailable>,
    /// How many times in a row it failed, and before when nobody asks again.
    streak: u32,
    again: Option<Instant>,
    refused: Option<Handle>,
    refused_at: Option<Instant>,
}

/// What to do for a credential that is not there, or nearly over.
pub(super) enum Turn {
    /// Somebody has just fetched it.
    Have(Arc<Credential>),
    /// Fetch it, then [`Slot::land`]. Whoever waits hears of it.
    Fetch(Asked, watch::Receiver<u64>),
    /// Somebody is fetching it.
    Wait(watch::Receiver<u64>),
    /// It was asked for in vain a moment ago.
    Refrain(Unavailable),
}

impl Slot {
    pub(super) fn new(server: Arc<str>, caller: Option<Arc<Caller>>) -> Arc<Self> {
        let (held, flight, landed) = (ArcSwapOption::empty(), Mutex::default(), watch::Sender::new(0));
        Arc::new(Self { server, caller, held, flight, landed })
    }

    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The credential, if there is one that may be used, and whether it is time to renew it.
    pub(super) fn current(&self, now: Instant, wall: Timestamp) -> Option<(Arc<Credential>, bool)> {
        let held = self.held.load();
        let held = held.as_ref().filter(|held| now < held.until && wall < held.credential.not_after)?;
        Some((Arc::clone(&held.credential), now >= held.renew))
    }

    /// Whose turn it is to fetch.
    pub(super) fn turn(&self, now: Instant, wall: Timestamp) -> Turn {
        let mut flight = self.flight();
        if flight.gone {
            return Turn::Refrain(Unavailable::Stopped);
        }
        if let Some((credential, false)) = self.current(now, wall) {
            return Turn::Have(credential);
        }
        if flight.running {
            return Turn::Wait(self.landed.subscribe());
        }
        if let (Some(failed), Some(again)) = (flight.failed, flight.again)
            && now < again
        {
            return Turn::Refrain(failed);
        }
        flight.running = true;
        let asked =
            Asked { server: Arc::clone(&self.server), caller: self.caller.clone(), refused: flight.refused.take() };
        Turn::Fetch(asked, self.landed.subscribe())
    }

    /// Ends a fetch. `Err(held)` when the slot is gone and what came must be given back.
    pub(super) fn land(&self, outcome: Result<Held, (Unavailable, Instant)>) -> Result<(), Held> {
        let mut flight = self.flight();
        flight.running = false;
        let back = match outcome {
            Ok(held) if flight.gone => Err(held),
            Ok(held) => {
                (flight.failed, flight.again, flight.streak) = (None, None, 0);
                self.held.store(Some(Arc::new(held)));
                Ok(())
            }
            Err((failed, again)) => {
                (flight.failed, flight.again) = (Some(failed), Some(again));
                flight.streak = flight.streak.saturating_add(1);
                Ok(())
            }
        };
        drop(flight);
        self.landed.send_modify(|landed| *landed = landed.wrapping_add(1));
        back
    }

    /// How many fetches in a row have failed.
    pub(super) fn streak(&self) -> u32 {
        self.flight().streak
    }

    /// Why the last fetch failed, when it did.
    pub(super) fn failed(&self) -> Option<Unavailable> {
        self.flight().failed
    }

    /// The server refused this credential: forget it, unless that was said a moment ago. `true` when
    /// it was forgotten.
    pub(super) fn refuse(&self, credential: &Arc<Credential>, now: Instant, spacing: Duration) -> bool {
        let mut flight = self.flight();
        let same = self.held.load().as_ref().is_some_and(|held| Arc::ptr_eq(&held.credential, credential));
        if !same || flight.refused_at.is_some_and(|at| now < at + spacing) {
            return false;
        }
        (flight.refused_at, flight.refused) = (Some(now), Some(credential.handle.clone()));
        self.held.store(None);
        true
    }

    /// Forgets what is held. With `gone` nothing is ever held here again.
    pub(super) fn clear(&self, gone: bool) {
        let mut flight = self.flight();
        flight.gone |= gone;
        self.held.store(None);
    }
}
