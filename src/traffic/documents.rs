//! The JSON documents of a foreign log: one a line, or one over many lines.
//!
//! Which of the two is told from the first lines. In a log of lines each stands for itself: one that
//! cannot be read does not end the reading. Never more than one document is held, and its length is
//! bounded.

use std::io::{BufRead, Read as _};

use serde_json::Value;

use super::newline::{Line, read_line, skip_line};
use super::reader::{Unreadable, UnreadableCode};
use super::strict::StrictValue;

/// The longest line of a foreign log, in bytes.
pub(super) const MAX_LOGGED: usize = 16 * 1024 * 1024;

/// The longest document that spans lines, in bytes.
const MAX_WHOLE: usize = 64 * 1024 * 1024;

/// What stands at one place of a log.
pub(super) enum Document {
    /// A JSON value.
    Value(Value),
    /// A line with nothing on it.
    Blank,
    /// Something else.
    Unreadable(Unreadable),
}

/// The documents of one stream, with the line on which each begins.
pub(super) struct Documents<R> {
    input: R,
    buffer: Vec<u8>,
    /// A line that was read to see how the log is laid out.
    ahead: Option<(Vec<u8>, bool)>,
    line: u64,
    begun: bool,
    done: bool,
}

impl<R: BufRead> Documents<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, buffer: Vec::new(), ahead: None, line: 0, begun: false, done: false }
    }

    fn failed(&mut self, error: &std::io::Error) -> Document {
        self.done = true;
        Document::Unreadable(Unreadable::new(self.line, UnreadableCode::ReadFailed, error.to_string()))
    }

    fn too_long(&mut self) -> Document {
        match skip_line(&mut self.input) {
            Ok(()) => {
                let message = format!("the line is longer than {MAX_LOGGED} bytes");
                Document::Unreadable(Unreadable::new(self.line, UnreadableCode::LineTooLong, message))
            }
            Err(error) => self.failed(&error),
        }
    }

    /// What the line in the buffer holds.
    fn read(&mut self, ended: bool) -> Document {
        if self.buffer.trim_ascii().is_empty() {
            return Document::Blank;
        }
        let first = !std::mem::replace(&mut self.begun, true);
        match parse(&self.buffer, self.line, ended) {
            Ok(value) => Document::Value(value),
            Err((_, true)) if first && ended => self.over_lines(),
            Err((unreadable, _)) => Document::Unreadable(unreadable),
        }
    }

    /// The first line is the beginning of a document: it goes on below, unless the next line is
    /// whole, which makes the first a line that was cut.
    fn over_lines(&mut self) -> Document {
        let start = self.line;
        let opens = matches!(self.buffer.trim_ascii(), b"{" | b"[");
        if opens {
            self.buffer.push(b'\n');
        } else {
            let mut second = Vec::new();
            match read_line(&mut self.input, &mut second, MAX_LOGGED) {
                Ok(Line::Read { ended }) if serde_json::from_slice::<serde::de::IgnoredAny>(&second).is_ok() => {
                    self.ahead = Some((second, ended));
                    return cut(start);
                }
                Ok(Line::Read { ended }) => {
                    self.buffer.push(b'\n');
                    self.buffer.extend_from_slice(&second);
                    if ended {
                        self.buffer.push(b'\n');
                    }
                }
                Ok(Line::TooLong | Line::End) => {
                    self.done = true;
                    return cut(start);
                }
                Err(error) => return self.failed(&error),
            }
        }
        self.done = true;
        let left = MAX_WHOLE.saturating_sub(self.buffer.len()) as u64 + 1;
        if let Err(error) = self.input.by_ref().take(left).read_to_end(&mut self.buffer) {
            return self.failed(&error);
        }
        if self.buffer.len() > MAX_WHOLE {
            let message = format!("the document is longer than {MAX_WHOLE} bytes: write one record a line");
            return Document::Unreadable(Unreadable::new(start, UnreadableCode::LineTooLong, message));
        }
        match parse(&self.buffer, start, false) {
            Ok(value) => Document::Value(value),
            Err((mut unreadable, _)) => {
                unreadable.message.push_str("; nothing behind it is read");
                Document::Unreadable(unreadable)
            }
        }
    }
}

/// A line that ends in the middle.
fn cut(line: u64) -> Document {
    let code = UnreadableCode::TruncatedLine;
    Document::Unreadable(Unreadable::new(line, code, "the line ends in the middle of a JSON value"))
}

impl<R: BufRead> Iterator for Documents<R> {
    type Item = (u64, Document);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some((line, ended)) = self.ahead.take() {
            self.line += 1;
            self.buffer = line;
            return Some((self.line, self.read(ended)));
        }
        if self.done {
            return None;
        }
        self.line += 1;
        let line = self.line;
        let document = match read_line(&mut self.input, &mut self.buffer, MAX_LOGGED) {
            Ok(Line::End) => {
                self.done = true;
                return None;
            }
            Ok(Line::Read { ended }) => self.read(ended),
            Ok(Line::TooLong) => self.too_long(),
            Err(error) => self.failed(&error),
        };
        Some((line, document))
    }
}

/// A JSON value, or what is wrong and whether that is only that it ends too early.
fn parse(bytes: &[u8], line: u64, ended: bool) -> Result<Value, (Unreadable, bool)> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err((Unreadable::new(line, UnreadableCode::NotUtf8, "the line is not UTF-8 text"), false));
    };
    serde_json::from_str::<StrictValue>(text).map(|value| value.0).map_err(|error| {
        let mut unreadable = Unreadable::json(line, &error, !ended);
        if unreadable.code == UnreadableCode::NotAnEvent {
            unreadable.code = UnreadableCode::NotARecord;
        }
        (unreadable, error.is_eof())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &[u8]) -> String {
        let show = |(line, document)| match document {
            Document::Value(value) => format!("{line} {value}"),
            Document::Blank => format!("{line} blank"),
            Document::Unreadable(unreadable) => format!("{unreadable}"),
        };
        Documents::new(text).map(show).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn lines_stand_for_themselves() {
        insta::assert_snapshot!(documents(b"{\"a\":1}\n\n{\"a\":\nx\n{\"a\":1,\"a\":2}\n\xff\n[2]\n{\"a\""), @r#"
        1 {"a":1}
        2 blank
        3: EOF while parsing a value (column 5) (not-json)
        4: expected value (column 1) (not-json)
        5: duplicate key `a` (column 10) (duplicate-key)
        6: the line is not UTF-8 text (not-utf8)
        7 [2]
        8: EOF while parsing an object (column 4) (truncated-line)
        "#);
    }

    #[test]
    fn a_document_may_span_lines() {
        for text in ["{\n  \"a\": [\n1, 2]\n}\n", "\n{\"a\": [1,\n2]}", "{\n\"a\":[1,2]\n}\n\n"] {
            let shown = documents(text.as_bytes());
            assert!(shown.ends_with(r#"{"a":[1,2]}"#), "{shown}");
        }
        insta::assert_snapshot!(documents(b"[\n{\"a\":1}\n]"), @r#"1 [{"a":1}]"#);
        insta::assert_snapshot!(documents(b"[\n{\"a\":1},\n{\"a\""), @"1: EOF while parsing an object (column 4); nothing behind it is read (truncated-line)");
    }

    #[test]
    fn a_first_line_that_was_cut_costs_no_other() {
        insta::assert_snapshot!(documents(b"{\"a\":\"x\n{\"a\":1}\n{\"a\":2}\n"), @r#"
        1: the line ends in the middle of a JSON value (truncated-line)
        2 {"a":1}
        3 {"a":2}
        "#);
        insta::assert_snapshot!(documents(b"{\"a\":\n"), @"1: the line ends in the middle of a JSON value (truncated-line)");
    }
}
