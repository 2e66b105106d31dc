//! `kv`: a short-lived token for one server, kept in KV version 2 for every gateway.
//!
//! The record is read. Where there is none, or its token is over, about to be, refused by the server or
//! of other policies than those declared, a token is made by the server's own role and put back with
//! check-and-set: of many gateways one wins, and the others take its token and give up their own.
//! A token that is for one caller alone is not kept there: its metadata say whose it is, and it ends with the
//! caller's own.
//!
//! How much of a life is left is counted by Vault's clock alone, so that no gateway's clock matters.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use tokio::time::Instant;
use zeroize::Zeroize;

use super::call::{Call, Failure};
use super::client::Vault;
use super::revoke_accessor;
use crate::credentials::credential::{Handle, Place, Placed};
use crate::credentials::lifetime::margin;
use crate::credentials::source::{Asked, Given, Source};
use crate::credentials::unavailable::Unavailable;

/// The form of a record. Whatever is in another form was put there by another hand.
const FORMAT: &str = "doorward.token/v1";
/// How often a record that others replace is read again.
const ROUNDS: usize = 4;

/// A token for one server.
#[derive(Clone, Debug)]
pub(super) struct Kv {
    pub(super) vault: Arc<Vault>,
    /// The mount of KV version 2.
    pub(super) mount: String,
    /// The path below it.
    pub(super) path: String,
    /// The token role that makes the tokens.
    pub(super) role: String,
    /// The policies of a token. Sorted, never empty.
    pub(super) policies: Vec<String>,
    pub(super) ttl: Duration,
    /// What the metadata of a token says of the scopes that it serves.
    pub(super) scopes: String,
    pub(super) place: Place,
    pub(super) shared: bool,
}

/// What the record holds. A record without a token was taken back.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: String,
    server: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    accessor: Option<String>,
    /// The end of the token by Vault's clock, in seconds from 1970.
    #[serde(default)]
    expires_at: i64,
    /// The life that it was made for, in seconds.
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    policies: Vec<String>,
}

impl Drop for Record {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

#[derive(Deserialize)]
struct Read<'a> {
    #[serde(borrow)]
    data: Version<'a>,
}

#[derive(Deserialize)]
struct Version<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    metadata: Metadata,
}

/// A record in place of the version that was read.
#[derive(Serialize)]
struct Put<'a> {
    options: Options,
    data: &'a Record,
}

#[derive(Serialize)]
struct Options {
    cas: u64,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
}

#[derive(Deserialize)]
struct Made {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: String,
    accessor: String,
    policies: Vec<String>,
    lease_duration: u64,
}

/// What was found at the path.
struct Found {
    version: u64,
    record: Option<Record>,
    /// When, by Vault's clock.
    at: i64,
}

impl Kv {
    fn data(&self) -> String {
        format!("{}/data/{}", self.mount, self.path)
    }

    async fn read(&self, server: &str, deadline: Instant) -> Result<Found, Failure> {
        let answer = self.vault.send(&Call::get(self.data()), deadline).await;
        let (version, at) = match &answer {
            Ok(answer) => (answer.read::<Read<'_>>()?.data, answer.at),
            // A version that was deleted answers with its number and no data, one that never was with neither.
            Err(failure) if failure.reason == Unavailable::NotFound && !failure.says("no handler") => {
                match failure.read::<Read<'_>>() {
                    Some(read) => (read.data, None),
                    None => return Ok(Found { version: 0, record: None, at: 0 }),
                }
            }
            Err(_) => return Err(answer.err().unwrap_or_else(|| Unavailable::Malformed.into())),
        };
        let record = match version.data.filter(|data| data.get() != "null") {
            None => None,
            Some(data) => {
                let record: Record = serde_json::from_str(data.get()).map_err(|_| Unavailable::Foreign)?;
                if record.format != FORMAT || record.server != server {
                    return Err(Unavailable::Foreign.into());
                }
                Some(record)
            }
        };
        Ok(Found { version: version.metadata.version, record, at: at.unwrap_or(i64::MAX) })
    }

    /// Puts a record in place of the version that was read.
    async fn put(&self, record: &Record, version: u64, deadline: Instant) -> Result<bool, Failure> {
        let body = Put { options: Options { cas: version }, data: record };
        match self.vault.send(&Call::post(self.data(), body), deadline).await {
            Ok(_) => Ok(true),
            Err(failure) if failure.reason == Unavailable::Refused && failure.says("check-and-set") => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// A new token, and the record of it.
    async fn make(&self, asked: &Asked, deadline: Instant) -> Result<(Record, Duration), Failure> {
        let server = &*asked.server;
        let mut meta = json!({ "made_by": "doorward", "server": server, "scopes": self.scopes });
        let mut life = self.ttl.as_secs();
        if let Some(caller) = &asked.caller {
            let left = u64::try_from(caller.expires_at.0.saturating_sub(asked.at.0)).unwrap_or(0);
            life = life.min(left).max(1);
            meta = json!({
                "made_by": "doorward",
                "server": server,
                "issuer": caller.issuer,
                "subject": caller.subject,
                "agent": caller.agent.as_deref().unwrap_or_default(),
                "scopes": caller.scopes.join(" "),
            });
        }
        let ttl = format!("{life}s");
        let body = json!({
            "policies": self.policies,
            "ttl": ttl,
            "explicit_max_ttl": ttl,
            "renewable": false,
            "no_default_policy": true,
            "display_name": format!("doorward-{server}"),
            "meta": meta,
        });
        let call = Call::post(format!("auth/token/create/{}", self.role), body).making();
        let answer = self.vault.send(&call, deadline).await?;
        let mut auth = answer.read::<Made>()?.auth;
        auth.policies.sort();
        if auth.policies != self.policies {
            // More than was asked for, or less: the role is not the one of the plan.
            revoke_accessor(&self.vault, &auth.accessor).await?;
            return Err(Unavailable::Policies.into());
        }
        let lease = Duration::from_secs(auth.lease_duration);
        let record = Record {
            format: FORMAT.to_owned(),
            server: server.to_owned(),
            token: Some(auth.client_token),
            accessor: Some(auth.accessor),
            expires_at: answer.at.unwrap_or(0).saturating_add_unsigned(auth.lease_duration),
            ttl: self.ttl.as_secs(),
            policies: self.policies.clone(),
        };
        Ok((record, lease))
    }

    /// What is left of a record's token, where that is enough and it is the right one.
    fn usable(&self, record: &Record, at: i64, refused: Option<&Handle>) -> Option<Duration> {
        let left = Duration::from_secs(u64::try_from(record.expires_at.saturating_sub(at)).ok()?);
        let other = refused.is_none_or(|handle| handle.accessor != record.accessor);
        let fits = record.policies == self.policies && record.ttl <= self.ttl.as_secs() && left <= self.ttl;
        (other && fits && record.token.is_some() && left > margin(self.ttl)).then_some(left)
    }

    fn give(&self, record: &Record, left: Duration) -> Result<Given, Failure> {
        let token = record.token.as_deref().unwrap_or_default();
        Ok(Given {
            placed: vec![Placed::new(self.place.clone(), SecretString::from(token))?],
            lease: Some(left),
            within: None,
            handle: Handle { lease_id: None, accessor: record.accessor.clone() },
        })
    }

    async fn get(&self, asked: &Asked) -> Result<Given, Failure> {
        let deadline = self.vault.deadline();
        if asked.caller.is_some() {
            let (record, lease) = self.make(asked, deadline).await?;
            return self.give(&record, lease);
        }
        for _ in 0..ROUNDS {
            let found = self.read(&asked.server, deadline).await?;
            let left = found.record.as_ref().and_then(|record| self.usable(record, found.at, asked.refused.as_ref()));
            if let (Some(record), Some(left)) = (&found.record, left) {
                return self.give(record, left);
            }
            let (record, lease) = self.make(asked, deadline).await?;
            let accessor = record.accessor.clone().unwrap_or_default();
            // What is made by now may be kept, however long making it took.
            match self.put(&record, found.version, deadline.max(self.vault.deadline())).await {
                Ok(true) => {
                    self.give_up(found.record.as_ref(), asked.refused.as_ref()).await;
                    return self.give(&record, lease);
                }
                // Another gateway was faster: its token is as good.
                Ok(false) => revoke_accessor(&self.vault, &accessor).await?,
                Err(failure) => {
                    // What nobody can find again must not live on.
                    let _ = revoke_accessor(&self.vault, &accessor).await;
                    return Err(failure);
                }
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Takes back a replaced token that is wrong. One that was merely nearly over may be in use elsewhere.
    async fn give_up(&self, old: Option<&Record>, refused: Option<&Handle>) {
        let Some(old) = old else { return };
        let wrong = old.policies != self.policies
            || old.ttl > self.ttl.as_secs()
            || refused.is_some_and(|handle| handle.accessor == old.accessor);
        if let (true, Some(accessor)) = (wrong, &old.accessor) {
            let _ = revoke_accessor(&self.vault, accessor).await;
        }
    }

    /// Takes a token back and empties its record.
    pub(super) async fn take_back(&self, server: &str, accessor: &str) -> Result<(), Failure> {
        revoke_accessor(&self.vault, accessor).await?;
        let deadline = self.vault.deadline();
        let found = self.read(server, deadline).await?;
        if found.record.is_some_and(|record| record.accessor.as_deref() == Some(accessor)) {
            let mut empty = Record::default();
            FORMAT.clone_into(&mut empty.format);
            server.clone_into(&mut empty.server);
            // Where another gateway has replaced it meanwhile, its own stays.
            self.put(&empty, found.version, deadline).await?;
        }
        Ok(())
    }

    /// Takes back whatever token the record holds. `false` when there is none.
    pub(super) async fn purge(&self, server: &str) -> Result<bool, Failure> {
        let found = self.read(server, self.vault.deadline()).await?;
        match found.record.as_ref().and_then(|record| record.accessor.as_deref()) {
            Some(accessor) => self.take_back(server, accessor).await.map(|()| true),
            None => Ok(false),
        }
    }
}

impl Source for Kv {
    fn fetch<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Given, Unavailable>> {
        async move { Ok(self.get(asked).await?) }.boxed()
    }

    fn revoke<'a>(&'a self, asked: &'a Asked, handle: &'a Handle) -> BoxFuture<'a, Result<(), Unavailable>> {
        async move {
            match &handle.accessor {
                Some(accessor) if asked.caller.is_some() => Ok(revoke_accessor(&self.vault, accessor).await?),
                Some(accessor) => Ok(self.take_back(&asked.server, accessor).await?),
                None => Ok(()),
            }
        }
        .boxed()
    }

    fn is_shared(&self) -> bool {
        self.shared
    }
}
