//! `requestState` (MCP 2026-07-28), sealed so that only the caller that was given it can use it, only
//! for the very call that it belongs to, and only for a while.
//!
//! A server may take what comes back for its own. The seal is HMAC-SHA256 over the state and
//! everything that it is bound to.

use std::fmt;

use jsonwebtoken::crypto::{sign, verify};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

use super::principal::Principal;
use crate::model::Timestamp;

/// How a sealed state begins.
const PREFIX: &str = "dw1";

/// What states are sealed with, and what else they may have been sealed with.
pub(super) struct StateKey {
    seal: EncodingKey,
    open: Vec<DecodingKey>,
}

/// What a state is bound to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound<'a> {
    pub(super) door: &'a str,
    pub(super) principal: &'a Principal,
    pub(super) method: &'a str,
    pub(super) name: &'a str,
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StateKey")
    }
}

impl StateKey {
    pub(super) fn new(key: &[u8; 32], others: &[[u8; 32]]) -> Self {
        let open = std::iter::once(key).chain(others).map(|key| DecodingKey::from_secret(key)).collect();
        Self { seal: EncodingKey::from_secret(key), open }
    }

    /// A state as its caller gets it; `None` should the cryptography fail.
    pub(super) fn seal(&self, state: &str, bound: Bound<'_>, until: Timestamp) -> Option<String> {
        let mac = sign(&sealed(state, bound, until), &self.seal, Algorithm::HS256).ok()?;
        Some(format!("{PREFIX}.{}.{mac}.{state}", until.0))
    }

    /// The state as the server gave it, if it is this caller's for this call and not too old.
    pub(super) fn open<'s>(&self, text: &'s str, bound: Bound<'_>, now: Timestamp) -> Option<&'s str> {
        let mut parts = text.splitn(4, '.');
        let (prefix, until, mac, state) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let until = Timestamp(until.parse().ok()?);
        if prefix != PREFIX || now >= until {
            return None;
        }
        let sealed = sealed(state, bound, until);
        let fits = |key: &DecodingKey| verify(mac, &sealed, key, Algorithm::HS256).unwrap_or(false);
        self.open.iter().any(fits).then_some(state)
    }
}

/// The bytes under the seal: JSON, so that no two lists of parts read the same.
fn sealed(state: &str, bound: Bound<'_>, until: Timestamp) -> Vec<u8> {
    let Bound { door, principal, method, name } = bound;
    let (issuer, subject, agent) = (principal.voucher(), principal.subject(), principal.agent());
    serde_json::json!(["doorward.request-state/v1", door, issuer, subject, agent, method, name, until.0, state])
        .to_string()
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_opens_only_for_whom_and_for_what_it_was_sealed() {
        let key = StateKey::new(&[7; 32], &[]);
        let (ana, ben) = (Principal::new("corp", "ana", Some("a")), Principal::new("corp", "ben", Some("a")));
        let bound = Bound { door: "desk", principal: &ana, method: "tools/call", name: "pay" };
        let text = key.seal("a.b/ü", bound, Timestamp(100)).unwrap();
        assert_eq!(key.open(&text, bound, Timestamp(99)), Some("a.b/ü"));
        assert_eq!(key.open(&text, bound, Timestamp(100)), None);
        for other in [
            Bound { door: "till", ..bound },
            Bound { principal: &ben, ..bound },
            Bound { method: "prompts/get", ..bound },
            Bound { name: "refund", ..bound },
        ] {
            assert_eq!(key.open(&text, other, Timestamp(99)), None, "{other:?}");
        }
        let others = |others: &[[u8; 32]]| StateKey::new(&[8; 32], others).open(&text, bound, Timestamp(99)).is_some();
        assert_eq!([others(&[]), others(&[[9; 32]]), others(&[[9; 32], [7; 32]])], [false, false, true]);
        for forged in [text.replace("100", "900"), text.replace("/ü", "/u"), "a.b".into(), String::new()] {
            assert_eq!(key.open(&forged, bound, Timestamp(99)), None, "{forged}");
        }
    }
}
