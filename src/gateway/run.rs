//! The running gateway: two listeners, and an end in good order.
//!
//! Told to stop, it takes no new connection, ends the streams that would never end, lets calls
//! finish until a deadline, and leaves no child and no unwritten row behind.

use std::convert::Infallible;
use std::fmt;
use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use axum_server::{Handle, Server};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioTimer;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::admin::{self, Metrics, Status};
use super::body::BoxError;
use super::capture::Capture;
use super::control::{self, About, Control, Key};
use super::edition::Edition;
use super::listener::{self, Bounded};
use super::open::System;
use super::reload::{Reloader, Reloads};
use super::router::Entrance;
use super::settings::{Admin, Bounds, Refusal, Settings};
use super::socket;
use super::traces::Traces;
use super::watched::Watched;
use crate::audit::Ledger;
use crate::pep::Guard;

/// Streams of one HTTP/2 connection.
const STREAMS: u32 = 128;
/// How often counts of refused requests are written, and what metrics have gathered is summed up.
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
    /// Who keeps traces, where that is asked.
    pub(super) traces: Option<Arc<Traces>>,
    /// What does not change.
    pub(super) about: About,
    /// Who may ask and tell it things.
    pub(super) key: Key,
    /// Variables and files.
    pub(super) system: System,
    /// What ends what would never end by itself.
    pub(super) draining: CancellationToken,
    /// What puts other policies in force, and what asks for that.
    pub(super) reloading: (Reloader, Reloads),
    /// Where its metrics are read.
    pub(super) metrics: Option<Metrics>,
}

/// A gateway whose listeners are bound.
pub struct Gateway {
    guard: Guard,
    log: Arc<Watched>,
    ledger: Arc<Ledger>,
    capture: Option<Arc<Capture>>,
    traces: Option<Arc<Traces>>,
    about: About,
    key: Key,
    system: System,
    metrics: Option<Metrics>,
    settings: Settings,
    reloading: (Reloader, Reloads),
    draining: CancellationToken,
    bound: Bound,
}

/// Both listeners, bound.
pub(super) struct Bound {
    tls: Option<RustlsConfig>,
    listener: TcpListener,
    admin: Listening,
}

/// The admin listener, bound.
enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Bound {
    /// Binds them.
    ///
    /// # Errors
    ///
    /// An address that is taken, or files for TLS that cannot be used.
    pub(super) fn new(settings: &Settings) -> Result<Self, Refusal> {
        let tls = settings.tls.as_ref().map(listener::tls).transpose()?;
        let listener = bind(settings.listen)?;
        let admin = match &settings.admin {
            Admin::Tcp(address) => Listening::Tcp(bind(*address)?),
            Admin::Unix(path) => Listening::Unix(socket::bind(path)?, path.clone()),
        };
        Ok(Self { tls, listener, admin })
    }
}

impl Gateway {
    /// Puts it together. Must be called within a tokio runtime.
    pub(super) fn new(parts: Parts, settings: Settings, bound: Bound) -> Self {
        let Parts { guard, log, ledger, capture, traces, about, key, system, draining, reloading, metrics } = parts;
        Self { guard, log, ledger, capture, traces, about, key, system, metrics, settings, reloading, draining, bound }
    }

    /// Where callers reach it.
    pub fn address(&self) -> Option<SocketAddr> {
        self.bound.listener.local_addr().ok()
    }

    /// Where health, metrics and control are, if that is an address.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        match &self.bound.admin {
            Listening::Tcp(listener) => listener.local_addr().ok(),
            Listening::Unix(..) => None,
        }
    }

    /// Where health, metrics and control are, for people.
    pub fn admin(&self) -> Option<String> {
        match &self.bound.admin {
            Listening::Tcp(listener) => listener.local_addr().ok().map(|address| address.to_string()),
            Listening::Unix(_, path) => Some(format!("unix:{}", path.display())),
        }
    }

    /// What asks for reloads.
    pub fn reloads(&self) -> Reloads {
        self.reloading.1.clone()
    }

    /// Whether callers reach it by TLS.
    pub fn is_tls(&self) -> bool {
        self.bound.tls.is_some()
    }

    /// The names of its doors.
    pub fn doors(&self) -> Vec<String> {
        self.guard.doors()
    }

    /// Where its audit log is, without a password.
    pub fn audit(&self) -> &str {
        &self.about.audit
    }

    /// Runs until `stop` resolves and everything under way has ended, or its time is over. Gives
    /// whether all of it ended by itself.
    ///
    /// # Errors
    ///
    /// When a listener breaks.
    pub async fn run(self, stop: impl Future<Output = ()> + Send) -> std::io::Result<bool> {
        let Self {
            guard,
            log,
            ledger,
            capture,
            traces,
            about,
            key,
            system,
            settings,
            reloading,
            draining,
            bound,
            metrics,
        } = self;
        let (reloader, reloads) = reloading;
        let Bound { tls, listener, admin } = bound;
        let bounds = settings.bounds;
        let settling = Arc::clone(&log);
        let app = Entrance::new(&guard, &bounds);
        let read = metrics.clone();
        let status = Arc::new(Status { guard: guard.clone(), log, draining: draining.clone(), metrics: read });
        let recording = capture.clone();
        let control = Control { status: Arc::clone(&status), reloads, capture: recording, system, key, about };
        let admin_app = admin::router(status).merge(control::router(control));
        let renewing = settings.tls.clone().zip(tls.clone());
        let handle = Handle::new();
        let serving = tokio::spawn(serve(listener, app, tls, handle.clone(), bounds));
        let admin_bounds = Bounds { connections: ADMINS, ..bounds };
        let administering = CancellationToken::new();
        let admin = tokio::spawn(administer(admin, admin_app, administering.clone(), admin_bounds));
        let reloading = tokio::spawn(reloader.run());
        let flushing = tokio::spawn(flush(guard.clone(), metrics.clone()));
        let renewing = renewing.map(|(files, shown)| tokio::spawn(listener::renew(files, shown)));
        // Keys and credentials that can be had are had before the first caller comes; whoever comes before
        // that waits.
        let (verifier, edition) = (guard.verifier(), guard.kept::<Edition>());
        let preparing = tokio::spawn(async move {
            let credentials = async {
                if let Some(edition) = edition {
                    edition.issued.prepare().await;
                }
            };
            tokio::join!(async { report(&verifier.prepare().await) }, credentials);
        });

        stop.await;
        draining.cancel();
        tracing::info!(connections = handle.connection_count(), "draining");
        handle.graceful_shutdown(Some(bounds.drain));
        let deadline = Instant::now() + bounds.drain;
        let served = ended(serving).await;
        // At the deadline the rest is cut off, whether its connections are gone by now or not.
        let by_itself = Instant::now() < deadline;
        preparing.abort();
        flushing.abort();
        if let Some(renewing) = renewing {
            renewing.abort();
        }
        if let Some(edition) = guard.kept::<Edition>() {
            for behind in edition.all() {
                behind.upstream.shutdown().await;
            }
        }
        let _ = reloading.await;
        administering.cancel();
        let admin = ended(admin).await;
        // What was cut off just now has an end as well.
        let _ = timeout(CLOSE, settling.settled()).await;
        guard.flush();
        if timeout(CLOSE, ledger.close()).await.is_err() {
            tracing::error!("the audit log is away: what waited to be written is lost, and no call but its end");
        }
        // Nothing uses them any more; the last seal of the log may be signed in Vault.
        if let Some(edition) = guard.kept::<Edition>() {
            edition.issued.close().await;
        }
        if let Some(traces) = traces {
            traces.close().await;
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

async fn flush(guard: Guard, metrics: Option<Metrics>) {
    let mut ticks = tokio::time::interval(FLUSH);
    loop {
        ticks.tick().await;
        guard.flush();
        if let Some(metrics) = &metrics {
            metrics.sum_up();
        }
    }
}

async fn ended(task: JoinHandle<std::io::Result<()>>) -> std::io::Result<()> {
    task.await.map_err(std::io::Error::other)?
}

/// Serves the admin listener until it is told to stop.
async fn administer(listening: Listening, app: Router, stop: CancellationToken, bounds: Bounds) -> std::io::Result<()> {
    match listening {
        Listening::Tcp(listener) => {
            let serving = serve(listener, control::local(app), None, Handle::new(), bounds);
            stop.run_until_cancelled(serving).await.unwrap_or(Ok(()))
        }
        Listening::Unix(listener, path) => {
            let server = limited(axum_server::from_unix(listener)?, &bounds);
            let ended = stop.run_until_cancelled(server.serve(app.into_make_service())).await;
            drop(std::fs::remove_file(path));
            ended.unwrap_or(Ok(()))
        }
    }
}

async fn serve<S, B>(
    listener: TcpListener,
    app: S,
    tls: Option<RustlsConfig>,
    handle: Handle<SocketAddr>,
    bounds: Bounds,
) -> std::io::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let bounded = Bounded::new(&bounds);
    let server = axum_server::from_tcp(listener)?.handle(handle).first_request_timeout(bounds.head_time);
    let service = tower::service_fn(move |_: SocketAddr| ready(Ok::<_, Infallible>(app.clone())));
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
