//! Arguments checked in full and kept only as far as somebody will look.
//!
//! Whether a line can be read never depends on what is kept of it.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::incoming::Text;
use super::strict::{DUPLICATE, Inner, MAX_DEPTH, TOO_DEEP};
use crate::model::Resource;

/// Up to how many keys of one object are compared one by one.
const FEW: usize = 32;

/// Which of the arguments of an item are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keep {
    /// All.
    All,
    /// Those under these names.
    Named(Vec<String>),
}

/// Knows which arguments somebody will look at.
pub trait Wants: Sync {
    /// What to keep of the arguments of this item.
    fn wants(&self, item: &Resource<'_>) -> Keep;
}

/// Wants everything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Everything;

impl Wants for Everything {
    fn wants(&self, _: &Resource<'_>) -> Keep {
        Keep::All
    }
}

/// The arguments of one call.
pub(super) struct Kept<'k>(pub(super) &'k Keep);

impl<'de> DeserializeSeed<'de> for Kept<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Kept<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut kept = Map::new();
        let mut open = Keys::default();
        let start = open.begin();
        while let Some(Text(key)) = access.next_key::<Text<'de>>()? {
            let wanted = match self.0 {
                Keep::All => true,
                Keep::Named(names) => names.iter().any(|name| *name == *key),
            };
            if wanted {
                let name = key.clone().into_owned();
                open.add(&start, key)?;
                kept.insert(name, access.next_value_seed(Inner { depth: MAX_DEPTH })?);
            } else {
                open.add(&start, key)?;
                access.next_value_seed(Checked { depth: MAX_DEPTH, open: &mut open })?;
            }
        }
        Ok(kept)
    }
}

/// The arguments of one call in the place of those of the call before, so that what is alike needs no memory anew.
/// They are whole only where reading them succeeds.
pub(super) struct Again<'k> {
    /// At most [`MAX_AGAIN`].
    pub(super) names: &'k [String],
    pub(super) kept: &'k mut Map<String, Value>,
}

/// The most names that are kept in this way.
pub(super) const MAX_AGAIN: usize = 64;

impl<'de> DeserializeSeed<'de> for Again<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Again<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Self { names, kept } = self;
        let mut came = 0_u64;
        let mut open = Keys::default();
        let start = open.begin();
        while let Some(Text(key)) = access.next_key::<Text<'de>>()? {
            let Some(place) = names.iter().position(|name| *name == *key) else {
                open.add(&start, key)?;
                access.next_value_seed(Checked { depth: MAX_DEPTH, open: &mut open })?;
                continue;
            };
            if came & 1 << place != 0 {
                return Err(A::Error::custom(format_args!("{DUPLICATE} `{key}`")));
            }
            came |= 1 << place;
            if !kept.contains_key(&*key) {
                kept.insert(key.clone().into_owned(), Value::Null);
            }
            if let Some(value) = kept.get_mut(&*key) {
                access.next_value_seed(InPlace { value })?;
            }
        }
        let place = |name: &String| names.iter().position(|own| own == name);
        kept.retain(|name, _| place(name).is_some_and(|place| came & 1 << place != 0));
        Ok(())
    }
}

/// A value in the place of another.
struct InPlace<'v> {
    value: &'v mut Value,
}

const INNER: Inner = Inner { depth: MAX_DEPTH };

impl<'de> DeserializeSeed<'de> for InPlace<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for InPlace<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        INNER.visit_unit().map(|value| *self.value = value)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        INNER.visit_bool(value).map(|value| *self.value = value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        INNER.visit_i64(value).map(|value| *self.value = value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        INNER.visit_u64(value).map(|value| *self.value = value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        INNER.visit_f64(value).map(|value| *self.value = value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        match self.value {
            Value::String(text) => value.clone_into(text),
            other => *other = value.into(),
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        INNER.visit_seq(access).map(|value| *self.value = value)
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        INNER.visit_map(access).map(|value| *self.value = value)
    }
}

/// The keys of the objects that are being read, the outermost first.
#[derive(Default)]
struct Keys<'de> {
    all: Vec<Cow<'de, str>>,
    /// Of the objects with many keys, all their keys.
    many: Vec<(usize, HashSet<Cow<'de, str>>)>,
}

/// Where the keys of one object begin.
struct Start(usize);

impl<'de> Keys<'de> {
    fn begin(&self) -> Start {
        Start(self.all.len())
    }

    fn add<E: Error>(&mut self, start: &Start, key: Cow<'de, str>) -> Result<(), E> {
        let own = self.all.get(start.0..).unwrap_or(&[]);
        let twice = if own.len() < FEW {
            own.contains(&key)
        } else {
            if self.many.last().is_none_or(|(at, _)| *at != start.0) {
                self.many.push((start.0, own.iter().cloned().collect()));
            }
            self.many.last_mut().is_some_and(|(_, keys)| !keys.insert(key.clone()))
        };
        if twice {
            return Err(E::custom(format_args!("{DUPLICATE} `{key}`")));
        }
        self.all.push(key);
        Ok(())
    }

    fn end(&mut self, start: &Start) {
        self.all.truncate(start.0);
        self.many.retain(|(at, _)| *at < start.0);
    }
}

/// A value that is read and not kept.
struct Checked<'k, 'de> {
    depth: usize,
    open: &'k mut Keys<'de>,
}

impl<'de> Checked<'_, 'de> {
    fn deeper<E: Error>(&mut self) -> Result<Checked<'_, 'de>, E> {
        let depth = self.depth.checked_sub(1);
        let depth = depth.ok_or_else(|| E::custom(format_args!("{TOO_DEEP} {MAX_DEPTH} levels")))?;
        Ok(Checked { depth, open: &mut *self.open })
    }

    fn again(&mut self) -> Checked<'_, 'de> {
        Checked { depth: self.depth, open: &mut *self.open }
    }
}

impl<'de> DeserializeSeed<'de> for Checked<'_, 'de> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        Number::from_f64(value).map(drop).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        let mut inner = self.deeper()?;
        while access.next_element_seed(inner.again())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut access: A) -> Result<(), A::Error> {
        let mut inner = self.deeper()?;
        let start = inner.open.begin();
        while let Some(Text(key)) = access.next_key::<Text<'de>>()? {
            inner.open.add(&start, key)?;
            access.next_value_seed(inner.again())?;
        }
        inner.open.end(&start);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str, keep: &Keep) -> Result<Value, String> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let map = Kept(keep).deserialize(&mut deserializer).map_err(|e| e.to_string());
        let map = map.and_then(|map| deserializer.end().map(|()| map).map_err(|e| e.to_string()));
        if let Keep::Named(names) = keep {
            // In the place of others, whole or given up half way, it comes to the same.
            let mut kept = json!({"a": "longer than what comes", "b": [1], "z": {"x": null}, "other": 1})
                .as_object()
                .unwrap()
                .clone();
            for _ in 0..2 {
                let mut deserializer = serde_json::Deserializer::from_str(text);
                let again = Again { names, kept: &mut kept }.deserialize(&mut deserializer).map_err(|e| e.to_string());
                let again = again.and_then(|()| deserializer.end().map_err(|e| e.to_string()));
                assert_eq!(again.map(|()| kept.clone()), map, "{text}");
            }
        }
        map.map(Value::Object)
    }

    #[test]
    fn what_is_not_kept_is_checked_all_the_same() {
        let many = |last: &str| {
            let keys: Vec<String> = (0..60).map(|n| format!("\"k{n}\":{{\"a\":{n}}}")).collect();
            format!("{{\"x\":{{{},\"{last}\":1}},\"y\":[{{\"k1\":1}}]}}", keys.join(","))
        };
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(MAX_DEPTH + 1), "]".repeat(MAX_DEPTH + 1));
        for text in [
            r#"{"a":{"b":1,"b":2}}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":[{"b":1,"\u0062":2}]}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":1e999}"#,
            &many("k7"),
            &deep,
        ] {
            let whole = read(text, &Keep::All).unwrap_err();
            assert_eq!(read(text, &Keep::Named(vec![])).unwrap_err(), whole, "{text}");
            assert_eq!(read(text, &Keep::Named(vec!["a".into()])).unwrap_err(), whole, "{text}");
        }
        assert!(read(&many("new"), &Keep::Named(vec![])).is_ok());
    }

    #[test]
    fn only_what_is_named_is_kept() {
        for names in [vec![], vec!["a"], vec!["c", "b"], vec!["z", "c", "a"]] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            for text in ["{}", r#"{"a":"x","b":null,"c":[1]}"#, r#"{"c":-1,"a":1.5}"#, r#"{"b":{"a":true}}"#] {
                let Ok(Value::Object(all)) = read(text, &Keep::All) else { panic!("{text}") };
                let expected: Map<_, _> = all.into_iter().filter(|(name, _)| names.contains(name)).collect();
                assert_eq!(read(text, &Keep::Named(names.clone())).unwrap(), Value::Object(expected), "{text}");
            }
        }
        let text = r#"{"a":{"b":[1]},"\u0062":2,"c":3}"#;
        assert_eq!(read(text, &Keep::Named(vec!["b".into(), "z".into()])).unwrap(), json!({"b": 2}));
        assert_eq!(read(text, &Keep::All).unwrap(), json!({"a": {"b": [1]}, "b": 2, "c": 3}));
    }
}
