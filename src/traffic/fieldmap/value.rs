//! One fact out of a record, in the state in which the log has it.
//!
//! A value that is there and cannot be read is an error, never a value that is not there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::record::{Pointer, Record, scalar};
use super::{FieldSource, Gone, Key, Marks, Origin, State, Unit, hold};
use crate::model::{Timestamp, Withheld, WithheldBecause};
use crate::policy::glob::NameGlob;
use crate::policy::{holds_secret, mask_secrets};
use crate::traffic::event::Field;
use crate::traffic::{read_arguments, secrets};

/// Arguments, with what of them is withheld.
type Arguments = (Field<Map<String, Value>>, Vec<Withheld>);

/// The facts of one record.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a, 'v> {
    pub(super) record: Record<'v>,
    pub(super) fields: &'a BTreeMap<Key, FieldSource>,
    pub(super) marks: &'a Marks,
    pub(super) states: &'a [State],
}

/// What stands for a fact in a record.
enum Raw<'a, 'v> {
    Fixed(&'a str),
    Value(&'a Pointer, &'v Value),
}

impl<'a, 'v> Facts<'a, 'v> {
    /// The field, if other fields say that its value is not there.
    fn state<T>(&self, key: Key) -> Option<Field<T>> {
        let state = self.states.iter().find(|state| state.field == key && hold(&state.when, self.record))?;
        Some(gone(state.is))
    }

    fn raw<T>(&self, source: &'a FieldSource) -> Result<Raw<'a, 'v>, Field<T>> {
        match &source.from {
            Origin::Fixed(text) => Ok(Raw::Fixed(text)),
            Origin::At(pointers) => match self.record.first(pointers) {
                Some((at, value)) => Ok(Raw::Value(at, value)),
                None if source.absent => Err(Field::Absent),
                None => Err(Field::NotRecorded),
            },
        }
    }

    /// Why a text is no value, if it is none.
    fn marked<T>(&self, text: &str, source: &FieldSource) -> Option<Field<T>> {
        let any = |globs: &[NameGlob]| globs.iter().any(|glob| glob.matches(text));
        if any(&self.marks.redacted) {
            Some(Field::Redacted)
        } else if any(&self.marks.truncated) || source.cap.is_some_and(|cap| text.len() >= cap) {
            Some(Field::Truncated)
        } else if any(&self.marks.absent) {
            Some(Field::Absent)
        } else {
            None
        }
    }

    /// A fact as text.
    pub(super) fn text(&self, key: Key) -> Result<Field<String>, String> {
        let Some(source) = self.fields.get(&key) else { return Ok(self.state(key).unwrap_or_default()) };
        self.state(key).map_or_else(|| self.text_of(source), Ok)
    }

    pub(super) fn text_of(&self, source: &FieldSource) -> Result<Field<String>, String> {
        let (at, value) = match self.raw(source) {
            Ok(Raw::Fixed(text)) => return Ok(Field::Present(text.to_owned())),
            Ok(Raw::Value(at, value)) => (at, value),
            Err(field) => return Ok(field),
        };
        let Some(text) = scalar(value) else { return Err(format!("what stands at `{at}` is not a text")) };
        if let Some(field) = self.marked(&text, source) {
            return Ok(field);
        }
        let text = if (source.after.is_empty() && source.before.is_none()) || !holds_secret(&text) {
            text
        } else {
            // A part of a secret does not look like one.
            match secrets::bare(&text) {
                Cow::Owned(bare) if !holds_secret(&bare) => Cow::Owned(bare),
                _ => return Ok(Field::Redacted),
            }
        };
        let mut part = text.as_ref();
        for separator in &source.after {
            part = part.split_once(separator.as_str()).ok_or_else(|| no_separator(part, separator, at))?.1;
        }
        if let Some(separator) = &source.before {
            part = part.split_once(separator.as_str()).ok_or_else(|| no_separator(part, separator, at))?.0;
        }
        Ok(Field::Present(source.words.get(part).map_or(part, String::as_str).to_owned()))
    }

    /// A fact as a list of texts.
    pub(super) fn list(&self, key: Key) -> Result<Field<Vec<String>>, String> {
        let Some(source) = self.fields.get(&key) else { return Ok(self.state(key).unwrap_or_default()) };
        self.state(key).map_or_else(|| self.list_of(source, key == Key::Scopes), Ok)
    }

    /// A list; a lone text is split at white space when `words` says so and the map does not.
    pub(super) fn list_of(&self, source: &FieldSource, words: bool) -> Result<Field<Vec<String>>, String> {
        let (at, value) = match self.raw(source) {
            Ok(Raw::Fixed(text)) => return Ok(Field::Present(split(text, source, words))),
            Ok(Raw::Value(at, value)) => (at, value),
            Err(field) => return Ok(field),
        };
        let Value::Array(elements) = value else {
            let text = scalar(value).ok_or_else(|| format!("what stands at `{at}` is neither a list nor a text"))?;
            let list = || {
                if holds_secret(&text) { Field::Redacted } else { Field::Present(split(&text, source, words)) }
            };
            return Ok(self.marked(&text, source).unwrap_or_else(list));
        };
        let mut list = Vec::with_capacity(elements.len());
        for element in elements {
            let text = scalar(element).ok_or_else(|| format!("the list at `{at}` holds what is not a text"))?;
            match self.marked(&text, source) {
                None => list.push(source.words.get(text.as_ref()).map_or(text.as_ref(), String::as_str).to_owned()),
                // A list of which a part was removed is not known.
                Some(field) => return Ok(field),
            }
        }
        Ok(Field::Present(list))
    }

    /// A fact as an instant.
    pub(super) fn instant(&self, key: Key) -> Result<Field<Timestamp>, String> {
        if let Some(field) = self.state(key) {
            return Ok(field);
        }
        let Some(source) = self.fields.get(&key) else { return Ok(Field::NotRecorded) };
        let (at, value) = match self.raw(source) {
            Ok(Raw::Value(at, value)) => (at, value),
            Ok(Raw::Fixed(_)) => return Err(format!("`{}` cannot be the same in every record", key.name())),
            Err(field) => return Ok(field),
        };
        if let Some(field) = value.as_str().and_then(|text| self.marked(text, source)) {
            return Ok(field);
        }
        let shown = scalar(value).unwrap_or_default();
        instant(&shown, source.unit).map(Field::Present).ok_or_else(|| {
            format!("`{}` at `{at}` is not an instant, {}", excerpt(&shown, 40), source.unit.as_written())
        })
    }

    /// The arguments, and what of them is withheld.
    pub(super) fn arguments(&self) -> Result<Arguments, String> {
        if let Some(field) = self.state(Key::Arguments) {
            return Ok((field, Vec::new()));
        }
        let Some(source) = self.fields.get(&Key::Arguments) else { return Ok((Field::NotRecorded, Vec::new())) };
        match self.raw(source) {
            Ok(Raw::Fixed(text)) => self.arguments_from("the map", text, source),
            Ok(Raw::Value(_, Value::Object(map))) => Ok(self.withhold(map.clone(), source)),
            Ok(Raw::Value(at, Value::String(text))) => self.arguments_from(at.as_str(), text, source),
            Ok(Raw::Value(at, _)) => Err(format!("the arguments at `{at}` are not an object")),
            Err(field) => Ok((field, Vec::new())),
        }
    }

    /// Arguments as the JSON text of an object.
    fn arguments_from(&self, at: &str, text: &str, source: &FieldSource) -> Result<Arguments, String> {
        let unlimited = FieldSource { cap: None, ..source.clone() };
        if let Some(field) = self.marked(text, &unlimited) {
            return Ok((field, Vec::new()));
        }
        if text.trim().is_empty() {
            return Ok((Field::Absent, Vec::new()));
        }
        match read_arguments(text) {
            // No proper beginning of an object is an object: what can be read is whole.
            Ok(map) => Ok(self.withhold(map, &unlimited)),
            Err(_) if source.cap.is_some_and(|cap| text.len() >= cap) => Ok((Field::Truncated, Vec::new())),
            Err(error) => Err(format!("the arguments at `{at}` cannot be read: {}", error.message)),
        }
    }

    pub(super) fn withhold(&self, map: Map<String, Value>, source: &FieldSource) -> Arguments {
        let mut withheld = Vec::new();
        let watched = !self.marks.redacted.is_empty() || !self.marks.truncated.is_empty() || source.cap.is_some();
        if watched {
            let mut pointer = String::new();
            for (key, value) in &map {
                self.look(value, key, &mut pointer, source, &mut withheld);
            }
        }
        (Field::Present(map), withheld)
    }

    fn look(&self, value: &Value, key: &str, pointer: &mut String, source: &FieldSource, withheld: &mut Vec<Withheld>) {
        let length = pointer.len();
        pointer.push('/');
        pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
        match value {
            Value::Object(map) => {
                for (key, value) in map {
                    self.look(value, key, pointer, source, withheld);
                }
            }
            Value::Array(list) => {
                for (index, value) in list.iter().enumerate() {
                    self.look(value, &index.to_string(), pointer, source, withheld);
                }
            }
            Value::String(text) => {
                let because = match self.marked::<()>(text, source) {
                    Some(Field::Redacted) => Some(WithheldBecause::Redacted),
                    Some(Field::Truncated) => Some(WithheldBecause::Truncated),
                    // An argument that reads `-` is that argument.
                    _ => None,
                };
                withheld.extend(because.map(|because| Withheld { pointer: pointer.clone(), because }));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        pointer.truncate(length);
    }
}

fn gone<T>(why: Gone) -> Field<T> {
    match why {
        Gone::Absent => Field::Absent,
        Gone::Redacted => Field::Redacted,
        Gone::Truncated => Field::Truncated,
        Gone::Unknown => Field::NotRecorded,
    }
}

fn no_separator(text: &str, separator: &str, at: &Pointer) -> String {
    format!("`{}` at `{at}` holds no `{separator}`", excerpt(text, 80))
}

/// The beginning of a text, for a message. Secrets go first: one that is cut is not known any more.
fn excerpt(text: &str, most: usize) -> String {
    mask_secrets(text).chars().take(most).collect()
}

fn split(text: &str, source: &FieldSource, words: bool) -> Vec<String> {
    let renamed = |part: &str| source.words.get(part).map_or(part, String::as_str).to_owned();
    match &source.split {
        Some(separator) => {
            text.split(separator.as_str()).map(str::trim).filter(|part| !part.is_empty()).map(renamed).collect()
        }
        None if words => text.split_whitespace().map(renamed).collect(),
        None => vec![renamed(text)],
    }
}

impl Unit {
    const fn as_written(self) -> &'static str {
        match self {
            Self::Rfc3339 => "such as 2026-03-02T09:00:00Z",
            Self::S => "a number of seconds",
            Self::Ms => "a number of milliseconds",
            Self::Us => "a number of microseconds",
            Self::Ns => "a number of nanoseconds",
        }
    }
}

/// An instant as written, without its part of a second.
pub(super) fn instant(text: &str, unit: Unit) -> Option<Timestamp> {
    let each: i64 = match unit {
        Unit::Rfc3339 => {
            let format = &time::format_description::well_known::Rfc3339;
            return time::OffsetDateTime::parse(text, format).ok().map(|t| Timestamp(t.unix_timestamp()));
        }
        Unit::S => 1,
        Unit::Ms => 1_000,
        Unit::Us => 1_000_000,
        Unit::Ns => 1_000_000_000,
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // What is behind the point of a negative number would lower it; such instants are before 1970.
    let whole: i64 = whole.parse().ok()?;
    Some(Timestamp(whole.div_euclid(each)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_the_map_says() {
        for (text, unit, seconds) in [
            ("2026-03-02T13:00:00Z", Unit::Rfc3339, Some(1_772_456_400)),
            ("2026-03-02T14:00:00.999999999+01:00", Unit::Rfc3339, Some(1_772_456_400)),
            ("1772456400", Unit::S, Some(1_772_456_400)),
            ("1772456400.75", Unit::S, Some(1_772_456_400)),
            ("1772456400999", Unit::Ms, Some(1_772_456_400)),
            ("1772456400000000", Unit::Us, Some(1_772_456_400)),
            ("1772456400000000001", Unit::Ns, Some(1_772_456_400)),
            ("-1", Unit::Ms, Some(-1)),
            ("2026-03-02", Unit::Rfc3339, None),
            ("1.", Unit::S, None),
            ("1e9", Unit::S, None),
            ("", Unit::S, None),
        ] {
            assert_eq!(instant(text, unit), seconds.map(Timestamp), "{text}");
        }
    }
}
