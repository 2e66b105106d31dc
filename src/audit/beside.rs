//! A verifier at work on threads of its own, while another reads.
//!
//! What is read is handed over in parts. Several threads take the rows of a part apart and hash them, and
//! one holds them against their chains, in the order in which the parts were handed over. Where no thread is to spare, all of it
//! is done by whoever hands over: to pass a part on would only cost.

use std::fmt;
use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use super::chain::{Link, Verifier};

/// How many parts may wait for each thread, and how many of what it made of them.
const AHEAD: usize = 4;
/// More threads than this wait for whoever reads.
const THREADS: usize = 8;

/// How many threads are to spare beside so many that are busy.
pub fn spare_threads(busy: usize) -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).saturating_sub(busy).min(THREADS)
}

/// Takes parts of a log.
#[derive(Debug)]
pub struct Beside<P, E>(Work<P, E>);

enum Work<P, E> {
    Here {
        open: Open<P, E>,
        verifier: Verifier,
        failed: Option<E>,
    },
    There {
        senders: Vec<SyncSender<P>>,
        /// Whose turn it is.
        turn: usize,
        workers: Vec<JoinHandle<()>>,
        chain: JoinHandle<Result<Verifier, E>>,
    },
}

/// What takes the rows of a part apart.
type Open<P, E> = Box<dyn FnMut(P) -> Result<Vec<Link>, E> + Send>;

impl<P, E> fmt::Debug for Work<P, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here { .. } => "Here",
            Self::There { .. } => "There",
        })
    }
}

impl<P: Send + 'static, E: Send + 'static> Beside<P, E> {
    /// Lets a verifier that has taken the seals go on with the rows, on so many threads. What opens parts is made for each.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn new<O>(verifier: Verifier, threads: usize, mut make: impl FnMut() -> Result<O, E>) -> Result<Self, E>
    where
        O: FnMut(P) -> Result<Vec<Link>, E> + Send + 'static,
    {
        if threads == 0 {
            return Ok(Self(Work::Here { open: Box::new(make()?), verifier, failed: None }));
        }
        let (mut senders, mut workers, mut opened) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..threads {
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
            let mut verifier = verifier;
            for made in opened.iter().cycle() {
                let Ok(links) = made.recv() else { break };
                for link in links? {
                    verifier.link(&link);
                }
            }
            Ok(verifier)
        });
        Ok(Self(Work::There { senders, turn: 0, workers, chain }))
    }

    /// Takes a part. False when an earlier one failed: then no other is wanted.
    pub fn part(&mut self, part: P) -> bool {
        match &mut self.0 {
            Work::Here { failed: Some(_), .. } => false,
            Work::Here { open, verifier, failed } => {
                match open(part) {
                    Ok(links) => links.iter().for_each(|link| verifier.link(link)),
                    Err(error) => *failed = Some(error),
                }
                true
            }
            Work::There { senders, turn, .. } => {
                let taken = senders.get(*turn).is_some_and(|sender| sender.send(part).is_ok());
                *turn = (*turn + 1) % senders.len().max(1);
                taken
            }
        }
    }

    /// Waits until every row is checked, and gives the verifier back.
    ///
    /// # Errors
    ///
    /// The first that came of a part.
    pub fn end(self) -> Result<Verifier, E> {
        match self.0 {
            Work::Here { verifier, failed, .. } => failed.map_or(Ok(verifier), Err),
            Work::There { senders, workers, chain, .. } => {
                drop(senders);
                for worker in workers {
                    // A thread that panicked has left rows out.
                    worker.join().unwrap_or_else(|panic| resume_unwind(panic));
                }
                chain.join().unwrap_or_else(|panic| resume_unwind(panic))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::chain::{Entry, Row, SealKind, Tail};
    use super::*;

    fn verified(rows: &[Row], threads: usize) -> Result<(u64, usize), String> {
        let mut verifier = Verifier::new(Vec::new());
        rows.iter().filter(|row| &*row.entry.class == ".log").for_each(|row| verifier.seal(&mut row.clone()));
        let mut beside = Beside::new(verifier, threads, || {
            Ok(|part: Vec<Row>| {
                let mut buffer = Vec::new();
                let open = |mut row: Row| match row.entry.status {
                    Some(_) => Err(format!("row {}", row.seq)),
                    None => Ok(Link::of(&mut row, &mut buffer)),
                };
                part.into_iter().map(open).collect()
            })
        })?;
        for part in rows.chunks(7) {
            if !beside.part(part.to_vec()) {
                break;
            }
        }
        let verdict = beside.end()?.finish();
        Ok((verdict.rows, verdict.findings.len()))
    }

    #[test]
    fn whoever_does_the_work_the_verdict_is_the_same() {
        let (mut tail, mut buffer) = (Tail::new("w".into()), Vec::new());
        let mut rows = vec![tail.seal(SealKind::Open, Map::new(), 0, None, &mut buffer)];
        rows.extend((0..100).map(|n| tail.append(Entry::new("standard".into(), "intent", n), n, &mut buffer)));
        rows.push(tail.seal(SealKind::Close, Map::new(), 100, None, &mut buffer));
        let (mut edited, mut unread) = (rows.clone(), rows.clone());
        edited[50].entry.at = -1;
        unread[70].entry.status = Some(200);
        for threads in [0, 1, 3] {
            assert_eq!(verified(&rows, threads), Ok((102, 0)), "{threads}");
            assert_eq!(verified(&edited, threads), Ok((102, 1)), "{threads}");
            assert_eq!(verified(&unread, threads), Err("row 70".to_owned()), "{threads}");
        }
    }
}
