//! Which groups a tool needs: a greedy set cover, smallest granted surface first.
//!
//! A group covers the callers that are in it, and grants the item to all its other members that
//! were seen: these are *idle*. Groups of two or more members come first, for a group of one is a
//! subject by another name. Then, step by step, the group that adds the fewest idle members; among
//! equals the one that covers the most callers that are not covered yet; then the lowest name. A
//! group that the others make superfluous is dropped again. Where one group that every caller has
//! grants no more than the whole cover, that group is taken alone. It never takes a group that no
//! caller of the item has.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Who is in a group, by number.
pub(super) type Members<'m> = BTreeMap<&'m str, BTreeSet<usize>>;

/// The groups that cover some callers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cover<'m> {
    pub(super) groups: BTreeSet<&'m str>,
    /// The members of these groups that are no callers.
    pub(super) idle: BTreeSet<usize>,
}

/// Covers the callers. Each of them must be a member of some group.
pub(super) fn cover<'m>(callers: &BTreeSet<usize>, members: &Members<'m>) -> Cover<'m> {
    let candidates: Vec<(&'m str, &BTreeSet<usize>)> =
        members.iter().filter(|(_, m)| !m.is_disjoint(callers)).map(|(g, m)| (*g, m)).collect();
    let mut chosen: Vec<(&'m str, &BTreeSet<usize>)> = Vec::new();
    let mut open: BTreeSet<usize> = callers.clone();
    let mut idle: BTreeSet<usize> = BTreeSet::new();
    while !open.is_empty() {
        let best = candidates
            .iter()
            .filter(|(_, m)| !m.is_disjoint(&open))
            .min_by_key(|(group, m)| {
                let added = m.iter().filter(|n| !callers.contains(n) && !idle.contains(n)).count();
                (m.len() < 2, added, Reverse(m.intersection(&open).count()), *group)
            })
            .copied();
        let Some((group, m)) = best else { break };
        open.retain(|n| !m.contains(n));
        idle.extend(m.difference(callers));
        chosen.push((group, m));
    }
    let mut at = chosen.len();
    while at > 0 {
        at -= 1;
        let others = chosen.iter().enumerate().filter(|(i, _)| *i != at).flat_map(|(_, (_, m))| m.iter());
        let others: BTreeSet<&usize> = others.collect();
        if callers.iter().all(|n| others.contains(n) || open.contains(n)) {
            chosen.remove(at);
        }
    }
    let all = |list: &[(&'m str, &BTreeSet<usize>)]| Cover {
        groups: list.iter().map(|(g, _)| *g).collect(),
        idle: list.iter().flat_map(|(_, m)| m.difference(callers)).copied().collect(),
    };
    let found = all(&chosen);
    let whole = candidates.iter().filter(|(_, m)| m.len() > 1 && callers.is_subset(m));
    let single = whole.min_by_key(|(group, m)| (m.len(), *group)).map(|one| all(&[*one]));
    single.filter(|s| s.idle.len() <= found.idle.len()).unwrap_or(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(callers: &[usize], groups: &[(&'static str, &[usize])]) -> (Vec<&'static str>, usize) {
        let members = groups.iter().map(|(g, m)| (*g, m.iter().copied().collect())).collect();
        let cover = cover(&callers.iter().copied().collect(), &members);
        (cover.groups.into_iter().collect(), cover.idle.len())
    }

    #[test]
    fn the_group_that_every_caller_has_and_few_others() {
        assert_eq!(covered(&[1, 2], &[("sre", &[1, 2]), ("staff", &[1, 2, 3, 4])]), (vec!["sre"], 0));
        assert_eq!(covered(&[1, 2], &[("staff", &[1, 2, 3])]), (vec!["staff"], 1));
    }

    #[test]
    fn several_groups_where_one_would_grant_more() {
        let groups: &[(_, &[usize])] = &[("a", &[1, 2]), ("b", &[3, 4]), ("staff", &[1, 2, 3, 4, 5, 6])];
        assert_eq!(covered(&[1, 2, 3, 4], groups), (vec!["a", "b"], 0));
        let groups: &[(_, &[usize])] = &[("a", &[1, 2]), ("b", &[3, 4]), ("staff", &[1, 2, 3, 4])];
        assert_eq!(covered(&[1, 2, 3, 4], groups), (vec!["staff"], 0));
    }

    #[test]
    fn a_group_of_one_is_the_last_resort() {
        let groups: &[(_, &[usize])] = &[("ana", &[1]), ("ben", &[2]), ("staff", &[1, 2, 3])];
        assert_eq!(covered(&[1, 2], groups), (vec!["staff"], 1));
        assert_eq!(covered(&[1], &[("ana", &[1])]), (vec!["ana"], 0));
    }

    #[test]
    fn what_turns_out_superfluous_is_dropped() {
        let groups: &[(_, &[usize])] = &[("m", &[1, 2, 3]), ("x", &[1, 4]), ("y", &[2, 3, 5])];
        let (groups, _) = covered(&[1, 2, 3, 4, 5], groups);
        assert_eq!(groups, ["x", "y"]);
    }
}
