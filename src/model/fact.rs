//! A fact about a request, and whether it is known.

use serde::{Deserialize, Serialize};

/// A fact that a policy may ask about.
///
/// `Absent` is knowledge (the token has no such claim); `Unknown` is the lack of it (a recording
/// that did not keep the field). Nothing that is `Unknown` may ever lead to an allow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact<T> {
    /// The value is known.
    Known(T),
    /// It is known that there is no value.
    Absent,
    /// Nothing is known.
    #[default]
    Unknown,
}

impl<T> Fact<T> {
    /// The known value, if there is one.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Unknown => None,
        }
    }

    /// Applies `f` to a known value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Fact<U> {
        match self {
            Self::Known(value) => Fact::Known(f(value)),
            Self::Absent => Fact::Absent,
            Self::Unknown => Fact::Unknown,
        }
    }

    /// The same fact, by reference.
    pub fn as_ref(&self) -> Fact<&T> {
        match self {
            Self::Known(value) => Fact::Known(value),
            Self::Absent => Fact::Absent,
            Self::Unknown => Fact::Unknown,
        }
    }

    /// Whether nothing is known.
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }
}

/// A list of strings borrowed from whoever holds it, so that building a request copies nothing.
#[derive(Clone, Copy, Debug)]
pub enum Strings<'a> {
    /// A slice of borrowed strings.
    Borrowed(&'a [&'a str]),
    /// A slice of owned strings.
    Owned(&'a [String]),
}

impl<'a> Strings<'a> {
    /// The empty list.
    pub const EMPTY: Strings<'static> = Strings::Borrowed(&[]);

    /// The strings, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a str> + Clone {
        let (borrowed, owned): (&'a [&'a str], &'a [String]) = match self {
            Self::Borrowed(list) => (list, &[]),
            Self::Owned(list) => (&[], list),
        };
        borrowed.iter().copied().chain(owned.iter().map(String::as_str))
    }

    /// Whether the list holds `wanted`.
    pub fn contains(self, wanted: &str) -> bool {
        match self {
            Self::Borrowed(list) => list.contains(&wanted),
            Self::Owned(list) => list.iter().any(|s| s == wanted),
        }
    }
}

impl<'a> From<&'a [&'a str]> for Strings<'a> {
    fn from(list: &'a [&'a str]) -> Self {
        Self::Borrowed(list)
    }
}

impl<'a, const N: usize> From<&'a [&'a str; N]> for Strings<'a> {
    fn from(list: &'a [&'a str; N]) -> Self {
        Self::Borrowed(list)
    }
}

impl<'a> From<&'a [String]> for Strings<'a> {
    fn from(list: &'a [String]) -> Self {
        Self::Owned(list)
    }
}

impl<'a> From<&'a Vec<String>> for Strings<'a> {
    fn from(list: &'a Vec<String>) -> Self {
        Self::Owned(list)
    }
}
