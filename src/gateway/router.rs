//! Which request goes to which door, after what can be refused without knowing who asks.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body as AxumBody;
use axum::extract::{Path, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use tokio::sync::Semaphore;
use tower_http::catch_panic::CatchPanicLayer;
use tower_layer::Layer;
use tower_service::Service;

use super::door::Doorway;
use super::edition::Edition;
use super::pace::Paced;
use super::settings::{Bounds, Names};
use crate::pep::{Guard, GuardLayer};

/// What every request meets first.
#[derive(Clone)]
struct Entrance {
    guard: Guard,
    places: Arc<Semaphore>,
    path: usize,
    stall: Duration,
}

/// A router with a door for each server of the policy in force.
pub(super) fn router(guard: &Guard, bounds: &Bounds) -> Router {
    let places = Arc::new(Semaphore::new(bounds.requests.min(Semaphore::MAX_PERMITS)));
    let entrance = Entrance { guard: guard.clone(), places, path: bounds.path, stall: bounds.stall_time };
    Router::new()
        .route("/{server}/mcp", any(door))
        .fallback(elsewhere)
        .with_state(guard.clone())
        .layer(from_fn_with_state(entrance, enter))
        .layer(CatchPanicLayer::custom(panicked))
}

async fn door(State(guard): State<Guard>, Path(server): Path<String>, request: Request) -> Response {
    let Some(door) = guard.door(&server) else { return nothing() };
    match GuardLayer::new(guard, Arc::clone(door.name())).layer(Doorway).call(request).await {
        Ok(answer) => answer.map(AxumBody::new),
        Err(never) => match never {},
    }
}

/// The metadata of each door (RFC 9728), and nothing else.
async fn elsewhere(State(guard): State<Guard>, request: Request) -> Response {
    let path = request.uri().path();
    let all: Vec<_> = guard.doors().iter().filter_map(|name| guard.door(name)).collect();
    let mut found = all.iter().find(|door| !door.metadata_path().is_empty() && door.metadata_path() == path);
    if found.is_none() && path == "/.well-known/oauth-protected-resource" && all.len() == 1 {
        found = all.first();
    }
    match (found, request.method()) {
        (Some(door), &Method::GET | &Method::HEAD) => {
            let mut answer = AxumBody::from(door.metadata().clone()).into_response();
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
            answer
        }
        (Some(_), _) => refused(StatusCode::METHOD_NOT_ALLOWED, "the metadata can only be read"),
        (None, _) => nothing(),
    }
}

fn nothing() -> Response {
    refused(StatusCode::NOT_FOUND, "there is no such door")
}

/// An answer to a request that reached no door.
fn refused(status: StatusCode, message: &'static str) -> Response {
    let body = serde_json::json!({"jsonrpc": "2.0", "error": {"code": -32600, "message": message}}).to_string();
    let mut answer = AxumBody::from(body).into_response();
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

async fn enter(State(entrance): State<Entrance>, request: Request, next: Next) -> Response {
    let answer = admitted(&entrance, request, next).await;
    let status = answer.status().as_u16().to_string();
    metrics::counter!("doorward_http_responses_total", "status" => status).increment(1);
    answer
}

async fn admitted(entrance: &Entrance, request: Request, next: Next) -> Response {
    if request.uri().path_and_query().is_some_and(|path| path.as_str().len() > entrance.path) {
        return refused(StatusCode::URI_TOO_LONG, "the path is too long");
    }
    let edition = entrance.guard.kept::<Edition>();
    let nameless = Names::default();
    if let Err(answer) = names(edition.as_ref().map_or(&nameless, |edition| &edition.names), &request) {
        return *answer;
    }
    let Ok(place) = Arc::clone(&entrance.places).try_acquire_owned() else {
        let mut answer = refused(StatusCode::SERVICE_UNAVAILABLE, "too many requests are under way");
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        return answer;
    };
    next.run(request).await.map(|body| AxumBody::new(Paced::new(body, place, entrance.stall)))
}

/// Holds `Host` and `Origin` against the names of the gateway, so that no page of another site can
/// reach it through a name that was pointed here (DNS rebinding).
fn names(names: &Names, request: &Request) -> Result<(), Box<Response>> {
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

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a fault in doorward: a request was refused");
    metrics::counter!("doorward_faults_total").increment(1);
    refused(StatusCode::INTERNAL_SERVER_ERROR, "a fault in the gateway")
}
