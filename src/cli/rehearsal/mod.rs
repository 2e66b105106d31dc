//! Rehearsals on traffic in files: reads it and feeds it to the rehearsal, one pass over every file.
//!
//! What is rehearsed is a [`Plan`]; who made it, and what becomes of the report, is known to the callers.

mod crew;
mod plan;
mod progress;

use std::io::BufRead;
use std::ops::ControlFlow;
use std::path::Path;
use std::thread;

use crate::cli::failure::Failure;
use crate::cli::sources::{self, Format};
use crate::cli::{columns, demo, files, stream};
use crate::simulate::{Asked, Part, Rehearsals, Shard};
use crate::traffic::{Batch, Imported, Lines, Numbered, Unreadable, log};
use crew::Crew;
pub(super) use plan::{Candidate, Plan, Traffic};
use progress::Progress;

/// Carries out a plan, or one shard of it, on so many threads: a part for each candidate, in their order.
pub(super) fn rehearse(plan: &Plan, shard: Option<Shard>, threads: usize) -> Result<Vec<Part>, Failure> {
    let asked = Asked::by(plan.candidates.iter().map(|one| &one.policy).chain(&plan.baseline));
    let fold = || {
        let candidates = plan.candidates.iter().map(|one| (&one.policy, one.what_if.clone()));
        Rehearsals::new(candidates, plan.baseline.as_ref(), &plan.terms).of(shard)
    };
    let (paths, format, strict) = match &plan.traffic {
        Traffic::BuiltIn => {
            let (mut rehearsal, mut progress) = (fold(), Progress::of(&[]));
            let demo = demo::RECORDING.as_bytes();
            feed(&mut rehearsal, &asked, demo::RECORDING_NAME, demo, &mut progress)?;
            return Ok(rehearsal.parts());
        }
        Traffic::Files { paths, format, strict } => (paths, format, strict),
        #[cfg(feature = "store")]
        Traffic::Decided(decisions) => {
            let mut rehearsal = fold();
            let mut progress = Progress::of(&[]).shown(plan.is_watched);
            one_by_one(&mut rehearsal, (&decisions.name(), false), |sink| decisions.read(sink), &mut progress)?;
            progress.clear();
            return Ok(rehearsal.parts());
        }
    };
    let mut progress = Progress::of(paths).shown(plan.is_watched);
    // Where the first record that cannot be read ends everything, records are looked at one by one.
    let recording = matches!(format, Format::Recording) && !strict;
    thread::scope(|scope| {
        let crew = (threads > 1 && recording).then(|| Crew::start(scope, threads, &asked, fold));
        let mut rehearsal = fold();
        let mut groups = 0..;
        let mut takes = || groups.next().zip(shard).is_none_or(|(number, shard): (u64, Shard)| shard.takes(number));
        for path in paths {
            let name = files::display_name(path);
            match &crew {
                _ if !recording => {
                    let read = |sink: log::Sink<'_>| format.read_file(path, sink);
                    one_by_one(&mut rehearsal, (&name, *strict), read, &mut progress)?;
                }
                Some(crew) if columns::is(path)? => {
                    crew.feed_columns(&name, path, &mut takes, &mut progress)?;
                }
                Some(crew) => crew.feed(&name, stream::watched(path, progress.read())?, &mut progress)?,
                None if columns::is(path)? => {
                    rehearsal.source(&name);
                    feed_columns(&mut rehearsal, &asked, path, &mut takes, &mut progress)?;
                }
                None => {
                    let input = stream::watched(path, progress.read())?;
                    feed(&mut rehearsal, &asked, &name, input, &mut progress)?;
                }
            }
        }
        let mut parts = rehearsal.parts();
        if let Some(crew) = crew {
            crew.finish(&mut parts)?;
        }
        progress.clear();
        Ok(parts)
    })
}

/// Feeds one recording. A record that cannot be read is counted; a file that is no recording ends it.
fn feed(
    rehearsal: &mut Rehearsals<'_>,
    asked: &Asked<'_>,
    name: &str,
    input: impl BufRead,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let mut reader = crew::open(name, input, progress)?;
    let (mut lines, mut batch) = (Lines::new(asked), Batch::default());
    rehearsal.source(name);
    while reader.fill(&mut batch) {
        rehearsal.batch(&mut lines, &batch);
        progress.add(batch.count());
    }
    Ok(())
}

/// Feeds what is read event by event. With `strict`, a record that cannot be read ends it.
fn one_by_one(
    rehearsal: &mut Rehearsals<'_>,
    (name, strict): (&str, bool),
    read: impl FnOnce(log::Sink<'_>) -> Result<Imported, Failure>,
    progress: &mut Progress,
) -> Result<(), Failure> {
    rehearsal.source(name);
    let mut first = None;
    let mut sink = |item: Result<Numbered, Unreadable>| {
        rehearsal.item(&item);
        progress.add(1);
        match item {
            Err(unreadable) if strict => {
                first = Some(unreadable);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        }
    };
    let read = read(&mut sink);
    if read.is_err() || first.is_some() {
        progress.clear();
    }
    let imported = read?;
    if let Some(unreadable) = first {
        return Err(sources::strict(name, &unreadable));
    }
    rehearsal.imported(&imported);
    Ok(())
}

/// Feeds one recording in columns: of its row groups those that are taken.
fn feed_columns(
    rehearsal: &mut Rehearsals<'_>,
    asked: &Asked<'_>,
    path: &Path,
    takes: &mut impl FnMut() -> bool,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let columns = columns::open(path)?;
    let mut lines = Lines::new(asked);
    for number in 0..columns.groups() {
        if takes() {
            rehearsal.rows(&mut lines, columns.group(number));
        }
        progress.group(columns.size(number));
    }
    Ok(())
}
