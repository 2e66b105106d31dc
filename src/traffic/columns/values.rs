//! The values of one column, some rows at a time.

use ::parquet::basic::Encoding;
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::column::reader::ColumnReaderImpl;
use ::parquet::data_type::{ByteArray, DataType};
use ::parquet::errors::ParquetError;

pub(super) fn broken(message: &str) -> ParquetError {
    ParquetError::General(message.to_owned())
}

pub(super) fn text(value: &ByteArray) -> Result<&str, String> {
    value.as_utf8().map_err(|_| "a value is not UTF-8 text".to_owned())
}

/// Takes a column row by row.
pub(super) struct Values<T: DataType> {
    reader: ColumnReaderImpl<T>,
    held: Vec<T::T>,
    levels: Vec<i16>,
    optional: bool,
    next: usize,
}

impl<T: DataType> Values<T> {
    pub(super) const fn new(reader: ColumnReaderImpl<T>, optional: bool) -> Self {
        Self { reader, held: Vec::new(), levels: Vec::new(), optional, next: 0 }
    }

    /// Takes the next rows.
    pub(super) fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.held.clear();
        self.levels.clear();
        self.next = 0;
        let levels = self.optional.then_some(&mut self.levels);
        let (mut got, mut values) = (0, 0);
        // One call ends with a page.
        let mut levels = levels;
        while got < rows {
            let (records, more, _) =
                self.reader.read_records(rows - got, levels.as_deref_mut(), None, &mut self.held)?;
            if records == 0 {
                return Err(broken("a column ends before the others"));
            }
            got += records;
            values += more;
        }
        let there = self.levels.iter().filter(|level| **level > 0).count();
        let expected = if self.optional { there } else { rows };
        if values != expected || self.held.len() != expected || (self.optional && self.levels.len() != rows) {
            return Err(broken("a column has another number of values than rows"));
        }
        Ok(())
    }

    /// The place of the value of the row, which comes behind that of the row before.
    pub(super) fn step(&mut self, row: usize) -> Option<usize> {
        if self.optional && self.levels.get(row).is_none_or(|level| *level == 0) {
            return None;
        }
        self.next += 1;
        Some(self.next - 1)
    }

    /// The value of the row.
    pub(super) fn pick(&mut self, row: usize) -> Option<&T::T> {
        let at = self.step(row);
        self.get(at)
    }

    pub(super) fn get(&self, at: Option<usize>) -> Option<&T::T> {
        self.held.get(at?)
    }
}

/// Pages in which no number comes before the dictionary that it belongs to: the library takes that for
/// granted.
pub(super) struct Ordered {
    pages: Box<dyn PageReader>,
    dictionary: bool,
}

impl Ordered {
    pub(super) const fn new(pages: Box<dyn PageReader>) -> Self {
        Self { pages, dictionary: false }
    }
}

impl PageReader for Ordered {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        let page = self.pages.get_next_page()?;
        match &page {
            Some(Page::DictionaryPage { .. }) => self.dictionary = true,
            Some(Page::DataPage { encoding, .. } | Page::DataPageV2 { encoding, .. })
                if matches!(encoding, Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY) && !self.dictionary =>
            {
                return Err(broken("a page has numbers of a dictionary that is not there"));
            }
            _ => {}
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.pages.skip_next_page()
    }
}

impl Iterator for Ordered {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
