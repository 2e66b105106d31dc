//! Finds a request that meets some statements and escapes others.
//!
//! For one item and one issuer the parts of a request are independent, and a statement is a
//! conjunction of conditions on single parts. So the statements that must hold only shorten the
//! list of values of each part, and a statement is escaped by any part whose value fails it. What
//! is left is to choose a value for each part such that together they escape all: a small cover,
//! searched by always turning to the statement that the fewest values escape.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::cells::merge;
use super::space::{Members, Part, Space};
use super::view::{Ask, Gate};
use super::{Budget, Limit};
use crate::model::Timestamp;

/// A statement with the gate whose policy it belongs to.
pub(super) type Asked<'a, 'p> = (&'a Gate<'a, 'p>, &'a Ask<'p>);

/// What to look for.
pub(super) struct Goal<'a, 'p> {
    pub(super) issuer: &'a str,
    /// Statements that must hold.
    pub(super) must: Vec<Asked<'a, 'p>>,
    /// Statements that must not.
    pub(super) avoid: Vec<Asked<'a, 'p>>,
    /// Which subjects count.
    pub(super) subject: &'a dyn Fn(&str) -> bool,
}

/// The parts of a request that statements ask about.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) subject: String,
    pub(super) agent: Option<String>,
    pub(super) groups: Vec<String>,
    pub(super) claims: BTreeMap<String, Vec<String>>,
    pub(super) now: Timestamp,
    pub(super) arguments: Map<String, Value>,
}

/// One part with the values that meet everything that must hold, each with what it escapes.
struct Dimension<'s> {
    options: Vec<(Part<'s>, Bits)>,
    /// Those of the options that escape something no other one does as well.
    best: Vec<usize>,
}

/// Looks for a request.
pub(super) fn find(space: &Space, goal: &Goal<'_, '_>, budget: &mut Budget) -> Result<Option<Found>, Limit> {
    if !goal.must.iter().all(|(_, ask)| ask.accepts_issuer(goal.issuer)) {
        return Ok(None);
    }
    let avoid: Vec<Asked<'_, '_>> =
        goal.avoid.iter().copied().filter(|(_, ask)| ask.accepts_issuer(goal.issuer)).collect();
    let mut dimensions = Vec::new();
    let mut escaped = Bits::none(avoid.len());
    for parts in parts(space, goal, &avoid, budget)? {
        let mut options: Vec<(Part<'_>, Bits)> = Vec::new();
        for part in parts {
            budget.spend(1 + (goal.must.len() + avoid.len()) as u64)?;
            if goal.must.iter().all(|(gate, ask)| ask.holds(gate, goal.issuer, &part)) {
                let fails = avoid.iter().map(|(gate, ask)| !ask.holds(gate, goal.issuer, &part));
                let bits = Bits::of(fails);
                escaped.add(&bits);
                options.push((part, bits));
            }
        }
        if options.is_empty() {
            return Ok(None);
        }
        let best = undominated(&options, budget)?;
        dimensions.push(Dimension { options, best });
    }
    if !escaped.is_full(avoid.len()) {
        return Ok(None);
    }
    let mut chosen = vec![None; dimensions.len()];
    let reached = choose(&dimensions, &mut chosen, avoid.len(), budget)?;
    Ok(reached.then(|| assemble(&dimensions, &chosen)))
}

/// The values of each part that can matter.
fn parts<'s>(
    space: &'s Space,
    goal: &Goal<'_, '_>,
    avoid: &[Asked<'_, '_>],
    budget: &mut Budget,
) -> Result<Vec<Vec<Part<'s>>>, Limit> {
    let subjects = space.subjects.iter().filter(|s| (goal.subject)(s)).map(|s| Part::Subject(s));
    let mut all = vec![
        space.instants.iter().map(|now| Part::Now(*now)).collect(),
        subjects.collect(),
        space.agents.iter().map(|a| Part::Agent(a.as_deref())).collect(),
        lists(&space.groups, goal, avoid, Part::Groups, budget)?,
    ];
    for (name, members) in &space.claims {
        all.push(lists(members, goal, avoid, |values| Part::Claim(name, values), budget)?);
    }
    for cluster in &space.clusters {
        all.push(cluster.objects.iter().map(|object| Part::Arguments(cluster, object)).collect());
    }
    Ok(all)
}

/// Lists with one member for each statement that must hold and asks for one: see [`super::space`].
fn lists<'s>(
    members: &'s Members,
    goal: &Goal<'_, '_>,
    avoid: &[Asked<'_, '_>],
    part: impl Fn(Vec<&'s str>) -> Part<'s>,
    budget: &mut Budget,
) -> Result<Vec<Part<'s>>, Limit> {
    let members = match members {
        Members::Fixed(list) => return Ok(vec![part(list.iter().map(String::as_str).collect())]),
        Members::Free(members) => members,
    };
    let mut lists: BTreeSet<BTreeSet<&str>> = BTreeSet::from([BTreeSet::new()]);
    let mut order: Vec<BTreeSet<&str>> = vec![BTreeSet::new()];
    for globs in goal.must.iter().filter_map(|(_, ask)| ask.wants(&part(Vec::new()))) {
        let fitting = members.iter().filter(|m| globs.iter().any(|g| g.matches(m)));
        // What a member escapes is what it does not match; of two that will do, only one that
        // escapes more needs to be tried.
        let mut options = Vec::new();
        for member in fitting {
            budget.spend(1 + avoid.len() as u64)?;
            let single = part(vec![member]);
            let holds = |(_, ask): &Asked<'_, '_>| {
                ask.wants(&single).is_some_and(|globs| globs.iter().any(|g| g.matches(member)))
            };
            options.push((part(vec![member]), Bits::of(avoid.iter().map(|asked| !holds(asked)))));
        }
        let best: Vec<&str> = undominated(&options, budget)?
            .into_iter()
            .filter_map(|n| match &options.get(n)?.0 {
                Part::Groups(list) | Part::Claim(_, list) => list.first().copied(),
                _ => None,
            })
            .collect();
        let mut longer = Vec::new();
        lists.clear();
        for list in &order {
            for member in &best {
                budget.spend(1)?;
                let mut list = list.clone();
                list.insert(member);
                if lists.insert(list.clone()) {
                    longer.push(list);
                }
            }
        }
        order = longer;
    }
    Ok(order.into_iter().map(|list| part(list.into_iter().collect())).collect())
}

/// The numbers of the options that are not beaten by another, or by an equal one before.
fn undominated(options: &[(Part<'_>, Bits)], budget: &mut Budget) -> Result<Vec<usize>, Limit> {
    let mut best: Vec<usize> = Vec::new();
    for (number, (_, bits)) in options.iter().enumerate() {
        budget.spend(best.len() as u64)?;
        let bits_of = |n: &usize| options.get(*n).map(|(_, b)| b);
        if best.iter().filter_map(bits_of).any(|b| bits.is_within(b)) {
            continue;
        }
        best.retain(|n| bits_of(n).is_none_or(|b| !b.is_within(bits)));
        best.push(number);
    }
    Ok(best)
}

/// Chooses an option for parts until everything is escaped; a part that is left takes its first.
fn choose(
    dimensions: &[Dimension<'_>],
    chosen: &mut Vec<Option<usize>>,
    size: usize,
    budget: &mut Budget,
) -> Result<bool, Limit> {
    budget.spend(1 + (size * dimensions.len()) as u64)?;
    let mut plain = Bits::none(size);
    let mut escaped = Bits::none(size);
    for (dimension, choice) in dimensions.iter().zip(chosen.iter()) {
        if let Some((_, bits)) = dimension.options.get(choice.unwrap_or(0)) {
            plain.add(bits);
            if choice.is_some() {
                escaped.add(bits);
            }
        }
    }
    if plain.is_full(size) {
        return Ok(true);
    }
    let mut fewest: Option<Vec<(usize, usize)>> = None;
    for ask in (0..size).filter(|ask| !escaped.has(*ask)) {
        let mut ways = Vec::new();
        for (number, (dimension, _)) in
            dimensions.iter().zip(chosen.iter()).enumerate().filter(|(_, (_, c))| c.is_none())
        {
            let does = |n: &&usize| dimension.options.get(**n).is_some_and(|(_, bits)| bits.has(ask));
            ways.extend(dimension.best.iter().filter(does).map(|option| (number, *option)));
        }
        budget.spend(1 + ways.len() as u64)?;
        if ways.is_empty() {
            return Ok(false);
        }
        if fewest.as_ref().is_none_or(|few| ways.len() < few.len()) {
            fewest = Some(ways);
        }
    }
    for (dimension, option) in fewest.unwrap_or_default() {
        if let Some(choice) = chosen.get_mut(dimension) {
            *choice = Some(option);
        }
        if choose(dimensions, chosen, size, budget)? {
            return Ok(true);
        }
        if let Some(choice) = chosen.get_mut(dimension) {
            *choice = None;
        }
    }
    Ok(false)
}

fn assemble(dimensions: &[Dimension<'_>], chosen: &[Option<usize>]) -> Found {
    let mut found = Found {
        subject: String::new(),
        agent: None,
        groups: Vec::new(),
        claims: BTreeMap::new(),
        now: Timestamp(0),
        arguments: Map::new(),
    };
    let owned = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    for (dimension, choice) in dimensions.iter().zip(chosen) {
        match dimension.options.get(choice.unwrap_or(0)).map(|(part, _)| part) {
            Some(Part::Subject(subject)) => (*subject).clone_into(&mut found.subject),
            Some(Part::Agent(agent)) => found.agent = agent.map(str::to_owned),
            Some(Part::Groups(groups)) => found.groups = owned(groups),
            Some(Part::Claim(_, values)) if values.is_empty() => {}
            Some(Part::Claim(name, values)) => _ = found.claims.insert((*name).to_owned(), owned(values)),
            Some(Part::Now(now)) => found.now = *now,
            Some(Part::Arguments(_, object)) => merge(&mut found.arguments, object),
            None => {}
        }
    }
    found
}

/// A set of small numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Bits(Vec<u64>);

impl Bits {
    fn none(size: usize) -> Self {
        Self(vec![0; size.div_ceil(64)])
    }

    fn of(bits: impl ExactSizeIterator<Item = bool>) -> Self {
        let mut set = Self::none(bits.len());
        for (number, bit) in bits.enumerate() {
            if let (true, Some(word)) = (bit, set.0.get_mut(number / 64)) {
                *word |= 1 << (number % 64);
            }
        }
        set
    }

    fn has(&self, number: usize) -> bool {
        self.0.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(a, b)| *a |= b);
    }

    fn is_within(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    fn is_full(&self, size: usize) -> bool {
        self.0.iter().map(|word| word.count_ones() as usize).sum::<usize>() == size
    }
}
