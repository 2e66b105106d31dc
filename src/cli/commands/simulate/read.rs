//! Reads the traffic and feeds it to the rehearsal, one pass over every file.

use std::io::{BufRead, BufReader};

use super::plan::{Plan, Traffic};
use super::progress::Progress;
use crate::cli::failure::{Failure, Kind};
use crate::cli::{demo, files};
use crate::simulate::{Part, Rehearsals};
use crate::traffic::{Numbered, Reader, Unreadable, chat};

/// Carries out a plan: a part for each candidate, in their order.
pub(super) fn rehearse(plan: &Plan) -> Result<Vec<Part>, Failure> {
    let candidates = plan.candidates.iter().map(|one| (&one.policy, one.what_if.clone()));
    let mut rehearsal = Rehearsals::new(candidates, plan.baseline.as_ref(), &plan.terms);
    let mut progress = Progress::new();
    let Traffic::Files { paths, mapping } = &plan.traffic else {
        feed(&mut rehearsal, demo::RECORDING_NAME, demo::RECORDING.as_bytes(), &mut progress)?;
        return Ok(rehearsal.parts());
    };
    for path in paths {
        let name = files::display_name(path);
        let input: Box<dyn BufRead> = if files::is_stdin(path) {
            Box::new(std::io::stdin().lock())
        } else {
            let limit = mapping.as_ref().map(|_| files::TRANSCRIPT_LIMIT);
            Box::new(BufReader::with_capacity(1 << 16, files::open(path, limit)?))
        };
        match mapping {
            None => feed(&mut rehearsal, &name, input, &mut progress)?,
            Some(mapping) => {
                rehearsal.source(&name);
                let mut sink = |item: Result<Numbered, Unreadable>| {
                    rehearsal.item(&item);
                    progress.step();
                };
                let imported = chat::read(input, mapping, &mut sink);
                rehearsal.imported(&imported);
            }
        }
    }
    progress.clear();
    Ok(rehearsal.parts())
}

/// Feeds one recording. A record that cannot be read is counted; a file that is no recording ends it.
fn feed(
    rehearsal: &mut Rehearsals<'_>,
    name: &str,
    input: impl BufRead,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let reader = Reader::new(input).map_err(|e| {
        progress.clear();
        Failure::new(Kind::BadInput, format!("`{name}` is no recording: {e}"))
            .help("a chat transcript needs --mapping, or `doorward import` first")
    })?;
    rehearsal.source(name);
    for item in reader {
        rehearsal.item(&item);
        progress.step();
    }
    Ok(())
}
