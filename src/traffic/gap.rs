//! What a recorder had to leave out, said where it would have stood.
//!
//! A gap is never an event and never passed over: whoever reads a recording gets it as a record that
//! cannot be read, so that nobody takes a part for the whole.

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// Events that were not recorded, and when they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// Before the first of them.
    pub since: Timestamp,
    /// After the last of them.
    pub until: Timestamp,
    /// How many.
    pub dropped: u64,
}

/// The line that says so.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct GapLine {
    gap: Gap,
}

impl Gap {
    /// The line that says so, without the newline.
    pub(super) fn line(self) -> String {
        let Self { since, until, dropped } = self;
        format!(r#"{{"gap":{{"since":{},"until":{},"dropped":{dropped}}}}}"#, since.0, until.0)
    }

    /// The gap that a line says; `None` for any other line.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str::<GapLine>(text).ok().map(|line| line.gap)
    }
}

impl std::fmt::Display for Gap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { since, until, dropped } = self;
        let events = if *dropped == 1 { "event was" } else { "events were" };
        write!(f, "{dropped} {events} not recorded between {since} and {until}")
    }
}
