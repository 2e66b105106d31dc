//! Any bytes as a recording: every line is an event or an error with its place, and an event that
//! was read is written and read again as the same event.
#![no_main]

use std::io::Cursor;

use doorward::traffic;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(event) = traffic::read_event(data) {
        let line = traffic::line(&event).expect("an event can be written");
        let again = traffic::read_event(line.as_bytes()).expect("and read");
        assert_eq!(again, event);
    }
    if let Ok(reader) = traffic::Reader::new(Cursor::new(data)) {
        let lines = data.split(|byte| *byte == b'\n').count();
        assert!(reader.count() <= lines, "at most one item a line");
    }
});
