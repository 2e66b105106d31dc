//! A verifier at work on threads of its own, while another reads.
//!
//! What is read is handed over in parts. Several threads take the rows of a part apart and hash them, and
//! one holds them against their chains, in the order in which the parts were handed over.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::chain::{Link, Verifier};

/// How many parts may wait for each thread, and how many of what it made of them.
const AHEAD: usize = 4;
/// More threads than this wait for whoever reads.
const THREADS: usize = 8;

/// Takes parts of a log, and does not wait until they are checked.
#[derive(Debug)]
pub struct Beside<P, E> {
    senders: Vec<SyncSender<P>>,
    /// Whose turn it is.
    turn: usize,
    workers: Vec<JoinHandle<()>>,
    chain: JoinHandle<Result<Verifier, E>>,
}

impl<P: Send + 'static, E: Send + 'static> Beside<P, E> {
    /// Lets a verifier that has taken the seals go on with the rows. What opens parts is made for each thread.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn new<O>(mut verifier: Verifier, mut make: impl FnMut() -> Result<O, E>) -> Result<Self, E>
    where
        O: FnMut(P) -> Result<Vec<Link>, E> + Send + 'static,
    {
        let (mut senders, mut workers, mut opened) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get).min(THREADS) {
            let mut open = make()?;
            let (sender, parts) = sync_channel(AHEAD);
            let (links, made) = sync_channel(AHEAD);
            workers.push(thread::spawn(move || {
                // Who checks is gone once it has failed.
                let _ = parts.into_iter().try_for_each(|part| links.send(open(part)));
            }));
            senders.push(sender);
            opened.push(made);
        }
        let chain = thread::spawn(move || {
            for made in opened.iter().cycle() {
                let Ok(links) = made.recv() else { break };
                for link in links? {
                    verifier.link(&link);
                }
            }
            Ok(verifier)
        });
        Ok(Self { senders, turn: 0, workers, chain })
    }

    /// Takes a part. False when an earlier one failed: then no other is wanted.
    pub fn part(&mut self, part: P) -> bool {
        let taken = self.senders.get(self.turn).is_some_and(|sender| sender.send(part).is_ok());
        self.turn = (self.turn + 1) % self.senders.len().max(1);
        taken
    }

    /// Waits until every row is checked, and gives the verifier back.
    ///
    /// # Errors
    ///
    /// The first that came of a part.
    pub fn end(self) -> Result<Verifier, E> {
        drop(self.senders);
        for worker in self.workers {
            // A thread that panicked has left rows out.
            worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
        self.chain.join().unwrap_or_else(|panic| resume_unwind(panic))
    }
}
