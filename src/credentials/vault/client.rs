//! The connection to Vault and the login that it keeps.
//!
//! The client library is given a transport of our own, because its defaults are not for us: it would
//! follow a redirect with the token in hand, take the proxy and the switch against certificate checks
//! from the environment, and wait for ever. Here no redirect is followed, no variable is read, every
//! certificate is checked, and everything has its time.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use vaultrs::api::EndpointMiddleware;
use vaultrs::client::{VaultClient, VaultClientSettings};
use vaultrs::token;
use zeroize::{Zeroize, Zeroizing};

use super::call::{Answer, Call, Failure, library, send};
use super::login::{Granted, log_in};
use crate::credentials::lifetime::{Bounds, Lifetime};
use crate::credentials::source::{Dice, Secrets};
use crate::credentials::unavailable::Unavailable;
use crate::policy::set::{Vault as Declared, VaultLogin};

/// How long Vault may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For one request.
    pub request: Duration,
    /// For everything that one fetch needs, logging in and trying again included.
    pub whole: Duration,
    /// How long nobody logs in again after a first failure; doubled with each further one.
    pub backoff: Duration,
    /// The longest that nobody logs in again.
    pub backoff_max: Duration,
}

impl Default for Patience {
    /// 2, 5 and 9 seconds; from half a second to 30 seconds.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            request: Duration::from_secs(5),
            whole: Duration::from_secs(9),
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
        }
    }
}

/// The files that the policy names for TLS, as they were read.
#[derive(Default)]
pub struct Tls {
    /// The certificate authorities, PEM. Then only these are trusted; otherwise those of the system.
    pub ca: Option<Vec<u8>>,
    /// The client certificate and its key, PEM.
    pub identity: Option<SecretString>,
}

impl Tls {
    /// Reads the files that a policy names.
    ///
    /// # Errors
    ///
    /// The file that cannot be read, and why.
    pub fn read(
        declared: &Declared,
        file: impl Fn(&str) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, (String, std::io::Error)> {
        let read = |path: &Option<String>| {
            let read = |path: &String| file(path).map_err(|error| (path.clone(), error));
            path.as_ref().map(read).transpose()
        };
        let identity = read(&declared.identity_file)?.map(Zeroizing::new);
        let identity = identity.map(|pem| SecretString::from(String::from_utf8_lossy(&pem).as_ref()));
        Ok(Self { ca: read(&declared.ca_file)?, identity })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("ca", &self.ca.is_some()).field("identity", &self.identity.is_some()).finish()
    }
}

/// What Vault says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Unsealed and in charge.
    Active,
    /// Unsealed and waiting to be in charge.
    Standby,
    /// Sealed.
    Sealed,
    /// Never initialised.
    Uninitialised,
}

/// A Vault or `OpenBao`, with the gateway's login to it.
pub struct Vault {
    http: reqwest::Client,
    address: reqwest::Url,
    namespace: Option<String>,
    login: VaultLogin,
    secrets: Arc<dyn Secrets>,
    dice: Dice,
    patience: Patience,
    session: ArcSwapOption<Session>,
    gate: Mutex<Gate>,
    renewals: watch::Sender<Option<Instant>>,
}

/// A login that succeeded.
struct Session {
    client: VaultClient,
    renewable: bool,
    until: Option<Instant>,
    policies: Vec<String>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.client.middle.token.zeroize();
    }
}

/// How logging in went before.
#[derive(Default)]
struct Gate {
    streak: u32,
    failed: Option<(Unavailable, Instant)>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("address", &self.address.as_str()).finish_non_exhaustive()
    }
}

impl Vault {
    /// A Vault as the policy declares it. Connects to nothing yet. The login is renewed in a task of the
    /// runtime that this is called in, for as long as the value lives.
    ///
    /// # Errors
    ///
    /// The address is neither `https` nor this machine, the namespace cannot be in a header, the TLS
    /// files cannot be used, or there is no runtime.
    pub fn new(
        declared: &Declared,
        tls: Tls,
        secrets: Arc<dyn Secrets>,
        dice: Dice,
        patience: Patience,
    ) -> Result<Arc<Self>, Unavailable> {
        let address = reqwest::Url::parse(&declared.address).map_err(|_| Unavailable::Address)?;
        if !is_allowed(&address) {
            return Err(Unavailable::Address);
        }
        if declared.namespace.as_deref().is_some_and(|namespace| !is_header(namespace)) {
            return Err(Unavailable::Address);
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Unavailable::Stopped)?;
        let renewals = watch::Sender::new(None);
        let vault = Arc::new(Self {
            http: transport(tls, patience)?,
            address,
            namespace: declared.namespace.clone(),
            login: declared.login.clone(),
            secrets,
            dice,
            patience,
            session: ArcSwapOption::empty(),
            gate: Mutex::default(),
            renewals,
        });
        runtime.spawn(upkeep(Arc::downgrade(&vault), vault.renewals.subscribe()));
        Ok(vault)
    }

    /// What Vault says of itself. Needs no login.
    ///
    /// # Errors
    ///
    /// It does not say.
    pub async fn health(&self) -> Result<Health, Unavailable> {
        // The answer of the library's own function lacks a field at OpenBao; and no namespace has it.
        let mut client = self.client("")?;
        client.middle.namespace = None;
        match send(&client, &Call::get("sys/health")).await {
            Ok(_) => Ok(Health::Active),
            Err(failure) => match failure.reason {
                Unavailable::Busy | Unavailable::Standby => Ok(Health::Standby),
                Unavailable::Sealed if failure.says("\"initialized\":false") => Ok(Health::Uninitialised),
                Unavailable::Sealed => Ok(Health::Sealed),
                reason => Err(reason),
            },
        }
    }

    /// The policies of the login, after logging in where that was not done yet.
    ///
    /// # Errors
    ///
    /// Logging in fails.
    pub async fn login_policies(&self) -> Result<Vec<String>, Unavailable> {
        Ok(self.session().await?.policies.clone())
    }

    /// Gives the login up, and with it every lease that was made with it. A token that was handed to us
    /// is not ours to give up.
    ///
    /// # Errors
    ///
    /// Vault does not take it.
    pub async fn close(&self) -> Result<(), Unavailable> {
        let _gate = self.gate.lock().await;
        self.renewals.send_replace(None);
        match (self.session.swap(None), &self.login) {
            (Some(session), VaultLogin::Approle { .. } | VaultLogin::Jwt { .. } | VaultLogin::Kubernetes { .. }) => {
                match token::revoke_self(&session.client).await.map_err(|error| library(error).reason) {
                    // It is dead already.
                    Err(Unavailable::Denied) => Ok(()),
                    done => done,
                }
            }
            _ => Ok(()),
        }
    }

    /// Sends a request with the login: tried again where nothing was done the first time, and with a new
    /// login where the old one has died.
    pub(super) async fn send(&self, call: &Call) -> Result<Answer, Failure> {
        let all = async {
            let (mut tries, mut renewed) = (0_u32, false);
            loop {
                let session = self.session().await?;
                let failure = match send(&session.client, call).await {
                    Ok(answer) => return Ok(answer),
                    Err(failure) => failure,
                };
                if failure.reason == Unavailable::Denied && !renewed && !is_alive(&session).await {
                    renewed = true;
                    self.forget(&session);
                } else if failure.reason.is_brief() && tries < 2 {
                    tries += 1;
                    sleep(self.jittered(Duration::from_millis(100) * 2_u32.pow(tries))).await;
                } else {
                    return Err(failure);
                }
            }
        };
        timeout(self.patience.whole, all).await.unwrap_or_else(|_| Err(Unavailable::TimedOut.into()))
    }

    /// A client of the library that shows this token, or none.
    fn client(&self, token: &str) -> Result<VaultClient, Unavailable> {
        // The library would panic on what cannot be in a header.
        if !is_header(token) {
            return Err(Unavailable::Unusable);
        }
        let settings = VaultClientSettings {
            address: self.address.clone(),
            ca_certs: Vec::new(),
            identity: None,
            timeout: Some(self.patience.request),
            // Not here: the settings can be printed.
            token: String::new(),
            verify: true,
            version: 1,
            wrapping: false,
            namespace: self.namespace.clone(),
            proxy: None,
        };
        let middle = EndpointMiddleware {
            token: token.to_owned(),
            version: "v1".to_owned(),
            wrap: None,
            namespace: self.namespace.clone(),
        };
        let http = rustify::clients::reqwest::Client::new(self.address.as_str(), self.http.clone());
        Ok(VaultClient { http, middle, settings })
    }

    /// The login, after logging in where there is none. One logs in, the others wait.
    async fn session(&self) -> Result<Arc<Session>, Unavailable> {
        let living = || self.session.load_full().filter(|session| session.until.is_none_or(|end| Instant::now() < end));
        if let Some(session) = living() {
            return Ok(session);
        }
        let mut gate = self.gate.lock().await;
        if let Some(session) = living() {
            return Ok(session);
        }
        if let Some((failed, _)) = gate.failed.filter(|(_, again)| Instant::now() < *again) {
            return Err(failed);
        }
        let begun = Instant::now();
        match log_in(&self.login, &*self.secrets, |token| self.client(token)).await {
            Ok(granted) => {
                *gate = Gate::default();
                self.keep(granted, begun)
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
    fn keep(&self, granted: Granted, begun: Instant) -> Result<Arc<Session>, Unavailable> {
        let lifetime = granted
            .lease
            .and_then(|lease| Lifetime::within(Bounds { declared: lease, lease: None, caller: None }, (self.dice)()));
        let session = Arc::new(Session {
            client: self.client(granted.token.expose_secret())?,
            renewable: granted.renewable,
            until: lifetime.map(|lifetime| begun + lifetime.life),
            policies: granted.policies,
        });
        self.session.store(Some(Arc::clone(&session)));
        self.renewals.send_replace(lifetime.map(|lifetime| begun + lifetime.renew));
        Ok(session)
    }

    fn forget(&self, dead: &Arc<Session>) {
        let held = self.session.load();
        if held.as_ref().is_some_and(|held| Arc::ptr_eq(held, dead)) {
            self.session.store(None);
        }
    }

    /// Renews the login, or logs in again where it cannot be renewed.
    async fn renew(&self) {
        let Some(session) = self.session.load_full() else { return };
        let begun = Instant::now();
        if session.renewable {
            match token::renew_self(&session.client, None).await {
                // Renewed to less than before: its longest life is near.
                Ok(auth)
                    if auth.lease_duration > 0
                        && Some(begun + Duration::from_secs(auth.lease_duration)) > session.until =>
                {
                    drop(self.keep(auth.into(), begun));
                    return;
                }
                Ok(_) => {}
                Err(error) => {
                    let reason = library(error).reason;
                    if !matches!(reason, Unavailable::Denied | Unavailable::Refused) {
                        let wait = self.jittered(self.patience.backoff * 4);
                        self.renewals.send_replace(Some(Instant::now() + wait));
                        return;
                    }
                }
            }
        }
        self.forget(&session);
        if self.session().await.is_err() {
            // Until its end the old one serves.
            if session.until.is_some_and(|end| Instant::now() < end) {
                self.session.store(Some(session));
            }
            self.renewals.send_replace(Some(Instant::now() + self.jittered(self.patience.backoff_max)));
        }
    }

    /// Between half of a time and all of it.
    fn jittered(&self, time: Duration) -> Duration {
        time.mul_f64(0.5 + f64::from((self.dice)()) / f64::from(u32::MAX) / 2.0)
    }
}

/// Renews the login before its end, for as long as anybody has the Vault.
async fn upkeep(vault: Weak<Vault>, mut renewals: watch::Receiver<Option<Instant>>) {
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

/// Whether Vault still knows the login.
async fn is_alive(session: &Session) -> bool {
    !matches!(
        token::lookup_self(&session.client).await.map_err(|error| library(error).reason),
        Err(Unavailable::Denied | Unavailable::Refused)
    )
}

/// The transport, with every default that is not for us replaced.
fn transport(tls: Tls, patience: Patience) -> Result<reqwest::Client, Unavailable> {
    // Another's choice of cryptography, made earlier in the process, stays.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let mut builder = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .http1_only()
        .tls_danger_accept_invalid_certs(false)
        .connect_timeout(patience.connect)
        .timeout(patience.request);
    if let Some(ca) = tls.ca {
        let roots = reqwest::Certificate::from_pem_bundle(&ca).map_err(|_| Unavailable::Tls)?;
        if roots.is_empty() {
            return Err(Unavailable::Tls);
        }
        builder = builder.tls_certs_only(roots);
    }
    if let Some(identity) = tls.identity {
        let pem = identity.expose_secret().as_bytes();
        builder = builder.identity(reqwest::Identity::from_pem(pem).map_err(|_| Unavailable::Tls)?);
    }
    builder.build().map_err(|_| Unavailable::Tls)
}

/// `https` to anywhere, or `http` to this machine; no credentials and nothing behind the host.
fn is_allowed(address: &reqwest::Url) -> bool {
    let own = address.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    let scheme = address.scheme() == "https" || (address.scheme() == "http" && own);
    let bare = address.username().is_empty() && address.password().is_none() && address.query().is_none();
    scheme && bare && address.fragment().is_none()
}

/// Whether a text can be the value of a header.
fn is_header(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}
