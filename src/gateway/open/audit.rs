//! The audit log of a gateway: the store that the policy names, with a writer of this process alone.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::issued::Issued;
use super::system::{System, microseconds, no_randomness, node, random};
use crate::audit::chain::SigningKey;
use crate::audit::store::{Logger, LoggerOptions, Store, StoreErrorKind};
use crate::audit::{Ledger, Signer};
use crate::credentials::Secrets as _;
use crate::credentials::vault::Transit;
use crate::gateway::settings::{Overrides, Refusal};
use crate::policy::set::PolicySet;

/// The class of rows about requests of which nobody is known, where the policy keeps it.
const NOBODY: &str = "standard";

/// The log, and its place for people.
pub(super) struct Opened {
    pub(super) ledger: Arc<Ledger>,
    pub(super) place: String,
    pub(super) store: Store,
}

/// What to open. Nothing is touched but what a reference names.
#[derive(Debug)]
pub(super) struct Named {
    store: Store,
    key: Option<Arc<dyn Signer>>,
    nobody: Option<String>,
}

impl Named {
    /// Finds the store and the key.
    pub(super) async fn find(
        set: &PolicySet,
        overrides: &Overrides,
        system: &System,
        issued: Option<&Issued>,
    ) -> Result<Self, Vec<Refusal>> {
        let audit = &set.audit;
        let store = store(overrides.audit.as_deref().unwrap_or(&audit.store), system).await;
        let key = match overrides.signing_key.as_deref().or(audit.signing_key.as_deref()) {
            Some(reference) => key(reference, system, issued).await.map(Some),
            None => Ok(None),
        };
        let longest = || audit.retention.iter().max_by_key(|(_, kept)| **kept).map(|(class, _)| class.clone());
        let nobody = if audit.retention.contains_key(NOBODY) { None } else { longest() };
        match (store, key) {
            (Ok(store), Ok(key)) => Ok(Self { store, key, nobody }),
            (store, key) => Err(store.err().into_iter().chain(key.err()).collect()),
        }
    }

    /// Where it is.
    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// Opens it and begins a writer.
    pub(super) async fn open(self) -> Result<Opened, Refusal> {
        let (place, store) = (self.store.to_string(), self.store.clone());
        let failed = |what: String, help| {
            Refusal::new("audit-unavailable", format!("the audit log `{place}` cannot be opened: {what}"), help)
        };
        if let Some(path) = self.store.file() {
            let help = "let this user write there, or name another store with --audit";
            own(path).map_err(|error| failed(error.kind().to_string(), help))?;
        }
        let writer = random::<16>().ok_or_else(no_randomness)?;
        let options = LoggerOptions {
            node: node(),
            key: self.key,
            ..LoggerOptions::new(format!("{:032x}", u128::from_be_bytes(writer)), Arc::new(microseconds))
        };
        let (logger, _) = Logger::open(self.store, options).await.map_err(|error| {
            let help = match error.kind {
                StoreErrorKind::Unreachable => "check that it is there and lets this user in",
                StoreErrorKind::Untrusted => {
                    "give the CA of its certificate with `?sslrootcert=FILE`, and the name that it is for as the host"
                }
                StoreErrorKind::NoLog => "run `doorward audit init` as its owner, or name a new store",
                StoreErrorKind::NotSigned => "check that Vault is up and lets this login sign",
                _ => "let this user write there, or name another store with --audit",
            };
            failed(error.to_string(), help)
        })?;
        Ok(Opened { ledger: Arc::new(Ledger::new(logger, self.nobody.as_deref())), place, store })
    }
}

async fn store(named: &str, system: &System) -> Result<Store, Refusal> {
    let bad = |what: String, help| Refusal::new("audit-unavailable", what, help);
    let reference = ["env:", "file:"].iter().any(|kind| named.starts_with(kind));
    let url = if reference {
        let read = system.read(named).await;
        let url = read.map_err(|_| {
            bad(
                format!("the store of the audit log cannot be read from `{named}`"),
                "put its URL there for the gateway",
            )
        })?;
        url.expose_secret().to_owned()
    } else {
        named.to_owned()
    };
    // What was behind a reference may hold a password, so that only the kind of the mistake is said.
    Store::in_directory(&url, system.directory())
        .map_err(|error| bad(error.to_string(), "write `sqlite:PATH` or `postgres://USER@HOST/DATABASE`"))
}

async fn key(reference: &str, system: &System, issued: Option<&Issued>) -> Result<Arc<dyn Signer>, Refusal> {
    let bad = |what: &str| {
        let message = format!("the key that signs the audit log, `{reference}`, cannot be used: {what}");
        Refusal::new("audit-key", message, "`openssl genpkey -algorithm ed25519` makes one")
    };
    if let Some(name) = reference.strip_prefix("transit:") {
        return transit(name, issued).await;
    }
    let pem = system.read(reference).await.map_err(|_| bad("it is not there or cannot be read"))?;
    let key = SigningKey::from_pem(pem.expose_secret()).map_err(|error| bad(&error.to_string()))?;
    Ok(Arc::new(key))
}

/// A key that Vault keeps.
async fn transit(name: &str, issued: Option<&Issued>) -> Result<Arc<dyn Signer>, Refusal> {
    let bad = |what: &str, help: &str| {
        let message = format!("the key `{name}` of Vault, which signs the audit log, cannot be used: {what}");
        Refusal::new("audit-key", message, help)
    };
    let vault = issued.and_then(Issued::source);
    let vault = vault.ok_or_else(|| bad("the policy names no Vault", "add `[vault]` with its `address`"))?;
    let help = "make it with type `ed25519`, and let the login read `transit/keys/NAME` and write `transit/sign/NAME`";
    let key = Transit::open(Arc::clone(vault), name).await.map_err(|reason| bad(reason.text(), help))?;
    Ok(Arc::new(key))
}

/// Makes the file where there is none, for its owner alone. What is made beside it later is as it is.
fn own(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}
