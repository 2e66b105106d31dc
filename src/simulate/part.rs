//! A part of a rehearsal: all that it takes to make the report of the whole from any split.
//!
//! A report says what was found; a part also keeps what must be known before that can be said, such
//! as how far each session had come. Merging parts in any order gives the same whole. It holds no
//! event and is bounded whatever the recording.

use serde::{Deserialize, Serialize};

use super::NotOneWhole;
use super::accounts::AccountsPart;
use super::report::Report;

/// The name and version of the form in which parts are written.
pub const PART_SCHEMA: &str = "doorward.part/v1";

/// A part of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// What adds up as it is.
    report: Report,
    /// What is told only of the whole.
    accounts: AccountsPart,
}

impl Part {
    pub(super) fn new(report: Report, accounts: AccountsPart) -> Self {
        Self { report, accounts }
    }

    /// Joins another part of the same rehearsal to this one.
    ///
    /// # Errors
    ///
    /// When the policies or the terms are not the same.
    pub fn merge(&mut self, other: Self) -> Result<(), NotOneWhole> {
        self.report.merge(other.report)?;
        self.accounts.merge(other.accounts);
        Ok(())
    }

    /// The report of all that was merged.
    pub fn finish(self) -> Report {
        let Self { mut report, accounts } = self;
        accounts.finish(&mut report);
        report
    }
}
