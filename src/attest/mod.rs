//! Attestations: that a policy was rehearsed and its gate held, signed by who rehearsed it.
//!
//! An attestation is a JWS in compact form (RFC 7515) with Ed25519 (RFC 8037). Its payload names the
//! policy by digest, the traffic by the SHA-256 of its files, what was counted and what the gate said.
//! Nothing in it is believed before a trusted key has verified it; no key, algorithm or address is
//! ever taken from it. This module opens no file and reads no clock.

mod gate;
mod jws;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use gate::{Cleared, Evidence, Gate, Held, Narrowing, Proofs};

pub use crate::audit::chain::{BadKey, PublicKey, SigningKey};
use crate::policy::Digest;
use crate::simulate::{Against, Breach, Counts};

/// The `schema` of an attestation.
pub const SCHEMA: &str = "doorward.attestation/v1";
/// The largest attestation that is read, in bytes.
pub const MAX_LENGTH: usize = 4 << 20;

/// What is attested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attestation {
    /// [`SCHEMA`].
    pub schema: String,
    /// The policy that was rehearsed.
    pub policy: Subject,
    /// What it was held against.
    pub against: Against,
    /// The policy that it was held against, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<String>,
    /// The files that the traffic came from, and those that said how to read them.
    pub recordings: Vec<File>,
    /// How the events came out.
    pub counts: Counts,
    /// Recorded decisions that the policy that made them was asked to reproduce.
    pub reproduced: Reproduced,
    /// Every limit of the gate that was set, with what it measured. All of them hold.
    pub limits: Vec<Breach>,
    /// How much traffic there had to be.
    #[serde(default, skip_serializing_if = "Floor::is_none")]
    pub floor: Floor,
    /// The time from the first event to the last, in seconds.
    pub seconds: u64,
    /// What the gate said.
    pub verdict: Verdict,
    /// Inline tests that passed, which is all of them.
    pub tests: usize,
    /// Invariants that were proved, which is all of them.
    pub invariants: usize,
    /// The version of doorward that rehearsed.
    pub doorward: String,
    /// When, in RFC 3339.
    pub time: String,
}

/// A policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// What it was called.
    pub name: String,
    /// Its digest: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// What it was called.
    pub name: String,
    /// The SHA-256 of its bytes as they lie there: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

/// Recorded decisions against the policy that made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reproduced {
    /// How many could be checked.
    pub checked: u64,
    /// How many of them come out as recorded.
    pub same: u64,
}

/// How much traffic a gate asked for. There was that much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// `min_events`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// `min_window`, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
}

impl Floor {
    /// Whether nothing was asked for.
    pub const fn is_none(&self) -> bool {
        self.events.is_none() && self.seconds.is_none()
    }
}

/// What the gate said. There is no other word: what did not pass is not attested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every limit holds.
    Holds,
}

/// Why an attestation is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejected {
    /// It is no attestation.
    Malformed,
    /// No trusted key has the name that it states.
    Untrusted,
    /// The key that it names did not sign it.
    Signature,
    /// It is about another policy.
    Policy,
}

impl Rejected {
    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "attestation-malformed",
            Self::Untrusted => "attestation-untrusted",
            Self::Signature => "attestation-signature",
            Self::Policy => "attestation-policy",
        }
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is no attestation",
            Self::Untrusted => "it is signed by a key that is not trusted",
            Self::Signature => "its signature is not of these bytes",
            Self::Policy => "it is about another policy",
        })
    }
}

impl std::error::Error for Rejected {}

/// An attestation that a trusted key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What is attested.
    pub attestation: Attestation,
    /// The id of the key.
    pub key: String,
}

impl Attestation {
    /// The attestation as one line: a JWS in compact form.
    ///
    /// # Errors
    ///
    /// When it has no JSON form.
    pub fn sign(&self, key: &SigningKey) -> Result<String, serde_json::Error> {
        Ok(jws::sign(&serde_json::to_vec(self)?, key))
    }
}

impl Verified {
    /// Reads an attestation and believes it, if one of `keys` signed it.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong.
    pub fn read(text: &str, keys: &[PublicKey]) -> Result<Self, Rejected> {
        let (payload, key) = jws::verify(text.trim_ascii(), keys)?;
        let attestation: Attestation = serde_json::from_slice(&payload).map_err(|_| Rejected::Malformed)?;
        if attestation.schema != SCHEMA {
            return Err(Rejected::Malformed);
        }
        Ok(Self { attestation, key: key.id().to_owned() })
    }

    /// The same, if it is about exactly this policy.
    ///
    /// # Errors
    ///
    /// When it is about another.
    pub fn of(self, policy: Digest) -> Result<Self, Rejected> {
        if Digest::parse(&self.attestation.policy.digest) == Some(policy) { Ok(self) } else { Err(Rejected::Policy) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attestation() -> Attestation {
        Attestation {
            schema: SCHEMA.to_owned(),
            policy: Subject { name: "policies.toml".into(), digest: format!("sha256:{}", "a".repeat(64)) },
            against: Against::Recorded,
            baseline: None,
            recordings: vec![File { name: "a.jsonl".into(), digest: format!("sha256:{}", "b".repeat(64)) }],
            counts: Counts { events: 3, ..Counts::default() },
            reproduced: Reproduced { checked: 3, same: 3 },
            limits: Vec::new(),
            floor: Floor::default(),
            seconds: 60,
            verdict: Verdict::Holds,
            tests: 1,
            invariants: 0,
            doorward: "0.1.0".into(),
            time: "2026-03-02T13:00:00Z".into(),
        }
    }

    fn keys() -> (SigningKey, SigningKey) {
        (SigningKey::from_seed(&[1; 32]).unwrap(), SigningKey::from_seed(&[2; 32]).unwrap())
    }

    #[test]
    fn it_is_believed_when_a_trusted_key_signed_it_and_only_for_its_policy() {
        let (key, other) = keys();
        let text = attestation().sign(&key).unwrap();
        let trusted = [other.public().clone(), key.public().clone()];
        let verified = Verified::read(&format!("{text}\n"), &trusted).unwrap();
        assert_eq!((&verified.attestation, verified.key.as_str()), (&attestation(), key.public().id()));
        let digest = |c: &str| Digest::parse(&format!("sha256:{}", c.repeat(64))).unwrap();
        assert!(verified.clone().of(digest("a")).is_ok());
        assert_eq!(verified.of(digest("b")), Err(Rejected::Policy));
        assert_eq!(Verified::read(&text, &[]), Err(Rejected::Untrusted));
        assert_eq!(Verified::read(&text, &[other.public().clone()]), Err(Rejected::Untrusted));
    }

    #[test]
    fn another_schema_and_another_verdict_are_no_attestation() {
        let (key, _) = keys();
        let refused = |from: &str, to: &str| {
            let payload = serde_json::to_string(&attestation()).unwrap().replacen(from, to, 1);
            Verified::read(&jws::sign(payload.as_bytes(), &key), &[key.public().clone()])
        };
        assert!(refused("xx", "yy").is_ok());
        for (from, to) in [
            ("/v1", "/v2"),
            (r#""holds""#, r#""broken""#),
            (r#""tests":1"#, r#""tests":1,"tests":1"#),
            (r#""tests":1"#, r#""tests":1,"more":1"#),
            (r#","tests":1"#, ""),
        ] {
            assert_eq!(refused(from, to), Err(Rejected::Malformed), "{to}");
        }
    }
}
