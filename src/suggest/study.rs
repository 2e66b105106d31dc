//! The first pass: every event once, in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::against::{Against, Usage, difference};
use super::evidence::Example;
use super::learner::{Counts, Learner, Suggestion, Vocabulary, is_legitimate, recorded};
use super::limits::{Cap, MAX_SHOWN};
use super::profile::{Profile, item};
use super::surface::{Sightings, Surface};
use super::{Options, Split};
use crate::policy::CompiledPolicy;
use crate::traffic::{Event, Imported, Numbered, Place, Unreadable};

/// A study that events are fed to.
#[derive(Clone, Debug)]
pub struct Study<'p> {
    options: Options,
    today: Vocabulary<'p>,
    source: Arc<str>,
    counts: Counts,
    unreadable: BTreeSet<(Example, String)>,
    all: Learner<'p>,
    rest: Option<(Split, Learner<'p>)>,
    seen: Sightings,
    usage: Option<Usage<'p>>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Studied<'p> {
    /// What was gone over.
    pub counts: Counts,
    /// The first records that could not be read, with what is wrong.
    pub unreadable: Vec<(Example, String)>,
    /// The policy that was learned from everything.
    pub suggestion: Suggestion,
    /// The policy that was learned without the held-out events.
    pub rest: Option<(Split, CompiledPolicy)>,
    /// How much both grant, once measured.
    pub surface: Option<Surface>,
    /// What changes about today's policy.
    pub against: Option<Against>,
    /// How it was learned.
    pub options: Options,
    pub(super) seen: Sightings,
    pub(super) today: Vocabulary<'p>,
}

impl<'p> Study<'p> {
    /// A study. With today's policy its servers, items, scopes and denies stay as they are, and
    /// `groups` says which groups its issuers list; without one, a policy is made that stands alone.
    pub fn new(
        options: Options,
        today: Option<&'p CompiledPolicy>,
        groups: &BTreeMap<String, Vec<String>>,
        split: Option<Split>,
    ) -> Self {
        let groups = groups.iter().map(|(issuer, list)| (issuer.clone(), list.iter().cloned().collect())).collect();
        let today = Vocabulary { policy: today, groups };
        let learner = Learner::new(options, today.clone());
        Self {
            options,
            source: "".into(),
            counts: Counts::default(),
            unreadable: BTreeSet::new(),
            rest: split.map(|split| (split, learner.clone())),
            all: learner,
            seen: Sightings::new(),
            usage: today.policy.map(Usage::new),
            today,
        }
    }

    /// Names the source of what is fed from now on.
    pub fn source(&mut self, name: &str) {
        self.source = name.into();
    }

    /// Feeds an event, or what stands in its place.
    pub fn item(&mut self, item: &Result<Numbered, Unreadable>) {
        match item {
            Ok(Numbered { place, event }) => self.event(*place, event),
            Err(unreadable) => {
                self.counts.unreadable += 1;
                let example = Example { source: Arc::clone(&self.source), place: unreadable.place };
                self.unreadable.insert((example, format!("{} ({})", unreadable.message, unreadable.code)));
                if self.unreadable.len() > MAX_SHOWN {
                    self.unreadable.pop_last();
                }
            }
        }
    }

    /// Feeds what an importer left out.
    pub fn imported(&mut self, imported: &Imported) {
        self.counts.unmapped += imported.ignored_total() + imported.unmapped_total();
    }

    /// Feeds an event.
    pub fn event(&mut self, place: Place, event: &Event) {
        self.counts.events += 1;
        let today = self.today.policy;
        let (profile, item) = (Profile::of(event, today).map(|(p, _)| p), item(event, today));
        self.seen.add(profile.as_ref(), item.as_ref());
        match is_legitimate(event, self.options.keep) {
            Some(true) => {}
            Some(false) => {
                self.counts.denied += 1;
                return;
            }
            None => {
                self.counts.passed_over += 1;
                return;
            }
        }
        self.counts.legitimate += 1;
        self.counts.undecided += u64::from(recorded(event).is_none());
        let example = Example { source: Arc::clone(&self.source), place };
        let usage = self.usage.as_mut();
        let decider = usage.and_then(|usage| usage.event(event, item.as_ref(), profile.as_ref(), &example));
        self.all.event(event, &example, decider);
        if let Some((split, rest)) = &mut self.rest
            && !split.holds_out(event)
        {
            rest.event(event, &example, decider);
        }
    }

    /// The suggestion, not [measured](Studied::measure) yet.
    pub fn finish(self) -> Studied<'p> {
        let suggestion = self.all.finish();
        Studied {
            counts: self.counts,
            unreadable: self.unreadable.into_iter().collect(),
            rest: self.rest.map(|(split, learner)| (split, learner.finish().policy)),
            surface: None,
            against: self.usage.map(Usage::finish),
            suggestion,
            options: self.options,
            seen: self.seen,
            today: self.today,
        }
    }
}

impl Studied<'_> {
    /// Asks `analyze` how much is granted, and for the exact difference from today's policy.
    pub fn measure(&mut self) {
        let suggested = &self.suggestion.policy;
        let held_out = self.rest.as_ref().map(|(_, policy)| policy);
        let (surface, cut) = self.seen.surface(self.today.policy, suggested, held_out);
        self.surface = Some(surface);
        if let (Some(against), Some(today)) = (&mut self.against, self.today.policy) {
            against.diff = Some(difference(today, suggested));
        }
        if cut {
            self.suggestion.caps.insert(Cap::Profiles);
        }
    }
}
