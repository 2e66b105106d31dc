//! From what values looked like to what a grant asks of them, or why it asks nothing.
//!
//! A bound holds for every value that it was learned from. Whatever is unstable gets none.

use super::evidence::Evidence;
use super::limits::{MAX_ROOTS, MAX_VALUES, MIN_SEEN};
use super::shape::{Kinds, Shape, Shapes, Strings};
use crate::policy::argument::{ArgPath, HostPattern, PathPrefix, Scalar, touches};
use crate::policy::matcher::{Matcher, Test};
use crate::policy::number::Number;

/// A bound with the events behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bound {
    /// The argument.
    pub path: ArgPath,
    /// What is asked.
    pub matcher: Matcher,
    /// The calls that sent it.
    pub evidence: Evidence,
    /// How many subjects sent it, counted up to [`super::limits::MAX_COUNTED`].
    pub subjects: usize,
    /// Whether today's grant asks for it, or for a part of it: then it needs no number of events.
    pub kept: bool,
}

/// An argument without a bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The argument, as a policy writes it.
    pub path: String,
    /// Why.
    pub why: Why,
}

/// Why an argument has no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Fewer distinct events than a bound needs.
    FewEvents(usize),
    /// It was withheld in so many calls.
    Withheld(u64),
    /// The arguments of so many calls are not known.
    Unknown(u64),
    /// Values of several types, or an object in some calls and not in others.
    MixedTypes,
    /// `true` and `false`.
    Both,
    /// A list.
    List,
    /// Texts with nothing in common.
    FreeText,
    /// URLs of too many hosts.
    ManyHosts,
    /// Paths with no directory in common.
    NoDirectory,
    /// A value that looks like a secret.
    Secret,
}

impl Why {
    /// The stable kebab-case code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::FewEvents(_) => "few-events",
            Self::Withheld(_) => "withheld",
            Self::Unknown(_) => "arguments-unknown",
            Self::MixedTypes => "mixed-types",
            Self::Both => "both",
            Self::List => "list",
            Self::FreeText => "free-text",
            Self::ManyHosts => "many-hosts",
            Self::NoDirectory => "no-directory",
            Self::Secret => "secret",
        }
    }
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::FewEvents(1) => f.write_str("1 event"),
            Self::FewEvents(n) => write!(f, "{n} events"),
            Self::Withheld(n) => write!(f, "withheld in {n}"),
            Self::Unknown(n) => write!(f, "arguments not recorded in {n}"),
            Self::MixedTypes => f.write_str("several types"),
            Self::Both => f.write_str("true and false"),
            Self::List => f.write_str("a list"),
            Self::FreeText => f.write_str("free text"),
            Self::ManyHosts => f.write_str("many hosts"),
            Self::NoDirectory => f.write_str("no directory in common"),
            Self::Secret => f.write_str("looks like a secret"),
        }
    }
}

/// The bounds on the arguments of one item, and the arguments without.
pub(super) fn bounds(shapes: &Shapes, min_support: usize, headroom: u32) -> (Vec<Bound>, Vec<Open>) {
    let (mut bounds, mut open) = (Vec::new(), Vec::new());
    for (pointer, shape) in &shapes.paths {
        // An object is judged by its parts.
        if shape.kinds == Kinds::OBJECT {
            continue;
        }
        let Ok(path) = ArgPath::new(pointer) else { continue };
        match tests(shapes, pointer, shape, min_support, headroom) {
            Ok(mut tests) => {
                tests.sort();
                let optional = shape.evidence.calls < shapes.calls;
                let matcher = Matcher { optional, tests };
                let subjects = shape.subjects.count();
                bounds.push(Bound { path, matcher, evidence: shape.evidence.clone(), subjects, kept: false });
            }
            Err(why) => open.push(Open { path: path.as_str().to_owned(), why }),
        }
    }
    for (pointer, times) in &shapes.withheld {
        if !shapes.paths.contains_key(pointer)
            && let Ok(path) = ArgPath::new(pointer)
        {
            open.push(Open { path: path.as_str().to_owned(), why: Why::Withheld(*times) });
        }
    }
    open.sort_by(|a, b| (a.why, &a.path).cmp(&(b.why, &b.path)));
    (bounds, open)
}

/// Adds what today's grant asks of the same calls, which all met it: a suggestion is never looser.
pub(super) fn keep<'r>(
    bounds: &mut Vec<Bound>,
    open: &mut Vec<Open>,
    rules: impl Iterator<Item = (&'r ArgPath, &'r Matcher)>,
    evidence: &Evidence,
    subjects: usize,
) {
    for (path, today) in rules {
        open.retain(|one| one.path != path.as_str());
        if let Some(bound) = bounds.iter_mut().find(|bound| bound.path == *path) {
            bound.matcher = both(&bound.matcher, today);
            bound.kept = true;
        } else {
            let evidence = evidence.clone();
            bounds.push(Bound { path: path.clone(), matcher: today.clone(), evidence, subjects, kept: true });
        }
    }
    bounds.sort_by(|a, b| a.path.cmp(&b.path));
}

/// A matcher that is at least as narrow as each of two, both of which all values met.
fn both(learned: &Matcher, today: &Matcher) -> Matcher {
    let optional = learned.optional && today.optional;
    if let [Test::Eq(_) | Test::OneOf(_)] = learned.tests.as_slice() {
        // These values met the other as well.
        return Matcher { optional, ..learned.clone() };
    }
    let mut tests = today.tests.clone();
    for test in &learned.tests {
        let same = tests.iter_mut().find(|own| std::mem::discriminant(*own) == std::mem::discriminant(test));
        match (same, test) {
            (None, test) => tests.push(test.clone()),
            (Some(Test::Min(own)), Test::Min(n)) => *own = (*own).max(*n),
            (Some(Test::Max(own)), Test::Max(n)) => *own = (*own).min(*n),
            // Hosts are learned as they are; directories and beginnings only as what they share.
            (Some(own @ Test::Host(_)), test) => *own = test.clone(),
            (Some(_), _) => {}
        }
    }
    tests.sort();
    Matcher { optional, tests }
}

fn tests(shapes: &Shapes, pointer: &str, shape: &Shape, min_support: usize, headroom: u32) -> Result<Vec<Test>, Why> {
    // One unknown value would leave every call undecided that a bound would have to judge.
    if shapes.unknown > 0 {
        return Err(Why::Unknown(shapes.unknown));
    }
    let withheld: u64 = shapes.withheld.iter().filter(|(w, _)| touches(w, pointer)).map(|(_, n)| n).sum();
    if withheld > 0 {
        return Err(Why::Withheld(withheld));
    }
    if shapes.more_withheld {
        return Err(Why::Withheld(shapes.calls));
    }
    let above = pointer.match_indices('/').skip(1).filter_map(|(at, _)| pointer.get(..at));
    for ancestor in above {
        if shapes.paths.get(ancestor).is_none_or(|s| s.kinds != Kinds::OBJECT) {
            return Err(Why::MixedTypes);
        }
    }
    let both = Kinds::TRUE.and(Kinds::FALSE);
    let kind = shape.kinds;
    if kind == Kinds::ARRAY {
        return Err(Why::List);
    }
    if ![Kinds::TRUE, Kinds::FALSE, both, Kinds::NUMBER, Kinds::STRING].contains(&kind) {
        return Err(Why::MixedTypes);
    }
    if shape.support.count() < min_support {
        return Err(Why::FewEvents(shape.support.count()));
    }
    match (kind, shape.range) {
        (Kinds::STRING, _) => string(&shape.strings),
        (Kinds::NUMBER, Some((low, high))) => Ok(number(low, high, headroom)),
        (Kinds::TRUE, _) => Ok(vec![Test::Eq(Scalar::Bool(true))]),
        (Kinds::FALSE, _) => Ok(vec![Test::Eq(Scalar::Bool(false))]),
        _ => Err(Why::Both),
    }
}

/// Paths, then URLs, then closed lists, then identifiers.
fn string(strings: &Strings) -> Result<Vec<Test>, Why> {
    if strings.secret {
        return Err(Why::Secret);
    }
    if let Some(roots) = strings.roots.all() {
        let prefixes: Option<Vec<PathPrefix>> =
            roots.values().map(|segments| PathPrefix::new(&format!("/{}", segments.join("/")))).collect();
        return prefixes.filter(|p| !p.is_empty() && p.len() <= MAX_ROOTS).map_or(Err(Why::NoDirectory), |mut p| {
            p.sort();
            Ok(vec![Test::Under(p)])
        });
    }
    let hosts = strings.hosts.all();
    if let Some(hosts) = hosts.filter(|hosts| hosts.len() <= MAX_VALUES) {
        let patterns: Option<Vec<HostPattern>> = hosts.iter().map(|host| HostPattern::new(host)).collect();
        return patterns.map_or(Err(Why::ManyHosts), |mut p| {
            p.sort();
            Ok(vec![Test::Host(p)])
        });
    }
    if let Some(values) = strings.values.all().filter(|v| v.len() <= MAX_VALUES)
        && values.values().all(|times| *times >= MIN_SEEN)
    {
        return Ok(vec![match values.keys().next() {
            Some(only) if values.len() == 1 => Test::Eq(Scalar::String(only.clone())),
            _ => Test::OneOf(values.keys().cloned().map(Scalar::String).collect()),
        }]);
    }
    // Digits that all identifiers share today will change; the part up to a separator will not.
    let prefix = strings.prefix.all().and_then(|prefix| {
        let end = prefix.char_indices().rfind(|(_, c)| matches!(c, '-' | '_' | ':' | '/' | '.' | '#'));
        end.and_then(|(at, c)| prefix.get(..at + c.len_utf8()))
    });
    match prefix {
        Some(prefix) if prefix.chars().any(char::is_alphanumeric) => Ok(vec![Test::Prefix(vec![prefix.to_owned()])]),
        _ => Err(if hosts.is_some() { Why::ManyHosts } else { Why::FreeText }),
    }
}

/// The limits lie beyond what was seen by a share of its range, and never across zero.
fn number(low: Number, high: Number, headroom: u32) -> Vec<Test> {
    if low == high {
        return vec![Test::Eq(Scalar::Number(low))];
    }
    let (min, max) = match (low.to_json().as_i64(), high.to_json().as_i64()) {
        (Some(l), Some(h)) => whole(l, h, headroom),
        _ => broken(low, high, headroom),
    };
    vec![Test::Min(min.min(low)), Test::Max(max.max(high))]
}

fn whole(low: i64, high: i64, headroom: u32) -> (Number, Number) {
    let range = i128::from(high) - i128::from(low);
    let room = (range * i128::from(headroom) + 99) / 100;
    let clamped = |n: i128| Number::from(i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX }));
    let below = i128::from(low) - room;
    let above = i128::from(high) + room;
    (clamped(if low >= 0 { below.max(0) } else { below }), clamped(if high <= 0 { above.min(0) } else { above }))
}

fn broken(low: Number, high: Number, headroom: u32) -> (Number, Number) {
    let float = |n: Number| n.to_json().as_f64().unwrap_or(0.0);
    let (l, h) = (float(low), float(high));
    let room = (h - l) * f64::from(headroom) / 100.0;
    let (below, above) = (l - room, h + room);
    let below = if l >= 0.0 { below.max(0.0) } else { below };
    let above = if h <= 0.0 { above.min(0.0) } else { above };
    (Number::from_f64(below).unwrap_or(low), Number::from_f64(above).unwrap_or(high))
}
