//! The server's answer on its way back.
//!
//! Only what is an answer to this very request passes, with the few headers that a caller needs. What
//! an upstream says in any other form stays here: the caller gets a refusal in its place.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};

use super::asked::Asked;
use super::body::Body;
use super::caller::Caller;
use super::code::GuardCode;
use super::head::{SESSION, VERSION, media_type};
use super::held::NotHeld;
use super::memory::UnderWay;
use super::refusal::Refusal;
use super::stream::{Listener, Policed};
use super::upstream::UpstreamError;
use super::watch::Watch;
use crate::model::Action;

const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// The headers that pass as they are.
const PASSING: [HeaderName; 4] = [CONTENT_TYPE, CACHE_CONTROL, BUFFERING, VERSION];

/// The answer to a request.
pub(super) async fn request(
    asked: &Arc<Asked>,
    under_way: Option<UnderWay>,
    response: Response<Body>,
    mut watch: Watch,
) -> Result<Response<Body>, Refusal> {
    let status = response.status();
    let passed = match content(&response) {
        Content::Events if status == StatusCode::OK => {
            return match head(asked, &response) {
                Ok(headers) => {
                    watch.status = Some(status.as_u16());
                    Ok(stream(Listener::Request(Arc::clone(asked), under_way), headers, response, watch))
                }
                Err(code) => Err(ends(watch, code.into())),
            };
        }
        Content::Json => json(asked, response, &mut watch).await,
        _ => Err(refused(asked, status)),
    };
    match passed {
        Ok(response) => {
            watch.status = Some(status.as_u16());
            watch.end("answered");
            Ok(response)
        }
        Err(refusal) => Err(ends(watch, refusal)),
    }
}

fn ends(mut watch: Watch, refusal: Refusal) -> Refusal {
    watch.status = Some(refusal.status());
    watch.end(refusal.code().as_str());
    refusal
}

/// One JSON message.
async fn json(asked: &Arc<Asked>, response: Response<Body>, watch: &mut Watch) -> Result<Response<Body>, Refusal> {
    let status = response.status();
    if status.is_informational() || status.is_redirection() || is_of_upstream(status) {
        return Err(refused(asked, status));
    }
    let headers = head(asked, &response)?;
    let bytes = collect(&asked.caller, response.into_body()).await?;
    let said = match asked.response(&bytes) {
        Ok(said) => said,
        Err(_) if status.is_success() => return Err(GuardCode::UpstreamInvalid.into()),
        Err(_) => return Err(refused(asked, status)),
    };
    if !status.is_success() && said.error.is_none() {
        // A result under a status of failure.
        return Err(GuardCode::UpstreamInvalid.into());
    }
    watch.error = said.error;
    let bytes = said.instead.map_or(bytes, Bytes::from);
    watch.bytes = bytes.len() as u64;
    let mut passed = Response::new(Body::from(bytes));
    *passed.status_mut() = status;
    *passed.headers_mut() = headers;
    Ok(passed)
}

/// The headers that pass, with the session that a handshake made.
fn head(asked: &Asked, response: &Response<Body>) -> Result<HeaderMap, GuardCode> {
    let mut headers = passing(response.headers());
    let caller = &asked.caller;
    let Some(session) = response.headers().get(SESSION).filter(|_| !asked.modern) else { return Ok(headers) };
    let text = session.to_str().map_err(|_| GuardCode::UpstreamInvalid)?.to_owned();
    if asked.action == Action::Initialize {
        let key = (Arc::clone(caller.door.place()), text);
        let held = caller.guard.0.memory.sessions.put(key, &caller.principal, (), caller.guard.now());
        held.map_err(|not| match not {
            NotHeld::Full => GuardCode::Overloaded,
            // A server that gives one session to two is no server of either.
            NotHeld::Taken => GuardCode::UpstreamInvalid,
        })?;
        headers.insert(SESSION, session.clone());
    } else if asked.session.as_deref() == Some(&text) {
        headers.insert(SESSION, session.clone());
    }
    Ok(headers)
}

fn passing(headers: &HeaderMap) -> HeaderMap {
    PASSING.iter().filter_map(|name| Some((name.clone(), headers.get(name)?.clone()))).collect()
}

/// The stream of a session.
pub(super) fn listen(
    listener: Listener,
    response: Response<Body>,
    mut watch: Watch,
) -> Result<Response<Body>, Refusal> {
    let status = response.status();
    watch.status = Some(status.as_u16());
    if status == StatusCode::OK && matches!(content(&response), Content::Events) {
        let headers = passing(response.headers());
        return Ok(stream(listener, headers, response, watch));
    }
    // A server without such a stream says 405.
    let refusal = if status == StatusCode::METHOD_NOT_ALLOWED {
        Refusal::from(GuardCode::HttpMethod)
    } else {
        Refusal { status: by_caller(status), ..GuardCode::UpstreamRefused.into() }
    };
    watch.status = Some(refusal.status());
    watch.end(refusal.code().as_str());
    Err(refusal)
}

fn stream(listener: Listener, mut headers: HeaderMap, response: Response<Body>, watch: Watch) -> Response<Body> {
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    headers.remove(CONTENT_LENGTH);
    let mut passed = Response::new(Body::new(Policed::new(response.into_body(), listener, watch)));
    *passed.headers_mut() = headers;
    passed
}

/// The answer to a message that wants none.
pub(super) fn accepted(
    caller: &Arc<Caller>,
    response: &Response<Body>,
    mut watch: Watch,
    session: Option<&str>,
) -> Result<Response<Body>, Refusal> {
    let status = response.status();
    if status.is_success() {
        watch.status = Some(status.as_u16());
        watch.end("answered");
        let mut passed = nothing();
        if status == StatusCode::NO_CONTENT || status == StatusCode::OK {
            *passed.status_mut() = status;
        }
        return Ok(passed);
    }
    let refusal = if status == StatusCode::NOT_FOUND && gone(caller, session) {
        Refusal::from(GuardCode::SessionUnknown)
    } else if status == StatusCode::METHOD_NOT_ALLOWED {
        Refusal::from(GuardCode::HttpMethod)
    } else {
        Refusal { status: by_caller(status), ..GuardCode::UpstreamRefused.into() }
    };
    watch.status = Some(refusal.status());
    watch.end(refusal.code().as_str());
    Err(refusal)
}

/// 202, without a body.
pub(super) fn nothing() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// A session that the server no longer knows is nobody's.
fn gone(caller: &Caller, session: Option<&str>) -> bool {
    let Some(session) = session else { return false };
    let key = (Arc::clone(caller.door.place()), session.to_owned());
    caller.guard.0.memory.sessions.take(&key, &caller.principal, caller.guard.now());
    true
}

/// What a caller is told in place of a refusal that is no message.
fn refused(asked: &Asked, status: StatusCode) -> Refusal {
    if status.is_success() {
        return GuardCode::UpstreamInvalid.into();
    }
    if status == StatusCode::NOT_FOUND && gone(&asked.caller, asked.session.as_deref()) {
        return GuardCode::SessionUnknown.into();
    }
    Refusal { status: by_caller(status), ..GuardCode::UpstreamRefused.into() }
}

/// Statuses by which a server means the gateway and not its caller.
fn is_of_upstream(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED)
}

/// The status of a refusal that is about what the caller sent, which its client acts on.
fn by_caller(status: StatusCode) -> Option<u16> {
    (status.is_client_error() && !is_of_upstream(status)).then_some(status.as_u16())
}

enum Content {
    Json,
    Events,
    Other,
}

fn content(response: &Response<Body>) -> Content {
    if response.headers().get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Content::Other;
    }
    match media_type(response.headers()).as_deref() {
        Some("application/json") => Content::Json,
        Some("text/event-stream") => Content::Events,
        _ => Content::Other,
    }
}

async fn collect(caller: &Caller, body: Body) -> Result<Bytes, Refusal> {
    match Limited::new(body, caller.guard.limits().answer.bytes).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(GuardCode::UpstreamInvalid.into()),
        Err(error) => {
            tracing::warn!(%error, "an answer of an upstream broke off");
            Err(UpstreamError::of(&error).into())
        }
    }
}
