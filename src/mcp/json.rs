//! JSON read so that no two parsers can read it differently.
//!
//! A key that stands twice is an error: one parser keeps the first value, another the last. So are
//! two keys of one object that differ only in case, because some parsers (Go's `encoding/json`) take
//! them for one. Depth is bounded before the stack is.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::malformed::{Malformed, MalformedCode};

/// How the message of an ambiguous key starts.
const AMBIGUOUS: &str = "ambiguous key";
/// How the message of too deep a nesting starts.
const TOO_DEEP: &str = "nested deeper than";
/// Up to so many keys are compared one by one.
const FEW: usize = 16;
/// The longest key that a message repeats, in characters.
const SHOWN: usize = 64;

/// Reads one JSON value that nests at most `depth` levels.
///
/// # Errors
///
/// What is not JSON, nests deeper, or has a key that some parser takes for another of the same object.
pub fn read(bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Level { left: depth, depth }.deserialize(&mut deserializer);
    value.and_then(|value| deserializer.end().map(|()| value)).map_err(|error| {
        let text = error.to_string();
        // The position that serde_json adds says where; a caller is told what.
        let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
        if what.starts_with(AMBIGUOUS) {
            Malformed::new(MalformedCode::AmbiguousKey, what)
        } else if what.starts_with(TOO_DEEP) || what.starts_with("recursion limit") {
            Malformed::new(MalformedCode::TooDeep, format!("{TOO_DEEP} {depth} levels"))
        } else {
            let place = format!("not JSON: line {}, column {}", error.line(), error.column());
            Malformed::new(MalformedCode::NotJson, place)
        }
    })
}

/// Whether two keys are one for a parser that ignores case.
pub(super) fn folds_to(key: &str, other: &str) -> bool {
    if key.is_ascii() && other.is_ascii() {
        return key.eq_ignore_ascii_case(other);
    }
    folded(key) == folded(other)
}

/// A key without case. The two letters that fold into ASCII from outside it go the same way.
fn folded(key: &str) -> String {
    if key.is_ascii() {
        return key.to_ascii_lowercase();
    }
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c,
    };
    key.chars().map(fold).flat_map(char::to_lowercase).collect()
}

/// A value, with the levels that are left below it.
#[derive(Clone, Copy)]
struct Level {
    left: usize,
    depth: usize,
}

impl Level {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let left = self.left.checked_sub(1);
        left.map(|left| Self { left, ..self })
            .ok_or_else(|| E::custom(format_args!("{TOO_DEEP} {} levels", self.depth)))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let (mut map, mut keys) = (Map::new(), Keys::default());
        while let Some(key) = access.next_key::<String>()? {
            if !keys.is_new(map.keys(), &key) {
                let shown: String = key.chars().take(SHOWN).collect();
                return Err(A::Error::custom(format_args!("{AMBIGUOUS} `{shown}`")));
            }
            let value = access.next_value_seed(inner)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// The keys of one object without case, once there are too many to compare each with all: a hostile object
/// costs no more than its length.
#[derive(Default)]
pub(crate) struct Keys(HashSet<String>);

impl Keys {
    /// Whether no parser takes a key for one of those that the object has already.
    pub(crate) fn is_new<'k>(&mut self, mut known: impl ExactSizeIterator<Item = &'k String>, key: &str) -> bool {
        if known.len() < FEW {
            return !known.any(|known| folds_to(known, key));
        }
        if self.0.is_empty() {
            self.0 = known.map(|known| folded(known)).collect();
        }
        self.0.insert(folded(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> MalformedCode {
        read(text.as_bytes(), 8).unwrap_err().code
    }

    #[test]
    fn what_every_parser_reads_alike_is_read() {
        for text in [r#"{"a":[1,-2,3.5,"x",null,true,{"b":{}}],"":18446744073709551615}"#, "3", "[]"] {
            assert_eq!(read(text.as_bytes(), 8).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn keys_that_some_parser_takes_for_one_are_refused_at_any_depth() {
        for text in [
            r#"{"name":1,"name":2}"#,
            r#"{"name":1,"n\u0061me":2}"#,
            r#"{"a":[{"amount":1,"Amount":2}]}"#,
            "{\"tasks\":1,\"ta\u{17f}ks\":2}",
            "{\"kind\":1,\"\u{212a}ind\":2}",
        ] {
            assert_eq!(code(text), MalformedCode::AmbiguousKey, "{text}");
        }
        let many: String = (0..40).map(|i| format!("\"k{i}\":0,")).collect();
        assert_eq!(code(&format!("{{{many}\"K39\":0}}")), MalformedCode::AmbiguousKey);
        assert!(read(format!("{{{many}\"k40\":0}}").as_bytes(), 8).is_ok());
    }

    #[test]
    fn depth_is_bounded_before_the_stack_is() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(read(nested(8).as_bytes(), 8).is_ok());
        assert_eq!(code(&nested(9)), MalformedCode::TooDeep);
        assert_eq!(code(&nested(100_000)), MalformedCode::TooDeep);
        assert_eq!(read(nested(100_000).as_bytes(), usize::MAX).unwrap_err().code, MalformedCode::TooDeep);
    }

    #[test]
    fn what_is_not_json_is_said_by_its_place_and_never_repeated() {
        let error = read(b"{\"token\": secret-value}", 8).unwrap_err();
        assert_eq!(error.to_string(), "not JSON: line 1, column 11 (message-not-json)");
        for text in [&b"{} {}"[..], b"", b"{\"a\":\"\xff\"}", b"\"\\ud800\"", b"1e999", b"\xef\xbb\xbf{}", b"NaN"] {
            assert_eq!(read(text, 8).unwrap_err().code, MalformedCode::NotJson, "{text:?}");
        }
    }
}
