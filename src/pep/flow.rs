//! One HTTP request from the door to its answer.
//!
//! The order: who asks, what the headers and the body say, whether it may, on record, forward,
//! answer. Whatever fails on the way is a refusal with a code, a panic too.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};

use super::answer;
use super::body::{Body, BoxError};
use super::caller::Ask;
use super::code::{Code, GuardCode};
use super::door::Door;
use super::guard::Guard;
use super::head::{self, Head};
use super::message;
use super::permit;
use super::refusal::Refusal;
use super::steps::{Authenticated, Permitted, Recorded};
use super::stream::Listener;
use super::trace::Trace;
use super::wire;
use crate::mcp::{self, MalformedCode, Message};
use crate::model::Action;

/// The service below the door, called once.
pub(super) type Next =
    Box<dyn FnOnce(Request<Body>) -> Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>> + Send>;

/// A request of which it is known who asks.
pub(super) struct Visit {
    pub(super) who: Authenticated,
    pub(super) parts: Parts,
    pub(super) head: Head,
    /// Behind a lock only so that a visit can be shared while its body comes.
    next: Mutex<Next>,
}

/// Answers a request at a door.
pub(super) async fn serve(guard: Guard, door: &str, request: Request<Body>, next: Next) -> Response<Body> {
    let door = guard.0.rules.load().door(door);
    let passed = AssertUnwindSafe(pass(&guard, &door, request, next)).catch_unwind().await;
    let refusal = match passed {
        Ok(Ok(response)) => return response,
        Ok(Err(refusal)) => refusal,
        Err(_) => {
            tracing::error!(code = GuardCode::Internal.as_str(), door = &**door.name(), "a request met a fault");
            GuardCode::Internal.into()
        }
    };
    wire::response(&refusal, &door)
}

async fn pass(guard: &Guard, door: &Door, request: Request<Body>, next: Next) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    if parts.method == Method::GET && !door.metadata_path().is_empty() && parts.uri.path() == door.metadata_path() {
        return Ok(metadata(door));
    }
    let token = head::bearer(&parts).inspect_err(|code| {
        guard.0.tally.add(&*guard.0.log, door.name(), code.as_str(), guard.now());
    })?;
    let who = guard.authenticate(door.name(), token).await?;
    // What is refused before it is read is a span as well.
    let unread = |trace| Ask {
        trace: Trace::begin(guard.tracer(), trace, None),
        ..Ask::server(parts.method.as_str(), Action::Unknown)
    };
    let head = match Head::read(&parts.headers) {
        Ok(head) => head,
        Err(code) => return Err(who.refuse(&unread(None), code.into()).await),
    };
    let caller = &who.caller;
    let limits = caller.rules.policy.set().gateway.limits;
    let place = match guard.0.places.take(&caller.principal, caller.door.name(), &limits) {
        Ok(place) => place,
        Err(code) => return Err(who.refuse(&unread(head.trace), code.into()).await),
    };
    let method = parts.method.clone();
    let visit = Visit { who, parts, head, next: Mutex::new(next) };
    match method {
        Method::POST => visit.post(body).await,
        Method::GET if !visit.head.is_modern() => visit.get().await,
        Method::DELETE if !visit.head.is_modern() => visit.delete().await,
        _ => Err(visit.refuse(GuardCode::HttpMethod).await),
    }
    .map(|response| response.map(|body| body.holding(place)))
}

/// The protected resource metadata (RFC 9728), which needs no token.
fn metadata(door: &Door) -> Response<Body> {
    let mut response = Response::new(Body::from(door.metadata().clone()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=300"));
    response
}

impl Visit {
    /// What is asked, as far as the head says.
    fn ask(&self, method: &str, action: Action) -> Ask {
        let Head { version, session, trace } = self.head.clone();
        Ask { era: version, session, trace: trace.map(Trace::passed_on), ..Ask::server(method, action) }
    }

    /// Refuses a request before its body has been read.
    async fn refuse(&self, refusal: impl Into<Refusal>) -> Refusal {
        let refusal = refusal.into().answering(None, self.head.is_modern());
        let trace = Trace::begin(self.who.caller.guard.tracer(), self.head.trace, None);
        let ask = Ask { trace, ..self.ask(self.parts.method.as_str(), Action::Unknown) };
        self.who.refuse(&ask, refusal).await
    }

    async fn post(mut self, body: Body) -> Result<Response<Body>, Refusal> {
        let headers = &self.parts.headers;
        if !head::is_json(headers) {
            return Err(self.refuse(GuardCode::ContentType).await);
        }
        if !head::accepts(headers, &["application/json", "text/event-stream"]) {
            return Err(self.refuse(GuardCode::Accept).await);
        }
        let bytes = match self.collect(body).await {
            Ok(bytes) => bytes,
            Err(refusal) => return Err(self.refuse(refusal).await),
        };
        self.refresh().await?;
        match mcp::parse(&bytes, self.who.caller.guard.limits().message) {
            Ok(Message::Request(request)) => message::request(self, bytes, request).await,
            Ok(Message::Notification(notification)) => message::notification(self, bytes, notification).await,
            Ok(Message::Response(response)) => message::response(self, bytes, response).await,
            Err(malformed) => Err(self.refuse(Refusal::malformed(malformed)).await),
        }
    }

    /// Finds out anew who asks, should another policy be in force by now: a body that comes slowly does not
    /// keep an old one alive.
    async fn refresh(&mut self) -> Result<(), Refusal> {
        let caller = &self.who.caller;
        if caller.guard.generation() != caller.rules.generation {
            let (guard, door) = (caller.guard.clone(), Arc::clone(caller.door.name()));
            self.who = guard.authenticate(&door, head::bearer(&self.parts)?).await?;
        }
        Ok(())
    }

    /// The whole body, no more than may be, in time.
    async fn collect(&self, body: Body) -> Result<Bytes, Refusal> {
        let limits = self.who.caller.guard.limits();
        let most = limits.message.bytes;
        let too_large = || {
            let refusal = Refusal::new(Code::Message(MalformedCode::TooLarge));
            Refusal { message: format!("more than {most} bytes"), help: "send less", ..refusal }
        };
        if http_body::Body::size_hint(&body).lower() > most as u64 {
            return Err(too_large());
        }
        match tokio::time::timeout(limits.body_time, Limited::new(body, most).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
            Ok(Err(_)) | Err(_) => Err(GuardCode::BodyIncomplete.into()),
        }
    }

    /// The stream of a session (the revisions before 2026-07-28).
    async fn get(self) -> Result<Response<Body>, Refusal> {
        if !head::accepts(&self.parts.headers, &["text/event-stream"]) {
            return Err(self.refuse(GuardCode::Accept).await);
        }
        if let Err(code) = self.check_session() {
            return Err(self.refuse(code).await);
        }
        let recorded = self.bodiless("GET").await?;
        let caller = recorded.caller.clone();
        let session = self.head.session.clone();
        let (response, watch) = self.forward(recorded, Bytes::new(), None).await?;
        answer::listen(Listener::Session(caller, session), response, watch)
    }

    /// The end of a session.
    async fn delete(self) -> Result<Response<Body>, Refusal> {
        if let Err(code) = self.check_session().and(self.head.session.as_ref().ok_or(GuardCode::SessionUnknown)) {
            return Err(self.refuse(code).await);
        }
        let recorded = self.bodiless("DELETE").await?;
        let caller = recorded.caller.clone();
        let session = self.head.session.clone().unwrap_or_default();
        let (response, watch) = self.forward(recorded, Bytes::new(), None).await?;
        if response.status().is_success() {
            let key = (caller.door.place().clone(), session);
            caller.guard.0.memory.sessions.take(&key, &caller.principal, caller.guard.now());
        }
        answer::accepted(&caller, &response, watch, None)
    }

    /// Permits and records a request without a body.
    async fn bodiless(&self, method: &str) -> Result<Recorded, Refusal> {
        let who = Authenticated { caller: self.who.caller.clone() };
        let permitted = who.permit(self.ask(method, Action::Ping)).await?;
        permitted.record(None).await
    }

    /// Whether the session, if there is one, is this caller's at this door.
    pub(super) fn check_session(&self) -> Result<(), GuardCode> {
        let Some(session) = &self.head.session else { return Ok(()) };
        let caller = &self.who.caller;
        let key = (caller.door.place().clone(), session.clone());
        let held = caller.guard.0.memory.sessions.touch(&key, &caller.principal, caller.guard.now());
        held.ok_or(GuardCode::SessionUnknown)
    }

    /// Permits an ask and records the very bytes that go on.
    pub(super) async fn clear(&self, ask: Ask, bytes: &[u8]) -> Result<Recorded, Refusal> {
        let who = Authenticated { caller: self.who.caller.clone() };
        let permitted: Permitted = who.permit(ask).await?;
        permitted.record(Some(bytes)).await
    }

    /// Sends what is on record to the server.
    pub(super) async fn forward(
        self,
        recorded: Recorded,
        bytes: Bytes,
        message: Option<Message>,
    ) -> Result<(Response<Body>, super::watch::Watch), Refusal> {
        let Self { mut parts, head, next, .. } = self;
        let Recorded { caller, mut watch } = recorded;
        let resumes = parts.method == Method::GET;
        let headers = std::mem::take(&mut parts.headers);
        parts.headers = head::forwarded(headers, &bytes, head.session.as_deref(), resumes, watch.trace());
        let revision = match &message {
            Some(Message::Request(request)) => request.revision().map(str::to_owned).or(head.version),
            _ => head.version,
        };
        parts.extensions.insert(permit::Permit(Arc::new(permit::Parts {
            door: caller.door.name().clone(),
            principal: caller.principal.clone(),
            expires_at: caller.verified.expires_at(),
            scopes: caller.verified.scopes().to_vec(),
            request: caller.request.clone(),
            session: head.session,
            revision,
            message,
            sequence: watch.sequence(),
            beside: caller.rules.beside.clone(),
            generation: caller.rules.generation,
        })));
        let body = if bytes.is_empty() { Body::empty() } else { Body::from(bytes) };
        let next = next.into_inner().map_err(|_| GuardCode::Internal)?;
        // A service that panics ends this request, and says so on record.
        let called = AssertUnwindSafe(async move { next(Request::from_parts(parts, body)).await }).catch_unwind().await;
        let code = match called {
            Ok(Ok(response)) => return Ok((response, watch)),
            Ok(Err(error)) => {
                tracing::warn!(%error, door = &**caller.door.name(), "an upstream failed");
                super::upstream::UpstreamError::of(&error)
            }
            Err(_) => GuardCode::UpstreamFailed,
        };
        let refusal = Refusal::from(code);
        watch.status = Some(refusal.status());
        watch.end(code.as_str());
        Err(refusal)
    }
}
