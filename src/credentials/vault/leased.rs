//! `dynamic`: whatever a path of Vault gives with a lease: a database user, a cloud key, a certificate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::call::Call;
use super::client::Vault;
use crate::credentials::credential::{Handle, Place, Placed};
use crate::credentials::source::{Asked, Given, Source};
use crate::credentials::unavailable::Unavailable;

/// A secret with a lease.
#[derive(Clone, Debug)]
pub(super) struct Leased {
    pub(super) vault: Arc<Vault>,
    pub(super) path: String,
    /// Where each field goes, by its name.
    pub(super) fields: BTreeMap<String, Place>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    lease_id: String,
    #[serde(default)]
    lease_duration: u64,
    data: Map<String, Value>,
}

impl Leased {
    fn place(&self, mut data: Map<String, Value>) -> Result<Vec<Placed>, Unavailable> {
        let placed = self.fields.iter().map(|(field, place)| {
            let text = match data.remove(field) {
                Some(Value::String(text)) => text,
                Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                _ => return Err(Unavailable::Field),
            };
            Placed::new(place.clone(), SecretString::from(text))
        });
        placed.collect()
    }
}

impl Source for Leased {
    fn fetch<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Given, Unavailable>> {
        async move {
            let answer: Answer = self.vault.send(&Call::get(self.path.clone())).await?.read()?;
            let lease = (answer.lease_duration > 0).then(|| Duration::from_secs(answer.lease_duration));
            let lease_id = (!answer.lease_id.is_empty()).then_some(answer.lease_id);
            let handle = Handle { lease_id, accessor: None };
            match self.place(answer.data) {
                Ok(placed) => Ok(Given { placed, lease, handle }),
                Err(failed) => {
                    // What cannot be used must not live on.
                    let _ = self.revoke(asked, &handle).await;
                    Err(failed)
                }
            }
        }
        .boxed()
    }

    fn revoke<'a>(&'a self, _: &'a Asked, handle: &'a Handle) -> BoxFuture<'a, Result<(), Unavailable>> {
        async move {
            let Some(lease) = &handle.lease_id else { return Ok(()) };
            match self.vault.send(&Call::post("sys/leases/revoke", json!({ "lease_id": lease }))).await {
                Ok(_) => Ok(()),
                // It is gone already.
                Err(failure) if failure.says("lease not found") || failure.says("invalid lease") => Ok(()),
                Err(failure) => Err(failure.reason),
            }
        }
        .boxed()
    }
}
