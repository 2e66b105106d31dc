//! `oidc`: an identity token of Vault for one server's audience, which the server can verify by itself.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
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

impl Source for Minted {
    fn fetch<'a>(&'a self, _: &'a Asked) -> BoxFuture<'a, Result<Given, Unavailable>> {
        async move {
            let answer = self.vault.send(&Call::get(format!("identity/oidc/token/{}", self.role))).await?;
            let data = answer.read::<Answer>()?.data;
            // A token for another audience would open another server's door.
            if data.client_id != self.audience {
                return Err(Unavailable::Audience);
            }
            Ok(Given {
                placed: vec![Placed::new(self.place.clone(), SecretString::from(data.token))?],
                lease: Some(Duration::from_secs(data.ttl)),
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
