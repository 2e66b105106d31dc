//! Attestations and their keys in files: where they lie, whose word counts, and what makes a policy
//! fit to be attested.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};

use super::commands::sound;
use super::failure::{Failure, Kind};
#[cfg(feature = "gateway")]
use super::policy::Opened;
use super::policy::PolicyArgs;
use super::terminal::When;
use super::{files, keyfile, time};
use crate::attest::{Attestation, MAX_LENGTH, PublicKey, SigningKey};
#[cfg(feature = "gateway")]
use crate::attest::{Cleared, Gate, Held, Proofs};
use crate::policy::checks::Rollout;
use crate::policy::{Digest, Loaded};
use crate::report::{Style, human, suite as rendered};
use crate::simulate::suite;

/// What stands behind the name of a policy for the name of its attestation.
const EXTENSION: &str = ".jws";
/// The largest public key that is read, in bytes.
const KEY_LIMIT: u64 = 64 << 10;

/// The file of the attestation: the one that was named, or else the one beside the policy.
pub(super) fn place(policy: &PolicyArgs, named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    if policy.directory()?.is_none() {
        let message = "a policy from stdin or from git has no attestation beside it";
        return Err(Failure::new(Kind::Usage, message).help("name one with --attestation FILE"));
    }
    let mut name: OsString = policy.path()?.into_os_string();
    name.push(EXTENSION);
    Ok(name.into())
}

/// The key that signs.
pub(super) fn signing_key(path: &Path) -> Result<SigningKey, Failure> {
    let text = keyfile::read(path, Kind::NotAttested)?;
    SigningKey::from_pem(text.expose_secret()).map_err(|e| no_key(path, &e))
}

/// What is wrong with the file of a private key.
pub(super) fn no_key(path: &Path, error: &dyn std::error::Error) -> Failure {
    let message = format!("`{}` is no key to sign with: {error}", path.display());
    Failure::new(Kind::NotAttested, message).help("`doorward attest key FILE` makes one")
}

/// The keys whose word counts: those of the files, or else those of the policy.
pub(super) fn trusted(named: &[PathBuf], rollout: &Rollout) -> Result<Vec<PublicKey>, Failure> {
    if named.is_empty() {
        // What the policy says was checked when it was read.
        return Ok(rollout.trusted_keys.iter().filter_map(|key| PublicKey::read(key).ok()).collect());
    }
    named.iter().map(|path| public_key(path)).collect()
}

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let text = String::from_utf8(files::read(path, KEY_LIMIT)?).unwrap_or_default();
    PublicKey::read(&text).map_err(|e| {
        Failure::new(Kind::NotAttested, format!("`{}` is no public key: {e}", files::display_name(path)))
            .help("`doorward attest key FILE` prints the public key of a private one")
    })
}

/// The text of an attestation.
pub(super) fn read(path: &Path) -> Result<String, Failure> {
    Ok(String::from_utf8(files::read(path, MAX_LENGTH as u64)?).unwrap_or_default())
}

/// Whose word a gateway asks for before it serves a policy.
#[cfg(feature = "gateway")]
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct TrustArgs {
    /// Serve only a policy with an attestation by this public key, in PEM or base64, whatever the policy says;
    /// may be given again [default: `trusted_keys` of the policy, where its `[rollout]` requires a simulation]
    #[arg(long, value_name = "FILE")]
    trust: Vec<PathBuf>,
    /// The attestation [default: the file of the policy with `.jws` behind its name]
    #[arg(long, value_name = "FILE")]
    attestation: Option<PathBuf>,
}

#[cfg(feature = "gateway")]
impl TrustArgs {
    /// The gate that the command line sets.
    pub(super) fn gate(&self) -> Result<Gate, Failure> {
        self.trust.iter().map(|path| public_key(path)).collect::<Result<_, _>>().map(Gate::new)
    }

    /// Clears the policy that a gateway begins with. A compiled file says nothing of a gate, so that it needs
    /// the word of a key that is named here.
    pub(super) fn first(&self, policy: &PolicyArgs, opened: &Opened) -> Result<Cleared, Failure> {
        let (gate, rollout) = (self.gate()?, &opened.checks.rollout);
        if opened.is_compiled && gate.is_open() {
            let message =
                "a compiled policy says nothing of its gate, so that its rehearsal must be on record (no-gate)";
            return Err(Failure::new(Kind::CannotServe, message)
                .help("name whose word for that counts with --trust FILE, or serve the policies.toml"));
        }
        let asked = gate.and(rollout).asks_for_attestation() && !gate.and(rollout).trusted().is_empty();
        let path = if asked { Some(place(policy, self.attestation.as_deref())?) } else { None };
        let text = path.as_deref().map(read).transpose()?;
        let proofs = Proofs { attestation: text.as_deref(), ..Proofs::default() };
        gate.first(opened.compiled.clone(), rollout, proofs).map_err(|held| match (&held, path) {
            (Held::Attestation(why), Some(path)) => {
                let message = format!("`{}` does not count: {why} ({})", path.display(), why.code());
                Failure::new(Kind::CannotServe, message).help(
                    "rehearse the policy with `doorward simulate --attest KEY`; `doorward attest verify` says more",
                )
            }
            _ => {
                let message = "the policy must have been rehearsed, and no key is trusted to say so (no-trusted-key)";
                Failure::new(Kind::CannotServe, message)
                    .help("name one with --trust FILE, or in `trusted_keys` of `[rollout]`")
            }
        })
    }

    /// The attestation of a policy as it lies there, where there is one.
    pub(super) fn text(&self, policy: &PolicyArgs) -> Option<String> {
        read(&place(policy, self.attestation.as_deref()).ok()?).ok()
    }
}

/// What was found sound about a policy besides its rehearsal.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sound {
    tests: usize,
    invariants: usize,
}

/// What is wrong with a policy besides its rehearsal.
#[derive(Debug)]
pub(super) struct Unsound {
    /// In one line.
    pub(super) what: &'static str,
    /// In full, for a person.
    pub(super) text: String,
}

/// Runs the inline tests of a policy and proves its invariants. All must hold.
pub(super) fn sound_and_tested(loaded: &Loaded, style: Style) -> Result<Sound, Unsound> {
    let problems = sound(loaded, time::clock());
    let Some(found) = loaded.policy.as_ref().filter(|_| problems.is_empty()) else {
        let text = human::check(&problems, &loaded.sources, style);
        return Err(Unsound { what: "the policy is not sound", text });
    };
    let result = suite::run(&found.compiled, &found.checks.tests, &loaded.sources);
    if !result.passed() {
        return Err(Unsound { what: "an inline test fails", text: rendered::human(&result, false, style) });
    }
    Ok(Sound { tests: found.checks.tests.len(), invariants: found.checks.invariants.len() })
}

/// The same, of the policy that was just rehearsed.
pub(super) fn tested(policy: &PolicyArgs, digest: Digest, color: When) -> Result<Sound, Failure> {
    let loaded = policy.read()?;
    let sound = sound_and_tested(&loaded, Style::new(color.on_stderr())).map_err(|Unsound { what, text }| {
        Failure::new(Kind::NotAttested, format!("{what}, so the policy is not attested"))
            .help("mend the policy, or the test that asks too much")
            .after(text)
    })?;
    if loaded.policy.is_none_or(|found| found.compiled.digest() != digest) {
        return Err(Failure::new(Kind::NotAttested, "the policy changed while it was rehearsed").help("run it again"));
    }
    Ok(sound)
}

impl Sound {
    /// Puts into an attestation what was found.
    pub(super) fn into(self, attestation: Attestation) -> Attestation {
        Attestation { tests: self.tests, invariants: self.invariants, ..attestation }
    }
}

/// The SHA-256 of a file, as `sha256:` and hexadecimal digits.
pub(super) fn digest(path: &Path) -> Result<String, Failure> {
    if files::is_stdin(path) {
        let message = "what comes from stdin has no digest that anyone could check";
        return Err(Failure::new(Kind::NotAttested, message).help("put it into a file"));
    }
    let mut file: File = files::open(path, None)?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => hash.update(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Failure::reading(path, &error)),
        }
    }
    Ok(hash.finalize().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}")))
}
