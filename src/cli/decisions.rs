//! What an audit log says that was decided, as traffic for a rehearsal: the same events as `doorward audit export --format
//! recording` writes, without a file between.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;

use super::audit_log::Source;
use super::failure::Failure;
use crate::audit::recorded;
use crate::audit::store::{Order, Select};
use crate::model::Timestamp;
use crate::traffic::{Imported, Numbered, log};

/// How many events the log may be ahead of the rehearsal.
const AHEAD: usize = 1_024;
/// What the rows of decisions are called that hold no question that could be asked again.
const NO_QUESTION: &str = "no question to ask again";

/// Decisions of an audit log.
pub(super) struct Decisions {
    log: Source,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Decisions {
    /// Those of a log between two instants, the second not included.
    pub(super) fn of(log: Source, since: Option<Timestamp>, until: Option<Timestamp>) -> Self {
        Self { log, since, until }
    }

    /// The log for people, without a password.
    pub(super) fn name(&self) -> String {
        self.log.name()
    }

    /// The files that the log is in, if it is in any.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        self.log.files()
    }

    /// Hands over the events, the earliest first and numbered from 1. A decision that cannot be asked again, as one that was
    /// made before the policy was asked, is counted.
    pub(super) fn read(&self, sink: log::Sink<'_>) -> Result<Imported, Failure> {
        let mut reader = self.log.clone().open()?;
        let microseconds = |time: Timestamp| time.0.saturating_mul(1_000_000);
        let select = Select {
            since: self.since.map(microseconds),
            until: self.until.map(microseconds),
            order: Order::Earliest,
            ..Select::default()
        };
        let mut counts = Imported::default();
        thread::scope(|scope| {
            let (sender, events) = sync_channel(AHEAD);
            let reading = scope.spawn(move || {
                reader.each(&select, &mut |row| {
                    if !matches!(&*row.entry.kind, "intent" | "denial") {
                        return ControlFlow::Continue(());
                    }
                    match sender.send(recorded(&row)) {
                        Ok(()) => ControlFlow::Continue(()),
                        // Whoever listened has heard enough.
                        Err(_) => ControlFlow::Break(()),
                    }
                })
            });
            for event in events {
                counts.records += 1;
                counts.documents += 1;
                let Some(event) = event else {
                    counts.ignore(NO_QUESTION);
                    continue;
                };
                counts.events += 1;
                if sink(Ok(Numbered { place: counts.events.into(), event })).is_break() {
                    break;
                }
            }
            // A panic of the reader is ours.
            reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        Ok(counts)
    }
}
