//! Rehearsals: recorded requests judged by a candidate policy and held against a baseline.
//!
//! The function that decides is the one that decides in production, [`crate::pdp::judge`], and each
//! token is judged at the instant of its recording. Nothing is guessed: what a recording did not
//! keep makes a request undecidable and is counted with bounds. No event is left out of the counts,
//! memory does not grow with the recording, and a report made from parts is the report of the whole.

mod accounts;
mod ages;
mod answer;
mod arguments;
mod askers;
mod bounded;
mod classes;
mod closed;
mod counts;
mod coverage;
mod examine;
mod few;
mod following;
mod gate;
mod gauges;
mod habits;
mod judged;
mod labels;
mod logged;
mod memo;
mod movers;
mod order;
mod outcome;
mod part;
mod question;
mod rated;
mod rates;
mod reach;
mod redacted;
mod rehearsal;
mod replay;
mod report;
mod rows;
pub mod scenario;
mod select;
mod sessions;
mod several;
mod shard;
mod spans;
mod steps;
mod storage;
pub mod suite;
mod tables;
mod terms;
mod untouched;
mod unusual;
mod why;

use std::fmt;

pub use ages::{AgeCurve, Ages, DoorAges, TTLS};
pub use answer::{Answer, RuleName};
pub use arguments::{
    ArgumentLimit, ArgumentLimits, MAX_LIMITS, MAX_TEXT, MAX_TEXTS, MAX_TEXTS_LISTED, Passing, Spread, TextCount,
};
pub use bounded::{MAX_EXPLAINED, MAX_KEYS, MAX_SAMPLES};
pub use counts::{Counts, Range};
pub use coverage::{Coverage, CoverageLine};
pub use examine::{Class, Examined, examine};
pub use gate::{Breach, GateVerdict, Measure, gate, limits};
pub use movers::{ItemCalls, MAX_MOVER_ITEMS, MAX_MOVERS, Moved, Mover, Movers};
pub use part::{PART_SCHEMA, Part};
pub use question::Asked;
pub use rates::{MAX_RATE_LINES, MAX_RATED, RateLine, Rates, WorstWindow};
pub use rehearsal::Rehearsal;
pub use report::{
    Change, Changes, Column, Columns, Drift, Flow, Group, Groups, Kind, Presence, Report, Sample, Skipped,
    StatementHits, Usage, Window,
};
pub use select::Select;
pub use sessions::{
    BreakingItem, BrokenSession, MAX_LISTED, MAX_SESSION_CALLS, MAX_SESSIONS, Sessions, UnblockedSession,
};
pub use several::Rehearsals;
pub use shard::{PartFile, Run, Shard, Unmergeable};
pub use storage::{ClassStorage, Kept, ROW_BYTES, RowBytes, Storage, Volume};
pub use terms::{Against, Clock, Terms};
pub use untouched::Untouched;
pub use unusual::{Because, MAX_UNUSUAL, RARE, RULES, Unusual, UnusualCalls};
pub use why::{Considered, Why};

use crate::policy::CompiledPolicy;
use crate::traffic::{Numbered, Unreadable};

/// Rehearses one source in one go.
pub fn simulate(
    candidate: &CompiledPolicy,
    baseline: Option<&CompiledPolicy>,
    source: &str,
    items: impl IntoIterator<Item = Result<Numbered, Unreadable>>,
) -> Report {
    let mut rehearsal = Rehearsal::new(candidate, baseline);
    rehearsal.source(source);
    for item in items {
        rehearsal.item(&item);
    }
    rehearsal.finish()
}

/// Why two reports are not parts of one whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotOneWhole;

impl fmt::Display for NotOneWhole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reports are of different policies or terms: merge only parts of one rehearsal")
    }
}

impl std::error::Error for NotOneWhole {}
