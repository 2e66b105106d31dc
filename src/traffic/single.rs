//! One event, or the arguments of one call, outside a recording.
//!
//! Read with the same strictness as a line of a recording; never more leniently.

use serde_json::{Map, Value};

use super::event::Event;
use super::keep::Everything;
use super::lines::{Line, Lines};
use super::reader::Unreadable;
use super::strict::StrictObject;

/// Reads one event. It may span lines.
///
/// # Errors
///
/// When a recording could not hold it.
pub fn read_event(text: &[u8]) -> Result<Event, Unreadable> {
    Lines::new(&Everything).read(text, 1, true).map(Line::into_event)
}

/// Reads an `arguments` object.
///
/// # Errors
///
/// When it is no object, has a key twice or nests too deep.
pub fn read_arguments(text: &str) -> Result<Map<String, Value>, Unreadable> {
    serde_json::from_str::<StrictObject>(text).map(|object| object.0).map_err(|e| Unreadable::json(1, &e, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_event_and_its_arguments_are_read_as_strictly_as_a_recording() {
        let event =
            read_event(b"{\n\"time\": 1, \"door\": \"d\",\n\"method\": \"tools/call\", \"name\": \"t\"\n}").unwrap();
        assert_eq!((event.door.as_str(), event.name.as_str()), ("d", "t"));
        assert!(read_event(br#"{"time":1,"door":"d","method":"tools/call","name":"t","token":"x"}"#).is_err());
        assert_eq!(read_arguments(r#"{"a":{"b":1}}"#).unwrap().len(), 1);
        for text in ["", "[]", "{\"a\":1,\"a\":2}", "{} {}"] {
            assert!(read_arguments(text).is_err(), "{text}");
        }
        assert!(read_arguments(&format!("{{\"a\":{}", "[".repeat(100_000))).is_err());
    }
}
