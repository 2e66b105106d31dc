//! Decided requests as recordings, for rehearsals: files that come, grow no further and go again.
//!
//! What is durable in the audit log is recorded, and nothing before that. A request never waits for it
//! and nothing grows without bound: what cannot be kept is counted, and the recording says so where it
//! would have stood. Secrets are taken out before an event comes here.

mod file;
mod task;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use sha2::{Digest as _, Sha256};

use super::settings::Refusal;
use crate::audit::{EventText, Intent, Log, Lost, Outcome, Pending, Receipt, Refusals, Unavailable};
use crate::model::Timestamp;
use crate::policy::set;
use crate::traffic::Gap;

/// Events that may wait to be written, and how many bytes of them.
const WAITING: (usize, usize) = (4096, 32 << 20);

/// Where and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureOptions {
    /// The folder. It is made when it is not there.
    pub directory: PathBuf,
    /// How many sessions of a hundred. Whole sessions, the same in every gateway.
    pub percent: u8,
    /// After how many bytes, as they lie on the disk, a file is closed.
    pub file: u64,
    /// How many bytes the closed files may take together before the oldest goes.
    pub total: u64,
}

impl CaptureOptions {
    /// As a policy declares it. A relative folder lies in `directory`.
    pub(super) fn of(declared: &set::Capture, directory: &std::path::Path) -> Self {
        const MEBIBYTE: u64 = 1 << 20;
        Self {
            directory: directory.join(&declared.directory),
            percent: declared.percent,
            file: u64::from(declared.file_mib) * MEBIBYTE,
            total: u64::from(declared.total_mib) * MEBIBYTE,
        }
    }
}

/// What has been recorded, for whoever rehearses on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// The folder. Everything until now is in its closed files.
    pub directory: PathBuf,
    /// What could not be kept, and not even be said in a file.
    pub unsaid: Option<Gap>,
}

impl Captured {
    /// The closed files that were begun at an instant or later, the earliest first, and of those the last so many
    /// bytes.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read.
    pub fn files(&self, since: Timestamp, most: u64) -> std::io::Result<Vec<PathBuf>> {
        file::last(&self.directory, since, most)
    }
}

/// What the writing thread is told.
enum Told {
    Take(Box<Taken>),
    /// Close the file, so that all of it can be read, and say what is in none.
    Close(SyncSender<Option<Gap>>),
}

/// An event that waits.
struct Taken {
    intent: Intent,
    line: EventText,
}

/// What those who record and the thread that writes have in common.
#[derive(Debug, Default)]
struct Shared {
    /// Bytes that wait.
    bytes: AtomicUsize,
    /// What could not be kept since the last line.
    gap: Mutex<Option<Gap>>,
    /// How many events were written, and how many were not, since the start.
    written: AtomicU64,
    dropped: AtomicU64,
}

impl Shared {
    fn drop_at(&self, time: Timestamp, events: u64) {
        metrics::counter!("doorward_capture_dropped_total").increment(events);
        self.dropped.fetch_add(events, Ordering::Relaxed);
        let mut gap = self.gap.lock().unwrap_or_else(PoisonError::into_inner);
        let before = gap.unwrap_or(Gap { since: time, until: time, dropped: 0 });
        *gap = Some(Gap {
            since: before.since.min(time),
            until: before.until.max(time),
            dropped: before.dropped.saturating_add(events),
        });
    }

    fn gap(&self) -> Option<Gap> {
        *self.gap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_gap(&self) -> Option<Gap> {
        self.gap.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A log that also records.
pub struct Capture {
    log: Arc<dyn Log>,
    directory: PathBuf,
    percent: u8,
    shared: Arc<Shared>,
    /// Both gone once it is closed.
    writing: Mutex<Option<(SyncSender<Told>, JoinHandle<()>)>>,
}

impl Capture {
    /// Records what goes into `log`. `name` tells the files of this gateway from those of others; `now`
    /// is the time of day, by which files are named and closed.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made or written to.
    pub fn new(
        log: Arc<dyn Log>,
        options: CaptureOptions,
        name: &str,
        now: impl Fn() -> Timestamp + Send + 'static,
    ) -> Result<Self, Refusal> {
        let directory = options.directory.clone();
        let refused = |error: &std::io::Error| {
            let message = format!("`{}` cannot take recordings: {}", directory.display(), error.kind());
            Refusal::new("capture", message, "make `gateway.capture.directory` a folder that the gateway may write to")
        };
        let percent = options.percent;
        let files = file::Files::new(options, name).map_err(|error| refused(&error))?;
        let shared = Arc::new(Shared::default());
        let (sender, receiver) = sync_channel(WAITING.0);
        let task = task::Task::new(files, Arc::clone(&shared), now);
        let thread = std::thread::Builder::new().name("capture".to_owned()).spawn(move || task.run(&receiver));
        let thread = thread.map_err(|error| refused(&error))?;
        Ok(Self { log, directory, percent, shared, writing: Mutex::new(Some((sender, thread))) })
    }

    /// Writes what waits and closes the file. Waits for the disk: not to be called where others run.
    pub fn close(&self) {
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((sender, thread)) = writing {
            drop(sender);
            _ = thread.join();
        }
    }

    /// Closes the file that is being written, so that all that was recorded can be read; `None` when nothing is
    /// recorded any more. Waits for the disk: not to be called where others run.
    pub fn settle(&self) -> Option<Captured> {
        let sender = self.writing.lock().unwrap_or_else(PoisonError::into_inner).as_ref()?.0.clone();
        let (answer, answered) = sync_channel(1);
        sender.send(Told::Close(answer)).ok()?;
        let unsaid = answered.recv().ok()?;
        Some(Captured { directory: self.directory.clone(), unsaid })
    }

    /// Where it records, how many events were written and how many were not, since the start.
    pub(super) fn counts(&self) -> (&std::path::Path, u64, u64) {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (&self.directory, count(&self.shared.written), count(&self.shared.dropped))
    }

    /// Whether the session of a request is one of those that are recorded.
    fn is_chosen(&self, intent: &Intent) -> bool {
        if self.percent >= 100 {
            return true;
        }
        let hash = match &intent.session {
            Some(session) => Sha256::digest(session.as_bytes()),
            None => Sha256::digest(format!("{}\n{}\n{:?}", intent.who.issuer, intent.who.subject, intent.who.agent)),
        };
        let first = hash.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        u64::from(first) * 100 < u64::from(self.percent) << 32
    }

    /// Hands an event over, or counts it.
    fn record(&self, intent: Intent) {
        let time = intent.time;
        let Some(line) = intent.event.clone() else { return self.shared.drop_at(time, 1) };
        let size = line.as_str().len();
        let fits = self.shared.bytes.fetch_add(size, Ordering::Relaxed).saturating_add(size) <= WAITING.1;
        let writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = fits
            && writing.as_ref().is_some_and(|(sender, _)| {
                let taken = Taken { intent: Intent { event: None, ..intent }, line };
                sender.try_send(Told::Take(Box::new(taken))).is_ok()
            });
        drop(writing);
        if !sent {
            self.shared.bytes.fetch_sub(size, Ordering::Relaxed);
            self.shared.drop_at(time, 1);
        }
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Log for Capture {
    fn intent(&self, intent: Intent) -> Pending<'_, Result<Receipt, Unavailable>> {
        let kept = (intent.is_of_policy() && self.is_chosen(&intent)).then(|| intent.clone());
        Box::pin(async move {
            let receipt = self.log.intent(intent).await;
            if let (Ok(_), Some(intent)) = (&receipt, kept) {
                self.record(intent);
            }
            receipt
        })
    }

    fn outcome(&self, receipt: Receipt, outcome: Outcome) {
        self.log.outcome(receipt, outcome);
    }

    fn refusals(&self, refusals: Refusals) {
        self.log.refusals(refusals);
    }

    fn check(&self) -> Pending<'_, bool> {
        self.log.check()
    }

    fn lost(&self) -> Lost {
        self.log.lost()
    }

    fn unsigned(&self) -> Option<String> {
        self.log.unsigned()
    }

    fn is_available(&self) -> bool {
        self.log.is_available()
    }
}
