//! Text and numbers as the page shows them.

use maud::{Markup, html};

use crate::model::Timestamp;
use crate::report::text::harmless;

/// The longest text from outside, in characters.
const LONGEST: usize = 200;
/// The most rows of a table of names.
pub(super) const ROWS: usize = 200;

/// Text from outside: nothing invisible in it, nothing that turns the direction of reading, and no
/// longer than a cell can show. The template escapes what comes out.
pub(super) fn shown(text: &str) -> String {
    let text = harmless(text);
    if text.chars().count() <= LONGEST {
        return text.into_owned();
    }
    text.chars().take(LONGEST).chain("…".chars()).collect()
}

/// `12,345`
pub(super) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `2026-03-02 13:05:00Z`
pub(super) fn instant(time: Timestamp) -> String {
    time.to_string().replacen('T', " ", 1)
}

/// How many rows a table leaves out.
pub(super) fn rest(all: usize, most: usize) -> Markup {
    html! {
        @if all > most { p.note { (number((all - most) as u64)) " more in the JSON report." } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::simulate::words::share;

    #[test]
    fn numbers_are_read_in_groups_and_shares_never_say_nothing_of_something() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [(0, 10), (1, 10_000), (1, 3), (5, 5), (1, 0)].map(|(a, b)| share(a, b)),
            ["0.0 %", "under 0.1 %", "33.3 %", "100.0 %", "100.0 %"]
        );
    }
}
