//! Arguments as most calls have them: one object of short values, written without a space.
//!
//! Such a text is read in one pass over its bytes. Whatever is written otherwise in any way, or is wrong, is left to
//! the JSON parser, which then says what is wrong.

use serde_json::{Map, Value};

/// The most keys that are compared one by one.
const MOST: usize = 16;
/// The most digits of a number that surely fits.
const DIGITS: usize = 18;

/// A value, as it stands in its text.
enum Flat<'a> {
    Text(&'a str),
    Plain(Value),
}

/// Reads arguments and keeps those of these names in the place of others. None when they are written otherwise; then
/// what is kept means nothing.
pub(super) fn read(text: &str, names: &[String], kept: &mut Map<String, Value>) -> Option<()> {
    let mut rest = Rest { text, at: 0 };
    rest.eat(b'{')?;
    let mut came = [""; MOST];
    let (mut count, mut wanted) = (0, 0);
    if rest.eat(b'}').is_none() {
        loop {
            let key = rest.string()?;
            rest.eat(b':')?;
            if came.get(..count)?.contains(&key) {
                return None;
            }
            *came.get_mut(count)? = key;
            count += 1;
            let value = rest.value()?;
            if names.iter().any(|name| *name == *key) {
                wanted += 1;
                match (kept.get_mut(key), value) {
                    (Some(Value::String(kept)), Flat::Text(text)) => text.clone_into(kept),
                    (Some(kept), value) => *kept = value.into(),
                    (None, value) => drop(kept.insert(key.to_owned(), value.into())),
                }
            }
            if rest.eat(b',').is_none() {
                rest.eat(b'}')?;
                break;
            }
        }
    }
    if rest.at != text.len() {
        return None;
    }
    // Each that is wanted and came is kept: so many, and there is no other.
    if kept.len() == wanted {
        return Some(());
    }
    let came = came.get(..count)?;
    kept.retain(|name, _| names.contains(name) && came.contains(&name.as_str()));
    Some(())
}

impl From<Flat<'_>> for Value {
    fn from(value: Flat<'_>) -> Self {
        match value {
            Flat::Text(text) => text.into(),
            Flat::Plain(value) => value,
        }
    }
}

/// What is left of a text.
#[derive(Clone, Copy)]
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        let is = self.text.as_bytes().get(self.at) == Some(&byte);
        self.at += usize::from(is);
        is.then_some(())
    }

    /// The next bytes, so many.
    fn take(&mut self, count: usize) -> Option<&'a str> {
        let taken = self.text.get(self.at..self.at + count)?;
        self.at += count;
        Some(taken)
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'a str> {
        self.eat(b'"')?;
        let text = self.take(self.bytes().iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?)?;
        self.eat(b'"').map(|()| text)
    }

    fn value(&mut self) -> Option<Flat<'a>> {
        let (word, value) = match self.bytes().first()? {
            b'"' => return self.string().map(Flat::Text),
            b't' => ("true", true.into()),
            b'f' => ("false", false.into()),
            b'n' => ("null", Value::Null),
            _ => return self.number(),
        };
        self.take(word.len()).filter(|taken| *taken == word)?;
        Some(Flat::Plain(value))
    }

    /// A whole number.
    fn number(&mut self) -> Option<Flat<'a>> {
        let bytes = self.bytes();
        let sign = usize::from(bytes.first() == Some(&b'-'));
        let digits = bytes.iter().skip(sign).take_while(|byte| byte.is_ascii_digit()).count();
        let number = self.take(sign + digits)?;
        // Zero has a sign, and no other number begins with it, for the parser.
        let whole = digits <= DIGITS && (bytes.get(sign)? != &b'0' || number == "0");
        let ends = matches!(self.bytes().first(), Some(b',' | b'}'));
        Some(Flat::Plain(number.parse::<i64>().ok().filter(|_| whole && ends)?.into()))
    }
}

/// Whether a text holds what a JSON string may hold only escaped. All of it is looked at, many bytes at a time: that is
/// faster than to stop at the first.
pub(super) fn has_controls(text: &str) -> bool {
    text.bytes().fold(0, |found, byte| found | u8::from(byte < b' ')) != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::traffic::keep::{Again, Keep, Kept};
    use serde::de::DeserializeSeed as _;

    fn parsed(text: &str, names: &[String]) -> Option<Map<String, Value>> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let map = Kept(&Keep::Named(names.to_vec())).deserialize(&mut deserializer).ok()?;
        deserializer.end().ok().map(|()| map)
    }

    #[test]
    fn what_is_read_is_what_the_parser_reads_and_all_else_is_left_to_it() {
        let values = [
            "0",
            "-0",
            "00",
            "01",
            "-1",
            "-01",
            "-",
            "317",
            "1.0",
            "1e3",
            "999999999999999999",
            "9223372036854775807",
            "-9223372036854775808",
            "18446744073709551615",
            "true",
            "false",
            "null",
            "nul",
            "truex",
            "\"\"",
            "\"a\"",
            "\"\\u0061\"",
            "\"\u{1}\"",
            "\"ü\"",
            "\"a",
            "[]",
            "[1]",
            "{}",
            "{\"a\":1}",
            "",
            " 1",
            "1 ",
        ];
        let mut kept: Map<String, Value> = [("old".to_owned(), Value::Null)].into_iter().collect();
        let mut read_here = 0;
        for names in [vec![], vec!["a"], vec!["a", "b"], vec!["c"]] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            for one in values {
                for text in [
                    "{}".to_owned(),
                    format!("{{\"a\":{one}}}"),
                    format!("{{\"a\":{one},\"b\":\"x\"}}"),
                    format!("{{\"b\":7,\"a\":{one},\"c\":{one}}}"),
                    format!("{{\"a\":1,\"a\":{one}}}"),
                    format!("{{\"a\":{one}"),
                    format!("{{\"a\":{one},}}"),
                    format!("{{\"a\":{one}}} "),
                    format!("{{\"a\":{one}}}}}"),
                    format!("{{\"a\" :{one}}}"),
                ] {
                    if read(&text, &names, &mut kept).is_some() {
                        read_here += 1;
                        assert_eq!(Some(&kept), parsed(&text, &names).as_ref(), "{text}");
                    }
                    // Whatever is left behind, the parser puts its own in the place of it.
                    let mut deserializer = serde_json::Deserializer::from_str(&text);
                    let again = Again { names: &names, kept: &mut kept }.deserialize(&mut deserializer);
                    if again.and_then(|()| deserializer.end()).is_ok() {
                        assert_eq!(Some(&kept), parsed(&text, &names).as_ref(), "{text}");
                    }
                }
            }
        }
        assert!(read_here > 100);
    }

    #[test]
    fn many_keys_are_left_to_the_parser() {
        let keys = |count: usize| {
            let keys: Vec<String> = (0..count).map(|n| format!("\"k{n}\":1")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert!(read(&keys(MOST), &[], &mut Map::new()).is_some());
        assert!(read(&keys(MOST + 1), &[], &mut Map::new()).is_none());
    }
}
