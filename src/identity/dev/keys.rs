//! The signing keys of the development issuer, made here or kept in a file.
//!
//! The private parts stay in the cryptographic library. They leave it only as the text of a key
//! file, which is a secret: whoever reads it can make any token of the issuer.

use std::fmt;

use aws_lc_rs::encoding::AsBigEndian;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{DevError, KID};
use crate::policy::set::Algorithm;

/// The largest key file that is read, in bytes.
const MAX_FILE: usize = 16 * 1024;
/// What a key file says of itself.
const NOTE: &str = "private keys of a doorward development issuer: whoever reads this file can make any of its tokens";

/// An Ed25519 and a P-256 key.
pub struct DevKeys {
    ed: Ed25519KeyPair,
    ec: EcdsaKeyPair,
}

impl fmt::Debug for DevKeys {
    /// Nothing of the keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevKeys").finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct KeyFile {
    keys: Vec<PrivateKey>,
}

/// A private JWK. Its `d` is wiped when it is dropped.
#[derive(Deserialize)]
struct PrivateKey {
    kty: String,
    crv: String,
    x: String,
    #[serde(default)]
    y: String,
    d: SecretString,
}

impl DevKeys {
    /// New keys from the randomness of the system.
    ///
    /// # Errors
    ///
    /// When the cryptographic library has none.
    pub fn generate() -> Result<Self, DevError> {
        let ed = Ed25519KeyPair::generate().map_err(|_| DevError::Crypto)?;
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| DevError::Crypto)?;
        Ok(Self { ed, ec })
    }

    /// The keys of a key file: a private JWK set as [`DevKeys::text`] gives it.
    ///
    /// # Errors
    ///
    /// When it holds anything but one key of each kind.
    pub fn read(text: &SecretString) -> Result<Self, DevError> {
        let text = text.expose_secret();
        if text.len() > MAX_FILE {
            return Err(DevError::Keys);
        }
        let file: KeyFile = serde_json::from_str(text).map_err(|_| DevError::Keys)?;
        let [first, second] = file.keys.as_slice() else { return Err(DevError::Keys) };
        Self::of(first, second).or_else(|_| Self::of(second, first))
    }

    fn of(ed: &PrivateKey, ec: &PrivateKey) -> Result<Self, DevError> {
        if (&*ed.kty, &*ed.crv, &*ec.kty, &*ec.crv) != ("OKP", "Ed25519", "EC", "P-256") {
            return Err(DevError::Keys);
        }
        let seed = private(&ed.d)?;
        let ed = Ed25519KeyPair::from_seed_and_public_key(&seed, &decoded(&ed.x)?).map_err(|_| DevError::Keys)?;
        // An uncompressed point (SEC 1 section 2.3.3).
        let point = [&[4][..], &decoded(&ec.x)?, &decoded(&ec.y)?].concat();
        let scalar = private(&ec.d)?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let ec = EcdsaKeyPair::from_private_key_and_public_key(algorithm, &scalar, &point);
        Ok(Self { ed, ec: ec.map_err(|_| DevError::Keys)? })
    }

    /// The text of a key file. To be kept where only its owner can read it (mode 0600).
    ///
    /// # Errors
    ///
    /// When the cryptographic library does not give the keys out.
    pub fn text(&self) -> Result<SecretString, DevError> {
        let seed = self.ed.seed().and_then(|seed| seed.as_be_bytes()).map_err(|_| DevError::Crypto)?;
        let scalar = self.ec.private_key().as_be_bytes().map_err(|_| DevError::Crypto)?;
        let mut lines = Vec::new();
        for (public, private) in [(self.ed_jwk(), seed.as_ref()), (self.ec_jwk(), scalar.as_ref())] {
            let public = public.to_string();
            let open = public.strip_suffix('}').unwrap_or_default().to_owned();
            let private = Zeroizing::new(URL_SAFE_NO_PAD.encode(private));
            lines.push(Zeroizing::new(format!("    {open},\"d\":\"{}\"}}", private.as_str())));
        }
        let [ed, ec] = lines.as_slice() else { return Err(DevError::Crypto) };
        let text = format!("{{\n  \"note\": \"{NOTE}\",\n  \"keys\": [\n{},\n{}\n  ]\n}}\n", ed.as_str(), ec.as_str());
        Ok(SecretString::from(text))
    }

    /// The public keys as a JWK set.
    pub fn jwks(&self) -> String {
        json!({ "keys": [self.ed_jwk(), self.ec_jwk()] }).to_string()
    }

    /// The `kid` of the key for an algorithm.
    pub(super) fn kid(&self, algorithm: Algorithm) -> String {
        let jwk = if algorithm == Algorithm::ES256 { self.ec_jwk() } else { self.ed_jwk() };
        jwk.get("kid").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Signs with the key for an algorithm: `ES256`, or else `EdDSA`.
    pub(super) fn sign(&self, algorithm: Algorithm, signed: &[u8]) -> Result<Vec<u8>, DevError> {
        let signature = if algorithm == Algorithm::ES256 {
            self.ec.sign(&SystemRandom::new(), signed)
        } else {
            self.ed.try_sign(signed)
        };
        signature.map(|signature| signature.as_ref().to_vec()).map_err(|_| DevError::Crypto)
    }

    fn ed_jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.ed.public_key());
        let kid = kid(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid, "x": x })
    }

    fn ec_jwk(&self) -> Value {
        let point = self.ec.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let kid = kid(&format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#));
        json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid, "x": x, "y": y })
    }
}

/// A `kid` from the thumbprint of a key (RFC 7638), so that other keys never have the same.
fn kid(canonical: &str) -> String {
    let thumbprint = URL_SAFE_NO_PAD.encode(Sha256::digest(canonical.as_bytes()));
    format!("{KID}{}", thumbprint.get(..16).unwrap_or(&thumbprint))
}

fn decoded(text: &str) -> Result<Vec<u8>, DevError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| DevError::Keys)
}

fn private(d: &SecretString) -> Result<Zeroizing<Vec<u8>>, DevError> {
    decoded(d.expose_secret()).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_from_their_file_and_never_into_a_log() {
        let keys = DevKeys::generate().unwrap();
        let text = keys.text().unwrap();
        let again = DevKeys::read(&text).unwrap();
        assert_eq!(keys.jwks(), again.jwks());
        assert!(keys.kid(Algorithm::EdDSA).starts_with("doorward-development-"));
        assert_ne!(keys.jwks(), DevKeys::generate().unwrap().jwks());
        assert_eq!(format!("{keys:?}"), "DevKeys { .. }");
        let published = keys.jwks();
        let file: Value = serde_json::from_str(text.expose_secret()).unwrap();
        for key in file["keys"].as_array().unwrap() {
            let private = key["d"].as_str().unwrap();
            assert!(!published.contains(private) && !format!("{text:?}").contains(private));
        }
    }

    #[test]
    fn a_file_that_does_not_hold_one_key_of_each_kind_is_refused() {
        let good = DevKeys::generate().unwrap().text().unwrap().expose_secret().to_owned();
        let mut file: Value = serde_json::from_str(&good).unwrap();
        let refused = |file: &Value| DevKeys::read(&SecretString::from(file.to_string())).err();
        file["keys"].as_array_mut().unwrap().reverse();
        assert_eq!(refused(&file), None);
        let other: Value = serde_json::from_str(DevKeys::generate().unwrap().text().unwrap().expose_secret()).unwrap();
        let mut mixed = file.clone();
        mixed["keys"][0]["d"] = other["keys"][1]["d"].clone();
        assert_eq!(refused(&mixed), Some(DevError::Keys), "the private part of another key");
        let mut one = file.clone();
        one["keys"].as_array_mut().unwrap().pop();
        assert_eq!(refused(&one), Some(DevError::Keys));
        assert_eq!(refused(&json!({})), Some(DevError::Keys));
        assert_eq!(refused(&json!({ "keys": [], "x": " ".repeat(MAX_FILE) })), Some(DevError::Keys));
    }
}
