//! The credentials of all servers: kept while they may be used, fetched once for all who wait.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt;
use futures_util::stream;
use moka::sync::Cache;
use tokio::runtime::Handle as Runtime;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::credential::Credential;
use super::leases::{Leases, Owed};
use super::lifetime::{Bounds, Lifetime};
use super::slot::{Held, Slot, Turn};
use super::source::{Asked, Caller, Clock, Dice, Given, Source};
use super::unavailable::Unavailable;
use crate::model::Timestamp;

/// What a server's credential is.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Who gives it.
    pub source: Arc<dyn Source>,
    /// The longest life that the policy declares.
    pub ttl: Duration,
    /// Whether each caller gets one of its own.
    pub bound: bool,
    /// What it means. At a reload a credential is kept where this stays the same.
    pub meaning: String,
}

/// How much and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest that a caller waits.
    pub patience: Duration,
    /// How many fetches go on at once.
    pub fetches: usize,
    /// How many callers have credentials of their own at one server.
    pub callers: u64,
    /// How long nobody asks after a first failure; doubled with each further one.
    pub backoff: Duration,
    /// The longest that nobody asks after a failure.
    pub backoff_max: Duration,
    /// The shortest time between two credentials that a server refuses.
    pub spacing: Duration,
}

impl Default for Limits {
    /// 10 seconds, 16 at once, 10,000 callers, from 250 milliseconds to 30 seconds, 10 seconds.
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            fetches: 16,
            callers: 10_000,
            backoff: Duration::from_millis(250),
            backoff_max: Duration::from_secs(30),
            spacing: Duration::from_secs(10),
        }
    }
}

/// The credentials of all servers. Cheap to clone.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    doors: ArcSwap<HashMap<String, Arc<Door>>>,
    leases: Leases,
    permits: Semaphore,
    closed: AtomicBool,
    clock: Clock,
    dice: Dice,
    limits: Limits,
}

struct Door {
    declared: Declared,
    slots: Slots,
}

enum Slots {
    One(Arc<Slot>),
    EachCaller(Arc<str>, Cache<[u8; 32], Arc<Slot>>),
}

/// What an operator may want to know of a server's credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The server, by its name in the policy.
    pub server: String,
    /// Whether one can be used now. Always `false` where each caller has one of its own.
    pub held: bool,
    /// Why the last fetch failed, when it did.
    pub failed: Option<Unavailable>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("doors", &self.0.doors.load().len()).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Keeps the credentials of these servers, by their names. Fetches nothing yet.
    pub fn new(doors: BTreeMap<String, Declared>, clock: Clock, dice: Dice, limits: Limits) -> Self {
        let doors = doors.into_iter().map(|(name, declared)| door(name, declared, &limits)).collect();
        Self(Arc::new(Inner {
            doors: ArcSwap::from_pointee(doors),
            leases: Leases::default(),
            permits: Semaphore::new(limits.fetches.max(1)),
            closed: AtomicBool::new(false),
            clock,
            dice,
            limits,
        }))
    }

    /// The credential for a server; for this caller, where the policy binds it to one. Never one whose
    /// life is over.
    ///
    /// # Errors
    ///
    /// There is none and none can be had now. The next call may find one.
    pub async fn get(&self, server: &str, caller: Option<&Arc<Caller>>) -> Result<Arc<Credential>, Unavailable> {
        self.get_within(server, caller, self.0.limits.patience).await
    }

    async fn get_within(
        &self,
        server: &str,
        caller: Option<&Arc<Caller>>,
        patience: Duration,
    ) -> Result<Arc<Credential>, Unavailable> {
        let (door, slot) = {
            let doors = self.0.doors.load();
            let door = doors.get(server).ok_or(Unavailable::Undeclared)?;
            let slot = door.slots.of(caller)?;
            match slot.current(Instant::now(), (self.0.clock)()) {
                Some((credential, false)) => return Ok(credential),
                Some((credential, true)) => {
                    // Renewing goes on behind the caller's back.
                    let _ = self.0.ask(door, &slot);
                    return Ok(credential);
                }
                None => (Arc::clone(door), slot),
            }
        };
        let mut landed = match self.0.ask(&door, &slot) {
            Turn::Fetch(_, landed) | Turn::Wait(landed) => landed,
            Turn::Have(credential) => return Ok(credential),
            Turn::Refrain(failed) => return Err(failed),
        };
        let waited = timeout(patience, landed.changed()).await;
        match slot.current(Instant::now(), (self.0.clock)()) {
            Some((credential, _)) => Ok(credential),
            None if waited.is_err() => Err(Unavailable::TimedOut),
            None => Err(slot.failed().unwrap_or(Unavailable::Expired)),
        }
    }

    /// Says that the server refused a credential, so that the next call gets another. Believed once in
    /// [`Limits::spacing`], so that a server which refuses everything starts no storm.
    pub fn refused(&self, server: &str, caller: Option<&Arc<Caller>>, credential: &Arc<Credential>) {
        let doors = self.0.doors.load();
        if let Some(slot) = doors.get(server).and_then(|door| door.slots.of(caller).ok()) {
            slot.refuse(credential, Instant::now(), self.0.limits.spacing);
        }
    }

    /// Fetches what each server needs, unless each caller has its own, and waits so long for it. Says how
    /// it stands then.
    pub async fn prepare(&self, patience: Duration) -> Vec<Standing> {
        let doors = self.0.doors.load_full();
        let single = doors.iter().filter(|(_, door)| matches!(door.slots, Slots::One(_))).map(|(name, _)| name);
        stream::iter(single)
            .for_each_concurrent(None, async |name| drop(self.get_within(name, None, patience).await))
            .await;
        self.standing()
    }

    /// How it stands with each server, by name.
    pub fn standing(&self) -> Vec<Standing> {
        let (now, wall) = (Instant::now(), (self.0.clock)());
        let of = |(name, door): (&String, &Arc<Door>)| {
            let (held, failed) = match &door.slots {
                Slots::One(slot) => (slot.current(now, wall).is_some(), slot.failed()),
                Slots::EachCaller(..) => (false, None),
            };
            Standing { server: name.clone(), held, failed }
        };
        let mut all: Vec<_> = self.0.doors.load().iter().map(of).collect();
        all.sort_by(|a, b| a.server.cmp(&b.server));
        all
    }

    /// How many credentials may still have to be taken back.
    pub fn owed(&self) -> usize {
        self.0.leases.count()
    }

    /// Takes other servers. What means the same stays; what is removed or changed is taken back.
    /// Gives the servers whose credentials could not be.
    pub async fn replace(&self, doors: BTreeMap<String, Declared>) -> Vec<(String, Unavailable)> {
        let old = self.0.doors.load_full();
        let kept = |name: &str, new: &Declared| {
            old.get(name).filter(|door| door.declared.meaning == new.meaning && door.declared.bound == new.bound)
        };
        let new: HashMap<_, _> = doors
            .into_iter()
            .map(|(name, declared)| match kept(&name, &declared) {
                Some(door) => (name, Arc::clone(door)),
                None => door(name, declared, &self.0.limits),
            })
            .collect();
        let is_kept = |name: &str, door: &Arc<Door>| new.get(name).is_some_and(|new| Arc::ptr_eq(new, door));
        let removed: Vec<_> = old.iter().filter(|(name, door)| !is_kept(name, door)).collect();
        // From here on no call finds a removed server, and none of its fetches is kept.
        self.0.doors.store(Arc::new(new.clone()));
        let mut owed = Vec::new();
        for (_, door) in removed {
            door.slots.clear(true);
            owed.append(&mut self.0.leases.take_all(|owed| door.gave(owed)));
        }
        self.0.settle(owed).await
    }

    /// Takes back whatever a server's credentials are now. The next call gets another. Gives what could
    /// not be taken back.
    pub async fn revoke(&self, server: &str) -> Vec<(String, Unavailable)> {
        let Some(door) = self.0.doors.load().get(server).cloned() else { return Vec::new() };
        door.slots.clear(false);
        self.0.settle(self.0.leases.take_all(|owed| door.gave(owed))).await
    }

    /// Takes back everything that is not shared, and gives nothing any more. Gives what could not be
    /// taken back by the deadline.
    pub async fn shutdown(&self, deadline: Instant) -> Vec<(String, Unavailable)> {
        self.0.closed.store(true, Ordering::SeqCst);
        for door in self.0.doors.swap(Arc::default()).values() {
            door.slots.clear(true);
        }
        // Whoever fetches holds a permit until what came is given back.
        let all = u32::try_from(self.0.limits.fetches.max(1)).unwrap_or(u32::MAX);
        let idle = timeout_at(deadline, self.0.permits.acquire_many(all)).await;
        let mut left = self.0.leases.take_all(|_| true);
        left.retain(|owed| !owed.source.is_shared());
        let names: Vec<_> = left.iter().map(|owed| owed.asked.server.to_string()).collect();
        match timeout_at(deadline, self.0.settle(left)).await {
            Ok(failed) if matches!(idle, Ok(Ok(_))) => failed,
            _ => names.into_iter().map(|name| (name, Unavailable::TimedOut)).collect(),
        }
    }
}

fn door(name: String, declared: Declared, limits: &Limits) -> (String, Arc<Door>) {
    let server: Arc<str> = name.as_str().into();
    let slots = if declared.bound {
        let cache = Cache::builder().max_capacity(limits.callers).time_to_idle(declared.ttl.max(limits.patience));
        Slots::EachCaller(server, cache.build())
    } else {
        Slots::One(Slot::new(server, None))
    };
    (name, Arc::new(Door { declared, slots }))
}

impl Door {
    fn gave(&self, owed: &Owed) -> bool {
        Arc::ptr_eq(&self.declared.source, &owed.source)
    }
}

impl Slots {
    fn of(&self, caller: Option<&Arc<Caller>>) -> Result<Arc<Slot>, Unavailable> {
        match (self, caller) {
            (Self::One(slot), _) => Ok(Arc::clone(slot)),
            (Self::EachCaller(..), None) => Err(Unavailable::Undeclared),
            (Self::EachCaller(server, slots), Some(caller)) => {
                Ok(slots.get_with(caller.key(), || Slot::new(Arc::clone(server), Some(Arc::clone(caller)))))
            }
        }
    }

    fn clear(&self, gone: bool) {
        match self {
            Self::One(slot) => slot.clear(gone),
            Self::EachCaller(_, slots) => {
                slots.iter().for_each(|(_, slot)| slot.clear(gone));
                slots.invalidate_all();
            }
        }
    }
}

impl Inner {
    /// Has the credential fetched, unless somebody does or did so a moment ago.
    fn ask(self: &Arc<Self>, door: &Arc<Door>, slot: &Arc<Slot>) -> Turn {
        let turn = slot.turn(Instant::now(), (self.clock)());
        if let Turn::Fetch(asked, _) = &turn {
            let fetch = Arc::clone(self).fetch(Arc::clone(door), Arc::clone(slot), asked.clone());
            match Runtime::try_current() {
                // In a task of its own: a caller who goes away takes no half-made credential along.
                Ok(runtime) => drop(runtime.spawn(fetch)),
                Err(_) => return self.give_up(slot, Unavailable::Stopped),
            }
        }
        turn
    }

    fn give_up(&self, slot: &Slot, failed: Unavailable) -> Turn {
        drop(slot.land(Err((failed, self.again(slot)))));
        Turn::Refrain(failed)
    }

    /// When to ask again after a failure: later each time, and never twice after the same time.
    fn again(&self, slot: &Slot) -> Instant {
        let doubled = self.limits.backoff.saturating_mul(2_u32.saturating_pow(slot.streak()));
        let longest = doubled.min(self.limits.backoff_max);
        let share = 0.5 + f64::from((self.dice)()) / f64::from(u32::MAX) / 2.0;
        Instant::now() + longest.mul_f64(share)
    }

    async fn fetch(self: Arc<Self>, door: Arc<Door>, slot: Arc<Slot>, asked: Asked) {
        let permit = self.permits.acquire().await;
        if permit.is_err() || self.closed.load(Ordering::SeqCst) {
            drop(slot.land(Err((Unavailable::Stopped, self.again(&slot)))));
            return;
        }
        let (begun, wall) = (Instant::now(), (self.clock)());
        let caller = asked.caller.as_ref().map(|c| seconds(c.expires_at.since(wall)));
        let given = match caller {
            // Nothing is made for a caller whose token is over.
            Some(Duration::ZERO) => Err(Unavailable::Expired),
            _ => door.declared.source.fetch(&asked).await,
        };
        let again = self.again(&slot);
        let (number, outcome) = match given {
            Err(failed) => (None, Err(failed)),
            Ok(given) => match self.hold(&door, &asked, given, caller, (begun, wall)).await {
                Ok((held, number)) => (number, Ok(held)),
                Err(failed) => (None, Err(failed)),
            },
        };
        if let Err(failed) = &outcome {
            tracing::warn!(server = %asked.server, code = failed.code(), "no credential: {}", failed.text());
        }
        let landed = slot.land(outcome.map_err(|failed| (failed, again)));
        // Where the server was removed meanwhile, what came goes back at once.
        if landed.is_err()
            && let Some(owed) = number.and_then(|number| self.leases.take(number))
        {
            self.settle(vec![owed]).await;
        }
    }

    /// Bounds the life of what came. What has none left is given back.
    async fn hold(
        self: &Arc<Self>,
        door: &Arc<Door>,
        asked: &Asked,
        given: Given,
        caller: Option<Duration>,
        (begun, wall): (Instant, Timestamp),
    ) -> Result<(Held, Option<u64>), Unavailable> {
        let bounds = Bounds { declared: door.declared.ttl, lease: given.lease, caller };
        let owed =
            Owed { asked: asked.clone(), source: Arc::clone(&door.declared.source), handle: given.handle.clone() };
        let lifetime = Lifetime::within(bounds, (self.dice)());
        let until = lifetime.map(|lifetime| begun + lifetime.life).filter(|until| Instant::now() < *until);
        let (Some(lifetime), Some(until)) = (lifetime, until) else {
            self.settle(vec![owed]).await;
            return Err(Unavailable::Expired);
        };
        // The clock on the wall counts whole seconds. A life below one ends by the other clock.
        let not_after = wall.plus(i64::try_from(lifetime.life.as_secs().max(1)).unwrap_or(i64::MAX));
        let number = (!owed.handle.is_empty()).then(|| {
            let outlives = given.lease.is_none_or(|lease| lease > lifetime.life);
            let number = self.leases.note(owed);
            tokio::spawn(lapse(Arc::downgrade(self), number, until, outlives));
            number
        });
        let credential = Arc::new(Credential { placed: given.placed, not_after, handle: given.handle });
        Ok((Held { credential, renew: begun + lifetime.renew, until }, number))
    }

    /// Takes credentials back, a few at a time and each up to three times. Gives what could not be.
    async fn settle(&self, owed: Vec<Owed>) -> Vec<(String, Unavailable)> {
        let one = |owed: Owed| async move {
            if owed.handle.is_empty() {
                return None;
            }
            let mut failed = Unavailable::Stopped;
            for attempt in 0..3_u32 {
                if attempt > 0 {
                    let share = 0.5 + f64::from((self.dice)()) / f64::from(u32::MAX) / 2.0;
                    sleep((self.limits.backoff * 2_u32.pow(attempt)).mul_f64(share)).await;
                }
                match owed.source.revoke(&owed.asked, &owed.handle).await {
                    Ok(()) => return None,
                    Err(reason) => failed = reason,
                }
            }
            tracing::warn!(server = %owed.asked.server, code = failed.code(), "not taken back: {}", failed.text());
            Some((owed.asked.server.to_string(), failed))
        };
        let all = stream::iter(owed).map(one).buffer_unordered(self.limits.fetches.max(1));
        all.filter_map(std::future::ready).collect().await
    }
}

/// Takes a credential back at the end of its use, if it would live on.
async fn lapse(inner: Weak<Inner>, number: u64, until: Instant, outlives: bool) {
    sleep_until(until).await;
    if let Some(inner) = inner.upgrade()
        && let Some(owed) = inner.leases.take(number)
        && outlives
    {
        inner.settle(vec![owed]).await;
    }
}

/// A number of seconds, none when negative.
fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}
