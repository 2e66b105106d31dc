//! What was found in a log beside its events, counted alike by every importer.
//!
//! Each record is one of four things: an event, ignored by a rule with a name, unmapped, or
//! unreadable. Nothing else happens to a record, so the counts always add up.

use std::collections::BTreeMap;

use crate::policy::mask_secrets;

/// The most names that are counted apart.
const MAX_NAMES: usize = 1_000;

/// Names over the limit, together.
const OTHERS: &str = "…";

/// What an importer found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Lines or documents read.
    pub documents: u64,
    /// The calls, messages, spans or records in them. A document that cannot be read counts as one.
    pub records: u64,
    /// Records that became events.
    pub events: u64,
    /// Records that a rule leaves out, by the name of the rule.
    pub ignored: BTreeMap<String, u64>,
    /// Records of which no rule says anything, by what they call themselves.
    pub unmapped: BTreeMap<String, u64>,
    /// Events that no identity rule is about.
    pub unidentified: u64,
    /// Records that could not be read.
    pub unreadable: u64,
}

impl Imported {
    /// Counts a record that a rule leaves out.
    pub fn ignore(&mut self, rule: &str) {
        count(&mut self.ignored, rule, 1);
    }

    /// Counts a record of which no rule says anything. Its name is the log's: a secret in it is not kept.
    pub fn unmapped(&mut self, name: &str) {
        count(&mut self.unmapped, &mask_secrets(name), 1);
    }

    /// How many records a rule leaves out.
    pub fn ignored_total(&self) -> u64 {
        total(&self.ignored)
    }

    /// Of how many records no rule says anything.
    pub fn unmapped_total(&self) -> u64 {
        total(&self.unmapped)
    }

    /// Whether every record is accounted for.
    pub fn is_complete(&self) -> bool {
        let left_out = self.ignored_total().saturating_add(self.unmapped_total());
        self.records == self.events.saturating_add(left_out).saturating_add(self.unreadable)
    }

    /// Adds what was found in another file.
    pub fn add(&mut self, more: &Self) {
        self.documents = self.documents.saturating_add(more.documents);
        self.records = self.records.saturating_add(more.records);
        self.events = self.events.saturating_add(more.events);
        self.unidentified = self.unidentified.saturating_add(more.unidentified);
        self.unreadable = self.unreadable.saturating_add(more.unreadable);
        for (rule, n) in &more.ignored {
            count(&mut self.ignored, rule, *n);
        }
        for (name, n) in &more.unmapped {
            count(&mut self.unmapped, name, *n);
        }
    }
}

fn total(counts: &BTreeMap<String, u64>) -> u64 {
    counts.values().fold(0, |sum, n| sum.saturating_add(*n))
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str, n: u64) {
    if let Some(known) = counts.get_mut(name) {
        *known = known.saturating_add(n);
        return;
    }
    let name = if counts.len() < MAX_NAMES { name } else { OTHERS };
    let sum = counts.entry(name.to_owned()).or_default();
    *sum = sum.saturating_add(n);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_nothing_is_lost() {
        let mut imported = Imported { records: 3_001, events: 1, ..Imported::default() };
        for n in 0..3_000 {
            imported.unmapped(&n.to_string());
        }
        assert_eq!(imported.unmapped.len(), MAX_NAMES + 1);
        assert!(imported.is_complete());
        let mut twice = imported.clone();
        twice.add(&imported);
        assert!(twice.is_complete());
        assert_eq!(twice.unmapped_total(), 6_000);
    }
}
