//! The last traffic of a gateway that runs: the last decisions of its audit log, and what it recorded besides.
//!
//! Every event counts once. What could not be recorded is filled from the audit log where that holds all of
//! the time in question, and is otherwise a record that cannot be read: nobody takes a part for the whole.

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use super::failure::{Failure, Kind};
use super::files::{self, Which};
use super::rehearsal::Plan;
use super::sources::Format;
use super::time;
use crate::audit::chain::Column;
use crate::audit::recorded;
use crate::audit::store::{Order, Select, Store};
use crate::gateway::InForce;
use crate::model::Timestamp;
use crate::simulate::{Part, Rehearsals};
use crate::traffic::{Event, Gap, Numbered, Unreadable};

/// How many of the last decisions of the audit log are looked at.
const DECISIONS: i64 = 20_000;
/// How many bytes of recordings, as they lie on the disk.
const BYTES: u64 = 64 << 20;
/// How far back, in seconds.
const LONGEST: i64 = 7 * 86_400;
/// What the audit log and the recordings are called in a report.
const LOG: &str = "the audit log";
const UNSAID: &str = "the capture";

/// The last traffic.
pub(super) struct LastTraffic {
    /// Of the audit log, the earliest first, without what is in a recording that is rehearsed on anyway.
    events: Vec<Event>,
    /// What the audit log holds of the same time, by the ids of its events.
    logged: HashSet<String>,
    /// From when on the audit log was read whole.
    whole: Option<Timestamp>,
    /// Recordings, the earliest first.
    files: Vec<PathBuf>,
    /// What could not even be said in a recording.
    unsaid: Option<Gap>,
}

impl LastTraffic {
    /// Reads what there is. `named` are recordings that are rehearsed on anyway.
    pub(super) fn read(in_force: &InForce, named: &[PathBuf]) -> Result<Self, Failure> {
        let now = time::clock();
        let since = now.plus(-LONGEST);
        // The log comes last: what is recorded is on it.
        let (mut files, mut unsaid) = (Vec::new(), None);
        if let Some(captured) = &in_force.captured {
            let found = captured.files(since, BYTES);
            files = found.map_err(|error| Failure::reading(&captured.directory, &error))?;
            let named: BTreeSet<Option<Which>> = named.iter().map(|path| Which::of(path)).collect();
            files.retain(|path| !named.contains(&Which::of(path)));
            unsaid = captured.unsaid;
        }
        let events = decisions(&in_force.audit, since)?;
        let kept = in_force.policy.set().audit.retention.values().min();
        let kept = kept.and_then(|seconds| i64::try_from(*seconds).ok()).unwrap_or(i64::MAX);
        let whole = events.first().map(|event| event.time.plus(1).max(now.plus(-kept)));
        let id = |event: &Event| event.id.present().cloned();
        let logged: HashSet<String> = events.iter().filter_map(id).collect();
        let mut events = events;
        let twice = twice(named, &logged, events.first().map(|event| event.time))?;
        events.retain(|event| event.id.present().is_none_or(|id| !twice.contains(id)));
        Ok(Self { events, logged, whole, files, unsaid })
    }

    /// What it adds to a rehearsal.
    pub(super) fn rehearse(self, plan: &Plan) -> Result<Vec<Part>, Failure> {
        let candidates = plan.candidates.iter().map(|one| (&one.policy, one.what_if.clone()));
        let mut rehearsals = Rehearsals::new(candidates, plan.baseline.as_ref(), &plan.terms);
        for path in &self.files {
            self.recording(path, &mut rehearsals)?;
        }
        if let Some(gap) = self.unsaid.filter(|gap| !self.fills(*gap)) {
            rehearsals.source(UNSAID);
            rehearsals.unreadable(&Unreadable::left_out(0, gap));
        }
        rehearsals.source(LOG);
        for (number, event) in (1_u64..).zip(self.events) {
            rehearsals.item(&Ok(Numbered { place: number.into(), event }));
        }
        Ok(rehearsals.parts())
    }

    /// Adds what a recording has and the audit log has not.
    fn recording(&self, path: &Path, rehearsals: &mut Rehearsals<'_>) -> Result<(), Failure> {
        rehearsals.source(&files::display_name(path));
        let sink = &mut |item: Result<Numbered, Unreadable>| {
            let known = match &item {
                Ok(numbered) => numbered.event.id.present().is_some_and(|id| self.logged.contains(id)),
                Err(unreadable) => unreadable.gap.is_some_and(|gap| self.fills(gap)),
            };
            if !known {
                rehearsals.item(&item);
            }
            ControlFlow::Continue(())
        };
        // The oldest may have gone meanwhile, to make room.
        if path.exists() {
            Format::Recording.read_file(path, sink)?;
        }
        Ok(())
    }

    /// Whether the audit log has what was left out.
    fn fills(&self, gap: Gap) -> bool {
        self.whole.is_some_and(|whole| gap.since >= whole)
    }
}

/// Which of these events are in recordings that are rehearsed on anyway. What was written last before the first of them
/// holds none, and is not read.
fn twice(named: &[PathBuf], logged: &HashSet<String>, first: Option<Timestamp>) -> Result<HashSet<String>, Failure> {
    let mut twice = HashSet::new();
    let Some(first) = first.and_then(|first| u64::try_from(first.0).ok()) else { return Ok(twice) };
    for path in named {
        let written = std::fs::metadata(path).and_then(|data| data.modified()).ok();
        let written = written.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        if written.is_some_and(|at| at.as_secs() < first) {
            continue;
        }
        let sink = &mut |item: Result<Numbered, Unreadable>| {
            let id = item.ok().and_then(|numbered| numbered.event.id.present().cloned());
            twice.extend(id.filter(|id| logged.contains(id)));
            ControlFlow::Continue(())
        };
        Format::Recording.read_file(path, sink)?;
    }
    Ok(twice)
}

/// The last decisions, the earliest first.
fn decisions(store: &Store, since: Timestamp) -> Result<Vec<Event>, Failure> {
    let decision = |text: &str| (Column::Decision, text.to_owned());
    let select = Select {
        texts: vec![decision("allow"), decision("deny")],
        since: Some(since.0.saturating_mul(1_000_000)),
        order: Order::Latest,
        limit: Some(DECISIONS),
        ..Select::default()
    };
    let mut events = Vec::new();
    let read = async {
        let mut connection = store.reader().await?;
        let take = &mut |row| {
            events.extend(recorded(&row));
            ControlFlow::Continue(())
        };
        let read = connection.read(&select, take).await;
        connection.close().await;
        read
    };
    let failed = |cause: String| {
        Failure::new(Kind::CannotRead, format!("the last traffic cannot be read from the audit log: {cause}"))
            .help("a gate cannot be judged without it; see that the store is up, and reload again")
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| failed(e.to_string()))?;
    runtime.block_on(read).map_err(|e| failed(e.to_string()))?;
    events.reverse();
    Ok(events)
}
