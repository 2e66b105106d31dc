//! `oidc`: an identity token of Vault for one server's audience, which the server can verify by itself.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::call::Call;
use super::client::Vault;
use crate::credentials::credential::{Handle, Place, Placed};
use crate::credentials::source::{Asked, Given, Source};
use crate::credentials::unavailable::Unavailable;

/// Identity tokens by one role.
#[derive(Clone, Debug)]
pub(super) struct Minted {
    pub(super) vault: Arc<Vault>,
    pub(super) role: String,
    /// The `aud` that the server takes.
    pub(super) audience: String,
    /// The longest life that the policy declares.
    pub(super) ttl: Duration,
    pub(super) place: Place,
}

#[derive(Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    client_id: String,
    token: String,
    ttl: u64,
}

/// What the token says of itself.
#[derive(Deserialize)]
struct Claims {
    aud: Audience,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn is_only(&self, audience: &str) -> bool {
        match self {
            Self::One(one) => one == audience,
            Self::Many(many) => matches!(many.as_slice(), [one] if one == audience),
        }
    }
}

/// The claims of a token that came straight from its issuer.
fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (Some(_), Some(body), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return None;
    };
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()
}

impl Source for Minted {
    fn fetch<'a>(&'a self, _: &'a Asked) -> BoxFuture<'a, Result<Given, Unavailable>> {
        async move {
            let call = Call::get(format!("identity/oidc/token/{}", self.role));
            let answer = self.vault.send(&call, self.vault.deadline()).await?;
            let data = answer.read::<Answer>()?.data;
            let token = SecretString::from(data.token);
            let claims = claims(token.expose_secret()).ok_or(Unavailable::Malformed)?;
            // A token for another audience would open another server's door.
            if data.client_id != self.audience || !claims.aud.is_only(&self.audience) {
                return Err(Unavailable::Audience);
            }
            // By Vault's clock, so that ours does not matter.
            let left = answer.at.map_or(claims.exp.saturating_sub(claims.iat), |now| claims.exp.saturating_sub(now));
            let left = Duration::from_secs(u64::try_from(left).unwrap_or(0)).min(Duration::from_secs(data.ttl));
            let life = Duration::from_secs(u64::try_from(claims.exp.saturating_sub(claims.iat)).unwrap_or(u64::MAX));
            // It cannot be taken back: a longer one would outlive what the policy says.
            if life > self.ttl {
                return Err(Unavailable::Lasting);
            }
            Ok(Given {
                placed: vec![Placed::new(self.place.clone(), token)?],
                lease: Some(left),
                within: None,
                handle: Handle::default(),
            })
        }
        .boxed()
    }

    fn revoke<'a>(&'a self, _: &'a Asked, _: &'a Handle) -> BoxFuture<'a, Result<(), Unavailable>> {
        // A signed token cannot be taken back. Its life is its bound.
        std::future::ready(Ok(())).boxed()
    }
}
