//! A verifier at work on a thread of its own, while another reads the rows.

use std::mem;
use std::panic::resume_unwind;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::chain::{Row, Verifier};

/// How many rows are handed over at once.
const BATCH: usize = 256;
/// How many such batches may wait.
const AHEAD: usize = 16;

/// Takes rows as [`Verifier::row`] does, and does not wait until they are checked.
#[derive(Debug)]
pub struct Beside {
    sender: SyncSender<Vec<Row>>,
    batch: Vec<Row>,
    thread: JoinHandle<Verifier>,
}

impl Beside {
    /// Lets a verifier that has taken the seals go on with the rows.
    pub fn new(mut verifier: Verifier) -> Self {
        let (sender, receiver) = sync_channel::<Vec<Row>>(AHEAD);
        let thread = thread::spawn(move || {
            for row in receiver.into_iter().flatten() {
                verifier.row(&mut { row });
            }
            verifier
        });
        Self { sender, batch: Vec::with_capacity(BATCH), thread }
    }

    /// Takes a row.
    pub fn row(&mut self, row: Row) {
        self.batch.push(row);
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        // It is only gone when it panicked, which its end shows.
        let _ = self.sender.send(mem::replace(&mut self.batch, Vec::with_capacity(BATCH)));
    }

    /// Waits until every row is checked, and gives the verifier back.
    pub fn end(mut self) -> Verifier {
        self.hand_over();
        drop(self.sender);
        self.thread.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}
