//! A file in columns, and the row groups in it.
//!
//! A file is not trusted: its shape is checked before anything is read, and what is wrong is an
//! [`Unreadable`] and never a panic.

use std::sync::Arc;

use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use ::parquet::file::properties::ReaderProperties;
use ::parquet::file::reader::ChunkReader;
use ::parquet::file::serialized_reader::SerializedRowGroupReader;

use super::rows::Rows;
use super::sums::{SUMS, Sums};
use super::{Column, HEADER, schema};
use crate::traffic::event::{Header, SCHEMA};
use crate::traffic::reader::{Unreadable, UnreadableCode};

/// The most bytes of one column in one row group, unpacked.
const MAX_COLUMN: i64 = 1 << 30;
/// The first event has the number that it has in the JSON Lines form, where the header is line 1.
const FIRST: u64 = 2;

/// A recording in columns.
pub struct Columns<R: ChunkReader> {
    input: R,
    metadata: ParquetMetaData,
    sums: Sums,
    header: Header,
    /// The number of the first event of each row group.
    starts: Vec<u64>,
}

impl<R: ChunkReader> std::fmt::Debug for Columns<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columns").field("groups", &self.starts.len()).finish_non_exhaustive()
    }
}

impl<R: ChunkReader + 'static> Columns<R> {
    /// Opens a recording.
    ///
    /// # Errors
    ///
    /// When it is not one in this form, or of another version.
    pub fn open(input: R) -> Result<Self, Unreadable> {
        let length = input.len();
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&input).map_err(|e| damaged(1, &e))?;
        let fail = |code, message: String| Err(Unreadable::new(1, code, message));
        let written = |key: &str| {
            let pairs = metadata.file_metadata().key_value_metadata().into_iter().flatten();
            pairs.filter(|pair| pair.key == key).find_map(|pair| pair.value.as_deref())
        };
        let Some(text) = written(HEADER) else {
            return fail(UnreadableCode::NoHeader, format!("it is a Parquet file without `{HEADER}` in its metadata"));
        };
        let header: Header = match serde_json::from_str(text) {
            Ok(header) => header,
            Err(error) => return fail(UnreadableCode::NoHeader, format!("the header cannot be read: {error}")),
        };
        let expected = schema().map_err(|e| damaged(1, &e))?;
        if header.schema != SCHEMA {
            let message = format!("`{}` is not `{SCHEMA}`, which this build reads", header.schema);
            return fail(UnreadableCode::UnknownSchema, message);
        }
        if *metadata.file_metadata().schema() != *expected {
            return fail(UnreadableCode::UnknownSchema, format!("its columns are not those of `{SCHEMA}`"));
        }
        let sums = written(SUMS).and_then(|sums| serde_json::from_str::<Sums>(sums).ok());
        let Some(sums) = sums.filter(|sums| sums.fit(text, metadata.num_row_groups())) else {
            return fail(
                UnreadableCode::ReadFailed,
                format!("the checksums under `{SUMS}` are not there or do not fit"),
            );
        };
        let (mut starts, mut next) = (Vec::new(), FIRST);
        for group in metadata.row_groups() {
            starts.push(next);
            let rows = u64::try_from(group.num_rows()).ok();
            let sound = group.columns().iter().all(|column| {
                let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
                let end = start.checked_add(column.compressed_size());
                let inside = end.and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end <= length);
                start >= 4 && column.compressed_size() >= 0 && inside && column.uncompressed_size() <= MAX_COLUMN
            });
            match rows.and_then(|rows| next.checked_add(rows)) {
                Some(after) if sound && group.columns().len() == Column::ALL.len() => next = after,
                _ => return fail(UnreadableCode::ReadFailed, "its row groups do not fit the file".to_owned()),
            }
        }
        Ok(Self { input, metadata, sums, header, starts })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many row groups there are. Each can be read on its own.
    pub fn groups(&self) -> usize {
        self.starts.len()
    }

    /// How many events a row group holds, and how many bytes of the file it takes.
    pub fn size(&self, number: usize) -> (u64, u64) {
        let of = |size: i64| u64::try_from(size).unwrap_or(0);
        let group = self.metadata.row_groups().get(number);
        group.map_or((0, 0), |group| (of(group.num_rows()), of(group.compressed_size())))
    }

    /// Opens a row group.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn group(&self, number: usize) -> Result<Rows, Unreadable> {
        let first = self.starts.get(number).copied().unwrap_or(FIRST);
        let Some(group) = self.metadata.row_groups().get(number) else {
            return Err(Unreadable::new(first, UnreadableCode::ReadFailed, "there is no such row group"));
        };
        let rows = group.num_rows();
        let held = self.sums.held(number, group, &self.input).map_err(|e| damaged(first, &e))?;
        let (index, properties) = (self.metadata.page_index_for_row_group(number), ReaderProperties::builder().build());
        let group = SerializedRowGroupReader::new(Arc::new(held), group, index, Arc::new(properties));
        let group = group.map_err(|e| damaged(first, &e))?;
        Rows::open(&group, first, u64::try_from(rows).unwrap_or(0)).map_err(|e| damaged(first, &e))
    }
}

pub(super) fn damaged(place: u64, error: &ParquetError) -> Unreadable {
    let text: String = error.to_string().chars().take(200).collect();
    Unreadable::new(place, UnreadableCode::ReadFailed, format!("the Parquet file is damaged: {text}"))
}
