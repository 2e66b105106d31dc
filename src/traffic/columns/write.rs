//! Events into columns. The same events give the same bytes.

use std::io::Write;
use std::sync::Arc;

use crc32fast::Hasher;

use ::parquet::basic::{Compression, Encoding};
use ::parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::types::ColumnPath;

use super::sums::{SUMS, Summed, Sums};
use super::{Column, HEADER, schema};
use crate::traffic::event::{Event, Header, SCHEMA};
use crate::traffic::wire::{self, Row};
use crate::traffic::{MAX_LINE, WriteError, line};

/// How many events one row group holds at most: what a reader takes at once.
const ROWS: usize = 1 << 16;
/// How many bytes of text.
const BYTES: usize = 64 << 20;
/// How large a dictionary may be before the rest of its row group does without, in bytes.
const DICTIONARY: usize = 4 << 20;

/// Writes events in columns.
pub struct ColumnWriter<W: Write + Send> {
    file: SerializedFileWriter<Summed<W>>,
    sums: Sums,
    numbers: [Values<i64>; 4],
    texts: [Values<ByteArray>; 12],
    rows: usize,
    bytes: usize,
}

/// The values of one column, and where there is one.
#[derive(Debug)]
struct Values<T> {
    values: Vec<T>,
    levels: Vec<i16>,
}

impl<T> Default for Values<T> {
    fn default() -> Self {
        Self { values: Vec::new(), levels: Vec::new() }
    }
}

impl<T> Values<T> {
    fn push(&mut self, value: Option<T>) {
        self.levels.push(i16::from(value.is_some()));
        self.values.extend(value);
    }

    fn clear(&mut self) {
        self.values.clear();
        self.levels.clear();
    }
}

impl<W: Write + Send> std::fmt::Debug for ColumnWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ColumnWriter").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl<W: Write + Send> ColumnWriter<W> {
    /// Writes the header. Its schema is always [`SCHEMA`], whatever `header` says.
    pub fn new(output: W, header: &Header) -> Result<Self, WriteError> {
        let header = Header { schema: SCHEMA.to_owned(), ..header.clone() };
        let header = serde_json::to_string(&header).map_err(std::io::Error::from)?;
        let sums = Sums::of(&header);
        let output = Summed { inner: output, hasher: Hasher::new() };
        let mut properties = WriterProperties::builder()
            .set_writer_version(WriterVersion::PARQUET_1_0)
            .set_created_by("doorward".to_owned())
            .set_compression(Compression::SNAPPY)
            .set_dictionary_page_size_limit(DICTIONARY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_key_value_metadata(Some(vec![KeyValue::new(HEADER.to_owned(), header)]));
        for column in Column::ALL {
            let path = ColumnPath::from(column.name());
            if column.is_distinct() {
                properties = properties.set_column_dictionary_enabled(path, false);
            } else if !column.is_number() {
                // A text that repeats is long: the least and the greatest help nobody.
                properties = properties.set_column_statistics_enabled(path, EnabledStatistics::None);
            } else if column == Column::Time {
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
        }
        let file = SerializedFileWriter::new(output, schema().map_err(failed)?, Arc::new(properties.build()));
        Ok(Self {
            file: file.map_err(failed)?,
            sums,
            numbers: Default::default(),
            texts: Default::default(),
            rows: 0,
            bytes: 0,
        })
    }

    /// Writes one event.
    pub fn write(&mut self, event: &Event) -> Result<(), WriteError> {
        let row = wire::row(event).map_err(std::io::Error::from)?;
        let bytes = row.size();
        // What the JSON Lines form could not hold is not written here either.
        if bytes > MAX_LINE / 2 {
            let bytes = line(event)?.len();
            if bytes > MAX_LINE {
                return Err(WriteError::TooLong { bytes });
            }
        }
        let Row { numbers, texts } = row;
        self.numbers.iter_mut().zip(numbers).for_each(|(column, value)| column.push(value));
        let texts = texts.map(|text| text.map(|text| ByteArray::from(text.into_bytes())));
        self.texts.iter_mut().zip(texts).for_each(|(column, value)| column.push(value));
        self.rows += 1;
        self.bytes += bytes;
        if self.rows >= ROWS || self.bytes >= BYTES {
            self.group()?;
        }
        Ok(())
    }

    /// Writes what is left and gives the destination back.
    pub fn finish(mut self) -> Result<W, WriteError> {
        if self.rows > 0 {
            self.group()?;
        }
        let sums = serde_json::to_string(&self.sums).map_err(std::io::Error::from)?;
        self.file.append_key_value_metadata(KeyValue::new(SUMS.to_owned(), sums));
        self.file.into_inner().map(|output| output.inner).map_err(failed)
    }

    /// Writes a row group.
    fn group(&mut self) -> Result<(), WriteError> {
        let mut group = self.file.next_row_group().map_err(failed)?;
        let (mut numbers, mut texts) = (self.numbers.iter_mut(), self.texts.iter_mut());
        for column in Column::ALL {
            let Some(mut writer) = group.next_column().map_err(failed)? else { break };
            if column.is_number() {
                let Some(values) = numbers.next() else { break };
                let levels = (!column.is_required()).then_some(&*values.levels);
                writer.typed::<Int64Type>().write_batch(&values.values, levels, None).map_err(failed)?;
                values.clear();
            } else {
                let Some(values) = texts.next() else { break };
                let levels = (!column.is_required()).then_some(&*values.levels);
                writer.typed::<ByteArrayType>().write_batch(&values.values, levels, None).map_err(failed)?;
                values.clear();
            }
            writer.close().map_err(failed)?;
        }
        let written = group.close().map_err(failed)?;
        // What is summed up is what has left the buffer.
        self.file.flush()?;
        let end = self.file.bytes_written() as u64;
        let hasher = std::mem::take(&mut self.file.inner_mut().hasher);
        self.sums.add(end, hasher, &written);
        (self.rows, self.bytes) = (0, 0);
        Ok(())
    }
}

fn failed(error: ParquetError) -> WriteError {
    WriteError::Io(std::io::Error::other(error))
}
