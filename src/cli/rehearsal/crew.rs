//! Several threads on one traffic: each takes the next batch of lines or the next row group, reads and judges it
//! into a fold of its own, and the folds add up to the one report.
//!
//! Whoever takes a batch copies it from the source itself: text that another processor has copied takes a third longer to
//! read. Which thread took which batch never shows: parts of any split merge to the same whole.

use std::fs::File;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::slice;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::progress::Progress;
use crate::cli::failure::{Failure, Kind};
use crate::cli::{columns, files, sources, stream};
use crate::simulate::{Asked, Part, Rehearsals, Shard};
use crate::traffic::columns::Columns;
use crate::traffic::{Batch, Lines, Place, Reader, Unreadable, UnreadableCode};

/// What is left of the traffic in files.
pub(super) struct Supply<'t> {
    paths: slice::Iter<'t, PathBuf>,
    open: Open,
    shard: Option<Shard>,
    /// How many row groups there were.
    groups: u64,
    progress: &'t mut Progress,
    /// Why nothing more is handed out.
    failed: Option<Failure>,
}

/// The recording that is handed out.
enum Open {
    Nothing,
    Lines { source: Arc<str>, reader: Box<Reader<Box<dyn BufRead + Send>>> },
    Columns { source: Arc<str>, path: Arc<Path>, columns: Box<Columns<File>>, next: usize },
}

/// A piece of one recording.
enum Piece {
    /// The lines in the batch.
    Lines(Arc<str>),
    /// A row group of a recording in columns. Who takes it opens the file for itself.
    Group { source: Arc<str>, path: Arc<Path>, number: usize },
}

impl<'t> Supply<'t> {
    /// All of these files, of those in columns the row groups of one shard.
    pub(super) fn of(paths: &'t [PathBuf], shard: Option<Shard>, progress: &'t mut Progress) -> Self {
        Self { paths: paths.iter(), open: Open::Nothing, shard, groups: 0, progress, failed: None }
    }

    /// The next piece. None when there are no more, or the next recording cannot be opened.
    fn next(&mut self, batch: &mut Batch) -> Option<Piece> {
        loop {
            match &mut self.open {
                Open::Nothing => {}
                Open::Lines { source, reader } => {
                    if reader.fill(batch) {
                        self.progress.add(batch.count());
                        return Some(Piece::Lines(Arc::clone(source)));
                    }
                }
                Open::Columns { source, path, columns, next } => {
                    while *next < columns.groups() {
                        let (group, number) = (*next, self.groups);
                        *next += 1;
                        self.groups += 1;
                        self.progress.group(columns.size(group));
                        if self.shard.is_none_or(|shard| shard.takes(number)) {
                            let (source, path) = (Arc::clone(source), Arc::clone(path));
                            return Some(Piece::Group { source, path, number: group });
                        }
                    }
                }
            }
            self.open = Open::Nothing;
            let path = self.paths.next()?;
            match self.open(path) {
                Ok(open) => self.open = open,
                Err(failure) => {
                    self.paths = [].iter();
                    self.progress.clear();
                    self.failed = Some(failure);
                }
            }
        }
    }

    fn open(&self, path: &Path) -> Result<Open, Failure> {
        let name = files::display_name(path);
        let source = Arc::from(&*name);
        if columns::is(path)? {
            return Ok(Open::Columns { source, path: path.into(), columns: Box::new(columns::open(path)?), next: 0 });
        }
        let input = stream::watched(path, self.progress.read())?;
        let reader = Reader::new(input).map_err(|e| sources::no_recording(&name, &e))?;
        Ok(Open::Lines { source, reader: Box::new(reader) })
    }
}

/// Lets so many threads, this one among them, rehearse all of it, each in a fold that `fold` makes.
pub(super) fn rehearse<'p>(
    supply: Supply<'_>,
    threads: usize,
    asked: &Asked<'p>,
    fold: impl Fn() -> Rehearsals<'p> + Sync,
) -> Result<Vec<Part>, Failure> {
    let supply = Mutex::new(supply);
    let parts = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| work(&supply, asked, fold()))).collect();
        let mut parts = work(&supply, asked, fold());
        for other in others {
            let found = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for (whole, part) in parts.iter_mut().zip(found) {
                whole.merge(part).map_err(|e| Failure::new(Kind::Usage, e.to_string()))?;
            }
        }
        Ok(parts)
    });
    match supply.into_inner().unwrap_or_else(PoisonError::into_inner).failed {
        Some(failure) => Err(failure),
        None => parts,
    }
}

/// Reads and judges pieces until there are no more.
fn work(supply: &Mutex<Supply<'_>>, asked: &Asked<'_>, mut rehearsals: Rehearsals<'_>) -> Vec<Part> {
    let (mut lines, mut batch) = (Lines::new(asked), Batch::default());
    let mut opened: Option<(Arc<Path>, Columns<File>)> = None;
    loop {
        let next = supply.lock().unwrap_or_else(PoisonError::into_inner).next(&mut batch);
        match next {
            Some(Piece::Lines(source)) => {
                rehearsals.source(&source);
                rehearsals.batch(&mut lines, &batch);
            }
            Some(Piece::Group { source, path, number }) => {
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
            None => return rehearsals.parts(),
        }
    }
}
