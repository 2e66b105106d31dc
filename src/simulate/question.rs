//! What two policies can see of an event: everything else cannot change their answers.
//!
//! Events with the same question get the same answers, so one of them is judged for all. A question
//! is exact: facts are told apart by numbers that stand for equal facts, times by every instant and
//! length that a policy compares them with, arguments by how they answer every rule about the item.

use std::sync::Arc;

use hashbrown::HashMap;

use super::askers::Asker;
use crate::model::{Arguments, Context, Fact, Resource, ResourceKind, Timestamp};
use crate::policy::CompiledPolicy;
use crate::policy::argument::{ArgPath, Found};
use crate::policy::matcher::{ArgRules, Match, Matcher};
use crate::policy::set::item_name;
use crate::traffic::{Keep, Numbers, Observed, Wants};

/// The most lengths or instants of one kind that a question takes in. Events of an item with
/// more are judged one by one.
const MOST: usize = 250;
/// The most instants at which statements expire.
const MOST_EXPIRIES: usize = 1 << 28;
/// How many answers of matchers a question holds without a table.
const FEW: usize = 21;

/// A question. Two events of one space with the same get the same answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// What the lists of missing fields say, and how the one who asks for the item stands to it.
    asker: u64,
    /// How the lists of the token come out, and the recorded decision.
    token: u64,
    /// The number of its [`Bearing`].
    bearing: u32,
}

impl Question {
    /// The same where the arguments and the times lie otherwise to all that they are held against.
    pub(super) const fn with(self, bearing: u32) -> Self {
        Self { bearing, ..self }
    }

    /// Whether they lie so.
    pub(super) const fn bears(&self, bearing: u32) -> bool {
        self.bearing == bearing
    }
}

/// What of a question is not a fact: how the arguments and the times of an event lie to all that they are
/// held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Bearing {
    arguments: u64,
    /// At the instant of the judgement, and at the recorded one.
    times: [u64; 2],
}

/// Makes questions of events.
#[derive(Debug)]
pub(super) struct Questions<'p> {
    policies: Vec<&'p CompiledPolicy>,
    /// How far the issuers let `iat` and `nbf` lie in the future; nothing where the issuer is not known.
    skews: Vec<u32>,
    lifetimes: Vec<u32>,
    expiries: Vec<Timestamp>,
    space: Option<Arc<()>>,
    /// By number, as far as they have been met.
    items: Vec<Option<ItemTerms<'p>>>,
    /// The answers of many matchers.
    answers: HashMap<Vec<u8>, u64, foldhash::fast::FixedState>,
    scratch: Vec<u8>,
    /// There are few, and a question is looked up faster for being short.
    bearings: HashMap<Bearing, u32, foldhash::fast::FixedState>,
}

/// What the policies hold the calls of one item against.
#[derive(Debug)]
struct ItemTerms<'p> {
    ttls: Vec<u32>,
    /// What is asked of each place in the arguments, each matcher once.
    asked: Vec<(&'p ArgPath, Vec<&'p Matcher>)>,
}

impl<'p> Questions<'p> {
    pub(super) fn new(candidate: &'p CompiledPolicy, baseline: Option<&'p CompiledPolicy>) -> Self {
        let policies: Vec<_> = std::iter::once(candidate).chain(baseline).collect();
        let issuers = || policies.iter().flat_map(|p| p.set().issuers.values());
        let statements = policies.iter().flat_map(|p| p.set().grants.iter().chain(&p.set().denies));
        Self {
            skews: sorted(issuers().map(|i| i.clock_skew).chain([0])),
            lifetimes: sorted(issuers().map(|i| i.max_lifetime)),
            expiries: sorted(statements.filter_map(|s| s.expires)),
            policies,
            space: None,
            items: Vec::new(),
            answers: HashMap::default(),
            scratch: Vec::new(),
            bearings: HashMap::default(),
        }
    }

    /// Whether the numbers are of the space of those before.
    pub(super) fn is_in(&self, space: &Arc<()>) -> bool {
        self.space.as_ref().is_some_and(|own| Arc::ptr_eq(own, space))
    }

    /// Whether the numbers are of another space than those before. Then all that was remembered of
    /// earlier ones is void.
    pub(super) fn enter(&mut self, numbers: &Numbers<'_>) -> bool {
        if self.is_in(numbers.space()) {
            return false;
        }
        self.space = Some(Arc::clone(numbers.space()));
        self.items.clear();
        self.forget();
        true
    }

    /// Begins anew to number, where no question is remembered.
    pub(super) fn forget(&mut self) {
        self.answers.clear();
        self.bearings.clear();
    }

    /// The question of an event that is judged in the context `asked`, by that asker. None when it is one that is
    /// not told apart exactly.
    pub(super) fn of(
        &mut self,
        seen: &Observed<'_>,
        numbers: &Numbers<'_>,
        asker: Asker,
        asked: &Context<'_>,
    ) -> Option<Question> {
        let number = numbers.item() as usize;
        if self.items.len() <= number {
            self.items.resize_with(number + 1, || None);
        }
        let slot = self.items.get_mut(number)?;
        slot.get_or_insert_with(|| ItemTerms::of(&self.policies, &seen.request.resource));
        let bearing = self.bearing(numbers, &seen.request.context, asked)?;
        let [lists, .., verdict, _] = numbers.of().map(u64::from);
        let (stance, token) = (u64::from(asker.stance), u64::from(asker.token()));
        Some(Question { asker: lists << 32 | stance, token: token << 32 | verdict, bearing })
    }

    /// How the arguments and the times of an event lie to all that they are held against, by a number. None where no
    /// event of the item has been met, or they are not told apart exactly.
    pub(super) fn bearing(
        &mut self,
        numbers: &Numbers<'_>,
        recorded: &Context<'_>,
        asked: &Context<'_>,
    ) -> Option<u32> {
        let terms = self.items.get(numbers.item() as usize)?.as_ref()?;
        let few = |list: &[u32]| list.len() <= MOST;
        let exact = few(&terms.ttls) && few(&self.skews) && few(&self.lifetimes);
        if !exact || self.expiries.len() >= MOST_EXPIRIES {
            return None;
        }
        let limits = (&*self.skews, &*self.lifetimes, &*self.expiries);
        let at_recording = position(recorded, &terms.ttls, limits);
        let times = if asked.now == recorded.now {
            [at_recording; 2]
        } else {
            [position(asked, &terms.ttls, limits), at_recording]
        };
        self.scratch.clear();
        terms.answers(&recorded.arguments, &mut self.scratch);
        let arguments = packed(&self.scratch, &mut self.answers);
        // There are never more than questions are remembered.
        let next = u32::try_from(self.bearings.len()).ok()?;
        Some(*self.bearings.entry(Bearing { arguments, times }).or_insert(next))
    }
}

/// Answers of matchers as one number: within one item, equal numbers are equal answers.
fn packed(answers: &[u8], table: &mut HashMap<Vec<u8>, u64, foldhash::fast::FixedState>) -> u64 {
    if answers.len() <= FEW {
        return answers.iter().fold(0, |all, answer| all << 3 | u64::from(*answer));
    }
    let next = table.len() as u64;
    *table.entry_ref(answers).or_insert(next)
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut list: Vec<T> = items.collect();
    list.sort_unstable();
    list.dedup();
    list
}

/// Where the times of a request lie among all that they are compared with. Each comparison is the one
/// that [`crate::pdp`] makes, and holds for all limits on one side of a place in their order.
fn position(context: &Context<'_>, ttls: &[u32], (skews, lifetimes, expiries): (&[u32], &[u32], &[Timestamp])) -> u64 {
    let (now, token) = (context.now, &context.token);
    let future = |at: Fact<Timestamp>| match at {
        Fact::Known(at) => skews.partition_point(|skew| at > now.plus(i64::from(*skew))),
        _ => 0,
    };
    let stale = match token.issued_at {
        Fact::Known(issued) => ttls.partition_point(|ttl| now >= issued.plus(i64::from(*ttl))),
        _ => 0,
    };
    let long = match (token.issued_at, token.expires_at) {
        (Fact::Known(issued), Fact::Known(expires)) => {
            lifetimes.partition_point(|longest| expires.since(issued) > i64::from(*longest))
        }
        _ => 0,
    };
    let expired = matches!(token.expires_at, Fact::Known(expires) if now >= expires);
    let known = |fact: Fact<Timestamp>| usize::from(fact.known().is_some());
    let mut all = expiries.partition_point(|expires| now >= *expires) as u64;
    for places in [stale, future(token.not_before), future(token.issued_at), long] {
        all = all << 8 | places as u64;
    }
    for bit in [usize::from(expired), known(token.issued_at), known(token.expires_at), known(token.not_before)] {
        all = all << 1 | bit as u64;
    }
    all
}

impl<'p> ItemTerms<'p> {
    fn of(policies: &[&'p CompiledPolicy], item: &Resource<'_>) -> Self {
        let ttls = policies.iter().flat_map(|policy| {
            let server = policy.set().servers.get(item.door);
            server.into_iter().flat_map(|server| {
                let own = match item.kind {
                    ResourceKind::Tool => server.tools.get(item.name),
                    ResourceKind::Prompt => server.prompts.get(item.name),
                    ResourceKind::Server | ResourceKind::Resource => None,
                };
                // Of a URI, each pattern of the door may have a say.
                let patterns = (item.kind == ResourceKind::Resource).then(|| server.resources.values());
                let items = own.into_iter().chain(patterns.into_iter().flatten());
                items.filter_map(|item| item.token_ttl).chain(server.token_ttl)
            })
        });
        let mut asked: Vec<(&ArgPath, Vec<&Matcher>)> = Vec::new();
        for (path, matcher) in policies.iter().flat_map(|policy| rules(policy, item)).flat_map(ArgRules::iter) {
            match asked.iter_mut().find(|(own, _)| *own == path) {
                Some((_, matchers)) if matchers.contains(&matcher) => {}
                Some((_, matchers)) => matchers.push(matcher),
                None => asked.push((path, vec![matcher])),
            }
        }
        Self { ttls: sorted(ttls), asked }
    }

    /// How arguments answer all that may be asked of them. No rule can see more of them.
    fn answers(&self, arguments: &Arguments<'_>, answers: &mut Vec<u8>) {
        for (path, matchers) in &self.asked {
            let withheld = path.is_withheld(arguments);
            let found = path.look(arguments);
            answers.extend(matchers.iter().map(|matcher| match found {
                _ if withheld => Match::Unknown as u8,
                Found::Value(value) => matcher.on(Some(value)) as u8,
                Found::Nothing => matcher.on(None) as u8,
                Found::Blocked => Match::Unfit as u8,
            }));
        }
    }
}

/// The argument rules that a policy may ask about an item; of a URI, those of all patterns.
fn rules<'p>(policy: &'p CompiledPolicy, item: &Resource<'_>) -> Vec<&'p ArgRules> {
    let set = policy.set();
    let name = item_name(item.kind, item.name);
    let is_uri = item.kind == ResourceKind::Resource;
    let mut found = Vec::new();
    for (pattern, rules) in set.denies.iter().chain(&set.grants).flat_map(|s| &s.args) {
        let covers = if is_uri { pattern.server.matches(item.door) } else { pattern.matches(item.door, &name) };
        if covers {
            found.push(rules);
        }
    }
    if let Some(server) = set.servers.get(item.door) {
        let own = match item.kind {
            ResourceKind::Tool => server.tools.get(item.name),
            ResourceKind::Prompt => server.prompts.get(item.name),
            ResourceKind::Server | ResourceKind::Resource => None,
        };
        let patterns = is_uri.then(|| server.resources.values());
        let declared = own.into_iter().chain(patterns.into_iter().flatten()).map(|item| &item.args);
        found.extend(declared.filter(|rules| !rules.is_empty()));
    }
    found
}

/// What policies ask of arguments, for a reader that keeps no more than that.
#[derive(Clone, Debug)]
pub struct Asked<'p> {
    policies: Vec<&'p CompiledPolicy>,
}

impl<'p> Asked<'p> {
    /// By any of these policies.
    pub fn by(policies: impl IntoIterator<Item = &'p CompiledPolicy>) -> Self {
        Self { policies: policies.into_iter().collect() }
    }
}

impl Wants for Asked<'_> {
    fn wants(&self, item: &Resource<'_>) -> Keep {
        let paths = self
            .policies
            .iter()
            .flat_map(|policy| rules(policy, item))
            .flat_map(|rules| rules.iter().map(|(path, _)| path));
        Keep::Named(sorted(paths.filter_map(|path| path.segments().next().map(str::to_owned))))
    }
}
