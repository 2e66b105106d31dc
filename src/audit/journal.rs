//! A log in one file of JSON lines, appended by one thread.
//!
//! Rows wait in a bounded queue for the next flush; a queue that is full is an answer, not a wait.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, oneshot};

use super::row::{Entry, Intent, Outcome, Refusals};
use super::writer::{Order, Writer};
use super::{Log, Pending, Receipt, Unavailable};

/// How much may wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalOptions {
    /// The name of this writer in its rows.
    pub writer: String,
    /// Rows that may wait for a flush.
    pub queue: usize,
    /// Requests that may be under way at once: each has room for its outcome.
    pub open: usize,
}

impl Default for JournalOptions {
    /// 4,096 rows and 65,536 requests.
    fn default() -> Self {
        Self { writer: "doorward".to_owned(), queue: 4096, open: 65_536 }
    }
}

/// A journal could not be opened.
#[derive(Debug)]
pub struct JournalError {
    path: PathBuf,
    error: io::Error,
}

impl JournalError {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        "audit-unavailable"
    }
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, error) = (self.path.display(), &self.error);
        write!(f, "the audit log `{path}` cannot be opened: {error} ({})", self.code())
    }
}

impl std::error::Error for JournalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// An append-only file of [`super::Row`]s, one a line. A row is durable once `fdatasync` says so.
///
/// One process at a time writes a file. When writing fails, every intent is refused until writing
/// works again, which each new row tries.
pub struct Journal {
    path: PathBuf,
    orders: Option<Sender<Order>>,
    queue: Arc<Semaphore>,
    open: Arc<Semaphore>,
    available: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("path", &self.path)
            .field("available", &self.is_available())
            .finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens or creates a file, and starts the thread that writes it.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened or locked, or ends in something that is no row. A last line
    /// that a crash cut off is cut away: nobody was told that it is durable.
    pub fn open(path: &Path, options: &JournalOptions) -> Result<Self, JournalError> {
        let failed = |error| JournalError { path: path.to_owned(), error };
        let available = Arc::new(AtomicBool::new(true));
        let writer = Writer::open(path, options.writer.clone(), Arc::clone(&available)).map_err(failed)?;
        let (orders, received) = channel();
        let run = move || writer.run(&received);
        let thread = std::thread::Builder::new().name("doorward-audit".to_owned()).spawn(run).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            orders: Some(orders),
            queue: Arc::new(Semaphore::new(options.queue.min(Semaphore::MAX_PERMITS))),
            open: Arc::new(Semaphore::new(options.open.min(Semaphore::MAX_PERMITS))),
            available,
            thread: Some(thread),
        })
    }

    fn send(&self, order: Order) -> Result<(), Unavailable> {
        self.orders.as_ref().ok_or(Unavailable)?.send(order).map_err(|_| Unavailable)
    }

    async fn append(&self, intent: Intent) -> Result<Receipt, Unavailable> {
        let place = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| Unavailable)?;
        let room = Arc::clone(&self.open).try_acquire_owned().map_err(|_| Unavailable)?;
        let (reply, durable) = oneshot::channel();
        self.send(Order { entry: Entry::Intent(Box::new(intent)), reply: Some((reply, place)), room: None })?;
        let sequence = durable.await.map_err(|_| Unavailable)?;
        Ok(Receipt::with_room(sequence, room))
    }
}

impl Log for Journal {
    fn intent(&self, intent: Intent) -> Pending<'_, Result<Receipt, Unavailable>> {
        Box::pin(self.append(intent))
    }

    fn outcome(&self, receipt: Receipt, outcome: Outcome) {
        let entry = Entry::Outcome(Outcome { of: receipt.sequence, ..outcome });
        // The thread only ends with this value, and then nothing is left to lose.
        _ = self.send(Order { entry, reply: None, room: receipt.room });
    }

    fn refusals(&self, refusals: Refusals) {
        if let Ok(room) = Arc::clone(&self.open).try_acquire_owned() {
            _ = self.send(Order { entry: Entry::Refusals(refusals), reply: None, room: Some(room) });
        }
    }

    fn is_available(&self) -> bool {
        self.available.load(Ordering::Relaxed) && self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Journal {
    /// Waits until everything that was handed in is written.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}
