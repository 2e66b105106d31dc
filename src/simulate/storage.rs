//! What the audit log takes: rows and bytes by audit class, how much of them its retention keeps, and what goes when
//! the candidate is applied.
//!
//! Counted are the rows of the recorded requests: an intent and an outcome of one that is allowed, a denial of one that
//! is denied. The log's own rows are not, nor is what a rate stops.

use serde::{Deserialize, Serialize};

use super::counts::Range;

/// What a row of each kind takes in a log in `SQLite`, in bytes, with its part of the indexes: measured on a tool call with
/// two small arguments, as a gateway writes it. A test writes such a log and holds it against this.
pub const ROW_BYTES: RowBytes = RowBytes { intent: 1450, outcome: 300, denial: 1450 };

/// The most days by which a row outlives its retention: whole months go.
const MONTH: u64 = 31 * 86_400;

/// What rows take, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RowBytes {
    /// A request that was allowed.
    pub intent: u64,
    /// What became of it.
    pub outcome: u64,
    /// A request that was denied.
    pub denial: u64,
}

/// What the audit log takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// What a row is taken to need.
    pub row_bytes: RowBytes,
    /// By audit class, in the order of their names; those to which no request belongs too.
    pub classes: Vec<ClassStorage>,
}

/// What one audit class takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ClassStorage {
    /// The audit class.
    pub class: String,
    /// Under the baseline; none where there is no baseline, or it has no such class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Kept>,
    /// Under the candidate; none where it has no such class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<Kept>,
    /// What of the recording the baseline keeps at its last instant and the retention of the candidate removes;
    /// without a baseline, of what the candidate itself writes.
    pub removed: Volume,
}

/// What one policy writes into an audit class, and keeps of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// How long a row stays, in seconds.
    pub retention: u64,
    /// Whether a hold keeps all of the class, however old.
    pub held: bool,
    /// All that the recorded requests write.
    pub written: Volume,
    /// What of it is still there at the last recorded instant.
    pub kept: Volume,
    /// What is there in the long run, at the rate of the recording: at least what the retention asks for, at most a
    /// month more, since whole months go. None where the recording spans no time, and of a class that is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steady: Option<Volume>,
}

/// Rows and what they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// How many rows. A request that cannot be decided writes one or two.
    pub rows: Range,
    /// How many bytes.
    pub bytes: Range,
}

impl Volume {
    /// What is there in the long run when so much comes in so many seconds.
    pub(super) fn steady(self, retention: u64, seconds: u64) -> Option<Self> {
        if seconds == 0 {
            return None;
        }
        let over = |count: u64, kept: u64| {
            let all = u128::from(count) * u128::from(kept) / u128::from(seconds);
            u64::try_from(all).unwrap_or(u64::MAX)
        };
        let range = |range: Range| Range {
            at_least: over(range.at_least, retention),
            at_most: over(range.at_most, retention.saturating_add(MONTH)),
        };
        Some(Self { rows: range(self.rows), bytes: range(self.bytes) })
    }
}

impl Storage {
    /// Whether the candidate keeps anything for another time than the baseline, or removes anything.
    pub fn changes(&self) -> bool {
        let keeping = |kept: &Option<Kept>| kept.as_ref().map(|kept| (kept.retention, kept.held));
        let compared = self.classes.iter().any(|class| class.before.is_some());
        let differs = |class: &ClassStorage| compared && keeping(&class.before) != keeping(&class.now);
        self.classes.iter().any(|class| differs(class) || class.removed.rows.at_most > 0)
    }
}
