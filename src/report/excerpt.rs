//! The lines around marked places, made fit for a terminal: long lines cut, nothing in them that
//! could drive the terminal, and marks moved along.

use std::ops::Range;

use super::text::stand_in;
use crate::diagnostics::Source;

/// The longest line that is kept whole, in bytes.
const WHOLE: usize = 2_000;
/// How many bytes of a longer line are kept before its first mark and after it.
const AROUND: usize = 200;
/// How many lines of one mark are kept.
const MAX_LINES: usize = 40;

/// Some lines of a text with marks in them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Excerpt {
    /// The number of the first line, from 1.
    pub(super) first_line: usize,
    /// The lines.
    pub(super) text: String,
    /// The marks as byte ranges in `text`, in the order in which they were given.
    pub(super) marks: Vec<Range<usize>>,
    /// Whether a line lost its beginning, so that columns in `text` are not those of the source.
    pub(super) shifted: bool,
}

/// Cuts out the lines that the marks touch. The marks must be in one neighbourhood: every line
/// from the first to the last is kept.
pub(super) fn excerpt(source: &Source, marks: &[Range<usize>]) -> Excerpt {
    let text = &*source.text;
    let marks: Vec<_> = marks.iter().map(|mark| shortened(text, mark)).collect();
    let from = marks.iter().map(|mark| mark.start).min().unwrap_or(0);
    let to = marks.iter().map(|mark| mark.end).max().unwrap_or(0);
    let line_of = |byte: usize| source.line_column(u32::try_from(byte).unwrap_or(u32::MAX)).0;
    let (first_line, last_line) = (line_of(from), line_of(to));
    let mut out = Excerpt {
        first_line: first_line as usize,
        text: String::new(),
        marks: marks.iter().map(|_| 0..0).collect(),
        shifted: false,
    };
    for number in first_line..=last_line {
        let line = source.line(number);
        let bare = text.get(line.clone()).unwrap_or("").trim_end_matches('\r');
        out.push_line(line.start, bare, &marks);
        if number < last_line {
            out.text.push('\n');
        }
    }
    out
}

impl Excerpt {
    /// Adds one line that starts at byte `at` of the source, and moves the ends of marks in it.
    fn push_line(&mut self, at: usize, line: &str, marks: &[Range<usize>]) {
        let within = |end: usize| (at..=at + line.len() + 2).contains(&end).then(|| (end - at).min(line.len()));
        let ends = || marks.iter().flat_map(|mark| [mark.start, mark.end]).filter_map(within);
        let first = ends().min().unwrap_or(0);
        let kept = if line.len() <= WHOLE {
            0..line.len()
        } else {
            line.floor_char_boundary(first.saturating_sub(AROUND))..line.ceil_char_boundary(first + AROUND)
        };
        if kept.start > 0 {
            self.text.push('…');
            self.shifted = true;
        }
        let base = self.text.len();
        let shift = |end: usize| {
            let end = end.clamp(kept.start, kept.end);
            shown_text(line, kept.start..end).len()
        };
        for (mark, out) in marks.iter().zip(&mut self.marks) {
            // A line end belongs to the line before it, except where a mark starts after it.
            if let Some(end) = within(mark.start) {
                *out = base + shift(end)..base + shift(end);
            }
            if let Some(end) = within(mark.end) {
                out.end = (base + shift(end)).max(out.start);
            }
        }
        self.text.push_str(&shown_text(line, kept.clone()));
        if kept.end < line.len() {
            self.text.push('…');
        }
    }
}

/// One character for each character, so that columns stay; tabs are left to the renderer.
fn shown_text(line: &str, range: Range<usize>) -> String {
    let text = line.get(range).unwrap_or("");
    text.chars().map(|c| if c == '\t' { c } else { stand_in(c).unwrap_or(c) }).collect()
}

/// The mark within the text, on character boundaries and not over too many lines.
fn shortened(source: &str, mark: &Range<usize>) -> Range<usize> {
    let start = source.floor_char_boundary(mark.start);
    let end = source.ceil_char_boundary(mark.end).max(start);
    let lines = source.get(start..end).unwrap_or("").match_indices('\n');
    lines.map(|(newline, _)| start + newline).nth(MAX_LINES).map_or(start..end, |cut| start..cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostics::Sources;

    fn cut(text: &str, mark: Range<usize>) -> Excerpt {
        let mut sources = Sources::default();
        let id = sources.add("p.toml", text);
        excerpt(sources.get(id).unwrap(), &[mark])
    }

    fn marked(excerpt: &Excerpt) -> Option<&str> {
        excerpt.text.get(excerpt.marks.first()?.clone())
    }

    #[test]
    fn marks_move_with_what_is_shown_instead() {
        let source = "one\r\n\t\u{1b}é = 1\r\nthree\n";
        let mark = source.find('é').unwrap();
        let out = cut(source, mark..mark + 2);
        assert_eq!((out.first_line, out.text.as_str()), (2, "\t␛é = 1"));
        assert_eq!(marked(&out), Some("é"));
    }

    #[test]
    fn a_long_line_is_cut_around_its_mark() {
        let source = format!("{}é{}", "a".repeat(100_000), "b".repeat(100_000));
        let out = cut(&source, 100_000..100_002);
        assert!(out.shifted && out.text.len() < 2_100 && out.text.starts_with('…') && out.text.ends_with('…'));
        assert_eq!(marked(&out), Some("é"));
    }

    #[test]
    fn a_mark_over_many_lines_is_shortened_and_a_wrong_one_is_held() {
        let out = cut(&"x\n".repeat(10_000), 0..20_000);
        assert_eq!(out.text.lines().count(), MAX_LINES + 1);
        assert_eq!(marked(&cut("abc", 7..9)), Some(""));
        assert_eq!(cut("", 0..0).text, "");
    }
}
