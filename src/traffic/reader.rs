//! Reads a recording line by line.
//!
//! Memory stays within a batch of lines whatever the file. A line that cannot be read is an item with its
//! number and a code; reading goes on behind it. No line is ever skipped in silence.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};

use super::batch::{Batch, Position};
use super::event::{Event, Header, SCHEMA};
use super::gap::Gap;
use super::keep::Everything;
use super::lines::Lines;
use super::newline::{Line, read_line, skip_line};
use super::strict::{DUPLICATE, TOO_DEEP};
use crate::policy::mask_secrets;

/// The longest line that is read, in bytes.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// What `serde_json` says of a number of which the end is missing, in a value that it passes over.
const CUT_NUMBER: &str = "invalid number";

/// The longest message taken over from the JSON parser, in characters.
const MAX_MESSAGE: usize = 400;

/// Why a record cannot be read. The codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum UnreadableCode {
    /// There is nothing in the file.
    EmptyRecording,
    /// The first line is not the header of a recording.
    NoHeader,
    /// The format or its version is not one that this build reads.
    UnknownSchema,
    /// The source failed while it was read.
    ReadFailed,
    /// The line is longer than [`MAX_LINE`].
    LineTooLong,
    /// The line is not UTF-8 text.
    NotUtf8,
    /// The line is not JSON.
    NotJson,
    /// The last line ends in the middle of a record.
    TruncatedLine,
    /// A key stands twice in one object.
    DuplicateKey,
    /// Arguments nest too deep.
    TooDeep,
    /// The line is JSON and not an event of this format.
    NotAnEvent,
    /// Here the recorder had to leave events out.
    Gap,
    /// A transcript that is not in the shape its importer reads.
    NotATranscript,
    /// A record of a foreign log that is not in the shape its importer reads.
    NotARecord,
    /// A foreign tool call whose server, tool or arguments cannot be told.
    NotACall,
}

impl UnreadableCode {
    /// The code as written in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EmptyRecording => "empty-recording",
            Self::NoHeader => "no-header",
            Self::UnknownSchema => "unknown-schema",
            Self::ReadFailed => "read-failed",
            Self::LineTooLong => "line-too-long",
            Self::NotUtf8 => "not-utf8",
            Self::NotJson => "not-json",
            Self::TruncatedLine => "truncated-line",
            Self::DuplicateKey => "duplicate-key",
            Self::TooDeep => "too-deep",
            Self::NotAnEvent => "not-an-event",
            Self::Gap => "gap",
            Self::NotATranscript => "not-a-transcript",
            Self::NotARecord => "not-a-record",
            Self::NotACall => "not-a-call",
        }
    }
}

impl fmt::Display for UnreadableCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a record stands in its source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The line of a recording, the number of a transcript; from 1.
    pub record: u64,
    /// The call within a transcript, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<u64>,
}

impl From<u64> for Place {
    fn from(line: u64) -> Self {
        Self { record: line, call: None }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.call {
            None => write!(f, "{}", self.record),
            Some(call) => write!(f, "{}.{call}", self.record),
        }
    }
}

/// A record that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Where it is.
    pub place: Place,
    /// What is wrong.
    pub code: UnreadableCode,
    /// What is wrong, in one line.
    pub message: String,
    /// What was left out here, where that is what is wrong.
    pub gap: Option<Gap>,
}

impl Unreadable {
    pub(super) fn new(line: u64, code: UnreadableCode, message: impl Into<String>) -> Self {
        Self { place: line.into(), code, message: message.into(), gap: None }
    }

    /// Where events were left out.
    pub fn left_out(line: u64, gap: Gap) -> Self {
        Self { gap: Some(gap), ..Self::new(line, UnreadableCode::Gap, gap.to_string()) }
    }

    /// What is wrong with a line that `serde_json` refused. `at_end` says that it may have been cut.
    pub(super) fn json(line: u64, error: &serde_json::Error, at_end: bool) -> Self {
        Self::json_at(line, error, at_end, error.column())
    }

    /// As [`Unreadable::json`], of a part of the line that was read on its own.
    pub(super) fn json_part(line: u64, error: &serde_json::Error, text: &str, part: &str) -> Self {
        let start = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        let before = text.as_bytes().get(..start).unwrap_or(&[]);
        let column = before.iter().rev().take_while(|b| **b != b'\n').count();
        let column = if error.line() > 1 { error.column() } else { column + error.column() };
        Self::json_at(line, error, false, column)
    }

    /// Takes secrets out of the message, which repeats what is at fault.
    pub(crate) fn redact(&mut self) {
        if let Cow::Owned(masked) = mask_secrets(&self.message) {
            self.message = masked;
        }
    }

    fn json_at(line: u64, error: &serde_json::Error, at_end: bool, column: usize) -> Self {
        let text = error.to_string();
        // The position that serde_json adds counts within the line and repeats what `line` says.
        let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
        // It repeats the value at fault, which may be as long as the line.
        let shown: String = mask_secrets(message).chars().take(MAX_MESSAGE).collect();
        let code = if message.starts_with(DUPLICATE) || message.starts_with("duplicate field") {
            UnreadableCode::DuplicateKey
        } else if message.starts_with(TOO_DEEP) || message.starts_with("recursion limit") {
            UnreadableCode::TooDeep
        } else if at_end && (error.is_eof() || message == CUT_NUMBER) {
            UnreadableCode::TruncatedLine
        } else if error.is_data() {
            UnreadableCode::NotAnEvent
        } else {
            UnreadableCode::NotJson
        };
        Self::new(line, code, format!("{shown} (column {column})"))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.place, self.message, self.code)
    }
}

impl std::error::Error for Unreadable {}

/// An event with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Numbered {
    /// Where it is; the header of a recording is line 1.
    pub place: Place,
    /// The event.
    pub event: Event,
}

/// The events of one recording, in order.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    header: Header,
    /// The last line that was taken.
    line: u64,
    /// The start of a line whose rest is still to come.
    carry: Vec<u8>,
    done: bool,
    /// What the iterator is at, and how far it has come.
    batch: Batch,
    read: Position,
    lines: Lines<'static>,
}

#[derive(Deserialize)]
struct Schema {
    schema: String,
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// When there is none, or it is of another format or version.
    pub fn new(input: R) -> Result<Self, Unreadable> {
        let fail = |code, message: String| Err(Unreadable::new(1, code, message));
        let (mut input, mut buffer) = (input, Vec::new());
        match read_line(&mut input, &mut buffer, MAX_LINE) {
            Ok(Line::Read { .. }) => {}
            Ok(Line::End) => return fail(UnreadableCode::EmptyRecording, "the recording is empty".to_owned()),
            Ok(Line::TooLong) => return fail(UnreadableCode::NoHeader, no_header()),
            Err(error) => return fail(UnreadableCode::ReadFailed, error.to_string()),
        }
        if !starts_object(&buffer) {
            return fail(UnreadableCode::NoHeader, no_header());
        }
        // The schema first: a header of another version may have keys that this one does not know.
        match serde_json::from_slice::<Schema>(&buffer) {
            Ok(Schema { schema }) if schema == SCHEMA => {}
            Ok(Schema { schema }) => {
                return fail(
                    UnreadableCode::UnknownSchema,
                    format!("`{schema}` is not `{SCHEMA}`, which this build reads"),
                );
            }
            Err(_) => return fail(UnreadableCode::NoHeader, no_header()),
        }
        let header = match serde_json::from_slice(&buffer) {
            Ok(header) => header,
            Err(error) => {
                let message = Unreadable::json(1, &error, false).message;
                return fail(UnreadableCode::NoHeader, format!("the header cannot be read: {message}"));
            }
        };
        let (carry, batch, lines) = (Vec::new(), Batch::default(), Lines::new(&Everything));
        Ok(Self { input, header, line: 1, carry, done: false, batch, read: Position::default(), lines })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }
}

impl<R: BufRead> Reader<R> {
    /// Takes the next lines, whole ones, into `batch`. False when there is nothing more.
    ///
    /// A source that fails ends the reading, and the batch says so.
    pub fn fill(&mut self, batch: &mut Batch) -> bool {
        batch.begin(self.line + 1, &mut self.carry);
        if self.done {
            return false;
        }
        while !batch.is_full(&mut self.carry) {
            if batch.is_endless() {
                self.done = !batch.skip(&skip_line(&mut self.input));
                break;
            }
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.done = true;
                    batch.fail(&error);
                    break;
                }
            };
            if chunk.is_empty() {
                self.done = true;
                batch.settle();
                break;
            }
            batch.push(chunk);
            let used = chunk.len();
            self.input.consume(used);
        }
        self.line += batch.count();
        batch.count() > 0
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Numbered, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((number, item)) = self.batch.next(&mut self.read) {
                let item = item.and_then(|(bytes, ended)| self.lines.read(bytes, number, ended));
                return Some(item.map(|line| Numbered { place: number.into(), event: line.into_event() }));
            }
            let mut batch = std::mem::take(&mut self.batch);
            self.read = Position::default();
            let more = self.fill(&mut batch);
            self.batch = batch;
            if !more {
                return None;
            }
        }
    }
}

fn no_header() -> String {
    format!("the first line is not the header of a recording, such as {{\"schema\":\"{SCHEMA}\",\"recorder\":\"…\"}}")
}

fn starts_object(line: &[u8]) -> bool {
    line.trim_ascii_start().first() == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "{\"schema\":\"doorward.recording/v1\",\"recorder\":\"test\"}\n";
    const EVENT: &str = r#"{"time":1,"door":"tickets","method":"tools/call","name":"search"}"#;

    fn items(body: &[u8]) -> Vec<String> {
        let input = [HEADER.as_bytes(), body].concat();
        Reader::new(&input[..])
            .unwrap()
            .map(|item| match item {
                Ok(Numbered { place, event }) => format!("{place}: {}:{}", event.door, event.name),
                Err(unreadable) => unreadable.to_string(),
            })
            .collect()
    }

    fn header_error(text: &str) -> String {
        Reader::new(text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn reading_goes_on_behind_a_line_that_cannot_be_read() {
        let body = format!(
            "{EVENT}\nnot json\n{{\"time\":1}}\n{{\"time\":1,\"time\":2}}\n\n[1]\n{{\"time\":\"x\"}}\n{EVENT}\n{}",
            EVENT.get(..40).unwrap()
        );
        insta::assert_snapshot!(items(body.as_bytes()).join("\n"), @r#"
        2: tickets:search
        3: the line is not a JSON object (not-json)
        4: missing field `door` (column 10) (not-an-event)
        5: duplicate field `time` (column 16) (duplicate-key)
        6: the line is not a JSON object (not-json)
        7: the line is not a JSON object (not-json)
        8: invalid type: string "x", expected i64 (column 11) (not-an-event)
        9: tickets:search
        10: EOF while parsing a string (column 40) (truncated-line)
        "#);
    }

    #[test]
    fn every_rule_of_an_event_has_its_message() {
        let with = |extra: &str| format!("{},{extra}}}", EVENT.strip_suffix('}').unwrap());
        let lines = [
            with(r#""token_value":"x""#),
            with(r#""session":null"#),
            with(r#""subject":["corp"]"#),
            with(r#""arguments":{"a":{"b":1,"b":2}}"#),
            with(r#""arguments":[1]"#),
            with(r#""session":"s","absent":["/session"]"#),
            with(r#""absent":["/session"],"redacted":["/session"]"#),
            with(r#""absent":["/door"]"#),
            with(r#""absent":["/arguments/x"]"#),
            with(r#""redacted":["/arguments/x"]"#),
            with(r#""arguments":{},"redacted":["/arguments/a~2"]"#),
            with(r#""unrecorded":["/session"]"#),
            with(r#""kind":"prompt""#),
            with(r#""decided":{"effect":"allow","reason":"because","digest":"d"}"#),
            r#"{"time":1,"door":"d","method":"completion/complete","name":"x"}"#.to_owned(),
            r#"{"time":1,"door":"d","method":"tools/call"}"#.to_owned(),
            r#"{"time":1,"door":"d","method":"ping","name":"x"}"#.to_owned(),
            with(r#""arguments":{},"redacted":["/arguments/a"],"unrecorded":["/arguments/a"]"#),
        ];
        insta::assert_snapshot!(items(lines.join("\n").as_bytes()).join("\n"), @"
        2: unknown field `token_value`, expected one of `time`, `id`, `door`, `era`, `method`, `kind`, `name`, `arguments`, `subject`, `token`, `session`, `decided`, `foreign`, `absent`, `redacted`, `truncated`, `unrecorded` (column 78) (not-an-event)
        3: invalid type: null, expected a string (column 79) (not-an-event)
        4: invalid type: sequence, expected an object (column 75) (not-an-event)
        5: duplicate key `b` (column 92) (duplicate-key)
        6: invalid type: sequence, expected an object (column 77) (not-an-event)
        7: `/session` is there and is listed as missing (not-an-event)
        8: `/session` is listed twice (not-an-event)
        9: `/door` is no field that can be missing in this way (not-an-event)
        10: `/arguments/x` in `absent` says nothing: leave it out (not-an-event)
        11: parts of arguments are listed as withheld and there are no arguments (not-an-event)
        12: `/arguments/a~2` is not a JSON Pointer (not-an-event)
        13: `/session` is no field that can be missing in this way (not-an-event)
        14: `tools/call` does not reach a thing of that `kind` (not-an-event)
        15: unknown variant `because`, expected one of `granted`, `unknown-method`, `unknown-door`, `unknown-tool`, `unknown-prompt`, `unknown-resource`, `issuer`, `audience`, `token-expired`, `token-not-yet-valid`, `token-lifetime`, `token-stale`, `caller`, `denied-by`, `scope-missing`, `no-grant`, `grant-expired`, `args`, `missing-fact` (column 111) (not-an-event)
        16: `completion/complete` may reach several kinds of thing: say which in `kind` (not-an-event)
        17: `tools/call` reaches something with a name, and there is none (not-an-event)
        18: `ping` reaches the server itself, which has no name such as `x` (not-an-event)
        19: `/arguments/a` is listed twice (not-an-event)
        ");
    }

    #[test]
    fn a_line_over_the_limit_is_reported_and_passed_over() {
        let body = format!("{}\n{EVENT}\n{}", "x".repeat(MAX_LINE + 10), "y".repeat(MAX_LINE + 1));
        let items = items(body.as_bytes());
        assert!(items[0].ends_with("(line-too-long)") && items[2].ends_with("(line-too-long)"), "{items:?}");
        assert_eq!(items[1], "3: tickets:search");
    }

    #[test]
    fn bytes_that_are_not_text_are_reported() {
        assert!(items(b"\xff\xfe\n")[0].ends_with("(not-utf8)"));
        assert!(items(b"{\"time\":1,\"door\":\"\xc3")[0].ends_with("(truncated-line)"));
    }

    #[test]
    fn a_file_that_is_not_a_recording_is_refused_at_once() {
        insta::assert_snapshot!(header_error(""), @"1: the recording is empty (empty-recording)");
        insta::assert_snapshot!(header_error(EVENT), @r#"1: the first line is not the header of a recording, such as {"schema":"doorward.recording/v1","recorder":"…"} (no-header)"#);
        insta::assert_snapshot!(header_error(r#"{"schema":"doorward.recording/v2","new":1}"#), @"1: `doorward.recording/v2` is not `doorward.recording/v1`, which this build reads (unknown-schema)");
        insta::assert_snapshot!(header_error(r#"{"schema":"doorward.recording/v1","recorder":"x","extra":1}"#), @"1: the header cannot be read: unknown field `extra`, expected one of `schema`, `recorder`, `policy`, `note` (column 56) (no-header)");
        insta::assert_snapshot!(header_error(r#"["doorward.recording/v1","x"]"#), @r#"1: the first line is not the header of a recording, such as {"schema":"doorward.recording/v1","recorder":"…"} (no-header)"#);
    }

    #[test]
    fn a_source_that_fails_ends_the_reading_and_says_so() {
        struct Fails;
        impl io::Read for Fails {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let input = io::BufReader::new(io::Read::chain(HEADER.as_bytes(), Fails));
        let items: Vec<_> = Reader::new(input).unwrap().collect();
        assert_eq!(items.len(), 1);
        assert_eq!(items[0].as_ref().unwrap_err().code, UnreadableCode::ReadFailed);
    }
}
