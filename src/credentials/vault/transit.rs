//! `transit`: a key that never leaves Vault signs the seals of the audit log.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::{Call, Failure};
use super::client::Vault;
use crate::audit::chain::PublicKey;
use crate::audit::{NotSigned, Pending, Signer};
use crate::credentials::unavailable::Unavailable;

/// Where the engine is mounted.
const MOUNT: &str = "transit";

/// An Ed25519 key of the transit engine. Every signature is of the version that was the latest when it
/// was opened, so that a key that is rotated meanwhile signs nothing that nobody can verify.
#[derive(Debug)]
pub struct Transit {
    vault: Arc<Vault>,
    name: String,
    version: u64,
    public: PublicKey,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Key {
    r#type: String,
    latest_version: u64,
    keys: serde_json::Map<String, Value>,
}

#[derive(Deserialize)]
struct Signature {
    signature: String,
}

impl Transit {
    /// Asks for the public half of a key.
    ///
    /// # Errors
    ///
    /// Vault does not give it, or it is no Ed25519 key.
    pub async fn open(vault: Arc<Vault>, name: &str) -> Result<Self, Unavailable> {
        let asked = Call::get(format!("{MOUNT}/keys/{name}"));
        let answer = vault.send(&asked, vault.deadline()).await.map_err(|failure| failure.reason)?;
        let key = answer.read::<Answer<Key>>().map_err(|failure| failure.reason)?.data;
        let version = key.latest_version;
        let public =
            key.keys.get(&version.to_string()).and_then(|key| key.get("public_key")?.as_str().map(str::to_owned));
        let public = public.filter(|_| key.r#type == "ed25519").and_then(|text| PublicKey::read(&text).ok());
        Ok(Self { vault, name: name.to_owned(), version, public: public.ok_or(Unavailable::Malformed)? })
    }

    async fn ask(&self, message: &[u8]) -> Result<Vec<u8>, Failure> {
        let body = json!({"input": STANDARD.encode(message), "key_version": self.version});
        let answer =
            self.vault.send(&Call::post(format!("{MOUNT}/sign/{}", self.name), body), self.vault.deadline()).await?;
        // `vault:v1:` and base64.
        let signature = answer.read::<Answer<Signature>>()?.data.signature;
        let encoded = signature.rsplit(':').next().unwrap_or_default();
        STANDARD.decode(encoded).map_err(|_| Unavailable::Malformed.into())
    }
}

impl Signer for Transit {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Pending<'a, Result<Vec<u8>, NotSigned>> {
        Box::pin(async move {
            self.ask(message).await.map_err(|failure| {
                let reason = failure.reason;
                NotSigned(format!("{} ({})", reason.text(), reason.code()))
            })
        })
    }
}
