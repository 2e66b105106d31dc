//! The connection to Vault: what is sent, how often, and for how long.
//!
//! The client library is given a transport of our own, because its defaults are not for us: it would
//! follow a redirect with the token in hand, take the proxy and the switch against certificate checks
//! from the environment, and wait for ever. What it has no function for is sent without it.

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, sleep, timeout_at};
use vaultrs::api::EndpointMiddleware;
use vaultrs::client::{VaultClient, VaultClientSettings};

use super::call::{Answer, Call, Failure, headers, send};
use super::nodes::Nodes;
use super::session::{Gate, Session, upkeep};
use super::transport::{Tls, is_allowed, is_header};
use crate::credentials::source::{Dice, Secrets};
use crate::credentials::unavailable::Unavailable;
use crate::policy::set::{Vault as Declared, VaultLogin};

/// How often a request is sent where it was turned away.
const TRIES: u32 = 3;

/// How long Vault may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For a node to say how it is.
    pub look: Duration,
    /// For one request.
    pub request: Duration,
    /// For one request that makes what must be taken back: nobody waits for it so long, and what it makes
    /// is known in the end.
    pub making: Duration,
    /// For everything that one fetch needs, logging in and trying again included.
    pub whole: Duration,
    /// How long nobody logs in again after a first failure; doubled with each further one.
    pub backoff: Duration,
    /// The longest that nobody logs in again, and that Vault is believed when it asks not to be asked.
    pub backoff_max: Duration,
}

impl Default for Patience {
    /// 2, 1, 5, 30 and 9 seconds; from half a second to 30 seconds.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            look: Duration::from_secs(1),
            request: Duration::from_secs(5),
            making: Duration::from_secs(30),
            whole: Duration::from_secs(9),
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
        }
    }
}

/// A Vault or `OpenBao`, with the gateway's login to it.
pub struct Vault {
    pub(super) me: Weak<Self>,
    pub(super) http: reqwest::Client,
    making: reqwest::Client,
    pub(super) nodes: Nodes,
    namespace: Option<String>,
    pub(super) login: VaultLogin,
    pub(super) secrets: Arc<dyn Secrets>,
    pub(super) dice: Dice,
    pub(super) patience: Patience,
    pub(super) session: ArcSwapOption<Session>,
    pub(super) gate: Mutex<Gate>,
    pub(super) renewals: watch::Sender<Option<Instant>>,
    /// Whether the gateway sees to it that it can log in again.
    pub(super) provided: AtomicBool,
    /// Until when Vault asked not to be asked, and how it said so.
    quiet: StdMutex<Option<(Unavailable, Instant)>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<&str> = self.nodes.all().iter().map(reqwest::Url::as_str).collect();
        f.debug_struct("Vault").field("nodes", &nodes).finish_non_exhaustive()
    }
}

impl Vault {
    /// A Vault as the policy declares it. Connects to nothing yet. The login is renewed in a task of the
    /// runtime that this is called in, for as long as the value lives.
    ///
    /// # Errors
    ///
    /// An address is neither `https` nor this machine, the namespace cannot be in a header, the TLS
    /// files cannot be used, or there is no runtime.
    pub fn new(
        declared: &Declared,
        tls: &Tls,
        secrets: Arc<dyn Secrets>,
        dice: Dice,
        patience: Patience,
    ) -> Result<Arc<Self>, Unavailable> {
        let nodes = std::iter::once(&declared.address).chain(&declared.standbys);
        let nodes = nodes.map(|node| reqwest::Url::parse(node).ok().filter(is_allowed).ok_or(Unavailable::Address));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        if declared.namespace.as_deref().is_some_and(|namespace| !is_header(namespace)) {
            return Err(Unavailable::Address);
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| Unavailable::Stopped)?;
        let renewals = watch::Sender::new(None);
        let clear = nodes.iter().all(|node| node.scheme() == "http");
        let http = tls.client(clear, patience.connect, patience.request)?;
        let making = tls.client(clear, patience.connect, patience.making)?;
        let vault = Arc::new_cyclic(|me| Self {
            me: Weak::clone(me),
            http,
            making,
            nodes: Nodes::new(nodes),
            namespace: declared.namespace.clone(),
            login: declared.login.clone(),
            secrets,
            dice,
            patience,
            session: ArcSwapOption::empty(),
            gate: Mutex::default(),
            renewals,
            provided: AtomicBool::new(false),
            quiet: StdMutex::default(),
        });
        runtime.spawn(upkeep(Arc::downgrade(&vault), vault.renewals.subscribe()));
        Ok(vault)
    }

    /// When everything that begins now is to be over.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.patience.whole
    }

    /// Sends a request with the login, as often as it may help until the deadline. One that makes
    /// something is heard to its end even so.
    pub(super) async fn send(&self, call: &Call, deadline: Instant) -> Result<Answer, Failure> {
        if let Some((reason, _)) = self.quiet().filter(|(_, until)| Instant::now() < *until) {
            return Err(reason.into());
        }
        let (mut tries, mut renewed) = (0_u32, false);
        loop {
            let session = timeout_at(deadline, self.session()).await.unwrap_or(Err(Unavailable::TimedOut))?;
            let at = self.nodes.turned();
            let failure = match self.send_as(&session, at, call, deadline).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if failure.reason == Unavailable::Denied && !renewed && !self.is_alive(&session).await {
                renewed = true;
                self.forget(&session);
                continue;
            }
            tries += 1;
            // Another node may be in charge. What may have been done here is not done there too.
            let turned = timeout_at(deadline, self.turn(at, failure.reason)).await.unwrap_or(false);
            let elsewhere = turned && (failure.may_try_again(call) || !call.makes());
            if elsewhere && (tries as usize) < self.nodes.len() && Instant::now() < deadline {
                continue;
            }
            let pause = failure.retry_after.map(|asked| asked.min(self.patience.backoff_max));
            let again = Instant::now() + pause.unwrap_or_default();
            if let (Some(_), true) = (pause, again > deadline) {
                *self.quiet() = Some((failure.reason, again));
            }
            let pause = pause.unwrap_or_else(|| self.jittered(Duration::from_millis(100) * 2_u32.pow(tries)));
            if tries >= TRIES || !failure.may_try_again(call) || Instant::now() + pause >= deadline {
                return Err(failure);
            }
            sleep(pause).await;
        }
    }

    fn quiet(&self) -> MutexGuard<'_, Option<(Unavailable, Instant)>> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send_as(&self, session: &Session, at: usize, call: &Call, deadline: Instant) -> Result<Answer, Failure> {
        let node = self.nodes.get(at)?;
        let headers = headers(session.token(), self.namespace.as_deref())?;
        let answer = if call.makes() {
            send(&self.making, node, headers, call).await
        } else {
            let sent = send(&self.http, node, headers, call);
            timeout_at(deadline, sent).await.unwrap_or_else(|_| Err(Unavailable::TimedOut.into()))
        };
        answer.map(|answer| answer.asked_with(session.until))
    }

    /// A client of the library that shows this token, or none.
    pub(super) fn client(&self, token: &str) -> Result<VaultClient, Unavailable> {
        // The library would panic on what cannot be in a header.
        if !is_header(token) {
            return Err(Unavailable::Unusable);
        }
        let node = self.nodes.get(self.nodes.turned())?;
        let settings = VaultClientSettings {
            address: node.clone(),
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
        let http = rustify::clients::reqwest::Client::new(node.as_str(), self.http.clone());
        Ok(VaultClient { http, middle, settings })
    }

    /// The namespace of everything that is asked.
    pub(super) fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// Between half of a time and all of it.
    pub(super) fn jittered(&self, time: Duration) -> Duration {
        time.mul_f64(0.5 + f64::from((self.dice)()) / f64::from(u32::MAX) / 2.0)
    }
}
