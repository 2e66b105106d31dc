//! How the gateway shows Vault who it is.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use vaultrs::api::AuthInfo;
use vaultrs::client::VaultClient;
use vaultrs::{auth, sys, token};
use zeroize::Zeroize;

use super::call::library;
use crate::credentials::source::Secrets;
use crate::credentials::unavailable::Unavailable;
use crate::policy::set::VaultLogin;

/// What Vault gave for a login.
pub(super) struct Granted {
    pub(super) token: SecretString,
    /// How long it lives; `None` when it does not end.
    pub(super) lease: Option<Duration>,
    pub(super) renewable: bool,
    pub(super) policies: Vec<String>,
}

impl fmt::Debug for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Granted")
            .field("lease", &self.lease)
            .field("renewable", &self.renewable)
            .finish_non_exhaustive()
    }
}

impl From<AuthInfo> for Granted {
    fn from(auth: AuthInfo) -> Self {
        Self {
            token: SecretString::from(auth.client_token),
            lease: (auth.lease_duration > 0).then(|| Duration::from_secs(auth.lease_duration)),
            renewable: auth.renewable,
            policies: auth.policies,
        }
    }
}

/// The data of a wrapped secret id.
#[derive(Deserialize)]
struct Wrapped {
    secret_id: String,
}

impl Drop for Wrapped {
    fn drop(&mut self) {
        self.secret_id.zeroize();
    }
}

/// Logs in. `client` makes a client that shows a token, or none.
pub(super) async fn log_in(
    login: &VaultLogin,
    secrets: &dyn Secrets,
    client: impl Fn(&str) -> Result<VaultClient, Unavailable> + Send + Sync,
) -> Result<Granted, Unavailable> {
    // Whatever is wrong with a login is said as such, and a Vault that cannot answer as what it is.
    let refused = |error| match library(error).reason {
        Unavailable::Denied | Unavailable::Refused | Unavailable::NotFound => Unavailable::Login,
        reason => reason,
    };
    match login {
        VaultLogin::Token { token } => {
            let secret = secrets.read(token).await?;
            let found = token::lookup_self(&client(secret.expose_secret())?).await.map_err(refused)?;
            Ok(Granted {
                token: secret,
                lease: (found.ttl > 0).then(|| Duration::from_secs(found.ttl)),
                renewable: found.renewable.unwrap_or(false),
                policies: found.policies,
            })
        }
        VaultLogin::Approle { mount, role_id, secret_id, wrapped, .. } => {
            let (role, mut secret) = (secrets.read(role_id).await?, secrets.read(secret_id).await?);
            if *wrapped {
                // The token of the wrapping opens it once. Whoever opened it before us shows by this failing.
                let opened: Wrapped =
                    sys::wrapping::unwrap(&client(secret.expose_secret())?, None).await.map_err(refused)?;
                secret = SecretString::from(opened.secret_id.clone());
            }
            let (role, secret) = (role.expose_secret(), secret.expose_secret());
            Ok(auth::approle::login(&client("")?, mount, role, secret).await.map_err(refused)?.into())
        }
        VaultLogin::Jwt { mount, role, token, .. } => {
            let jwt = secrets.read(token).await?;
            let role = Some(role.clone());
            Ok(auth::oidc::login(&client("")?, mount, jwt.expose_secret(), role).await.map_err(refused)?.into())
        }
        VaultLogin::Kubernetes { mount, role, token, .. } => {
            let jwt = secrets.read(token).await?;
            Ok(auth::kubernetes::login(&client("")?, mount, role, jwt.expose_secret()).await.map_err(refused)?.into())
        }
    }
}
