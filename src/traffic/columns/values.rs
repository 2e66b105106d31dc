//! The values of one column, some rows at a time.

use ::parquet::basic::Encoding;
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::column::reader::{ColumnReaderImpl, get_column_reader};
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::RowGroupReader;

use super::Column;
use crate::model::Timestamp;

pub(super) fn broken(message: &str) -> ParquetError {
    ParquetError::General(message.to_owned())
}

/// Takes a column some rows at a time.
pub(super) struct Values<T: DataType> {
    reader: ColumnReaderImpl<T>,
    held: Vec<T::T>,
    levels: Vec<i16>,
    optional: bool,
}

impl<T: DataType> Values<T> {
    pub(super) const fn new(reader: ColumnReaderImpl<T>, optional: bool) -> Self {
        Self { reader, held: Vec::new(), levels: Vec::new(), optional }
    }

    /// Takes the next rows.
    pub(super) fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.held.clear();
        self.levels.clear();
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

    /// Adds to `rows` what `make` makes of the value of each of these rows.
    pub(super) fn spread<'a, U: 'a>(&'a self, mut make: impl FnMut(Option<&'a T::T>) -> U, rows: &mut Vec<U>) {
        if !self.optional {
            return rows.extend(self.held.iter().map(|value| make(Some(value))));
        }
        let mut held = self.held.iter();
        rows.extend(self.levels.iter().map(|level| make(if *level > 0 { held.next() } else { None })));
    }
}

/// A column of instants, row by row.
pub(super) struct Times {
    column: Values<Int64Type>,
    rows: Vec<Option<Timestamp>>,
}

impl Times {
    pub(super) fn open(group: &dyn RowGroupReader, column: Column) -> Result<Self, ParquetError> {
        Ok(Self { column: open(group, column)?, rows: Vec::new() })
    }

    pub(super) fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.column.fill(rows)?;
        self.rows.clear();
        self.column.spread(|time| time.copied().map(Timestamp), &mut self.rows);
        Ok(())
    }

    /// The instant of a row.
    pub(super) fn at(&self, row: usize) -> Option<Timestamp> {
        self.rows.get(row).copied().flatten()
    }
}

/// A column of texts that hardly repeat, row by row.
pub(super) struct Texts {
    column: Values<ByteArrayType>,
    /// One more than the place of a row's text; 0 where it has none.
    rows: Vec<u32>,
}

impl Texts {
    pub(super) fn open(group: &dyn RowGroupReader, column: Column) -> Result<Self, ParquetError> {
        Ok(Self { column: open(group, column)?, rows: Vec::new() })
    }

    pub(super) fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.column.fill(rows)?;
        self.rows.clear();
        let mut place = 0;
        self.column.spread(
            |text| {
                place += u32::from(text.is_some());
                if text.is_some() { place } else { 0 }
            },
            &mut self.rows,
        );
        Ok(())
    }

    /// The text of a row.
    pub(super) fn at(&self, row: usize) -> Result<Option<&str>, String> {
        let place = self.rows.get(row).and_then(|place| place.checked_sub(1));
        let text = place.and_then(|place| self.column.held.get(place as usize));
        text.map(ByteArray::as_utf8).transpose().map_err(|_| "a value is not UTF-8 text".to_owned())
    }
}

fn open<T: DataType>(group: &dyn RowGroupReader, column: Column) -> Result<Values<T>, ParquetError> {
    let pages = Ordered::new(group.get_column_page_reader(column as usize)?);
    let reader = get_column_reader(group.metadata().column(column as usize).column_descr_ptr(), Box::new(pages));
    let reader = T::get_column_reader(reader).ok_or_else(|| broken("a column is of another type"))?;
    Ok(Values::new(reader, !column.is_required()))
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
