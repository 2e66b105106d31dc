//! `--attest`: a rehearsal whose gate held, signed.
//!
//! Everything that would make the attestation worthless is refused before the first event.

use std::path::{Path, PathBuf};

use super::question::Question;
use crate::attest::{Attestation, File, Floor, Reproduced, SCHEMA, SigningKey, Subject, Verdict};
use crate::cli::attestation::{self, Sound};
use crate::cli::failure::{Failure, Kind};
use crate::cli::rehearsal::{Plan, Traffic};
use crate::cli::terminal::When;
use crate::cli::{files, time};
use crate::policy::checks::Rollout;
use crate::simulate::{GateVerdict, Report, gate, limits};

/// Where the key is and where the attestation goes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Attestation")]
pub(super) struct AttestArgs {
    /// When the gate holds, sign that with this Ed25519 key, in PEM
    #[arg(long, value_name = "KEY", conflicts_with_all = ["demo", "scenario", "explain", "shard", "matrix", "set",
        "drop_grant", "drop_deny", "drop_scope", "shift", "at"])]
    pub(super) attest: Option<PathBuf>,
    /// Where to write the attestation [default: the file of the policy with `.jws` behind its name]
    #[arg(long, value_name = "FILE", requires = "attest")]
    pub(super) attestation: Option<PathBuf>,
}

/// An attestation that lacks only the rehearsal.
pub(super) struct Pending {
    key: SigningKey,
    path: PathBuf,
    sound: Sound,
    read: Vec<(PathBuf, String)>,
}

impl Pending {
    /// Reads the key and the digests of all that will be read, and holds the policy to its own tests.
    pub(super) fn new(
        args: &AttestArgs,
        question: &Question,
        plan: &Plan,
        gate: &Rollout,
        color: When,
    ) -> Result<Option<Self>, Failure> {
        let Some(key) = &args.attest else { return Ok(None) };
        let no_limit = gate.max_newly_denied.is_none()
            && gate.max_newly_allowed.is_none()
            && gate.max_undecidable.is_none()
            && gate.min_events.is_none()
            && gate.min_window.is_none();
        if no_limit {
            return Err(Failure::new(Kind::NotAttested, "there is no gate, so nothing can be said to hold")
                .help("set limits in `[rollout]`, or give --strict"));
        }
        let (Traffic::Files { paths, .. }, [candidate]) = (&plan.traffic, plan.candidates.as_slice()) else {
            return Err(Failure::new(Kind::NotAttested, "only one policy on recordings in files can be attested"));
        };
        let key = attestation::signing_key(key)?;
        let sound = attestation::tested(&question.policy, candidate.policy.digest(), color)?;
        let read = paths.iter().cloned().chain(question.source.files());
        let read = read.map(|path| Ok((attestation::digest(&path)?, path)).map(|(digest, path)| (path, digest)));
        let path = attestation::place(&question.policy, args.attestation.as_deref())?;
        Ok(Some(Self { key, path, sound, read: read.collect::<Result<_, Failure>>()? }))
    }

    /// The file that will be written.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The attestation of a rehearsal, if its gate holds, and where it goes.
    pub(super) fn of(
        self,
        plan: &Plan,
        gated: &Rollout,
        policy: &str,
        report: &Report,
    ) -> Result<Option<(PathBuf, String)>, Failure> {
        if gate(gated, report) != GateVerdict::Holds {
            return Ok(None);
        }
        for (path, digest) in &self.read {
            if attestation::digest(path)? != *digest {
                let message = format!("`{}` changed while it was read", files::display_name(path));
                return Err(Failure::new(Kind::NotAttested, message).help("attest on recordings that are complete"));
            }
        }
        let file = |(path, digest): (PathBuf, String)| File { name: files::display_name(&path), digest };
        let attestation = self.sound.into(Attestation {
            schema: SCHEMA.to_owned(),
            policy: Subject { name: policy.to_owned(), digest: report.candidate.clone() },
            against: plan.terms.against,
            baseline: report.baseline.clone(),
            recordings: self.read.into_iter().map(file).collect(),
            counts: report.totals,
            reproduced: Reproduced { checked: report.drift.decidable(), same: report.drift.same },
            limits: limits(gated, report),
            floor: Floor { events: gated.min_events, seconds: gated.min_window },
            seconds: report.seconds(),
            verdict: Verdict::Holds,
            tests: 0,
            invariants: 0,
            doorward: env!("CARGO_PKG_VERSION").to_owned(),
            time: time::clock().to_string(),
        });
        let text = attestation
            .sign(&self.key)
            .map_err(|e| Failure::new(Kind::NotAttested, format!("the attestation has no JSON form: {e}")))?;
        Ok(Some((self.path, text + "\n")))
    }
}
