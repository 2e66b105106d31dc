//! The clock, read here and nowhere else, and times as arguments.

use std::time::SystemTime;

use ::time::OffsetDateTime;
use ::time::format_description::well_known::Rfc3339;

use crate::model::Timestamp;

/// The instant to judge at.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(super) struct NowArg {
    /// Judge at this instant, as `2026-01-01T00:00:00Z` [default: the clock]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    now: Option<Timestamp>,
}

impl NowArg {
    /// The instant given, or that of the clock.
    pub(super) fn instant(self) -> Timestamp {
        self.now.unwrap_or_else(clock)
    }
}

/// The clock. Before 1970 it is 1970: every token is then not valid yet.
fn clock() -> Timestamp {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// Reads RFC 3339.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(|t| Timestamp(t.unix_timestamp()))
        .map_err(|_| "a time looks like `2026-01-01T00:00:00Z`".to_owned())
}
