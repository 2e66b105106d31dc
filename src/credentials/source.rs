//! The seam: whatever can give a credential for a server, and take it back.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};

use super::credential::{Handle, Placed};
use super::unavailable::Unavailable;
use crate::model::Timestamp;

/// For whom a credential is, where it is for one caller alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// The issuer, by its name in the policy.
    pub issuer: String,
    /// The `sub`.
    pub subject: String,
    /// The agent, where the token names one.
    pub agent: Option<String>,
    /// The scopes of the token.
    pub scopes: Vec<String>,
    /// The end of the caller's token.
    pub expires_at: Timestamp,
}

impl Caller {
    /// Who this is, for what and until when: SHA-256 over issuer, subject, agent, scopes and the token's
    /// end. A token that ends earlier, or carries less, never meets a credential that was made for another.
    pub fn key(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.expires_at.0.to_be_bytes());
        for part in [Some(&self.issuer), Some(&self.subject), self.agent.as_ref()] {
            hash.update(part.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
            hash.update(part.map_or("", String::as_str));
        }
        for scope in &self.scopes {
            hash.update((scope.len() as u64).to_be_bytes());
            hash.update(scope);
        }
        hash.finalize().into()
    }
}

/// What a source is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The server, by its name in the policy.
    pub server: Arc<str>,
    /// The caller, where the credential is bound to one.
    pub caller: Option<Arc<Caller>>,
    /// When it is asked.
    pub at: Timestamp,
    /// The accessor of the credential that the server has just refused: give another.
    pub refused: Option<Handle>,
}

/// What a source gives.
#[derive(Debug)]
pub struct Given {
    /// The secrets in their places; none for `none`.
    pub placed: Vec<Placed>,
    /// What is left of its life by its giver; `None` when it says nothing.
    pub lease: Option<Duration>,
    /// How long it is to be used at most for another reason, as that what it hangs on may end.
    pub within: Option<Duration>,
    /// How to take it back; empty when it cannot or need not be.
    pub handle: Handle,
}

/// Whatever can give a credential for one server.
///
/// A source holds no credential and no state of its own: keeping, sharing, renewing and giving up is
/// the work of [`Credentials`](super::Credentials).
pub trait Source: Send + Sync + 'static {
    /// Gets a credential. Bounded in time by the source itself. What was given and cannot be returned
    /// any more must be taken back by the source.
    fn fetch<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Given, Unavailable>>;

    /// Takes a credential back. One that is gone already is no error.
    fn revoke<'a>(&'a self, asked: &'a Asked, handle: &'a Handle) -> BoxFuture<'a, Result<(), Unavailable>>;

    /// Whether others than this process use the same credential. At shutdown it is then left to expire.
    fn is_shared(&self) -> bool {
        false
    }

    /// Whether it asks nobody: then it is not counted among the fetches that go on at once, and need not
    /// wait until others have had their answers.
    fn is_near(&self) -> bool {
        false
    }
}

/// Reads secrets that the policy refers to as `env:NAME` or `file:PATH`. Handed in by whoever may
/// touch the environment and files.
pub trait Secrets: Send + Sync + 'static {
    /// Reads one. Whitespace at its end is not part of it.
    ///
    /// # Errors
    ///
    /// [`Unavailable::Reference`] when there is nothing to read.
    fn read<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<SecretString, Unavailable>>;
}

/// The wall clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Uniform randomness over all values. Nothing but the spread of requests in time rests on it.
pub type Dice = Arc<dyn Fn() -> u32 + Send + Sync>;

impl fmt::Debug for dyn Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source")
    }
}
