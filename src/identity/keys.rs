//! The public keys of an issuer, from a JWK set (RFC 7517).
//!
//! A key is bound to its algorithms here, by its type and by its own `alg`, before any token is
//! seen. A key that cannot be used safely is left out with a reason; it is never an error of the set.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, crypto};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::refused::{Refused, RefusedKey};
use crate::mcp::json;
use crate::policy::set::Algorithm;

/// The most keys of one issuer.
pub const MAX_KEYS: usize = 64;
/// The most keys that one token is tried with: those of one `kid`, or all when it names none.
const MAX_TRIED: usize = 4;
/// RSA moduli, in bits: from what RFC 7518 section 3.3 asks to what verifies in bounded time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// The members of a JWK that are private (RFC 7518 section 6).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// The usable keys of one issuer.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    keys: Vec<Key>,
    refused: Vec<RefusedKey>,
}

/// One public key with the algorithms it may verify.
#[derive(Clone)]
pub struct Key {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    public: DecodingKey,
    fingerprint: [u8; 32],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("algorithms", &self.algorithms).finish_non_exhaustive()
    }
}

impl KeySet {
    /// Reads a JWK set.
    ///
    /// # Errors
    ///
    /// When the text is no JWK set or lists more than [`MAX_KEYS`] keys.
    pub fn read(text: &[u8]) -> Result<Self, RefusedKey> {
        let Ok(Value::Object(set)) = json::read(text, 8) else { return Err(RefusedKey::Malformed) };
        let Some(Value::Array(list)) = set.get("keys") else { return Err(RefusedKey::Malformed) };
        if list.len() > MAX_KEYS {
            return Err(RefusedKey::Malformed);
        }
        let mut read = Self::default();
        for entry in list {
            match entry.as_object().ok_or(RefusedKey::Malformed).and_then(Key::read) {
                Ok(key) => read.keys.push(key),
                Err(refused) => read.refused.push(refused),
            }
        }
        Ok(read)
    }

    /// The keys that can be used.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Why each of the others cannot, in the order of the set.
    pub fn refused(&self) -> &[RefusedKey] {
        &self.refused
    }

    /// Whether each of those keys is here too, unchanged.
    pub(super) fn has_all_of(&self, others: &Self) -> bool {
        others.keys.iter().all(|other| self.keys.iter().any(|key| key.fingerprint == other.fingerprint))
    }

    /// The keys to try for a token.
    pub(super) fn fitting(&self, kid: Option<&str>, algorithm: Algorithm) -> impl Iterator<Item = &Key> {
        let fits =
            move |key: &&Key| key.algorithms.contains(&algorithm) && (kid.is_none() || key.kid.as_deref() == kid);
        self.keys.iter().filter(fits).take(MAX_TRIED)
    }
}

impl Key {
    /// The key's `kid`.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    fn read(jwk: &Map<String, Value>) -> Result<Self, RefusedKey> {
        let text = |member: &str| match jwk.get(member) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(RefusedKey::Malformed),
        };
        let needed = |member: &str| text(member)?.ok_or(RefusedKey::Malformed);
        let kty = needed("kty")?;
        if kty == "oct" {
            return Err(RefusedKey::Symmetric);
        }
        if PRIVATE.iter().any(|member| jwk.contains_key(*member)) {
            return Err(RefusedKey::Private);
        }
        let operations = match jwk.get("key_ops") {
            None => true,
            Some(Value::Array(operations)) => operations.iter().any(|o| o == "verify"),
            Some(_) => false,
        };
        if !operations || text("use")?.is_some_and(|usage| usage != "sig") {
            return Err(RefusedKey::Use);
        }
        let (family, key) = match (kty, text("crv")?) {
            ("RSA", _) => {
                let (modulus, exponent) = (needed("n")?, needed("e")?);
                strong(modulus, exponent)?;
                (RSA, DecodingKey::from_rsa_components(modulus, exponent))
            }
            ("EC", Some("P-256")) => (ES256, point(needed("x")?, needed("y")?, 32)?),
            ("EC", Some("P-384")) => (ES384, point(needed("x")?, needed("y")?, 48)?),
            ("OKP", Some("Ed25519")) => {
                let x = needed("x")?;
                sized(x, 32)?;
                (EDDSA, DecodingKey::from_ed_components(x))
            }
            _ => return Err(RefusedKey::Unsupported),
        };
        let algorithms: Vec<Algorithm> = match text("alg")? {
            None => family.to_vec(),
            // The names of RFC 9864 for what RFC 8037 calls EdDSA.
            Some("Ed25519") => family.iter().copied().filter(|a| *a == Algorithm::EdDSA).collect(),
            Some(alg) => {
                let named = Algorithm::ALL.iter().filter(|(name, _)| *name == alg).map(|(_, algorithm)| *algorithm);
                named.filter(|algorithm| family.contains(algorithm)).collect()
            }
        };
        if algorithms.is_empty() {
            return Err(RefusedKey::Unsupported);
        }
        let kid = text("kid")?.map(str::to_owned);
        let fingerprint = fingerprint(jwk);
        Ok(Self { kid, algorithms, public: key.map_err(|_| RefusedKey::Malformed)?, fingerprint })
    }

    /// Whether this key signed the bytes.
    pub(super) fn verifies(&self, signed: &[u8], signature: &str, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
            && crypto::verify(signature, signed, &self.public, registered(algorithm)).unwrap_or(false)
    }
}

/// A hash of all that decides what a key verifies.
fn fingerprint(jwk: &Map<String, Value>) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for member in ["kty", "crv", "kid", "alg", "n", "e", "x", "y"] {
        let text = jwk.get(member).and_then(Value::as_str);
        hasher.update([u8::from(text.is_some())]);
        hasher.update(text.map_or(0, str::len).to_be_bytes());
        hasher.update(text.unwrap_or_default());
    }
    hasher.finalize().into()
}

const RSA: &[Algorithm] =
    &[Algorithm::PS256, Algorithm::PS384, Algorithm::PS512, Algorithm::RS256, Algorithm::RS384, Algorithm::RS512];
const ES256: &[Algorithm] = &[Algorithm::ES256];
const ES384: &[Algorithm] = &[Algorithm::ES384];
const EDDSA: &[Algorithm] = &[Algorithm::EdDSA];

const fn registered(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::EdDSA => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::ES256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::ES384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::PS256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::PS384 => jsonwebtoken::Algorithm::PS384,
        Algorithm::PS512 => jsonwebtoken::Algorithm::PS512,
        Algorithm::RS256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::RS384 => jsonwebtoken::Algorithm::RS384,
        Algorithm::RS512 => jsonwebtoken::Algorithm::RS512,
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, RefusedKey> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| RefusedKey::Malformed)
}

fn sized(text: &str, bytes: usize) -> Result<(), RefusedKey> {
    if decoded(text)?.len() == bytes { Ok(()) } else { Err(RefusedKey::Malformed) }
}

/// Coordinates have the full length of the curve (RFC 7518 section 6.2.1.2). Whether they are on it
/// is checked by the library at each verification.
fn point(x: &str, y: &str, bytes: usize) -> Result<Result<DecodingKey, jsonwebtoken::errors::Error>, RefusedKey> {
    sized(x, bytes)?;
    sized(y, bytes)?;
    Ok(DecodingKey::from_ec_components(x, y))
}

fn strong(modulus: &str, exponent: &str) -> Result<(), RefusedKey> {
    let (modulus, exponent) = (decoded(modulus)?, decoded(exponent)?);
    let significant = |bytes: &[u8]| {
        let mut rest = bytes.iter().skip_while(|byte| **byte == 0);
        let first = rest.next().map_or(0, |byte| 8 - byte.leading_zeros() as usize);
        first + 8 * rest.count()
    };
    let odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
    // 3 has two bits; more than 33 is no exponent that anybody uses.
    let exponent_fits = odd && (2..=33).contains(&significant(&exponent));
    if RSA_BITS.contains(&significant(&modulus)) && exponent_fits { Ok(()) } else { Err(RefusedKey::Strength) }
}

impl From<RefusedKey> for Refused {
    /// A token whose key cannot be used has no key.
    fn from(_: RefusedKey) -> Self {
        Self::UnknownKey
    }
}
