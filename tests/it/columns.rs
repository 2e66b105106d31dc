//! A recording in columns holds what its lines hold, and a damaged one is never mistaken for a sound one.

use bytes::Bytes;
use doorward::traffic::columns::{ColumnWriter, Columns};
use doorward::traffic::{Event, Everything, Field, Header, Line, Lines, Reader, Unreadable, Writer};
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
        while let Some((number, row)) = rows.next(&mut lines) {
            found.push((number, row.and_then(|row| row.line().map(Line::into_event))));
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

/// The rows of a file that may be damaged; `None` when it is refused, whole or in part.
fn whole(bytes: Vec<u8>) -> Option<Vec<(u64, Event)>> {
    read(bytes).ok()?.into_iter().map(|(number, event)| Some((number, event.ok()?))).collect()
}

#[test]
fn a_flipped_bit_gives_the_very_same_rows_or_none() {
    let sound = columns(&shipped());
    let rows = whole(sound.clone()).unwrap();
    let (mut same, mut refused) = (0, 0);
    // One bit of each byte, and each bit of some bytes.
    let bits = (0..sound.len()).flat_map(|at| {
        let all = at % 13 == 0;
        (0..8).filter(move |bit| all || at * 5 % 8 == *bit).map(move |bit| (at, bit))
    });
    for (at, bit) in bits {
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << bit;
        match whole(bytes) {
            None => refused += 1,
            Some(found) => {
                assert_eq!(found, rows, "bit {bit} of byte {at}");
                same += 1;
            }
        }
    }
    // Nothing but the metadata holds what no row depends on, such as who wrote the file.
    assert!(refused > same, "{refused} refused, {same} read alike");
}

#[test]
fn a_cut_file_is_refused() {
    let sound = columns(&shipped());
    for length in 0..sound.len() {
        assert!(whole(sound[..length].to_vec()).is_none(), "{length} of {} bytes", sound.len());
    }
}

#[test]
fn a_row_group_that_takes_the_place_of_another_is_refused() {
    // Two files of the same shape, of which one lends its bytes to the other.
    let other: Vec<Event> = shipped()
        .into_iter()
        .map(|mut event| {
            event.subject.sub = Field::Present("eva".to_owned());
            event
        })
        .collect();
    let mut ana = shipped();
    for event in &mut ana {
        event.subject.sub = Field::Present("ana".to_owned());
    }
    let (mut one, two) = (columns(&ana), columns(&other));
    assert_eq!(one.len(), two.len());
    let footer = u32::from_le_bytes(one[one.len() - 8..one.len() - 4].try_into().unwrap()) as usize;
    let data = one.len() - 8 - footer;
    one[..data].copy_from_slice(&two[..data]);
    assert_eq!(read(one).unwrap_err().code.as_str(), "read-failed");
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
