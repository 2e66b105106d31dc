//! Rehearsals on traffic in files: reads it and feeds it to the rehearsal, one pass over every file.
//!
//! What is rehearsed is a [`Plan`]; who made it, and what becomes of the report, is known to the callers.

mod crew;
mod plan;
mod progress;

use std::ops::ControlFlow;

use crate::cli::failure::Failure;
use crate::cli::sources::{self, Format};
use crate::cli::{demo, files};
use crate::simulate::{Asked, Part, Rehearsals, Shard};
use crate::traffic::{Imported, Numbered, Reader, Unreadable, log};
use crew::Supply;
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
            let mut rehearsal = fold();
            rehearsal.source(demo::RECORDING_NAME);
            let recording = Reader::new(demo::RECORDING.as_bytes());
            let recording = recording.map_err(|e| sources::no_recording(demo::RECORDING_NAME, &e))?;
            recording.for_each(|item| rehearsal.item(&item));
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
    if matches!(format, Format::Recording) && !strict {
        let parts = crew::rehearse(Supply::of(paths, shard, &mut progress), threads, &asked, fold)?;
        progress.clear();
        return Ok(parts);
    }
    let mut rehearsal = fold();
    for path in paths {
        let read = |sink: log::Sink<'_>| format.read_file(path, sink);
        one_by_one(&mut rehearsal, (&files::display_name(path), *strict), read, &mut progress)?;
    }
    progress.clear();
    Ok(rehearsal.parts())
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
