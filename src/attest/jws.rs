//! The one form of JWS that an attestation has: compact, `EdDSA`, three header members, each once.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{MAX_LENGTH, PublicKey, Rejected, SigningKey};

/// The only algorithm: Ed25519 (RFC 8037).
const ALGORITHM: &str = "EdDSA";
/// So that no token passes for an attestation, and no attestation for a token.
const TYPE: &str = "doorward-attestation+jws";

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
}

/// Signs a payload.
pub(super) fn sign(payload: &[u8], key: &SigningKey) -> String {
    let header = Header { alg: ALGORITHM.to_owned(), kid: key.public().id().to_owned(), typ: TYPE.to_owned() };
    let header = serde_json::json!(header).to_string();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}

/// The payload, and the key of `keys` that signed it.
pub(super) fn verify<'k>(text: &str, keys: &'k [PublicKey]) -> Result<(Vec<u8>, &'k PublicKey), Rejected> {
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| Rejected::Malformed);
    if text.len() > MAX_LENGTH {
        return Err(Rejected::Malformed);
    }
    let (signed, signature) = text.rsplit_once('.').ok_or(Rejected::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Rejected::Malformed)?;
    let (payload, signature) = (decoded(payload)?, decoded(signature)?);
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| Rejected::Malformed)?;
    if header.alg != ALGORITHM || header.typ != TYPE {
        return Err(Rejected::Malformed);
    }
    let key = keys.iter().find(|key| key.id() == header.kid).ok_or(Rejected::Untrusted)?;
    if key.verifies(signed.as_bytes(), &signature) { Ok((payload, key)) } else { Err(Rejected::Signature) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_bytes_that_were_signed_come_back() {
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let trusted = [key.public().clone()];
        let text = sign(b"{}", &key);
        assert_eq!(verify(&text, &trusted).unwrap().0, b"{}");
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else { panic!("three parts") };
        let encoded = |header: &str| URL_SAFE_NO_PAD.encode(header);
        let id = key.public().id();
        for (forged, why) in [
            (format!("{header}.{}.{signature}", encoded("[]")), Rejected::Signature),
            (format!("{header}.{payload}."), Rejected::Signature),
            (format!("{header}.{payload}"), Rejected::Malformed),
            (format!("{header}.{payload}.{signature}."), Rejected::Malformed),
            (format!("{header}.{payload}.{signature}="), Rejected::Malformed),
            (format!("{}.{payload}.{signature}", encoded(r#"{"alg":"none"}"#)), Rejected::Malformed),
            (
                format!(
                    "{}.{payload}.{signature}",
                    encoded(&format!(r#"{{"alg":"none","kid":"{id}","typ":"{TYPE}"}}"#))
                ),
                Rejected::Malformed,
            ),
            (
                format!("{}.{payload}.{signature}", encoded(&format!(r#"{{"alg":"EdDSA","kid":"{id}","typ":"JWT"}}"#))),
                Rejected::Malformed,
            ),
            (
                format!(
                    "{}.{payload}.{signature}",
                    encoded(&format!(r#"{{"alg":"EdDSA","kid":"x","kid":"{id}","typ":"{TYPE}"}}"#))
                ),
                Rejected::Malformed,
            ),
            (
                format!(
                    "{}.{payload}.{signature}",
                    encoded(&format!(r#"{{"alg":"EdDSA","jwk":{{}},"kid":"{id}","typ":"{TYPE}"}}"#))
                ),
                Rejected::Malformed,
            ),
            (String::new(), Rejected::Malformed),
            ("..".to_owned(), Rejected::Malformed),
        ] {
            assert_eq!(verify(&forged, &trusted).err(), Some(why), "{forged}");
        }
    }
}
