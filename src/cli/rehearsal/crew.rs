//! Several threads on one traffic: one splits it into batches of lines, the others read and judge
//! them, each into a fold of its own, and the folds add up to the one report.
//!
//! Which thread took which batch never shows: parts of any split merge to the same whole.

use std::fs::File;
use std::io::BufRead;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use super::progress::Progress;
use crate::cli::columns;
use crate::cli::failure::{Failure, Kind};
use crate::cli::sources;
use crate::simulate::{Asked, Part, Rehearsals};
use crate::traffic::columns::Columns;
use crate::traffic::{Batch, Lines, Place, Reader, Unreadable, UnreadableCode};

/// A piece of one recording, on its way to a worker.
enum Job {
    Lines {
        source: Arc<str>,
        batch: Batch,
    },
    /// A row group of a recording in columns. Every worker opens the file for itself.
    Group {
        source: Arc<str>,
        path: Arc<Path>,
        number: usize,
    },
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
            if self.jobs.send(Job::Lines { source: Arc::clone(&source), batch }).is_err() {
                // Every worker has ended, which only a panic does; joining them passes it on.
                return Ok(());
            }
        }
    }

    /// Hands out a recording in columns.
    pub(super) fn feed_columns(
        &self,
        name: &str,
        path: &Path,
        takes: &mut impl FnMut() -> bool,
        progress: &mut Progress,
    ) -> Result<(), Failure> {
        let columns = columns::open(path)?;
        let (source, path): (Arc<str>, Arc<Path>) = (name.into(), path.into());
        for number in 0..columns.groups() {
            let job = Job::Group { source: Arc::clone(&source), path: Arc::clone(&path), number };
            if takes() && self.jobs.send(job).is_err() {
                return Ok(());
            }
            progress.group(columns.size(number));
        }
        Ok(())
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
    let mut opened: Option<(Arc<Path>, Columns<File>)> = None;
    loop {
        let next = inbox.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match next {
            Ok(Job::Lines { source, batch }) => {
                rehearsals.source(&source);
                rehearsals.batch(&mut lines, &batch);
                // Nobody waits for it once everything is handed out.
                let _ = done.send(batch);
            }
            Ok(Job::Group { source, path, number }) => {
                rehearsals.source(&source);
                if opened.as_ref().is_none_or(|(open, _)| *open != path) {
                    opened = columns::open(&path).ok().map(|columns| (Arc::clone(&path), columns));
                }
                let changed = || Unreadable {
                    place: Place::default(),
                    code: UnreadableCode::ReadFailed,
                    message: "the file changed while it was read".to_owned(),
                    gap: None,
                };
                let rows = opened.as_ref().ok_or_else(changed).and_then(|(_, columns)| columns.group(number));
                rehearsals.rows(&mut lines, rows);
            }
            Err(_) => return rehearsals.parts(),
        }
    }
}
