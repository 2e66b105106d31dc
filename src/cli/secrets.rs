//! Secrets behind references, the runtime and the randomness, for the commands that ask Vault.

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use secrecy::SecretString;
use zeroize::Zeroizing;

use super::failure::{Failure, Kind};
use crate::credentials::vault::{Patience, Tls, Vault};
use crate::credentials::{Secrets, Unavailable};
use crate::policy::set::{PolicySet, Vault as Declared, VaultLogin};

/// The variables and files of this process.
struct Here;

impl Secrets for Here {
    fn read<'a>(&'a self, reference: &'a str) -> BoxFuture<'a, Result<SecretString, Unavailable>> {
        ready(read(reference).ok_or(Unavailable::Reference)).boxed()
    }
}

fn read(reference: &str) -> Option<SecretString> {
    let text = Zeroizing::new(match reference.split_once(':')? {
        ("env", name) => std::env::var(name).ok()?,
        ("file", path) => std::fs::read_to_string(path).ok()?,
        _ => return None,
    });
    let text = text.trim_end();
    (!text.is_empty()).then(|| SecretString::from(text))
}

/// Which Vault a policy means.
pub(super) fn declared(set: &PolicySet) -> Result<&Declared, Failure> {
    set.vault.as_ref().ok_or_else(|| {
        Failure::new(Kind::NothingToDo, "the policy names no Vault").help("add `[vault]` with its `address`")
    })
}

/// Opens a Vault with its own login, or with that of whoever calls.
pub(super) fn open(declared: &Declared, login: Option<&str>) -> Result<Arc<Vault>, Failure> {
    let mut declared = declared.clone();
    if let Some(token) = login {
        declared.login = VaultLogin::Token { token: token.to_owned() };
    }
    let tls = Tls::read(&declared, |path| std::fs::read(path));
    let tls = tls.map_err(|(path, error)| Failure::reading(Path::new(&path), &error))?;
    Vault::new(&declared, &tls, Arc::new(Here), Arc::new(dice), Patience::default()).map_err(unavailable)
}

/// Runs until an answer is there.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Kind::Vault, format!("no runtime: {error}")))?.block_on(work)
}

/// Why Vault gave no answer.
pub(super) fn unavailable(reason: Unavailable) -> Failure {
    let (what, help) = reason
        .text()
        .split_once("; ")
        .unwrap_or((reason.text(), "check `[vault]` and that Vault is up; `doorward explain vault` says more"));
    Failure::new(Kind::Vault, format!("{what} (`{}`)", reason.code())).help(help)
}

/// Randomness that nothing but the spread of retries rests on.
fn dice() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().build_hasher().finish().to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
