//! The second pass: the same events, judged by the suggested policy.
//!
//! A legitimate call that comes out otherwise is explained when no grant could have kept it: its
//! token, a deny, a rule of the tool, or a fact that was not recorded. Anything else is a fault.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::evidence::{Evidence, Example};
use super::learner::is_legitimate;
use super::limits::Cap;
use super::study::Studied;
use crate::model::{Effect, FactSet, Missing, Reason, ResourceKind, RuleKind, Verdict};
use crate::pdp;
use crate::policy::CompiledPolicy;
use crate::traffic::{Event, Numbered, Place, Unreadable};

/// Legitimate calls that the suggested policy does not allow.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// The reason code, or `undecidable`.
    pub reason: String,
    /// Why it is so, in one line.
    pub why: String,
    /// Whether no grant could have kept them.
    pub explained: bool,
    /// Which.
    pub evidence: Evidence,
}

/// What the replay showed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Proof {
    /// Legitimate calls replayed.
    pub replayed: u64,
    /// Those that the suggested policy allows.
    pub kept: u64,
    /// Those that it does not.
    pub lost: Vec<Lost>,
    /// Calls that were recorded as denied, and that it allows.
    pub reopened: Evidence,
}

impl Proof {
    /// Whether every call was kept that a grant can keep.
    pub fn holds(&self) -> bool {
        self.lost.iter().all(|lost| lost.explained)
    }
}

/// How a policy that was learned from some sessions does on the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Score {
    /// The share that was held out.
    pub share: f64,
    /// The seed.
    pub seed: u64,
    /// Held-out legitimate calls.
    pub legitimate: u64,
    /// Those that the policy allows.
    pub kept: u64,
    /// Why it does not allow the others: reason codes, or `undecidable`.
    pub lost: BTreeMap<String, u64>,
    /// Held-out calls that were recorded as denied.
    pub denied: u64,
    /// Those that it denies.
    pub still_denied: u64,
}

/// A trial that the events of the study are fed to again.
#[derive(Debug)]
pub struct Trial<'s> {
    studied: &'s Studied<'s>,
    source: Arc<str>,
    proof: Proof,
    lost: BTreeMap<(bool, String, String), Evidence>,
    score: Score,
}

impl<'s> Trial<'s> {
    /// A trial of what a study gave.
    pub fn new(studied: &'s Studied<'s>) -> Self {
        let (share, seed) = studied.rest.as_ref().map_or((0.0, 0), |(split, _)| (split.share, split.seed));
        Self {
            studied,
            source: "".into(),
            proof: Proof::default(),
            lost: BTreeMap::new(),
            score: Score { share, seed, ..Score::default() },
        }
    }

    /// Names the source of what is fed from now on.
    pub fn source(&mut self, name: &str) {
        self.source = name.into();
    }

    /// Feeds an event. A record that cannot be read was counted by the study.
    pub fn item(&mut self, item: &Result<Numbered, Unreadable>) {
        if let Ok(Numbered { place, event }) = item {
            self.event(*place, event);
        }
    }

    /// Feeds an event.
    pub fn event(&mut self, place: Place, event: &Event) {
        let Some(legitimate) = is_legitimate(event, self.studied.options.keep) else { return };
        let claims = event.claims();
        let request = event.request(&claims);
        let verdict = pdp::judge(&self.studied.suggestion.policy, &request);
        let example = Example { source: Arc::clone(&self.source), place };
        match (legitimate, effect(&verdict)) {
            (true, Some(Effect::Allow)) => {
                self.proof.replayed += 1;
                self.proof.kept += 1;
            }
            (true, _) => {
                self.proof.replayed += 1;
                let (reason, why, explained) = self.explain(event, &verdict);
                self.lost.entry((explained, reason, why)).or_default().add(event.time, &example);
            }
            (false, Some(Effect::Allow)) => self.proof.reopened.add(event.time, &example),
            (false, _) => {}
        }
        if let Some((split, policy)) = &self.studied.rest
            && split.holds_out(event)
        {
            self.hold(legitimate, policy, event);
        }
    }

    fn hold(&mut self, legitimate: bool, policy: &CompiledPolicy, event: &Event) {
        let claims = event.claims();
        let verdict = pdp::judge(policy, &event.request(&claims));
        let allowed = effect(&verdict) == Some(Effect::Allow);
        if legitimate {
            self.score.legitimate += 1;
            self.score.kept += u64::from(allowed);
            if !allowed {
                *self.score.lost.entry(code(&verdict)).or_default() += 1;
            }
        } else {
            self.score.denied += 1;
            self.score.still_denied += u64::from(effect(&verdict) == Some(Effect::Deny));
        }
    }

    /// Reason, explanation, and whether no grant could have kept the call.
    fn explain(&self, event: &Event, verdict: &Verdict<'_>) -> (String, String, bool) {
        let reason = code(verdict);
        let suggestion = &self.studied.suggestion;
        if let Err(left) = self.studied.today.key(event) {
            return (reason, left.text().to_owned(), true);
        }
        let no_call = "nothing behind this door was called that could be granted";
        let (why, explained) = match verdict {
            Verdict::Undecided(_) if event.kind == ResourceKind::Server => (no_call.to_owned(), true),
            Verdict::Undecided(missing) => {
                let names: Vec<&str> = missing.facts.names().collect();
                (format!("it depends on what was not recorded: {}", names.join(", ")), self.is_beyond(*missing))
            }
            Verdict::Decided(decision) => match (decision.reason, decision.rule) {
                (Reason::NoGrant | Reason::GrantExpired, _) if event.kind == ResourceKind::Server => {
                    (no_call.to_owned(), true)
                }
                (Reason::NoGrant, _) if suggestion.caps.contains(&Cap::Callers) => {
                    (Cap::Callers.text().to_owned(), true)
                }
                (Reason::NoGrant | Reason::GrantExpired, _) => (decision.reason.text().to_owned(), false),
                (Reason::Args, Some(rule)) => {
                    let own = rule.kind != RuleKind::Grant;
                    let of = if own { format!(" of {} {}", rule.kind, rule.name) } else { String::new() };
                    (format!("an argument rule{of} is not met"), own)
                }
                (reason, _) => (reason.text().to_owned(), true),
            },
        };
        (reason, why, explained)
    }

    /// Whether facts are missing that no learned grant asks for.
    fn is_beyond(&self, missing: Missing<'_>) -> bool {
        let asked = [FactSet::SUBJECT, FactSet::AGENT, FactSet::GROUPS, FactSet::ARGUMENTS];
        let asked = asked.into_iter().fold(FactSet::NONE, FactSet::union);
        // Today's denies and declarations may ask for these too.
        self.studied.today.policy.is_some() || !asked.contains(missing.facts)
    }

    /// The proof, and the score where events were held out.
    pub fn finish(self) -> (Proof, Option<Score>) {
        let lost = self.lost.into_iter();
        let lost = lost.map(|((explained, reason, why), evidence)| Lost { reason, why, explained, evidence });
        (Proof { lost: lost.collect(), ..self.proof }, self.studied.rest.as_ref().map(|_| self.score))
    }
}

fn effect(verdict: &Verdict<'_>) -> Option<Effect> {
    match verdict {
        Verdict::Decided(decision) => Some(decision.effect),
        Verdict::Undecided(_) => None,
    }
}

fn code(verdict: &Verdict<'_>) -> String {
    match verdict {
        Verdict::Decided(decision) => decision.reason.code().to_owned(),
        Verdict::Undecided(_) => "undecidable".to_owned(),
    }
}
