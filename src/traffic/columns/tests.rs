//! What a damaged file does behind its checksums, which anyone who means harm can make anew.

use std::sync::Arc;

use ::parquet::bloom_filter::Sbbf;
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::RowGroupMetaData;
use ::parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use ::parquet::record::reader::RowIter;
use ::parquet::schema::types::Type as SchemaType;
use bytes::Bytes;
use proptest::prelude::*;

use super::rows::Rows;
use super::*;
use crate::traffic::event::{Event, Header};
use crate::traffic::{Everything, Lines, Reader};

fn file() -> Vec<u8> {
    let text = include_bytes!("../../../simulations/support-desk.jsonl");
    let mut writer = ColumnWriter::new(Vec::new(), &Header::new("test")).unwrap();
    let events: Vec<Event> = Reader::new(&text[..]).unwrap().map(|item| item.unwrap().event).collect();
    for event in &events {
        writer.write(event).unwrap();
    }
    writer.finish().unwrap()
}

/// How many rows are read, sound or not.
fn rows(bytes: Vec<u8>) -> usize {
    let Ok(file) = SerializedFileReader::new(Bytes::from(bytes)) else { return 0 };
    let mut lines = Lines::new(&Everything);
    let mut count = 0;
    for number in 0..file.num_row_groups() {
        let Ok(group) = file.get_row_group(number) else { continue };
        let held = u64::try_from(group.metadata().num_rows()).unwrap_or(0);
        let Ok(mut rows) = Rows::open(&*group, 2, held) else { continue };
        while let Some((_, row)) = rows.next(&mut lines) {
            let _ = row.and_then(|row| row.line().map(crate::traffic::Line::into_event));
            count += 1;
        }
    }
    count
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_page_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = file();
        // The pages and not what says where they are, which `Columns::open` judges.
        let end = bytes.len() - 8;
        let footer = u32::from_le_bytes(*bytes[end..].first_chunk().unwrap()) as usize;
        for (at, byte) in changes {
            *at.get_mut(&mut bytes[..end - footer]) = byte;
        }
        // Whatever comes of it, there is an end to it.
        rows(bytes);
    }
}

/// Pages as something makes of them; it leaves out those of which it gives none.
struct Altered(Box<dyn PageReader>, Arc<dyn Fn(Page) -> Option<Page> + Send + Sync>);

impl Iterator for Altered {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Altered {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        while let Some(page) = self.0.get_next_page()? {
            if let Some(page) = (self.1)(page) {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.0.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.0.skip_next_page()
    }
}

/// A row group whose pages are so altered.
struct Group<'g>(&'g dyn RowGroupReader, Arc<dyn Fn(Page) -> Option<Page> + Send + Sync>);

impl RowGroupReader for Group<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.0.metadata()
    }

    fn num_columns(&self) -> usize {
        self.0.num_columns()
    }

    fn get_column_page_reader(&self, column: usize) -> Result<Box<dyn PageReader>, ParquetError> {
        Ok(Box::new(Altered(self.0.get_column_page_reader(column)?, Arc::clone(&self.1))))
    }

    fn get_column_bloom_filter(&self, column: usize) -> Option<&Sbbf> {
        self.0.get_column_bloom_filter(column)
    }

    fn get_row_iter(&self, projection: Option<SchemaType>) -> Result<RowIter<'_>, ParquetError> {
        self.0.get_row_iter(projection)
    }
}

/// The library asserts that the length of each value is there, and does not look.
#[test]
fn a_page_that_ends_within_the_length_of_a_value_is_damage() {
    let file = SerializedFileReader::new(Bytes::from(file())).unwrap();
    let group = file.get_row_group(0).unwrap();
    for cut in 1..40 {
        let shortened = Group(
            &*group,
            Arc::new(move |page| {
                let Page::DictionaryPage { buf, num_values, encoding, is_sorted } = page else { return Some(page) };
                let buf = buf.slice(..buf.len().saturating_sub(cut));
                Some(Page::DictionaryPage { buf, num_values, encoding, is_sorted })
            }),
        );
        let mut rows = Rows::open(&shortened, 2, 1).unwrap();
        let line = rows.next(&mut Lines::new(&Everything)).unwrap().1.map(|_| ());
        assert!(line.unwrap_err().to_string().contains("damaged"), "{cut}");
        assert!(rows.next(&mut Lines::new(&Everything)).is_none());
    }
}

#[test]
fn numbers_without_a_dictionary_are_refused() {
    let file = SerializedFileReader::new(Bytes::from(file())).unwrap();
    let group = file.get_row_group(0).unwrap();
    let pages = group.get_column_page_reader(Column::Door as usize).unwrap();
    let without = Altered(pages, Arc::new(|page| (!page.is_dictionary_page()).then_some(page)));
    let mut ordered = values::Ordered::new(Box::new(without));
    assert!(ordered.get_next_page().unwrap_err().to_string().contains("a dictionary that is not there"));
}
