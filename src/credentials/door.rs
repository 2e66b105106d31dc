//! The credential of one server: kept while it may be used, fetched once for all who wait.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use tokio::time::{Instant, timeout_at};

use super::credential::Credential;
use super::keeper::{Keeper, Limits};
use super::slot::{Slot, Turn};
use super::source::{Caller, Source};
use super::unavailable::Unavailable;

/// What a server's credential is.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Who gives it.
    pub source: Arc<dyn Source>,
    /// The longest life that the policy declares.
    pub ttl: Duration,
    /// Whether each caller gets one of its own.
    pub bound: bool,
    /// What it means. From one edition of the policy to the next a credential is kept where this stays
    /// the same.
    pub meaning: String,
}

/// The credential of one server. Cheap to clone.
///
/// It stands for what one declaration means: whoever holds it never gets the credential of another, not
/// even when a later edition of the policy sends that server of the same name elsewhere.
#[derive(Clone)]
pub struct Door {
    pub(super) keeper: Arc<Keeper>,
    pub(super) server: Arc<Server>,
}

/// One server, and what is held for it.
pub(super) struct Server {
    pub(super) name: Arc<str>,
    pub(super) declared: Declared,
    slots: Slots,
    gone: AtomicBool,
    /// Counts how often everything was taken back. What was asked for before does not count after.
    fence: AtomicU64,
}

enum Slots {
    One(Arc<Slot>),
    EachCaller(Cache<[u8; 32], Arc<Slot>>),
}

impl Door {
    pub(super) fn new(keeper: Arc<Keeper>, name: &str, declared: Declared) -> Self {
        let server = Arc::new(Server::new(name.into(), declared, &keeper.limits));
        Self { keeper, server }
    }

    /// The server, by its name in the policy.
    pub fn name(&self) -> &str {
        &self.server.name
    }

    /// What its credential means.
    pub fn meaning(&self) -> &str {
        &self.server.declared.meaning
    }

    /// Whether each caller has a credential of its own here.
    pub fn is_bound(&self) -> bool {
        self.server.declared.bound
    }

    /// Whether both are one.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.server, &other.server)
    }

    /// The credential; for this caller, where the policy binds it to one. Never one whose life is over.
    ///
    /// # Errors
    ///
    /// There is none and none can be had now. The next call may find one.
    pub async fn get(&self, caller: Option<&Arc<Caller>>) -> Result<Arc<Credential>, Unavailable> {
        self.get_within(caller, self.keeper.limits.patience).await
    }

    pub(super) async fn get_within(
        &self,
        caller: Option<&Arc<Caller>>,
        patience: Duration,
    ) -> Result<Arc<Credential>, Unavailable> {
        let Self { keeper, server } = self;
        if keeper.is_closed() {
            return Err(Unavailable::Stopped);
        }
        let slot = server.slot(caller)?;
        let current = || slot.current(Instant::now(), (keeper.clock)());
        if let Some((credential, renew)) = current() {
            if renew {
                // Renewing goes on behind the caller's back.
                let _ = keeper.ask(server, &slot);
            }
            return Ok(credential);
        }
        let deadline = Instant::now() + patience;
        loop {
            if server.is_gone() {
                return Err(Unavailable::Stopped);
            }
            let mut landed = match keeper.ask(server, &slot) {
                Turn::Fetch(_, landed) | Turn::Wait(landed) => landed,
                Turn::Have(credential) => return Ok(credential),
                Turn::Refrain(failed) => return Err(failed),
            };
            let waited = timeout_at(deadline, landed.changed()).await;
            match (current(), slot.failed()) {
                (Some((credential, _)), _) => return Ok(credential),
                (None, Some(failed)) if waited.is_ok() => return Err(failed),
                (None, _) if waited.is_err() => return Err(Unavailable::TimedOut),
                // What came was taken back or refused meanwhile: another is asked for.
                (None, _) => {}
            }
        }
    }

    /// Says that the server refused a credential, so that the next call gets another. Believed once in
    /// [`Limits::spacing`], so that a server which refuses everything starts no storm.
    pub fn refused(&self, caller: Option<&Arc<Caller>>, credential: &Arc<Credential>) {
        if let Ok(slot) = self.server.slot(caller) {
            slot.refuse(credential, Instant::now(), self.keeper.limits.spacing);
        }
    }

    /// Takes back whatever the credentials are now. The next call gets another. Gives what could not be
    /// taken back yet; it is tried on.
    pub async fn revoke(&self) -> Vec<(String, Unavailable)> {
        self.clear(false).await
    }

    /// The same, and nothing is given here any more.
    pub(super) async fn retire(&self) -> Vec<(String, Unavailable)> {
        self.clear(true).await
    }

    async fn clear(&self, gone: bool) -> Vec<(String, Unavailable)> {
        self.server.clear(gone);
        // A name is of one declaration: the same words elsewhere are another.
        let given = self.keeper.leases.numbers(|owed| Arc::ptr_eq(&self.server.name, &owed.asked.server));
        self.keeper.settle(given).await
    }

    /// Whether one can be used now, and why the last fetch failed, when it did. Nothing of either where
    /// each caller has its own.
    pub(super) fn standing(&self) -> (bool, Option<Unavailable>) {
        match &self.server.slots {
            Slots::One(slot) => (slot.current(Instant::now(), (self.keeper.clock)()).is_some(), slot.failed()),
            Slots::EachCaller(_) => (false, None),
        }
    }
}

impl Server {
    fn new(name: Arc<str>, declared: Declared, limits: &Limits) -> Self {
        let slots = if declared.bound {
            let idle = declared.ttl.max(limits.patience);
            Slots::EachCaller(Cache::builder().max_capacity(limits.callers).time_to_idle(idle).build())
        } else {
            Slots::One(Slot::new(Arc::clone(&name), None))
        };
        Self { name, declared, slots, gone: AtomicBool::new(false), fence: AtomicU64::new(0) }
    }

    /// Whether nothing is given here any more.
    pub(super) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::SeqCst)
    }

    pub(super) fn fence(&self) -> u64 {
        self.fence.load(Ordering::SeqCst)
    }

    fn slot(&self, caller: Option<&Arc<Caller>>) -> Result<Arc<Slot>, Unavailable> {
        let slot = match (&self.slots, caller) {
            (Slots::One(slot), _) => Arc::clone(slot),
            (Slots::EachCaller(..), None) => return Err(Unavailable::Undeclared),
            (Slots::EachCaller(slots), Some(caller)) => {
                slots.get_with(caller.key(), || Slot::new(Arc::clone(&self.name), Some(Arc::clone(caller))))
            }
        };
        // Looked at after the slot is in its place: whoever clears sees either the slot or this.
        if self.is_gone() { Err(Unavailable::Stopped) } else { Ok(slot) }
    }

    fn clear(&self, gone: bool) {
        if gone {
            self.gone.store(true, Ordering::SeqCst);
        }
        self.fence.fetch_add(1, Ordering::SeqCst);
        match &self.slots {
            Slots::One(slot) => slot.clear(),
            Slots::EachCaller(slots) => slots.iter().for_each(|(_, slot)| slot.clear()),
        }
    }
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("server", &self.server.name).finish_non_exhaustive()
    }
}
