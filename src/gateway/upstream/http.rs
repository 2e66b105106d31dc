//! An MCP server over Streamable HTTP.
//!
//! Bytes stream both ways and nothing is collected. A caller who leaves ends the request to the
//! server at once. No redirect is followed, no proxy is taken from the environment, and the URL is
//! the policy's alone: nothing of the caller's path or query reaches it.

use std::error::Error as _;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::ClientConfig;
use rustls_platform_verifier::ConfigVerifierExt;
use tokio::time::{Instant, timeout};
use tower_service::Service;

use super::breaker::Standing;
use super::circuits::{Circuits, Fault};
use super::failure::{Failure, FailureCode};
use super::headers;
use super::patience::{Patience, Patient};
use super::quick::Quick;
use super::{Caller, credential};
use crate::credentials::Door;
use crate::gateway::body::{Body, BoxError};

/// The most bytes that the head of an answer may have.
const HEAD: usize = 64 * 1024;
/// The most header lines that an answer may have.
const LINES: usize = 100;
/// How long a connection that no one uses is kept. Servers commonly keep theirs for longer.
const KEPT: Duration = Duration::from_secs(4);
/// How many connections that no one uses are kept.
const MOST_KEPT: usize = 256;

/// An MCP server over Streamable HTTP. Cheap to clone.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
}

struct Shared {
    url: Uri,
    client: Client<HttpsConnector<Quick>, Body>,
    credential: Option<Door>,
    patience: Patience,
    circuits: Mutex<Circuits>,
}

/// A URL at which no server can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadUrl {
    /// What is wrong.
    pub message: String,
}

impl Http {
    /// The server at a URL, and its credential. Without one nothing is shown to it.
    ///
    /// # Errors
    ///
    /// The URL has no host or is neither `http` nor `https`, or the certificates of this machine cannot
    /// be read.
    pub fn new(url: &str, credential: Option<Door>, patience: Patience) -> Result<Self, BadUrl> {
        super::ensure_crypto();
        let tls = ClientConfig::with_platform_verifier()
            .map_err(|error| BadUrl { message: format!("the certificates of this machine cannot be read: {error}") })?;
        Self::with_tls(url, credential, patience, tls)
    }

    /// The same, with TLS of one's own.
    ///
    /// # Errors
    ///
    /// The URL has no host or is neither `http` nor `https`.
    pub fn with_tls(
        url: &str,
        credential: Option<Door>,
        patience: Patience,
        tls: ClientConfig,
    ) -> Result<Self, BadUrl> {
        let bad = |message: String| BadUrl { message };
        let url: Uri = url.parse().map_err(|_| bad(format!("`{url}` is not a URL")))?;
        if url.host().is_none() || !matches!(url.scheme_str(), Some("http" | "https")) {
            return Err(bad(format!("`{url}` does not begin with `https://` or `http://` and a host")));
        }
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(patience.connect));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Quick(connector));
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(HEAD)
            .http1_max_headers(LINES)
            .pool_idle_timeout(KEPT)
            .pool_max_idle_per_host(MOST_KEPT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { shared: Arc::new(Shared { url, client, credential, patience, circuits: Mutex::default() }) })
    }

    /// How the circuit stands.
    pub fn standing(&self) -> Standing {
        self.shared.circuits().standing(Instant::now())
    }
}

impl Shared {
    fn circuits(&self) -> MutexGuard<'_, Circuits> {
        self.circuits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let (parts, body) = request.into_parts();
        let mut request = Request::new(body);
        *request.method_mut() = parts.method;
        *request.uri_mut() = self.url.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers::to_server(&parts.headers);
        let caller = parts.extensions.get::<Caller>();
        let shown = credential(self.credential.as_ref(), caller).await?;
        if let Some(shown) = &shown {
            shown.write_headers(request.headers_mut());
        }
        let whose = caller.map_or_else(|| Arc::from(""), |caller| Arc::clone(&caller.key));
        self.circuits().admit(&whose, Instant::now()).map_err(|wait| {
            let detail = format!("it failed often and is asked again in {} seconds", wait.as_secs().max(1));
            Failure::new(FailureCode::Resting, detail)
        })?;
        let mut ticket = Ticket { shared: Arc::clone(&self), caller: whose, ended: None };
        let answer = timeout(self.patience.first_byte, self.client.request(request)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                ticket.failed(if error.is_connect() { Fault::Connection } else { Fault::Answer });
                return Err(classified(&error));
            }
            Err(_) => {
                let detail = format!("no answer began within {:?}", self.patience.first_byte);
                ticket.failed(Fault::Slow);
                return Err(Failure::new(FailureCode::TimedOut, detail));
            }
        };
        if is_overloaded(answer.status()) {
            ticket.failed(Fault::Answer);
        } else {
            ticket.began();
        }
        if let (StatusCode::UNAUTHORIZED, Some(door), Some(shown)) = (answer.status(), &self.credential, &shown) {
            // The next call brings another.
            door.refused(caller.map(|caller| &caller.asking), shown);
        }
        let (mut parts, body) = answer.into_parts();
        passable(&parts)?;
        parts.headers = headers::to_caller(&parts.headers);
        parts.extensions.clear();
        let body = Patient::new(body, self.patience.idle);
        let stream = is_stream(&parts.headers);
        if !stream && body.is_end_stream() {
            ticket.succeeded();
        }
        Ok(Response::from_parts(parts, Ticketed { body, stream, ticket }.boxed_unsync()))
    }
}

/// By which a server, or what stands before it, says that it cannot answer anyone.
fn is_overloaded(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

fn is_stream(headers: &HeaderMap) -> bool {
    let content = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    content.get(..17).is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
}

/// A request that was let pass, until its end is known.
struct Ticket {
    shared: Arc<Shared>,
    caller: Arc<str>,
    /// Whether it ended well.
    ended: Option<bool>,
}

impl Ticket {
    fn failed(&mut self, fault: Fault) {
        if self.ended != Some(false) {
            self.ended = Some(false);
            self.shared.circuits().failed(&self.caller, fault, Instant::now());
        }
    }

    /// An answer has begun. How it ends may not be known for long.
    fn began(&self) {
        if self.ended.is_none() {
            self.shared.circuits().began(&self.caller);
        }
    }

    fn succeeded(&mut self) {
        if self.ended.is_none() {
            self.ended = Some(true);
            self.shared.circuits().succeeded(&self.caller);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.shared.circuits().abandoned(&self.caller);
        }
    }
}

/// An answer whose end says how its server is.
struct Ticketed<B> {
    body: B,
    stream: bool,
    ticket: Ticket,
}

impl<B: HttpBody<Data = Bytes, Error = BoxError> + Unpin> HttpBody for Ticketed<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            // A stream on which nothing happens for long is no fault of its server.
            Some(Err(error)) => {
                let silent = error.downcast_ref::<Failure>().is_some_and(|f| f.code == FailureCode::TimedOut);
                if !(silent && self.stream) {
                    self.ticket.failed(Fault::Answer);
                }
            }
            Some(Ok(_)) if !self.body.is_end_stream() => {}
            Some(Ok(_)) | None => self.ticket.succeeded(),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Refuses what a caller must not see: another place to go to, a challenge that is meant for the
/// gateway, and bytes that the guard could not read.
fn passable(parts: &http::response::Parts) -> Result<(), Failure> {
    let status = parts.status;
    if status.is_redirection() {
        return Err(Failure::new(FailureCode::Redirects, format!("it answered {status}")));
    }
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
        return Err(Failure::new(FailureCode::Unauthorized, format!("it answered {status}")));
    }
    if status.is_informational() {
        return Err(Failure::new(FailureCode::Garbled, format!("it answered {status}")));
    }
    // hyper's own limit is one of its buffer, which may have grown before it looks.
    let bytes: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > HEAD {
        return Err(Failure::new(FailureCode::Garbled, format!("the head of its answer has {bytes} bytes")));
    }
    let encoded = parts.headers.get_all(CONTENT_ENCODING).iter().any(|value| value != "identity");
    if encoded {
        return Err(Failure::new(FailureCode::Garbled, "its answer is encoded, and no encoding was offered"));
    }
    Ok(())
}

fn classified(error: &hyper_util::client::legacy::Error) -> Failure {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(inner) = cause {
        let timed_out =
            inner.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::TimedOut);
        if timed_out {
            return Failure::caused(FailureCode::TimedOut, error);
        }
        cause = inner.source();
    }
    let code = if error.is_connect() { FailureCode::Unreachable } else { FailureCode::Garbled };
    Failure::caused(code, error)
}

impl<B> Service<Request<B>> for Http
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = Arc::clone(&self.shared);
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        Box::pin(async move { shared.send(request).await })
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("url", &self.shared.url)
            .field("credential", &self.shared.credential)
            .finish_non_exhaustive()
    }
}
