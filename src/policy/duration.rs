//! Durations such as `15m` and `1h30m`, and rates such as `10/min per subject`.
//!
//! Never guesses a unit and never rounds.

use crate::model::{Rate, RateKey};

/// What a duration looks like, for help lines.
pub(super) const DURATION_HELP: &str = "write a duration as `90s`, `15m`, `1h30m`, `90d`, `2w` or `7y`";
/// What a rate looks like, for help lines.
pub(super) const RATE_HELP: &str = "write a rate as `10/min per subject`: a count, `s`, `min`, `h` or `d`, and `subject`, `agent` or `all`; \
     ` across gateways` behind it counts those of all gateways together";

/// The units, longest first: a year is 365 days.
const UNITS: [(char, u64); 6] =
    [('y', 365 * 86_400), ('w', 7 * 86_400), ('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// Reads a duration in seconds: units once each, longest first.
pub(crate) fn duration(text: &str) -> Option<u64> {
    let mut units = UNITS.iter();
    let mut total = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, tail) = rest.split_at_checked(end)?;
        let letter = tail.chars().next()?;
        let (_, seconds) = units.find(|(unit, _)| *unit == letter)?;
        total = total.checked_add(digits.parse::<u64>().ok()?.checked_mul(*seconds)?)?;
        rest = tail.strip_prefix(letter)?;
    }
    (!text.is_empty()).then_some(total)
}

/// A number of seconds as a duration, in days and smaller units.
pub(crate) fn written(seconds: u64) -> String {
    let mut rest = seconds;
    let mut text = String::new();
    for (unit, length) in UNITS.into_iter().filter(|(_, length)| *length <= 86_400) {
        if rest >= length {
            text.push_str(&format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Reads a duration that fits the lifetimes of tokens; never 0.
pub(super) fn lifetime(text: &str) -> Option<u32> {
    duration(text).and_then(|seconds| u32::try_from(seconds).ok()).filter(|seconds| *seconds > 0)
}

/// Reads a rate.
pub(super) fn rate(text: &str) -> Option<Rate> {
    let (text, shared) = text.strip_suffix(" across gateways").map_or((text, false), |text| (text, true));
    let mut words = text.split(' ');
    let (count, unit) = words.next()?.split_once('/')?;
    let seconds = match unit {
        "s" => 1,
        "min" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    let per = match (words.next(), words.next(), words.next()) {
        (None, None, None) | (Some("per"), Some("subject"), None) => RateKey::Subject,
        (Some("per"), Some("agent"), None) => RateKey::Agent,
        (Some("per"), Some("all"), None) => RateKey::All,
        _ => return None,
    };
    let digits = count.bytes().all(|b| b.is_ascii_digit());
    let count = count.parse().ok().filter(|count| digits && *count > 0)?;
    Some(Rate { count, seconds, per, shared })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for seconds in [0, 1, 59, 60, 4_861, 86_400, 31_536_001, u64::from(u32::MAX)] {
            assert_eq!(duration(&written(seconds)), Some(seconds));
        }
        assert_eq!(written(4_860), "1h21m");
    }

    #[test]
    fn durations_add_their_units() {
        for (text, seconds) in [
            ("90s", 90),
            ("15m", 900),
            ("1h30m", 5_400),
            ("90d", 7_776_000),
            ("2w", 1_209_600),
            ("7y", 220_752_000),
            ("0s", 0),
            ("1y2w3d4h5m6s", 33_019_506),
        ] {
            assert_eq!(duration(text), Some(seconds), "{text}");
        }
        for text in [
            "",
            "90",
            "m",
            "1.5h",
            "30m1h",
            "1m1m",
            "-1s",
            "+1s",
            " 1s",
            "1s ",
            "1min",
            "1M",
            "99999999999999999999s",
            "9999999999999y",
        ] {
            assert_eq!(duration(text), None, "{text:?}");
        }
        assert_eq!(lifetime("0s"), None);
        assert_eq!(lifetime("137y"), None);
    }

    #[test]
    fn rates_name_what_they_count_by() {
        let rate_of = |count, seconds, per| Some(Rate { count, seconds, per, shared: false });
        let shared = |rate: Option<Rate>| rate.map(|rate| Rate { shared: true, ..rate });
        assert_eq!(rate("10/min per subject"), rate_of(10, 60, RateKey::Subject));
        assert_eq!(rate("10/min"), rate_of(10, 60, RateKey::Subject));
        assert_eq!(rate("1/s per agent"), rate_of(1, 1, RateKey::Agent));
        assert_eq!(rate("100000/d per all"), rate_of(100_000, 86_400, RateKey::All));
        assert_eq!(rate("10/min across gateways"), shared(rate("10/min")));
        for text in ["10/min per subject across gateways", "3/h per all across gateways", "1/s per agent"] {
            assert_eq!(rate(text).map(|rate| rate.to_string()).as_deref(), Some(text));
        }
        for text in [
            " across gateways",
            "10/min across",
            "10/min  across gateways",
            "10/min across gateways per all",
            "10/min across gateways across gateways",
            "",
            "10",
            "0/min",
            "10/m",
            "10/min per",
            "10/min per x",
            "10/min  per all",
            "10/min per all x",
            "+1/s",
            "1/s ",
        ] {
            assert_eq!(rate(text), None, "{text:?}");
        }
    }
}
