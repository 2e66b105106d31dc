//! What is asked of a policy before it is put in force, and the type that says that it was met.
//!
//! A [`Gate`] holds everything that was ever asked in one process: an edit cannot loosen the gate that
//! it must pass itself, nor the one of the edit after it. Only a restart begins anew. [`Cleared`] is made
//! here alone, so that no other way leads from a text to a policy in force.

use std::fmt;

use super::{Attestation, PublicKey, Rejected, Verified};
use crate::analyze::{Options, diff};
use crate::policy::checks::{Allowance, Rollout};
use crate::policy::{CompiledPolicy, Digest};
use crate::simulate::{Clock, GateVerdict, Measure, Report, gate};

/// What is asked. Whatever is added stays.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// The gates of the policies that were in force, the first one first, without repetition.
    rollouts: Vec<Rollout>,
    /// Whose word counts, whatever the policies say; from whoever started the process.
    trust: Vec<PublicKey>,
}

impl Gate {
    /// A gate that asks for the word of one of these keys, or, without any, for nothing yet.
    pub fn new(trust: Vec<PublicKey>) -> Self {
        Self { rollouts: Vec::new(), trust }
    }

    /// The gate with what a policy asks for besides.
    #[must_use]
    pub fn and(&self, rollout: &Rollout) -> Self {
        let mut both = self.clone();
        if *rollout != Rollout::default() && !both.rollouts.contains(rollout) {
            both.rollouts.push(rollout.clone());
        }
        both
    }

    /// Whether a policy needs an attestation.
    pub fn asks_for_attestation(&self) -> bool {
        !self.trust.is_empty() || self.rollouts.iter().any(|rollout| rollout.require_simulation)
    }

    /// Whether nothing is asked.
    pub fn is_open(&self) -> bool {
        self.trust.is_empty() && self.rollouts.is_empty()
    }

    /// The recordings that a rehearsal must read, as the policies name them.
    pub fn recordings(&self) -> Vec<String> {
        let mut all: Vec<String> = self.rollouts.iter().flat_map(|rollout| rollout.recordings.clone()).collect();
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|recording| seen.insert(recording.clone()));
        all
    }

    /// Whose word counts: those keys that were named at the start, or else those of the first policy that
    /// asked for one. A later policy cannot bring its own.
    pub fn trusted(&self) -> Vec<PublicKey> {
        if !self.trust.is_empty() {
            return self.trust.clone();
        }
        let first = self.rollouts.iter().find(|rollout| rollout.require_simulation);
        // What a policy says was checked when it was read.
        first.map(|r| r.trusted_keys.iter().filter_map(|key| PublicKey::read(key).ok()).collect()).unwrap_or_default()
    }

    /// Clears the first policy of a process. There is nothing yet that it could be held against.
    ///
    /// # Errors
    ///
    /// When an attestation is asked for, and `proofs` hold none that counts.
    pub fn first(&self, policy: CompiledPolicy, rollout: &Rollout, proofs: Proofs<'_>) -> Result<Cleared, Held> {
        let gate = self.and(rollout);
        let evidence = match gate.attested(policy.digest(), proofs)? {
            Some(verified) => Evidence::attested(&verified),
            None => Evidence::First,
        };
        Ok(Cleared { policy, gate, evidence })
    }

    /// Clears a policy that is to follow the one in force.
    ///
    /// The report must be of exactly this policy, held against exactly the one in force. It is judged by
    /// every gate that was ever set here; of an attested policy, by the limits that were attested.
    ///
    /// # Errors
    ///
    /// Whatever is missing, or does not hold.
    pub fn next(
        &self,
        in_force: Digest,
        policy: CompiledPolicy,
        rollout: &Rollout,
        proofs: Proofs<'_>,
    ) -> Result<Cleared, Held> {
        let gate = self.and(rollout);
        let attested = gate.attested(policy.digest(), proofs)?;
        if policy.digest() == in_force {
            return Ok(Cleared { policy, gate, evidence: Evidence::Unchanged });
        }
        let limits = match &attested {
            Some(verified) => vec![limits(&verified.attestation)],
            None => gate.rollouts.clone(),
        };
        let pair = (in_force, policy.digest());
        if attested.is_none() && proofs.narrowing.is_some_and(|narrowing| narrowing.0 == pair) {
            return Ok(Cleared { policy, gate, evidence: Evidence::Narrowing });
        }
        let evidence = match (rehearsed(in_force, policy.digest(), &limits, proofs.report), attested) {
            (Err(Held::NotRehearsed), None) if gate.is_open() => Evidence::Open,
            (Err(held), _) => return Err(held),
            (Ok(_), Some(verified)) => Evidence::attested(&verified),
            (Ok(events), None) => Evidence::Rehearsed { events },
        };
        Ok(Cleared { policy, gate, evidence })
    }

    /// The attestation of this policy, where one is asked for.
    fn attested(&self, policy: Digest, proofs: Proofs<'_>) -> Result<Option<Verified>, Held> {
        if !self.asks_for_attestation() {
            return Ok(None);
        }
        let keys = self.trusted();
        if keys.is_empty() {
            return Err(Held::NoTrustedKey);
        }
        let text = proofs.attestation.ok_or(Held::NotAttested)?;
        Verified::read(text, &keys).and_then(|verified| verified.of(policy)).map(Some).map_err(Held::Attestation)
    }
}

/// The limits that a policy was attested with, as a gate.
fn limits(attestation: &Attestation) -> Rollout {
    let limit = |what| attestation.limits.iter().find(|limit| limit.what == what).map(|limit| limit.limit);
    Rollout {
        max_newly_denied: limit(Measure::NewlyDenied),
        max_newly_allowed: limit(Measure::NewlyAllowed),
        max_undecidable: limit(Measure::Undecidable).map(Allowance::Count),
        ..Rollout::default()
    }
}

/// How many events the rehearsal rests on, if every gate holds.
fn rehearsed(in_force: Digest, policy: Digest, gates: &[Rollout], report: Option<&Report>) -> Result<u64, Held> {
    let report = report.ok_or(Held::NotRehearsed)?;
    let is = |digest: Digest, text: Option<&String>| text.and_then(|text| Digest::parse(text)) == Some(digest);
    let terms = &report.terms;
    let of_these = is(policy, Some(&report.candidate)) && is(in_force, report.baseline.as_ref());
    if !of_these || terms.clock != Clock::AsRecorded || !terms.what_if.is_empty() {
        return Err(Held::OtherReport);
    }
    for rollout in gates {
        match gate(rollout, report) {
            GateVerdict::Holds | GateVerdict::Open => {}
            verdict => return Err(Held::Verdict(verdict)),
        }
    }
    Ok(report.totals.events)
}

/// That a policy allows nothing that another denies, proved for all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Narrowing((Digest, Digest));

impl Narrowing {
    /// The proof, if there is one. Nothing may be left unanswered, and nothing else may differ: no issuer, no
    /// lifetime, no record.
    pub fn prove(from: &CompiledPolicy, to: &CompiledPolicy) -> Option<Self> {
        let diff = diff(from, to, Options::default());
        let only = !diff.widens() && diff.changes.is_empty() && diff.unanswered.is_empty() && diff.added.is_empty();
        only.then(|| Self((from.digest(), to.digest())))
    }
}

/// What speaks for a policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Proofs<'p> {
    /// The text of its attestation.
    pub attestation: Option<&'p str>,
    /// Its rehearsal, with the policy in force as the baseline.
    pub report: Option<&'p Report>,
    /// That it only takes away, where whoever asks wants that to be enough. It is in place of a rehearsal, and
    /// not of an attestation.
    pub narrowing: Option<Narrowing>,
}

/// A policy that may be put in force.
#[derive(Clone, Debug)]
pub struct Cleared {
    policy: CompiledPolicy,
    gate: Gate,
    evidence: Evidence,
}

impl Cleared {
    /// The policy.
    pub const fn policy(&self) -> &CompiledPolicy {
        &self.policy
    }

    /// What is asked of the policy after it.
    pub const fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Why it may be put in force.
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

/// Why a policy may be put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// It is the first, and no attestation is asked for.
    First,
    /// Its digest is that of the policy in force.
    Unchanged,
    /// Neither it nor any policy before it has a gate.
    Open,
    /// Every gate holds on recorded traffic.
    Rehearsed {
        /// How many events that rests on.
        events: u64,
    },
    /// It is proved to take away only, and somebody asked for that.
    Narrowing,
    /// A trusted key signed that its gate held.
    Attested {
        /// The id of the key.
        key: String,
        /// When that was, in RFC 3339.
        time: String,
    },
}

impl Evidence {
    fn attested(verified: &Verified) -> Self {
        Self::Attested { key: verified.key.clone(), time: verified.attestation.time.clone() }
    }

    /// One word for it, for metrics and reports.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Unchanged => "unchanged",
            Self::Open => "open",
            Self::Rehearsed { .. } => "rehearsed",
            Self::Narrowing => "narrowing",
            Self::Attested { .. } => "attested",
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::First => f.write_str("the first policy of this process; no attestation is asked for"),
            Self::Unchanged => f.write_str("it decides as the one before"),
            Self::Open => f.write_str("there is no gate"),
            Self::Rehearsed { events } => write!(f, "every gate holds on {events} events"),
            Self::Narrowing => f.write_str("it is proved to take away only, and an operator asked for that"),
            Self::Attested { key, time } => write!(f, "attested by {key} at {time}"),
        }
    }
}

/// Why a policy is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// It must be attested, and no key is trusted to do so.
    NoTrustedKey,
    /// It must be attested, and there is no attestation.
    NotAttested,
    /// Its attestation does not count.
    Attestation(Rejected),
    /// There is a gate, and no rehearsal.
    NotRehearsed,
    /// The rehearsal is of other policies or under other terms.
    OtherReport,
    /// The gate is broken, or cannot be judged.
    Verdict(GateVerdict),
}

impl Held {
    /// The stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoTrustedKey => "no-trusted-key",
            Self::NotAttested => "not-attested",
            Self::Attestation(why) => why.code(),
            Self::NotRehearsed | Self::OtherReport => "not-rehearsed",
            Self::Verdict(GateVerdict::Broken { .. }) => "gate-broken",
            Self::Verdict(_) => "gate-undecided",
        }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrustedKey => f.write_str("it must have been rehearsed, and no key is trusted to say so"),
            Self::NotAttested => f.write_str("it must be attested, and there is no attestation"),
            Self::Attestation(why) => write!(f, "its attestation does not count: {why}"),
            Self::NotRehearsed => f.write_str("there is a gate, and it was not rehearsed"),
            Self::OtherReport => f.write_str("the rehearsal is not one of it against the policy in force"),
            Self::Verdict(GateVerdict::Broken { breaches }) => {
                f.write_str("the gate is broken:")?;
                for (number, breach) in breaches.iter().enumerate() {
                    let comma = if number > 0 { "," } else { "" };
                    write!(f, "{comma} {} = {}, and there are {}", breach.what.key(), breach.limit, breach.count)?;
                }
                Ok(())
            }
            Self::Verdict(GateVerdict::CannotTell { because }) => {
                write!(f, "the gate cannot be judged: {}", because.join("; "))
            }
            Self::Verdict(_) => f.write_str("the gate does not hold"),
        }
    }
}

impl std::error::Error for Held {}

#[cfg(test)]
mod tests {
    use super::super::{File, Reproduced, SCHEMA, SigningKey, Subject, Verdict};
    use super::*;
    use crate::policy::{Layers, load};
    use crate::simulate::{Against, Breach, Counts, simulate};
    use crate::traffic::{Event, Field, Numbered, Place};

    fn policy(allow: &str, rollout: &str) -> (CompiledPolicy, Rollout) {
        let text = format!(
            "version = 1\n[issuers.corp]\nurl = \"https://login.example.com\"\n[servers.desk]\n\
             url = \"http://127.0.0.1:9/mcp\"\n[servers.desk.tools.find]\n[servers.desk.tools.pay]\n\
             [[grants]]\nto = {{ subjects = [\"ana\"] }}\nallow = [{allow}]\n{rollout}"
        );
        let layers = Layers { files: vec![("policies.toml".into(), text.into())], environment: Vec::new() };
        let loaded = load(&layers).policy.unwrap();
        (loaded.compiled, loaded.checks.rollout)
    }

    /// The report of one call of each tool.
    fn report(candidate: &CompiledPolicy, baseline: Option<&CompiledPolicy>) -> Report {
        let event = |tool: &str| {
            let action = crate::model::Action::ToolsCall;
            let mut event = Event::new(crate::model::Timestamp(1000), "desk", action, tool);
            event.subject.issuer = Field::Present("corp".into());
            event.subject.sub = Field::Present("ana".into());
            event.token.scopes = Field::Present(vec![format!("desk:{tool}")]);
            event.token.aud = Field::Present(vec!["http://127.0.0.1:8787/desk/mcp".into()]);
            event.token.iat = Field::Present(crate::model::Timestamp(990));
            event.token.exp = Field::Present(crate::model::Timestamp(1100));
            event.token.nbf = Field::Absent;
            event.subject.agent = Field::Absent;
            event.subject.groups = Field::Absent;
            event.arguments = Field::Absent;
            Ok(Numbered { place: Place::default(), event })
        };
        simulate(candidate, baseline, "a test", ["find", "pay"].map(event))
    }

    fn attested(policy: &CompiledPolicy, key: &SigningKey, denied: u64) -> String {
        let attestation = Attestation {
            schema: SCHEMA.to_owned(),
            policy: Subject { name: "policies.toml".into(), digest: policy.digest().to_string() },
            against: Against::Recorded,
            baseline: None,
            recordings: Vec::<File>::new(),
            counts: Counts::default(),
            reproduced: Reproduced { checked: 0, same: 0 },
            limits: vec![
                Breach { what: Measure::NewlyDenied, count: denied, limit: denied },
                Breach { what: Measure::NewlyAllowed, count: 0, limit: 0 },
            ],
            floor: super::super::Floor::default(),
            seconds: 0,
            verdict: Verdict::Holds,
            tests: 0,
            invariants: 0,
            doorward: "0.1.0".into(),
            time: "2026-03-02T13:00:00Z".into(),
        };
        attestation.sign(key).unwrap()
    }

    fn why(cleared: Result<Cleared, Held>) -> &'static str {
        cleared.map_or_else(|held| held.code(), |cleared| cleared.evidence().word())
    }

    #[test]
    fn without_a_gate_everything_passes_and_with_one_only_what_holds() {
        let (one, open) = policy("\"desk:find\"", "");
        let (two, gated) = policy("\"desk:*\"", "[rollout]\n");
        let first = Gate::default().first(one.clone(), &open, Proofs::default()).unwrap();
        assert_eq!(first.evidence(), &Evidence::First);
        let next = |gate: &Gate, policy: &CompiledPolicy, rollout, report: Option<&Report>| {
            why(gate.next(one.digest(), policy.clone(), rollout, Proofs { report, ..Proofs::default() }))
        };
        assert_eq!(next(first.gate(), &two, &open, None), "open");
        assert_eq!(next(first.gate(), &two, &gated, None), "not-rehearsed");
        let wider = report(&two, Some(&one));
        assert_eq!(wider.totals.newly_allowed, 1, "{:?}", wider.totals);
        assert_eq!(next(first.gate(), &two, &gated, Some(&wider)), "gate-broken");
        let (same, _) = policy("\"desk:find\"", "");
        assert_eq!(next(first.gate(), &same, &gated, None), "unchanged");
        // A report counts for the very policies that it is about.
        for other in [report(&two, None), report(&two, Some(&two)), report(&one, Some(&one))] {
            assert_eq!(next(first.gate(), &two, &gated, Some(&other)), "not-rehearsed");
        }
    }

    #[test]
    fn an_edit_cannot_loosen_its_own_gate_nor_that_of_the_next() {
        let (one, strict) = policy("\"desk:find\"", "[rollout]\n");
        let (two, loose) = policy("\"desk:*\"", "[rollout]\nmax_newly_allowed = 9\n");
        let gate = Gate::default().first(one.clone(), &strict, Proofs::default()).unwrap().gate().clone();
        let wider = report(&two, Some(&one));
        let proofs = Proofs { report: Some(&wider), ..Proofs::default() };
        assert_eq!(why(gate.next(one.digest(), two.clone(), &loose, proofs)), "gate-broken");
        assert_eq!(why(gate.next(one.digest(), two.clone(), &Rollout::default(), proofs)), "gate-broken");
        // First only the gate, then the rest.
        let loosened = gate.next(one.digest(), one.clone(), &loose, Proofs::default()).unwrap();
        assert_eq!(why(loosened.gate().next(one.digest(), two, &loose, proofs)), "gate-broken");
    }

    #[test]
    fn what_is_proved_to_take_away_only_passes_where_that_is_asked_for() {
        let (wide, rollout) = policy("\"desk:*\"", "[rollout]\n");
        let (narrow, _) = policy("\"desk:find\"", "");
        let gate = Gate::default().first(wide.clone(), &rollout, Proofs::default()).unwrap().gate().clone();
        let narrowing = Narrowing::prove(&wide, &narrow);
        assert!(narrowing.is_some() && Narrowing::prove(&narrow, &wide).is_none());
        let next = |policy: &CompiledPolicy, narrowing| {
            why(gate.next(wide.digest(), policy.clone(), &rollout, Proofs { narrowing, ..Proofs::default() }))
        };
        assert_eq!(next(&narrow, None), "not-rehearsed");
        assert_eq!(next(&narrow, narrowing), "narrowing");
        // A proof is about two policies.
        let (none, _) = policy("\"desk:pay\"", "");
        assert_eq!(next(&none, narrowing), "not-rehearsed");
        // It says nothing of who vouches.
        let gate = Gate::new(vec![SigningKey::from_seed(&[1; 32]).unwrap().public().clone()]);
        let proofs = Proofs { narrowing, ..Proofs::default() };
        assert_eq!(why(gate.next(wide.digest(), narrow, &rollout, proofs)), "not-attested");
    }

    #[test]
    fn an_attestation_counts_by_the_keys_of_the_start_and_with_the_limits_that_were_attested() {
        let (key, other) = (SigningKey::from_seed(&[1; 32]).unwrap(), SigningKey::from_seed(&[2; 32]).unwrap());
        let (one, rollout) = policy("\"desk:*\"", "[rollout]\nrequire = \"simulation\"\n");
        let gate = Gate::default();
        assert_eq!(why(gate.first(one.clone(), &rollout, Proofs::default())), "no-trusted-key");
        let gate = Gate::new(vec![key.public().clone()]);
        assert_eq!(why(gate.first(one.clone(), &Rollout::default(), Proofs::default())), "not-attested");
        let proof = |text| Proofs { attestation: Some(text), ..Proofs::default() };
        let text = attested(&one, &other, 0);
        assert_eq!(why(gate.first(one.clone(), &rollout, proof(&text))), "attestation-untrusted");
        let text = attested(&one, &key, 0);
        let gate = gate.first(one.clone(), &rollout, proof(&text)).unwrap().gate().clone();
        // The next one brings a key of its own, takes away what one may do, and was attested with that.
        let (two, _) = policy("\"desk:find\"", "");
        let own = Rollout { require_simulation: true, trusted_keys: vec!["x".into()], ..Rollout::default() };
        let narrower = report(&two, Some(&one));
        let next = |text: &str, report| {
            let proofs = Proofs { attestation: Some(text), report, narrowing: None };
            why(gate.next(one.digest(), two.clone(), &own, proofs))
        };
        assert_eq!(next(&attested(&two, &other, 1), Some(&narrower)), "attestation-untrusted");
        assert_eq!(next(&text, Some(&narrower)), "attestation-policy");
        assert_eq!(next(&attested(&two, &key, 1), None), "not-rehearsed");
        assert_eq!(next(&attested(&two, &key, 0), Some(&narrower)), "gate-broken");
        assert_eq!(next(&attested(&two, &key, 1), Some(&narrower)), "attested");
    }
}
