//! Whole lines that follow each other, so that several readers can share one source.
//!
//! It holds what one read of the source gave and never more than one line over that.

use std::io;

use super::reader::{MAX_LINE, Unreadable, UnreadableCode};

/// How many bytes are gathered before a batch is handed on.
const FULL: usize = 256 << 10;

/// Lines of a recording with their numbers.
#[derive(Debug, Default)]
pub struct Batch {
    text: Vec<u8>,
    first: u64,
    /// Whole lines and one that the end of the source cut.
    lines: u64,
    /// What stands behind them: a line that is too long, or a source that failed.
    problem: Option<Unreadable>,
}

/// What stands in the place of a line: its bytes, and whether a newline ended it.
type Item<'a> = Result<(&'a [u8], bool), Unreadable>;

impl Batch {
    /// How many lines there are, and what stands in the place of one.
    pub fn count(&self) -> u64 {
        self.lines + u64::from(self.problem.is_some())
    }

    /// How many bytes they take.
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// Each line with its number: its bytes, and whether a newline ended it.
    pub fn items(&self) -> impl Iterator<Item = (u64, Item<'_>)> {
        let mut read = Position::default();
        std::iter::from_fn(move || self.next(&mut read))
    }

    /// The line at a position, which moves behind it.
    pub(super) fn next(&self, read: &mut Position) -> Option<(u64, Item<'_>)> {
        let number = self.first + read.lines;
        let rest = self.text.get(read.at..).filter(|rest| !rest.is_empty());
        read.lines += 1;
        let Some(rest) = rest else {
            let problem = self.problem.clone().filter(|_| !read.over)?;
            read.over = true;
            return Some((number, Err(problem)));
        };
        let newline = memchr::memchr(b'\n', rest);
        let line = rest.get(..newline.unwrap_or(rest.len())).unwrap_or(rest);
        read.at += line.len() + 1;
        let item = if line.len() > MAX_LINE { Err(too_long(number)) } else { Ok((line, newline.is_some())) };
        Some((number, item))
    }

    /// Begins with what the batch before left over.
    pub(super) fn begin(&mut self, first: u64, carry: &mut Vec<u8>) {
        self.text.clear();
        self.text.append(carry);
        (self.first, self.lines, self.problem) = (first, 0, None);
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        self.text.extend_from_slice(chunk);
    }

    /// Whether there is enough; the start of the next line then goes to `carry`.
    pub(super) fn is_full(&mut self, carry: &mut Vec<u8>) -> bool {
        if self.text.len() < FULL {
            return false;
        }
        let Some(last) = memchr::memrchr(b'\n', &self.text) else { return false };
        carry.clear();
        carry.extend_from_slice(self.text.get(last + 1..).unwrap_or(&[]));
        self.text.truncate(last + 1);
        self.settle();
        true
    }

    /// Whether it is all one line, and that longer than any may be.
    pub(super) fn is_endless(&self) -> bool {
        self.text.len() > MAX_LINE && memchr::memchr(b'\n', &self.text).is_none()
    }

    /// Gives up the line that is too long, once the rest of it was passed over. False when the
    /// source failed meanwhile.
    pub(super) fn skip(&mut self, skipped: &io::Result<()>) -> bool {
        self.text.clear();
        let problem = too_long(self.first);
        let failed = skipped.is_err();
        let code = if failed { UnreadableCode::ReadFailed } else { problem.code };
        self.problem = Some(Unreadable { code, ..problem });
        !failed
    }

    /// The source failed: a line that has not ended is not handed on.
    pub(super) fn fail(&mut self, error: &io::Error) {
        self.text.truncate(memchr::memrchr(b'\n', &self.text).map_or(0, |last| last + 1));
        self.settle();
        self.problem = Some(Unreadable::new(self.first + self.lines, UnreadableCode::ReadFailed, error.to_string()));
    }

    /// Counts the lines.
    pub(super) fn settle(&mut self) {
        let whole = memchr::memchr_iter(b'\n', &self.text).count() as u64;
        let cut = self.text.last().is_some_and(|last| *last != b'\n');
        self.lines = whole + u64::from(cut);
    }
}

/// How far a batch has been read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Position {
    at: usize,
    lines: u64,
    over: bool,
}

fn too_long(number: u64) -> Unreadable {
    Unreadable::new(number, UnreadableCode::LineTooLong, format!("the line is longer than {MAX_LINE} bytes"))
}
