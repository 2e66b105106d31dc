//! The keys of seals: Ed25519 (RFC 8032).

use std::fmt;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::hash::Hash;

/// What stands before the key in the `SubjectPublicKeyInfo` of an Ed25519 key (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why something is not a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadKey(&'static str);

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadKey {}

/// A key that signs. It is never shown.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// Reads a private key: PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        let der = from_pem(pem, "PRIVATE KEY").ok_or(BadKey("it is no PEM block `PRIVATE KEY`"))?;
        let pair =
            Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| BadKey("it is no Ed25519 key in PKCS #8"))?;
        Self::of(pair)
    }

    /// The key with this seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, BadKey> {
        Self::of(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| BadKey("it is no seed"))?)
    }

    fn of(pair: Ed25519KeyPair) -> Result<Self, BadKey> {
        let bytes = pair.public_key().as_ref().try_into().map_err(|_| BadKey("it has no public key of 32 bytes"))?;
        Ok(Self { pair, public: PublicKey::from_bytes(bytes) })
    }

    /// The private key in PEM, for whoever makes one.
    pub fn to_pem(&self) -> Result<String, BadKey> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().map_err(|_| BadKey("it cannot be written"))?;
        Ok(to_pem(der.as_ref(), "PRIVATE KEY"))
    }

    /// What verifies its signatures.
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The signature of a message, 64 bytes.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.public.id).finish_non_exhaustive()
    }
}

/// A key that verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; 32],
    id: String,
}

impl PublicKey {
    /// The key with these bytes. Its id is the first half of their SHA-256.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let id = Hash::of(&bytes).to_string().get(..32).unwrap_or_default().to_owned();
        Self { bytes, id }
    }

    /// Reads a public key: `SubjectPublicKeyInfo` in PEM, as `openssl pkey -pubout` writes it, or its
    /// 32 bytes in base64.
    pub fn read(text: &str) -> Result<Self, BadKey> {
        let bytes = match from_pem(text, "PUBLIC KEY") {
            Some(der) => der.strip_prefix(&SPKI).map(<[u8]>::to_vec).ok_or(BadKey("it is no Ed25519 public key"))?,
            None => STANDARD.decode(text.trim()).map_err(|_| BadKey("it is neither PEM nor base64"))?,
        };
        bytes.try_into().map(Self::from_bytes).map_err(|_| BadKey("a public key has 32 bytes"))
    }

    /// The key in PEM.
    pub fn to_pem(&self) -> String {
        to_pem(&[&SPKI[..], &self.bytes].concat(), "PUBLIC KEY")
    }

    /// Its 32 bytes.
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The name by which a seal says who signed it.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether a signature is of this key and message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.bytes).verify(message, signature).is_ok()
    }
}

fn from_pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let body = text.split_once(&format!("-----BEGIN {label}-----"))?.1;
    let body = body.split_once(&format!("-----END {label}-----"))?.0;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

fn to_pem(der: &[u8], label: &str) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    let encoded = STANDARD.encode(der);
    for line in encoded.as_bytes().chunks(64) {
        text.extend(line.iter().map(|b| char::from(*b)));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_openssl_writes_it() {
        // RFC 8410, section 10.
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let key = SigningKey::from_pem(private).unwrap();
        assert_eq!(key.public().to_pem(), public);
        assert_eq!(PublicKey::read(public).as_ref(), Ok(key.public()));
        assert_eq!(PublicKey::read("Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n").as_ref(), Ok(key.public()));
        assert_eq!(SigningKey::from_pem(&key.to_pem().unwrap()).unwrap().public(), key.public());
        for text in ["", "x", public] {
            assert!(SigningKey::from_pem(text).is_err());
        }
        assert!(PublicKey::read(private).is_err() && PublicKey::read("AAAA").is_err());
    }

    #[test]
    fn only_its_own_signature_of_the_very_message_verifies() {
        let (key, other) = (SigningKey::from_seed(&[1; 32]).unwrap(), SigningKey::from_seed(&[2; 32]).unwrap());
        let signature = key.sign(b"message");
        assert!(key.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"massage", &signature));
        assert!(!other.public().verifies(b"message", &signature));
        assert!(!key.public().verifies(b"message", b""));
        assert_ne!(key.public().id(), other.public().id());
        assert!(!format!("{key:?}").contains("pair"));
    }
}
