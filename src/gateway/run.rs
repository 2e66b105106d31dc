//! The running gateway: two listeners, and an end in good order.
//!
//! Told to stop, it takes no new connection, ends the streams that would never end, lets calls
//! finish until a deadline, and leaves no child and no unwritten row behind.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use hyper_util::rt::TokioTimer;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::admin::{self, Status};
use super::capture::Capture;
use super::door::{Doorway, Upstream};
use super::listener::{self, Bounded};
use super::open::Issued;
use super::router;
use super::settings::{Bounds, Refusal, Settings};
use super::watched::Watched;
use crate::audit::Ledger;
use crate::pep::Guard;

/// Streams of one HTTP/2 connection.
const STREAMS: u32 = 128;
/// How often counts of refused requests are written.
const FLUSH: Duration = Duration::from_secs(10);
/// Connections of the admin listener.
const ADMINS: usize = 32;

/// How long the audit log may take to write what waits and to close.
const CLOSE: Duration = Duration::from_secs(10);

/// What a gateway is made of.
pub(super) struct Parts {
    /// Who decides and records.
    pub(super) guard: Guard,
    /// The audit log, watched.
    pub(super) log: Arc<Watched>,
    /// The audit log itself.
    pub(super) ledger: Arc<Ledger>,
    /// What records for rehearsals, where that is asked.
    pub(super) capture: Option<Arc<Capture>>,
    /// Where it is, for people.
    pub(super) audit: String,
    /// What is behind each door.
    pub(super) upstreams: Vec<(String, Upstream)>,
    /// What is shown to it.
    pub(super) issued: Issued,
}

/// A gateway whose listeners are bound.
pub struct Gateway {
    guard: Guard,
    log: Arc<Watched>,
    ledger: Arc<Ledger>,
    capture: Option<Arc<Capture>>,
    audit: String,
    settings: Settings,
    doorways: Vec<Doorway>,
    issued: Issued,
    draining: CancellationToken,
    bound: Bound,
}

/// Both listeners, bound.
pub(super) struct Bound {
    tls: Option<RustlsConfig>,
    listener: TcpListener,
    admin: TcpListener,
}

impl Bound {
    /// Binds them.
    ///
    /// # Errors
    ///
    /// An address that is taken, or files for TLS that cannot be used.
    pub(super) fn new(settings: &Settings) -> Result<Self, Refusal> {
        let tls = settings.tls.as_ref().map(listener::tls).transpose()?;
        let (listener, admin) = (bind(settings.listen)?, bind(settings.admin)?);
        Ok(Self { tls, listener, admin })
    }
}

impl Gateway {
    /// Puts it together. Must be called within a tokio runtime.
    pub(super) fn new(parts: Parts, settings: Settings, bound: Bound) -> Self {
        let Parts { guard, log, ledger, capture, audit, upstreams, issued } = parts;
        let draining = CancellationToken::new();
        let doorway =
            |(name, upstream): (String, Upstream)| Doorway { door: name.into(), upstream, draining: draining.clone() };
        let doorways = upstreams.into_iter().map(doorway).collect();
        Self { guard, log, ledger, capture, audit, settings, doorways, issued, draining, bound }
    }

    /// Where callers reach it.
    pub fn address(&self) -> Option<SocketAddr> {
        self.bound.listener.local_addr().ok()
    }

    /// Where health and metrics are.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.bound.admin.local_addr().ok()
    }

    /// Whether callers reach it by TLS.
    pub fn is_tls(&self) -> bool {
        self.bound.tls.is_some()
    }

    /// The names of its doors.
    pub fn doors(&self) -> impl Iterator<Item = &str> {
        self.doorways.iter().map(|doorway| &*doorway.door)
    }

    /// Where its audit log is, without a password.
    pub fn audit(&self) -> &str {
        &self.audit
    }

    /// The guard that it enforces with.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Runs until `stop` resolves and everything under way has ended, or its time is over. Gives
    /// whether all of it ended by itself.
    ///
    /// # Errors
    ///
    /// When a listener breaks.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> std::io::Result<bool> {
        let Self { guard, log, ledger, capture, settings, doorways, issued, draining, bound, .. } = self;
        let Bound { tls, listener, admin } = bound;
        let bounds = settings.bounds;
        let app = router::router(&guard, doorways.clone(), settings.names, &bounds);
        let status = Status {
            guard: guard.clone(),
            log,
            doorways: doorways.clone(),
            credentials: issued.credentials().clone(),
            draining: draining.clone(),
            metrics: recorder(),
        };
        let handle = Handle::new();
        let serving = tokio::spawn(serve(listener, app, tls, handle.clone(), bounds));
        let admin_bounds = Bounds { connections: ADMINS, ..bounds };
        let admin_handle = Handle::new();
        let admin = tokio::spawn(serve(admin, admin::router(status), None, admin_handle.clone(), admin_bounds));
        let flushing = tokio::spawn(flush(guard.clone()));
        // Keys and credentials that can be had are had before the first caller comes; whoever comes before
        // that waits.
        let (verifier, ahead) = (guard.verifier(), issued.clone());
        let preparing = tokio::spawn(async move {
            tokio::join!(async { report(&verifier.prepare().await) }, ahead.prepare());
        });

        stop.await;
        draining.cancel();
        tracing::info!(connections = handle.connection_count(), "draining");
        handle.graceful_shutdown(Some(bounds.drain));
        let served = ended(serving).await;
        let by_itself = handle.connection_count() == 0;
        preparing.abort();
        flushing.abort();
        for doorway in &doorways {
            doorway.upstream.shutdown().await;
        }
        // Nothing uses them any more.
        issued.close().await;
        admin_handle.shutdown();
        let admin = ended(admin).await;
        guard.flush();
        if timeout(CLOSE, ledger.close()).await.is_err() {
            tracing::error!("the audit log is away: what waited to be written is lost, and no call but its end");
        }
        if let Some(capture) = capture {
            // A disk that does not answer holds up no end.
            let closed = timeout(CLOSE, tokio::task::spawn_blocking(move || capture.close())).await;
            if closed.is_err() {
                tracing::error!("the recording of the traffic could not be closed");
            }
        }
        served.and(admin).map(|()| by_itself)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("settings", &self.settings).finish_non_exhaustive()
    }
}

fn bind(address: SocketAddr) -> Result<TcpListener, Refusal> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| {
        let message = format!("`{address}` cannot be listened on: {}", error.kind());
        Refusal::new("address", message, "end what listens there, or choose another address")
    })
}

/// The metrics of this process. `None` when it records them by other means.
fn recorder() -> Option<PrometheusHandle> {
    let seconds = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
    PrometheusBuilder::new().set_buckets(&seconds).ok()?.install_recorder().ok()
}

fn report(issuers: &[crate::identity::RingStatus]) {
    for issuer in issuers {
        match &issuer.failed {
            None => tracing::info!(issuer = issuer.issuer, keys = issuer.keys, "keys are here"),
            Some(failed) => {
                tracing::warn!(
                    issuer = issuer.issuer,
                    code = failed.code(),
                    "keys cannot be had: nobody of it gets in"
                );
            }
        }
    }
}

async fn flush(guard: Guard) {
    let mut ticks = tokio::time::interval(FLUSH);
    loop {
        ticks.tick().await;
        guard.flush();
    }
}

async fn ended(task: JoinHandle<std::io::Result<()>>) -> std::io::Result<()> {
    task.await.map_err(std::io::Error::other)?
}

async fn serve(
    listener: TcpListener,
    app: Router,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
    bounds: Bounds,
) -> std::io::Result<()> {
    let bounded = Bounded::new(bounds.connections);
    let server = axum_server::from_tcp(listener)?.handle(handle).first_request_timeout(bounds.head_time);
    let service = app.into_make_service();
    match tls {
        None => limited(server.acceptor(bounded), &bounds).serve(service).await,
        Some(tls) => limited(server.acceptor(RustlsAcceptor::new(tls).acceptor(bounded)), &bounds).serve(service).await,
    }
}

fn limited<A: axum_server::Address, S>(mut server: Server<A, S>, bounds: &Bounds) -> Server<A, S> {
    let builder = server.http_builder();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_time)
        .max_headers(bounds.lines)
        .max_buf_size(bounds.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(bounds.head).unwrap_or(u32::MAX))
        .keep_alive_interval(Some(Duration::from_secs(30)));
    server
}
