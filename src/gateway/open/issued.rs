//! What the gateway shows its servers: the credentials of one edition of the policy, and the Vault that
//! some of them come from.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::system::{self, System};
use crate::credentials::vault::{Node, Patience, Tls, Vault, declared};
use crate::credentials::{Credentials, Door, Limits, Secrets, Unavailable};
use crate::gateway::settings::Refusal;
use crate::policy::set::{Credential, PolicySet, Vault as Declared};

/// How long a start waits for the credentials of its servers before it says which are not there.
const PREPARE: Duration = Duration::from_secs(30);
/// How long taking everything back may take at the end.
const RETURN: Duration = Duration::from_secs(10);

/// The credentials of one edition of the policy. Cheap to clone.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Issued {
    credentials: Credentials,
    vault: Option<(Declared, Arc<Vault>)>,
}

impl Issued {
    /// The credentials of a policy, after those of the edition before. Fetches nothing. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    ///
    /// What can be known before anything is fetched.
    pub(super) fn open(set: &PolicySet, system: &System, before: Option<&Self>) -> Result<Self, Vec<Refusal>> {
        let refused = |refusal| vec![refusal];
        let secrets: Arc<dyn Secrets> = Arc::new(system.clone());
        let vault = match &set.vault {
            Some(wanted) if asks_vault(set) => Some(Self::vault(wanted, system, &secrets, before).map_err(refused)?),
            _ => None,
        };
        let doors = declared(set, vault.as_ref().map(|(_, vault)| vault), &secrets);
        let doors = doors.map_err(|(server, reason)| refused(lacking(&server, reason)))?;
        let credentials = match before {
            Some(before) => before.credentials.succeed(doors),
            None => Credentials::new(doors, Arc::new(system::now), Arc::new(system::dice), Limits::default()),
        };
        Ok(Self { credentials, vault })
    }

    /// The Vault of a policy: that of the edition before, where it is declared as it was.
    fn vault(
        wanted: &Declared,
        system: &System,
        secrets: &Arc<dyn Secrets>,
        before: Option<&Self>,
    ) -> Result<(Declared, Arc<Vault>), Refusal> {
        let same = before.and_then(|before| before.vault.as_ref()).filter(|(declared, _)| declared == wanted);
        if let Some(same) = same {
            return Ok(same.clone());
        }
        let tls = Tls::read(wanted, |path| system.keys(path)).map_err(|(path, error)| {
            let message = format!("`{path}` of [vault] cannot be read: {}", error.kind());
            Refusal::new(Unavailable::Tls.code(), message, "name a file that the gateway may read")
        })?;
        let vault = Vault::new(wanted, &tls, Arc::clone(secrets), Arc::new(system::dice), Patience::default());
        let vault = vault.map_err(|reason| {
            Refusal::new(reason.code(), format!("[vault] cannot be used: {}", reason.text()), "mend [vault]")
        })?;
        Ok((wanted.clone(), vault))
    }

    /// The Vault, where the policy needs one.
    pub(super) fn source(&self) -> Option<&Arc<Vault>> {
        self.vault.as_ref().map(|(_, vault)| vault)
    }

    /// How the nodes of Vault are, where the policy needs one, as of some seconds ago at most.
    pub(in crate::gateway) async fn nodes(&self) -> Vec<Node> {
        match &self.vault {
            Some((_, vault)) => vault.nodes().await,
            None => Vec::new(),
        }
    }

    /// The credential of a server.
    pub(in crate::gateway) fn door(&self, server: &str) -> Option<Door> {
        self.credentials.door(server)
    }

    /// The credentials themselves.
    pub(in crate::gateway) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Fetches what can be had before the first caller comes, and says what cannot.
    pub(in crate::gateway) async fn prepare(&self) {
        if let Some((_, vault)) = &self.vault {
            vault.provide().await;
        }
        for standing in self.credentials.prepare(PREPARE).await {
            if let Some(failed) = standing.failed.filter(|_| !standing.held) {
                let (server, code) = (standing.server, failed.code());
                tracing::warn!(server, code, "its credential cannot be had: nobody is served there");
            }
        }
    }

    /// Takes back what this edition has and the next does not share, once no request of this one is under
    /// way, and leaves a Vault that the next does not name.
    pub(in crate::gateway) async fn retire(&self, next: &Self) {
        told(self.credentials.retire(&next.credentials).await);
        if let Some((_, vault)) = &self.vault
            && !next.vault.as_ref().is_some_and(|(_, next)| Arc::ptr_eq(vault, next))
        {
            leave(vault).await;
        }
    }

    /// Takes everything back, and leaves Vault.
    pub(in crate::gateway) async fn close(&self) {
        told(self.credentials.shutdown(Instant::now() + RETURN).await);
        if let Some((_, vault)) = &self.vault {
            leave(vault).await;
        }
    }
}

fn asks_vault(set: &PolicySet) -> bool {
    let signs = set.audit.signing_key.as_ref().is_some_and(|key| key.starts_with("transit:"));
    signs || set.servers.values().any(|server| matches!(server.credential, Credential::Vault { .. }))
}

fn lacking(server: &str, reason: Unavailable) -> Refusal {
    match reason {
        Unavailable::Undeclared => Refusal::new(
            reason.code(),
            format!("`servers.{server}` has a credential from Vault, and the policy names no Vault"),
            "add `[vault]` with its `address`",
        ),
        reason => Refusal::new(
            reason.code(),
            format!("the credential of `servers.{server}` cannot be used: {}", reason.text()),
            "mend its `credential`",
        ),
    }
}

fn told(failed: Vec<(String, Unavailable)>) {
    for (server, reason) in failed {
        tracing::error!(server, code = reason.code(), "a credential is not taken back; it ends by itself");
    }
}

async fn leave(vault: &Vault) {
    if !matches!(timeout(RETURN, vault.close()).await, Ok(Ok(()))) {
        tracing::warn!("the login to Vault is not given up; it ends by itself");
    }
}
