//! The texts that places point into.

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
}

impl Source {
    fn new(name: &str, text: &str) -> Self {
        let starts = text.bytes().zip(1u32..).filter(|(byte, _)| *byte == b'\n').map(|(_, next)| next);
        Self { name: name.into(), text: text.into(), line_starts: std::iter::once(0).chain(starts).collect() }
    }

    /// The line and column of a byte, both from 1; the column counts characters.
    pub fn line_column(&self, byte: u32) -> (u32, u32) {
        let line = self.line_starts.partition_point(|start| *start <= byte).saturating_sub(1);
        let start = self.line_starts.get(line).copied().unwrap_or(0);
        let before = self.text.get(start as usize..byte as usize).unwrap_or("");
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX - 1).saturating_add(1);
        (number(line), number(before.chars().count()))
    }
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

    /// Blots out the text of a span, so that no report can show it. Offsets and columns stay.
    pub fn mask(&mut self, span: Span) {
        let Some(source) = self.list.get_mut(span.source.0 as usize) else { return };
        let range = span.start as usize..span.end as usize;
        let Some(secret) = source.text.get(range.clone()) else { return };
        let blot: String = secret
            .chars()
            .map(|c| match c.len_utf8() {
                1 if c == '\n' => '\n',
                1 => '*',
                2 => '\u{b7}',
                3 => '\u{2022}',
                _ => '\u{1d7ce}',
            })
            .collect();
        let mut text = source.text.to_string();
        text.replace_range(range, &blot);
        source.text = text.into();
    }

    /// The text of a span.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.source).and_then(|s| s.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
