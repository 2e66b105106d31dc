//! What signs the seals of the log: a key of this process, or one that another keeps.

use std::fmt;

use serde_json::{Map, Value};

use super::Pending;
use super::chain::{Draft, PublicKey, Row, SealKind, SigningKey, Tail};

/// Signs seals.
pub trait Signer: Send + Sync + fmt::Debug {
    /// What verifies its signatures.
    fn public(&self) -> &PublicKey;

    /// The signature of a message, 64 bytes of Ed25519.
    fn sign<'a>(&'a self, message: &'a [u8]) -> Pending<'a, Result<Vec<u8>, NotSigned>>;
}

/// Why there is no signature now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotSigned(pub String);

impl fmt::Display for NotSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the seals of the audit log cannot be signed: {}", self.0)
    }
}

impl std::error::Error for NotSigned {}

impl Signer for SigningKey {
    fn public(&self) -> &PublicKey {
        self.public()
    }

    fn sign<'a>(&'a self, message: &'a [u8]) -> Pending<'a, Result<Vec<u8>, NotSigned>> {
        let signature = Self::sign(self, message);
        Box::pin(std::future::ready(Ok(signature)))
    }
}

/// The signature of a draft; none where nothing signs. What does not verify is no signature.
pub(super) async fn signed(draft: &Draft, signer: Option<&dyn Signer>) -> Result<Option<Vec<u8>>, NotSigned> {
    let Some(signer) = signer else { return Ok(None) };
    let message = draft.message();
    let signature = signer.sign(&message).await?;
    if signer.public().verifies(&message, &signature) {
        Ok(Some(signature))
    } else {
        Err(NotSigned("what was given as a signature does not verify".to_owned()))
    }
}

/// Writes a seal, and waits for its signature.
pub(super) async fn seal(
    tail: &mut Tail,
    (kind, data): (SealKind, Map<String, Value>),
    now: i64,
    signer: Option<&dyn Signer>,
    buffer: &mut Vec<u8>,
) -> Result<Row, NotSigned> {
    let draft = tail.draft(kind, data, now, signer.map(Signer::public));
    let signature = signed(&draft, signer).await?;
    // Nobody else writes to the tail meanwhile.
    tail.put(draft, signature.as_deref(), buffer).ok_or_else(|| NotSigned("its place was taken".to_owned()))
}
