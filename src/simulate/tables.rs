//! Counts by everything that a report groups by.
//!
//! It takes outcomes with how many events they stand for, never events.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::answer::{RuleName, missing_names};
use super::askers::Who;
use super::bounded::Tallies;
use super::counts::Counts;
use super::labels::hour;
use super::logged::{Logging, Writes};
use super::outcome::{Drifted, Outcome};
use super::report::{Columns, Drift};
use crate::model::{Rule, Timestamp, Verdict};

/// What adds up.
#[derive(Debug, Default)]
pub(super) struct Tables<'p> {
    pub(super) totals: Counts,
    pub(super) drift: Drift,
    pub(super) flow: BTreeMap<Columns, u64>,
    pub(super) missing: BTreeMap<String, u64>,
    pub(super) subjects: Tallies,
    pub(super) agents: Tallies,
    pub(super) roles: Tallies,
    pub(super) tenants: Tallies,
    pub(super) doors: Tallies,
    pub(super) items: Tallies,
    pub(super) reasons: Tallies,
    /// By the address of the statement's place, which is one for each statement.
    rules: HashMap<usize, RuleCounts<'p>, foldhash::fast::FixedState>,
    no_rule: Counts,
}

#[derive(Debug)]
struct RuleCounts<'p> {
    rule: Rule<'p>,
    counts: Counts,
}

impl<'p> Tables<'p> {
    /// Adds so many events of one outcome, to all but those of who asked.
    pub(super) fn add(&mut self, outcome: &Outcome<'p>, events: u64) {
        if events == 0 {
            return;
        }
        let class = &*outcome.class;
        let counts = class.counts.times(events);
        let add = |sum: &mut u64| *sum = sum.saturating_add(events);
        let drift = &mut self.drift;
        match class.drift {
            Drifted::Undecided => add(&mut drift.undecided),
            Drifted::Foreign => add(&mut drift.foreign),
            Drifted::OtherPolicy => add(&mut drift.other_policy),
            Drifted::Undecidable => {
                add(&mut drift.checked);
                add(&mut drift.undecidable);
            }
            Drifted::Same => {
                add(&mut drift.checked);
                add(&mut drift.same);
            }
            Drifted::Different(..) => add(&mut drift.checked),
        }
        add(self.flow.entry(class.columns).or_default());
        self.totals.add(&counts);
        self.items.of(&class.item).add(&counts);
        self.doors.of(&class.door).add(&counts);
        match class.candidate {
            Verdict::Decided(decision) => {
                self.reasons.of(decision.reason.code()).add(&counts);
                let counted = match decision.rule {
                    None => &mut self.no_rule,
                    Some(rule) => {
                        let entry = self.rules.entry(address(rule));
                        &mut entry.or_insert_with(|| RuleCounts { rule, counts: Counts::default() }).counts
                    }
                };
                counted.add(&counts);
            }
            Verdict::Undecided(missing) => {
                self.reasons.of("undecidable").add(&counts);
                self.no_rule.add(&counts);
                for name in missing_names(&missing) {
                    add(self.missing.entry(name).or_default());
                }
            }
        }
    }

    /// Adds the same events to those of who asked.
    pub(super) fn asked(&mut self, who: &Who, counts: &Counts) {
        self.agents.of(&who.agent).add(counts);
        self.subjects.of(&who.subject).add(counts);
        who.roles.iter().for_each(|role| self.roles.of(role).add(counts));
        who.tenants.iter().for_each(|tenant| self.tenants.of(tenant).add(counts));
    }

    /// What a statement decided.
    pub(super) fn rule(&self, rule: Rule<'_>) -> Counts {
        self.rules.get(&address(rule)).map_or(Counts::default(), |found| found.counts)
    }

    /// By statement.
    pub(super) fn rules(&self) -> Tallies {
        let mut tallies = Tallies::default();
        for RuleCounts { rule, counts } in self.rules.values() {
            tallies.of(&RuleName::from(*rule).label()).add(counts);
        }
        if self.no_rule.events > 0 {
            tallies.of("(no statement)").add(&self.no_rule);
        }
        tallies
    }
}

fn address(rule: Rule<'_>) -> usize {
    std::ptr::from_ref(rule.position).addr()
}

/// Counts by hour. Events mostly follow each other in time, so the hour at hand is kept apart.
#[derive(Debug, Default)]
pub(super) struct Hours<'p> {
    tallies: Tallies,
    logging: Logging,
    now: Option<i64>,
    /// Each way in which an event comes out, and how many of the hour at hand did.
    ways: Vec<(Counts, Writes<'p>, u64)>,
}

/// The instants that have an hour with a name of its own: years 0 to 9999.
const NAMED: std::ops::Range<i64> = -62_167_219_200..253_402_300_800;
/// Seconds in an hour.
const HOUR: i64 = 3600;

impl<'p> Hours<'p> {
    /// The number of a way in which an event comes out and is on record, of which there are few.
    pub(super) fn way(&mut self, counts: &Counts, writes: Writes<'p>) -> usize {
        self.ways.iter().position(|(known, log, _)| known == counts && *log == writes).unwrap_or_else(|| {
            self.ways.push((*counts, writes, 0));
            self.ways.len() - 1
        })
    }

    /// One event that comes out in the way of this number.
    pub(super) fn counts(&self, way: usize) -> Counts {
        self.ways.get(way).map_or(Counts::default(), |(counts, ..)| *counts)
    }

    /// Adds one event that comes out in the way of this number.
    pub(super) fn add(&mut self, time: Timestamp, way: usize) {
        let now = Some(time.0.div_euclid(HOUR));
        if self.now != now {
            self.settle();
            self.now = now;
        }
        let Some((counts, writes, events)) = self.ways.get_mut(way) else { return };
        if NAMED.contains(&time.0) {
            *events += 1;
        } else {
            let hour = hour(time);
            self.tallies.of(&hour).add(counts);
            self.logging.add(&hour, *writes, 1);
        }
    }

    fn settle(&mut self) {
        let Some(now) = self.now else { return };
        if self.ways.iter().all(|(.., events)| *events == 0) {
            return;
        }
        let hour = hour(Timestamp(now.saturating_mul(HOUR)));
        let tally = self.tallies.of(&hour);
        for (way, writes, events) in &mut self.ways {
            let events = std::mem::take(events);
            tally.add(&way.times(events));
            self.logging.add(&hour, *writes, events);
        }
    }

    /// By hour, and what is on record.
    pub(super) fn finish(mut self) -> (Tallies, Logging) {
        self.settle();
        (self.tallies, self.logging)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_the_same_in_any_order_and_at_the_ends_of_time() {
        let one = Counts { events: 1, ..Counts::default() };
        let times = [0, 3599, 3600, -1, 7200, 0, NAMED.start, NAMED.start - 1, NAMED.end, NAMED.end - 1, i64::MAX];
        let mut plain = Tallies::default();
        let (mut hours, mut back) = (Hours::default(), Hours::default());
        let way = hours.way(&one, Writes::default());
        assert_eq!(way, back.way(&one, Writes::default()));
        for time in times {
            plain.of(&hour(Timestamp(time))).add(&one);
            hours.add(Timestamp(time), way);
        }
        for time in times.into_iter().rev() {
            back.add(Timestamp(time), way);
        }
        let plain = plain.finish();
        assert_eq!(hours.finish().0.finish(), plain);
        assert_eq!(back.finish().0.finish(), plain);
        assert_eq!(plain.list.iter().find(|g| g.name == "1970-01-01T00Z").unwrap().counts.events, 3);
    }
}
