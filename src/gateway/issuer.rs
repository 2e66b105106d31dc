//! Serves the development issuer on a socket of this machine, and on no other.

use std::sync::Arc;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use tokio::net::TcpListener;

use crate::identity::dev::{DevError, DevIssuer, MAX_BODY, WARNING};
use crate::model::Timestamp;

/// Answers for the development issuer until `until` is over, and says in the log what it is.
///
/// # Errors
///
/// When the socket is not on loopback, not at the port of the issuer's URL, or breaks.
pub async fn serve_dev_issuer(
    listener: TcpListener,
    issuer: Arc<DevIssuer>,
    clock: impl Fn() -> Timestamp + Clone + Send + Sync + 'static,
    until: impl Future<Output = ()> + Send + 'static,
) -> Result<(), DevError> {
    let address = listener.local_addr().map_err(|_| DevError::Listener)?;
    if !address.ip().is_loopback() || address.port() != issuer.listen().1 {
        return Err(DevError::Listener);
    }
    tracing::warn!(issuer = issuer.name(), iss = issuer.url(), "{WARNING}");
    let answer = move |request| answer(Arc::clone(&issuer), clock(), request);
    let app = Router::new().fallback(answer);
    axum::serve(listener, app).with_graceful_shutdown(until).await.map_err(|_| DevError::Listener)
}

async fn answer(issuer: Arc<DevIssuer>, now: Timestamp, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let request = Request::<Bytes>::from_parts(head, body);
    issuer.answer(&request, now).map(axum::body::Body::from)
}
