//! The log of a process as JSON: one object a line, with the fields of an event beside its time and its target.
//!
//! Every call leaves lines, so they are written without a value in between. Spans are not repeated: nothing
//! here opens one.

use std::fmt;

use serde::Serialize;
use time::OffsetDateTime;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Events as JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = Line(Vec::with_capacity(512));
        line.0.extend_from_slice(b"{\"timestamp\":\"");
        line.time(OffsetDateTime::now_utc());
        line.0.push(b'"');
        line.member("level", event.metadata().level().as_str());
        event.record(&mut line);
        line.member("target", event.metadata().target());
        line.0.extend_from_slice(b"}\n");
        writer.write_str(std::str::from_utf8(&line.0).map_err(|_| fmt::Error)?)
    }
}

/// A line that is being written.
struct Line(Vec<u8>);

impl Line {
    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.0.push(b',');
        // Writing texts, numbers and truth values to memory does not fail.
        let _ = serde_json::to_writer(&mut self.0, name.strip_prefix("r#").unwrap_or(name));
        self.0.push(b':');
        let _ = serde_json::to_writer(&mut self.0, value);
    }
}

impl Line {
    /// A time as RFC 3339 has it, to the microsecond. Every line has one.
    fn time(&mut self, time: OffsetDateTime) {
        let (year, month, day) = time.to_calendar_date();
        let (hour, minute, second, micro) = time.to_hms_micro();
        let (year, month) = (year.unsigned_abs(), u32::from(u8::from(month)));
        for (number, digits, end) in [
            (year, 4, b'-'),
            (month, 2, b'-'),
            (day.into(), 2, b'T'),
            (hour.into(), 2, b':'),
            (minute.into(), 2, b':'),
            (second.into(), 2, b'.'),
            (micro, 6, b'Z'),
        ] {
            for place in (0..digits).rev() {
                let digit = number / 10_u32.pow(place) % 10;
                self.0.push(b'0' + u8::try_from(digit).unwrap_or_default());
            }
            self.0.push(end);
        }
    }
}

impl Visit for Line {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.member(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.member(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.member(field.name(), &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.member(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.member(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.member(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_object_on_one_line() {
        let written = Written::default();
        let to = written.clone();
        let log = tracing_subscriber::fmt().event_format(JsonLines).with_writer(move || to.clone()).finish();
        tracing::subscriber::with_default(log, || {
            let (some, none) = (Some("a\"b\n\u{e9}"), None::<u64>);
            tracing::warn!(r#type = some, none, n = -3, f = 0.5, yes = true, error = %io::Error::other("no"), "said {}", 1);
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let mut line: Value = serde_json::from_str(&text).unwrap();
        let time = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(time.as_str().is_some_and(|time| time.ends_with('Z') && time.len() > 20), "{time}");
        let expected = json!({ "level": "WARN", "message": "said 1", "type": "a\"b\n\u{e9}", "n": -3, "f": 0.5, "yes": true,
            "error": "no", "target": "doorward::cli::log::tests" });
        assert_eq!(line, expected);
    }

    #[test]
    fn a_time_is_written_as_rfc_3339_has_it() {
        for seconds in [0, 951_782_399, 951_782_400, 1_772_456_580, 4_102_444_799] {
            let time = OffsetDateTime::from_unix_timestamp(seconds).unwrap().replace_microsecond(1_020).unwrap();
            let mut line = Line(Vec::new());
            line.time(time);
            let written = String::from_utf8(line.0).unwrap();
            assert_eq!(
                OffsetDateTime::parse(&written, &time::format_description::well_known::Rfc3339).unwrap(),
                time,
                "{written}"
            );
        }
    }
}
