//! The data of an entry, written in their canonical form as they are named.

use serde_json::{Map, Value};

use super::canonical::{write_integer, write_object, write_text};

/// An object that is written member by member, in the order of their names: nothing is copied first.
#[derive(Clone, Debug)]
pub(in crate::audit) struct Data(Vec<u8>);

impl Data {
    pub(in crate::audit) fn new() -> Self {
        Self(Vec::with_capacity(1_024))
    }

    fn key(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        write_text(&mut self.0, name);
        self.0.push(b':');
        &mut self.0
    }

    /// The same with a text, where there is one.
    pub(in crate::audit) fn text(mut self, name: &str, text: Option<&str>) -> Self {
        if let Some(text) = text {
            write_text(self.key(name), text);
        }
        self
    }

    /// The same with texts, where there are any.
    pub(in crate::audit) fn texts(mut self, name: &str, texts: &[String]) -> Self {
        if !texts.is_empty() {
            let out = self.key(name);
            for (i, text) in texts.iter().enumerate() {
                out.push(if i == 0 { b'[' } else { b',' });
                write_text(out, text);
            }
            out.push(b']');
        }
        self
    }

    /// The same with a whole number, where there is one.
    pub(in crate::audit) fn number(mut self, name: &str, number: Option<i64>) -> Self {
        if let Some(number) = number {
            write_integer(self.key(name), number);
        }
        self
    }

    /// The same with an object, where there is one.
    pub(in crate::audit) fn object(mut self, name: &str, object: Option<&Map<String, Value>>) -> Self {
        if let Some(object) = object {
            write_object(self.key(name), object);
        }
        self
    }

    /// The same with JSON in its canonical form, where there is any.
    pub(in crate::audit) fn written(mut self, name: &str, text: Option<&str>) -> Self {
        if let Some(text) = text {
            self.key(name).extend_from_slice(text.as_bytes());
        }
        self
    }

    /// The same with what is an object inside.
    #[cfg(feature = "store")]
    pub(in crate::audit) fn inner(mut self, name: &str, inner: Option<Self>) -> Self {
        if let Some(inner) = inner {
            let text = inner.into_text();
            self.key(name).extend_from_slice(text.as_bytes());
        }
        self
    }

    pub(in crate::audit) fn into_text(mut self) -> String {
        self.0.extend_from_slice(if self.0.is_empty() { b"{}" } else { b"}" });
        // What is written is text and JSON of text.
        String::from_utf8(self.0).unwrap_or_default()
    }
}
