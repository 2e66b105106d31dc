//! Several threads on one traffic: one splits it into batches of lines, the others read and judge
//! them, each into a fold of its own, and the folds add up to the one report.
//!
//! Which thread took which batch never shows: parts of any split merge to the same whole.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use super::progress::Progress;
use crate::cli::failure::{Failure, Kind};
use crate::cli::sources;
use crate::simulate::{Asked, Part, Rehearsals};
use crate::traffic::{Batch, Lines, Reader};

/// Lines of one recording, on their way to a worker.
struct Job {
    source: Arc<str>,
    batch: Batch,
}

/// The threads that read and judge.
pub(super) struct Crew<'scope> {
    jobs: SyncSender<Job>,
    /// Batches that have been read, to be filled again.
    spent: Receiver<Batch>,
    workers: Vec<ScopedJoinHandle<'scope, Vec<Part>>>,
}

impl<'scope> Crew<'scope> {
    /// Starts so many workers, each with a fold that `fold` makes.
    pub(super) fn start<'p: 'scope>(
        scope: &'scope Scope<'scope, '_>,
        threads: usize,
        asked: &'scope Asked<'p>,
        fold: impl Fn() -> Rehearsals<'p> + Sync + Send + Copy + 'scope,
    ) -> Self {
        let (jobs, inbox) = sync_channel::<Job>(2 * threads);
        let (done, spent) = channel();
        let inbox = Arc::new(Mutex::new(inbox));
        let workers = (0..threads)
            .map(|_| {
                let (inbox, done) = (Arc::clone(&inbox), done.clone());
                scope.spawn(move || work(&inbox, &done, asked, fold()))
            })
            .collect();
        Self { jobs, spent, workers }
    }

    /// Hands out a recording.
    pub(super) fn feed(&self, name: &str, input: impl BufRead, progress: &mut Progress) -> Result<(), Failure> {
        let mut reader = open(name, input, progress)?;
        let source: Arc<str> = name.into();
        loop {
            let mut batch = self.spent.try_recv().unwrap_or_default();
            if !reader.fill(&mut batch) {
                return Ok(());
            }
            progress.add(batch.count());
            if self.jobs.send(Job { source: Arc::clone(&source), batch }).is_err() {
                // Every worker has ended, which only a panic does; joining them passes it on.
                return Ok(());
            }
        }
    }

    /// Waits for the workers, and joins what they found to `parts`.
    pub(super) fn finish(self, parts: &mut [Part]) -> Result<(), Failure> {
        drop(self.jobs);
        for worker in self.workers {
            let found = worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for (whole, part) in parts.iter_mut().zip(found) {
                whole.merge(part).map_err(|e| Failure::new(Kind::Usage, e.to_string()))?;
            }
        }
        Ok(())
    }
}

/// Opens a recording.
pub(super) fn open<R: BufRead>(name: &str, input: R, progress: &mut Progress) -> Result<Reader<R>, Failure> {
    Reader::new(input).map_err(|e| {
        progress.clear();
        sources::no_recording(name, &e)
    })
}

/// Reads and judges batches until there are no more.
fn work(
    inbox: &Mutex<Receiver<Job>>,
    done: &Sender<Batch>,
    asked: &Asked<'_>,
    mut rehearsals: Rehearsals<'_>,
) -> Vec<Part> {
    let mut lines = Lines::new(asked);
    loop {
        let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { source, batch }) = next else { return rehearsals.parts() };
        rehearsals.source(&source);
        rehearsals.batch(&mut lines, &batch);
        // Nobody waits for it once everything is handed out.
        let _ = done.send(batch);
    }
}
