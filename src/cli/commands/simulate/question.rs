//! What is asked of a rehearsal, as flags: which policy, against what, on which traffic, what if.

use std::path::PathBuf;

use crate::cli::failure::Failure;
use crate::cli::policy::PolicyArgs;
use crate::cli::sources::SourceArgs;
use crate::cli::time;
use crate::cli::what_if::WhatIfArgs;
use crate::model::Timestamp;
use crate::simulate::Clock;

/// What is asked of a rehearsal.
#[derive(Debug, clap::Args)]
pub(super) struct Question {
    #[command(flatten)]
    pub(super) policy: PolicyArgs,
    /// Compare with this policy instead of with what was recorded: a file, a compiled file or `git:REV:PATH`
    #[arg(long, value_name = "FILE")]
    pub(super) baseline: Option<PathBuf>,
    #[command(flatten)]
    pub(super) source: SourceArgs,
    #[command(flatten)]
    pub(super) what_if: WhatIfArgs,
    /// Rehearse every combination of the what-ifs, in one pass over the traffic
    #[arg(long, help_heading = "What if")]
    pub(super) matrix: bool,
    /// Judge as if everything had happened so much later, or earlier with `-`, as `90d`; tokens keep their age
    #[arg(long, value_name = "DURATION", value_parser = time::shift, allow_hyphen_values = true, conflicts_with = "at",
        help_heading = "What if")]
    pub(super) shift: Option<i64>,
    /// Judge every event as if at this instant, as `2027-07-01T00:00:00Z`; tokens keep their age
    #[arg(long, value_name = "TIME", value_parser = time::instant, help_heading = "What if")]
    pub(super) at: Option<Timestamp>,
    /// With `--from audit`: only what was decided from this instant on, as `2026-01-01T00:00:00Z`
    #[arg(long, value_name = "TIME", value_parser = time::instant, requires = "from")]
    pub(super) since: Option<Timestamp>,
    /// With `--from audit`: only what was decided before this instant
    #[arg(long, value_name = "TIME", value_parser = time::instant, requires = "from")]
    pub(super) until: Option<Timestamp>,
    /// Recordings, plain or packed by gzip or zstd: files, globs, directories, or `-` for stdin [default: those of
    /// `[rollout]`]. With `--from audit` a store or exported lines of one [default: that of the policy]
    #[arg(value_name = "RECORDING")]
    pub(super) recordings: Vec<PathBuf>,
}

impl Question {
    /// The instant at which events are judged.
    pub(super) fn clock(&self) -> Clock {
        match (self.shift, self.at) {
            (Some(seconds), _) => Clock::Shifted { seconds },
            (None, Some(instant)) => Clock::At { instant },
            (None, None) => Clock::AsRecorded,
        }
    }

    /// The files that are read besides recordings.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let policy = self.policy.path()?;
        Ok(self.source.files().into_iter().chain(self.baseline.clone()).chain([policy]).collect())
    }

    /// Whether nothing says what to rehearse.
    pub(super) fn is_open(&self) -> bool {
        self.policy.is_found()
            && self.baseline.is_none()
            && self.source.is_default()
            && self.what_if.is_empty()
            && !self.matrix
            && self.since.is_none()
            && self.until.is_none()
            && self.clock() == Clock::AsRecorded
            && self.recordings.is_empty()
    }
}
