//! How the gateway shows Vault who it is.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use vaultrs::api::AuthInfo;
use vaultrs::client::VaultClient;
use vaultrs::error::ClientError;
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

/// Whatever is wrong with a login is said as such, and a Vault that cannot answer as what it is.
fn refused(error: ClientError) -> Unavailable {
    match library(error).reason {
        Unavailable::Denied | Unavailable::Refused | Unavailable::NotFound => Unavailable::Login,
        reason => reason,
    }
}

/// Logs in. `client` makes a client that shows a token, or none. `spare` is a secret id of `AppRole` that
/// nobody has used yet; one that was opened and could not be used is left there.
pub(super) async fn log_in(
    login: &VaultLogin,
    namespace: Option<&str>,
    secrets: &dyn Secrets,
    spare: &mut Option<SecretString>,
    client: impl Fn(&str) -> Result<VaultClient, Unavailable> + Send + Sync,
) -> Result<Granted, Unavailable> {
    match login {
        VaultLogin::Token { token } => {
            let secret = secrets.read(token).await?;
            let found = token::lookup_self(&client(secret.expose_secret())?).await.map_err(refused)?;
            Ok(Granted {
                token: secret,
                lease: (found.ttl > 0).then(|| Duration::from_secs(found.ttl)),
                renewable: found.renewable.unwrap_or(false),
                policies: found.policies.into_iter().chain(found.identity_policies.unwrap_or_default()).collect(),
            })
        }
        VaultLogin::Approle { mount, role, role_id, secret_id, wrapped } => {
            let id = secrets.read(role_id).await?;
            let (id, none) = (id.expose_secret(), client("")?);
            if let Some(kept) = spare.take() {
                match auth::approle::login(&none, mount, id, kept.expose_secret()).await.map_err(refused) {
                    Ok(auth) => return Ok(auth.into()),
                    // It is over. Somebody may have brought another.
                    Err(Unavailable::Login) => {}
                    Err(reason) => {
                        *spare = Some(kept);
                        return Err(reason);
                    }
                }
            }
            let mut secret = secrets.read(secret_id).await?;
            if *wrapped {
                secret =
                    open(&client(secret.expose_secret())?, secret.expose_secret(), (mount, role), namespace).await?;
            }
            match auth::approle::login(&none, mount, id, secret.expose_secret()).await.map_err(refused) {
                Ok(auth) => Ok(auth.into()),
                Err(reason) => {
                    // What was wrapped can be opened no second time.
                    *spare = Some(secret).filter(|_| *wrapped && reason != Unavailable::Login);
                    Err(reason)
                }
            }
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

/// Opens a wrapped secret id. Whoever opened it before us shows by this failing, and whoever put another
/// thing into the same kind of wrapping by where it was made.
async fn open(
    client: &VaultClient,
    token: &str,
    (mount, role): (&str, &str),
    namespace: Option<&str>,
) -> Result<SecretString, Unavailable> {
    let found = sys::wrapping::lookup(client, token).await.map_err(refused)?;
    let made_at = found.creation_path.trim_start_matches('/');
    let namespace = namespace.map(|namespace| format!("{}/", namespace.trim_matches('/'))).unwrap_or_default();
    let made_at = made_at.strip_prefix(&namespace).unwrap_or(made_at);
    if made_at != format!("auth/{mount}/role/{role}/secret-id") {
        tracing::error!("the wrapped secret id was not made by the login role: somebody may have put it there");
        return Err(Unavailable::Login);
    }
    let opened: Wrapped = sys::wrapping::unwrap(client, None).await.map_err(refused)?;
    Ok(SecretString::from(opened.secret_id.clone()))
}
