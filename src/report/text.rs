//! Words, counts and columns that the text renderers share.

use std::borrow::Cow;
use std::fmt::Write;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use super::style::Style;
use crate::diagnostics::{Diagnostic, Severity};

/// The text with nothing in it that moves a cursor, starts a colour or turns the direction of
/// reading. Line ends become visible too: what comes out is one line.
pub fn harmless(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| stand_in(c).is_none()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match stand_in(c) {
            Some(' ') => out.push_str("    "),
            Some(shown) => out.push(shown),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// What stands for a character that must not reach a terminal; a space for a tab.
pub(super) fn stand_in(c: char) -> Option<char> {
    match c {
        '\t' => Some(' '),
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)),
        '\u{7f}' => Some('\u{2421}'),
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => Some(char::REPLACEMENT_CHARACTER),
        _ => None,
    }
}

/// `1 error`, `2 errors`.
pub fn plural(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// `2 errors, 1 warning`; what there is none of is left out.
pub fn summary(problems: &[Diagnostic]) -> String {
    let (errors, warnings) = counts(problems);
    match (errors, warnings) {
        (0, 0) => "no problems".to_owned(),
        (_, 0) => plural(errors, "error"),
        (0, _) => plural(warnings, "warning"),
        _ => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
    }
}

/// How many errors and how many warnings.
pub(super) fn counts(problems: &[Diagnostic]) -> (usize, usize) {
    let errors = problems.iter().filter(|p| p.severity() == Severity::Error).count();
    (errors, problems.len() - errors)
}

/// `1.2 MB`: bytes in the largest unit of which there is one.
pub(super) fn size(bytes: u64) -> String {
    let (mut of_unit, mut unit) = (1_u64, "B");
    for larger in ["kB", "MB", "GB", "TB", "PB"] {
        if bytes.saturating_add(of_unit / 2) / of_unit < 1000 {
            break;
        }
        (of_unit, unit) = (of_unit * 1000, larger);
    }
    let rounded = |part: u64| bytes.saturating_add(part / 2) / part;
    let tenths = if of_unit == 1 { u64::MAX } else { rounded(of_unit / 10) };
    if tenths >= 1000 {
        format!("{} {unit}", rounded(of_unit))
    } else {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    }
}

/// Indented JSON with a final newline.
pub(super) fn pretty(value: &impl Serialize) -> String {
    // Plain structures of strings and numbers, which always have a JSON form.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// What a cell says about itself beside its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Role {
    #[default]
    Text,
    Number,
    Good,
    Bad,
    Caution,
    Strong,
    Faint,
}

/// One cell of [`Columns`].
#[derive(Clone, Debug, Default)]
pub struct Cell {
    text: String,
    role: Role,
}

impl Cell {
    /// Plain text, to the left.
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), role: Role::Text }
    }

    /// A number, to the right.
    pub fn number(number: impl Into<u64>) -> Self {
        Self { text: number.into().to_string(), role: Role::Number }
    }

    /// As [`Style::good`].
    pub fn good(text: impl Into<String>) -> Self {
        Self { text: text.into(), role: Role::Good }
    }

    /// As [`Style::bad`].
    pub fn bad(text: impl Into<String>) -> Self {
        Self { text: text.into(), role: Role::Bad }
    }

    /// As [`Style::caution`].
    pub fn caution(text: impl Into<String>) -> Self {
        Self { text: text.into(), role: Role::Caution }
    }

    /// As [`Style::strong`].
    pub fn strong(text: impl Into<String>) -> Self {
        Self { text: text.into(), role: Role::Strong }
    }

    /// As [`Style::faint`].
    pub fn faint(text: impl Into<String>) -> Self {
        Self { text: text.into(), role: Role::Faint }
    }
}

/// Rows whose cells stand below each other, two spaces apart. Widths are those of a terminal, so
/// that wide characters keep the columns straight.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    indent: usize,
    rows: Vec<Vec<Cell>>,
}

impl Columns {
    /// No rows yet; each will start after so many spaces.
    pub const fn new(indent: usize) -> Self {
        Self { indent, rows: Vec::new() }
    }

    /// Adds a row. Text from outside is made [`harmless`].
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells = cells.into_iter().map(|cell| Cell { text: harmless(&cell.text).into_owned(), ..cell });
        self.rows.push(cells.collect());
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows as lines, without spaces at their ends.
    pub fn render(&self, style: Style) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            widths.resize(widths.len().max(row.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.text.width());
            }
        }
        let mut out = String::new();
        for row in &self.rows {
            let last = row.iter().rposition(|cell| !cell.text.is_empty());
            let mut gap = self.indent;
            for (i, (cell, width)) in row.iter().zip(&widths).enumerate() {
                let pad = width - cell.text.width();
                let (before, after) = if cell.role == Role::Number { (pad, 0) } else { (0, pad) };
                if last.is_some_and(|last| i <= last) {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "{:gap$}{}", "", cell.painted(style), gap = gap + before);
                }
                gap = after + 2;
            }
            out.push('\n');
        }
        out
    }
}

impl Cell {
    fn painted(&self, style: Style) -> String {
        let text = &self.text;
        match self.role {
            Role::Text | Role::Number => text.clone(),
            Role::Good => style.good(text).to_string(),
            Role::Bad => style.bad(text).to_string(),
            Role::Caution => style.caution(text).to_string(),
            Role::Strong => style.strong(text).to_string(),
            Role::Faint => style.faint(text).to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_drive_a_terminal_is_shown_instead() {
        assert_eq!(harmless("a\u{1b}[31m\r\nb\tc\u{9b}\u{202e}"), "a␛[31m␍␊b    c��");
        assert!(matches!(harmless("naïve 日本 🦀"), Cow::Borrowed(_)));
    }

    #[test]
    fn sizes_are_in_the_largest_unit_of_which_there_is_one() {
        let sizes = [0, 999, 1000, 1249, 99_949, 123_456, 999_499, 999_500, 5_000_000_000, u64::MAX].map(size);
        let expected =
            ["0 B", "999 B", "1.0 kB", "1.2 kB", "99.9 kB", "123 kB", "999 kB", "1.0 MB", "5.0 GB", "18446 PB"];
        assert_eq!(sizes, expected);
    }

    #[test]
    fn columns_stay_straight_with_wide_characters_and_missing_cells() {
        let mut columns = Columns::new(2);
        columns.row([Cell::strong("tool"), Cell::strong("calls"), Cell::strong("note")]);
        columns.row([Cell::text("検索"), Cell::number(12_u32), Cell::faint("")]);
        columns.row([Cell::text("x\ny"), Cell::number(7_u32), Cell::bad("denied")]);
        columns.row([Cell::text("short")]);
        insta::assert_snapshot!(columns.render(Style::PLAIN), @r"
          tool   calls  note
          検索      12
          x␊y        7  denied
          short
        ");
        assert!(columns.render(Style::COLOUR).contains("\u{1b}[1mtool\u{1b}[0m "));
    }
}
