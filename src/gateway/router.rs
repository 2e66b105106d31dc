//! Which request goes to which door, after what can be refused without knowing who asks.
//!
//! A path is taken as it is written: no escape in it leads to a door.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body as _;
use metrics::{Counter, counter};
use tokio::sync::Semaphore;
use tower_layer::Layer;
use tower_service::Service;

use super::body::BoxError;
use super::door::Doorway;
use super::edition::Edition;
use super::pace::Paced;
use super::settings::{Bounds, Names};
use crate::pep::{Body, Guard, GuardLayer};

/// What every request meets first: the way to a door for each server of the policy in force. Cheap to clone.
#[derive(Clone)]
pub(super) struct Entrance(Arc<Inner>);

struct Inner {
    guard: Guard,
    places: Arc<Semaphore>,
    path: usize,
    stall: Duration,
    answers: Answers,
}

/// How many answers of each status were given. What counts is looked up once a status, not once an answer.
struct Answers(Box<[OnceLock<Counter>]>);

impl Answers {
    /// The statuses that there can be.
    const ALL: std::ops::Range<u16> = 100..1_000;

    fn new() -> Self {
        Self(Self::ALL.map(|_| OnceLock::new()).collect())
    }

    fn count(&self, status: StatusCode) {
        let place = usize::from(status.as_u16().saturating_sub(Self::ALL.start));
        if let Some(counter) = self.0.get(place) {
            let named = || counter!("doorward_http_responses_total", "status" => status.as_str().to_owned());
            counter.get_or_init(named).increment(1);
        }
    }
}

impl Entrance {
    pub(super) fn new(guard: &Guard, bounds: &Bounds) -> Self {
        let places = Arc::new(Semaphore::new(bounds.requests.min(Semaphore::MAX_PERMITS)));
        let (path, stall) = (bounds.path, bounds.stall_time);
        Self(Arc::new(Inner { guard: guard.clone(), places, path, stall, answers: Answers::new() }))
    }
}

impl<B> Service<Request<B>> for Entrance
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Paced>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let entrance = Arc::clone(&self.0);
        let is_head = request.method() == Method::HEAD;
        Box::pin(async move {
            let answered = AssertUnwindSafe(entrance.answer(request)).catch_unwind().await;
            let answer = answered.unwrap_or_else(|_| entrance.alone(panicked()));
            entrance.answers.count(answer.status());
            Ok(if is_head { entrance.bare(answer) } else { answer })
        })
    }
}

impl Inner {
    /// An answer that takes up no place.
    fn alone(&self, answer: Response<Body>) -> Response<Paced> {
        answer.map(|body| Paced::new(body, None, self.stall))
    }

    /// An answer without its body, which nobody may send to whoever asks for the head alone (RFC 9110 section 9.3.2): in
    /// HTTP/2 the connection would.
    fn bare(&self, answer: Response<Paced>) -> Response<Paced> {
        let (mut head, body) = answer.into_parts();
        if let Some(length) = body.size_hint().exact() {
            head.headers.entry(CONTENT_LENGTH).or_insert_with(|| length.into());
        }
        self.alone(Response::from_parts(head, Body::default()))
    }

    async fn answer<B>(&self, request: Request<B>) -> Response<Paced>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if request.uri().path_and_query().is_some_and(|path| path.as_str().len() > self.path) {
            return self.alone(refused(StatusCode::URI_TOO_LONG, "the path is too long"));
        }
        let edition = self.guard.kept::<Edition>();
        let nameless = Names::default();
        if let Err(answer) = names(edition.as_ref().map_or(&nameless, |edition| &edition.names), &request) {
            return self.alone(*answer);
        }
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let mut answer = refused(StatusCode::SERVICE_UNAVAILABLE, "too many requests are under way");
            answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
            return self.alone(answer);
        };
        let answer = match door(request.uri().path()).and_then(|name| self.guard.door(name)) {
            Some(door) => {
                let layer = GuardLayer::new(self.guard.clone(), Arc::clone(door.name()));
                match layer.layer(Doorway).call(request).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                }
            }
            None => self.elsewhere(request.method(), request.uri().path()),
        };
        answer.map(|body| Paced::new(body, Some(place), self.stall))
    }

    /// The metadata of each door (RFC 9728), and nothing else.
    fn elsewhere(&self, method: &Method, path: &str) -> Response<Body> {
        let all: Vec<_> = self.guard.doors().iter().filter_map(|name| self.guard.door(name)).collect();
        let mut found = all.iter().find(|door| !door.metadata_path().is_empty() && door.metadata_path() == path);
        if found.is_none() && path == "/.well-known/oauth-protected-resource" && all.len() == 1 {
            found = all.first();
        }
        match (found, method) {
            (Some(door), &Method::GET | &Method::HEAD) => {
                let mut answer = Response::new(Body::from(door.metadata().clone()));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
                answer
            }
            (Some(_), _) => refused(StatusCode::METHOD_NOT_ALLOWED, "the metadata can only be read"),
            (None, _) => refused(StatusCode::NOT_FOUND, "there is no such door"),
        }
    }
}

/// The name in a path `/NAME/mcp`.
fn door(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.strip_suffix("/mcp").filter(|name| !name.contains('/'))
}

/// An answer to a request that reached no door.
fn refused(status: StatusCode, message: &'static str) -> Response<Body> {
    let body = serde_json::json!({"jsonrpc": "2.0", "error": {"code": -32600, "message": message}}).to_string();
    let mut answer = Response::new(Body::from(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// Holds `Host` and `Origin` against the names of the gateway, so that no page of another site can
/// reach it through a name that was pointed here (DNS rebinding).
fn names<B>(names: &Names, request: &Request<B>) -> Result<(), Box<Response<Body>>> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (request.uri().authority(), hosts.next()) {
        // HTTP/2 has no `Host`; where both are there they must agree.
        (Some(authority), None) => Some(authority.as_str()),
        (Some(authority), Some(host)) if host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => {
            Some(authority.as_str())
        }
        (None, Some(host)) => host.to_str().ok(),
        _ => None,
    };
    let Some(host) = host.filter(|_| hosts.next().is_none()) else {
        return Err(Box::new(refused(StatusCode::BAD_REQUEST, "one `Host` is needed")));
    };
    if !names.is_host(host) {
        return Err(Box::new(refused(StatusCode::FORBIDDEN, "the gateway is not called so: add the name to `hosts`")));
    }
    let mut origins = request.headers().get_all(ORIGIN).iter();
    let good = match (origins.next(), origins.next()) {
        (None, _) => true,
        (Some(origin), None) => origin.to_str().is_ok_and(|origin| names.is_origin(origin, host)),
        _ => false,
    };
    if !good {
        return Err(Box::new(refused(StatusCode::FORBIDDEN, "pages of this origin may not call the gateway")));
    }
    Ok(())
}

fn panicked() -> Response<Body> {
    tracing::error!("a fault in doorward: a request was refused");
    counter!("doorward_faults_total").increment(1);
    refused(StatusCode::INTERNAL_SERVER_ERROR, "a fault in the gateway")
}
