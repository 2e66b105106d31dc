//! Lines as doorward itself writes them, taken apart by their keys alone.
//!
//! Such a line has its keys in one order and nothing between them, so that a part ends where the key
//! of another one begins. Here is only found where the parts are: each is then read as strictly as in
//! any line. A line that is written otherwise in any way is left to the JSON parser, and so is one
//! that turns out wrong: a line is read from here as it is from there, or not at all.

use std::borrow::Cow;

use memchr::memmem::Finder;
use memchr::{memchr, memchr2};

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

/// The line is written otherwise than here.
#[derive(Debug)]
pub(super) struct Otherwise;

/// Takes lines apart.
#[derive(Debug)]
pub(super) struct Scanner {
    keys: [Finder<'static>; KEYS.len()],
}

impl Default for Scanner {
    fn default() -> Self {
        Self { keys: KEYS.map(Finder::new) }
    }
}

impl Scanner {
    /// The parts of a line. Those that are objects or lists may be cut short or be too long, and are
    /// no JSON values then.
    pub(super) fn scan<'a>(&self, line: &'a str) -> Result<(Own<'a>, Shared<'a>), Otherwise> {
        let [behind_arguments, behind_subject, behind_decided, behind_foreign] =
            [0, 1, 4, 5].map(|from| self.keys.get(from..).unwrap_or_default());
        let mut event = Object::of(line);
        let time = event.needed("\"time\":", Object::time)?;
        let id = event.optional("\"id\":", Object::text)?;
        let door = event.needed("\"door\":", Object::text)?;
        let era = event.optional("\"era\":", Object::text)?;
        let method = event.needed("\"method\":", Object::text)?;
        let name = event.optional("\"name\":", Object::text)?;
        let arguments = event.optional("\"arguments\":", |event| event.object(behind_arguments))?;
        let subject = event.optional("\"subject\":", |event| event.object(behind_subject))?;
        let token = event.optional("\"token\":", |event| {
            let mut token = Object::of(event.rest);
            let [aud, scopes] = ["\"aud\":", "\"scopes\":"].map(|key| token.optional(key, Object::list).ok());
            let [iat, exp, nbf] =
                ["\"iat\":", "\"exp\":", "\"nbf\":"].map(|key| token.optional(key, Object::time).ok());
            event.rest = token.end()?;
            Some(([aud?, scopes?], [iat?, exp?, nbf?]))
        })?;
        let (token, [iat, exp, nbf]) = token.unwrap_or_default();
        let session = event.optional("\"session\":", Object::text)?;
        let decided = event.optional("\"decided\":", |event| event.object(behind_decided))?;
        let foreign = event.optional("\"foreign\":", |event| event.object(behind_foreign))?;
        let [absent, redacted, truncated, unrecorded] =
            ["\"absent\":", "\"redacted\":", "\"truncated\":", "\"unrecorded\":"]
                .map(|key| event.optional(key, Object::list));
        let lists = [absent?, redacted?, truncated?, unrecorded?];
        // The kind is hardly ever written: what has one ended this long before.
        let own = Own { time, id, door, era, method, kind: None, name, arguments, session, iat, exp, nbf };
        let shared = Shared { lists, subject, token, verdicts: [decided, foreign] };
        event.end().filter(|rest| rest.is_empty()).map(|_| (own, shared)).ok_or(Otherwise)
    }
}

/// What is left of an object, from behind a value on.
struct Object<'a> {
    rest: &'a str,
    /// What stands before the next key.
    before: char,
}

impl<'a> Object<'a> {
    const fn of(text: &'a str) -> Self {
        Self { rest: text, before: '{' }
    }

    /// The value of a key, if that is the next one.
    fn optional<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<Option<T>, Otherwise> {
        let Some(value) = self.rest.strip_prefix(self.before).and_then(|rest| rest.strip_prefix(key)) else {
            return Ok(None);
        };
        (self.rest, self.before) = (value, ',');
        read(self).map(Some).ok_or(Otherwise)
    }

    /// The value of a key, which must be the next one.
    fn needed<T>(&mut self, key: &str, read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, Otherwise> {
        self.optional(key, read)?.ok_or(Otherwise)
    }

    /// What stands behind the object.
    fn end(&self) -> Option<&'a str> {
        self.rest.strip_prefix('}').filter(|_| self.before == ',')
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
        text.bytes().all(|byte| byte >= b' ').then_some(Cow::Borrowed(text))
    }

    /// A whole number that is not negative.
    fn time(&mut self) -> Option<Timestamp> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        let number = self.take(digits).filter(|number| digits < 2 || !number.starts_with('0'))?;
        number.parse().ok().map(Timestamp)
    }

    /// A list in which nothing ends like a list.
    fn list(&mut self) -> Option<&'a str> {
        self.take(memchr(b']', self.rest.as_bytes())? + 1)
    }

    /// What stands before the first of these keys, or is the last.
    fn object(&mut self, keys: &[Finder<'_>]) -> Option<&'a str> {
        let key = keys.iter().find_map(|key| key.find(self.rest.as_bytes()));
        self.take(key.or_else(|| self.rest.len().checked_sub(1))?)
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
        let (own, shared) = Scanner::default().scan(LINE).unwrap();
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
        let scanner = Scanner::default();
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
            assert!(changed != LINE && scanner.scan(&changed).is_err(), "{from} to {to}");
        }
    }
}
