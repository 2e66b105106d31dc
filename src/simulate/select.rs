//! Which event is meant: by its identifier, or by its place.

use std::fmt;

use crate::model::Fact;
use crate::traffic::Place;

/// Words that name one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    text: String,
    /// The recording, if it is named, and the place in it.
    place: Option<(Option<String>, Place)>,
}

impl Select {
    /// Reads an identifier, `FILE:LINE`, or a line of the only recording; of a transcript `RECORD.CALL`.
    pub fn parse(text: &str) -> Self {
        let (source, place) = match text.rsplit_once(':') {
            Some((source, place)) => (Some(source.to_owned()), place),
            None => (None, text),
        };
        let (record, call) = match place.split_once('.') {
            Some((record, call)) => (record.parse().ok(), call.parse().ok().map(Some)),
            None => (place.parse().ok(), Some(None)),
        };
        let place = record.zip(call).map(|(record, call)| (source, Place { record, call }));
        Self { text: text.to_owned(), place }
    }

    /// Whether it is that event.
    pub fn is(&self, source: &str, place: Place, id: Fact<&str>) -> bool {
        if id.known() == Some(self.text.as_str()) {
            return true;
        }
        self.place.as_ref().is_some_and(|(named, wanted)| {
            let here = named.as_ref().is_none_or(|named| {
                source == named || source.strip_suffix(named.as_str()).is_some_and(|before| before.ends_with('/'))
            });
            here && *wanted == place
        })
    }

    /// Whether it is a line without a recording, which means one thing only where there is one recording.
    pub fn is_bare_line(&self) -> bool {
        matches!(self.place, Some((None, _)))
    }
}

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_named_by_its_identifier_or_its_place() {
        let line = |record| Place { record, call: None };
        let is = |text: &str, place, id| Select::parse(text).is("recordings/a.jsonl", place, id);
        assert!(is("recordings/a.jsonl:35", line(35), Fact::Absent));
        assert!(is("a.jsonl:35", line(35), Fact::Absent));
        assert!(is("35", line(35), Fact::Absent));
        assert!(!is("b/a.jsonl:35", line(35), Fact::Absent) && !is(".jsonl:35", line(35), Fact::Absent));
        assert!(!is("a.jsonl:35", line(36), Fact::Absent));
        assert!(is("a.jsonl:2.3", Place { record: 2, call: Some(3) }, Fact::Absent));
        assert!(!is("a.jsonl:2", Place { record: 2, call: Some(3) }, Fact::Absent));
        assert!(is("req:7", line(1), Fact::Known("req:7")) && !is("req:7", line(1), Fact::Known("req:8")));
        assert!(Select::parse("35").is_bare_line() && !Select::parse("a:35").is_bare_line());
        assert!(!Select::parse("x").is_bare_line());
    }
}
