//! A count on stderr, where a person is watching.

use std::io::{IsTerminal, Write};

/// After how many events progress is shown again.
const EVERY: u64 = 20_000;

/// A count on stderr, where a person is watching.
pub(super) struct Progress {
    events: u64,
    watched: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { events: 0, watched: std::io::stderr().is_terminal() }
    }

    /// So many more were read.
    pub(super) fn add(&mut self, events: u64) {
        let before = self.events / EVERY;
        self.events += events;
        if self.watched && self.events / EVERY != before {
            let _ = write!(std::io::stderr(), "\r{} events", self.events);
        }
    }

    /// Leaves the line to what comes next.
    pub(super) fn clear(&mut self) {
        if self.watched && self.events >= EVERY {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}
