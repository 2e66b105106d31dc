//! Columns of texts that repeat, read as numbers.
//!
//! A dictionary holds each text once, and a row holds its number. The library would put the texts in
//! again; here it is handed pages that hold numbers where the file's hold texts, so that a row stays a
//! number and each text is looked at once for each row group.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use ::parquet::basic::{Encoding, Repetition, Type as Physical};
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::column::reader::get_column_reader;
use ::parquet::data_type::{DataType as _, Int32Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::RowGroupReader;
use ::parquet::schema::types::{ColumnDescriptor, Type};

use super::Column;
use super::values::{Ordered, Values, broken};

/// A column of texts as numbers.
pub(super) struct Numbered {
    column: Values<Int32Type>,
    /// The texts of the pages that have been read, in the order of their numbers; nothing for what is
    /// not UTF-8.
    read: Receiver<Option<Box<str>>>,
    texts: Vec<Option<Box<str>>>,
    /// Of each of the rows at hand.
    rows: Vec<Number>,
    /// What each text was read as, and first what a row without one is.
    known: Vec<u32>,
}

/// One more than the number of a row's text. 0 where the row has none.
pub(super) type Number = u32;

/// What a text is known as that was not read yet.
const UNKNOWN: u32 = u32::MAX;

impl Numbered {
    pub(super) fn open(group: &dyn RowGroupReader, column: Column) -> Result<Self, ParquetError> {
        let (send, read) = channel();
        let (name, optional) = (column.name(), !column.is_required());
        let repetition = if optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let leaf = Type::primitive_type_builder(name, Physical::INT32).with_repetition(repetition).build()?;
        let numbers = ColumnDescriptor::new(Arc::new(leaf), i16::from(optional), 0, name.into());
        let pages = Ordered::new(group.get_column_page_reader(column as usize)?);
        let pages = Numbering { pages, send, next: 0, optional };
        let reader = Int32Type::get_column_reader(get_column_reader(Arc::new(numbers), Box::new(pages)));
        let reader = reader.ok_or_else(|| broken("a column is of another type"))?;
        Ok(Self { column: Values::new(reader, optional), read, texts: Vec::new(), rows: Vec::new(), known: Vec::new() })
    }

    pub(super) fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.column.fill(rows)?;
        self.texts.extend(self.read.try_iter());
        self.rows.clear();
        // None is negative, or the highest: the pages count from 0 and end before.
        self.column
            .spread(|number| number.map_or(0, |number| number.cast_unsigned().saturating_add(1)), &mut self.rows);
        Ok(())
    }

    /// The number of the row's text.
    pub(super) fn at(&self, row: usize) -> Number {
        self.rows.get(row).copied().unwrap_or(0)
    }

    /// The text of a number.
    pub(super) fn text(&self, number: Number) -> Result<Option<&str>, String> {
        let Some(at) = number.checked_sub(1) else { return Ok(None) };
        let text = self.texts.get(at as usize).and_then(Option::as_deref);
        text.map(Some).ok_or_else(|| "a value is not UTF-8 text".to_owned())
    }

    /// What a text is known as. `make` finds it out, once for each text until [`Numbered::forget`].
    pub(super) fn known(
        &mut self,
        number: Number,
        make: impl FnOnce(Option<&str>) -> Result<u32, String>,
    ) -> Result<u32, String> {
        let at = number as usize;
        if let Some(known) = self.known.get(at).copied().filter(|known| *known != UNKNOWN) {
            return Ok(known);
        }
        let known = make(self.text(number)?)?;
        if self.known.len() <= at {
            self.known.resize(self.texts.len().max(at) + 1, UNKNOWN);
        }
        self.known.get_mut(at).into_iter().for_each(|slot| *slot = known);
        Ok(known)
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

/// Pages with numbers where the file's hold texts. It sends the texts ahead, in the order of their numbers.
struct Numbering {
    pages: Ordered,
    send: Sender<Option<Box<str>>>,
    next: i32,
    /// Whether a page begins with which of its rows have a value.
    optional: bool,
}

impl Numbering {
    fn numbered(&mut self, page: Page) -> Result<Page, ParquetError> {
        let (encoding, statistics) = (Encoding::PLAIN, None);
        match page {
            Page::DictionaryPage { buf, num_values, .. } => {
                let numbers = self.number(&buf)?;
                if self.next.cast_unsigned() != num_values || numbers.len() != 4 * num_values as usize {
                    return Err(broken("a dictionary holds another number of values than it says"));
                }
                Ok(Page::DictionaryPage { buf: numbers.into(), num_values, encoding, is_sorted: false })
            }
            // Its rows are numbers already.
            Page::DataPage { encoding: Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, .. } => Ok(page),
            // Behind a dictionary that became too large, texts follow.
            Page::DataPage {
                buf,
                num_values,
                encoding: Encoding::PLAIN,
                def_level_encoding,
                rep_level_encoding,
                ..
            } => {
                let levels = match buf.first_chunk() {
                    _ if !self.optional => Some(0),
                    Some(length) if def_level_encoding == Encoding::RLE => {
                        (u32::from_le_bytes(*length) as usize).checked_add(4)
                    }
                    _ => None,
                };
                let parts = levels.and_then(|levels| buf.split_at_checked(levels));
                let (levels, texts) = parts.ok_or_else(|| broken("the levels of a page run over its end"))?;
                let buf = [levels, &self.number(texts)?].concat().into();
                Ok(Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics })
            }
            Page::DataPage { encoding, .. } | Page::DataPageV2 { encoding, .. } => {
                Err(broken(&format!("a column of texts has a page in {encoding}, which is not read")))
            }
        }
    }

    /// Numbers the texts of a page: their numbers, as a page holds them.
    fn number(&mut self, mut texts: &[u8]) -> Result<Vec<u8>, ParquetError> {
        let mut numbers = Vec::new();
        while let Some((length, rest)) = texts.split_first_chunk() {
            let parts = rest.split_at_checked(u32::from_le_bytes(*length) as usize);
            let (text, rest) = parts.ok_or_else(|| broken("a text runs over the end of its page"))?;
            // Nobody waits for it where the column is given up.
            let _ = self.send.send(std::str::from_utf8(text).ok().map(Into::into));
            numbers.extend_from_slice(&self.next.to_le_bytes());
            self.next = self.next.checked_add(1).ok_or_else(|| broken("a column has too many values"))?;
            texts = rest;
        }
        if texts.is_empty() { Ok(numbers) } else { Err(broken("a page ends in the length of a text")) }
    }
}

impl PageReader for Numbering {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        self.pages.get_next_page()?.map(|page| self.numbered(page)).transpose()
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.pages.skip_next_page()
    }
}

impl Iterator for Numbering {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
