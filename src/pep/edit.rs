//! JSON changed in place: what is kept keeps its very bytes.
//!
//! A member that is not touched is copied as it was written, numbers and escapes too, so that nothing
//! is lost that this program does not understand. An object in which a key stands twice, or but for
//! case, is not read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::mcp::json::Keys;

/// Text that is not the JSON it must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotRead;

/// An object whose values are kept as text.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    members: Vec<(String, Cow<'a, str>)>,
}

impl<'a> Object<'a> {
    pub(super) fn read(text: &'a str) -> Result<Self, NotRead> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let object = deserializer.deserialize_map(Members).map_err(|_| NotRead)?;
        deserializer.end().map_err(|_| NotRead)?;
        Ok(object)
    }

    /// The text of a member's value.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.members.iter().find(|(k, _)| k == key).map(|(_, value)| &**value)
    }

    /// The value of a member that is a string.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?).ok()
    }

    /// Replaces a member, or adds it.
    pub(super) fn set(&mut self, key: &str, value: String) {
        match self.members.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = Cow::Owned(value),
            None => self.members.push((key.to_owned(), Cow::Owned(value))),
        }
    }

    /// Removes the members whose keys are not kept. Whether any was.
    pub(super) fn keep(&mut self, keep: impl Fn(&str) -> bool) -> bool {
        let before = self.members.len();
        self.members.retain(|(key, _)| keep(key));
        self.members.len() < before
    }

    /// Every member, as text.
    pub(super) fn into_members(self) -> Vec<(String, String)> {
        self.members.into_iter().map(|(key, value)| (key, value.into_owned())).collect()
    }

    pub(super) fn write(&self) -> String {
        let members =
            self.members.iter().map(|(key, value)| format!("{}:{value}", serde_json::Value::from(key.as_str())));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }
}

/// The elements of an array, as text.
pub(super) fn elements(text: &str) -> Result<Vec<&str>, NotRead> {
    let list: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| NotRead)?;
    Ok(list.into_iter().map(RawValue::get).collect())
}

/// An array of such elements.
pub(super) fn array(elements: &[&str]) -> String {
    format!("[{}]", elements.join(","))
}

/// Whether JSON text nests at most so deep. Looks at brackets outside of strings and nothing else.
pub(super) fn is_shallow(text: &[u8], most: usize) -> bool {
    let (mut depth, mut within, mut escaped) = (0_usize, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if within => escaped = true,
            b'"' => within = !within,
            b'{' | b'[' if !within => {
                depth += 1;
                if depth > most {
                    return false;
                }
            }
            b'}' | b']' if !within => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Object<'de>, A::Error> {
        let mut members: Vec<(String, Cow<'de, str>)> = Vec::new();
        let mut keys = Keys::default();
        while let Some(key) = access.next_key::<String>()? {
            if !keys.is_new(members.iter().map(|(key, _)| key), &key) {
                return Err(A::Error::custom("a key stands twice"));
            }
            let value: &RawValue = access.next_value()?;
            members.push((key, Cow::Borrowed(value.get())));
        }
        Ok(Object { members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_touched_keeps_its_bytes() {
        let text = r#"{"a" : 1.10e0, "big":123456789012345678901234567890,"s":"\u00e9","o":{"z":1, "b":2}}"#;
        let mut object = Object::read(text).unwrap();
        object.set("a", "2".to_owned());
        object.set("new", "true".to_owned());
        assert!(object.keep(|key| key != "s"));
        assert_eq!(object.write(), r#"{"a":2,"big":123456789012345678901234567890,"o":{"z":1, "b":2},"new":true}"#);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_not_read() {
        for text in
            [r#"{"a":1,"a":2}"#, r#"{"a":1,"A":2}"#, r#"{"a":1,"\u0061":2}"#, "[]", "{", r#"{"a":1} {}"#, r#"{"a":}"#]
        {
            assert!(Object::read(text).is_err(), "{text}");
        }
        assert_eq!(elements(r#"[1, {"a":2} ,"x"]"#).unwrap(), ["1", r#"{"a":2}"#, r#""x""#]);
        assert!(elements("{}").is_err());
    }

    #[test]
    fn depth_counts_brackets_and_not_what_strings_say() {
        assert!(is_shallow(br#"[{"a":"[[[[\"[["}]"#, 2));
        assert!(!is_shallow(b"[[[", 2));
    }
}
