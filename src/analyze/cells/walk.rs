//! A text for every combination of answers that any text can give.
//!
//! A breadth-first walk over the product of the machines visits each combination of their states
//! once and keeps the shortest text that leads there. Characters that no question names behave
//! alike, so one of each class stands for all. Literals are not machines: each stands for itself,
//! and a trie keeps the walk from taking one of them for "any other text".

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};
use std::collections::{BTreeSet, VecDeque};

use super::machine::{Answer, At, Machine};
use crate::analyze::{Budget, Limit};

/// The longest text that is made to pass a `max_len`.
const LONGEST: u32 = 1 << 20;

/// The longest host that `canonical_host` reads.
const LONGEST_HOST: usize = 253;

/// What is asked of a string.
#[derive(Debug, Default)]
pub(crate) struct Questions<'p> {
    /// Each holds when one of its machines says yes, and is unfit when one says so.
    pub(crate) machines: Vec<Vec<Machine<'p>>>,
    /// Texts that stand for themselves.
    pub(crate) literals: BTreeSet<String>,
    /// Lengths that some question compares with.
    pub(crate) lengths: BTreeSet<u32>,
}

struct Node {
    states: Box<[At]>,
    /// The place in the trie of literals; `None` once the text is no beginning of one.
    trie: Option<usize>,
    depth: u32,
    /// A place where a character can be repeated without changing the states.
    loops: Option<(u32, char)>,
    parent: Option<(usize, char)>,
}

/// What tells two texts apart: the states, the place in the trie, the depth, and whether one can be
/// stretched.
type Visit = (Box<[At]>, Option<usize>, u32, bool);

/// The beginnings of the literals that the walk could spell.
#[derive(Default)]
struct Trie {
    next: HashMap<(usize, char), usize, FixedState>,
    ends: HashSet<usize, FixedState>,
    size: usize,
}

impl Trie {
    fn insert(&mut self, text: &str) {
        let mut node = 0;
        for c in text.chars() {
            let fresh = self.size + 1;
            node = *self.next.entry((node, c)).or_insert(fresh);
            self.size = self.size.max(node);
        }
        self.ends.insert(node);
    }

    fn step(&self, node: Option<usize>, c: char) -> Option<usize> {
        self.next.get(&(node?, c)).copied()
    }

    fn is_literal(&self, node: Option<usize>) -> bool {
        node.is_some_and(|n| self.ends.contains(&n))
    }
}

/// Texts that between them give every combination of answers that any text gives. The shortest for
/// each, those that are not empty first.
pub(crate) fn texts(questions: &Questions<'_>, budget: &mut Budget) -> Result<Vec<String>, Limit> {
    let alphabet = alphabet(questions);
    let mut trie = Trie::default();
    for literal in questions.literals.iter().filter(|l| l.chars().all(|c| alphabet.contains(&c))) {
        trie.insert(literal);
    }
    let walk = Walk::new(questions, &alphabet, trie)?;
    // Any other text before the named ones: what holds for it does not hang on a name.
    let mut found = walk.run(budget)?;
    found.extend(questions.literals.iter().cloned());
    // An empty text is a strange example where another would do.
    found.sort_by_key(String::is_empty);
    Ok(found)
}

/// The characters that stand for all, one that nothing names first.
fn alphabet(questions: &Questions<'_>) -> Vec<char> {
    let mut named: Vec<char> = Vec::new();
    for c in questions.machines.iter().flatten().flat_map(Machine::alphabet) {
        if !named.contains(&c) {
            named.push(c);
        }
    }
    let literal: HashSet<char, FixedState> = questions.literals.iter().flat_map(|l| l.chars()).collect();
    let preferred = "xyzwvutsrqponmlkjihgfedcbaXYZWVUTSRQPONMLKJIHGFEDCBA".chars();
    let others = ('\u{e0}'..='\u{ffff}').filter(|c| c.is_alphabetic());
    let free = |c: &char| !named.contains(c) && !literal.contains(c);
    let letter = preferred.chain(others.clone()).find(free);
    // A letter that no host has, and a space.
    let foreign = others.clone().find(|c| free(c) && Some(*c) != letter);
    let more = [foreign, Some(' ')]
        .into_iter()
        .flatten()
        .filter(|_| questions.machines.iter().flatten().any(Machine::is_host));
    let mut all: Vec<char> = letter.into_iter().collect();
    all.extend(named.iter().copied());
    all.extend(more.filter(|c| !named.contains(c)));
    all
}

struct Walk<'q, 'p> {
    questions: &'q Questions<'p>,
    alphabet: &'q [char],
    trie: Trie,
    nodes: Vec<Node>,
    /// Up to which depth two texts of one state are told apart.
    depths: u32,
    /// Lengths beyond what the machines can tell: reached by repeating a character.
    far: Vec<u32>,
    /// The combinations found: answers, lengths that are exceeded, whether the text is empty.
    found: BTreeSet<(Vec<Answer>, usize, bool)>,
    /// In the order found, each with the length to stretch it to.
    order: Vec<(usize, Option<u32>)>,
}

impl<'q, 'p> Walk<'q, 'p> {
    fn new(questions: &'q Questions<'p>, alphabet: &'q [char], trie: Trie) -> Result<Self, Limit> {
        let machines = || questions.machines.iter().flatten();
        let size: usize = machines().map(Machine::size).sum::<usize>() + 1;
        // A longer host is unfit. That can be had with a short one too, by a character that no host
        // has, unless patterns fix every character of it.
        let fixed = machines().map(Machine::fixes);
        let (leading, elsewhere) = fixed.fold((0, 0), |(a, b), (leading, more)| (leading.max(a), more + b));
        if machines().any(Machine::is_host) && leading + elsewhere > LONGEST_HOST {
            return Err(Limit::new("the patterns on a URL are longer together than a host may be"));
        }
        let near = |n: &&u32| (**n as usize) < size;
        let far: Vec<u32> = questions.lengths.iter().filter(|n| !near(n)).copied().collect();
        if far.iter().any(|n| *n > LONGEST) {
            return Err(Limit::new("a `max_len` is too large to build a text that exceeds it"));
        }
        let depths = questions.lengths.iter().filter(near).max().map_or(0, |n| n + 1);
        Ok(Self {
            questions,
            alphabet,
            trie,
            nodes: Vec::new(),
            depths,
            far,
            found: BTreeSet::new(),
            order: Vec::new(),
        })
    }

    fn run(mut self, budget: &mut Budget) -> Result<Vec<String>, Limit> {
        let start: Box<[At]> = self.questions.machines.iter().flatten().map(Machine::start).collect();
        let root = Node { states: start, trie: Some(0), depth: 0, loops: None, parent: None };
        let mut seen: HashSet<Visit, FixedState> = HashSet::default();
        let mut queue = VecDeque::new();
        self.push(root, &mut seen, &mut queue);
        while let Some(number) = queue.pop_front() {
            self.record(number);
            for &c in self.alphabet {
                budget.spend(1 + self.questions.machines.len() as u64)?;
                let Some(node) = self.nodes.get(number) else { continue };
                let states: Box<[At]> = (self.questions.machines.iter().flatten().zip(&node.states))
                    .map(|(machine, at)| machine.step(*at, c))
                    .collect();
                let trie = self.trie.step(node.trie, c);
                let next = Node { states, trie, depth: node.depth + 1, loops: node.loops, parent: Some((number, c)) };
                let looping = !self.far.is_empty() && node.loops.is_none() && next.states == node.states;
                // The same text, remembered as one that can be stretched here.
                let stretched = looping.then(|| Node {
                    states: node.states.clone(),
                    trie: node.trie,
                    depth: node.depth,
                    loops: Some((node.depth, c)),
                    parent: node.parent,
                });
                self.push(next, &mut seen, &mut queue);
                if let Some(node) = stretched {
                    self.push(node, &mut seen, &mut queue);
                }
            }
        }
        Ok(self.order.iter().map(|(number, length)| self.text(*number, *length)).collect())
    }

    fn push(&mut self, node: Node, seen: &mut HashSet<Visit, FixedState>, queue: &mut VecDeque<usize>) {
        if node.states.iter().any(Machine::is_over) {
            return;
        }
        if seen.insert((node.states.clone(), node.trie, node.depth.min(self.depths.max(1)), node.loops.is_some())) {
            queue.push_back(self.nodes.len());
            self.nodes.push(node);
        }
    }

    /// Keeps the text of a node for the combination of answers that it gives, if it is the first.
    fn record(&mut self, number: usize) {
        let Some(node) = self.nodes.get(number) else { return };
        let depth = node.depth;
        let mut states = self.questions.machines.iter().map(Vec::as_slice);
        let mut rest = &*node.states;
        let mut answers = Vec::new();
        for machines in &mut states {
            let (own, others) = rest.split_at_checked(machines.len()).unwrap_or((rest, &[]));
            rest = others;
            let each = machines.iter().zip(own).map(|(machine, at)| machine.answer(*at));
            answers.push(each.max().unwrap_or(Answer::No));
        }
        let class = |length: u32| self.questions.lengths.iter().filter(|n| length > **n).count();
        let mut lengths = Vec::new();
        if !self.trie.is_literal(node.trie) {
            lengths.push((class(node.depth), None));
        }
        if node.loops.is_some() {
            lengths.extend(self.far.iter().filter(|n| **n >= node.depth).map(|n| (class(n + 1), Some(n + 1))));
        }
        for (class, length) in lengths {
            if self.found.insert((answers.clone(), class, depth == 0)) {
                self.order.push((number, length));
            }
        }
    }

    fn text(&self, number: usize, length: Option<u32>) -> String {
        let text = self.spell(number, length);
        // Stretched, it could by chance be a literal; one more character and it is not.
        match length {
            Some(length) if self.questions.literals.contains(&text) => self.spell(number, Some(length + 1)),
            _ => text,
        }
    }

    fn spell(&self, number: usize, length: Option<u32>) -> String {
        let mut chars = Vec::new();
        let node = self.nodes.get(number);
        let mut parent = node.and_then(|n| n.parent);
        while let Some((number, c)) = parent {
            chars.push(c);
            parent = self.nodes.get(number).and_then(|n| n.parent);
        }
        chars.reverse();
        let mut text = String::new();
        let stretch = node.and_then(|n| n.loops).zip(length);
        for position in 0..=chars.len() {
            if let Some(((at, c), length)) = stretch
                && at as usize == position
            {
                text.extend(std::iter::repeat_n(c, (length as usize).saturating_sub(chars.len())));
            }
            text.extend(chars.get(position));
        }
        text
    }
}
