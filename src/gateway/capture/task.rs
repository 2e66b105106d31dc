//! The thread that writes a capture.
//!
//! A disk that fails costs events, which are counted, and nothing else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use super::file::{Files, Open};
use super::{Shared, Taken, Told};
use crate::model::Timestamp;
use crate::traffic::{Gap, WriteError};

/// How long what was written may wait before it is put where others can read it, and how long no file is
/// begun after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// After how many seconds a file is closed, full or not.
const LONGEST: i64 = 3600;

pub(super) struct Task<N> {
    files: Files,
    shared: Arc<Shared>,
    now: N,
    open: Option<Open>,
    /// Events since the last flush: they are lost with it.
    unflushed: u64,
    /// When a failure was, until a file is begun again.
    failed: Option<Timestamp>,
}

impl<N: Fn() -> Timestamp> Task<N> {
    pub(super) fn new(files: Files, shared: Arc<Shared>, now: N) -> Self {
        Self { files, shared, now, open: None, unflushed: 0, failed: None }
    }

    /// Writes until nobody records any more.
    pub(super) fn run(mut self, told: &Receiver<Told>) {
        loop {
            match told.recv_timeout(PAUSE) {
                Ok(Told::Take(taken)) => {
                    self.shared.bytes.fetch_sub(taken.line.as_str().len(), Ordering::Relaxed);
                    self.take(&taken);
                }
                Ok(Told::Close(answer)) => {
                    let unsaid = self.settle();
                    // Whoever asked may have gone.
                    let _ = answer.try_send(unsaid);
                }
                Err(RecvTimeoutError::Timeout) => self.rest(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(gap) = self.settle() {
            tracing::error!(code = "capture-failed", dropped = gap.dropped, "the traffic is not recorded");
        }
    }

    /// Closes the file with everything that is to be said in it, and gives what could not be.
    fn settle(&mut self) -> Option<Gap> {
        let now = (self.now)();
        let unsaid = self.shared.gap();
        // To open a file says it.
        if unsaid.is_some()
            && let Err(WriteError::Io(error)) = self.write(now, None, |_| Ok(()))
        {
            let events = self.unflushed;
            self.fail(now, &error);
            self.shared.drop_at(now, events);
        }
        self.close();
        self.shared.gap()
    }

    fn take(&mut self, Taken { intent, line }: &Taken) {
        let now = (self.now)();
        if self.failed.is_some_and(|at| now >= at && now.since(at) < 1) {
            return self.shared.drop_at(intent.time, 1);
        }
        let Some(event) = intent.recorded(line.as_str()) else { return self.shared.drop_at(intent.time, 1) };
        let written = self.write(now, Some(&intent.policy), |open| open.write(&event));
        match written {
            Ok(()) => {
                self.failed = None;
                self.unflushed += 1;
                self.shared.written.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("doorward_capture_events_total").increment(1);
            }
            // It is one event that no recording can hold.
            Err(WriteError::TooLong { .. }) => self.shared.drop_at(intent.time, 1),
            Err(WriteError::Io(error)) => {
                let events = self.unflushed.saturating_add(1);
                self.fail(now, &error);
                self.shared.drop_at(intent.time, events);
            }
        }
        if self.open.as_ref().is_some_and(|open| self.files.is_full(open) || now.since(open.since) >= LONGEST) {
            self.close();
        }
    }

    /// Writes to the file that is open, or to a new one, behind what must be said of a gap.
    fn write(
        &mut self,
        now: Timestamp,
        policy: Option<&str>,
        write: impl FnOnce(&mut Open) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        if self.open.is_none() {
            self.open = Some(self.files.open(now, policy)?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        if let Some(gap) = self.shared.take_gap() {
            let said = open.gap(gap);
            if said.is_err() {
                self.shared.drop_at(gap.since, 0);
                self.shared.drop_at(gap.until, gap.dropped);
                return said;
            }
        }
        write(open)
    }

    /// Nothing came for a while.
    fn rest(&mut self) {
        let now = (self.now)();
        if self.unflushed > 0
            && let Some(open) = &mut self.open
        {
            match open.flush() {
                Ok(()) => self.unflushed = 0,
                Err(error) => {
                    let events = self.unflushed;
                    self.fail(now, &error);
                    self.shared.drop_at(now, events);
                }
            }
        }
        if self.open.as_ref().is_some_and(|open| now.since(open.since) >= LONGEST) {
            self.close();
        }
    }

    fn close(&mut self) {
        let Some(open) = self.open.take() else { return };
        let events = std::mem::take(&mut self.unflushed);
        if let Err(error) = self.files.close(open) {
            let now = (self.now)();
            tracing::error!(code = "capture-failed", %error, "a recording cannot be closed");
            self.shared.drop_at(now, events);
        }
    }

    fn fail(&mut self, now: Timestamp, error: &std::io::Error) {
        if self.failed.is_none() {
            tracing::error!(code = "capture-failed", %error, "the traffic is not recorded");
        }
        self.failed = Some(now);
        self.open = None;
        self.unflushed = 0;
    }
}
