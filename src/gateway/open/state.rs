//! What `requestState` is sealed with: keys that several gateways have, or one of this process alone.

use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};

use super::system::{System, no_randomness, random};
use crate::credentials::Secrets as _;
use crate::gateway::settings::Refusal;

/// The shortest text that is taken for a secret, in bytes.
const SHORTEST: usize = 32;

/// The key that seals, and those that open besides.
#[derive(Debug)]
pub(super) struct StateKeys {
    pub(super) first: [u8; 32],
    pub(super) others: Vec<[u8; 32]>,
}

impl StateKeys {
    /// Reads them, the first one first. A key of its own where none is named.
    pub(super) async fn read(references: &[String], system: &System) -> Result<Self, Refusal> {
        let mut keys = Vec::new();
        for reference in references {
            keys.push(key(reference, system).await?);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().or_else(random::<32>).ok_or_else(no_randomness)?;
        Ok(Self { first, others: keys.collect() })
    }
}

async fn key(reference: &str, system: &System) -> Result<[u8; 32], Refusal> {
    let bad = |what: &str| {
        let message = format!("the key `{reference}` that seals `requestState` cannot be used: {what}");
        Refusal::new("state-key", message, "`openssl rand -base64 32` makes one; give all gateways the same")
    };
    let text = system.read(reference).await.map_err(|_| bad("it is not there or cannot be read"))?;
    let text = text.expose_secret();
    if text.len() < SHORTEST {
        return Err(bad("it is shorter than 32 characters"));
    }
    Ok(Sha256::new().chain_update("doorward.request-state-key/v1\n").chain_update(text).finalize().into())
}
