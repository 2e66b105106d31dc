//! Lines of bounded length out of a stream.
//!
//! At most one line is ever held, and a stream that never ends a line is refused at its limit.

use std::io::{self, BufRead, ErrorKind, Read as _};

/// What one attempt to read a line gave.
pub(super) enum Line {
    /// It is in the buffer; whether a newline ended it.
    Read {
        ended: bool,
    },
    TooLong,
    End,
}

/// Reads up to and without the next newline; at most `limit` bytes are ever held.
/// What is left of a longer line is not read: a header that never ends is refused at once.
pub(super) fn read_line(input: &mut impl BufRead, buffer: &mut Vec<u8>, limit: usize) -> io::Result<Line> {
    buffer.clear();
    if input.by_ref().take(limit as u64 + 1).read_until(b'\n', buffer)? == 0 {
        return Ok(Line::End);
    }
    if buffer.last() == Some(&b'\n') {
        buffer.pop();
        return Ok(Line::Read { ended: true });
    }
    if buffer.len() <= limit {
        return Ok(Line::Read { ended: false });
    }
    Ok(Line::TooLong)
}

/// Passes over the rest of a line.
pub(super) fn skip_line(input: &mut impl BufRead) -> io::Result<()> {
    loop {
        let chunk = match input.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if chunk.is_empty() {
            return Ok(());
        }
        let newline = chunk.iter().position(|byte| *byte == b'\n');
        let used = newline.map_or(chunk.len(), |at| at + 1);
        input.consume(used);
        if newline.is_some() {
            return Ok(());
        }
    }
}
