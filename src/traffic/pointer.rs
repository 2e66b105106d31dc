//! The lists of a recorded event that say why a field is not there.
//!
//! A pointer that names no field, or a field that is there, is an error: a recording never
//! contradicts itself.

use std::collections::BTreeSet;

use super::event::Field;
use crate::model::{Fact, Withheld, WithheldBecause};

macro_rules! optional_fields {
    ($($name:ident = $pointer:literal,)+) => {
        /// The optional fields of an event, in the order in which pointers to them are written.
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(super) enum Optional {
            $($name,)+
        }

        impl Optional {
            const COUNT: usize = [$($pointer),+].len();
            const ALL: [Self; Self::COUNT] = [$(Self::$name),+];

            /// A set of fields is a sum of these.
            pub(super) const fn bit(self) -> u32 {
                1 << self as u32
            }

            pub(super) const fn pointer(self) -> &'static str {
                match self {
                    $(Self::$name => $pointer,)+
                }
            }

            fn parse(pointer: &str) -> Option<Self> {
                match pointer {
                    $($pointer => Some(Self::$name),)+
                    _ => None,
                }
            }
        }
    };
}

optional_fields! {
    Id = "/id",
    Era = "/era",
    Arguments = "/arguments",
    Issuer = "/subject/issuer",
    Sub = "/subject/sub",
    Agent = "/subject/agent",
    Groups = "/subject/groups",
    Claims = "/subject/claims",
    Aud = "/token/aud",
    Scopes = "/token/scopes",
    Iat = "/token/iat",
    Exp = "/token/exp",
    Nbf = "/token/nbf",
    Session = "/session",
}

/// Why a field is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Absent,
    Redacted,
    Truncated,
}

/// What the lists of one event say.
#[derive(Debug, Default)]
pub(super) struct Statuses {
    of: [Option<Why>; Optional::COUNT],
    /// Those of which a list says something, as a set.
    listed: u32,
    pub(super) withheld: Vec<Withheld>,
    /// The pointers in `withheld`, to find one that is there twice however many there are.
    inside: BTreeSet<String>,
}

impl Statuses {
    /// Reads one list. Only values inside arguments can be `unrecorded` by name.
    pub(super) fn add(&mut self, list: Vec<String>, why: Option<Why>) -> Result<(), String> {
        for pointer in list {
            if let Some(inner) = pointer.strip_prefix("/arguments").filter(|inner| inner.starts_with('/')) {
                let because = match why {
                    Some(Why::Redacted) => WithheldBecause::Redacted,
                    Some(Why::Truncated) => WithheldBecause::Truncated,
                    None => WithheldBecause::NotRecorded,
                    Some(Why::Absent) => return Err(format!("`{pointer}` in `absent` says nothing: leave it out")),
                };
                let escapes = inner.bytes().zip(inner.bytes().skip(1).map(Some).chain([None]));
                if escapes.into_iter().any(|(a, b)| a == b'~' && !matches!(b, Some(b'0' | b'1'))) {
                    return Err(format!("`{pointer}` is not a JSON Pointer"));
                }
                if !self.inside.insert(inner.to_owned()) {
                    return Err(format!("`{pointer}` is listed twice"));
                }
                self.withheld.push(Withheld { pointer: inner.to_owned(), because });
                continue;
            }
            let (Some(field), Some(_)) = (Optional::parse(&pointer), why) else {
                return Err(format!("`{pointer}` is no field that can be missing in this way"));
            };
            self.listed |= field.bit();
            match self.of.get_mut(field as usize) {
                Some(slot @ None) => *slot = why,
                _ => return Err(format!("`{pointer}` is listed twice")),
            }
        }
        Ok(())
    }

    /// Whether a field of this set is there although a list says that it is not.
    pub(super) fn contradict(&self, present: u32) -> Result<(), String> {
        if self.listed & present == 0 {
            return Ok(());
        }
        let listed = |field: &&Optional| self.why(**field).is_some() && present & field.bit() != 0;
        match Optional::ALL.iter().find(listed) {
            Some(field) => Err(format!("`{}` is there and is listed as missing", field.pointer())),
            None => Ok(()),
        }
    }

    fn why(&self, field: Optional) -> Option<Why> {
        self.of.get(field as usize).copied().flatten()
    }

    /// A field's value, or what the lists say of it.
    pub(super) fn join<T>(&self, field: Optional, value: Option<T>) -> Field<T> {
        match (value, self.why(field)) {
            (Some(value), _) => Field::Present(value),
            (None, Some(Why::Absent)) => Field::Absent,
            (None, Some(Why::Redacted)) => Field::Redacted,
            (None, Some(Why::Truncated)) => Field::Truncated,
            (None, None) => Field::NotRecorded,
        }
    }

    /// What can be known of a field.
    pub(super) fn fact<T>(&self, field: Optional, value: Option<T>) -> Fact<T> {
        match (value, self.why(field)) {
            (Some(value), _) => Fact::Known(value),
            (None, Some(Why::Absent)) => Fact::Absent,
            (None, _) => Fact::Unknown,
        }
    }
}

/// The lists of one event, as they are written.
#[derive(Default)]
pub(super) struct Lists {
    pub(super) absent: Vec<String>,
    pub(super) redacted: Vec<String>,
    pub(super) truncated: Vec<String>,
    pub(super) unrecorded: Vec<String>,
}

impl Lists {
    /// Takes a field apart: the value to write, if there is one, and otherwise why there is not.
    pub(super) fn split<'a, T>(&mut self, field: Optional, value: &'a Field<T>) -> Option<&'a T> {
        let list = match value {
            Field::Present(value) => return Some(value),
            Field::NotRecorded => return None,
            Field::Absent => &mut self.absent,
            Field::Redacted => &mut self.redacted,
            Field::Truncated => &mut self.truncated,
        };
        list.push(field.pointer().to_owned());
        None
    }

    /// Lists what is withheld inside arguments.
    pub(super) fn withhold(&mut self, withheld: &[Withheld]) {
        for Withheld { pointer, because } in withheld {
            let list = match because {
                WithheldBecause::Redacted => &mut self.redacted,
                WithheldBecause::Truncated => &mut self.truncated,
                WithheldBecause::NotRecorded => &mut self.unrecorded,
            };
            list.push(format!("/arguments{pointer}"));
        }
    }
}
