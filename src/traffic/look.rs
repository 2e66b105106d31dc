//! Looks whether a secret stands in anything that has a JSON form, without making that form.
//!
//! It only looks: what has one is masked by whoever shows it. Names of fields are the program's own and hold none.

use std::fmt::{self, Display};

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use crate::policy::holds_secret;

/// How many texts without a secret are remembered.
const MOST_CLEAN: usize = 1 << 16;

/// Whether a secret stands in any text or key of a value. One that cannot be looked at counts as one.
pub(crate) fn holds_any_secret(value: &impl Serialize) -> bool {
    value.serialize(&mut Look::default()).is_err()
}

#[derive(Default)]
struct Look {
    /// Most texts come many times.
    clean: HashSet<String, FixedState>,
}

/// A secret was found.
#[derive(Debug)]
struct Secret;

impl Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is a secret")
    }
}

impl std::error::Error for Secret {}

impl serde::ser::Error for Secret {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

type Looked = Result<(), Secret>;

/// What holds no text.
macro_rules! nothing {
    ($($method:ident: $type:ty,)+) => {
        $(fn $method(self, _: $type) -> Looked {
            Ok(())
        })+
    };
}

impl Serializer for &mut Look {
    type Ok = ();
    type Error = Secret;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    nothing! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_u64: u64,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_unit_struct: &'static str,
    }

    fn serialize_str(self, text: &str) -> Looked {
        if self.clean.contains(text) {
            return Ok(());
        }
        if holds_secret(text) {
            return Err(Secret);
        }
        if self.clean.len() < MOST_CLEAN {
            self.clean.insert(text.to_owned());
        }
        Ok(())
    }
    fn serialize_bytes(self, _: &[u8]) -> Looked {
        Err(Secret)
    }

    fn serialize_char(self, one: char) -> Looked {
        self.serialize_str(one.encode_utf8(&mut [0; 4]))
    }

    fn serialize_none(self) -> Looked {
        Ok(())
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Looked {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Looked {
        Ok(())
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Looked {
        Ok(())
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Looked {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        value: &T,
    ) -> Looked {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, Secret> {
        Ok(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self, Secret> {
        Ok(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self, Secret> {
        Ok(self)
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self, Secret> {
        Ok(self)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self, Secret> {
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, Secret> {
        Ok(self)
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Self, Secret> {
        Ok(self)
    }
}

/// What has parts: each is looked at.
macro_rules! parts {
    ($($of:ident: $method:ident($($name:ty)?),)+) => {
        $(impl $of for &mut Look {
            type Ok = ();
            type Error = Secret;

            fn $method<T: ?Sized + Serialize>(&mut self, $(_: $name,)? value: &T) -> Looked {
                value.serialize(&mut **self)
            }

            fn end(self) -> Looked {
                Ok(())
            }
        })+
    };
}

parts! {
    SerializeSeq: serialize_element(),
    SerializeTuple: serialize_element(),
    SerializeTupleStruct: serialize_field(),
    SerializeTupleVariant: serialize_field(),
    SerializeStruct: serialize_field(&'static str),
    SerializeStructVariant: serialize_field(&'static str),
}

impl SerializeMap for &mut Look {
    type Ok = ();
    type Error = Secret;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Looked {
        key.serialize(&mut **self)
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Looked {
        value.serialize(&mut **self)
    }

    fn end(self) -> Looked {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[derive(serde::Serialize)]
    enum Shape {
        Word,
        One(String),
        Two(u8, String),
        Named { list: Vec<Option<String>> },
    }

    #[derive(serde::Serialize)]
    struct Whole(BTreeMap<String, Shape>, (char, String));

    #[test]
    fn a_secret_is_found_wherever_it_stands() {
        let secret = "ghp_0123456789abcdefghij0123456789abcdef";
        assert!(holds_secret(secret));
        let whole = |key: &str, shape, text: &str| Whole([(key.to_owned(), shape)].into(), ('x', text.to_owned()));
        assert!(!holds_any_secret(&whole("a", Shape::Word, "b")));
        assert!(!holds_any_secret(&whole("a", Shape::Named { list: vec![None, Some("b".to_owned())] }, "b")));
        assert!(!holds_any_secret(&json!({ "a": [1, 2.5, true, null, "b"] })));
        let text = || secret.to_owned();
        for one in [
            whole(secret, Shape::Word, "b"),
            whole("a", Shape::One(text()), "b"),
            whole("a", Shape::Two(1, text()), "b"),
            whole("a", Shape::Named { list: vec![None, Some(text())] }, "b"),
            whole("a", Shape::Word, secret),
        ] {
            assert!(holds_any_secret(&one));
        }
        assert!(holds_any_secret(&json!({ "a": ["b", { "c": secret }] })));
    }
}
