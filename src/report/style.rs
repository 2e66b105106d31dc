//! Colour, or none: one set of roles that all text reports share.

use std::fmt;

use anstyle::{AnsiColor, Effects};

/// Whether a text report is coloured. Colour never carries anything that the words do not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// No colour: for files, pipes and snapshots.
    pub const PLAIN: Self = Self { colour: false };
    /// ANSI colours: for terminals.
    pub const COLOUR: Self = Self { colour: true };

    /// Coloured or not.
    pub const fn new(colour: bool) -> Self {
        Self { colour }
    }

    /// Whether there is colour.
    pub const fn is_coloured(self) -> bool {
        self.colour
    }

    /// An allow, a test that passed, an access gained where that is fine.
    pub fn good<T: fmt::Display>(self, text: T) -> Styled<T> {
        self.paint(AnsiColor::Green.on_default().effects(Effects::BOLD), text)
    }

    /// A deny, a test that failed.
    pub fn bad<T: fmt::Display>(self, text: T) -> Styled<T> {
        self.paint(AnsiColor::BrightRed.on_default().effects(Effects::BOLD), text)
    }

    /// Something to look at.
    pub fn caution<T: fmt::Display>(self, text: T) -> Styled<T> {
        self.paint(AnsiColor::Yellow.on_default().effects(Effects::BOLD), text)
    }

    /// A heading or the word that matters in a line.
    pub fn strong<T: fmt::Display>(self, text: T) -> Styled<T> {
        self.paint(anstyle::Style::new().effects(Effects::BOLD), text)
    }

    /// A place, a count or a remark beside the point.
    pub fn faint<T: fmt::Display>(self, text: T) -> Styled<T> {
        self.paint(anstyle::Style::new().effects(Effects::DIMMED), text)
    }

    fn paint<T: fmt::Display>(self, ansi: anstyle::Style, text: T) -> Styled<T> {
        Styled { ansi: if self.colour { ansi } else { anstyle::Style::new() }, text }
    }
}

/// Text with its colour. Padding given to the formatter is not applied: see
/// [`Columns`](super::Columns).
#[derive(Clone, Copy, Debug)]
pub struct Styled<T> {
    ansi: anstyle::Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Styled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:#}", self.ansi, self.text, self.ansi)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_no_escape_is_written() {
        assert_eq!(Style::PLAIN.bad("denied").to_string(), "denied");
        assert_eq!(Style::COLOUR.bad("denied").to_string(), "\u{1b}[1m\u{1b}[91mdenied\u{1b}[0m");
    }
}
