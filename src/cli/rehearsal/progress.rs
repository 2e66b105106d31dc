//! How far a rehearsal has come, on stderr, where a person is watching.
//!
//! It is one line that is written over and wiped at the end. Nothing is shown where stderr is no
//! terminal, or one that cannot write over a line.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::cli::files;

/// How often the line is written.
const EVERY: Duration = Duration::from_millis(100);
/// From when on the time left is told.
const SETTLED: Duration = Duration::from_secs(1);
/// How wide the bar is.
const WIDTH: u64 = 20;

/// How far a rehearsal has come.
pub(super) struct Progress {
    events: u64,
    /// The bytes read so far, counted by whoever reads them.
    read: Arc<AtomicU64>,
    /// All bytes; none where a stream has no end that is known.
    total: Option<u64>,
    start: Instant,
    shown: Option<Instant>,
    watched: bool,
}

impl Progress {
    /// Of these files.
    pub(super) fn of(paths: &[PathBuf]) -> Self {
        let size = |path: &PathBuf| {
            let metadata = std::fs::metadata(path).ok().filter(|_| !files::is_stdin(path));
            metadata.filter(std::fs::Metadata::is_file).map(|found| found.len())
        };
        Self {
            events: 0,
            read: Arc::default(),
            total: paths.iter().map(size).sum(),
            start: Instant::now(),
            shown: None,
            watched: std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        }
    }

    /// The same, shown only if somebody may want to see it.
    pub(super) fn shown(self, is_watched: bool) -> Self {
        Self { watched: self.watched && is_watched, ..self }
    }

    /// Where the bytes that are read are counted.
    pub(super) fn read(&self) -> &Arc<AtomicU64> {
        &self.read
    }

    /// A row group was handed on: its events and its bytes.
    pub(super) fn group(&mut self, (events, bytes): (u64, u64)) {
        self.read.fetch_add(bytes, Ordering::Relaxed);
        self.add(events);
    }

    /// So many more events were read.
    pub(super) fn add(&mut self, events: u64) {
        self.events += events;
        if !self.watched || self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let line = line(self.events, self.read.load(Ordering::Relaxed), self.total, self.start.elapsed());
        let _ = write!(std::io::stderr(), "\r{line}\u{1b}[K");
    }

    /// Leaves the line to what comes next.
    pub(super) fn clear(&mut self) {
        if self.shown.take().is_some() {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn line(events: u64, read: u64, total: Option<u64>, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs().max(1);
    let rate = format!("{events} events, {}/s", events / seconds);
    let Some(total) = total.filter(|total| *total > 0 && read > 0) else { return rate };
    let read = read.min(total);
    let done = usize::try_from(WIDTH.saturating_mul(read) / total).unwrap_or(0);
    let open = usize::try_from(WIDTH).unwrap_or(0).saturating_sub(done);
    let bar = format!("[{}{}] {:>3} %  {rate}", "#".repeat(done), ".".repeat(open), read.saturating_mul(100) / total);
    if elapsed < SETTLED {
        return bar;
    }
    let left = u128::from(total - read) * elapsed.as_millis() / u128::from(read) / 1000;
    match left {
        0..120 => format!("{bar}, {left} s left"),
        120..7200 => format!("{bar}, {} min left", left / 60),
        _ => format!("{bar}, {} h left", left / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_how_fast_and_how_long_as_far_as_that_is_known() {
        let at = |read, total, millis| line(3_000_000, read, total, Duration::from_millis(millis));
        assert_eq!(at(0, None, 2_000), "3000000 events, 1500000/s");
        assert_eq!(at(0, Some(10), 2_000), "3000000 events, 1500000/s");
        assert_eq!(at(5, Some(10), 200), "[##########..........]  50 %  3000000 events, 3000000/s");
        assert_eq!(at(1, Some(4), 3_000), "[#####...............]  25 %  3000000 events, 1000000/s, 9 s left");
        assert_eq!(at(1, Some(1_000), 3_000), "[....................]   0 %  3000000 events, 1000000/s, 49 min left");
        assert_eq!(at(12, Some(10), 60_000), "[####################] 100 %  3000000 events, 50000/s, 0 s left");
        assert!(at(1, Some(u64::MAX), 1_000).ends_with(" h left"));
    }
}
