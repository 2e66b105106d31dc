//! From the policy's servers to their sources.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use serde_json::json;

use super::call::Call;
use super::client::Vault;
use super::kv::Kv;
use super::leased::Leased;
use super::minted::Minted;
use super::stated::Stated;
use crate::credentials::credential::Place;
use crate::credentials::door::Declared;
use crate::credentials::plan::{audience, policies, scopes, token_role};
use crate::credentials::reference::{Nothing, Referred};
use crate::credentials::source::{Secrets, Source};
use crate::credentials::unavailable::Unavailable;
use crate::policy::set::{Credential, PolicySet, Server, Upstream, VaultKind};

/// How long what a variable or a file holds is believed. Whoever rotates it need tell nobody.
const REREAD: Duration = Duration::from_secs(10);
/// How long `none` lasts. Nothing is fetched for it.
const NONE: Duration = Duration::from_hours(24);
/// The variable of a child where the policy names none.
const VARIABLE: &str = "DOORWARD_CREDENTIAL";

/// What each server's credential is, by the server's name. `vault` is the one that the policy declares.
///
/// # Errors
///
/// The first server whose credential cannot be had so, and why.
pub fn declared(
    set: &PolicySet,
    vault: Option<&Arc<Vault>>,
    secrets: &Arc<dyn Secrets>,
) -> Result<BTreeMap<String, Declared>, (String, Unavailable)> {
    let one = |(name, server): (&String, &Server)| match source(set, name, server, vault, secrets) {
        Ok((source, ttl)) => {
            let bound = matches!(server.credential, Credential::Vault { per_caller: true, .. });
            let meaning = json!([
                server.credential,
                server.placement,
                server.upstream,
                set.vault,
                set.gateway.url,
                scopes(server)
            ]);
            Ok((name.clone(), Declared { source, ttl, bound, meaning: meaning.to_string() }))
        }
        Err(reason) => Err((name.clone(), reason)),
    };
    set.servers.iter().map(one).collect()
}

fn source(
    set: &PolicySet,
    name: &str,
    server: &Server,
    vault: Option<&Arc<Vault>>,
    secrets: &Arc<dyn Secrets>,
) -> Result<(Arc<dyn Source>, Duration), Unavailable> {
    let vault = || vault.map(Arc::clone).ok_or(Unavailable::Undeclared);
    Ok(match &server.credential {
        Credential::None => (Arc::new(Nothing), NONE),
        Credential::Reference(reference) => {
            // A child that reads a variable of that name finds it there.
            let variable = reference.strip_prefix("env:").unwrap_or(VARIABLE);
            let place = place(server, variable)?;
            (Arc::new(Referred { secrets: Arc::clone(secrets), reference: reference.clone(), place }), REREAD)
        }
        Credential::Vault { kind: VaultKind::Kv, path, ttl, per_caller, .. } => {
            let ttl = Duration::from_secs((*ttl).into());
            let declared = set.vault.as_ref().ok_or(Unavailable::Undeclared)?;
            let source = Kv {
                vault: vault()?,
                mount: declared.kv.clone(),
                path: path.clone(),
                role: token_role(declared, name),
                policies: policies(name, &server.credential),
                ttl,
                scopes: scopes(server),
                place: place(server, "VAULT_TOKEN")?,
                shared: declared.shared && !per_caller,
            };
            (Arc::new(source), ttl)
        }
        Credential::Vault { kind: VaultKind::Oidc, path, ttl, .. } => {
            let (audience, place) = (audience(server).to_owned(), place(server, VARIABLE)?);
            let ttl = Duration::from_secs((*ttl).into());
            (Arc::new(Minted { vault: vault()?, role: path.clone(), audience, ttl, place }), ttl)
        }
        Credential::Vault { kind: VaultKind::Transit, path, ttl, .. } => {
            let ttl = Duration::from_secs((*ttl).into());
            let source = Stated {
                vault: vault()?,
                key: path.clone(),
                issuer: set.gateway.url.clone(),
                audience: audience(server).to_owned(),
                ttl,
                place: place(server, VARIABLE)?,
            };
            (Arc::new(source), ttl)
        }
        Credential::Vault { kind: VaultKind::Dynamic, path, ttl, params, .. } => {
            let source =
                Leased { vault: vault()?, path: path.clone(), params: params.clone(), fields: fields(server)? };
            (Arc::new(source), Duration::from_secs((*ttl).into()))
        }
    })
}

/// Where a credential of one secret goes.
fn place(server: &Server, variable: &str) -> Result<Place, Unavailable> {
    match (&server.upstream, &server.placement.header, &server.placement.variable) {
        (Upstream::Url(_), Some(name), _) => header(name),
        (Upstream::Url(_), None, _) => Ok(Place::Header(http::header::AUTHORIZATION)),
        (Upstream::Command(_), _, Some(name)) => Ok(Place::Variable(name.clone())),
        (Upstream::Command(_), _, None) => Ok(Place::Variable(variable.to_owned())),
    }
}

/// Where each field goes; without a word of the policy, the field `token` to where one secret goes.
fn fields(server: &Server) -> Result<BTreeMap<String, Place>, Unavailable> {
    if server.placement.fields.is_empty() {
        return Ok(BTreeMap::from([("token".to_owned(), place(server, VARIABLE)?)]));
    }
    let to = |name: &String| match server.upstream {
        Upstream::Url(_) => header(name),
        Upstream::Command(_) => Ok(Place::Variable(name.clone())),
    };
    server.placement.fields.iter().map(|(field, name)| Ok((field.clone(), to(name)?))).collect()
}

fn header(name: &str) -> Result<Place, Unavailable> {
    HeaderName::from_bytes(name.as_bytes()).map(Place::Header).map_err(|_| Unavailable::Unusable)
}

/// What taking a server's credentials back came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It is taken back.
    Done,
    /// There was none.
    Nothing,
    /// A signed token cannot be taken back; it ends by itself, after this many seconds at the latest.
    EndsBy(u32),
    /// It does not come from Vault.
    Elsewhere,
}

/// Takes back at Vault whatever a server's credentials are, whichever gateway had them made. The login
/// of `vault` is an operator's: for `dynamic`, and for tokens of each caller, it needs `sudo` on
/// `sys/leases/revoke-prefix`.
///
/// # Errors
///
/// There is no such server, or Vault does not take them back.
pub async fn revoke(set: &PolicySet, name: &str, vault: &Arc<Vault>) -> Result<Revoked, Unavailable> {
    let server = set.servers.get(name).ok_or(Unavailable::Undeclared)?;
    match &server.credential {
        Credential::None | Credential::Reference(_) => Ok(Revoked::Elsewhere),
        Credential::Vault { kind: VaultKind::Oidc | VaultKind::Transit, ttl, .. } => Ok(Revoked::EndsBy(*ttl)),
        Credential::Vault { kind: VaultKind::Dynamic, path, .. } => {
            let call = Call::post(format!("sys/leases/revoke-prefix/{path}"), json!({}));
            vault.send(&call, vault.deadline()).await?;
            Ok(Revoked::Done)
        }
        Credential::Vault { kind: VaultKind::Kv, per_caller: true, .. } => {
            // Nobody but the gateways that made them knows them. Vault has them by the role that made them.
            let role = token_role(set.vault.as_ref().ok_or(Unavailable::Undeclared)?, name);
            let call = Call::post(format!("sys/leases/revoke-prefix/auth/token/create/{role}"), json!({}));
            vault.send(&call, vault.deadline()).await?;
            Ok(Revoked::Done)
        }
        Credential::Vault { kind: VaultKind::Kv, path, ttl, .. } => {
            let declared = set.vault.as_ref().ok_or(Unavailable::Undeclared)?;
            let kv = Kv {
                vault: Arc::clone(vault),
                mount: declared.kv.clone(),
                path: path.clone(),
                role: token_role(declared, name),
                policies: policies(name, &server.credential),
                ttl: Duration::from_secs((*ttl).into()),
                scopes: String::new(),
                place: Place::Header(http::header::AUTHORIZATION),
                shared: false,
            };
            Ok(if kv.purge(name).await? { Revoked::Done } else { Revoked::Nothing })
        }
    }
}
