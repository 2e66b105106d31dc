//! Changes, gathered without copying anything of an event but the first of each kind.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use hashbrown::{Equivalent, HashMap};

use super::answer::{Answer, RuleName, Side, missing_names};
use super::bounded::{MAX_KEYS, MAX_SAMPLES, keep_sample};
use super::judged::Judged;
use super::report::{Changes, Kind, Row, Sample, Window};
use super::why::Why;
use crate::model::{Effect, Rule, Timestamp, Verdict};
use crate::traffic::{DecidedRule, Place};

/// Changes by what they are. At most twice [`MAX_KEYS`] are held.
#[derive(Debug, Default)]
pub(super) struct Rows {
    map: HashMap<Key, Row, foldhash::fast::FixedState>,
    /// The highest that is still counted apart, once one has been given up.
    highest: Option<Key>,
    others: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: Kind,
    item: String,
    before: Answer,
    after: Answer,
}

/// A key that borrows, to look up with.
struct Probe<'a> {
    kind: Kind,
    item: &'a str,
    before: &'a Side<'a>,
    after: &'a Side<'a>,
}

impl Rows {
    /// Adds an event that comes out as `kind`. `why` is asked only for an event that is kept. Returns
    /// the place behind which this recording has no further sample for the row.
    pub(super) fn add(
        &mut self,
        kind: Kind,
        judged: &Judged<'_>,
        (before, after): (&Side<'_>, &Side<'_>),
        why: impl FnOnce() -> Why,
    ) -> Option<Place> {
        let about = judged.witness;
        let probe = Probe { kind, item: &judged.class.item, before, after };
        let row = match self.map.get_mut(&probe) {
            Some(row) => row,
            None => match self.insert(&probe, about.time) {
                Some(row) => row,
                None => {
                    self.others += 1;
                    return None;
                }
            },
        };
        row.0 += 1;
        row.1 = row.1.join(Window::at(about.time));
        let here = (about.source, about.place);
        keep_sample(
            &mut row.2,
            |kept| here < (kept.source.as_str(), kept.place),
            || Sample {
                source: about.source.to_owned(),
                place: about.place,
                about: about.who.subject.to_string(),
                time: Some(about.time),
                agent: Some(about.who.agent.to_string()),
                why: Some(Box::new(why())),
            },
        );
        let last = row.2.get(MAX_SAMPLES - 1)?;
        (last.source.as_str() <= about.source)
            .then(|| if last.source == about.source { last.place } else { Place::default() })
    }

    /// Adds events of which none can be a sample.
    pub(super) fn late(
        &mut self,
        kind: Kind,
        item: &str,
        (before, after): (&Side<'_>, &Side<'_>),
        count: u64,
        window: Window,
    ) {
        let probe = Probe { kind, item, before, after };
        let row = match self.map.get_mut(&probe) {
            Some(row) => row,
            None => match self.insert(&probe, window.first) {
                Some(row) => row,
                None => {
                    self.others += count;
                    return;
                }
            },
        };
        row.0 += count;
        row.1 = row.1.join(window);
    }

    fn insert(&mut self, probe: &Probe<'_>, time: Timestamp) -> Option<&mut Row> {
        if self.map.len() >= 2 * MAX_KEYS {
            self.trim();
        }
        let Probe { kind, item, before, after } = probe;
        let key = Key { kind: *kind, item: (*item).to_owned(), before: before.answer(), after: after.answer() };
        if self.highest.as_ref().is_some_and(|highest| key > *highest) {
            return None;
        }
        Some(self.map.entry(key).or_insert_with(|| (0, Window::at(time), Vec::with_capacity(MAX_SAMPLES))))
    }

    fn trim(&mut self) {
        if self.map.len() <= MAX_KEYS {
            return;
        }
        let mut keys: Vec<Key> = self.map.keys().cloned().collect();
        keys.sort_unstable();
        let given_up = keys.split_off(MAX_KEYS);
        self.highest = keys.pop();
        for key in given_up {
            self.others += self.map.remove(&key).map_or(0, |row| row.0);
        }
    }

    pub(super) fn finish(mut self) -> Changes {
        self.trim();
        let sorted: BTreeMap<_, Row> =
            self.map.into_iter().map(|(k, row)| ((k.kind, k.item, k.before, k.after), row)).collect();
        Changes::of(sorted, self.others)
    }
}

/// What of an answer is hashed: the same of a [`Side`] and of the [`Answer`] made from it.
fn hash_answer(answer: &Answer, state: &mut impl Hasher) {
    match answer {
        Answer::None => state.write_u8(0),
        Answer::Allow { rule } => {
            state.write_u8(1);
            hash_rule(rule.as_ref().map(|r| r.name.as_str()), state);
        }
        Answer::Deny { reason, rule } => {
            state.write_u8(2);
            reason.hash(state);
            hash_rule(rule.as_ref().map(|r| r.name.as_str()), state);
        }
        Answer::Undecidable { .. } => state.write_u8(3),
        Answer::Foreign { said, .. } => hash_foreign(said, state),
    }
}

fn hash_side(side: &Side<'_>, state: &mut impl Hasher) {
    if let Side::Foreign(foreign) = side {
        return hash_foreign(&foreign.said, state);
    }
    let name = side.rule().map(|(_, name)| name);
    match (side.effect(), side.reason()) {
        (Some(Effect::Allow), _) => {
            state.write_u8(1);
            hash_rule(name, state);
        }
        (Some(Effect::Deny), Some(reason)) => {
            state.write_u8(2);
            reason.hash(state);
            hash_rule(name, state);
        }
        _ => state.write_u8(if matches!(side, Side::Nothing) { 0 } else { 3 }),
    }
}

fn hash_foreign(said: &str, state: &mut impl Hasher) {
    state.write_u8(4);
    said.hash(state);
}

fn hash_rule(name: Option<&str>, state: &mut impl Hasher) {
    name.hash(state);
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.item.as_str().hash(state);
        hash_answer(&self.before, state);
        hash_answer(&self.after, state);
    }
}

impl Hash for Probe<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.item.hash(state);
        hash_side(self.before, state);
        hash_side(self.after, state);
    }
}

impl Equivalent<Key> for Probe<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.kind == key.kind && self.item == key.item && same(self.before, &key.before) && same(self.after, &key.after)
    }
}

/// Whether [`Side::answer`] would give this answer.
fn same(side: &Side<'_>, answer: &Answer) -> bool {
    match (side, answer) {
        (Side::Nothing, Answer::None) => true,
        (Side::Foreign(foreign), Answer::Foreign { effect, said }) => {
            foreign.effect == *effect && foreign.said == *said
        }
        (Side::Judged(Verdict::Undecided(facts)), Answer::Undecidable { missing }) => missing_names(facts) == *missing,
        (Side::Judged(Verdict::Decided(decision)), Answer::Allow { rule }) => {
            decision.is_allow() && same_rule(decision.rule, rule.as_ref())
        }
        (Side::Judged(Verdict::Decided(decision)), Answer::Deny { reason, rule }) => {
            !decision.is_allow() && decision.reason == *reason && same_rule(decision.rule, rule.as_ref())
        }
        (Side::Recorded(decided), Answer::Allow { rule }) => {
            decided.effect == Effect::Allow && same_recorded(decided.rule.as_ref(), rule.as_ref())
        }
        (Side::Recorded(decided), Answer::Deny { reason, rule }) => {
            decided.effect == Effect::Deny
                && decided.reason == *reason
                && same_recorded(decided.rule.as_ref(), rule.as_ref())
        }
        _ => false,
    }
}

/// A name is unique among the statements of its kind in one policy; without one the place decides.
fn same_rule(rule: Option<Rule<'_>>, named: Option<&RuleName>) -> bool {
    match (rule, named) {
        (None, None) => true,
        (Some(rule), Some(named)) => {
            rule.kind == named.kind
                && rule.name == named.name
                && (!rule.name.is_empty() || RuleName::from(rule).at == named.at)
        }
        _ => false,
    }
}

/// A recorded rule has no place.
fn same_recorded(rule: Option<&DecidedRule>, named: Option<&RuleName>) -> bool {
    match (rule, named) {
        (None, None) => true,
        (Some(rule), Some(named)) => rule.kind == named.kind && rule.name == named.name && named.at.is_empty(),
        _ => false,
    }
}
