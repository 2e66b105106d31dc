//! Argument matchers: what a statement asks of one value in `arguments`.
//!
//! A matcher never guesses. A value that is missing or of another type is [`Match::Unfit`], which
//! fails a grant and satisfies a deny; a value that was not recorded is [`Match::Unknown`]. Nothing
//! makes a missing value escape a deny: `optional` excuses it from a grant alone.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::argument::{ArgPath, HostPattern, PathPrefix, Scalar, canonical_host, normal_path};
use super::glob::PathGlob;
use super::number::Number;
use crate::model::Arguments;

/// How a value answers a matcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Match {
    /// The value is as asked.
    Yes,
    /// The value is of the right type and not as asked.
    No,
    /// The value is missing, of another type, or in a form that cannot be judged safely.
    Unfit,
    /// The value is missing and the matcher is `optional`: fine for a grant, and met for a deny.
    Excused,
    /// The value was not recorded.
    Unknown,
}

/// One test on a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Test {
    /// Whether there is a value at all (`null` counts as one).
    Present(bool),
    /// The same scalar; numbers by value.
    Eq(Scalar),
    /// One of these scalars. Sorted.
    OneOf(Vec<Scalar>),
    /// A number at least this.
    Min(Number),
    /// A number at most this.
    Max(Number),
    /// A string that one of these globs matches. Sorted.
    Glob(Vec<PathGlob>),
    /// A string that starts with one of these. Sorted.
    Prefix(Vec<String>),
    /// An absolute path at or below one of these, judged on its text alone. Sorted.
    Under(Vec<PathPrefix>),
    /// A URL whose host is one of these. Sorted.
    Host(Vec<HostPattern>),
    /// A string of at most so many characters.
    MaxLen(u32),
    /// An array of at most so many elements.
    MaxItems(u32),
    /// An array of which every element fits.
    Each(Matcher),
    /// An array of which at least one element fits.
    Any(Matcher),
}

/// Tests on one value; all must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// Whether a missing value is fine for a grant. In a deny it changes nothing, and no source may say it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// The tests, sorted.
    pub tests: Vec<Test>,
}

/// Matchers by the place they look at, each place once and in order.
// Shared: the statement that says them and the index that a decision reads hold the same list.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ArgRules(Arc<[(ArgPath, Matcher)]>);

/// The answer of a whole set of [`ArgRules`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgsOutcome<'p> {
    /// Every rule holds.
    Hold,
    /// This rule does not hold.
    Fail(&'p ArgPath),
    /// It depends on this value, which was not recorded.
    Unknown(&'p ArgPath),
}

impl Test {
    /// How a present value answers.
    pub fn on(&self, value: &Value) -> Match {
        let yes = |holds: bool| if holds { Match::Yes } else { Match::No };
        match self {
            Self::Present(wanted) => yes(*wanted),
            Self::Eq(scalar) => scalar.compare(value),
            Self::OneOf(scalars) => best(scalars.iter().map(|s| s.compare(value))),
            Self::Min(bound) => Number::of(value).map_or(Match::Unfit, |n| yes(n >= *bound)),
            Self::Max(bound) => Number::of(value).map_or(Match::Unfit, |n| yes(n <= *bound)),
            Self::Glob(globs) => value.as_str().map_or(Match::Unfit, |s| yes(globs.iter().any(|g| g.matches(s)))),
            Self::Prefix(list) => {
                value.as_str().map_or(Match::Unfit, |s| yes(list.iter().any(|p| s.starts_with(p.as_str()))))
            }
            Self::Under(list) => value
                .as_str()
                .filter(|s| normal_path(s))
                .map_or(Match::Unfit, |s| yes(list.iter().any(|p| p.contains(s)))),
            Self::Host(list) => value
                .as_str()
                .and_then(canonical_host)
                .map_or(Match::Unfit, |host| yes(list.iter().any(|p| p.matches(host)))),
            Self::MaxLen(limit) => {
                // A string has at least one character for each four bytes: no need to count a long one.
                value.as_str().map_or(Match::Unfit, |s| {
                    let limit = *limit as usize;
                    yes(s.len() <= limit || (s.len() / 4 <= limit && s.chars().count() <= limit))
                })
            }
            Self::MaxItems(limit) => value.as_array().map_or(Match::Unfit, |list| yes(list.len() <= *limit as usize)),
            Self::Each(matcher) => {
                value.as_array().map_or(Match::Unfit, |list| worst(list.iter().map(|v| matcher.on(Some(v)))))
            }
            Self::Any(matcher) => {
                value.as_array().map_or(Match::Unfit, |list| best(list.iter().map(|v| matcher.on(Some(v)))))
            }
        }
    }
}

/// `No` beats `Unfit` beats `Yes`; nothing at all is `Yes`.
fn worst(outcomes: impl Iterator<Item = Match>) -> Match {
    let mut worst = Match::Yes;
    for outcome in outcomes {
        match outcome {
            Match::No => return Match::No,
            Match::Yes | Match::Excused => {}
            Match::Unfit | Match::Unknown => worst = Match::Unfit,
        }
    }
    worst
}

/// `Yes` beats `Unfit` beats `No`; nothing at all is `No`.
fn best(outcomes: impl Iterator<Item = Match>) -> Match {
    let mut best = Match::No;
    for outcome in outcomes {
        match outcome {
            Match::Yes => return Match::Yes,
            Match::No | Match::Excused => {}
            Match::Unfit | Match::Unknown => best = Match::Unfit,
        }
    }
    best
}

impl Matcher {
    /// How a value, or its absence, answers. Never [`Match::Unknown`].
    pub fn on(&self, value: Option<&Value>) -> Match {
        match value {
            Some(value) => worst(self.tests.iter().map(|t| t.on(value))),
            None => match self.presence() {
                Some(true) => Match::No,
                Some(false) => Match::Yes,
                None if self.optional => Match::Excused,
                None => Match::Unfit,
            },
        }
    }

    /// Whether the matcher asks for presence or absence in so many words.
    fn presence(&self) -> Option<bool> {
        self.tests.iter().find_map(|t| if let Test::Present(wanted) = t { Some(*wanted) } else { None })
    }
}

impl ArgRules {
    /// Matchers that are in order already, each place once.
    pub(super) fn in_order(rules: Vec<(ArgPath, Matcher)>) -> Self {
        Self(rules.into())
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each place with its matcher, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ArgPath, &Matcher)> {
        self.0.iter().map(|(path, matcher)| (path, matcher))
    }

    /// The matcher of a place.
    pub fn get(&self, path: &ArgPath) -> Option<&Matcher> {
        self.0.iter().find(|(own, _)| own == path).map(|(_, matcher)| matcher)
    }

    /// For a grant or a declaration: every value must be known and as asked.
    pub fn permit(&self, arguments: &Arguments<'_>) -> ArgsOutcome<'_> {
        fold(self, arguments, permits)
    }

    /// For a deny: holds unless some value is known, judgeable and not as asked.
    pub fn forbid(&self, arguments: &Arguments<'_>) -> ArgsOutcome<'_> {
        fold(self, arguments, forbids)
    }

    /// Every rule that does not hold, or not for certain, and whether that is known; for a deny with `forbid`.
    pub(crate) fn failing<'p, 'v>(
        &'p self,
        arguments: Arguments<'v>,
        forbid: bool,
    ) -> impl Iterator<Item = (&'p ArgPath, &'p Matcher, bool)> + use<'p, 'v> {
        let holds = if forbid { forbids } else { permits };
        self.iter().filter_map(move |(path, matcher)| match path.find(&arguments, matcher) {
            Match::Unknown => Some((path, matcher, false)),
            outcome => (!holds(outcome)).then_some((path, matcher, true)),
        })
    }
}

const fn permits(outcome: Match) -> bool {
    matches!(outcome, Match::Yes | Match::Excused)
}

const fn forbids(outcome: Match) -> bool {
    matches!(outcome, Match::Yes | Match::Unfit | Match::Excused)
}

impl From<BTreeMap<ArgPath, Matcher>> for ArgRules {
    fn from(rules: BTreeMap<ArgPath, Matcher>) -> Self {
        Self(rules.into_iter().collect())
    }
}

impl Serialize for ArgRules {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for ArgRules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from)
    }
}

fn fold<'p>(rules: &'p ArgRules, arguments: &Arguments<'_>, holds: impl Fn(Match) -> bool) -> ArgsOutcome<'p> {
    let mut unknown = None;
    for (path, matcher) in rules.iter() {
        match path.find(arguments, matcher) {
            Match::Unknown => unknown = unknown.or(Some(path)),
            outcome if holds(outcome) => {}
            _ => return ArgsOutcome::Fail(path),
        }
    }
    unknown.map_or(ArgsOutcome::Hold, ArgsOutcome::Unknown)
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn list<T: fmt::Display>(f: &mut fmt::Formatter<'_>, key: &str, items: &[T]) -> fmt::Result {
            write!(f, "{key} = ")?;
            if let [one] = items {
                return write!(f, "\"{one}\"");
            }
            f.write_str("[")?;
            for (i, item) in items.iter().enumerate() {
                write!(f, "{}\"{item}\"", if i == 0 { "" } else { ", " })?;
            }
            f.write_str("]")
        }
        match self {
            Self::Present(wanted) => write!(f, "present = {wanted}"),
            Self::Eq(scalar) => write!(f, "eq = {scalar}"),
            Self::OneOf(scalars) => {
                let text: Vec<String> = scalars.iter().map(ToString::to_string).collect();
                write!(f, "one_of = [{}]", text.join(", "))
            }
            Self::Min(bound) => write!(f, "min = {bound}"),
            Self::Max(bound) => write!(f, "max = {bound}"),
            Self::Glob(globs) => list(f, "glob", globs),
            Self::Prefix(prefixes) => list(f, "prefix", prefixes),
            Self::Under(paths) => list(f, "under", paths),
            Self::Host(hosts) => list(f, "host", hosts),
            Self::MaxLen(limit) => write!(f, "max_len = {limit}"),
            Self::MaxItems(limit) => write!(f, "max_items = {limit}"),
            Self::Each(matcher) => write!(f, "each = {matcher}"),
            Self::Any(matcher) => write!(f, "any = {matcher}"),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ ")?;
        for (i, test) in self.tests.iter().enumerate() {
            write!(f, "{}{test}", if i == 0 { "" } else { ", " })?;
        }
        if self.optional {
            f.write_str(", optional = true")?;
        }
        f.write_str(" }")
    }
}
