//! `dynamic`: whatever a path of Vault gives with a lease: a database user, a cloud key, a certificate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use zeroize::Zeroize;

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
    /// What is asked of it; where there is something, it is written for, and else read.
    pub(super) params: BTreeMap<String, String>,
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
    fn place(&self, data: &mut Map<String, Value>) -> Result<Vec<Placed>, Unavailable> {
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

/// Wipes every text of a value that is used no more.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(all) => all.iter_mut().for_each(wipe),
        Value::Object(all) => all.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Source for Leased {
    fn fetch<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Given, Unavailable>> {
        async move {
            let begun = Instant::now();
            let call = if self.params.is_empty() {
                Call::get(self.path.clone())
            } else {
                Call::post(self.path.clone(), &self.params)
            };
            let answered = self.vault.send(&call.making(), self.vault.deadline()).await?;
            let mut answer: Answer = answered.read()?;
            let placed = self.place(&mut answer.data);
            // A certificate says itself when it is over.
            let expires = answer.data.get("expiration").and_then(Value::as_i64).zip(answered.at);
            answer.data.values_mut().for_each(wipe);
            let lease = if answer.lease_duration > 0 {
                Some(Duration::from_secs(answer.lease_duration))
            } else {
                expires.map(|(end, now)| Duration::from_secs(u64::try_from(end.saturating_sub(now)).unwrap_or(0)))
            };
            let lease_id = (!answer.lease_id.is_empty()).then_some(answer.lease_id);
            let handle = Handle { lease_id, accessor: None };
            // Vault takes its leases back when the login ends that they were made with.
            let within = answered.login_ends.map(|ends| ends.saturating_duration_since(begun));
            // What neither ends nor can be taken back is no short-lived credential.
            let lasting = lease.is_none() || (handle.is_empty() && expires.is_none());
            match placed {
                Ok(placed) if !lasting => Ok(Given { placed, lease, within, handle }),
                unusable => {
                    // What cannot be used must not live on.
                    let _ = self.revoke(asked, &handle).await;
                    Err(unusable.err().unwrap_or(Unavailable::Lasting))
                }
            }
        }
        .boxed()
    }

    fn revoke<'a>(&'a self, _: &'a Asked, handle: &'a Handle) -> BoxFuture<'a, Result<(), Unavailable>> {
        async move {
            let Some(lease) = &handle.lease_id else { return Ok(()) };
            let call = Call::post("sys/leases/revoke", json!({ "lease_id": lease }));
            match self.vault.send(&call, self.vault.deadline()).await {
                Ok(_) => Ok(()),
                // It is gone already.
                Err(failure) if failure.says("lease not found") || failure.says("invalid lease") => Ok(()),
                Err(failure) => Err(failure.reason),
            }
        }
        .boxed()
    }
}
