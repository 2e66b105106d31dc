//! What stands between the guard and a server: who asks is handed on, what goes wrong is said in the
//! guard's words, and streams end when the gateway or their server does.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower_service::Service;

use super::body::{Body, BoxError};
use super::edition::Edition;
use super::upstream::{Caller, Failure, FailureCode, Http, Standing, Stdio};
use crate::credentials::Caller as Asking;
use crate::mcp::Message;
use crate::model::Timestamp;
use crate::pep::{self, Permit, UpstreamError};

/// A server behind a door.
#[derive(Clone, Debug)]
pub enum Upstream {
    /// Over HTTP.
    Http(Http),
    /// A program.
    Stdio(Stdio),
}

impl Upstream {
    /// How it stands, for metrics: 0 is well, 1 is being tried, 2 is left alone.
    pub(super) fn standing(&self) -> u8 {
        match self {
            Self::Http(http) => match http.standing() {
                Standing::Closed => 0,
                Standing::HalfOpen => 1,
                Standing::Open => 2,
            },
            Self::Stdio(stdio) => {
                if stdio.is_resting() {
                    2
                } else {
                    0
                }
            }
        }
    }

    /// Ends what it has started.
    pub(super) async fn shutdown(&self) {
        if let Self::Stdio(stdio) = self {
            stdio.shutdown().await;
        }
    }
}

/// The service below the guard of every door. Which server it asks is said by the permit: the one that stood
/// beside the policy which allowed the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Doorway;

/// A failure of the server, in the words of the guard for the caller and in its own for the operator.
#[derive(Debug)]
pub(super) struct Failed {
    said: UpstreamError,
    failure: Failure,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failure.fmt(f)
    }
}

impl Error for Failed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.said)
    }
}

const fn said(code: FailureCode) -> UpstreamError {
    match code {
        FailureCode::Unreachable => UpstreamError::Failed,
        FailureCode::TimedOut => UpstreamError::Timeout,
        FailureCode::Resting | FailureCode::Busy => UpstreamError::Unavailable,
        FailureCode::NoCredential => UpstreamError::NoCredential,
        FailureCode::Garbled | FailureCode::Redirects | FailureCode::Unauthorized => UpstreamError::Invalid,
    }
}

/// Who a request is for.
fn caller(permit: &Permit) -> Caller {
    let principal = permit.principal();
    let (voucher, subject) = (principal.voucher(), principal.subject());
    // Lengths first, so that no text can pass for two.
    let key = format!("{}:{}:{voucher}{subject}{:?}", voucher.len(), subject.len(), principal.agent()).into();
    let asking = Asking {
        issuer: principal.issuer().to_owned(),
        subject: subject.to_owned(),
        agent: principal.agent().map(str::to_owned),
        scopes: permit.scopes().to_vec(),
        // Nothing is made for a token whose end nobody knows.
        expires_at: permit.expires_at().unwrap_or(Timestamp(0)),
    };
    Caller { key, asking: Arc::new(asking) }
}

/// Whether an answer lasts until someone ends it: a session's own stream, or a subscription.
fn lasts(method: &Method, permit: &Permit) -> bool {
    *method == Method::GET
        || matches!(permit.message(), Some(Message::Request(request)) if request.method == "subscriptions/listen")
}

impl Service<Request<pep::Body>> for Doorway {
    type Response = Response<Body>;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Failed>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<pep::Body>) -> Self::Future {
        Box::pin(async move {
            let unavailable = |what| {
                let failure = Failure::new(FailureCode::Busy, what);
                Failed { said: UpstreamError::Unavailable, failure }
            };
            // Only the guard makes a permit: without one nothing was judged.
            let permit = request.extensions().get::<Permit>().cloned();
            let permit = permit.ok_or_else(|| unavailable("a request came past the guard"))?;
            let edition = permit.kept::<Edition>();
            let behind = edition.as_ref().and_then(|edition| edition.behind(permit.door()));
            let behind = Arc::clone(behind.ok_or_else(|| unavailable("there is no server behind the door"))?);
            let using = behind.uses.token();
            let lasts = lasts(request.method(), &permit);
            request.extensions_mut().insert(caller(&permit));
            let mut upstream = behind.upstream.clone();
            let asked = async {
                match &mut upstream {
                    Upstream::Http(http) => http.call(request).await,
                    Upstream::Stdio(stdio) => stdio.call(request).await,
                }
            };
            let answer = tokio::select! {
                answer = asked => answer,
                () = behind.over.cancelled() => Err(Failure::new(FailureCode::Busy, "the policy has no such server now")),
            };
            match answer {
                Ok(answer) => {
                    let until = if lasts { &behind.ending } else { &behind.over };
                    let over = Box::pin(until.clone().cancelled_owned());
                    Ok(answer.map(|inner| Until { inner, over, _using: using }.boxed_unsync()))
                }
                Err(failure) => {
                    let (code, detail) = (failure.code.code(), &*failure.detail);
                    let door = permit.door();
                    tracing::warn!(door, request = permit.request(), code, detail, "a server failed");
                    metrics::counter!("doorward_upstream_failures_total", "door" => door.to_owned(), "code" => code)
                        .increment(1);
                    Err(Failed { said: said(failure.code), failure })
                }
            }
        })
    }
}

/// A body that ends in good order when the gateway goes down, or when its server is not the policy's any more.
struct Until {
    inner: Body,
    over: Pin<Box<WaitForCancellationFutureOwned>>,
    _using: TaskTrackerToken,
}

impl HttpBody for Until {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.over.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
