//! A recording in columns holds what its lines hold, and a damaged one is never mistaken for a sound one.

use bytes::Bytes;
use doorward::traffic::columns::{ColumnWriter, Columns};
use doorward::traffic::{Event, Everything, Field, Header, Lines, Reader, Unreadable, Writer};
use proptest::prelude::*;

use crate::recordings::event;

fn columns(events: &[Event]) -> Vec<u8> {
    let mut writer = ColumnWriter::new(Vec::new(), &Header::new("test")).unwrap();
    for event in events {
        writer.write(event).unwrap();
    }
    writer.finish().unwrap()
}

/// Rows with their numbers.
type Rows = Vec<(u64, Result<Event, Unreadable>)>;

fn read(bytes: Vec<u8>) -> Result<Rows, Unreadable> {
    let columns = Columns::open(Bytes::from(bytes))?;
    let mut lines = Lines::new(&Everything);
    let mut found = Vec::new();
    for number in 0..columns.groups() {
        let mut rows = columns.group(number)?;
        while let Some((number, line)) = rows.next(&mut lines) {
            found.push((number, line.map(doorward::traffic::Line::into_event)));
        }
    }
    Ok(found)
}

fn shipped() -> Vec<Event> {
    let text = include_bytes!("../../simulations/support-desk.jsonl");
    Reader::new(&text[..]).unwrap().map(|item| item.unwrap().event).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_become_columns_and_back_without_a_byte_of_difference(events in prop::collection::vec(event(), 0..20)) {
        let lines = |events: &[Event]| {
            let mut writer = Writer::new(Vec::new(), &Header::new("test")).unwrap();
            for event in events {
                writer.write(event).unwrap();
            }
            writer.finish().unwrap()
        };
        let bytes = columns(&events);
        prop_assert_eq!(&bytes, &columns(&events), "the same events give the same bytes");
        let back: Vec<Event> = read(bytes).unwrap().into_iter().map(|(_, event)| event.unwrap()).collect();
        prop_assert_eq!(lines(&back), lines(&events));
    }

    #[test]
    fn a_damaged_file_is_refused_or_read_and_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = columns(&shipped());
        for (at, byte) in changes {
            *at.get_mut(&mut bytes[..]) = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        // Whatever comes of it, there is an end to it.
        let _ = read(bytes);
    }
}

#[test]
fn events_keep_the_numbers_of_their_lines_over_row_groups_and_steps() {
    let shipped = shipped();
    let events: Vec<Event> = shipped.iter().cycle().take(70_000).cloned().collect();
    let bytes = columns(&events);
    assert!(bytes.len() < events.len() * 40, "{} bytes", bytes.len());
    let found = read(bytes).unwrap();
    assert_eq!(found.len(), events.len());
    for ((number, event), (line, expected)) in found.iter().zip((2u64..).zip(&events)) {
        assert_eq!((*number, event.as_ref().unwrap()), (line, expected));
    }
}

#[test]
fn texts_that_are_too_many_for_a_dictionary_are_read_behind_it() {
    let shipped = shipped();
    let mut events: Vec<Event> = shipped.iter().cycle().take(200).cloned().collect();
    for (n, event) in events.iter_mut().enumerate() {
        // Every third is the one before it once more, and every seventh has none.
        let text = (n - n % 3).to_string().repeat(40_000);
        event.session = if n % 7 == 0 { Field::Absent } else { Field::Present(text.clone()) };
        event.subject.sub = Field::Present(text);
    }
    let found = read(columns(&events)).unwrap();
    assert_eq!(found.into_iter().map(|(_, event)| event.unwrap()).collect::<Vec<_>>(), events);
}

#[test]
fn what_is_not_a_recording_in_columns_says_why() {
    let whole = columns(&shipped());
    let mut cut = whole.clone();
    cut.truncate(whole.len() / 2);
    let refused = |bytes: Vec<u8>| read(bytes).unwrap_err().code.as_str();
    assert_eq!(refused(cut), "read-failed");
    assert_eq!(refused(Vec::new()), "read-failed");
    assert_eq!(refused(b"PAR1PAR1".to_vec()), "read-failed");
    let at = whole.windows(21).position(|w| w == b"doorward.recording/v1").unwrap();
    let mut later = whole;
    later[at + 20] = b'2';
    assert_eq!(refused(later), "unknown-schema");
}
