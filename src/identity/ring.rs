//! The keys of one issuer over time: fetched, refreshed, and given up when they are too old.
//!
//! | when | then |
//! | --- | --- |
//! | the keys are younger than the refresh interval | they are used |
//! | the interval is over | they are used, and asked for again behind the callers' backs |
//! | a token names a `kid` that they do not have | they are asked for again at once, and the caller waits |
//! | asking fails | the known ones are used for [`KeyTimes::stale`] longer, then there are none |
//!
//! However many callers want keys, one asks; and between two times that anyone asks at least
//! [`KeyTimes::spacing`] passes, so that no stream of tokens becomes a stream of fetches. Ages are
//! measured by the runtime's own clock, which does not jump.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::fetch::{Fetch, FetchError, Fetched, MAX_DOCUMENT, Network, Place};
use super::keys::KeySet;
use super::metadata;
use crate::policy::set::{Issuer, KeySource};

/// When keys are asked for, and how long they last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTimes {
    /// How old keys may grow before they are asked for again, where their source does not say.
    pub refresh: Duration,
    /// The shortest time that a source may say.
    pub refresh_min: Duration,
    /// The longest time that a source may say.
    pub refresh_max: Duration,
    /// The shortest time between two times that anyone asks.
    pub spacing: Duration,
    /// For how long keys that should have been refreshed are still used while asking fails.
    pub stale: Duration,
    /// The longest that one document may take to come.
    pub patience: Duration,
}

impl Default for KeyTimes {
    /// Every 5 minutes, or what the source says between 1 minute and 1 hour; at most one question in
    /// 10 seconds; keys without news for 1 hour longer; 5 seconds for a document.
    fn default() -> Self {
        Self {
            refresh: Duration::from_mins(5),
            refresh_min: Duration::from_mins(1),
            refresh_max: Duration::from_hours(1),
            spacing: Duration::from_secs(10),
            stale: Duration::from_hours(1),
            patience: Duration::from_secs(5),
        }
    }
}

/// What an operator may want to know of an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingStatus {
    /// The issuer, by its name in the policy.
    pub issuer: String,
    /// How many keys can be used now.
    pub keys: usize,
    /// How long ago they came; `None` when there are none.
    pub age: Option<Duration>,
    /// Why asking failed, when the last time failed.
    pub failed: Option<FetchError>,
}

/// The keys of one issuer.
pub(super) struct Ring {
    name: String,
    issuer: Issuer,
    fetch: Arc<dyn Fetch>,
    times: KeyTimes,
    known: ArcSwapOption<Known>,
    flight: Mutex<Flight>,
    /// Counts the questions that were answered or failed.
    landed: watch::Sender<u64>,
}

/// Keys as they came.
pub(super) struct Known {
    pub(super) keys: KeySet,
    /// One and the same for as long as no key was taken away. What was verified with keys of one era
    /// would be verified again with any keys of it.
    pub(super) era: Arc<Era>,
    since: Instant,
    due: Instant,
    until: Instant,
}

/// A time in which no key was taken away. Only its identity counts.
#[derive(Debug, Default)]
pub(super) struct Era(());

/// Whether somebody is asking, and how it went before.
#[derive(Default)]
struct Flight {
    running: bool,
    started: Option<Instant>,
    failed: Option<FetchError>,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("issuer", &self.name).finish_non_exhaustive()
    }
}

impl Ring {
    /// A ring that knows no keys yet.
    pub(super) fn new(name: String, issuer: Issuer, fetch: Arc<dyn Fetch>, times: KeyTimes) -> Arc<Self> {
        let (known, flight, landed) = (ArcSwapOption::empty(), Mutex::default(), watch::Sender::new(0));
        Arc::new(Self { name, issuer, fetch, times, known, flight, landed })
    }

    /// The issuer's name in the policy.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The issuer as declared.
    pub(super) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// The keys that may be used now, without waiting. Has them refreshed when that is due.
    pub(super) fn current(self: &Arc<Self>) -> Option<Arc<Known>> {
        let (now, known) = (Instant::now(), self.known.load_full()?);
        if now >= known.due {
            let _ = self.ask(now);
        }
        (now < known.until).then_some(known)
    }

    /// The keys that may be used now. Waits for them when there are none.
    pub(super) async fn keys(self: &Arc<Self>) -> Option<Arc<Known>> {
        match self.current() {
            Some(known) => Some(known),
            None => self.asked().await,
        }
    }

    /// Newer keys than those, if asking may be done and gives any.
    ///
    /// # Errors
    ///
    /// When asking failed, so that nobody can say that a key does not exist.
    pub(super) async fn newer(self: &Arc<Self>, than: &Arc<Known>) -> Result<Option<Arc<Known>>, FetchError> {
        let is_newer = |known: &Arc<Known>| !Arc::ptr_eq(known, than);
        if let Some(known) = self.current().filter(is_newer) {
            return Ok(Some(known));
        }
        let known = self.asked().await.filter(is_newer);
        match (known, self.flight().failed) {
            (None, Some(failed)) => Err(failed),
            (known, _) => Ok(known),
        }
    }

    /// How things are.
    pub(super) fn status(&self) -> RingStatus {
        let now = Instant::now();
        let known = self.known.load_full().filter(|known| now < known.until);
        RingStatus {
            issuer: self.name.clone(),
            keys: known.as_ref().map_or(0, |known| known.keys.keys().len()),
            age: known.map(|known| now.duration_since(known.since)),
            failed: self.flight().failed,
        }
    }

    /// Asks, or waits for whoever is asking, and gives the keys that may be used then.
    async fn asked(self: &Arc<Self>) -> Option<Arc<Known>> {
        if let Some(mut landing) = self.ask(Instant::now()) {
            // It fails only when the ring is gone, which we hold.
            let _ = landing.changed().await;
        }
        let now = Instant::now();
        self.known.load_full().filter(|known| now < known.until)
    }

    /// Has the keys asked for, unless that was done a moment ago. Gives what changes when whoever is
    /// asking is done; nothing when nobody is.
    fn ask(self: &Arc<Self>, now: Instant) -> Option<watch::Receiver<u64>> {
        let mut flight = self.flight();
        // Subscribed under the lock, so that no landing is missed.
        let landing = self.landed.subscribe();
        if flight.running {
            return Some(landing);
        }
        let soon = flight.started.is_some_and(|started| now.duration_since(started) < self.times.spacing);
        let Ok(runtime) = Handle::try_current() else {
            flight.failed = Some(FetchError::Stopped);
            return None;
        };
        if soon {
            return None;
        }
        (flight.running, flight.started) = (true, Some(now));
        drop(flight);
        let landing_gear = Landing { ring: Arc::clone(self), result: Err(FetchError::Stopped) };
        runtime.spawn(async move {
            let mut landing = landing_gear;
            landing.result = landing.ring.fetched(now).await;
        });
        Some(landing)
    }

    fn flight(&self) -> MutexGuard<'_, Flight> {
        self.flight.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys as their source has them, stamped with when it was asked.
    async fn fetched(&self, now: Instant) -> Result<Known, FetchError> {
        let Fetched { bytes, fresh_for } = match &self.issuer.keys {
            KeySource::File(path) => self.document(Place::File(path.clone())).await?,
            KeySource::Url(url) => {
                self.document(Place::Url(url.clone(), metadata::network(url, self.issuer.network))).await?
            }
            KeySource::Discovery => {
                let network = metadata::network(&self.issuer.url, self.issuer.network);
                let uri = self.discovered(network).await?;
                self.document(Place::Url(uri, network)).await?
            }
        };
        let keys = KeySet::read(&bytes).map_err(|_| FetchError::Keys)?;
        for refused in keys.refused() {
            tracing::warn!(issuer = self.name, code = refused.code(), "a key of an issuer is not used: {refused}");
        }
        let era = match self.known.load_full() {
            Some(known) if keys.has_all_of(&known.keys) => Arc::clone(&known.era),
            _ => Arc::default(),
        };
        let fresh = fresh_for.map_or(self.times.refresh, |said| {
            said.clamp(self.times.refresh_min, self.times.refresh_max.max(self.times.refresh_min))
        });
        let due = now + fresh;
        Ok(Known { keys, era, since: now, due, until: due + self.times.stale })
    }

    /// Where the issuer's metadata says that its keys are.
    async fn discovered(&self, network: Network) -> Result<String, FetchError> {
        for place in metadata::places(&self.issuer.url) {
            match self.document(Place::Url(place, network)).await {
                // Not there: perhaps at the next place. Any other failure must not lead elsewhere.
                Err(FetchError::NotFound) => {}
                document => return metadata::jwks_uri(&self.issuer.url, &document?.bytes),
            }
        }
        Err(FetchError::NotFound)
    }

    async fn document(&self, place: Place) -> Result<Fetched, FetchError> {
        let document = timeout(self.times.patience, self.fetch.fetch(&place)).await;
        let document = document.unwrap_or(Err(FetchError::TimedOut)).and_then(|document| {
            if document.bytes.len() > MAX_DOCUMENT { Err(FetchError::TooLarge) } else { Ok(document) }
        });
        if let Err(failed) = &document {
            tracing::warn!(issuer = self.name, code = failed.code(), %place, "no document for an issuer's keys: {failed}");
        }
        document
    }
}

/// Ends a question, whatever became of it: also when its task is dropped.
struct Landing {
    ring: Arc<Ring>,
    result: Result<Known, FetchError>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Err(FetchError::Stopped));
        let mut flight = self.ring.flight();
        flight.running = false;
        flight.failed = result.as_ref().err().copied();
        if let Ok(known) = result {
            self.ring.known.store(Some(Arc::new(known)));
        }
        self.ring.landed.send_modify(|count| *count = count.wrapping_add(1));
    }
}
