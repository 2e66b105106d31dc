//! Vault and `OpenBao`: the connection, the login, and the three ways in which they give a credential.

mod admin;
mod call;
mod client;
mod kv;
mod leased;
mod login;
mod minted;
mod sources;

use serde_json::json;

use self::call::{Call, Failure};

pub use admin::{Excess, apply, compare, missing, verify};
pub use client::{Health, Patience, Tls, Vault};
pub use sources::{Revoked, declared, revoke};

/// Takes a token back by its accessor. One that is gone already is no error.
async fn revoke_accessor(vault: &Vault, accessor: &str) -> Result<(), Failure> {
    match vault.send(&Call::post("auth/token/revoke-accessor", json!({ "accessor": accessor }))).await {
        Ok(_) => Ok(()),
        // OpenBao answers 204; Vault, and OpenBao for an accessor of no namespace, say so.
        Err(failure) if failure.says("invalid accessor") || failure.says("in different namespace") => Ok(()),
        Err(failure) => Err(failure),
    }
}
