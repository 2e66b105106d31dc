//! Who asks, as far as the policies can see it, and what all of them asked for.
//!
//! Many who ask are one to the policies: they get the same answers, and are told apart only to be
//! counted. Nothing here judges.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::labels::{roles, shown, tenants, write_subject};
use crate::model::{Request, Subject};
use crate::pdp;
use crate::policy::CompiledPolicy;
use crate::traffic::Numbers;

/// How many pairs of an item and one who asks for it are remembered.
const MOST_PAIRS: usize = 1 << 16;
/// How many lists of roles and tenants are shared.
const MOST_LISTS: usize = 1 << 12;
/// How many pairs have a number before all that is remembered is folded.
const MOST_NUMBERS: u32 = 1 << 17;
/// How many stances are told apart before all that is remembered is folded.
const MOST_STANCES: usize = 1 << 16;

/// How who asks is called in the tables. One text is shared by all that are called so.
#[derive(Debug)]
pub(super) struct Who {
    /// `issuer/sub`
    pub(super) subject: Arc<str>,
    pub(super) agent: Arc<str>,
    /// Of each there is one at least.
    pub(super) roles: Arc<[Arc<str>]>,
    pub(super) tenants: Arc<[Arc<str>]>,
    /// Whether it is known under whom a call counts.
    pub(super) subject_known: bool,
    pub(super) agent_known: bool,
    /// A hash of `subject`.
    pub(super) hash: u64,
}

impl Who {
    pub(super) fn of(request: &Request<'_>) -> Self {
        let mut subject = String::new();
        write_subject(&mut subject, &request.subject);
        let Subject { issuer, id, agent, .. } = request.subject;
        Self {
            hash: FixedState::default().hash_one(subject.as_str()),
            subject: subject.into(),
            agent: shown(agent).into(),
            roles: roles(&request.subject),
            tenants: tenants(&request.subject),
            subject_known: !issuer.is_unknown() && !id.is_unknown(),
            agent_known: !agent.is_unknown(),
        }
    }
}

/// One who asks for one item, by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker {
    /// Of the same stance, all get the same answers about the item.
    pub(super) stance: u32,
    /// As who it is counted, and for what.
    pub(super) pair: Pair,
    /// The number of the lists of a token of theirs, and how these come out of the checks.
    token: (u32, u8),
}

impl Asker {
    /// How the lists of their token come out of the checks of each policy, of which there are two at most.
    pub(super) const fn token(&self) -> u8 {
        self.token.1
    }
}

/// One who asks and what for, by number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) number: u32,
    pub(super) who: u32,
}

/// Takes the same names from where they are already.
fn share(lists: &mut BTreeSet<Arc<[Arc<str>]>>, names: &mut Arc<[Arc<str>]>) {
    match lists.get(names) {
        Some(known) => *names = Arc::clone(known),
        None if lists.len() < MOST_LISTS => drop(lists.insert(Arc::clone(names))),
        None => {}
    }
}

/// The answers of policies about the lists of a token, each of which is below 16.
fn together(answers: impl Iterator<Item = u8>) -> u8 {
    answers.fold(0, |all, one| all << 4 | one)
}

/// Those who ask, within one space of numbers.
#[derive(Debug)]
pub(super) struct Askers<'p> {
    policies: Vec<&'p CompiledPolicy>,
    /// By the item and the subject, and by what is missing: what is absent and what is not known differ.
    pairs: HashMap<(u64, u32), Asker, FixedState>,
    stances: HashMap<Vec<u64>, u32, FixedState>,
    /// How many pairs have a number.
    numbered: u32,
    scratch: Vec<u64>,
    numbers: HashMap<(u32, u32), u32, FixedState>,
    who: Vec<Who>,
    /// Roles and tenants, of which most have the same.
    lists: BTreeSet<Arc<[Arc<str>]>>,
    /// By the way in which an event comes out, then by who asked: how many.
    counted: Vec<Vec<u64>>,
}

impl<'p> Askers<'p> {
    pub(super) fn of(policies: Vec<&'p CompiledPolicy>) -> Self {
        Self {
            policies,
            pairs: HashMap::default(),
            stances: HashMap::default(),
            numbered: 0,
            scratch: Vec::new(),
            numbers: HashMap::default(),
            who: Vec::new(),
            lists: BTreeSet::new(),
            counted: Vec::new(),
        }
    }

    /// The one who asks.
    pub(super) fn find(&mut self, request: &Request<'_>, numbers: &Numbers<'_>) -> Asker {
        let [lists, subject, token, _, item] = numbers.of();
        let pair = (u64::from(item) << 32 | u64::from(subject), lists);
        if let Some(asker) = self.pairs.get_mut(&pair) {
            if asker.token.0 != token {
                let answers = self.policies.iter().map(|policy| pdp::token_stance(policy, request));
                asker.token = (token, together(answers));
            }
            return *asker;
        }
        self.scratch.clear();
        self.scratch.push(u64::from(item));
        let answers = self.policies.iter().map(|policy| pdp::stance(policy, request, &mut self.scratch));
        let answers = together(answers);
        let next = u32::try_from(self.stances.len()).unwrap_or(u32::MAX);
        let stance = *self.stances.entry_ref(&*self.scratch).or_insert(next);
        let next = u32::try_from(self.who.len()).unwrap_or(u32::MAX);
        let who = *self.numbers.entry((lists, subject)).or_insert_with(|| {
            let mut who = Who::of(request);
            for names in [&mut who.roles, &mut who.tenants] {
                share(&mut self.lists, names);
            }
            self.who.push(who);
            next
        });
        if self.pairs.len() >= MOST_PAIRS {
            self.pairs.clear();
        }
        let pair_of = Pair { number: self.numbered, who };
        self.numbered = self.numbered.saturating_add(1);
        let asker = Asker { stance, pair: pair_of, token: (token, answers) };
        self.pairs.insert(pair, asker);
        asker
    }

    /// How one is called.
    pub(super) fn who(&self, number: u32) -> Option<&Who> {
        self.who.get(number as usize)
    }

    /// Counts an event of one who asked, that came out in the way of this number.
    pub(super) fn count(&mut self, who: u32, way: usize) {
        if self.counted.len() <= way {
            self.counted.resize_with(way + 1, Vec::new);
        }
        let Some(counted) = self.counted.get_mut(way) else { return };
        if counted.len() <= who as usize {
            counted.resize(self.who.len().max(who as usize + 1), 0);
        }
        counted.get_mut(who as usize).into_iter().for_each(|count| *count += 1);
    }

    /// Gives out what was counted: who, in which way, and how many.
    pub(super) fn settle(&mut self, mut fold: impl FnMut(&Who, usize, u64)) {
        for (way, counted) in self.counted.iter_mut().enumerate() {
            for (who, count) in self.who.iter().zip(counted) {
                let events = std::mem::take(count);
                if events > 0 {
                    fold(who, way, events);
                }
            }
        }
    }

    /// Whether there are so many that what is remembered should be folded.
    pub(super) fn is_full(&self) -> bool {
        self.stances.len() >= MOST_STANCES || self.numbered >= MOST_NUMBERS
    }

    /// Begins anew to number stances, where no question is remembered.
    pub(super) fn forget(&mut self) {
        self.pairs.clear();
        self.stances.clear();
        self.numbered = 0;
    }

    /// Begins anew with other numbers, where nothing is counted any more.
    pub(super) fn clear(&mut self) {
        self.forget();
        self.numbers.clear();
        self.who.clear();
        self.lists.clear();
        self.counted.clear();
    }
}
