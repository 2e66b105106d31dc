//! One line of JSON-RPC, opened only as far as ids have to be changed.
//!
//! Every value that is not an id stays as the bytes that it was: no number is rounded, no key moves
//! and nothing is dropped. Nothing here judges a message.

use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// Where a subscription says which request it belongs to (MCP 2026-07-28).
const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
/// Where a request says how its progress is called.
const PROGRESS: &str = "progressToken";

/// A value as it was written.
pub(super) type Raw = Box<RawValue>;

/// An object whose members are in the order and in the bytes in which they came.
#[derive(Clone, Debug, Default)]
pub(super) struct Members(Vec<(String, Raw)>);

/// What a message is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// It wants an answer.
    Request {
        /// Its id, as written.
        id: Raw,
        /// Its method.
        method: String,
    },
    /// It does not.
    Notification {
        /// Its method.
        method: String,
    },
    /// It is one.
    Response {
        /// The id that it answers, as written.
        id: Raw,
    },
}

impl Members {
    /// Reads an object in which no key stands twice.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    fn of(raw: &RawValue) -> Option<Self> {
        serde_json::from_str(raw.get()).ok()
    }

    pub(super) fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    /// The text of a member that is a string.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?.get()).ok()
    }

    /// Puts another value in the place of a member. A member that is not there stays away.
    pub(super) fn replace(&mut self, key: &str, value: Raw) {
        if let Some(place) = self.0.iter_mut().find(|(name, _)| name == key) {
            place.1 = value;
        }
    }

    /// What the message is. `None` when it is no JSON-RPC message.
    pub(super) fn kind(&self) -> Option<Kind> {
        let id = self.get("id").map(RawValue::to_owned);
        match (self.get("method").is_some(), id) {
            (true, Some(id)) => Some(Kind::Request { id, method: self.text("method")? }),
            (true, None) => Some(Kind::Notification { method: self.text("method")? }),
            (false, Some(id)) => Some(Kind::Response { id }),
            (false, None) => None,
        }
    }

    /// Whether it carries an error, and which.
    pub(super) fn error_code(&self) -> Option<i64> {
        let error = Self::of(self.get("error")?)?;
        serde_json::from_str(error.get("code")?.get()).ok()
    }

    /// The message as one line, without its end.
    pub(super) fn line(&self) -> Bytes {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        // Between the parts of a value that was kept as it was, a line may end; in a JSON string it cannot.
        for byte in &mut bytes {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        bytes.into()
    }

    /// Opens what lies at a path of objects, lets it be changed, and closes it again. Nothing happens
    /// where the path does not lead.
    fn within<T>(&mut self, path: &[&str], change: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let Some((first, rest)) = path.split_first() else { return change(self) };
        let mut inner = Self::of(self.get(first)?)?;
        let out = inner.within(rest, change)?;
        self.replace(first, to_raw_value(&inner).ok()?);
        Some(out)
    }

    /// Calls the progress of a request by another name, and gives the name that it had.
    pub(super) fn rename_progress(&mut self, name: i64) -> Option<Raw> {
        self.get("params").filter(|params| params.get().contains(PROGRESS))?;
        self.within(&["params", "_meta"], |meta| {
            let was = meta.get(PROGRESS)?.to_owned();
            meta.replace(PROGRESS, number(name));
            Some(was)
        })
    }

    /// By which of our names a notification calls the progress or the request that it is about.
    pub(super) fn about(&self, key: &str) -> Option<i64> {
        let params = Self::of(self.get("params")?)?;
        serde_json::from_str(params.get(key)?.get()).ok()
    }

    /// The parameter of a notification, as written.
    pub(super) fn param(&self, key: &str) -> Option<Raw> {
        Self::of(self.get("params")?)?.get(key).map(RawValue::to_owned)
    }

    /// Puts another value in the place of a parameter.
    pub(super) fn replace_param(&mut self, key: &str, value: Raw) {
        let _ = self.within(&["params"], |params| {
            params.replace(key, value);
            Some(())
        });
    }

    /// To which of our requests a message of a subscription belongs.
    pub(super) fn subscription(&self) -> Option<i64> {
        let of = |key| {
            let outer = self.get(key).filter(|raw| raw.get().contains(SUBSCRIPTION))?;
            let meta = Self::of(Self::of(outer)?.get("_meta")?)?;
            serde_json::from_str(meta.get(SUBSCRIPTION)?.get()).ok()
        };
        of("params").or_else(|| of("result"))
    }

    /// Gives a message of a subscription the id that its caller knows.
    pub(super) fn rename_subscription(&mut self, id: &RawValue) {
        for key in ["params", "result"] {
            if self.get(key).is_some_and(|raw| raw.get().contains(SUBSCRIPTION)) {
                let _ = self.within(&[key, "_meta"], |meta| {
                    meta.replace(SUBSCRIPTION, id.to_owned());
                    Some(())
                });
            }
        }
    }
}

/// A number as a value.
pub(super) fn number(value: i64) -> Raw {
    to_raw_value(&value).unwrap_or_default()
}

/// The number that an id is, when it is one.
pub(super) fn as_number(id: &RawValue) -> Option<i64> {
    serde_json::from_str(id.get()).ok()
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members: Vec<(String, Raw)> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Raw>()? {
                    if members.iter().any(|(name, _)| *name == key) {
                        return Err(A::Error::custom("a key stands twice"));
                    }
                    members.push((key, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Serialize for Members {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Members {
        Members::read(text.as_bytes()).unwrap()
    }

    fn shown(members: &Members) -> String {
        String::from_utf8(members.line().to_vec()).unwrap()
    }

    #[test]
    fn everything_but_the_id_stays_as_it_was_written() {
        let text = "{\n \"params\": {\"b\": 12345678901234567890123, \"a\": 1.50,\r\n \"s\": \"x\\ny\"},\n\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"m\"}";
        let mut message = read(text);
        message.replace("id", number(7));
        assert_eq!(
            shown(&message),
            r#"{"params":{"b": 12345678901234567890123, "a": 1.50,   "s": "x\ny"},"jsonrpc":"2.0","id":7,"method":"m"}"#
        );
    }

    #[test]
    fn progress_is_called_by_our_name_and_only_that_changes() {
        let mut message = read(r#"{"id":1,"method":"m","params":{"z":0,"_meta":{"a": 1,"progressToken":"t","b":2}}}"#);
        assert_eq!(message.rename_progress(7).unwrap().get(), r#""t""#);
        assert_eq!(
            shown(&message),
            r#"{"id":1,"method":"m","params":{"z":0,"_meta":{"a":1,"progressToken":7,"b":2}}}"#
        );
        for text in [r#"{"params":{"progressToken":"t"}}"#, r#"{"params":{"_meta":{}}}"#, r#"{"params":[]}"#, "{}"] {
            assert!(read(text).rename_progress(7).is_none(), "{text}");
            assert_eq!(shown(&read(text)), text);
        }
    }

    #[test]
    fn a_subscription_is_found_and_renamed_in_notifications_and_results() {
        for outer in ["params", "result"] {
            let text = format!(r#"{{"{outer}":{{"_meta":{{"{SUBSCRIPTION}":9}},"x":1}}}}"#);
            let mut message = read(&text);
            assert_eq!(message.subscription(), Some(9));
            message.rename_subscription(&to_raw_value("mine").unwrap());
            assert_eq!(shown(&message), text.replace(":9", r#":"mine""#));
        }
        assert_eq!(read(r#"{"params":{"x":1}}"#).subscription(), None);
    }

    #[test]
    fn what_a_message_is_and_what_is_none() {
        let kind = |text| read(text).kind().map(|kind| format!("{kind:?}"));
        assert!(kind(r#"{"id":1,"method":"m"}"#).unwrap().starts_with("Request"));
        assert!(kind(r#"{"method":"m"}"#).unwrap().starts_with("Notification"));
        assert!(kind(r#"{"id":1,"result":{}}"#).unwrap().starts_with("Response"));
        assert_eq!(kind("{}"), None);
        assert_eq!(kind(r#"{"id":1,"method":7}"#), None);
        assert_eq!(read(r#"{"error":{"code":-32601}}"#).error_code(), Some(-32_601));
        for bad in ["[]", "1", r#"{"id":1,"id":2}"#, "{", "log line"] {
            assert!(Members::read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
