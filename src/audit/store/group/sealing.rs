//! The seals of a writer: when one is due, what signs it, and what waits while nothing does.
//!
//! Rows do not wait for a signature. A seal is drafted when it is due and put into the next batch once
//! it is signed; until then it waits, and the next one with it.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep_until, timeout};

use crate::audit::chain::{CHECKPOINT_EVERY, CHECKPOINT_ROWS, Draft, Gap};
use crate::audit::signer::{NotSigned, Signer, signed};

/// How long is waited before a signature is asked for again.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a signature may take where somebody waits for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// A seal with its signature.
#[derive(Clone, Debug)]
pub(super) struct Seal {
    pub(super) draft: Draft,
    pub(super) signature: Option<Vec<u8>>,
    says: Since,
}

/// What has happened since the last seal.
#[derive(Clone, Debug, Default)]
pub(super) struct Since {
    /// Durable rows that no draft names.
    pub(super) rows: u32,
    /// Rows that were refused.
    pub(super) refused: u64,
    /// Rows for which nobody waited, that were given up.
    pub(super) lost: u64,
    /// Durable rows that were missing in the store and put back.
    pub(super) restored: u64,
    /// Durable rows that are missing in the store and not kept any more.
    pub(super) missing: Vec<Gap>,
}

impl Since {
    fn add(&mut self, other: Self) {
        self.rows = self.rows.saturating_add(other.rows);
        self.refused = self.refused.saturating_add(other.refused);
        self.lost = self.lost.saturating_add(other.lost);
        self.restored = self.restored.saturating_add(other.restored);
        self.missing.extend(other.missing);
    }

    /// Whether it must be said before anything else is.
    fn is_pressing(&self) -> bool {
        self.restored > 0 || !self.missing.is_empty()
    }
}

type Signing = Pin<Box<dyn Future<Output = (Draft, Result<Option<Vec<u8>>, NotSigned>)> + Send>>;

enum State {
    Idle,
    /// Nothing signs; it is asked again at this time.
    Paused(Instant),
    Signing(Signing, Since),
    Ready(Box<Seal>),
}

/// When to seal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) rows: u32,
    pub(super) every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: CHECKPOINT_ROWS, every: CHECKPOINT_EVERY }
    }
}

pub(super) struct Sealing {
    signer: Option<Arc<dyn Signer>>,
    pace: Pace,
    state: State,
    /// What the next seal says.
    pub(super) since: Since,
    last: Instant,
}

impl Sealing {
    pub(super) fn new(signer: Option<Arc<dyn Signer>>, pace: Pace) -> Self {
        Self { signer, pace, state: State::Idle, since: Since::default(), last: Instant::now() }
    }

    pub(super) fn signer(&self) -> Option<&dyn Signer> {
        self.signer.as_deref()
    }

    /// Whether a draft should be made now.
    pub(super) fn is_due(&self) -> bool {
        let now = Instant::now();
        let free = match &self.state {
            State::Idle => true,
            State::Paused(until) => *until <= now,
            State::Signing(..) | State::Ready(_) => false,
        };
        free && (self.since.is_pressing() || self.since.rows > 0 && self.is_time(now))
    }

    fn is_time(&self, now: Instant) -> bool {
        self.since.rows >= self.pace.rows || self.last + self.pace.every <= now
    }

    /// Begins to sign a draft that names every durable row.
    pub(super) fn begin(&mut self, draft: Draft) {
        let signer = self.signer.clone();
        let signing = async move {
            let signature = signed(&draft, signer.as_deref()).await;
            (draft, signature)
        };
        self.state = State::Signing(Box::pin(signing), std::mem::take(&mut self.since));
    }

    /// Whether a signature is there or has failed, without waiting for it.
    pub(super) fn look(&mut self) -> Result<(), NotSigned> {
        let State::Signing(signing, _) = &mut self.state else { return Ok(()) };
        match signing.now_or_never() {
            Some(done) => self.done(done),
            None => Ok(()),
        }
    }

    /// Waits for a signature, but not for long.
    pub(super) async fn wait(&mut self) -> Result<(), NotSigned> {
        let State::Signing(signing, _) = &mut self.state else { return Ok(()) };
        match timeout(PATIENCE, signing).await {
            Ok(done) => self.done(done),
            Err(_) => Err(NotSigned("what signs them does not answer".to_owned())),
        }
    }

    /// Ends when there is something to do: a signature, or a draft that is due.
    pub(super) async fn next(&mut self) -> Result<(), NotSigned> {
        let due = self.last + self.pace.every;
        let until = match &mut self.state {
            State::Signing(signing, _) => {
                let done = signing.await;
                return self.done(done);
            }
            State::Ready(_) => return Ok(()),
            State::Idle if self.since.is_pressing() => return Ok(()),
            State::Idle if self.since.rows > 0 => due,
            State::Paused(until) if self.since.is_pressing() || self.since.rows >= self.pace.rows => *until,
            State::Paused(until) if self.since.rows > 0 => due.max(*until),
            State::Idle | State::Paused(_) => return std::future::pending().await,
        };
        sleep_until(until).await;
        Ok(())
    }

    fn done(&mut self, (draft, signature): (Draft, Result<Option<Vec<u8>>, NotSigned>)) -> Result<(), NotSigned> {
        let says = if let State::Signing(_, says) = &mut self.state { std::mem::take(says) } else { Since::default() };
        match signature {
            Ok(signature) => {
                self.state = State::Ready(Box::new(Seal { draft, signature, says }));
                self.last = Instant::now();
                Ok(())
            }
            Err(error) => {
                // What it would have said is said by the next.
                self.since.add(says);
                self.state = State::Paused(Instant::now() + PAUSE);
                Err(error)
            }
        }
    }

    pub(super) const fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// The seal that is to be written next.
    pub(super) fn take(&mut self) -> Option<Seal> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Ready(seal) => Some(*seal),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The seal was not written. One that never can be is given up, and the next says what it said.
    pub(super) fn put_back(&mut self, seal: Seal, never: bool) {
        if never {
            self.since.add(seal.says);
        } else {
            self.state = State::Ready(Box::new(seal));
        }
    }

    /// Whether a signature is under way or there.
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self.state, State::Signing(..) | State::Ready(_))
    }
}
