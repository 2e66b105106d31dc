//! What all editions of a policy share: the fetches that go on at once, and what is owed.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::credential::{Credential, Handle};
use super::door::Server;
use super::leases::{Leases, Owed};
use super::lifetime::{Bounds, Lifetime};
use super::slot::{Held, Slot, Turn};
use super::source::{Asked, Clock, Dice, Given};
use super::unavailable::Unavailable;
use crate::model::Timestamp;

/// How often taking back is tried before whoever wants it hears that it fails. It goes on after that.
const TRIES: u32 = 3;
/// How long somebody waits for another who is taking the same back.
const LOOK: Duration = Duration::from_millis(20);

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

/// What all doors of all editions share.
pub(super) struct Keeper {
    pub(super) leases: Leases,
    permits: Semaphore,
    returns: Semaphore,
    closed: AtomicBool,
    closing: Notify,
    pub(super) clock: Clock,
    dice: Dice,
    pub(super) limits: Limits,
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").field("owed", &self.leases.count()).finish_non_exhaustive()
    }
}

impl Keeper {
    pub(super) fn new(clock: Clock, dice: Dice, limits: Limits) -> Arc<Self> {
        let permits = || Semaphore::new(limits.fetches.max(1));
        Arc::new(Self {
            leases: Leases::default(),
            permits: permits(),
            returns: permits(),
            closed: AtomicBool::new(false),
            closing: Notify::new(),
            clock,
            dice,
            limits,
        })
    }

    /// Whether nothing is given any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Has the credential fetched, unless somebody does or did so a moment ago.
    pub(super) fn ask(self: &Arc<Self>, server: &Arc<Server>, slot: &Arc<Slot>) -> Turn {
        let turn = slot.turn(Instant::now(), (self.clock)());
        if let Turn::Fetch(asked, _) = &turn {
            let flight = Flight { keeper: Arc::clone(self), slot: Arc::clone(slot), landed: false };
            let fetch = flight.fetch(Arc::clone(server), asked.clone());
            match Runtime::try_current() {
                // In a task of its own: a caller who goes away takes no half-made credential along.
                Ok(runtime) => drop(runtime.spawn(fetch)),
                Err(_) => return Turn::Refrain(Unavailable::Stopped),
            }
        }
        turn
    }

    /// When to ask again after a failure: later each time, and never twice after the same time.
    fn again(&self, slot: &Slot) -> Instant {
        Instant::now() + self.pause(slot.streak())
    }

    /// How long to wait after so many failures.
    fn pause(&self, streak: u32) -> Duration {
        let doubled = self.limits.backoff.saturating_mul(2_u32.saturating_pow(streak));
        let share = 0.5 + f64::from((self.dice)()) / f64::from(u32::MAX) / 2.0;
        doubled.min(self.limits.backoff_max).mul_f64(share)
    }

    /// Bounds the life of what came. What has none left is given back.
    fn hold(
        self: &Arc<Self>,
        server: &Arc<Server>,
        asked: &Asked,
        given: Given,
        caller: Option<Duration>,
        (begun, wall): (Instant, Timestamp),
    ) -> Result<(Held, Option<u64>), Unavailable> {
        let Given { placed, lease, within, handle } = given;
        // The giver counts from when it gave, which is no later than now.
        let number = self.owe(server, asked, &handle, lease.map(|lease| Instant::now() + lease));
        let declared = within.map_or(server.declared.ttl, |within| within.min(server.declared.ttl));
        let bounds = Bounds { declared, lease, caller };
        let lifetime = Lifetime::within(bounds, (self.dice)());
        let until = lifetime.map(|lifetime| begun + lifetime.life).filter(|until| Instant::now() < *until);
        let (Some(lifetime), Some(until)) = (lifetime, until) else {
            self.collect(number);
            return Err(Unavailable::Expired);
        };
        // The clock on the wall counts whole seconds. A life below one ends by the other clock.
        let not_after = wall.plus(i64::try_from(lifetime.life.as_secs().max(1)).unwrap_or(i64::MAX));
        if let Some(number) = number {
            // What is over by itself then is only forgotten.
            let at = lease.filter(|lease| *lease <= lifetime.life).map_or(until, |lease| Instant::now() + lease);
            tokio::spawn(lapse(Arc::downgrade(self), number, at));
        }
        let credential = Arc::new(Credential { placed, not_after, until, handle });
        Ok((Held { credential, renew: begun + lifetime.renew }, number))
    }

    /// Takes note of what may have to be taken back.
    fn owe(&self, server: &Server, asked: &Asked, handle: &Handle, ends: Option<Instant>) -> Option<u64> {
        let source = Arc::clone(&server.declared.source);
        let owed = Owed { asked: asked.clone(), source, handle: handle.clone(), ends };
        (!handle.is_empty()).then(|| self.leases.note(owed))
    }

    /// Sees to it, in a task of its own, that one is taken back.
    fn collect(self: &Arc<Self>, number: Option<u64>) {
        if let Some(number) = number {
            drop(self.take_back(number));
        }
    }

    /// Takes these back, a few at a time. Gives what could not be in a few tries; it is tried on.
    pub(super) async fn settle(self: &Arc<Self>, numbers: Vec<u64>) -> Vec<(String, Unavailable)> {
        let all: Vec<_> = numbers.into_iter().filter_map(|number| self.take_back(number)).collect();
        let told = stream::iter(all).filter_map(async |(server, told)| {
            // A task that broke is a fault of ours.
            let failed = told.await.unwrap_or(Some(Unavailable::Fault))?;
            Some((server, failed))
        });
        told.collect().await
    }

    /// Begins to take one back, unless somebody does. Its task tells when it is done, or fails for now.
    fn take_back(self: &Arc<Self>, number: u64) -> Option<(String, oneshot::Receiver<Option<Unavailable>>)> {
        let owed = self.leases.claim(number)?;
        let (tell, told) = oneshot::channel();
        let server = owed.asked.server.to_string();
        match Runtime::try_current() {
            Ok(runtime) => drop(runtime.spawn(Claim { keeper: Arc::downgrade(self), number }.see_to(owed, tell))),
            Err(_) => self.leases.release(number),
        }
        Some((server, told))
    }

    /// Tries once.
    async fn give_back(&self, number: u64, owed: &Owed) -> Result<(), Unavailable> {
        let over = || owed.ends.is_some_and(|ends| ends <= Instant::now());
        let _few = self.returns.acquire().await;
        let done = if over() { Ok(()) } else { owed.source.revoke(&owed.asked, &owed.handle).await };
        if done.is_ok() || over() {
            self.leases.forget(number);
            return Ok(());
        }
        done
    }

    /// Takes back everything that is not shared, and gives nothing any more. Gives what could not be
    /// taken back by the deadline.
    pub(super) async fn shutdown(self: &Arc<Self>, deadline: Instant) -> Vec<(String, Unavailable)> {
        self.closed.store(true, Ordering::SeqCst);
        self.closing.notify_waiters();
        // Whoever fetches holds a permit until what came is noted.
        let all = u32::try_from(self.limits.fetches.max(1)).unwrap_or(u32::MAX);
        let idle = timeout_at(deadline, self.permits.acquire_many(all)).await;
        let left = self.leases.numbers(|owed| !owed.source.is_shared());
        let all = stream::iter(left.clone()).map(|number| self.last_tries(number));
        let all = all.buffer_unordered(self.limits.fetches.max(1)).for_each(async |()| ());
        // What is left when the time is over says so below.
        let _ = timeout_at(deadline, all).await;
        if !matches!(idle, Ok(Ok(_))) {
            tracing::warn!("credentials are still being fetched at the end: what comes of it ends by itself");
        }
        self.leases.left(&left)
    }

    async fn last_tries(&self, number: u64) {
        let owed = loop {
            match self.leases.claim(number) {
                Some(owed) => break owed,
                None if self.leases.holds(number) => sleep(LOOK).await,
                None => return,
            }
        };
        for attempt in 1..=TRIES {
            let Err(failed) = self.give_back(number, &owed).await else { return };
            self.leases.failed(number, failed);
            if attempt < TRIES {
                sleep(self.pause(attempt)).await;
            }
        }
    }
}

/// A fetch under way. However it ends, the slot hears of it.
struct Flight {
    keeper: Arc<Keeper>,
    slot: Arc<Slot>,
    landed: bool,
}

impl Flight {
    async fn fetch(mut self, server: Arc<Server>, asked: Asked) {
        let keeper = Arc::clone(&self.keeper);
        let source = &server.declared.source;
        // What is read here waits for nothing that is far away.
        let permit = if source.is_near() { None } else { Some(keeper.permits.acquire().await) };
        if keeper.is_closed() || matches!(permit, Some(Err(_))) {
            return self.fail(Unavailable::Stopped);
        }
        let fence = server.fence();
        let (begun, wall) = (Instant::now(), (keeper.clock)());
        let caller = asked.caller.as_ref().map(|c| seconds(c.expires_at.since(wall)));
        let given = match caller {
            // Nothing is made for a caller whose token is over.
            Some(Duration::ZERO) => Err(Unavailable::Expired),
            _ => source.fetch(&asked).await,
        };
        let held = given.and_then(|given| keeper.hold(&server, &asked, given, caller, (begun, wall)));
        match held {
            Err(failed) => {
                tracing::warn!(server = %asked.server, code = failed.code(), "no credential: {}", failed.text());
                self.fail(failed);
            }
            Ok((held, number)) => {
                self.landed = true;
                // Where it was taken back or refused meanwhile, what came goes back at once.
                let counts = || server.fence() == fence && !server.is_gone() && !keeper.is_closed();
                if !self.slot.land(held, counts) {
                    keeper.collect(number);
                }
            }
        }
    }

    fn fail(&mut self, failed: Unavailable) {
        self.landed = true;
        self.slot.fail(failed, self.keeper.again(&self.slot));
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            tracing::error!(code = Unavailable::Fault.code(), "a fetch of a credential broke off");
            self.fail(Unavailable::Fault);
        }
    }
}

/// One that somebody has undertaken to take back.
struct Claim {
    keeper: Weak<Keeper>,
    number: u64,
}

impl Claim {
    /// Tries until it is taken back or over by itself, later each time. At a shutdown that does the rest.
    async fn see_to(self, owed: Arc<Owed>, tell: oneshot::Sender<Option<Unavailable>>) {
        let mut tell = Some(tell);
        let failed = loop {
            let Some(keeper) = self.keeper.upgrade() else { return };
            let Err(failed) = keeper.give_back(self.number, &owed).await else { break None };
            let tries = keeper.leases.failed(self.number, failed);
            if tries >= TRIES
                && let Some(tell) = tell.take()
            {
                tracing::warn!(server = %owed.asked.server, code = failed.code(), "not taken back yet: {}", failed.text());
                let _ = tell.send(Some(failed));
            }
            let pause = sleep(keeper.pause(tries));
            let closing = keeper.closing.notified();
            if keeper.is_closed() {
                break Some(failed);
            }
            tokio::select! {
                () = pause => {}
                () = closing => break Some(failed),
            }
        };
        if let Some(tell) = tell {
            let _ = tell.send(failed);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.upgrade() {
            keeper.leases.release(self.number);
        }
    }
}

/// Takes a credential back at the end of its use, unless it is over by itself then.
async fn lapse(keeper: Weak<Keeper>, number: u64, at: Instant) {
    sleep_until(at).await;
    if let Some(keeper) = keeper.upgrade() {
        keeper.collect(Some(number));
    }
}

/// A number of seconds, none when negative.
fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}
