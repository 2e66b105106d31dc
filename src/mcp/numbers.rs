//! Whether every number of a JSON text is one that a double, or an integer of 64 bits, stands for.
//!
//! Most readers keep a number as one of these. A number that is written with more digits than a double has is another
//! number to a reader of decimals: a limit that holds for the one would not hold for the other. What a program writes of a
//! double is never refused, whichever of the texts that read as it the program chooses.

/// The most digits that anybody needs to write a double (C, `%.17g`).
const DIGITS: usize = 17;

/// Whether no number of this JSON text is more than a double. The text is one that was read already.
pub(super) fn are_exact(text: &[u8]) -> bool {
    let mut rest = text;
    while let Some(byte) = rest.first() {
        let length = match byte {
            b'"' => string(rest),
            b'-' | b'0'..=b'9' => {
                let length = rest.iter().take_while(|byte| is_of_number(**byte)).count();
                if !rest.get(..length).is_some_and(is_exact) {
                    return false;
                }
                length
            }
            _ => 1,
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    true
}

/// The length of the string that begins here, with its quotes.
fn string(text: &[u8]) -> usize {
    let mut escaped = false;
    let inner = text.iter().skip(1).position(|byte| {
        let ends = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        ends
    });
    inner.map_or(text.len(), |inner| inner + 2)
}

const fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')
}

fn is_exact(number: &[u8]) -> bool {
    // No integer of so few digits is rounded, and most numbers are one.
    if number.len() < 16 && number.iter().all(u8::is_ascii_digit) {
        return true;
    }
    let Ok(text) = std::str::from_utf8(number) else { return false };
    if text.parse::<i64>().is_ok() || text.parse::<u64>().is_ok() {
        return true;
    }
    let (Ok(double), Some((digits, power))) = (text.parse::<f64>(), decimal(text)) else { return false };
    if digits.is_empty() || double.is_normal() {
        return digits.len() <= DIGITS;
    }
    // Near zero a double holds fewer digits, and at last none.
    decimal(&format!("{double:e}")) == Some((digits, power))
}

/// The digits of a number from its first to its last that is not zero, and the power of ten of that last one.
fn decimal(text: &str) -> Option<(String, i64)> {
    let text = text.trim_start_matches('-');
    let (digits, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    let zeros = i64::try_from(digits.len() - kept.len()).ok()?;
    let power = power.parse::<i64>().ok()?.checked_sub(i64::try_from(fraction.len()).ok()?)?.checked_add(zeros)?;
    let kept = kept.trim_start_matches('0');
    Some((kept.to_owned(), if kept.is_empty() { 0 } else { power }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_double_or_an_integer_stands_for_is_exact() {
        for text in [
            "0",
            "-0.0",
            "1",
            "0.1",
            "1.50",
            "1e2",
            "1E+2",
            "100e-3",
            "-3.25",
            "9007199254740993",
            "18446744073709551615",
            "-9223372036854775808",
            "1e22",
            "18446744073709552000",
            "0.30000000000000004",
            "0.10000000000000001",
            "-194434826175139.63",
            "-194434826175139.62",
            "5e-324",
            "0e99",
            "0.000",
        ] {
            assert!(are_exact(text.as_bytes()), "{text}");
        }
        assert!(are_exact(br#"{"a\\":"0.10000000000000000001 \" 1e-999","b":[1,2.5,{"c":null}],"d":true}"#));
    }

    #[test]
    fn what_has_more_digits_than_a_double_is_not() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "0.100000000000000001",
            "1e-400",
            "2.01e-322",
            "100.000000000000000001",
            "123456789012345678901234567890",
            "3.14159265358979323846",
            "1e-99999999999999999999",
        ] {
            assert!(!are_exact(text.as_bytes()), "{text}");
            assert!(!are_exact(format!("{{\"a\":[\"1\",{text}]}}").as_bytes()), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_of_a_double_is_exact(double in any::<f64>().prop_filter("finite", |double| double.is_finite())) {
            prop_assert!(are_exact(serde_json::to_string(&double).unwrap().as_bytes()));
            prop_assert!(are_exact(double.to_string().as_bytes()));
            // As C writes it with `%.17g`.
            let long = format!("{double:.16e}");
            prop_assert!(!double.is_normal() || are_exact(long.as_bytes()));
        }
    }
}
