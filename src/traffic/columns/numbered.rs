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
use ::parquet::data_type::{ByteArray, ByteArrayType, DataType as _, Int32Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::RowGroupReader;
use ::parquet::schema::types::{ColumnDescPtr, ColumnDescriptor, Type};

use super::Column;
use super::values::{Values, broken, text};

/// A column of texts as numbers.
pub(super) struct Numbered {
    column: Values<Int32Type>,
    /// The texts of the pages that have been read, in the order of their numbers.
    read: Receiver<ByteArray>,
    /// Those so far; nothing for what is not UTF-8.
    texts: Vec<Option<Box<str>>>,
    /// What each was read as, and first what a row without one is.
    known: Vec<Option<u32>>,
}

/// The number of a row's text. None where the row has none.
pub(super) type Number = Option<u32>;

impl Numbered {
    pub(super) fn open(group: &dyn RowGroupReader, column: Column) -> Result<Self, ParquetError> {
        let (send, read) = channel();
        let levels = i16::from(!column.is_required());
        let pages = group.get_column_page_reader(column as usize)?;
        let [texts, entries, numbers] =
            [(Physical::BYTE_ARRAY, levels), (Physical::BYTE_ARRAY, 0), (Physical::INT32, levels)]
                .map(|(physical, levels)| descriptor(column, physical, levels));
        let pages = Numbering { pages, send, next: 0, texts: texts?, entries: entries? };
        let reader = Int32Type::get_column_reader(get_column_reader(numbers?, Box::new(pages)));
        let reader = reader.ok_or_else(|| broken("a column is of another type"))?;
        let column = Values::new(reader, !column.is_required());
        Ok(Self { column, read, texts: Vec::new(), known: Vec::new() })
    }

    pub(super) fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.column.fill(rows)?;
        let texts = self.read.try_iter().map(|value| text(&value).ok().map(Into::into));
        self.texts.extend(texts);
        Ok(())
    }

    /// The number of the row's text.
    pub(super) fn step(&mut self, row: usize) -> Number {
        self.column.pick(row).and_then(|number| u32::try_from(*number).ok())
    }

    /// The text of a number.
    pub(super) fn text(&self, number: Number) -> Result<Option<&str>, String> {
        let text = |number| self.texts.get(number as usize).and_then(Option::as_deref);
        number.map(|number| text(number).ok_or_else(|| "a value is not UTF-8 text".to_owned())).transpose()
    }

    /// What a text is known as. `make` finds it out, once for each text until [`Numbered::forget`].
    pub(super) fn known(
        &mut self,
        number: Number,
        make: impl FnOnce(Option<&str>) -> Result<u32, String>,
    ) -> Result<u32, String> {
        let at = number.map_or(0, |number| number as usize + 1);
        if let Some(known) = self.known.get(at).copied().flatten() {
            return Ok(known);
        }
        let known = make(self.text(number)?)?;
        if self.known.len() <= at {
            self.known.resize(self.texts.len().max(at) + 1, None);
        }
        self.known.get_mut(at).into_iter().for_each(|slot| *slot = Some(known));
        Ok(known)
    }

    pub(super) fn forget(&mut self) {
        self.known.clear();
    }
}

fn descriptor(column: Column, physical: Physical, levels: i16) -> Result<ColumnDescPtr, ParquetError> {
    let repetition = if levels == 0 { Repetition::REQUIRED } else { Repetition::OPTIONAL };
    let leaf = Type::primitive_type_builder(column.name(), physical).with_repetition(repetition).build()?;
    Ok(Arc::new(ColumnDescriptor::new(Arc::new(leaf), levels, 0, column.name().into())))
}

/// Pages with numbers where the file's hold texts. It sends the texts ahead, in the order of their numbers.
struct Numbering {
    pages: Box<dyn PageReader>,
    send: Sender<ByteArray>,
    next: i32,
    /// The column as it is in the file, and as a dictionary is.
    texts: ColumnDescPtr,
    entries: ColumnDescPtr,
}

impl Numbering {
    fn numbered(&mut self, page: Page) -> Result<Page, ParquetError> {
        match page {
            // The rows of such a page are numbers already.
            Page::DataPage { encoding: Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, .. }
            | Page::DataPageV2 { encoding: Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, .. } => Ok(page),
            Page::DictionaryPage { buf, num_values, .. } => {
                if self.next > 0 {
                    return Err(broken("a dictionary behind its column"));
                }
                let (def_level_encoding, rep_level_encoding) = (Encoding::RLE, Encoding::RLE);
                let (encoding, statistics) = (Encoding::PLAIN, None);
                let entries =
                    Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics };
                let entries = read(&self.entries, entries)?;
                let buf = self.number(entries)?.into();
                Ok(Page::DictionaryPage { buf, num_values, encoding, is_sorted: false })
            }
            Page::DataPage { ref buf, num_values, def_level_encoding, rep_level_encoding, .. } => {
                let levels = match (self.texts.max_def_level(), buf.get(..4)) {
                    (0, _) => 0,
                    (_, Some(&[a, b, c, d])) if def_level_encoding == Encoding::RLE => {
                        (u32::from_le_bytes([a, b, c, d]) as usize).saturating_add(4)
                    }
                    _ => return Err(broken("the levels of a page cannot be told")),
                };
                let (encoding, statistics, buf) = (Encoding::PLAIN, None, self.behind(page, levels)?.into());
                Ok(Page::DataPage { buf, num_values, encoding, def_level_encoding, rep_level_encoding, statistics })
            }
            Page::DataPageV2 {
                num_values,
                num_nulls,
                num_rows,
                def_levels_byte_len,
                rep_levels_byte_len,
                is_compressed,
                ..
            } => {
                let levels = (def_levels_byte_len as usize).saturating_add(rep_levels_byte_len as usize);
                Ok(Page::DataPageV2 {
                    buf: self.behind(page, levels)?.into(),
                    num_values,
                    encoding: Encoding::PLAIN,
                    num_nulls,
                    num_rows,
                    def_levels_byte_len,
                    rep_levels_byte_len,
                    is_compressed,
                    statistics: None,
                })
            }
        }
    }

    /// A page of texts with their numbers behind its levels.
    fn behind(&mut self, page: Page, levels: usize) -> Result<Vec<u8>, ParquetError> {
        let mut all = page.buffer().get(..levels).ok_or_else(|| broken("a page ends in its levels"))?.to_vec();
        let texts = read(&self.texts, page)?;
        all.append(&mut self.number(texts)?);
        Ok(all)
    }

    /// Numbers texts: their numbers as a page holds them.
    fn number(&mut self, texts: Vec<ByteArray>) -> Result<Vec<u8>, ParquetError> {
        let mut numbers = Vec::with_capacity(4 * texts.len());
        for text in texts {
            numbers.extend_from_slice(&self.next.to_le_bytes());
            self.next = self.next.checked_add(1).ok_or_else(|| broken("a column has too many values"))?;
            // Nobody waits for it where the column is given up.
            let _ = self.send.send(text);
        }
        Ok(numbers)
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

/// The texts of one page.
fn read(column: &ColumnDescPtr, page: Page) -> Result<Vec<ByteArray>, ParquetError> {
    let count = page.num_values() as usize;
    let reader = get_column_reader(Arc::clone(column), Box::new(One(Some(page))));
    let mut reader = ByteArrayType::get_column_reader(reader).ok_or_else(|| broken("a column is of another type"))?;
    let (mut texts, mut levels) = (Vec::new(), Vec::new());
    let (rows, _, _) = reader.read_records(count, Some(&mut levels), None, &mut texts)?;
    if rows == count { Ok(texts) } else { Err(broken("a page ends before its values do")) }
}

/// The only page of a column.
struct One(Option<Page>);

impl PageReader for One {
    fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
        Ok(self.0.take())
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>, ParquetError> {
        Ok(None)
    }

    fn skip_next_page(&mut self) -> Result<(), ParquetError> {
        self.0 = None;
        Ok(())
    }
}

impl Iterator for One {
    type Item = Result<Page, ParquetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}
