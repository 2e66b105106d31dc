//! The login that is kept: made by one for all who wait, renewed before its end, made again when it dies.
//!
//! Whoever logs in does so in a task of its own, so that no login is made that nobody knows of.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use vaultrs::client::VaultClient;
use vaultrs::token;
use zeroize::Zeroize;

use super::call::{Call, library};
use super::client::Vault;
use super::login::{Granted, log_in};
use crate::credentials::lifetime::{Bounds, Lifetime};
use crate::credentials::unavailable::Unavailable;
use crate::policy::set::VaultLogin;

/// How old a spare secret id may be before another is made.
const SPARE: Duration = Duration::from_hours(8);

/// A login that succeeded.
pub(super) struct Session {
    token: SecretString,
    renewable: bool,
    pub(super) until: Option<Instant>,
    policies: Vec<String>,
}

impl Session {
    /// The token that it is.
    pub(super) fn token(&self) -> &str {
        self.token.expose_secret()
    }

    fn lives(&self) -> bool {
        self.until.is_none_or(|end| Instant::now() < end)
    }
}

/// A client of the library with this login, for one question.
struct Shown(VaultClient);

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.middle.token.zeroize();
    }
}

/// How logging in went before, and with what it can be done again.
#[derive(Default)]
pub(super) struct Gate {
    streak: u32,
    failed: Option<(Unavailable, Instant)>,
    /// Nobody logs in any more.
    closed: bool,
    /// A secret id of `AppRole` that nobody has used yet.
    spare: Option<SecretString>,
    spared_at: Option<Instant>,
    /// Logins that others took the place of, until they end.
    superseded: Vec<Arc<Session>>,
}

/// A secret id, as Vault makes it.
#[derive(Deserialize)]
struct Made {
    data: Spare,
}

#[derive(Deserialize)]
struct Spare {
    secret_id: String,
}

impl Vault {
    /// The policies of the login, after logging in where that was not done yet.
    ///
    /// # Errors
    ///
    /// Logging in fails.
    pub async fn login_policies(&self) -> Result<Vec<String>, Unavailable> {
        Ok(self.session().await?.policies.clone())
    }

    /// Sees to it that the gateway can log in again after its login has died, as it does when Vault is
    /// away for longer than that lives: with `AppRole` it has Vault make a secret id for that, which
    /// stays in memory. What the role does not allow is left.
    pub async fn provide(&self) {
        let VaultLogin::Approle { mount, role, .. } = &self.login else { return };
        self.provided.store(true, Ordering::Relaxed);
        let fresh = |at: Instant| at.elapsed() < SPARE;
        if self.gate.lock().await.spared_at.is_some_and(fresh) {
            return;
        }
        let call = Call::post(format!("auth/{mount}/role/{role}/secret-id"), json!({})).making();
        let made = match self.send(&call, self.deadline()).await {
            Ok(answer) => answer.read::<Made>().map_err(|failure| failure.reason),
            Err(failure) => Err(failure.reason),
        };
        match made {
            Ok(Made { data: Spare { secret_id } }) => {
                let mut gate = self.gate.lock().await;
                (gate.spare, gate.spared_at) = (Some(SecretString::from(secret_id)), Some(Instant::now()));
            }
            Err(reason) => {
                tracing::warn!(code = reason.code(), "when this login to Vault dies, somebody must bring a secret id");
            }
        }
    }

    /// Gives the login up, and with it every lease that was made with it, and logs in no more. A token
    /// that was handed to us is not ours to give up.
    ///
    /// # Errors
    ///
    /// Vault does not take it.
    pub async fn close(&self) -> Result<(), Unavailable> {
        let mut gate = self.gate.lock().await;
        gate.closed = true;
        self.renewals.send_replace(None);
        let mut left: Vec<_> = gate.superseded.drain(..).filter(|session| session.lives()).collect();
        left.extend(self.session.swap(None));
        if matches!(self.login, VaultLogin::Token { .. }) {
            return Ok(());
        }
        let mut closed = Ok(());
        for session in left {
            let client = self.shown(&session)?;
            match token::revoke_self(&client.0).await.map_err(|error| library(error).reason) {
                // It is dead already.
                Ok(()) | Err(Unavailable::Denied) => {}
                failed => closed = failed,
            }
        }
        closed
    }

    /// The login, after logging in where there is none. One logs in, the others wait.
    pub(super) fn session(&self) -> BoxFuture<'_, Result<Arc<Session>, Unavailable>> {
        async {
            if let Some(session) = self.living() {
                return Ok(session);
            }
            let (Some(me), Ok(runtime)) = (self.me.upgrade(), tokio::runtime::Handle::try_current()) else {
                return Err(Unavailable::Stopped);
            };
            // Whoever asked may go away meanwhile; what comes is kept even so.
            runtime.spawn(async move { me.log_in().await }).await.unwrap_or(Err(Unavailable::Fault))
        }
        .boxed()
    }

    fn living(&self) -> Option<Arc<Session>> {
        self.session.load_full().filter(|session| session.lives())
    }

    async fn log_in(&self) -> Result<Arc<Session>, Unavailable> {
        let mut gate = self.gate.lock().await;
        if let Some(session) = self.living() {
            return Ok(session);
        }
        if gate.closed {
            return Err(Unavailable::Stopped);
        }
        if let Some((failed, _)) = gate.failed.filter(|(_, again)| Instant::now() < *again) {
            return Err(failed);
        }
        let begun = Instant::now();
        let client = |token: &str| self.client(token);
        let mut tried = 0;
        let granted = loop {
            let at = self.nodes.turned();
            let granted = log_in(&self.login, self.namespace(), &*self.secrets, &mut gate.spare, client).await;
            tried += 1;
            match granted {
                Err(reason) if self.turn(at, reason).await && tried < self.nodes.len() => {}
                granted => break granted,
            }
        };
        match granted {
            Ok(granted) => {
                (gate.streak, gate.failed) = (0, None);
                // What was used is used up.
                (gate.spare, gate.spared_at) = (None, None);
                let session = self.keep(granted, begun);
                if let Some(me) = self.me.upgrade().filter(|_| self.provided.load(Ordering::Relaxed)) {
                    tokio::spawn(async move { me.provide().await });
                }
                Ok(session)
            }
            Err(failed) => {
                let wait = self.patience.backoff.saturating_mul(2_u32.saturating_pow(gate.streak));
                gate.streak = gate.streak.saturating_add(1);
                gate.failed = Some((failed, Instant::now() + self.jittered(wait.min(self.patience.backoff_max))));
                tracing::warn!(code = failed.code(), "no login to Vault: {}", failed.text());
                Err(failed)
            }
        }
    }

    /// Keeps a login and says when it is to be renewed.
    fn keep(&self, granted: Granted, begun: Instant) -> Arc<Session> {
        let lifetime = granted
            .lease
            .and_then(|lease| Lifetime::within(Bounds { declared: lease, lease: None, caller: None }, (self.dice)()));
        let session = Arc::new(Session {
            token: granted.token,
            renewable: granted.renewable,
            until: lifetime.map(|lifetime| begun + lifetime.life),
            policies: granted.policies,
        });
        self.session.store(Some(Arc::clone(&session)));
        self.renewals.send_replace(lifetime.map(|lifetime| begun + lifetime.renew));
        session
    }

    fn shown(&self, session: &Session) -> Result<Shown, Unavailable> {
        self.client(session.token()).map(Shown)
    }

    /// Forgets a login that Vault does not know any more.
    pub(super) fn forget(&self, dead: &Arc<Session>) {
        let held = self.session.load();
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, dead)) {
            self.session.store(None);
        }
    }

    /// Whether Vault still knows the login.
    pub(super) async fn is_alive(&self, session: &Session) -> bool {
        let Ok(client) = self.shown(session) else { return true };
        !matches!(
            token::lookup_self(&client.0).await.map_err(|error| library(error).reason),
            Err(Unavailable::Denied | Unavailable::Refused)
        )
    }

    /// Renews the login, or logs in again where it cannot be renewed.
    async fn renew(&self) {
        let Some(session) = self.session.load_full() else { return };
        let begun = Instant::now();
        let at = self.nodes.turned();
        if let (true, Ok(client)) = (session.renewable, self.shown(&session)) {
            match token::renew_self(&client.0, None).await {
                // Renewed to less than before: its longest life is near.
                Ok(auth)
                    if auth.lease_duration > 0
                        && Some(begun + Duration::from_secs(auth.lease_duration)) > session.until =>
                {
                    drop(self.keep(auth.into(), begun));
                    if self.provided.load(Ordering::Relaxed) {
                        self.provide().await;
                    }
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    let reason = library(error).reason;
                    self.turn(at, reason).await;
                    if !matches!(reason, Unavailable::Denied | Unavailable::Refused) {
                        let wait = self.jittered(self.patience.backoff * 4);
                        self.renewals.send_replace(Some(Instant::now() + wait));
                        return;
                    }
                }
            }
        }
        self.forget(&session);
        let again = self.session().await;
        let mut gate = self.gate.lock().await;
        gate.superseded.retain(|session| session.lives());
        if again.is_ok() {
            // Leases hang on it: it is left to end, or given up at the end.
            gate.superseded.push(session);
            return;
        }
        // Until its end the old one serves.
        if session.lives() && !gate.closed {
            self.session.store(Some(session));
        }
        self.renewals.send_replace(Some(Instant::now() + self.jittered(self.patience.backoff_max)));
    }
}

/// Renews the login before its end, for as long as anybody has the Vault.
pub(super) async fn upkeep(vault: Weak<Vault>, mut renewals: watch::Receiver<Option<Instant>>) {
    loop {
        let next = *renewals.borrow_and_update();
        let due = async {
            match next {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = renewals.changed() => if changed.is_err() { return },
            () = due => match vault.upgrade() {
                Some(vault) => vault.renew().await,
                None => return,
            },
        }
    }
}
