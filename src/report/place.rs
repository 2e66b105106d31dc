//! Where a span lies, counted as editors count.

use serde::Serialize;

use crate::diagnostics::{Sources, Span};

/// A stretch of one file. Lines and columns count from 1, columns count characters, and the end
/// is the first position that is no longer part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) column: u32,
    pub(super) end_line: u32,
    pub(super) end_column: u32,
}

impl<'a> Place<'a> {
    /// `None` when the span points into a text that is not there.
    pub(super) fn of(span: Span, sources: &'a Sources) -> Option<Self> {
        let source = sources.get(span.source)?;
        let (line, column) = source.line_column(span.start);
        let (end_line, end_column) = source.line_column(span.end.max(span.start));
        Some(Self { file: &source.name, line, column, end_line, end_column })
    }
}
