//! TOML files that say how to read a log: what mappings and field maps have in common.
//!
//! Every problem has its place. An unknown key is an error, and a file with an error is not used.

use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::diagnostics::{Code, Diagnostic, SourceId, Sources, Span, did_you_mean};
use crate::policy::glob::NameGlob;

/// The longest file that is read, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// One text, or a list of them.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(super) fn list(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(list) => list,
        }
    }
}

/// A file in the reading: where its problems go.
pub(super) struct Reading {
    source: SourceId,
    problems: Vec<Diagnostic>,
}

/// Reads a file of one kind. Its text goes to `sources`, for the places of the problems.
///
/// # Errors
///
/// Every problem found.
pub(super) fn load<T: DeserializeOwned, U>(
    (name, bytes): (&str, &[u8]),
    sources: &mut Sources,
    build: impl FnOnce(&mut Reading, T) -> U,
) -> Result<U, Vec<Diagnostic>> {
    if bytes.len() > MAX_BYTES {
        return Err(vec![
            Diagnostic::new(Code::TooLarge, format!("`{name}` is larger than {MAX_BYTES} bytes"))
                .help("it holds rules, not data: match several records with one glob"),
        ]);
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(vec![Diagnostic::new(Code::NotUtf8, format!("`{name}` is not UTF-8 text"))]);
    };
    let mut reading = Reading { source: sources.add(name, text), problems: Vec::new() };
    let built = match toml::from_str::<T>(text) {
        Ok(file) => Some(build(&mut reading, file)),
        Err(error) => {
            reading.refuse(&error);
            None
        }
    };
    match built {
        Some(built) if reading.problems.is_empty() => Ok(built),
        _ => Err(reading.problems),
    }
}

impl Reading {
    /// Notes a problem; `help` may be empty.
    pub(super) fn problem(&mut self, code: Code, range: Range<usize>, message: impl fmt::Display, help: &str) {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let span = Span { source: self.source, start: number(range.start), end: number(range.end) };
        let diagnostic = Diagnostic::new(code, message.to_string()).at(span, "");
        self.problems.push(if help.is_empty() { diagnostic } else { diagnostic.help(help) });
    }

    /// Refuses any version but the first.
    pub(super) fn version(&mut self, version: &toml::Spanned<i64>, what: &str) {
        if *version.get_ref() != 1 {
            let message = format!("version {} of {what} is not one this build reads", version.get_ref());
            self.problem(Code::UnknownVersion, version.span(), message, "write `version = 1`");
        }
    }

    /// A glob over a name.
    pub(super) fn glob(&mut self, text: &str, range: Range<usize>) -> Option<NameGlob> {
        NameGlob::new(text)
            .map_err(|error| self.problem(Code::InvalidPattern, range, format!("`{text}`: {error}"), ""))
            .ok()
    }

    /// Several of them.
    pub(super) fn globs(&mut self, texts: OneOrMany, range: &Range<usize>) -> Vec<NameGlob> {
        texts.list().iter().filter_map(|text| self.glob(text, range.clone())).collect()
    }

    /// What the TOML parser says, under our codes.
    fn refuse(&mut self, error: &toml::de::Error) {
        let message = error.message().lines().next().unwrap_or_default().to_owned();
        let code = match message.as_str() {
            m if m.starts_with("unknown field") => Code::UnknownKey,
            m if m.starts_with("missing field") => Code::MissingKey,
            m if m.starts_with("unknown variant") => Code::InvalidValue,
            m if m.starts_with("invalid type") || m.starts_with("data did not match") => Code::WrongType,
            _ => Code::TomlSyntax,
        };
        let guess = matches!(code, Code::UnknownKey | Code::InvalidValue);
        let mut words = message.split('`').skip(1).step_by(2);
        let near = words.next().and_then(|word| did_you_mean(word, words)).filter(|_| guess);
        let help = near.map(|near| format!("did you mean `{near}`?")).unwrap_or_default();
        let message = if guess && help.is_empty() { message.as_str() } else { before_list(&message) };
        self.problem(code, error.span().unwrap_or(0..0), message, &help);
    }
}

/// The message without the list of everything that would have been right.
fn before_list(message: &str) -> &str {
    message.split(", expected one of").next().unwrap_or_default()
}
