//! Vault and `OpenBao`: the connection, the login, the four ways in which they give a credential, and the
//! key that signs the audit log.

mod admin;
mod call;
mod client;
mod kv;
mod leased;
mod login;
mod minted;
mod nodes;
mod session;
mod sources;
mod stated;
#[cfg(feature = "store")]
mod transit;
mod transport;

use serde_json::json;

use self::call::{Call, Failure};

pub use admin::{Excess, apply, compare, missing, stale, verify};
pub use client::{Patience, Vault};
pub use nodes::{Health, Node, none_in_charge};
pub use sources::{Revoked, declared, revoke};
#[cfg(feature = "store")]
pub use transit::Transit;
pub use transport::Tls;

/// Takes a token back by its accessor. One that is gone already is no error.
async fn revoke_accessor(vault: &Vault, accessor: &str) -> Result<(), Failure> {
    let call = Call::post("auth/token/revoke-accessor", json!({ "accessor": accessor }));
    match vault.send(&call, vault.deadline()).await {
        Ok(_) => Ok(()),
        // OpenBao answers 204; Vault, and OpenBao for an accessor of no namespace, say so.
        Err(failure) if failure.says("invalid accessor") || failure.says("in different namespace") => Ok(()),
        Err(failure) => Err(failure),
    }
}
