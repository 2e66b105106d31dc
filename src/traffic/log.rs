//! Reads a foreign log by a field map.
//!
//! Every record is counted as one of four things and none is passed over: an event, left out by a
//! named rule, unmapped, or unreadable.

use std::io::BufRead;
use std::ops::ControlFlow;

use serde_json::Value;

use super::documents::{Document, Documents};
use super::fieldmap::{self, FieldMap, Made, Reads, Record};
use super::imported::Imported;
use super::mapping::Mapping;
use super::otlp;
use super::reader::{Numbered, Place, Unreadable, UnreadableCode};
use super::rpc::Held;

/// The rule under which lines with nothing on them are counted.
const BLANK: &str = "blank line";

/// The rule under which notifications are counted: they ask for nothing.
pub(super) const NOTIFICATION: &str = "notification";

/// Takes what is read: an event, or what stands in its place. It may end the reading.
pub type Sink<'a> = &'a mut dyn FnMut(Result<Numbered, Unreadable>) -> ControlFlow<()>;

/// Reads a log and hands each event, or what cannot be read, to `sink`.
pub fn read(input: impl BufRead, map: &FieldMap, mapping: Option<&Mapping>, sink: Sink<'_>) -> Imported {
    let flow = ControlFlow::Continue(());
    let mut log = Log { map, mapping, held: Held::default(), sink, counts: Imported::default(), flow };
    for (line, document) in Documents::new(input) {
        log.counts.documents += 1;
        match document {
            Document::Blank => {
                log.counts.records += 1;
                log.counts.ignore(BLANK);
            }
            Document::Unreadable(unreadable) => log.unreadable(unreadable),
            Document::Value(value) => log.document(line, &value),
        }
        if log.flow.is_break() {
            return log.counts;
        }
    }
    log.emit(true);
    log.counts
}

pub(super) struct Log<'a> {
    pub(super) map: &'a FieldMap,
    pub(super) mapping: Option<&'a Mapping>,
    /// Requests of a transcript whose answer may still come.
    pub(super) held: Held,
    sink: Sink<'a>,
    pub(super) counts: Imported,
    flow: ControlFlow<()>,
}

impl Log<'_> {
    fn document(&mut self, line: u64, value: &Value) {
        if self.map.reads == Reads::Spans {
            return self.spans(line, value);
        }
        let listed = self.map.lists.iter().find_map(|list| list.find(value)).and_then(Value::as_array);
        let Some(list) = listed.or(value.as_array()) else { return self.record(line.into(), value) };
        for (number, record) in (1..).zip(list) {
            self.record(Place { record: line, call: Some(number) }, record);
            if self.flow.is_break() {
                return;
            }
        }
    }

    fn spans(&mut self, line: u64, value: &Value) {
        let mut number = 0;
        let read = otlp::spans(value, &mut |span| {
            number += 1;
            let place = Place { record: line, call: Some(number) };
            match span {
                _ if self.flow.is_break() => {}
                Ok(span) => self.record(place, &span),
                Err(message) => self.wrong(place, UnreadableCode::NotARecord, message),
            }
        });
        if let Err(message) = read {
            self.wrong(line.into(), UnreadableCode::NotARecord, message);
        }
    }

    fn record(&mut self, place: Place, logged: &Value) {
        if !logged.is_object() && self.map.reads != Reads::Messages {
            return self.wrong(place, UnreadableCode::NotARecord, "the record is not a JSON object");
        }
        let record = match self.map.reads {
            Reads::Messages => Record::Exchange { record: logged, message: None, response: None },
            Reads::Records | Reads::Spans => Record::Whole(logged),
        };
        let Some(rule) = self.map.rule(record) else {
            self.counts.records += 1;
            return self.counts.unmapped(&self.map.call_itself(record));
        };
        if rule.fields.is_none() {
            self.counts.records += 1;
            return self.counts.ignore(&rule.name);
        }
        if let Some(at) = &self.map.message {
            return self.messages(place, logged, rule, at);
        }
        let made =
            fieldmap::event(self.map, rule, record, None, self.mapping, self.counts.events, &mut |event| event.time);
        self.made(place, made);
    }

    /// Counts and hands on what became of a record.
    pub(super) fn made(&mut self, place: Place, made: Made) {
        match made {
            Made::Event(mut event, known) => {
                if let Err(message) = event.redact() {
                    return self.wrong(place, UnreadableCode::NotACall, message);
                }
                self.counts.records += 1;
                self.counts.events += 1;
                self.counts.unidentified += u64::from(!known);
                self.flow = (self.sink)(Ok(Numbered { place, event: *event }));
            }
            Made::Notification => {
                self.counts.records += 1;
                self.counts.ignore(NOTIFICATION);
            }
            Made::Unmapped(method) => {
                self.counts.records += 1;
                self.counts.unmapped(&method);
            }
            Made::Wrong(message) => self.wrong(place, UnreadableCode::NotACall, message),
        }
    }

    pub(super) fn wrong(&mut self, place: Place, code: UnreadableCode, message: impl Into<String>) {
        self.unreadable(Unreadable { place, code, message: message.into(), gap: None });
    }

    fn unreadable(&mut self, mut unreadable: Unreadable) {
        unreadable.redact();
        self.counts.records += 1;
        self.counts.unreadable += 1;
        self.flow = (self.sink)(Err(unreadable));
    }
}
