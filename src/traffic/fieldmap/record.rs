//! A record of a foreign log, and the places in it that a field map names.
//!
//! Nothing is converted that the map does not ask for, and nothing is guessed from a name.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

use crate::traffic::mapping::Fields;

/// A JSON Pointer (RFC 6901), taken apart once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pointer {
    text: String,
    tokens: Vec<String>,
}

impl Pointer {
    /// Reads a pointer; `None` when the text is none.
    pub fn new(text: &str) -> Option<Self> {
        let tokens = match text.strip_prefix('/') {
            None if text.is_empty() => Vec::new(),
            None => return None,
            Some(rest) => rest.split('/').map(unescape).collect::<Option<_>>()?,
        };
        Some(Self { text: text.to_owned(), tokens })
    }

    /// The pointer as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The key that it ends in.
    pub(super) fn last(&self) -> &str {
        self.tokens.last().map_or("", String::as_str)
    }

    /// The value there. `null` and the empty text are no value.
    pub(in crate::traffic) fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        walk(value, &self.tokens)
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn unescape(token: &str) -> Option<String> {
    let mut out = String::with_capacity(token.len());
    let mut rest = token.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '~' => match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(out)
}

fn walk<'v>(value: &'v Value, tokens: &[String]) -> Option<&'v Value> {
    let found = tokens.iter().try_fold(value, |value, token| match value {
        Value::Object(map) => map.get(token),
        // RFC 6901: digits without a leading zero.
        Value::Array(list) if token == "0" || !token.starts_with('0') => list.get(token.parse::<usize>().ok()?),
        _ => None,
    })?;
    let nothing = found.is_null() || found.as_str().is_some_and(str::is_empty);
    (!nothing).then_some(found)
}

/// What a map's pointers point into.
#[derive(Clone, Copy, Debug)]
pub(in crate::traffic) enum Record<'v> {
    /// One JSON value.
    Whole(&'v Value),
    /// A message as it was logged: `/record`, `/message` and `/response`.
    Exchange {
        /// What was logged, with the message in it.
        record: &'v Value,
        /// The request.
        message: Option<&'v Value>,
        /// What was answered.
        response: Option<&'v Value>,
    },
}

impl<'v> Record<'v> {
    /// The value at a pointer.
    pub(in crate::traffic) fn find(&self, pointer: &Pointer) -> Option<&'v Value> {
        match *self {
            Self::Whole(value) => pointer.find(value),
            Self::Exchange { record, message, response } => {
                let (first, rest) = pointer.tokens.split_first()?;
                let part = match first.as_str() {
                    "record" => Some(record),
                    "message" => message,
                    "response" => response,
                    _ => None,
                };
                walk(part?, rest)
            }
        }
    }

    /// The first value that is there, with its pointer.
    pub(in crate::traffic) fn first<'p>(&self, pointers: &'p [Pointer]) -> Option<(&'p Pointer, &'v Value)> {
        pointers.iter().find_map(|pointer| Some((pointer, self.find(pointer)?)))
    }
}

impl Fields for Record<'_> {
    /// A pointer into the record, or the name of a top-level field of what was logged.
    fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = if name.starts_with('/') {
            self.find(&Pointer::new(name)?)?
        } else {
            let (Self::Whole(top) | Self::Exchange { record: top, .. }) = self;
            top.get(name)?
        };
        scalar(value)
    }
}

/// A scalar as text.
pub(in crate::traffic) fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(true) => Some(Cow::Borrowed("true")),
        Value::Bool(false) => Some(Cow::Borrowed("false")),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_are_those_of_the_rfc() {
        let value = json!({"a/b": {"m~n": [1, {"": 2}]}, "mcp.method.name": "x", "null": null, "empty": ""});
        let at = |text: &str| Pointer::new(text).unwrap().find(&value).cloned();
        assert_eq!(at("/a~1b/m~0n/0"), Some(json!(1)));
        assert_eq!(at("/a~1b/m~0n/1/"), Some(json!(2)));
        assert_eq!(at("/mcp.method.name"), Some(json!("x")));
        assert_eq!(at(""), Some(value.clone()));
        for none in ["/null", "/empty", "/b", "/a~1b/m~0n/00", "/a~1b/m~0n/2", "/mcp.method.name/x"] {
            assert_eq!(at(none), None, "{none}");
        }
        for text in ["a", "/~", "/~2"] {
            assert_eq!(Pointer::new(text), None, "{text}");
        }
    }

    #[test]
    fn an_exchange_has_three_parts() {
        let (record, message, response) = (json!({"time": 1}), json!({"id": 2}), json!({"error": {"code": 3}}));
        let exchange = Record::Exchange { record: &record, message: Some(&message), response: Some(&response) };
        let at = |text: &str| exchange.find(&Pointer::new(text).unwrap()).cloned();
        assert_eq!(at("/record/time"), Some(json!(1)));
        assert_eq!(at("/message/id"), Some(json!(2)));
        assert_eq!(at("/response/error/code"), Some(json!(3)));
        assert_eq!(at("/time"), None);
        assert_eq!(exchange.text("time").as_deref(), Some("1"));
        assert_eq!(exchange.text("/message/id").as_deref(), Some("2"));
    }
}
