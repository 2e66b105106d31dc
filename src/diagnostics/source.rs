//! The texts that places point into.

use std::ops::Range;
use std::sync::Arc;

use crate::model::Position;

/// A number for a text in [`Sources`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

/// A range of bytes in one text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which text.
    pub source: SourceId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

/// One text with its name.
#[derive(Clone, Debug)]
pub struct Source {
    /// What to call it: a path, `stdin`, or the name of an environment variable.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
    line_starts: Vec<u32>,
    /// The characters before each [`BLOCK`] of bytes: a place far into a line of megabytes costs no
    /// more than one near its start. `None` when every byte is a character.
    characters: Option<Vec<u32>>,
}

/// How many bytes are counted at once.
const BLOCK: usize = 1024;

impl Source {
    fn new(name: &str, text: &str) -> Self {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let starts = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| offset(at + 1));
        let characters = (!text.is_ascii()).then(|| {
            let mut total = 0u32;
            let counted = text.as_bytes().chunks(BLOCK).map(|block| {
                total = total.saturating_add(characters(block));
                total
            });
            std::iter::once(0).chain(counted).collect()
        });
        Self {
            name: name.into(),
            text: text.into(),
            line_starts: std::iter::once(0).chain(starts).collect(),
            characters,
        }
    }

    /// The line and column of a byte, both from 1; the column counts characters.
    pub fn line_column(&self, byte: u32) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= byte).saturating_sub(1);
        let start = self.line_starts.get(line).copied().unwrap_or(0);
        let column = match self.text.as_bytes().get(start as usize..byte as usize) {
            Some(near) if self.characters.is_some() && near.len() <= BLOCK => characters(near),
            _ => self.characters_before(byte).saturating_sub(self.characters_before(start)),
        };
        (u32::try_from(line).unwrap_or(u32::MAX - 1).saturating_add(1), column.saturating_add(1))
    }

    /// The bytes of a line, counted from 1, without its line feed. Empty when there is no such line.
    pub fn line(&self, number: u32) -> Range<usize> {
        let start = |n: u32| self.line_starts.get(n as usize).map(|start| *start as usize);
        let Some(from) = number.checked_sub(1).and_then(start) else { return 0..0 };
        from..start(number).map_or(self.text.len(), |next| next - 1)
    }

    fn characters_before(&self, byte: u32) -> u32 {
        let byte = self.text.len().min(byte as usize);
        let Some(counted) = &self.characters else { return u32::try_from(byte).unwrap_or(u32::MAX) };
        let block = byte / BLOCK;
        let rest = self.text.as_bytes().get(block * BLOCK..byte).unwrap_or_default();
        counted.get(block).copied().unwrap_or(0).saturating_add(characters(rest))
    }
}

/// The characters that begin in these bytes of a text.
fn characters(bytes: &[u8]) -> u32 {
    bytes.iter().map(|byte| u32::from(byte & 0xc0 != 0x80)).sum()
}

/// All texts that a policy was read from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    list: Vec<Source>,
}

impl Sources {
    /// Adds a text and returns its number.
    pub fn add(&mut self, name: &str, text: &str) -> SourceId {
        self.list.push(Source::new(name, text));
        SourceId(u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX))
    }

    /// The text with that number.
    pub fn get(&self, id: SourceId) -> Option<&Source> {
        self.list.get(id.0 as usize)
    }

    /// The file, line and column where a span starts.
    pub fn position(&self, span: Span) -> Position {
        self.get(span.source).map_or_else(Position::default, |source| {
            let (line, column) = source.line_column(span.start);
            Position { file: Arc::clone(&source.name), line, column }
        })
    }

    /// Blots out the texts of spans, so that no report can show them. Offsets and columns stay.
    pub fn mask(&mut self, spans: &[Span]) {
        for (id, source) in (0..).zip(&mut self.list) {
            let mut masked: Option<String> = None;
            for span in spans.iter().filter(|span| span.source == SourceId(id)) {
                let text = masked.get_or_insert_with(|| source.text.to_string());
                let range = span.start as usize..span.end as usize;
                if let Some(blot) = text.get(range.clone()).map(blot) {
                    text.replace_range(range, &blot);
                }
            }
            if let Some(text) = masked {
                source.text = text.into();
            }
        }
    }

    /// The spans of what `find` finds in each text.
    pub fn find<'s, F: Iterator<Item = Range<usize>>>(&'s self, find: impl Fn(&'s str) -> F) -> Vec<Span> {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let texts = self.list.iter().zip(0..);
        texts
            .flat_map(|(source, id)| find(&source.text).map(move |range| (SourceId(id), range)))
            .map(|(source, range)| Span { source, start: offset(range.start), end: offset(range.end) })
            .collect()
    }

    /// The text of a span.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.source).and_then(|s| s.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }
}

/// As many characters of the same lengths.
fn blot(secret: &str) -> String {
    let one = |c: char| match c.len_utf8() {
        1 if c == '\n' => '\n',
        1 => '*',
        2 => '\u{b7}',
        3 => '\u{2022}',
        _ => '\u{1d7ce}',
    };
    secret.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_on_a_long_line_is_counted_as_on_a_short_one() {
        let text = format!("x\n{}\n", "aé日🦀".repeat(2_000));
        let source = Source::new("p.toml", &text);
        let mut characters = 0;
        for (byte, c) in text.char_indices().skip(2) {
            if c != '\n' {
                characters += 1;
                assert_eq!(source.line_column(u32::try_from(byte).unwrap()), (2, characters));
            }
        }
        assert_eq!(source.line(1), 0..1);
        assert_eq!(source.line(2), 2..text.len() - 1);
        assert_eq!((source.line(0), source.line(9)), (0..0, 0..0));
    }

    #[test]
    fn columns_count_characters_and_lines_count_from_one() {
        let mut sources = Sources::default();
        let id = sources.add("p.toml", "a = 1\nb = \"é\" # x\n");
        let at = |start| sources.position(Span { source: id, start, end: start + 1 }).to_string();
        assert_eq!(at(0), "p.toml:1:1");
        assert_eq!(at(6), "p.toml:2:1");
        assert_eq!(at(14), "p.toml:2:8");
        assert_eq!(at(19), "p.toml:3:1");
    }
}
