//! JSON as a database spaced and ordered it, brought back into the canonical order without being read.
//!
//! PostgreSQL keeps objects in an order of its own and writes them with spaces. What stands in them it
//! keeps as it was written, and it was written canonically. So it is enough to drop the spaces and to
//! put the keys in order, for a tenth of what reading it all would take. Whether that was enough says
//! the hash; where it was not, the row is read.

use std::ops::Range;

/// How deep objects and arrays may stand in each other.
const DEPTH: usize = 128;
/// For how many members of open objects there is room from the beginning.
const MEMBERS: usize = 32;

/// The text without spaces and with its keys in order. `None` where that alone cannot be told to be
/// right: a key with an escape or beyond ASCII, or what is no JSON.
pub(in crate::audit) fn arranged(text: &str) -> Option<String> {
    let out = Vec::with_capacity(text.len());
    let mut arranger = Arranger { rest: text.as_bytes(), out, moved: Vec::new(), members: Vec::with_capacity(MEMBERS) };
    arranger.value(DEPTH)?;
    arranger.space();
    if arranger.rest.is_empty() { String::from_utf8(arranger.out).ok() } else { None }
}

struct Arranger<'a> {
    rest: &'a [u8],
    out: Vec<u8>,
    /// Where an object is put together that was not in order.
    moved: Vec<u8>,
    /// The members of the objects that are open: the key, and where the member stands in `out`.
    members: Vec<(&'a [u8], Range<usize>)>,
}

impl<'a> Arranger<'a> {
    fn space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// Passes over a byte that must come next.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.space();
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (*first == byte).then_some(())
    }

    fn next_is(&mut self, byte: u8) -> bool {
        self.space();
        self.rest.first() == Some(&byte)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        self.space();
        match self.rest.first()? {
            b'{' => self.object(depth),
            b'[' => self.array(depth),
            b'"' => {
                let text = self.text()?;
                self.out.extend_from_slice(text);
                Some(())
            }
            _ => {
                let length = self.rest.iter().position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\n'));
                let scalar = self.take(length.unwrap_or(self.rest.len()))?;
                self.out.extend_from_slice(scalar);
                (!scalar.is_empty()).then_some(())
            }
        }
    }

    /// A text with its quotes.
    fn text(&mut self) -> Option<&'a [u8]> {
        let mut length = 1;
        loop {
            let inner = self.rest.get(length..)?;
            let at = memchr::memchr2(b'"', b'\\', inner)?;
            length = length.checked_add(at)?.checked_add(1)?;
            if inner.get(at) == Some(&b'"') {
                return self.take(length);
            }
            length = length.checked_add(1)?;
        }
    }

    fn array(&mut self, depth: usize) -> Option<()> {
        self.expect(b'[')?;
        self.out.push(b'[');
        if !self.next_is(b']') {
            loop {
                self.value(depth)?;
                if !self.next_is(b',') {
                    break;
                }
                self.expect(b',')?;
                self.out.push(b',');
            }
        }
        self.expect(b']')?;
        self.out.push(b']');
        Some(())
    }

    fn object(&mut self, depth: usize) -> Option<()> {
        self.expect(b'{')?;
        let (start, first) = (self.out.len(), self.members.len());
        if !self.next_is(b'}') {
            loop {
                self.space();
                let key = self.text()?;
                if !key.iter().all(|byte| byte.is_ascii() && *byte != b'\\') {
                    return None;
                }
                let from = self.out.len();
                self.out.push(b',');
                self.out.extend_from_slice(key);
                self.expect(b':')?;
                self.out.push(b':');
                self.value(depth)?;
                self.members.push((key, from..self.out.len()));
                if !self.next_is(b',') {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.expect(b'}')?;
        let members = self.members.get_mut(first..)?;
        if !members.is_sorted_by(|(a, _), (b, _)| without_quotes(a) <= without_quotes(b)) {
            members.sort_unstable_by(|(a, _), (b, _)| without_quotes(a).cmp(without_quotes(b)));
            self.moved.clear();
            for (_, member) in members {
                self.moved.extend_from_slice(self.out.get(member.clone())?);
            }
            self.out.truncate(start);
            self.out.extend_from_slice(&self.moved);
        }
        self.members.truncate(first);
        match self.out.get_mut(start) {
            Some(comma) => *comma = b'{',
            None => self.out.push(b'{'),
        }
        self.out.push(b'}');
        Some(())
    }
}

/// A quote is less than what a longer key has in its place, or more.
fn without_quotes(key: &[u8]) -> &[u8] {
    key.get(1..key.len().saturating_sub(1)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::row::canonical_data;
    use super::*;

    #[test]
    fn keys_are_put_in_order_and_spaces_go() {
        for (text, expected) in [
            ("{}", Some("{}")),
            ("[ ]", Some("[]")),
            (
                r#"{"b": 1, "a": [1, {"d": "x \" y", "c": null}], "a!": 2}"#,
                Some(r#"{"a":[1,{"c":null,"d":"x \" y"}],"a!":2,"b":1}"#),
            ),
            (r#"{"n": 1.50, "e": 100000}"#, Some(r#"{"e":100000,"n":1.50}"#)),
            (r#"{"ä": 1}"#, None),
            (r#"{"\n": 1}"#, None),
            (r#"{"a" 1}"#, None),
            (r#"{"a": 1"#, None),
            (r#"{"a": }"#, None),
            ("{} x", None),
            ("\"x", None),
            ("", None),
        ] {
            assert_eq!(arranged(text).as_deref(), expected, "{text}");
        }
        assert_eq!(arranged(&"[".repeat(1_000_000)), None);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{0,4}", inner, 0..5).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    /// As PostgreSQL writes it: shorter keys first, and spaces.
    fn as_stored(value: &Value) -> String {
        match value {
            Value::Array(items) => {
                format!("[{}]", items.iter().map(as_stored).collect::<Vec<_>>().join(", "))
            }
            Value::Object(object) => {
                let mut members: Vec<(&String, &Value)> = object.iter().collect();
                members.sort_by_key(|(key, _)| (key.len(), *key));
                let members = members
                    .into_iter()
                    .map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), as_stored(value)));
                format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
            }
            other => canonical_data(other).to_string(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_arranged_is_canonical(value in value()) {
            if let Some(arranged) = arranged(&as_stored(&value)) {
                prop_assert_eq!(arranged.as_str(), &*canonical_data(&value));
            }
        }

        #[test]
        fn whatever_comes_there_is_an_end(text in "[\\[\\]{}\":,a\\\\ 1]{0,64}") {
            let _ = arranged(&text);
        }
    }
}
