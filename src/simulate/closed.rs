//! What stands alone beside its tag: serde lets any other key through where a variant has no fields, whatever the enum denies.

use serde::Deserialize;
use serde::de::Deserializer;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Reads what is left of an object that is closed: nothing.
pub(super) fn nothing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    Nothing::deserialize(deserializer).map(|Nothing {}| ())
}

#[cfg(test)]
mod tests {
    use crate::simulate::{Answer, Clock, GateVerdict};

    #[test]
    fn a_variant_without_fields_takes_no_key() {
        let read = |tag: &str, word: &str, more: &str| {
            let text = format!("{{\"{tag}\":\"{word}\"{more}}}");
            match tag {
                "answer" => serde_json::from_str::<Answer>(&text).is_ok(),
                "judged" => serde_json::from_str::<Clock>(&text).is_ok(),
                _ => serde_json::from_str::<GateVerdict>(&text).is_ok(),
            }
        };
        for (tag, word) in [("answer", "none"), ("judged", "as-recorded"), ("gate", "open"), ("gate", "holds")] {
            assert!(read(tag, word, ""), "{word}");
            assert!(!read(tag, word, ",\"x\":1"), "{word}");
        }
    }
}
