//! Writes a recording. The same events give the same bytes.

use std::fmt;
use std::io::{self, Write};

use serde_json::{Map, Value};

use super::event::{Event, Header, SCHEMA};
use super::gap::Gap;
use super::reader::MAX_LINE;
use super::wire::EventOut;

/// Why an event was not written.
#[derive(Debug)]
pub enum WriteError {
    /// The destination failed.
    Io(io::Error),
    /// The line would be longer than a reader takes; nothing of it was written.
    TooLong {
        /// How long it would be, in bytes.
        bytes: usize,
    },
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the recording cannot be written: {error}"),
            Self::TooLong { bytes } => write!(
                f,
                "the event takes {bytes} bytes and a line at most {MAX_LINE}: truncate its longest arguments and list \
                 them in `truncated`"
            ),
        }
    }
}

impl std::error::Error for WriteError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::TooLong { .. } => None,
        }
    }
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes events behind a header.
#[derive(Debug)]
pub struct Writer<W> {
    output: W,
}

impl<W: Write> Writer<W> {
    /// Writes the header. Its schema is always [`SCHEMA`], whatever `header` says.
    pub fn new(mut output: W, header: &Header) -> Result<Self, WriteError> {
        let header = Header { schema: SCHEMA.to_owned(), ..header.clone() };
        let mut text = serde_json::to_vec(&header).map_err(io::Error::from)?;
        text.push(b'\n');
        output.write_all(&text)?;
        Ok(Self { output })
    }

    /// Writes one event as one line.
    pub fn write(&mut self, event: &Event) -> Result<(), WriteError> {
        let text = line(event)?;
        if text.len() > MAX_LINE {
            return Err(WriteError::TooLong { bytes: text.len() });
        }
        self.output.write_all(text.as_bytes())?;
        self.output.write_all(b"\n")?;
        Ok(())
    }

    /// Says in one line that events were left out here.
    pub fn gap(&mut self, gap: Gap) -> Result<(), WriteError> {
        self.output.write_all(gap.line().as_bytes())?;
        self.output.write_all(b"\n")?;
        Ok(())
    }

    /// Where the lines go.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.output
    }

    /// Flushes and gives the destination back.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.output.flush()?;
        Ok(self.output)
    }
}

/// One event as the object that a line of it holds.
///
/// # Errors
///
/// As for [`line()`].
pub fn object(event: &Event) -> Result<Map<String, Value>, io::Error> {
    match serde_json::to_value(EventOut::from(event)).map_err(io::Error::from)? {
        Value::Object(object) => Ok(object),
        _ => Err(io::Error::other("an event is an object")),
    }
}

/// One event as the line that stands for it, without the newline.
pub fn line(event: &Event) -> Result<String, io::Error> {
    serde_json::to_string(&EventOut::from(event)).map_err(io::Error::from)
}
