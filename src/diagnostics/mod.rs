//! Problems found in a policy, as data: a code, a severity, places and a help line.
//!
//! Nothing here renders or prints; `report` does.

mod code;
mod source;

pub use code::Code;
pub use source::{Source, SourceId, Sources, Span};

use serde::{Deserialize, Serialize};

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The policy cannot be used.
    Error,
    /// The policy can be used and probably does not say what its author meant.
    Warning,
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The stable code.
    pub code: Code,
    /// One line, lower case, no final period, user text in backticks.
    pub message: String,
    /// The token at fault; `None` when the problem has no place in a file.
    pub primary: Option<Label>,
    /// Further places that explain it.
    pub secondary: Vec<Label>,
    /// What to do next.
    pub help: Option<String>,
}

impl Diagnostic {
    /// A problem without a place.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), primary: None, secondary: Vec::new(), help: None }
    }

    /// Marks the token at fault. `note` stands beside the carets and may be empty.
    #[must_use]
    pub fn at(mut self, span: Span, note: impl Into<String>) -> Self {
        self.primary = Some(Label { span, note: note.into() });
        self
    }

    /// Marks another place.
    #[must_use]
    pub fn also(mut self, span: Span, note: impl Into<String>) -> Self {
        self.secondary.push(Label { span, note: note.into() });
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.code.severity()
    }
}

/// A marked place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What stands beside the carets; may be empty.
    pub note: String,
}

/// Puts problems in the order in which a reader meets them, each once.
pub fn sort(problems: &mut Vec<Diagnostic>) {
    problems.sort_by(|a, b| {
        let key = |d: &Diagnostic| (d.primary.as_ref().map(|l| (l.span.source, l.span.start, l.span.end)), d.code);
        key(a).cmp(&key(b)).then_with(|| a.message.cmp(&b.message))
    });
    problems.dedup();
}

/// The known word nearest to `word`, if one is near enough to be meant.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    // A word must share something with what is suggested for it.
    let limit = (1 + length / 4).min(length.saturating_sub(1));
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| (1..=limit).contains(distance))
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let known = ["tickets", "crm", "search"];
        assert_eq!(did_you_mean("tickts", known), Some("tickets"));
        assert_eq!(did_you_mean("serach", known), Some("search"));
        assert_eq!(did_you_mean("billing", known), None);
        assert_eq!(did_you_mean("crm", known), None, "the same word is no suggestion");
        assert_eq!(did_you_mean("y", ["x"]), None, "one letter is like no other");
    }
}
