//! What the gateway takes from the system that it runs in: clock, randomness, variables and files.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::credentials::{Secrets, Unavailable};
use crate::gateway::settings::Refusal;
use crate::identity::fetch::MAX_DOCUMENT;
use crate::model::Timestamp;

/// The variables and files of this process. Relative paths lie in the directory of the policy.
#[derive(Clone, Debug)]
pub struct System {
    directory: PathBuf,
}

impl System {
    /// With the directory of the policy.
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where relative paths begin.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Reads a file of keys or certificates, no more than may be looked at.
    pub(super) fn keys(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(self.directory.join(path))?;
        // One byte more than may be, so that too long is seen to be too long.
        file.take(MAX_DOCUMENT as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Numbers by which requests to others are spread in time. Nothing is kept secret by them.
pub(super) fn dice() -> u32 {
    u32::from_be_bytes(random().unwrap_or_default())
}

impl Secrets for System {
    fn read<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<SecretString, Unavailable>> {
        async move {
            let text = match reference.split_once(':') {
                Some(("env", name)) => std::env::var(name).ok(),
                Some(("file", path)) => {
                    let path = self.directory.join(path);
                    // A file may be on a disk that does not answer.
                    tokio::task::spawn_blocking(move || std::fs::read_to_string(path).ok()).await.ok().flatten()
                }
                _ => None,
            };
            let text = Zeroizing::new(text.ok_or(Unavailable::Reference)?);
            let text = text.trim_end();
            if text.is_empty() { Err(Unavailable::Reference) } else { Ok(SecretString::from(text)) }
        }
        .boxed()
    }
}

/// The name of this machine.
pub(super) fn node() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

pub(super) fn now() -> Timestamp {
    Timestamp(microseconds().div_euclid(1_000_000))
}

/// The clock, in microseconds since 1970 UTC.
pub(super) fn microseconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// Random bytes of the system.
pub(in crate::gateway) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

/// Why a gateway does not start then.
pub(super) fn no_randomness() -> Refusal {
    Refusal::new("no-randomness", "the system gives no random bytes", "try again when it does")
}

/// 64 random bits in hexadecimal. Requests are told apart by it; nothing is kept secret by it.
pub(super) fn request_id() -> String {
    format!("{:016x}", u64::from_be_bytes(random().unwrap_or_default()))
}
