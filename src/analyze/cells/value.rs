//! JSON values that hit every combination of answers of a list of matchers.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::distinct;
use super::machine::Machine;
use super::number::numbers;
use super::walk::{Questions, texts};
use crate::analyze::{Budget, Limit};
use crate::policy::argument::Scalar;
use crate::policy::matcher::{Match, Matcher, Test};
use crate::policy::number::Number;

/// The longest array that is made to pass a `max_items`.
const MOST_ITEMS: u32 = 10_000;

/// What matchers ask of one value.
#[derive(Default)]
struct Asked<'p> {
    questions: Questions<'p>,
    numbers: Vec<Number>,
    /// Matchers on the elements of an array.
    elements: Vec<&'p Matcher>,
    /// Tests that look at an array as a whole.
    arrays: Vec<&'p Test>,
    items: BTreeSet<u32>,
}

impl<'p> Asked<'p> {
    fn of(matchers: &[&'p Matcher]) -> Self {
        let mut asked = Self::default();
        for test in matchers.iter().flat_map(|m| &m.tests) {
            asked.add(test);
        }
        asked.elements.sort();
        asked.elements.dedup();
        asked
    }

    fn add(&mut self, test: &'p Test) {
        let mut scalar = |scalar: &Scalar| match scalar {
            Scalar::Bool(_) => {}
            Scalar::Number(number) => self.numbers.push(*number),
            Scalar::String(string) => {
                self.questions.literals.insert(string.clone());
            }
        };
        let machines = match test {
            Test::Present(_) => return,
            Test::Eq(one) => return scalar(one),
            Test::OneOf(list) => return list.iter().for_each(scalar),
            Test::Min(bound) | Test::Max(bound) => return self.numbers.push(*bound),
            Test::MaxLen(length) => {
                self.questions.lengths.insert(*length);
                return;
            }
            Test::MaxItems(length) => {
                self.items.insert(*length);
                return self.arrays.push(test);
            }
            Test::Each(matcher) | Test::Any(matcher) => {
                self.elements.push(matcher);
                return self.arrays.push(test);
            }
            Test::Glob(globs) => globs.iter().map(|g| Machine::Glob(g.machine())).collect(),
            Test::Prefix(list) => list.iter().map(|p| Machine::prefix(p)).collect(),
            Test::Under(list) => list.iter().map(Machine::under).collect(),
            Test::Host(list) => list.iter().filter_map(Machine::host).collect(),
        };
        self.questions.machines.push(machines);
    }
}

/// How a value answers each matcher.
pub(super) fn answers(matchers: &[&Matcher], value: Option<&Value>) -> Vec<Match> {
    matchers.iter().map(|m| m.on(value)).collect()
}

/// Values, present ones, that hit every combination of answers.
pub(super) fn values(matchers: &[&Matcher], budget: &mut Budget) -> Result<Vec<Value>, Limit> {
    let asked = Asked::of(matchers);
    let mut found: Vec<Value> = texts(&asked.questions, budget)?.into_iter().map(Value::from).collect();
    found.extend(numbers(asked.numbers.clone()));
    found.extend([Value::Bool(true), Value::Bool(false)]);
    found.extend(arrays(&asked, 0, budget)?);
    found.extend([Value::Object(Map::new()), Value::Null]);
    Ok(distinct(found, |value| answers(matchers, Some(value)), |_| ()))
}

/// What matchers ask of the elements of an array; none when they ask nothing of arrays.
pub(super) fn element_matchers<'p>(matchers: &[&'p Matcher]) -> Vec<&'p Matcher> {
    Asked::of(matchers).elements
}

/// Whether some test looks at an array.
pub(super) fn ask_of_arrays(matchers: &[&Matcher]) -> bool {
    !Asked::of(matchers).arrays.is_empty()
}

/// As [`arrays`], for matchers whose arrays have at least `least` elements to tell apart.
pub(super) fn arrays_of(matchers: &[&Matcher], least: usize, budget: &mut Budget) -> Result<Vec<Vec<Value>>, Limit> {
    let arrays = arrays(&Asked::of(matchers), least, budget)?;
    Ok(arrays.into_iter().filter_map(|v| if let Value::Array(list) = v { Some(list) } else { None }).collect())
}

/// Arrays that hit every combination of answers and lengths.
///
/// One more element can only change an answer in one direction, and an element of a kind that is
/// there already changes none. So the combinations are those reached by adding one kind after the
/// other to the empty array, and each of them can be had at any greater length by repetition.
fn arrays(asked: &Asked<'_>, least: usize, budget: &mut Budget) -> Result<Vec<Value>, Limit> {
    let kinds = values_of_elements(asked, budget)?;
    let whole = |list: &[Value]| -> Vec<Match> {
        let value = Value::Array(list.to_vec());
        let judged = asked.arrays.iter().filter(|t| !matches!(t, Test::MaxItems(_)));
        judged.map(|t| t.on(&value)).collect()
    };
    let mut seen = BTreeSet::from([(whole(&[]), true)]);
    let mut found: Vec<Vec<Value>> = vec![Vec::new()];
    let mut next = 0;
    while let Some(list) = found.get(next).cloned() {
        next += 1;
        for kind in &kinds {
            budget.spend(1 + asked.arrays.len() as u64)?;
            let longer: Vec<Value> = list.iter().chain([kind]).cloned().collect();
            if seen.insert((whole(&longer), false)) {
                found.push(longer);
            }
        }
    }
    let mut lengths: BTreeSet<usize> = (1..=least).collect();
    for items in &asked.items {
        if *items > MOST_ITEMS {
            return Err(Limit::new("a `max_items` is too large to build an array that exceeds it"));
        }
        lengths.insert(*items as usize + 1);
    }
    let mut stretched = Vec::new();
    for list in &found {
        let Some(filler) = list.last() else { continue };
        for length in lengths.iter().filter(|l| **l > list.len()) {
            budget.spend(*length as u64)?;
            let mut longer = list.clone();
            longer.resize(*length, filler.clone());
            stretched.push(longer);
        }
    }
    found.extend(stretched);
    Ok(found.into_iter().map(Value::Array).collect())
}

/// The kinds of element; just one when no test looks at them.
fn values_of_elements(asked: &Asked<'_>, budget: &mut Budget) -> Result<Vec<Value>, Limit> {
    if asked.elements.is_empty() {
        return Ok(vec!["x".into()]);
    }
    values(&asked.elements, budget)
}
