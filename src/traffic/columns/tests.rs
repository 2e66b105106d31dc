//! What a damaged file does behind its checksums, which anyone who means harm can make anew.

use ::parquet::column::page::{Page, PageReader};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use bytes::Bytes;
use proptest::prelude::*;

use super::read::Rows;
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
        while let Some((_, line)) = rows.next(&mut lines) {
            let _ = line.map(crate::traffic::Line::into_event);
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

#[test]
fn a_length_that_no_page_holds_is_damage() {
    // Where a value is as long as this says, the next length lies behind the end of its page.
    let bytes = file();
    for at in (0..bytes.len()).rev().take(bytes.len() / 2).filter(|at| bytes[*at] == 0) {
        let mut bytes = bytes.clone();
        bytes[at] = 117;
        rows(bytes);
    }
}

#[test]
fn numbers_without_a_dictionary_are_refused() {
    struct Pages(Box<dyn PageReader>);
    impl Iterator for Pages {
        type Item = Result<Page, ParquetError>;
        fn next(&mut self) -> Option<Self::Item> {
            self.get_next_page().transpose()
        }
    }
    impl PageReader for Pages {
        fn get_next_page(&mut self) -> Result<Option<Page>, ParquetError> {
            let page = self.0.get_next_page()?;
            if matches!(page, Some(Page::DictionaryPage { .. })) { self.0.get_next_page() } else { Ok(page) }
        }
        fn peek_next_page(&mut self) -> Result<Option<::parquet::column::page::PageMetadata>, ParquetError> {
            self.0.peek_next_page()
        }
        fn skip_next_page(&mut self) -> Result<(), ParquetError> {
            self.0.skip_next_page()
        }
    }
    let file = SerializedFileReader::new(Bytes::from(file())).unwrap();
    let group = file.get_row_group(0).unwrap();
    let pages = group.get_column_page_reader(Column::Door as usize).unwrap();
    let mut ordered = values::Ordered::new(Box::new(Pages(pages)));
    assert!(ordered.get_next_page().unwrap_err().to_string().contains("a dictionary that is not there"));
}
