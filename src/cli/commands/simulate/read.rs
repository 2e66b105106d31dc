//! Reads the traffic and feeds it to the rehearsal, one pass over every file.

use std::io::{BufRead, BufReader};
use std::thread;

use super::crew::{self, Crew};
use super::plan::{Plan, Traffic};
use super::progress::Progress;
use crate::cli::failure::Failure;
use crate::cli::{demo, files};
use crate::simulate::{Asked, Part, Rehearsals};
use crate::traffic::{Batch, Lines, Numbered, Unreadable, chat};

/// Carries out a plan on so many threads: a part for each candidate, in their order.
pub(super) fn rehearse(plan: &Plan, threads: usize) -> Result<Vec<Part>, Failure> {
    let asked = Asked::by(plan.candidates.iter().map(|one| &one.policy).chain(&plan.baseline));
    let fold = || {
        let candidates = plan.candidates.iter().map(|one| (&one.policy, one.what_if.clone()));
        Rehearsals::new(candidates, plan.baseline.as_ref(), &plan.terms)
    };
    let mut progress = Progress::new();
    let Traffic::Files { paths, mapping } = &plan.traffic else {
        let mut rehearsal = fold();
        let demo = demo::RECORDING.as_bytes();
        feed(&mut rehearsal, &asked, demo::RECORDING_NAME, demo, &mut progress)?;
        return Ok(rehearsal.parts());
    };
    thread::scope(|scope| {
        let crew = (threads > 1 && mapping.is_none()).then(|| Crew::start(scope, threads, &asked, fold));
        let mut rehearsal = fold();
        for path in paths {
            let name = files::display_name(path);
            let input: Box<dyn BufRead> = if files::is_stdin(path) {
                Box::new(std::io::stdin().lock())
            } else {
                let limit = mapping.as_ref().map(|_| files::TRANSCRIPT_LIMIT);
                Box::new(BufReader::with_capacity(1 << 16, files::open(path, limit)?))
            };
            match (mapping, &crew) {
                (None, Some(crew)) => crew.feed(&name, input, &mut progress)?,
                (None, None) => feed(&mut rehearsal, &asked, &name, input, &mut progress)?,
                (Some(mapping), _) => {
                    rehearsal.source(&name);
                    let mut sink = |item: Result<Numbered, Unreadable>| {
                        rehearsal.item(&item);
                        progress.add(1);
                    };
                    let imported = chat::read(input, mapping, &mut sink);
                    rehearsal.imported(&imported);
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
