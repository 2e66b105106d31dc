//! The next policy of a gateway that runs: read where the first one was read, held to its own tests and
//! invariants, rehearsed on recordings and on the last traffic, and cleared by the gate or not at all.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::attestation::{TrustArgs, Unsound, sound_and_tested};
use super::failure::{Failure, Kind};
use super::files;
use super::last_traffic::LastTraffic;
use super::policy::{Named, PolicyArgs, Texts};
use super::rehearsal::{self, Candidate, Plan, Traffic};
use super::sources::Format;
use crate::attest::{Cleared, Held, Narrowing, Proofs};
use crate::gateway::{Ask, Candidates, Evidence, InForce, NotCleared, Refusal};
use crate::policy::CompiledPolicy;
use crate::policy::checks::Rollout;
use crate::report::{Style, simulate as rendered};
use crate::simulate::{Against, Clock, GateVerdict, Report, Terms};

/// The most threads of a rehearsal: the requests of callers come first.
const THREADS: usize = 4;

/// A policy in files.
#[derive(Clone, Debug)]
pub(super) struct InFiles {
    policy: PolicyArgs,
    trust: TrustArgs,
    report: PathBuf,
}

impl InFiles {
    /// The policy that was named, whose reports go to a file.
    pub(super) const fn new(policy: PolicyArgs, trust: TrustArgs, report: PathBuf) -> Self {
        Self { policy, trust, report }
    }

    fn read(&self, in_force: &InForce) -> Result<(CompiledPolicy, Rollout, Texts), Box<NotCleared>> {
        let texts = self.policy.texts().map_err(|failure| Box::new(failed(&failure)))?;
        match texts.read().map_err(|failure| Box::new(failed(&failure)))? {
            Named::Compiled(policy) => {
                if !in_force.gate.asks_for_attestation() {
                    let message = "a compiled policy says nothing of its gate, so that it must be attested";
                    let help = "start the gateway with --trust FILE, or serve the policies.toml";
                    return Err(Box::new(out(None, "no-gate", message, help)));
                }
                Ok((policy, Rollout::default(), texts))
            }
            Named::Sources(loaded) => {
                let digest = loaded.policy.as_ref().map(|found| found.compiled.digest().to_string());
                if let Err(Unsound { what, text }) = sound_and_tested(&loaded, Style::PLAIN) {
                    let help = "mend the policy, or the test that asks too much";
                    return Err(Box::new(NotCleared { detail: text, ..out(digest, "unsound", what, help) }));
                }
                match loaded.policy {
                    Some(found) => Ok((found.compiled, found.checks.rollout, texts)),
                    None => Err(Box::new(out(None, "unsound", "the policy cannot be used", "mend it"))),
                }
            }
        }
    }
}

impl Candidates for InFiles {
    fn fingerprint(&self) -> Option<[u8; 32]> {
        self.policy.directory().ok()??;
        let mut hash = Sha256::new();
        hash.update(self.policy.texts().ok()?.fingerprint());
        hash.update(self.trust.text(&self.policy).unwrap_or_default());
        Some(hash.finalize().into())
    }

    fn next(&self, in_force: &InForce, ask: Ask) -> Result<(Cleared, Evidence), Box<NotCleared>> {
        let (policy, rollout, texts) = self.read(in_force)?;
        let (gate, digest) = (in_force.gate.and(&rollout), policy.digest());
        let narrowing = if ask.revoke { Narrowing::prove(&in_force.policy, &policy) } else { None };
        let report = if digest == in_force.policy.digest() || gate.is_open() || narrowing.is_some() {
            None
        } else {
            let recordings = gate.recordings();
            let rehearsed = rehearse(&policy, in_force, &recordings, texts.directory());
            Some(
                rehearsed
                    .map_err(|failure| Box::new(NotCleared { digest: Some(digest.to_string()), ..failed(&failure) }))?,
            )
        };
        let attestation = self.trust.text(&self.policy);
        let proofs = Proofs { attestation: attestation.as_deref(), report: report.as_ref(), narrowing };
        let cleared = in_force.gate.next(in_force.policy.digest(), policy, &rollout, proofs);
        let verdict = match &cleared {
            Err(Held::Verdict(verdict)) => verdict.clone(),
            _ => GateVerdict::Holds,
        };
        let evidence = Evidence { simulation: report.as_ref().and_then(|report| json(report, &verdict)) };
        match cleared {
            Ok(cleared) => Ok((cleared, evidence)),
            Err(held) => {
                let help = match &held {
                    Held::Verdict(GateVerdict::CannotTell { .. }) => {
                        "give the gate more traffic to judge by: see `because`, and `simulation` in the report"
                    }
                    Held::Verdict(_) => {
                        "read `simulation` in the report; what is meant can be attested or come with a restart, and what \
                         only takes away with `doorward reload --revoke`"
                    }
                    _ => {
                        "rehearse the policy with `doorward simulate --attest KEY`; `doorward attest verify` says more"
                    }
                };
                let detail = report.as_ref().map(|report| human(report, &verdict)).unwrap_or_default();
                let why = out(Some(digest.to_string()), held.code(), held.to_string(), help);
                Err(Box::new(NotCleared { detail, evidence, ..why }))
            }
        }
    }

    fn keep(&self, report: &str) -> Option<String> {
        if let Err(failure) = files::replace(&self.report, report.as_bytes()) {
            tracing::warn!(%failure, "the report of the reload cannot be kept");
            return None;
        }
        Some(files::display_name(&self.report))
    }
}

/// Rehearses a policy on recordings and on the last traffic, against the one in force.
fn rehearse(
    policy: &CompiledPolicy,
    in_force: &InForce,
    recordings: &[String],
    directory: Option<&Path>,
) -> Result<Report, Failure> {
    let beside = |name: &String| directory.map_or_else(|| PathBuf::from(name), |directory| directory.join(name));
    let named: Vec<PathBuf> = recordings.iter().map(beside).collect();
    let paths = if named.is_empty() { Vec::new() } else { Format::Recording.expand(&named)? };
    let terms = Terms { what_if: Vec::new(), against: Against::Baseline, clock: Clock::AsRecorded };
    let plan = Plan {
        candidates: vec![Candidate { policy: policy.clone(), what_if: Vec::new() }],
        baseline: Some(in_force.policy.clone()),
        terms,
        rollout: Rollout::default(),
        traffic: Traffic::Files { paths, format: Format::Recording, strict: false },
        is_watched: false,
    };
    let threads = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).clamp(1, THREADS));
    let mut parts = rehearsal::rehearse(&plan, None, threads)?;
    let last = LastTraffic::read(in_force, &plan.traffic.paths())?;
    for (whole, part) in parts.iter_mut().zip(last.rehearse(&plan)?) {
        whole.merge(part).map_err(|e| Failure::new(Kind::Usage, e.to_string()))?;
    }
    let whole = parts.pop().ok_or_else(|| Failure::new(Kind::NothingToDo, "there is no rehearsal"))?;
    Ok(whole.finish())
}

fn json(report: &Report, verdict: &GateVerdict) -> Option<serde_json::Value> {
    serde_json::from_str(&rendered::json(&report.redacted().ok()?, verdict)).ok()
}

fn human(report: &Report, verdict: &GateVerdict) -> String {
    let Ok(report) = report.redacted() else { return String::new() };
    rendered::human(&report, verdict, rendered::Limits::default(), Style::PLAIN)
}

fn out(digest: Option<String>, code: &'static str, message: impl Into<String>, help: &str) -> NotCleared {
    let why = Refusal { code, message: message.into(), help: help.to_owned() };
    NotCleared { digest, why, detail: String::new(), evidence: Evidence::default() }
}

/// What could not be read.
fn failed(failure: &Failure) -> NotCleared {
    let why = Refusal {
        code: failure.code(),
        message: failure.message().to_owned(),
        help: failure.advice().unwrap_or("mend it; the policy in force stays in force").to_owned(),
    };
    NotCleared { digest: None, why, detail: failure.to_string(), evidence: Evidence::default() }
}
