//! Lines as doorward itself writes them, taken apart by their keys alone.
//!
//! Such a line has its keys in one order and nothing between them, so that a part ends where the key
//! of another one begins. Here is only found where the parts are: each is then read as strictly as in
//! any line. A line that is written otherwise in any way is left to the JSON parser, and so is one
//! that turns out wrong: a line is read from here as it is from there, or not at all.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2};

use super::flat::has_controls;
use super::incoming::{Own, Shared};
use crate::model::Timestamp;

/// The keys that may stand behind the arguments, in their order.
const KEYS: [&str; 9] = [
    ",\"subject\":",
    ",\"token\":",
    ",\"session\":",
    ",\"decided\":",
    ",\"foreign\":",
    ",\"absent\":",
    ",\"redacted\":",
    ",\"truncated\":",
    ",\"unrecorded\":",
];

/// The most digits of a number that surely fits.
const DIGITS: usize = 17;

/// The line is written otherwise than here.
#[derive(Debug)]
pub(super) struct Otherwise;

/// The parts of a line. Those that are objects or lists may be cut short or be too long, and are no JSON
/// values then.
pub(super) fn scan(line: &str) -> Result<(Own<'_>, Shared<'_>), Otherwise> {
    let [behind_arguments, behind_subject, behind_decided, behind_foreign] =
        [0, 1, 4, 5].map(|from| KEYS.get(from..).unwrap_or_default());
    let mut event = Object::of(line);
    let time = event.needed(b"\"time\":", Object::time)?;
    let id = event.optional(b"\"id\":", Object::text)?;
    let door = event.needed(b"\"door\":", Object::text)?;
    let era = event.optional(b"\"era\":", Object::text)?;
    let method = event.needed(b"\"method\":", Object::text)?;
    let name = event.optional(b"\"name\":", Object::text)?;
    let arguments = event.optional(b"\"arguments\":", |event| event.object(behind_arguments))?;
    let subject = event.optional(b"\"subject\":", |event| event.object(behind_subject))?;
    let token = event.optional(b"\"token\":", |event| {
        let mut token = Object::of(event.rest);
        let aud = token.optional(b"\"aud\":", Object::list).ok()?;
        let scopes = token.optional(b"\"scopes\":", Object::list).ok()?;
        let times = [b"\"iat\":", b"\"exp\":", b"\"nbf\":"].map(|key| token.optional(key, Object::time).ok());
        let [iat, exp, nbf] = times;
        event.rest = token.end()?;
        Some(([aud, scopes], [iat?, exp?, nbf?]))
    })?;
    let (token, [iat, exp, nbf]) = token.unwrap_or_default();
    let session = event.optional(b"\"session\":", Object::text)?;
    let decided = event.optional(b"\"decided\":", |event| event.object(behind_decided))?;
    let foreign = event.optional(b"\"foreign\":", |event| event.object(behind_foreign))?;
    let lists = [
        event.optional(b"\"absent\":", Object::list)?,
        event.optional(b"\"redacted\":", Object::list)?,
        event.optional(b"\"truncated\":", Object::list)?,
        event.optional(b"\"unrecorded\":", Object::list)?,
    ];
    if event.end().is_none_or(|rest| !rest.is_empty()) {
        return Err(Otherwise);
    }
    // The kind is hardly ever written: what has one ended this long before.
    let own = Own { time, id, door, era, method, kind: None, name, arguments, session, iat, exp, nbf };
    Ok((own, Shared { lists, subject, token, verdicts: [decided, foreign] }))
}

/// What is left of an object, from behind a value on.
struct Object<'a> {
    rest: &'a str,
    /// What stands before the next key.
    before: u8,
}

impl<'a> Object<'a> {
    const fn of(text: &'a str) -> Self {
        Self { rest: text, before: b'{' }
    }

    /// The value of a key, if that is the next one. The length of the key is known where this is compiled, so that
    /// keys are compared as numbers are.
    #[inline]
    fn optional<T, const N: usize>(
        &mut self,
        key: &[u8; N],
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<Option<T>, Otherwise> {
        let next = self.rest.as_bytes().split_first().filter(|(before, _)| **before == self.before);
        if next.and_then(|(_, rest)| rest.first_chunk()) != Some(key) {
            return Ok(None);
        }
        let (_, value) = self.rest.split_at_checked(N + 1).ok_or(Otherwise)?;
        (self.rest, self.before) = (value, b',');
        read(self).map(Some).ok_or(Otherwise)
    }

    /// The value of a key, which must be the next one.
    #[inline]
    fn needed<T, const N: usize>(
        &mut self,
        key: &[u8; N],
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Result<T, Otherwise> {
        self.optional(key, read)?.ok_or(Otherwise)
    }

    /// What stands behind the object.
    fn end(&self) -> Option<&'a str> {
        self.rest.strip_prefix('}').filter(|_| self.before == b',')
    }

    fn take(&mut self, bytes: usize) -> Option<&'a str> {
        let (value, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(value)
    }

    /// A string without escapes.
    fn text(&mut self) -> Option<Cow<'a, str>> {
        self.rest = self.rest.strip_prefix('"')?;
        let text = self.take(memchr2(b'"', b'\\', self.rest.as_bytes())?)?;
        self.rest = self.rest.strip_prefix('"')?;
        (!has_controls(text)).then_some(Cow::Borrowed(text))
    }

    /// A whole number that is not negative.
    fn time(&mut self) -> Option<Timestamp> {
        let (mut number, mut digits) = (0, 0);
        for byte in self.rest.bytes().take_while(u8::is_ascii_digit) {
            number = number * 10 + i64::from(byte - b'0');
            digits += 1;
            if digits > DIGITS {
                return None;
            }
        }
        let written = self.take(digits)?;
        let whole = digits == 1 || (digits > 1 && !written.starts_with('0'));
        whole.then_some(Timestamp(number))
    }

    /// A list in which nothing ends like a list.
    fn list(&mut self) -> Option<&'a str> {
        self.take(memchr(b']', self.rest.as_bytes())? + 1)
    }

    /// What ends before the first of these keys, or is the last. A key can only stand behind an object: within a
    /// text its quotes would be escaped.
    fn object(&mut self, keys: &[&str]) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let end = memchr_iter(b'}', bytes).map(|at| at + 1).find(|end| match bytes.get(*end..) {
            Some(rest @ [b',', ..]) => keys.iter().any(|key| rest.starts_with(key.as_bytes())),
            Some(b"}") => true,
            _ => false,
        })?;
        self.take(end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "{\"time\":1767225600,\"id\":\"r1\",\"door\":\"desk\",\"method\":\"tools/call\",\"name\":\"pay\",\
                        \"arguments\":{\"amount\":7},\"subject\":{\"sub\":\"ana\",\"groups\":[\"a\",\"b\"]},\
                        \"token\":{\"aud\":[\"x\"],\"iat\":1767225500},\"session\":\"s\",\
                        \"decided\":{\"effect\":\"allow\"},\"absent\":[\"/token/nbf\"],\"unrecorded\":[\"/arguments/a\"]}";

    #[test]
    fn the_parts_of_a_line_are_found() {
        let (own, shared) = scan(LINE).unwrap();
        assert_eq!((own.time, own.iat, own.exp), (Timestamp(1_767_225_600), Some(Timestamp(1_767_225_500)), None));
        assert_eq!((&*own.door, own.name.as_deref(), own.era.as_deref()), ("desk", Some("pay"), None));
        assert_eq!((own.arguments, own.session.as_deref()), (Some("{\"amount\":7}"), Some("s")));
        assert_eq!(shared.subject, Some("{\"sub\":\"ana\",\"groups\":[\"a\",\"b\"]}"));
        assert_eq!(shared.token, [Some("[\"x\"]"), None]);
        assert_eq!(shared.verdicts, [Some("{\"effect\":\"allow\"}"), None]);
        assert_eq!(shared.lists, [Some("[\"/token/nbf\"]"), None, None, Some("[\"/arguments/a\"]")]);
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_the_parser() {
        for (from, to) in [
            ("{\"time\"", "{ \"time\""),
            ("1767225600", "-1"),
            ("1767225600", "01"),
            ("1767225600", "1e3"),
            ("1767225600", "17672256000000000000"),
            ("desk", "d\\u0065sk"),
            ("desk", "d\u{1}sk"),
            ("\"name\"", "\"kind\":\"tool\",\"name\""),
            ("\"session\":\"s\",", "\"session\":null,"),
            ("\"door\":\"desk\",", ""),
            ("{\"aud\":[\"x\"],\"iat\":1767225500}", "{}"),
            ("\"/arguments/a\"]}", "\"/arguments/a\"]} "),
            ("\"/arguments/a\"]}", "\"/arguments/a\"]"),
            ("\"/arguments/a\"]}", "\"/arguments/a\"],\"new\":1}"),
        ] {
            let changed = LINE.replacen(from, to, 1);
            assert!(changed != LINE && scan(&changed).is_err(), "{from} to {to}");
        }
    }
}
