//! Particular events of the traffic, looked for one after the other.

use std::ops::ControlFlow;

use crate::cli::failure::Failure;
use crate::cli::rehearsal::Traffic;
use crate::cli::{demo, files, sources};
use crate::simulate::Select;
use crate::traffic::{Event, Numbered, Place, Reader, Unreadable};

/// The most identifiers that are kept to suggest one.
const MOST_IDS: usize = 10_000;

/// An event that was found.
pub(super) struct Found {
    pub(super) source: String,
    pub(super) place: Place,
    pub(super) event: Event,
}

/// What came of looking.
pub(super) struct Search {
    /// Each event that was looked for.
    pub(super) found: Vec<Option<Found>>,
    /// How many events were passed.
    pub(super) events: u64,
    /// The first identifiers among them.
    pub(super) ids: Vec<String>,
}

/// Looks for events until all are found. A line without a recording is one only where there is one
/// recording.
pub(super) fn find(traffic: &Traffic, wanted: &[Select]) -> Result<Search, Failure> {
    let mut search = Search { found: wanted.iter().map(|_| None).collect(), events: 0, ids: Vec::new() };
    match traffic {
        Traffic::BuiltIn => {
            let reader = Reader::new(demo::RECORDING.as_bytes());
            for item in reader.map_err(|e| sources::no_recording(demo::RECORDING_NAME, &e))? {
                if search.look(demo::RECORDING_NAME, true, wanted, item).is_break() {
                    break;
                }
            }
        }
        Traffic::Files { paths, format, .. } => {
            for path in paths {
                let name = files::display_name(path);
                let mut look = |item| search.look(&name, paths.len() == 1, wanted, item);
                format.read_file(path, &mut look)?;
                if search.found.iter().all(Option::is_some) {
                    break;
                }
            }
        }
        #[cfg(feature = "store")]
        Traffic::Decided(decisions) => {
            let name = decisions.name();
            decisions.read(&mut |item| search.look(&name, true, wanted, item))?;
        }
    }
    Ok(search)
}

impl Search {
    fn look(
        &mut self,
        source: &str,
        only: bool,
        wanted: &[Select],
        item: Result<Numbered, Unreadable>,
    ) -> ControlFlow<()> {
        let Ok(Numbered { place, event }) = item else { return ControlFlow::Continue(()) };
        self.events += 1;
        let id = event.id.fact().map(String::as_str);
        if let Some(id) = id.known().filter(|_| self.ids.len() < MOST_IDS) {
            self.ids.push(id.to_owned());
        }
        for (select, found) in wanted.iter().zip(&mut self.found) {
            let named = only || !select.is_bare_line() || id.known() == Some(select.to_string().as_str());
            if found.is_none() && named && select.is(source, place, id) {
                *found = Some(Found { source: source.to_owned(), place, event: event.clone() });
            }
        }
        if self.found.iter().all(Option::is_some) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}
