//! What the values of the arguments of one item looked like: a fold over events that merges.
//!
//! Holds limits, short lists and common beginnings, never an argument as it was. What was withheld
//! is not looked at.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::evidence::{Distinct, Evidence, Example};
use super::limits::{MAX_ARGUMENTS, MAX_COUNTED, MAX_DEPTH, MAX_ROOTS, MAX_VALUE, MAX_VALUES};
use crate::model::Timestamp;
use crate::policy::argument::{canonical_host, normal_path, touches};
use crate::policy::looks_secret;
use crate::policy::number::Number;
use crate::traffic::{Event, Field};

/// The longest key of an argument that is looked at, in bytes.
const MAX_KEY: usize = 128;
/// The longest common beginning that is held, in bytes.
const MAX_PREFIX: usize = 64;
/// The longest common directory that is held, in bytes.
const MAX_DIRECTORY: usize = 512;
/// The most withheld places that are told apart.
const MAX_WITHHELD: usize = 32;

/// What is the same for all arguments of one event.
pub(super) struct Seen<'e> {
    pub(super) time: Timestamp,
    pub(super) example: &'e Example,
    /// Of the event, and of its subject.
    pub(super) hashes: (u64, u64),
    /// How many distinct events are counted.
    pub(super) support: usize,
}

/// The arguments of the calls of one item by one kind of caller.
#[derive(Clone, Debug, Default)]
pub(super) struct Shapes {
    /// Calls, also those without arguments.
    pub(super) calls: u64,
    /// Calls of which no arguments are known.
    pub(super) unknown: u64,
    /// Places that were withheld in some call, with how often.
    pub(super) withheld: BTreeMap<String, u64>,
    /// By JSON Pointer, the lowest ones.
    pub(super) paths: BTreeMap<String, Shape>,
    /// Whether there were more paths.
    pub(super) more: bool,
    /// Whether there were more withheld places.
    pub(super) more_withheld: bool,
}

/// The values of one argument.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    /// The calls that sent it.
    pub(super) evidence: Evidence,
    /// Distinct events, up to what a bound needs.
    pub(super) support: Distinct,
    /// Distinct subjects.
    pub(super) subjects: Distinct,
    pub(super) kinds: Kinds,
    /// The lowest and the highest number.
    pub(super) range: Option<(Number, Number)>,
    pub(super) strings: Strings,
}

/// Which JSON types there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const NULL: Self = Self(1);
    pub(super) const TRUE: Self = Self(2);
    pub(super) const FALSE: Self = Self(4);
    pub(super) const NUMBER: Self = Self(8);
    pub(super) const STRING: Self = Self(16);
    pub(super) const ARRAY: Self = Self(32);
    pub(super) const OBJECT: Self = Self(64);

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn of(value: &Value) -> Self {
        match value {
            Value::Null => Self::NULL,
            Value::Bool(true) => Self::TRUE,
            Value::Bool(false) => Self::FALSE,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::STRING,
            Value::Array(_) => Self::ARRAY,
            Value::Object(_) => Self::OBJECT,
        }
    }
}

/// Something that all values have in common, until one has not.
#[derive(Clone, Debug, Default)]
pub(super) enum Common<T> {
    /// No value yet.
    #[default]
    Nothing,
    /// All values so far have this.
    All(T),
    /// They have nothing in common.
    Broken,
}

impl<T> Common<T> {
    /// Takes in what one more value has; `None` breaks it.
    pub(super) fn join(&mut self, value: Option<T>, merge: impl FnOnce(&mut T, T) -> bool) {
        *self = match (std::mem::take(self), value) {
            (Self::Broken, _) | (_, None) => Self::Broken,
            (Self::Nothing, Some(value)) => Self::All(value),
            (Self::All(mut held), Some(value)) => {
                if merge(&mut held, value) {
                    Self::All(held)
                } else {
                    Self::Broken
                }
            }
        };
    }

    /// Takes in what a part of the values has.
    pub(super) fn merge(&mut self, other: Self, merge: impl FnOnce(&mut T, T) -> bool) {
        match other {
            Self::Nothing => {}
            Self::All(value) => self.join(Some(value), merge),
            Self::Broken => *self = Self::Broken,
        }
    }

    pub(super) const fn all(&self) -> Option<&T> {
        if let Self::All(held) = self { Some(held) } else { None }
    }
}

/// The longest common directories, by the first segment of the path. Of too many, one over the limit.
pub(super) type Roots = BTreeMap<String, Vec<String>>;

/// What the strings among the values have in common.
#[derive(Clone, Debug, Default)]
pub(super) struct Strings {
    /// The values with how often each was seen, while they are few and short.
    pub(super) values: Common<BTreeMap<String, u64>>,
    /// Absolute paths below these directories.
    pub(super) roots: Common<Roots>,
    /// URLs of these hosts. Of too many, one over the limit.
    pub(super) hosts: Common<BTreeSet<String>>,
    /// Identifiers that begin like this.
    pub(super) prefix: Common<String>,
    /// Whether one looked like a secret.
    pub(super) secret: bool,
}

impl Shapes {
    pub(super) fn add(&mut self, event: &Event, seen: &Seen<'_>) {
        self.calls += 1;
        match &event.arguments {
            Field::Present(object) => {
                if event.withheld.iter().any(|w| w.pointer.is_empty()) {
                    self.unknown += 1;
                    return;
                }
                for withheld in &event.withheld {
                    self.withhold(withheld.pointer.clone(), 1);
                }
                self.object(object, "", 1, event, seen);
            }
            Field::Absent => {}
            Field::Redacted | Field::Truncated | Field::NotRecorded => self.unknown += 1,
        }
    }

    fn withhold(&mut self, pointer: String, times: u64) {
        *self.withheld.entry(pointer).or_default() += times;
        if self.withheld.len() > MAX_WITHHELD {
            self.withheld.pop_last();
            self.more_withheld = true;
        }
    }

    fn object(&mut self, object: &Map<String, Value>, above: &str, depth: usize, event: &Event, seen: &Seen<'_>) {
        for (key, value) in object {
            let pointer = format!("{above}/{}", key.replace('~', "~0").replace('/', "~1"));
            if key.len() > MAX_KEY {
                self.more = true;
                continue;
            }
            // A stand-in for what was withheld is never read.
            let hidden = event.withheld.iter().any(|w| touches(&w.pointer, &pointer));
            if !hidden && let Some(shape) = self.path(&pointer) {
                shape.add(value, seen);
            }
            if let (Value::Object(inner), true) = (value, depth < MAX_DEPTH) {
                self.object(inner, &pointer, depth + 1, event, seen);
            }
        }
    }

    /// The shape of a path; `None` when there are too many lower ones.
    fn path(&mut self, pointer: &str) -> Option<&mut Shape> {
        if !self.paths.contains_key(pointer) {
            if self.paths.len() >= MAX_ARGUMENTS {
                self.more = true;
                if self.paths.last_key_value().is_none_or(|(last, _)| last.as_str() < pointer) {
                    return None;
                }
                self.paths.pop_last();
            }
            self.paths.insert(pointer.to_owned(), Shape::default());
        }
        self.paths.get_mut(pointer)
    }

    pub(super) fn merge(&mut self, other: &Self, support: usize) {
        self.calls += other.calls;
        self.unknown += other.unknown;
        self.more |= other.more;
        self.more_withheld |= other.more_withheld;
        for (pointer, times) in &other.withheld {
            self.withhold(pointer.clone(), *times);
        }
        for (pointer, shape) in &other.paths {
            if let Some(own) = self.path(pointer) {
                own.merge(shape, support);
            }
        }
    }
}

impl Shape {
    fn add(&mut self, value: &Value, seen: &Seen<'_>) {
        self.evidence.add(seen.time, seen.example);
        self.support.add(seen.hashes.0, seen.support);
        self.subjects.add(seen.hashes.1, MAX_COUNTED);
        self.kinds = self.kinds.and(Kinds::of(value));
        match value {
            // A number that is not finite in any form is of no known size.
            Value::Number(_) => match Number::of(value) {
                Some(n) => self.range = Some(self.range.map_or((n, n), |(low, high)| (low.min(n), high.max(n)))),
                None => self.kinds = self.kinds.and(Kinds::ARRAY),
            },
            Value::String(text) => self.strings.add(text),
            _ => {}
        }
    }

    fn merge(&mut self, other: &Self, support: usize) {
        self.evidence.merge(&other.evidence);
        self.support.merge(&other.support, support);
        self.subjects.merge(&other.subjects, MAX_COUNTED);
        self.kinds = self.kinds.and(other.kinds);
        if let Some((low, high)) = other.range {
            self.range = Some(self.range.map_or((low, high), |(l, h)| (l.min(low), h.max(high))));
        }
        self.strings.merge(other.strings.clone());
    }
}

impl Strings {
    fn add(&mut self, text: &str) {
        let short = (text.len() <= MAX_VALUE).then(|| BTreeMap::from([(text.to_owned(), 1)]));
        self.values.join(short, join_values);
        self.roots.join(roots(text), join_roots);
        self.hosts.join(canonical_host(text).map(|h| BTreeSet::from([h.to_ascii_lowercase()])), join_hosts);
        let identifier = !text.is_empty() && !text.contains(char::is_whitespace);
        self.prefix.join(identifier.then(|| cut(text, MAX_PREFIX).to_owned()), join_prefix);
        self.secret |= looks_secret(text);
    }

    fn merge(&mut self, other: Self) {
        self.values.merge(other.values, join_values);
        self.roots.merge(other.roots, join_roots);
        self.hosts.merge(other.hosts, join_hosts);
        self.prefix.merge(other.prefix, join_prefix);
        self.secret |= other.secret;
    }
}

fn join_values(held: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) -> bool {
    for (value, times) in more {
        *held.entry(value).or_default() += times;
    }
    held.len() <= MAX_VALUES
}

/// The directories of one path: the path itself.
fn roots(text: &str) -> Option<Roots> {
    if !normal_path(text) || text.len() > MAX_DIRECTORY {
        return None;
    }
    let segments: Vec<String> = text.split('/').filter(|s| !s.is_empty() && *s != ".").map(str::to_owned).collect();
    let first = segments.first()?.clone();
    Some(BTreeMap::from([(first, segments)]))
}

fn join_roots(held: &mut Roots, more: Roots) -> bool {
    for (first, segments) in more {
        match held.get_mut(&first) {
            None => {
                held.insert(first, segments);
            }
            Some(own) => {
                let same = own.iter().zip(&segments).take_while(|(a, b)| a == b).count();
                own.truncate(same);
            }
        }
    }
    while held.len() > MAX_ROOTS + 1 {
        held.pop_last();
    }
    true
}

fn join_hosts(held: &mut BTreeSet<String>, more: BTreeSet<String>) -> bool {
    held.extend(more);
    while held.len() > MAX_VALUES + 1 {
        held.pop_last();
    }
    true
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of every join")]
fn join_prefix(held: &mut String, more: String) -> bool {
    let same: usize = held.chars().zip(more.chars()).take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8()).sum();
    held.truncate(same);
    !held.is_empty()
}

/// At most so many bytes of a text, in whole characters.
fn cut(text: &str, limit: usize) -> &str {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= limit).last();
    text.get(..end.unwrap_or(0)).unwrap_or("")
}
