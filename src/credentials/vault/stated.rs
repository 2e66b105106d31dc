//! `transit`: a statement of who asks, for one server's audience, signed by a key that never leaves Vault.
//!
//! The server can hold subject, agent and scopes of the call against its own rules, and need not believe
//! the gateway's word for it on the network alone.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::call::Call;
use super::client::Vault;
use crate::credentials::credential::{Handle, Place, Placed};
use crate::credentials::plan::TRANSIT;
use crate::credentials::source::{Asked, Given, Source};
use crate::credentials::unavailable::Unavailable;

/// Statements by one key.
#[derive(Clone, Debug)]
pub(super) struct Stated {
    pub(super) vault: std::sync::Arc<Vault>,
    pub(super) key: String,
    /// The `iss`: where the gateway is.
    pub(super) issuer: String,
    /// The `aud` that the server takes.
    pub(super) audience: String,
    pub(super) ttl: Duration,
    pub(super) place: Place,
}

/// What a statement says (RFC 7519, RFC 8693 for `act`, RFC 9068 for `scope`).
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    /// The issuer of the caller's token, by its name in the policy: a `sub` means something only with it.
    sub_issuer: &'a str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Actor<'a>>,
    scope: String,
    iat: i64,
    exp: i64,
}

#[derive(Serialize)]
struct Actor<'a> {
    sub: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    data: Signed,
}

#[derive(Deserialize)]
struct Signed {
    signature: String,
}

impl Source for Stated {
    fn fetch<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Given, Unavailable>> {
        async move {
            let caller = asked.caller.as_ref().ok_or(Unavailable::Undeclared)?;
            let ttl = i64::try_from(self.ttl.as_secs()).unwrap_or(i64::MAX);
            let now = asked.at.0;
            let claims = Claims {
                iss: &self.issuer,
                aud: &self.audience,
                sub_issuer: &caller.issuer,
                sub: &caller.subject,
                act: caller.agent.as_deref().map(|sub| Actor { sub }),
                scope: caller.scopes.join(" "),
                iat: now,
                // No longer than the caller's own token: a signature cannot be taken back.
                exp: now.saturating_add(ttl).min(caller.expires_at.0),
            };
            let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.key });
            let claims = serde_json::to_vec(&claims).map_err(|_| Unavailable::Malformed)?;
            let body = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
            let input = json!({ "input": STANDARD.encode(&body), "marshaling_algorithm": "jws" });
            let call = Call::post(format!("{TRANSIT}/sign/{}/sha2-256", self.key), input);
            let answer = self.vault.send(&call, self.vault.deadline()).await?.read::<Answer>()?;
            // `vault:v1:` and then the signature, as a JWS has it.
            let signature = answer.data.signature.rsplit(':').next().filter(|text| !text.is_empty());
            let token = format!("{body}.{}", signature.ok_or(Unavailable::Malformed)?);
            Ok(Given {
                placed: vec![Placed::new(self.place.clone(), SecretString::from(token))?],
                lease: Some(self.ttl),
                within: None,
                handle: Handle::default(),
            })
        }
        .boxed()
    }

    fn revoke<'a>(&'a self, _: &'a Asked, _: &'a Handle) -> BoxFuture<'a, Result<(), Unavailable>> {
        // A signature cannot be taken back. Its life is its bound.
        std::future::ready(Ok(())).boxed()
    }
}
