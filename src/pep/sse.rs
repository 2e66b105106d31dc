//! Server-sent events (WHATWG HTML section 9.2), cut from bytes as they come.
//!
//! An event is handed on only when its blank line has come, so that it can be judged whole; what a
//! stream ends with before that is no event. Comments alone are handed on line by line. Nothing is
//! decoded and nothing is changed here.

use bytes::{Bytes, BytesMut};

/// More bytes without an end than an event may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Lines up to and with a blank one, or comment lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block(pub(super) Bytes);

/// Bytes of which no whole event has come yet.
#[derive(Debug)]
pub(super) struct Cutter {
    buffer: BytesMut,
    /// Bytes that have been looked at.
    seen: usize,
    /// Where the line that is looked at begins.
    line: usize,
    /// Whether every line of the block so far is a comment.
    comments: bool,
    most: usize,
}

impl Cutter {
    pub(super) fn new(most: usize) -> Self {
        Self { buffer: BytesMut::new(), seen: 0, line: 0, comments: true, most }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole block. `at_end` says that no more bytes come, so that a last CR is a line end.
    pub(super) fn next(&mut self, at_end: bool) -> Result<Option<Block>, TooLong> {
        while let Some((end, next)) = self.line_end(at_end) {
            let line = self.buffer.get(self.line..end).unwrap_or_default();
            let (blank, comment) = (line.is_empty(), line.first() == Some(&b':'));
            self.line = next;
            self.seen = next;
            self.comments &= comment;
            if blank || self.comments {
                let block = self.buffer.split_to(next).freeze();
                (self.seen, self.line, self.comments) = (0, 0, true);
                return Ok(Some(Block(block)));
            }
        }
        if self.buffer.len() > self.most { Err(TooLong) } else { Ok(None) }
    }

    /// Where the line ends and where the next begins: LF, CR LF or CR.
    fn line_end(&mut self, at_end: bool) -> Option<(usize, usize)> {
        let rest = self.buffer.get(self.seen..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'\n', b'\r', rest) else {
            self.seen = self.buffer.len();
            return None;
        };
        let end = self.seen + found;
        match (self.buffer.get(end), self.buffer.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => Some((end, end + 2)),
            (Some(b'\r'), None) if !at_end => {
                self.seen = end;
                None
            }
            _ => Some((end, end + 1)),
        }
    }
}

impl Block {
    /// The lines, without their ends.
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let (line, tail) = rest.split_at_checked(end)?;
            let skip = if tail.starts_with(b"\r\n") { 2 } else { usize::from(!tail.is_empty()) };
            rest = tail.get(skip..).unwrap_or_default();
            Some(line)
        })
    }

    /// The data of the event; `None` without a `data` field.
    pub(super) fn data(&self) -> Option<Vec<u8>> {
        let mut data: Option<Vec<u8>> = None;
        for line in self.lines() {
            let Some(value) = field(line, b"data") else { continue };
            match &mut data {
                None => data = Some(value.to_vec()),
                Some(data) => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
            }
        }
        data
    }

    /// Whether it has an id, with which a reader that lost the stream asks for what came after it.
    pub(super) fn has_id(&self) -> bool {
        self.lines().any(|line| field(line, b"id").is_some_and(|id| !id.is_empty()))
    }

    /// The event with other data, which is JSON. The other lines stay as they are.
    pub(super) fn with_data(&self, text: &str) -> Bytes {
        let mut out = Vec::with_capacity(text.len() + 64);
        for line in self.lines().filter(|line| !line.is_empty() && field(line, b"data").is_none()) {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        out.extend_from_slice(b"data: ");
        // Line ends stand in JSON between values only, where a space says the same.
        out.extend(text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
        out.extend_from_slice(b"\n\n");
        Bytes::from(out)
    }

    /// The event without its data: its id and the time to reconnect are still told.
    pub(super) fn without_data(&self) -> Option<Bytes> {
        let mut out = Vec::new();
        for line in self.lines().filter(|line| field(line, b"id").is_some() || field(line, b"retry").is_some()) {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
        if out.is_empty() {
            return None;
        }
        out.extend_from_slice(b"data:\n\n");
        Some(Bytes::from(out))
    }
}

/// The value of a line, if it is of this field. A byte order mark is skipped on every line, not only on
/// the first: whatever some reader may take for data is judged.
fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let rest = line.strip_prefix(name)?;
    match rest.split_first() {
        None => Some(rest),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}
