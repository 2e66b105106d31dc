//! Globs, matched in time linear in the text whatever the pattern.
//!
//! `*` is any run of characters, `?` one character, `\` takes the next character as it is. In a
//! [`PathGlob`] `*` and `?` stop at `/` and `**` does not. There are no classes, no alternatives
//! and no backtracking: a pattern is simulated as a set of positions, so it cannot blow up.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most pattern elements a glob may have.
pub const MAX_ELEMENTS: usize = 255;

/// A glob over a name: `*` matches every character.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameGlob(Glob);

/// A glob over a URI or an argument: `*` stops at `/`, `**` does not.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathGlob(Glob);

/// Why a text is not a glob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobError {
    /// Nothing in it.
    Empty,
    /// More than [`MAX_ELEMENTS`] elements.
    TooLong,
    /// A `\` with nothing after it.
    DanglingEscape,
}

impl fmt::Display for GlobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the pattern is empty: write `*` to match any text"),
            Self::TooLong => {
                write!(f, "the pattern has more than {MAX_ELEMENTS} elements: use fewer, or split it into several")
            }
            Self::DanglingEscape => f.write_str("the pattern ends in a lone `\\`: write `\\\\` for that character"),
        }
    }
}

impl std::error::Error for GlobError {}

macro_rules! glob_type {
    ($name:ident, $star_crosses_slash:literal) => {
        impl $name {
            /// Reads a pattern.
            pub fn new(text: &str) -> Result<Self, GlobError> {
                Glob::new(text, $star_crosses_slash).map(Self)
            }

            /// Whether the whole of `text` matches.
            pub fn matches(&self, text: &str) -> bool {
                self.0.matches(text)
            }

            /// The pattern as written.
            pub fn as_str(&self) -> &str {
                &self.0.text
            }

            /// The one text that matches, when the pattern has no wildcard.
            pub fn literal(&self) -> Option<&str> {
                match self.0.wild.as_deref() {
                    None => Some(&self.0.text),
                    Some(Wild { shape: Shape::Literal(text), .. }) => Some(text),
                    Some(_) => None,
                }
            }

            /// Whether every text matches.
            pub fn matches_everything(&self) -> bool {
                self.0.wild.as_ref().is_some_and(|wild| matches!(wild.shape, Shape::Everything))
            }

            /// The characters before the first wildcard.
            pub fn literal_prefix(&self) -> String {
                self.0.elements().map_while(|e| if let Element::Char(c) = e { Some(c) } else { None }).collect()
            }

            /// The pattern with a text for each wildcard.
            pub fn filled<'t>(&self, mut wildcard: impl FnMut() -> &'t str) -> String {
                let mut text = String::new();
                for element in self.0.elements() {
                    match element {
                        Element::Char(c) => text.push(c),
                        Element::One(_) | Element::Run(_) => text.push_str(wildcard()),
                    }
                }
                text
            }

            /// The pattern as a state machine, for analysis.
            pub fn machine(&self) -> &Glob {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0.text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0.text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0.text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

glob_type!(NameGlob, true);
glob_type!(PathGlob, false);

/// A pattern as a nondeterministic state machine over characters.
#[derive(Clone)]
pub struct Glob {
    // Shared: one pattern stands in several places of a policy.
    text: Arc<str>,
    /// `None` for a text that stands for itself: most names in a policy do, and a large policy has
    /// very many.
    wild: Option<Arc<Wild>>,
}

/// A pattern with a wildcard or an escape.
struct Wild {
    elements: Box<[Element]>,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Char(char),
    /// One character; with `false`, not `/`.
    One(bool),
    /// Any run; with `false`, without `/`.
    Run(bool),
}

/// The common shapes, matched without the state machine.
enum Shape {
    Literal(Box<str>),
    Prefix(Box<str>),
    Everything,
    General,
}

/// The set of pattern positions that a text so far may have reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct States([u64; 4]);

impl States {
    fn insert(&mut self, position: usize) {
        if let Some(word) = self.0.get_mut(position / 64) {
            *word |= 1 << (position % 64);
        }
    }

    fn contains(self, position: usize) -> bool {
        self.0.get(position / 64).is_some_and(|word| word & (1 << (position % 64)) != 0)
    }

    /// Whether no continuation can match.
    pub fn is_dead(self) -> bool {
        self.0 == [0; 4]
    }
}

impl Glob {
    fn new(text: &str, star_crosses_slash: bool) -> Result<Self, GlobError> {
        if !text.bytes().any(|b| matches!(b, b'*' | b'?' | b'\\')) {
            return match text.chars().take(MAX_ELEMENTS + 1).count() {
                0 => Err(GlobError::Empty),
                1..=MAX_ELEMENTS => Ok(Self { text: text.into(), wild: None }),
                _ => Err(GlobError::TooLong),
            };
        }
        let mut elements = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let element = match c {
                '*' => {
                    let mut crosses = star_crosses_slash;
                    while chars.next_if_eq(&'*').is_some() {
                        crosses = true;
                    }
                    Element::Run(crosses)
                }
                '?' => Element::One(star_crosses_slash),
                '\\' => Element::Char(chars.next().ok_or(GlobError::DanglingEscape)?),
                c => Element::Char(c),
            };
            elements.push(element);
            if elements.len() > MAX_ELEMENTS {
                return Err(GlobError::TooLong);
            }
        }
        if elements.is_empty() {
            return Err(GlobError::Empty);
        }
        let shape = Shape::of(&elements);
        Ok(Self { text: text.into(), wild: Some(Arc::new(Wild { elements: elements.into(), shape })) })
    }

    fn matches(&self, text: &str) -> bool {
        match self.wild.as_ref().map(|wild| &wild.shape) {
            None => *self.text == *text,
            Some(Shape::Literal(literal)) => **literal == *text,
            Some(Shape::Prefix(prefix)) => text.starts_with(&**prefix),
            Some(Shape::Everything) => true,
            Some(Shape::General) => self.simulate(text),
        }
    }

    fn elements(&self) -> impl Iterator<Item = Element> + '_ {
        let (plain, wild): (&str, &[Element]) = match &self.wild {
            None => (&self.text, &[]),
            Some(wild) => ("", &wild.elements),
        };
        plain.chars().map(Element::Char).chain(wild.iter().copied())
    }

    fn simulate(&self, text: &str) -> bool {
        let mut states = self.start();
        for c in text.chars() {
            if states.is_dead() {
                return false;
            }
            states = self.step(states, c);
        }
        self.accepts(states)
    }

    /// The states before the first character.
    pub fn start(&self) -> States {
        let mut states = States::default();
        self.enter(&mut states, 0);
        states
    }

    /// The states after one more character.
    #[must_use]
    pub fn step(&self, states: States, c: char) -> States {
        let mut next = States::default();
        for (position, element) in self.elements().enumerate() {
            if !states.contains(position) {
                continue;
            }
            match element {
                Element::Char(wanted) if wanted == c => self.enter(&mut next, position + 1),
                Element::One(crosses) if crosses || c != '/' => self.enter(&mut next, position + 1),
                Element::Run(crosses) if crosses || c != '/' => self.enter(&mut next, position),
                _ => {}
            }
        }
        next
    }

    /// Whether a text that ends here matches.
    pub fn accepts(&self, states: States) -> bool {
        states.contains(self.len())
    }

    /// The characters that the pattern names.
    pub fn alphabet(&self) -> impl Iterator<Item = char> + '_ {
        self.elements().filter_map(|e| if let Element::Char(c) = e { Some(c) } else { None })
    }

    /// How many elements the pattern has.
    pub fn len(&self) -> usize {
        self.wild.as_ref().map_or_else(|| self.text.chars().count(), |wild| wild.elements.len())
    }

    /// Never: an empty pattern is refused.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Adds a position and those reachable from it without a character.
    fn enter(&self, states: &mut States, mut position: usize) {
        loop {
            states.insert(position);
            match self.wild.as_ref().and_then(|wild| wild.elements.get(position)) {
                Some(Element::Run(_)) => position += 1,
                _ => return,
            }
        }
    }
}

impl Shape {
    fn of(elements: &[Element]) -> Self {
        let literal: String =
            elements.iter().map_while(|e| if let Element::Char(c) = e { Some(*c) } else { None }).collect();
        match elements.get(literal.chars().count()..) {
            Some([]) => Self::Literal(literal.into()),
            Some([Element::Run(true)]) if literal.is_empty() => Self::Everything,
            Some([Element::Run(true)]) => Self::Prefix(literal.into()),
            _ => Self::General,
        }
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Glob {}

impl PartialOrd for Glob {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Glob {
    fn cmp(&self, other: &Self) -> Ordering {
        self.text.cmp(&other.text)
    }
}

impl std::hash::Hash for Glob {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The obvious recursive matcher, exponential and plainly right.
    fn naive(pattern: &[Element], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([Element::Run(crosses), rest @ ..], _) => {
                naive(rest, text) || matches!(text, [c, after @ ..] if (*crosses || *c != '/') && naive(pattern, after))
            }
            ([Element::One(crosses), rest @ ..], [c, after @ ..]) => (*crosses || *c != '/') && naive(rest, after),
            ([Element::Char(p), rest @ ..], [c, after @ ..]) => p == c && naive(rest, after),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn globs_agree_with_the_naive_matcher(pattern in "[ab/*?]{1,8}", text in "[ab/]{0,8}") {
            let chars: Vec<char> = text.chars().collect();
            for crosses in [false, true] {
                let glob = Glob::new(&pattern, crosses).unwrap();
                prop_assert_eq!(glob.matches(&text), naive(&glob.elements().collect::<Vec<_>>(), &chars), "{} on {}", pattern, text);
                prop_assert_eq!(glob.simulate(&text), glob.matches(&text));
            }
        }
    }

    #[test]
    fn a_star_in_a_path_stops_at_a_slash_and_in_a_name_does_not() {
        assert!(!PathGlob::new("/srv/*").unwrap().matches("/srv/a/b"));
        assert!(PathGlob::new("/srv/**").unwrap().matches("/srv/a/b"));
        assert!(NameGlob::new("get*").unwrap().matches("get/x"));
        assert!(PathGlob::new(r"a\*").unwrap().matches("a*"));
    }

    #[test]
    fn a_pattern_made_to_blow_up_stays_fast() {
        let glob = PathGlob::new(&"*a".repeat(127)).unwrap();
        assert!(!glob.matches(&"a".repeat(20_000).replace("aaaa", "aaa/")));
        assert_eq!(PathGlob::new(&"a".repeat(256)), Err(GlobError::TooLong));
        assert_eq!(PathGlob::new(""), Err(GlobError::Empty));
        assert_eq!(PathGlob::new("a\\"), Err(GlobError::DanglingEscape));
    }
}
