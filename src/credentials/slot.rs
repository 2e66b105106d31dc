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
}

/// Whether somebody is asking, and how it went before.
#[derive(Default)]
struct Flight {
    running: bool,
    failed: Option<Unavailable>,
    /// How many times in a row it failed, and before when nobody asks again.
    streak: u32,
    again: Option<Instant>,
    /// What the server refused, until there is another.
    refused: Option<Handle>,
    refused_at: Option<Instant>,
}

/// What to do for a credential that is not there, or nearly over.
pub(super) enum Turn {
    /// Somebody has just fetched it.
    Have(Arc<Credential>),
    /// Fetch it, then [`Slot::land`] or [`Slot::fail`]. Whoever waits hears of it.
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
        let held = held.as_ref().filter(|held| held.credential.lives(now, wall))?;
        Some((Arc::clone(&held.credential), now >= held.renew))
    }

    /// Whose turn it is to fetch.
    pub(super) fn turn(&self, now: Instant, wall: Timestamp) -> Turn {
        let mut flight = self.flight();
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
        let (server, caller) = (Arc::clone(&self.server), self.caller.clone());
        Turn::Fetch(Asked { server, caller, at: wall, refused: flight.refused.clone() }, self.landed.subscribe())
    }

    /// Ends a fetch with what came. `false` when that is not to be used: it was taken back meanwhile, of
    /// which `counts` tells, or the server refused it.
    pub(super) fn land(&self, held: Held, counts: impl FnOnce() -> bool) -> bool {
        let mut flight = self.flight();
        flight.running = false;
        (flight.failed, flight.again, flight.streak) = (None, None, 0);
        let refused = flight.refused.as_ref().is_some_and(|refused| *refused == held.credential.handle);
        let kept = !refused && counts();
        if kept {
            flight.refused = None;
            self.held.store(Some(Arc::new(held)));
        }
        drop(flight);
        self.tell();
        kept
    }

    /// Ends a fetch with nothing. Nobody asks before `again`.
    pub(super) fn fail(&self, failed: Unavailable, again: Instant) {
        let mut flight = self.flight();
        flight.running = false;
        (flight.failed, flight.again) = (Some(failed), Some(again));
        flight.streak = flight.streak.saturating_add(1);
        drop(flight);
        self.tell();
    }

    fn tell(&self) {
        self.landed.send_modify(|landed| *landed = landed.wrapping_add(1));
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
        flight.refused_at = Some(now);
        flight.refused = Some(credential.handle.clone()).filter(|handle| !handle.is_empty());
        self.held.store(None);
        true
    }

    /// Forgets what is held.
    pub(super) fn clear(&self) {
        let _flight = self.flight();
        self.held.store(None);
    }
}
