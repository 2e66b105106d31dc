//! Group commit: many callers, one task that writes, one flush for all who wait.
//!
//! There is no timer before a batch: while one is being flushed the next gathers, and it goes when nobody
//! who is ready to run adds to it any more. A caller waits at
//! most [`LoggerOptions::patience`]; a queue that is full, or a store that is known to be away, is
//! an answer at once. Recovery needs nobody: the task tries by itself, with a seal that says how many
//! were refused meanwhile.

mod batch;
mod durable;
mod sealing;
mod task;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::{Store, StoreError};
use crate::audit::Signer;
use crate::audit::chain::{CHECKPOINT_EVERY, CHECKPOINT_ROWS, Entry};
use task::{Inbox, Order, Owner, Task, Waiting};

/// The clock, in microseconds since 1970 UTC.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// How a logger writes.
#[derive(Clone)]
pub struct LoggerOptions {
    /// The name of the writer, never used before: 128 random bits as text.
    pub writer: String,
    /// The name of this process for people, in the row that opens the writer.
    pub node: String,
    /// The clock.
    pub clock: Clock,
    /// What signs the seals.
    pub key: Option<Arc<dyn Signer>>,
    /// How many rows may wait,
    pub queue: usize,
    /// and how many bytes.
    pub queue_bytes: usize,
    /// How many rows for which nobody waits may be outstanding, from [`Logger::room`] on.
    pub open: usize,
    /// How many rows one transaction takes.
    pub batch: usize,
    /// How many durable rows are kept, to be put back where the store comes back without them,
    pub kept: usize,
    /// and how many bytes.
    pub kept_bytes: usize,
    /// How long a caller waits for its row to be durable.
    pub patience: Duration,
    /// A checkpoint is written after so many rows,
    pub checkpoint_rows: u32,
    /// and after this time, when there are rows that it would confirm.
    pub checkpoint_every: Duration,
}

impl LoggerOptions {
    /// 4,096 rows of 32 MiB may wait, 512 go into a transaction, a caller waits 2 seconds; a checkpoint
    /// after 10,000 rows or a minute; the latest 16,384 rows of 16 MiB are kept.
    pub fn new(writer: impl Into<String>, clock: Clock) -> Self {
        Self {
            writer: writer.into(),
            node: String::new(),
            clock,
            key: None,
            queue: 4_096,
            queue_bytes: 32 << 20,
            open: 65_536,
            batch: 512,
            kept: 16_384,
            kept_bytes: 16 << 20,
            patience: Duration::from_secs(2),
            checkpoint_rows: CHECKPOINT_ROWS,
            checkpoint_every: CHECKPOINT_EVERY,
        }
    }
}

impl fmt::Debug for LoggerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoggerOptions")
            .field("writer", &self.writer)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Where a row stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its class.
    pub class: Arc<str>,
    /// Its number.
    pub seq: i64,
}

/// A row is not known to be durable. It may turn out to be written; then a row of the kind
/// `unconfirmed` with the same request says that nothing followed from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Too many rows wait.
    Full,
    /// The store is away.
    Away,
    /// It took longer than the caller may wait.
    Late,
    /// The store will never take this row.
    Impossible,
}

/// How the store is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Why it is away; `None` when it is not.
    pub away: Option<String>,
    /// Why seals wait for their signature; `None` when none does. Rows go on meanwhile.
    pub unsigned: Option<String>,
    /// Rows that were made durable.
    pub rows: u64,
    /// Transactions that they took.
    pub batches: u64,
    /// Rows that were refused or given up.
    pub refused: u64,
    /// Durable rows that the store lost, and that were not kept any more.
    pub lost: u64,
    /// Durable rows that the store lost, and that were put back in their places.
    pub restored: u64,
}

#[derive(Clone)]
struct LoggerClock(Clock);

impl fmt::Debug for LoggerClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// Writes an audit log. Clones write to the same one.
#[derive(Clone, Debug)]
pub struct Logger {
    orders: mpsc::Sender<Order>,
    notes: mpsc::UnboundedSender<Waiting>,
    room: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    clock: LoggerClock,
    health: watch::Receiver<Health>,
    patience: Duration,
}

impl Logger {
    /// Opens the log and begins a writer. The task that writes runs on the current tokio runtime
    /// until [`Logger::close`], or until the last clone is gone.
    ///
    /// # Errors
    ///
    /// When the store cannot be opened or its first row not be written.
    pub async fn open(store: Store, options: LoggerOptions) -> Result<(Self, JoinHandle<()>), StoreError> {
        let (orders, received) = mpsc::channel(options.queue.max(1));
        // Bounded by the room that each note must have.
        let (notes, noted) = mpsc::unbounded_channel();
        let room = Arc::new(Semaphore::new(options.open.min(Semaphore::MAX_PERMITS)));
        let (report, health) = watch::channel(Health::default());
        let bytes = Arc::new(Semaphore::new(options.queue_bytes.min(Semaphore::MAX_PERMITS)));
        let (patience, clock) = (options.patience, LoggerClock(options.clock.clone()));
        let mut task = Task::new(store, options, report);
        task.open().await?;
        let handle = tokio::spawn(task.run(Inbox { orders: received, notes: noted }));
        Ok((Self { orders, notes, room, bytes, clock, health, patience }, handle))
    }

    /// Writes a row and waits until it is durable.
    pub async fn append(&self, entry: Entry) -> Result<Placed, Refused> {
        if self.health.borrow().away.is_some() {
            return Err(Refused::Away);
        }
        let size = u32::try_from(entry.size()).unwrap_or(u32::MAX);
        let bytes = Arc::clone(&self.bytes).try_acquire_many_owned(size).map_err(|_| Refused::Full)?;
        let (reply, answer) = oneshot::channel();
        let owner = Owner { reply: Some(reply), _bytes: Some(bytes), ..Owner::default() };
        self.orders.try_send(Order::Row(Box::new(Waiting { entry, owner }))).map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => Refused::Full,
            mpsc::error::TrySendError::Closed(_) => Refused::Away,
        })?;
        match tokio::time::timeout(self.patience, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Refused::Away),
            Err(_) => Err(Refused::Late),
        }
    }

    /// Whether a row could be written now, by a look at the store.
    pub async fn check(&self) -> bool {
        if self.health.borrow().away.is_some() {
            return false;
        }
        let (reply, answer) = oneshot::channel();
        self.orders.try_send(Order::Check(reply)).is_ok() && answer.await.unwrap_or(false)
    }

    /// Room for a row that will be written without waiting; none when too many are outstanding.
    pub fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }

    /// Writes a row and does not wait. While the store is away the row is kept, whatever else happens
    /// to this process but its end.
    pub fn note(&self, entry: Entry, room: OwnedSemaphorePermit) {
        // An error means that the log was closed, and says of everything later that it comes too late.
        let _ = self.notes.send(Waiting { entry, owner: Owner { room: Some(room), ..Owner::default() } });
    }

    /// What the clock says, in microseconds since 1970 UTC.
    pub fn now(&self) -> i64 {
        (self.clock.0)()
    }

    /// How the store is doing.
    pub fn health(&self) -> Health {
        self.health.borrow().clone()
    }

    /// Writes what waits and the row that closes the writer. What comes later is refused.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.orders.send(Order::Close(done)).await.is_ok() {
            // An error means that the task has ended already.
            let _ = closed.await;
        }
    }
}
