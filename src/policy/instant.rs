//! Instants as TOML writes them.
//!
//! A time without an offset is refused: it would mean something else on another machine.

use time::format_description::well_known::Rfc3339;
use time::{Date, OffsetDateTime, Time};

use crate::model::Timestamp;

/// What an instant looks like, for help lines.
pub(super) const INSTANT_HELP: &str =
    "write `2027-01-31T12:00:00Z` with an offset, or `2027-01-31` for midnight UTC, without quotes";

/// Reads a date with time and offset, or a date alone as its midnight in UTC.
pub(super) fn instant(text: &str) -> Option<Timestamp> {
    if let Ok(whole) = OffsetDateTime::parse(text, &Rfc3339) {
        return Some(Timestamp(whole.unix_timestamp()));
    }
    let mut parts = text.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month = time::Month::try_from(month.parse::<u8>().ok()?).ok()?;
    let date = Date::from_calendar_date(year.parse().ok()?, month, day.parse().ok()?).ok()?;
    parts.next().is_none().then(|| Timestamp(date.with_time(Time::MIDNIGHT).assume_utc().unix_timestamp()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_its_midnight_in_utc_and_a_local_time_is_refused() {
        assert_eq!(instant("1970-01-02"), Some(Timestamp(86_400)));
        assert_eq!(instant("1970-01-01T01:00:00+01:00"), Some(Timestamp(0)));
        assert_eq!(instant("2026-01-01T00:00:00Z"), Some(Timestamp(1_767_225_600)));
        for text in ["2026-01-01T00:00:00", "00:00:00", "2026-13-01", "2026-02-30", ""] {
            assert_eq!(instant(text), None, "{text}");
        }
    }
}
