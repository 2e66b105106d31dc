//! Representatives: for each part of a request a finite list of values that hits every combination
//! of answers that the conditions under question can give.
//!
//! Nothing here knows policies or decides; the values are judged by the matchers and globs
//! themselves.

mod arguments;
mod machine;
mod number;
mod value;
mod walk;

pub(super) use arguments::{Cluster, clusters, lies_under, merge};
pub(super) use machine::Machine;
pub(super) use walk::{Questions, texts};

use std::collections::BTreeSet;

use super::{Budget, Limit};
use crate::policy::glob::{NameGlob, PathGlob};

/// Texts that hit every combination of answers of lists of globs, of which one that matches
/// suffices, and of `others`, which stand for themselves.
pub(super) fn names<'p>(
    lists: impl IntoIterator<Item = &'p [NameGlob]>,
    others: impl IntoIterator<Item = &'p str>,
    budget: &mut Budget,
) -> Result<Vec<String>, Limit> {
    let lists: BTreeSet<&[NameGlob]> = lists.into_iter().collect();
    let mut questions = Questions { literals: others.into_iter().map(str::to_owned).collect(), ..Questions::default() };
    for list in &lists {
        let (literal, general): (Vec<_>, Vec<_>) = list.iter().partition(|g| g.literal().is_some());
        questions.literals.extend(literal.iter().filter_map(|g| g.literal()).map(str::to_owned));
        if !general.is_empty() {
            questions.machines.push(general.iter().map(|g| Machine::Glob(g.machine())).collect());
        }
    }
    let found = texts(&questions, budget)?;
    Ok(distinct(
        found,
        |text| lists.iter().map(|l| l.iter().any(|g| g.matches(text))).collect::<Vec<_>>(),
        |text| {
            // Others stand for themselves: an identity is not any text of its kind.
            questions.literals.contains(text).then(|| text.clone())
        },
    ))
}

/// URIs, as a request may name them, that hit every combination of patterns.
pub(super) fn uris<'p>(
    patterns: impl IntoIterator<Item = &'p PathGlob>,
    budget: &mut Budget,
) -> Result<Vec<String>, Limit> {
    let patterns: BTreeSet<&PathGlob> = patterns.into_iter().collect();
    let globs = patterns.iter().map(|p| vec![Machine::Glob(p.machine())]);
    let machines = std::iter::once(vec![Machine::Uri]).chain(globs).collect();
    texts(&Questions { machines, ..Questions::default() }, budget)
}

/// The first value of each answer.
fn distinct<T, A: Ord, L: Ord>(values: Vec<T>, answer: impl Fn(&T) -> A, itself: impl Fn(&T) -> L) -> Vec<T> {
    let mut seen = BTreeSet::new();
    values.into_iter().filter(|v| seen.insert((answer(v), itself(v)))).collect()
}

#[cfg(test)]
mod tests;
