//! Checksums over a recording in columns, so that damage never passes for other events.
//!
//! One covers each row group: all of its bytes, and where the metadata says that its columns lie. One
//! covers the header. They stand in the file's metadata. They find damage, not malice.

use std::io::{self, Write};

use bytes::Bytes;
use crc32fast::Hasher;
use serde::{Deserialize, Serialize};

use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::RowGroupMetaData;
use ::parquet::file::reader::{ChunkReader, Length};

/// The key in the file's metadata that holds the checksums.
pub(super) const SUMS: &str = "doorward.checksums";

/// The most bytes of a file that one row group may take.
const MAX_GROUP: u64 = 256 << 20;

/// The checksums of a file (CRC-32).
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sums {
    header: u32,
    groups: Vec<Sum>,
}

/// That of one row group, and where its bytes end. They begin where those before them end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sum {
    end: u64,
    crc32: u32,
}

impl Sums {
    /// Those of a file with this header and no row group yet.
    pub(super) fn of(header: &str) -> Self {
        Self { header: crc32fast::hash(header.as_bytes()), groups: Vec::new() }
    }

    /// Adds a row group that was written up to `end`.
    pub(super) fn add(&mut self, end: u64, bytes: Hasher, group: &RowGroupMetaData) {
        self.groups.push(Sum { end, crc32: with_shape(bytes, group) });
    }

    /// Whether they are of a file with this header and so many row groups.
    pub(super) fn fit(&self, header: &str, groups: usize) -> bool {
        self.header == crc32fast::hash(header.as_bytes()) && self.groups.len() == groups
    }

    /// The bytes of a row group, if they and what the metadata says of them are as they were written.
    pub(super) fn held(&self, number: usize, group: &RowGroupMetaData, input: &impl ChunkReader) -> Result<Held> {
        let end = |number: usize| self.groups.get(number).map(|sum| sum.end);
        let (Some(sum), Some(start)) = (self.groups.get(number), number.checked_sub(1).map_or(Some(0), end)) else {
            return Err(fault("a row group has no checksum"));
        };
        let length = sum.end.checked_sub(start).filter(|length| *length <= MAX_GROUP && sum.end <= input.len());
        let length = length.and_then(|length| usize::try_from(length).ok());
        let bytes = input.get_bytes(start, length.ok_or_else(|| fault("a row group does not fit the file"))?)?;
        let mut hasher = Hasher::new();
        hasher.update(&bytes);
        if with_shape(hasher, group) != sum.crc32 {
            return Err(fault("a row group is not as it was written"));
        }
        Ok(Held { start, bytes })
    }
}

/// What is also covered of a row group: how many rows it has, and where and how each column lies.
fn with_shape(mut hasher: Hasher, group: &RowGroupMetaData) -> u32 {
    let mut number = |number: i64| hasher.update(&number.to_le_bytes());
    number(group.num_rows());
    for column in group.columns() {
        number(column.dictionary_page_offset().unwrap_or(-1));
        number(column.data_page_offset());
        number(column.compressed_size());
        number(column.uncompressed_size());
        number(column.num_values());
    }
    for column in group.columns() {
        hasher.update(format!("{:?}", column.compression()).as_bytes());
    }
    hasher.finalize()
}

/// The bytes of one row group, in their place in the file.
#[derive(Debug)]
pub(super) struct Held {
    start: u64,
    bytes: Bytes,
}

impl Held {
    fn range(&self, start: u64, length: usize) -> Option<std::ops::Range<usize>> {
        let from = usize::try_from(start.checked_sub(self.start)?).ok()?;
        let end = from.checked_add(length)?;
        (end <= self.bytes.len()).then_some(from..end)
    }
}

impl Length for Held {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Held {
    type T = io::Cursor<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        let behind = self.range(start, 0).map(|range| self.bytes.slice(range.start..));
        behind.map(io::Cursor::new).ok_or_else(outside)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.range(start, length).map(|range| self.bytes.slice(range)).ok_or_else(outside)
    }
}

fn fault(message: &str) -> ParquetError {
    ParquetError::General(message.to_owned())
}

fn outside() -> ParquetError {
    fault("a column lies outside its row group")
}

/// Sums what is written.
pub(super) struct Summed<W> {
    pub(super) inner: W,
    pub(super) hasher: Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
