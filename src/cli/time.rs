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
pub(super) fn clock() -> Timestamp {
    let seconds = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
    Timestamp(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// Reads RFC 3339.
pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .map(|t| Timestamp(t.unix_timestamp()))
        .map_err(|_| "a time looks like `2026-01-01T00:00:00Z`".to_owned())
}

/// Reads a duration such as `90s`, `5m` or `1h30m` into seconds.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    let bad = || "a duration looks like `90s`, `5m` or `1h30m`".to_owned();
    let mut total = 0_u32;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
        let (number, tail) = rest.split_at_checked(digits).ok_or_else(bad)?;
        let mut tail = tail.chars();
        let unit = match tail.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some('w') => 7 * 86_400,
            Some('y') => 365 * 86_400,
            _ => return Err(bad()),
        };
        let number: u32 = number.parse().map_err(|_| bad())?;
        total = number.checked_mul(unit).and_then(|n| total.checked_add(n)).ok_or_else(bad)?;
        rest = tail.as_str();
    }
    if text.is_empty() { Err(bad()) } else { Ok(total) }
}

/// Reads an age; that of a token from the future starts with `-`.
pub(super) fn age(text: &str) -> Result<i64, String> {
    match text.strip_prefix('-') {
        Some(ahead) => seconds(ahead).map(|s| -i64::from(s)),
        None => seconds(text).map(i64::from),
    }
}

/// Reads how much later; earlier starts with `-`.
pub(super) fn shift(text: &str) -> Result<i64, String> {
    age(text.strip_prefix('+').filter(|rest| !rest.starts_with('-')).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_durations_are_read_and_nonsense_is_not() {
        assert_eq!(instant("1970-01-01T00:01:00Z"), Ok(Timestamp(60)));
        assert!(instant("yesterday").is_err());
        assert_eq!(seconds("1h30m"), Ok(5_400));
        assert_eq!(seconds("0s"), Ok(0));
        assert_eq!((age("5m"), age("-30s")), (Ok(300), Ok(-30)));
        assert_eq!((shift("+1y2w"), shift("-1d")), (Ok(379 * 86_400), Ok(-86_400)));
        assert!(shift("+-1d").is_err());
        for text in ["", "5", "m", "5x", "-5m", "99999999999s", "4294967295d", "５m"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
