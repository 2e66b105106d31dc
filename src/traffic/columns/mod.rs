//! A recording in columns (Apache Parquet), for rehearsals that are repeated or large.
//!
//! It holds what the JSON Lines form holds, no more and no less: one becomes the other and back
//! without a byte of difference. What repeats from event to event is one text in a dictionary, so
//! that it is read once for each row group and not once for each event. Nothing here opens a file.

mod numbered;
mod read;
mod rows;
mod sums;
mod values;
mod write;

use std::sync::Arc;

use ::parquet::basic::{LogicalType, Repetition, Type as Physical};
use ::parquet::errors::ParquetError;
use ::parquet::schema::types::{Type, TypePtr};

pub use read::Columns;
pub use rows::{Row, Rows};
pub use write::ColumnWriter;

/// How a file in this form begins.
pub const MAGIC: &[u8; 4] = b"PAR1";

/// The key in the file's metadata that holds the header of the recording.
const HEADER: &str = "doorward.recording";

/// The columns, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Time,
    Door,
    Method,
    Kind,
    Name,
    /// JSON, as in a line.
    Subject,
    /// `aud` and `scopes` as JSON.
    Token,
    Iat,
    Exp,
    Nbf,
    Session,
    /// `decided` or `foreign` as JSON.
    Verdict,
    /// `absent`, `redacted`, `truncated` and `unrecorded` as JSON.
    Missing,
    /// JSON, as in a line.
    Arguments,
    Id,
    Era,
}

impl Column {
    const ALL: [Self; 16] = [
        Self::Time,
        Self::Door,
        Self::Method,
        Self::Kind,
        Self::Name,
        Self::Subject,
        Self::Token,
        Self::Iat,
        Self::Exp,
        Self::Nbf,
        Self::Session,
        Self::Verdict,
        Self::Missing,
        Self::Arguments,
        Self::Id,
        Self::Era,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Door => "door",
            Self::Method => "method",
            Self::Kind => "kind",
            Self::Name => "name",
            Self::Subject => "subject",
            Self::Token => "token",
            Self::Iat => "iat",
            Self::Exp => "exp",
            Self::Nbf => "nbf",
            Self::Session => "session",
            Self::Verdict => "verdict",
            Self::Missing => "missing",
            Self::Arguments => "arguments",
            Self::Id => "id",
            Self::Era => "era",
        }
    }

    const fn is_number(self) -> bool {
        matches!(self, Self::Time | Self::Iat | Self::Exp | Self::Nbf)
    }

    const fn is_required(self) -> bool {
        matches!(self, Self::Time | Self::Door | Self::Method)
    }

    /// Whether its values differ from event to event, so that a dictionary would not help.
    const fn is_distinct(self) -> bool {
        matches!(self, Self::Arguments | Self::Id)
    }
}

/// The schema of the file: exactly these columns.
fn schema() -> Result<TypePtr, ParquetError> {
    let fields = Column::ALL.into_iter().map(|column| {
        let physical = if column.is_number() { Physical::INT64 } else { Physical::BYTE_ARRAY };
        let repetition = if column.is_required() { Repetition::REQUIRED } else { Repetition::OPTIONAL };
        let text = (!column.is_number()).then_some(LogicalType::String);
        let field = Type::primitive_type_builder(column.name(), physical);
        field.with_repetition(repetition).with_logical_type(text).build().map(Arc::new)
    });
    let group = Type::group_type_builder("recording").with_fields(fields.collect::<Result<_, _>>()?);
    group.build().map(Arc::new)
}

#[cfg(test)]
mod tests;
