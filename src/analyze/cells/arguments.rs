//! Argument objects that hit every combination of answers of matchers at several paths.
//!
//! Paths that begin with one name belong together, for the value of that name decides what can be
//! below it; they form a cluster. Clusters are independent of each other.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::distinct;
use super::value::{answers, arrays_of, ask_of_arrays, element_matchers, values};
use crate::analyze::{Budget, Limit};
use crate::model::Arguments;
use crate::policy::argument::ArgPath;
use crate::policy::matcher::{Match, Matcher};

/// The highest index of an array element that a path may name beside a test on the array.
const HIGHEST_INDEX: usize = 16;

/// Paths that belong together, with argument objects that hold values for them and nothing else.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    /// The JSON Pointer of the name they begin with; everything at or under it belongs here.
    pub(crate) root: String,
    /// The objects. The first is the plainest.
    pub(crate) objects: Vec<Map<String, Value>>,
}

/// A path and the matchers on it.
type Asked<'p> = BTreeMap<&'p ArgPath, BTreeSet<&'p Matcher>>;

/// Clusters for all matchers given.
pub(crate) fn clusters<'p>(
    rules: impl IntoIterator<Item = (&'p ArgPath, &'p Matcher)>,
    budget: &mut Budget,
) -> Result<Vec<Cluster>, Limit> {
    let mut asked: Asked<'p> = BTreeMap::new();
    for (path, matcher) in rules {
        asked.entry(path).or_default().insert(matcher);
    }
    let names: BTreeSet<&str> = asked.keys().filter_map(|path| path.segments().next()).collect();
    let mut found = Vec::new();
    for name in names {
        let here = |path: &ArgPath| path.segments().next() == Some(name);
        let paths: Asked<'p> = asked.iter().filter(|(p, _)| here(p)).map(|(p, m)| (*p, m.clone())).collect();
        let place = Place { segments: vec![name.to_owned()], paths: &paths };
        let values = place.values(&[], budget)?;
        let objects = values.into_iter().map(|v| wrap(&place.segments, v)).collect();
        found.push(Cluster { root: pointer(name), objects });
    }
    Ok(found)
}

/// The JSON Pointer of a name (RFC 6901).
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Whether one pointer lies below the other.
pub(crate) fn lies_under(pointer: &str, above: &str) -> bool {
    pointer.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

/// Puts the values of one object into another. The two hold different paths.
pub(crate) fn merge(into: &mut Map<String, Value>, from: &Map<String, Value>) {
    for (key, value) in from {
        match (into.get_mut(key), value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge(into, from),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

/// An object with a value at a place, or without one.
fn wrap(segments: &[String], value: Option<Value>) -> Map<String, Value> {
    let Some(value) = value else { return Map::new() };
    let mut object = value;
    for segment in segments.iter().rev() {
        object = Value::Object(Map::from_iter([(segment.clone(), object)]));
    }
    if let Value::Object(map) = object { map } else { Map::new() }
}

/// A place in the arguments, with every path at or under it that is asked about.
struct Place<'a, 'p> {
    segments: Vec<String>,
    paths: &'a Asked<'p>,
}

impl<'p> Place<'_, 'p> {
    /// Values, and their absence, that hit every combination of answers of the paths at and under
    /// this place and of `also`, which look at the value here.
    fn values(&self, also: &[&'p Matcher], budget: &mut Budget) -> Result<Vec<Option<Value>>, Limit> {
        let own: Vec<&Matcher> = self.own().chain(also.iter().copied()).collect();
        let children = self.children();
        let mut found = vec![None];
        found.extend(values(&own, budget)?.into_iter().map(Some));
        if !children.is_empty() {
            add_objects(&children, &mut found, budget)?;
            let indices: Vec<(usize, &Place<'_, 'p>)> =
                children.iter().filter_map(|(name, place)| index(name).map(|i| (i, place))).collect();
            // An array is told from an object by its own tests, and by a name that no element has.
            if !indices.is_empty() && (ask_of_arrays(&own) || indices.len() < children.len()) {
                add_arrays(&own, &indices, &mut found, budget)?;
            }
        }
        budget.spend(found.len() as u64)?;
        // An absent value never stands for a present one: an element of an array is always there.
        Ok(distinct(found, |value| self.answers(&own, value.as_ref()), Option::is_some))
    }

    fn own(&self) -> impl Iterator<Item = &'p Matcher> {
        let here = self.segments.iter().map(String::as_str);
        let path = self.paths.iter().find(|(p, _)| p.segments().eq(here.clone()));
        path.into_iter().flat_map(|(_, matchers)| matchers.iter().copied())
    }

    /// The places one segment below this one.
    fn children(&self) -> Vec<(String, Place<'_, 'p>)> {
        let depth = self.segments.len();
        let here = |p: &ArgPath| p.segments().take(depth).eq(self.segments.iter().map(String::as_str));
        let names: BTreeSet<&str> =
            self.paths.keys().filter(|p| here(p)).filter_map(|p| p.segments().nth(depth)).collect();
        let place = |name: &str| {
            let segments = self.segments.iter().cloned().chain([name.to_owned()]).collect();
            (name.to_owned(), Place { segments, paths: self.paths })
        };
        names.into_iter().map(place).collect()
    }

    /// How a value here answers: what is asked of it and of everything below it.
    fn answers(&self, own: &[&Matcher], value: Option<&Value>) -> Vec<Match> {
        let depth = self.segments.len();
        let object = wrap(&self.segments, value.cloned());
        let arguments = Arguments::known(&object);
        let here = |p: &ArgPath| p.segments().take(depth).eq(self.segments.iter().map(String::as_str));
        let mut found = answers(own, value);
        for (path, matchers) in self.paths.iter().filter(|(p, _)| here(p) && p.segments().count() > depth) {
            found.extend(matchers.iter().map(|m| path.answer(&arguments, m)));
        }
        found
    }
}

/// Objects that hold every combination of the values below.
fn add_objects(
    children: &[(String, Place<'_, '_>)],
    found: &mut Vec<Option<Value>>,
    budget: &mut Budget,
) -> Result<(), Limit> {
    let mut objects = vec![Map::new()];
    for (name, child) in children {
        let options = child.values(&[], budget)?;
        let mut more = Vec::new();
        for object in &objects {
            for option in &options {
                budget.spend(1)?;
                let mut object = object.clone();
                if let Some(value) = option {
                    object.insert(name.clone(), value.clone());
                }
                more.push(object);
            }
        }
        objects = more;
    }
    found.extend(objects.into_iter().map(|o| Some(Value::Object(o))));
    Ok(())
}

/// Arrays of which single elements are asked about, by their index, as well as the array.
fn add_arrays<'p>(
    own: &[&'p Matcher],
    indices: &[(usize, &Place<'_, 'p>)],
    found: &mut Vec<Option<Value>>,
    budget: &mut Budget,
) -> Result<(), Limit> {
    let highest = indices.iter().map(|(i, _)| *i).max().unwrap_or(0);
    if highest > HIGHEST_INDEX {
        return Err(Limit::new("an argument path names an array element too far from the first"));
    }
    let nested = element_matchers(own);
    for base in arrays_of(own, highest + 2, budget)? {
        let mut arrays = vec![base.clone()];
        for (index, place) in indices.iter().filter(|(i, _)| *i < base.len()) {
            let options = place.values(&nested, budget)?;
            let mut more = Vec::new();
            for array in &arrays {
                for option in options.iter().flatten() {
                    budget.spend(array.len() as u64)?;
                    let mut array = array.clone();
                    if let Some(element) = array.get_mut(*index) {
                        *element = option.clone();
                    }
                    more.push(array);
                }
            }
            arrays = more;
        }
        found.extend(arrays.into_iter().map(|a| Some(Value::Array(a))));
    }
    Ok(())
}

/// An array index as RFC 6901 writes it.
fn index(segment: &str) -> Option<usize> {
    segment.parse().ok().filter(|i: &usize| i.to_string() == segment)
}
