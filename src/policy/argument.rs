//! Places in `arguments`, and the values that matchers compare with.
//!
//! Paths and hosts are judged on their text alone: nothing here resolves, decodes or looks up. A
//! text that another parser could read differently is not judged at all.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::matcher::{Match, Matcher};
use super::number::Number;
use crate::model::Arguments;

/// The most segments an argument path may have.
pub const MAX_SEGMENTS: usize = 16;

/// A place in `arguments`: `customer.address.country`, or a JSON Pointer (RFC 6901).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ArgPath {
    // Shared: a compiled policy keeps a path where a decision reads it and where it was written.
    pointer: Arc<str>,
    /// `None` where the pointer is `/` and the one segment as it is, as for most paths.
    parts: Option<Arc<Parts>>,
}

/// What cannot be read off the pointer.
#[derive(PartialEq, Eq, Hash)]
struct Parts {
    segments: Box<[Box<str>]>,
    text: Box<str>,
}

/// Why a text is not an argument path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgPathError;

impl fmt::Display for ArgPathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an argument path has 1 to {MAX_SEGMENTS} non-empty segments, as `a.b` or `/a/b`")
    }
}

impl std::error::Error for ArgPathError {}

impl ArgPath {
    /// Reads `a.b` or `/a/b`.
    pub fn new(text: &str) -> Result<Self, ArgPathError> {
        if !text.is_empty() && !text.contains(['.', '/', '~']) {
            return Ok(Self { pointer: ["/", text].concat().into(), parts: None });
        }
        let segments: Vec<Box<str>> = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').map(|s| s.replace("~1", "/").replace("~0", "~").into()).collect(),
            None => text.split('.').map(Into::into).collect(),
        };
        if segments.len() > MAX_SEGMENTS || (segments.iter().any(|s| s.is_empty()) && !text.starts_with('/')) {
            return Err(ArgPathError);
        }
        // One way of writing for one place, so that the digest does not see the other.
        let dotted = segments.iter().all(|s| !s.is_empty() && !s.contains(['.', '/', '~']));
        if let ([only], true) = (segments.as_slice(), dotted) {
            return Self::new(only);
        }
        let pointer: String =
            segments.iter().map(|s| format!("/{}", s.replace('~', "~0").replace('/', "~1"))).collect();
        let text = if dotted { segments.join(".") } else { pointer.clone() };
        Ok(Self {
            pointer: pointer.into(),
            parts: Some(Arc::new(Parts { segments: segments.into(), text: text.into() })),
        })
    }

    /// The one segment of a path that is nothing more.
    fn only(&self) -> Option<&str> {
        if self.parts.is_none() { self.pointer.get(1..) } else { None }
    }

    /// The path in its shortest form.
    pub fn as_str(&self) -> &str {
        self.parts.as_ref().map_or_else(|| self.only().unwrap_or(""), |parts| &parts.text)
    }

    /// The path as a JSON Pointer.
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// The segments, unescaped.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        let more = self.parts.as_ref().map_or(&[][..], |parts| &parts.segments);
        self.only().into_iter().chain(more.iter().map(|s| &**s))
    }

    /// Whether this place is another one, or a part of it.
    pub fn is_within(&self, whole: &Self) -> bool {
        is_under(&self.pointer, &whole.pointer)
    }

    /// What is at this place.
    pub fn look<'v>(&self, arguments: &Arguments<'v>) -> Found<'v> {
        let mut segments = self.segments();
        let Some(mut value) = segments.next().and_then(|first| arguments.object?.get(first)) else {
            return Found::Nothing;
        };
        for segment in segments {
            let next = match value {
                Value::Object(map) => map.get(segment),
                Value::Array(list) => match array_index(segment) {
                    Some(index) => list.get(index),
                    None => return Found::Blocked,
                },
                _ => return Found::Blocked,
            };
            let Some(next) = next else { return Found::Nothing };
            value = next;
        }
        Found::Value(value)
    }

    /// How the value at this place answers `matcher`.
    pub(super) fn find(&self, arguments: &Arguments<'_>, matcher: &Matcher) -> Match {
        if self.is_withheld(arguments) {
            return Match::Unknown;
        }
        self.answer(arguments, matcher)
    }

    /// Whether the value at this place, or a part of it, was not recorded.
    pub(crate) fn is_withheld(&self, arguments: &Arguments<'_>) -> bool {
        arguments.withheld.iter().any(|w| touches(&w.pointer, &self.pointer))
    }

    /// As [`ArgPath::find`], of arguments of which nothing is withheld.
    pub(crate) fn answer(&self, arguments: &Arguments<'_>, matcher: &Matcher) -> Match {
        match self.look(arguments) {
            Found::Value(value) => matcher.on(Some(value)),
            Found::Nothing => matcher.on(None),
            Found::Blocked => Match::Unfit,
        }
    }
}

/// What is at a place in arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Found<'v> {
    /// This value.
    Value(&'v Value),
    /// Nothing: it was left out.
    Nothing,
    /// Nothing can be there, for a value on the way has no parts of that name. It is not merely
    /// left out: a server may find more in that value than its JSON shows, as in a text of JSON.
    Blocked,
}

/// Whether one pointer lies at or under the other.
pub(crate) fn touches(a: &str, b: &str) -> bool {
    is_under(a, b) || is_under(b, a)
}

fn is_under(long: &str, short: &str) -> bool {
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An array index as RFC 6901 writes it: no sign, no leading zero.
fn array_index(segment: &str) -> Option<usize> {
    let canonical = segment == "0" || (!segment.starts_with('0') && segment.bytes().all(|b| b.is_ascii_digit()));
    canonical.then(|| segment.parse().ok()).flatten()
}

/// A string, number or boolean.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A string.
    String(String),
}

impl Scalar {
    /// How a value compares: unfit when it is of another type.
    pub fn compare(&self, value: &Value) -> Match {
        let equal = match (self, value) {
            (Self::Bool(a), Value::Bool(b)) => a == b,
            (Self::Number(a), Value::Number(_)) => return Number::of(value).map_or(Match::Unfit, |b| same(*a == b)),
            (Self::String(a), Value::String(b)) => a == b,
            _ => return Match::Unfit,
        };
        same(equal)
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Bool(b) => (*b).into(),
            Self::Number(n) => n.to_json(),
            Self::String(s) => s.as_str().into(),
        }
    }
}

fn same(equal: bool) -> Match {
    if equal { Match::Yes } else { Match::No }
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

/// An absolute directory or file, in normal form.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPrefix(Box<str>);

impl PathPrefix {
    /// Reads an absolute path without `..`, encodings or backslashes.
    pub fn new(text: &str) -> Option<Self> {
        normal_path(text).then(|| {
            let path: String = path_segments(text).flat_map(|s| ["/", s]).collect();
            Self(if path.is_empty() { "/".into() } else { path.into() })
        })
    }

    /// Whether `path`, which must be [`normal_path`], is this path or lies below it.
    pub fn contains(&self, path: &str) -> bool {
        let mut segments = path_segments(path);
        path_segments(&self.0).all(|wanted| segments.next() == Some(wanted))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn path_segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|s| !s.is_empty() && *s != ".")
}

/// Whether a path says where it leads by its text alone: absolute, no `..`, no backslash, no NUL
/// and no percent encoding.
pub fn normal_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains(['\\', '\0'])
        && path.split('/').all(|s| s != "..")
        && !path
            .as_bytes()
            .windows(3)
            .any(|w| matches!(w, [b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit()))
}

/// A host name, or `*.` and a name for everything below that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPattern(Box<str>);

impl HostPattern {
    /// Reads `example.com` or `*.example.com`; upper case is folded.
    pub fn new(text: &str) -> Option<Self> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        plain_host(name).then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// Whether `host` is the name, or below it.
    pub fn matches(&self, host: &str) -> bool {
        match self.0.strip_prefix('*') {
            None => self.0.eq_ignore_ascii_case(host),
            Some(suffix) => {
                let (host, suffix) = (host.as_bytes(), suffix.as_bytes());
                host.len() > suffix.len()
                    && host.get(host.len() - suffix.len()..).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
            }
        }
    }

    /// The pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The host of a URL that every parser reads alike; `None` for any other text.
///
/// Asks for `scheme://host`, then an optional decimal port, then the end or one of `/?#`. User
/// information, IPv6 literals, percent encodings, non-ASCII names and numbers that some parsers
/// turn into an address (`http://2130706433`) are refused.
pub fn canonical_host(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let mut letters = scheme.bytes();
    let scheme_fits = letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        && letters.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'.' | b'-'));
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    (scheme_fits && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit()) && plain_host(host)).then_some(host)
}

/// Letters, digits, `-` and `_` in non-empty labels; a last label that is a number only in a
/// dotted quad of plain decimals.
fn plain_host(host: &str) -> bool {
    let label = |l: &str| !l.is_empty() && l.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let last = host.rsplit('.').next().unwrap_or("");
    let numeric = last.bytes().all(|b| b.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .or_else(|| last.strip_prefix("0X"))
            .is_some_and(|h| h.bytes().all(|b| b.is_ascii_hexdigit()));
    host.len() <= 253 && host.split('.').all(label) && (!numeric || dotted_quad(host))
}

fn dotted_quad(host: &str) -> bool {
    let octet = |s: &str| (s == "0" || !s.starts_with('0')) && s.parse::<u8>().is_ok();
    host.split('.').count() == 4 && host.split('.').all(octet)
}

macro_rules! text_form {
    ($type:ty, $what:literal, |$text:ident| $read:expr, |$value:ident| $show:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $value = self;
                f.write_str($show)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let $text = text.as_str();
                $read.ok_or_else(|| serde::de::Error::custom(concat!("not ", $what)))
            }
        }
    };
}

text_form!(ArgPath, "an argument path", |text| ArgPath::new(text).ok(), |path| path.as_str());
text_form!(PathPrefix, "an absolute path", |text| PathPrefix::new(text), |path| &path.0);
text_form!(HostPattern, "a host", |text| HostPattern::new(text), |host| &host.0);

impl fmt::Debug for ArgPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// By segments: `a.b` comes before `a!`.
impl Ord for ArgPath {
    fn cmp(&self, other: &Self) -> Ordering {
        self.segments().cmp(other.segments())
    }
}

impl PartialOrd for ArgPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Orders a list and drops what is there twice: one way of writing for one meaning.
pub(super) fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list.dedup();
    list
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policy::matcher::{ArgRules, ArgsOutcome};

    #[test]
    fn a_path_finds_nested_values_and_array_elements() {
        let object = json!({"a": {"b": [10, {"c.d": 1}]}, "": 2});
        let arguments = Arguments::known(object.as_object().unwrap());
        let look = |p: &str| ArgPath::new(p).unwrap().look(&arguments);
        assert_eq!(look("a.b.0"), Found::Value(&json!(10)));
        assert_eq!(look("/a/b/1/c.d"), Found::Value(&json!(1)));
        assert_eq!(look("/"), Found::Value(&json!(2)));
        for path in ["c", "a.c", "a.b.2", "a.b.1.c"] {
            assert_eq!(look(path), Found::Nothing, "{path}");
        }
        for path in ["/a/b/01", "/a/b/+1", "a.b.c", "a.b.0.c"] {
            assert_eq!(look(path), Found::Blocked, "{path}");
        }
        assert_eq!(ArgPath::new("/a/b").unwrap(), ArgPath::new("a.b").unwrap());
        let only = ArgPath::new("/a").unwrap();
        assert_eq!((only.as_str(), only.pointer(), only.segments().collect::<Vec<_>>()), ("a", "/a", vec!["a"]));
        assert_eq!(only, ArgPath::new("a").unwrap());
        assert!(ArgPath::new("a.b").unwrap() < ArgPath::new("a!").unwrap());
        assert!(ArgPath::new("a..b").is_err() && ArgPath::new("").is_err());
    }

    #[test]
    fn what_is_out_of_reach_is_not_what_was_left_out() {
        let rules = json!({"opts.path": {"optional": true, "tests": [{"under": ["/srv"]}]}});
        let rules: ArgRules = serde_json::from_value(rules).unwrap();
        for (arguments, permitted, forbidden) in [
            (json!({}), true, true),
            (json!({"opts": {}}), true, true),
            (json!({"opts": {"path": "/srv/a"}}), true, true),
            (json!({"opts": "{\"path\":\"/etc/shadow\"}"}), false, true),
            (json!({"opts": [{"path": "/etc/shadow"}]}), false, true),
            (json!({"opts": null}), false, true),
        ] {
            let object = Arguments::known(arguments.as_object().unwrap());
            assert_eq!(rules.permit(&object) == ArgsOutcome::Hold, permitted, "{arguments}");
            assert_eq!(rules.forbid(&object) == ArgsOutcome::Hold, forbidden, "{arguments}");
        }
    }

    #[test]
    fn a_path_that_could_lead_elsewhere_is_not_judged() {
        let under = |base: &str, path: &str| normal_path(path).then(|| PathPrefix::new(base).unwrap().contains(path));
        assert_eq!(under("/srv/data/", "/srv/data"), Some(true));
        assert_eq!(under("/srv/data", "//srv/./data/x"), Some(true));
        assert_eq!(under("/srv/data", "/srv/database"), Some(false));
        assert_eq!(under("/", "/etc"), Some(true));
        for path in ["srv", "/srv/data/../x", "/srv/%2e%2e/x", "/srv\\x", "/srv/\0", "", "/srv/data/%2F"] {
            assert_eq!(under("/srv", path), None, "{path:?}");
        }
    }

    #[test]
    fn a_url_that_parsers_read_differently_has_no_host() {
        for (url, host) in [
            ("https://example.com", "example.com"),
            ("HTTP://Example.COM:8080/a?b#c", "Example.COM"),
            ("https://127.0.0.1/", "127.0.0.1"),
            ("https://a_b.example?x", "a_b.example"),
        ] {
            assert_eq!(canonical_host(url), Some(host));
        }
        for url in [
            "example.com",
            "https:/example.com",
            "https://",
            "https:///x",
            "https://a@b.example",
            "https://a\\@b.example",
            "https://[::1]/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://127.1/",
            "https://127.0.0.01/",
            "https://example.com./",
            "https://ex%61mple.com",
            "https://exämple.com",
            " https://example.com",
            "https://exa\tmple.com",
            "https://a..b",
            "https://a:b/",
            "https://a:1:2/",
            "://a",
            "1http://a",
        ] {
            assert_eq!(canonical_host(url), None, "{url:?}");
        }
    }

    #[test]
    fn a_suffix_pattern_matches_below_the_name_only() {
        let pattern = HostPattern::new("*.Example.com").unwrap();
        assert!(pattern.matches("a.example.COM") && pattern.matches("a.b.example.com"));
        assert!(!pattern.matches("example.com") && !pattern.matches("badexample.com"));
        assert!(HostPattern::new("*").is_none() && HostPattern::new("a.*.b").is_none());
    }
}
