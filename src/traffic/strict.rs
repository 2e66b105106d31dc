//! JSON objects read so that no two parsers can read them differently: a duplicate key at any
//! depth is an error, and so is nesting deeper than [`MAX_DEPTH`].

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// How deep arguments may nest.
pub const MAX_DEPTH: usize = 64;

/// How the message of a duplicate key starts.
pub(super) const DUPLICATE: &str = "duplicate key";
/// How the message of too deep a nesting starts.
pub(super) const TOO_DEEP: &str = "nested deeper than";

/// Any JSON value without duplicate keys.
pub(super) struct StrictValue(pub Value);

impl<'de> Deserialize<'de> for StrictValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Inner { depth: MAX_DEPTH }.deserialize(deserializer).map(StrictValue)
    }
}

/// A JSON object without duplicate keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct StrictObject(pub Map<String, Value>);

impl<'de> Deserialize<'de> for StrictObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = StrictObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<StrictObject, A::Error> {
                entries(map, MAX_DEPTH).map(StrictObject)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// The entries of an object, which may nest `depth` levels below itself.
pub(super) fn entries<'de, A: MapAccess<'de>>(mut access: A, depth: usize) -> Result<Map<String, Value>, A::Error> {
    let mut map = Map::new();
    while let Some(key) = access.next_key::<String>()? {
        if map.contains_key(&key) {
            return Err(A::Error::custom(format_args!("{DUPLICATE} `{key}`")));
        }
        let value = access.next_value_seed(Inner { depth })?;
        map.insert(key, value);
    }
    Ok(map)
}

/// A value below an object, with the depth that is left.
#[derive(Clone, Copy)]
pub(super) struct Inner {
    pub(super) depth: usize,
}

impl Inner {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1);
        depth.map(|depth| Self { depth }).ok_or_else(|| E::custom(format_args!("{TOO_DEEP} {MAX_DEPTH} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Inner {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Inner {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(value) = access.next_element_seed(inner)? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        entries(access, self.deeper()?.depth).map(Value::Object)
    }
}

/// Lists of strings by name, without duplicate names.
pub(super) fn string_lists<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, Vec<String>>>, D::Error> {
    struct Lists;
    impl<'de> Visitor<'de> for Lists {
        type Value = BTreeMap<String, Vec<String>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of lists of strings")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut lists = BTreeMap::new();
            while let Some((name, values)) = access.next_entry::<String, Vec<String>>()? {
                if lists.contains_key(&name) {
                    return Err(A::Error::custom(format_args!("{DUPLICATE} `{name}`")));
                }
                lists.insert(name, values);
            }
            Ok(lists)
        }
    }
    deserializer.deserialize_map(Lists).map(Some)
}

/// An optional field that may be left out but not be `null`: what is not there says so by a list.
pub(super) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A struct written as an object. Without this an array of its values would do as well.
pub(super) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Only<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Only<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Only(PhantomData))
}

/// As [`object`], for a field that may be left out.
pub(super) fn present_object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(d: D) -> Result<Option<T>, D::Error> {
    object(d).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        serde_json::from_str::<StrictObject>(text).map(|o| Value::Object(o.0)).map_err(|e| e.to_string())
    }

    #[test]
    fn a_strict_object_is_what_serde_json_reads_when_there_is_nothing_wrong() {
        for text in [r"{}", r#"{"a":[1,-2,3.5,"x",null,true,{"b":{}}],"":18446744073709551615}"#] {
            assert_eq!(read(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn a_duplicate_key_at_any_depth_is_an_error() {
        assert!(read(r#"{"a":1,"a":1}"#).unwrap_err().starts_with(DUPLICATE));
        assert!(read(r#"{"a":[{"b":1,"\u0062":2}]}"#).unwrap_err().starts_with(DUPLICATE));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |n: usize| format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        assert!(read(&nested(MAX_DEPTH + 1)).unwrap_err().starts_with(TOO_DEEP));
        assert!(read(&nested(100_000)).is_err());
    }
}
