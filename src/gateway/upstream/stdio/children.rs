//! The children behind one door: whose each is, how many there may be, and when one goes.
//!
//! A child of the handshake eras serves one session, because what a session negotiates and subscribes
//! to is state of its server. A child of the modern era keeps no such state and serves all that one
//! principal asks. No child ever serves two principals.
//!
//! A credential stands in a child's environment, which nobody can change later. So a child lives no
//! longer than its credential, unless the next one is the same text.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::json;
use tokio::sync::Semaphore;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::failure::{Failure, FailureCode};
use super::super::{Caller, credential};
use super::link::{Link, Said, own};
use super::restarts::Restarts;
use super::{Era, Limits, Program};
use crate::credentials::{Credential, Door};

/// How long a server may take to say whether it speaks the modern era.
const PROBE: Duration = Duration::from_secs(10);
/// How long a server that answered with an error is taken to speak none but the older eras.
const LEGACY: Duration = Duration::from_hours(1);
/// The same for one that did not answer.
const SILENT: Duration = Duration::from_mins(1);
/// A child that was used within this time is not taken from its principal.
const IN_USE: Duration = Duration::from_secs(1);
/// How often idle children are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// The children of one door.
#[derive(Debug)]
pub(super) struct Children {
    program: Program,
    credential: Option<Door>,
    limits: Limits,
    places: Arc<Semaphore>,
    state: Mutex<State>,
    closed: CancellationToken,
    watches: TaskTracker,
}

#[derive(Debug, Default)]
struct State {
    sessions: HashMap<String, (Arc<str>, Arc<Link>)>,
    /// Sessions of each principal that begin just now.
    beginning: HashMap<Arc<str>, usize>,
    modern: HashMap<Arc<str>, Slot>,
    restarts: Restarts,
    legacy_until: Option<Instant>,
}

/// The modern child of a principal. Whoever starts it keeps others waiting.
type Slot = Arc<tokio::sync::Mutex<Option<Arc<Link>>>>;

impl Children {
    pub(super) fn new(program: Program, credential: Option<Door>, limits: Limits) -> Arc<Self> {
        let children = Arc::new(Self {
            program,
            credential,
            limits,
            places: Arc::new(Semaphore::new(limits.children)),
            state: Mutex::default(),
            closed: CancellationToken::new(),
            watches: TaskTracker::new(),
        });
        tokio::spawn(sweep(Arc::downgrade(&children)));
        children
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether no child may be started for now.
    pub(super) fn is_resting(&self) -> bool {
        self.state().restarts.rest(Instant::now()).is_some()
    }

    /// A place among the sessions of a principal. It counts from before its child starts, so that however
    /// many begin at once, they are no more than may be.
    pub(super) fn reserve(self: &Arc<Self>, principal: &Arc<str>) -> Result<Reserved, Failure> {
        loop {
            let own = {
                let mut state = self.state();
                let kept = state.sessions.values().filter(|(whose, _)| *whose == *principal).count();
                let own = kept + state.beginning.get(principal).copied().unwrap_or_default();
                if own < self.limits.sessions {
                    *state.beginning.entry(Arc::clone(principal)).or_default() += 1;
                    return Ok(Reserved { children: Arc::clone(self), principal: Arc::clone(principal) });
                }
                own
            };
            if !self.make_room(Some(principal)) {
                return Err(Failure::new(FailureCode::Busy, format!("this caller has {own} sessions, all in use")));
            }
        }
    }

    /// A child for a new session, for which there is a place.
    pub(super) async fn begin(self: &Arc<Self>, caller: &Caller, _: &Reserved) -> Result<Arc<Link>, Failure> {
        let shown = credential(self.credential.as_ref(), Some(caller)).await?;
        self.start(Era::Legacy, caller, shown)
    }

    /// Keeps the child of a session.
    pub(super) fn keep(&self, session: String, principal: Arc<str>, link: Arc<Link>) {
        self.state().sessions.insert(session, (principal, link));
    }

    /// The child of a session that is this principal's.
    pub(super) fn session(&self, session: &str, principal: &str) -> Option<Arc<Link>> {
        let state = self.state();
        let (whose, link) = state.sessions.get(session)?;
        (**whose == *principal && link.is_alive()).then(|| Arc::clone(link))
    }

    /// Ends a session.
    pub(super) fn end(&self, session: &str) {
        if let Some((_, link)) = self.state().sessions.remove(session) {
            link.stop();
        }
    }

    /// The modern child of a principal; `None` when the program speaks only the older eras.
    pub(super) async fn modern(self: &Arc<Self>, caller: &Caller) -> Result<Option<Arc<Link>>, Failure> {
        let slot = {
            let mut state = self.state();
            if state.legacy_until.is_some_and(|until| Instant::now() < until) {
                return Ok(None);
            }
            Arc::clone(state.modern.entry(self.whose(caller)).or_default())
        };
        let mut held = slot.lock().await;
        let shown = credential(self.credential.as_ref(), Some(caller)).await?;
        // One whose credential is not the one of now finishes what is under way, and ends.
        if let Some(link) = held.as_ref().filter(|link| link.is_alive() && link.shows(shown.as_ref())) {
            return Ok(Some(Arc::clone(link)));
        }
        // Another may have learned it while this one waited.
        if self.state().legacy_until.is_some_and(|until| Instant::now() < until) {
            return Ok(None);
        }
        let link = self.start(Era::Modern, caller, shown)?;
        match probe(&link).await? {
            Some(for_how_long) => {
                self.state().legacy_until = Some(Instant::now() + for_how_long);
                link.stop();
                Ok(None)
            }
            None => {
                *held = Some(Arc::clone(&link));
                Ok(Some(link))
            }
        }
    }

    /// Whose a modern child is: a principal's, and where each caller has a credential of its own, that of
    /// one token. So two tokens of one caller do not take turns in ending each other's child.
    fn whose(&self, caller: &Caller) -> Arc<str> {
        if self.credential.as_ref().is_some_and(Door::is_bound) {
            return format!("{}:{}", caller.asking.expires_at.0, caller.key).into();
        }
        Arc::clone(&caller.key)
    }

    fn start(
        self: &Arc<Self>,
        era: Era,
        caller: &Caller,
        shown: Option<Arc<Credential>>,
    ) -> Result<Arc<Link>, Failure> {
        if self.closed.is_cancelled() {
            return Err(Failure::new(FailureCode::Busy, "the gateway is going down"));
        }
        if let Some(rest) = self.state().restarts.rest(Instant::now()) {
            let detail = format!("its program keeps ending and is started again in {rest:.1?}");
            return Err(Failure::new(FailureCode::Resting, detail));
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            // The place of the one that goes is free when its process is gone.
            self.make_room(None);
            let detail = format!("all {} children are in use", self.limits.children);
            return Err(Failure::new(FailureCode::Busy, detail));
        };
        let link = Link::start(&self.program, shown, era, place).inspect_err(|_| {
            self.state().restarts.ended(Instant::now());
        })?;
        if let Some(door) = &self.credential {
            self.watches.spawn(see_out(door.clone(), caller.clone(), Arc::downgrade(&link), link.ended()));
        }
        let (children, failed, ended) = (Arc::downgrade(self), link.failed(), link.ended());
        self.watches.spawn(async move {
            ended.cancelled().await;
            let Some(children) = children.upgrade() else { return };
            if failed.load(Ordering::Relaxed) {
                tracing::warn!(door = &*children.program.door, "a child has ended by itself");
                children.state().restarts.ended(Instant::now());
            }
            children.state().sessions.retain(|_, (_, link)| !link.ended().is_cancelled());
        });
        Ok(link)
    }

    /// Stops the child that has been idle longest: of a principal, or of anyone.
    fn make_room(&self, principal: Option<&str>) -> bool {
        let now = Instant::now();
        let mut state = self.state();
        let sessions = state.sessions.iter().filter(|(_, (whose, _))| principal.is_none_or(|p| **whose == *p));
        let idle = |link: &Link| link.idle(now).filter(|idle| *idle > IN_USE);
        let session = sessions.filter_map(|(id, (_, link))| Some((idle(link)?, id.clone()))).max();
        if let Some((_, id)) = session {
            if let Some((_, link)) = state.sessions.remove(&id) {
                link.stop();
            }
            return true;
        }
        if principal.is_some() {
            return false;
        }
        let held = state.modern.values().filter_map(|slot| slot.try_lock().ok()?.clone());
        match held.filter_map(|link| Some((idle(&link)?, link))).max_by_key(|(idle, _)| *idle) {
            Some((_, link)) => {
                link.stop();
                true
            }
            None => false,
        }
    }

    fn forget_idle(&self) {
        let (now, idle) = (Instant::now(), self.limits.idle);
        let over = |link: &Link| !link.is_alive() || link.idle(now).is_some_and(|for_how_long| for_how_long >= idle);
        let mut state = self.state();
        state.sessions.retain(|_, (_, link)| {
            let over = over(link);
            if over {
                link.stop();
            }
            !over
        });
        state.modern.retain(|_, slot| {
            let Ok(mut held) = slot.try_lock() else { return true };
            if held.as_ref().is_some_and(|link| over(link))
                && let Some(link) = held.take()
            {
                link.stop();
            }
            held.is_some()
        });
    }

    /// Ends every child and waits until all are gone.
    pub(super) async fn shutdown(&self) {
        self.closed.cancel();
        let links: Vec<Arc<Link>> = {
            let mut state = self.state();
            let sessions = std::mem::take(&mut state.sessions).into_values().map(|(_, link)| link);
            let modern = std::mem::take(&mut state.modern);
            let modern = modern.into_values().filter_map(|slot| slot.try_lock().ok()?.take());
            sessions.chain(modern).collect()
        };
        for link in &links {
            link.stop();
        }
        self.watches.close();
        self.watches.wait().await;
    }
}

/// A place of a session that begins, until it is kept or given up.
#[derive(Debug)]
pub(super) struct Reserved {
    children: Arc<Children>,
    principal: Arc<str>,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut state = self.children.state();
        if let Some(count) = state.beginning.get_mut(&self.principal) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.beginning.remove(&self.principal);
            }
        }
    }
}

/// Asks a child whether it speaks the modern era. `Some` says for how long to believe that it does not.
async fn probe(link: &Arc<Link>) -> Result<Option<Duration>, Failure> {
    let params = json!({"_meta": {
        "io.modelcontextprotocol/protocolVersion": super::MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "doorward", "version": env!("CARGO_PKG_VERSION")},
    }});
    let (message, id) = own("server/discover", &params);
    let mut exchange = link.request(message, id, "server/discover").await?;
    let answered = timeout(PROBE, async {
        loop {
            match exchange.next().await {
                Some(Said::Message(_)) => {}
                other => break other,
            }
        }
    });
    match answered.await {
        Ok(Some(Said::Answer(_, None))) => Ok(None),
        Ok(Some(_)) => Ok(Some(LEGACY)),
        Ok(None) => Err(exchange.gone()),
        Err(_) => Ok(Some(SILENT)),
    }
}

/// Ends a child with its credential, unless the next credential is the same text.
async fn see_out(door: Door, caller: Caller, link: Weak<Link>, ended: CancellationToken) {
    loop {
        let Some(until) = link.upgrade().and_then(|link| link.shows_until()) else { return };
        let next = async {
            sleep_until(until).await;
            credential(Some(&door), Some(&caller)).await.ok().flatten()
        };
        let next = tokio::select! {
            () = ended.cancelled() => return,
            next = next => next,
        };
        let Some(link) = link.upgrade() else { return };
        if !link.shows(next.as_ref()) {
            link.stop();
            return;
        }
    }
}

async fn sweep(children: Weak<Children>) {
    let mut ticks = interval(SWEEP);
    loop {
        ticks.tick().await;
        let Some(children) = children.upgrade() else { break };
        if children.closed.is_cancelled() {
            break;
        }
        children.forget_idle();
    }
}
