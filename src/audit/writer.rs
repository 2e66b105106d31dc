//! The thread that writes a journal: many rows to one write and one flush.
//!
//! A batch that could not be flushed counts as not written: the file is cut back to the last row
//! that is known to be durable, and the next batch tries again with the file opened anew.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::row::{Entry, Row, SCHEMA};

/// The most rows of one flush.
const BATCH: usize = 1024;
/// How much of the end of a file is read to find its last row.
const TAIL: u64 = 1 << 20;

/// What the thread is asked to write.
#[derive(Debug)]
pub(super) struct Order {
    pub(super) entry: Entry,
    /// Told the sequence once the row is durable; the row's place in the queue goes with it.
    pub(super) reply: Option<(oneshot::Sender<u64>, OwnedSemaphorePermit)>,
    /// The room that the receipt held.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// The file with what is known of it.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    name: String,
    /// `None` after a failure, until it can be opened again.
    file: Option<File>,
    /// Bytes that are known to be whole rows.
    length: u64,
    next: u64,
    available: Arc<AtomicBool>,
}

impl Writer {
    pub(super) fn open(path: &Path, name: String, available: Arc<AtomicBool>) -> io::Result<Self> {
        let mut file = open(path)?;
        let (length, next) = end(&mut file)?;
        file.set_len(length)?;
        file.sync_data()?;
        sync_folder(path)?;
        Ok(Self { path: path.to_owned(), name, file: Some(file), length, next, available })
    }

    /// Writes until every sender is gone.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        // Outcomes that a failure left over; bounded by the room of their receipts.
        let mut left: Vec<Order> = Vec::new();
        while let Ok(first) = orders.recv() {
            let mut batch = std::mem::take(&mut left);
            batch.push(first);
            while batch.len() < BATCH {
                let Ok(more) = orders.try_recv() else { break };
                batch.push(more);
            }
            left = self.write(batch);
        }
        if !left.is_empty() {
            self.write(left);
        }
    }

    /// Writes a batch, and returns what must be tried again.
    fn write(&mut self, batch: Vec<Order>) -> Vec<Order> {
        let first = self.next;
        match self.append(&batch) {
            Ok(()) => {
                self.available.store(true, Ordering::Relaxed);
                for (sequence, order) in (first..).zip(batch) {
                    if let Some((reply, place)) = order.reply {
                        // Whoever asked may be gone; the row stays.
                        _ = reply.send(sequence);
                        drop(place);
                    }
                }
                Vec::new()
            }
            Err(error) => {
                if self.available.swap(false, Ordering::Relaxed) {
                    tracing::error!(code = "audit-unavailable", %error, "the audit log cannot be written");
                }
                self.file = None;
                self.next = first;
                // Dropping the reply of an intent tells that it is not durable.
                batch.into_iter().filter(|order| order.room.is_some()).collect()
            }
        }
    }

    fn append(&mut self, batch: &[Order]) -> io::Result<()> {
        let mut text = Vec::new();
        for (sequence, order) in (self.next..).zip(batch) {
            let row =
                Row { schema: SCHEMA.to_owned(), writer: self.name.clone(), sequence, entry: order.entry.clone() };
            serde_json::to_writer(&mut text, &row)?;
            text.push(b'\n');
        }
        let mut file = match self.file.take() {
            Some(file) => file,
            None => {
                let file = open(&self.path)?;
                // What a failed batch left behind was never confirmed to anyone.
                if file.metadata()?.len() < self.length {
                    return Err(io::Error::other("the audit log is shorter than what was written to it"));
                }
                file.set_len(self.length)?;
                sync_folder(&self.path)?;
                file
            }
        };
        file.seek(SeekFrom::Start(self.length))?;
        file.write_all(&text)?;
        file.sync_data()?;
        self.length += text.len() as u64;
        self.next += batch.len() as u64;
        self.file = Some(file);
        Ok(())
    }
}

/// Opens the file for this process alone.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    file.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => io::Error::other("another process writes this audit log"),
        std::fs::TryLockError::Error(error) => error,
    })?;
    Ok(file)
}

/// A new file is only durable once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Where the last whole row ends, and the number of the next.
fn end(file: &mut File) -> io::Result<(u64, u64)> {
    let length = file.metadata()?.len();
    let from = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    // A row that a crash cut off has no end, and nobody was told that it is durable.
    let Some(last) = tail.iter().rposition(|byte| *byte == b'\n') else {
        return if from == 0 { Ok((0, 0)) } else { Err(not_a_journal()) };
    };
    let whole = tail.get(..last).unwrap_or_default();
    let line = whole.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let row: Row = serde_json::from_slice(line).map_err(|_| not_a_journal())?;
    if row.schema != SCHEMA {
        return Err(not_a_journal());
    }
    Ok((from + last as u64 + 1, row.sequence + 1))
}

fn not_a_journal() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the last line is no row of an audit log")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::super::row::Refusals;
    use super::*;
    use crate::model::Timestamp;

    fn order() -> (Order, oneshot::Receiver<u64>) {
        let entry = Entry::Refusals(Refusals {
            since: Timestamp(1),
            until: Timestamp(1),
            door: "desk".to_owned(),
            reason: "token-missing".to_owned(),
            count: 1,
        });
        let place = Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap();
        let (reply, durable) = oneshot::channel();
        (Order { entry, reply: Some((reply, place)), room: None }, durable)
    }

    #[test]
    fn what_fails_is_not_confirmed_and_writing_recovers_where_it_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let available = Arc::new(AtomicBool::new(true));
        let mut writer = Writer::open(&path, "w".to_owned(), Arc::clone(&available)).unwrap();
        let (first, mut durable) = order();
        writer.write(vec![first]);
        assert_eq!(durable.try_recv(), Ok(0));
        // The disk is gone: the next rows fail, and so does opening the file anew.
        writer.file = None;
        writer.path = folder.path().join("none").join("audit.jsonl");
        let (lost, mut durable) = order();
        writer.write(vec![lost]);
        assert!(durable.try_recv().is_err() && !available.load(Ordering::Relaxed));
        // It is back, with half of a row that nobody was told of.
        writer.path = path.clone();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"sche").unwrap();
        let (next, mut durable) = order();
        writer.write(vec![next]);
        assert_eq!((durable.try_recv(), available.load(Ordering::Relaxed)), (Ok(1), true));
        let text = std::fs::read_to_string(&path).unwrap();
        let rows: Vec<Row> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn a_log_that_lost_rows_is_not_written_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut writer = Writer::open(&path, "w".to_owned(), Arc::new(AtomicBool::new(true))).unwrap();
        writer.write(vec![order().0]);
        writer.file = None;
        std::fs::write(&path, "").unwrap();
        let (next, mut durable) = order();
        writer.write(vec![next]);
        assert!(durable.try_recv().is_err());
    }
}
