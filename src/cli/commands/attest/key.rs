//! `doorward attest key`: a key to sign attestations with, and its public half.

use std::path::PathBuf;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use crate::attest::SigningKey;
use crate::cli::answer::Answer;
use crate::cli::failure::{Failure, Kind};
use crate::cli::{attestation, keyfile};

/// How to write the public key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// Its 32 bytes in base64, as `trusted_keys` takes them
    #[default]
    Base64,
    /// PEM
    Pem,
}

/// Print the public key of a private one, which is made where there is none
#[derive(Debug, clap::Args)]
#[command(
    before_help = "Example:\n  doorward attest key attest.key > attest.pub",
    after_help = "\
The file is Ed25519 in PKCS #8 and PEM, as `openssl genpkey -algorithm ed25519` writes it, and only its owner may
read it. What it prints goes into `trusted_keys` of `[rollout]`, or into a file for --trust."
)]
pub(in crate::cli) struct Args {
    /// The private key
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How to write the public key
    #[arg(long, value_name = "FORMAT", default_value = "base64")]
    format: Format,
}

impl Args {
    /// Reads the key, or makes it.
    pub(in crate::cli) fn run(self) -> Result<Answer, Failure> {
        let text = keyfile::read_or_make(&self.file, Kind::NotAttested, make)?;
        let key = SigningKey::from_pem(text.expose_secret()).map_err(|e| attestation::no_key(&self.file, &e))?;
        Ok(Answer::yes(match self.format {
            Format::Base64 => STANDARD.encode(key.public().bytes()) + "\n",
            Format::Pem => key.public().to_pem(),
        }))
    }
}

fn make() -> Result<SecretString, Failure> {
    let failed = || Failure::new(Kind::NotAttested, "the system gives no random bytes").help("try again when it does");
    let mut seed = Zeroizing::new([0; 32]);
    rand::fill(seed.as_mut()).map_err(|_| failed())?;
    let key = SigningKey::from_seed(&seed).map_err(|_| failed())?;
    key.to_pem().map(SecretString::from).map_err(|_| failed())
}
