//! What a command answers: a text for stdout or a file, more texts for files, and yes or no.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use super::failure::Failure;
use super::files::Output;

/// The answer of a command.
#[derive(Debug)]
pub(super) struct Answer {
    text: String,
    yes: bool,
    output: Option<PathBuf>,
    also: Vec<(PathBuf, String)>,
    code: Option<u8>,
}

impl Answer {
    /// A text with exit code 0.
    pub(super) fn yes(text: impl Into<String>) -> Self {
        Self::new(text, true)
    }

    /// A text with exit code 0 for yes and 1 for no.
    pub(super) fn new(text: impl Into<String>, yes: bool) -> Self {
        Self { text: text.into(), yes, output: None, also: Vec::new(), code: None }
    }

    /// A report on something that could not be used: exit code 2.
    pub(super) fn none(text: impl Into<String>) -> Self {
        Self { code: Some(2), ..Self::new(text, false) }
    }

    /// Puts the text into a file.
    #[must_use]
    pub(super) fn to(mut self, output: Option<PathBuf>) -> Self {
        self.output = output;
        self
    }

    /// Puts further texts into files.
    #[must_use]
    pub(super) fn and(mut self, also: Vec<(PathBuf, String)>) -> Self {
        self.also.extend(also);
        self
    }

    /// Writes the texts where they belong. No file takes its name before all are written.
    pub(super) fn deliver(self) -> Result<ExitCode, Failure> {
        let mut written = Vec::new();
        for (path, text) in &self.also {
            let mut output = Output::to(Some(path))?;
            output.write_all(text.as_bytes()).map_err(|e| Failure::writing(output.path(), &e))?;
            written.push(output);
        }
        let mut output = Output::to(self.output.as_deref())?;
        output.write_all(self.text.as_bytes()).map_err(|e| Failure::writing(output.path(), &e))?;
        for also in written {
            also.finish()?;
        }
        output.finish()?;
        Ok(ExitCode::from(self.code.unwrap_or(u8::from(!self.yes))))
    }
}
