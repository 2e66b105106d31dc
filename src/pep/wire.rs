//! The only place where a decision or a refusal becomes a status, a header or a JSON-RPC error.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::{Map, Value, json};

use super::body::Body;
use super::code::{Code, GuardCode};
use super::door::Door;
use super::filter::TASKS;
use super::refusal::{REVISIONS, Refusal};
use crate::mcp::Id;
use crate::model::Reason;

/// The answer to a request that is refused at a door.
pub(super) fn response(refusal: &Refusal, door: &Door) -> Response<Body> {
    let mut response = Response::new(Body::from(Bytes::from(error(refusal).to_string())));
    *response.status_mut() = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(challenge) = challenge(refusal, door).and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.code == Code::Guard(GuardCode::HttpMethod) {
        headers.insert(ALLOW, HeaderValue::from_static(if refusal.modern { "POST" } else { "POST, GET, DELETE" }));
    }
    response
}

/// A JSON-RPC error with what the caller may know.
pub(super) fn error(refusal: &Refusal) -> Value {
    let mut doorward = Map::from_iter([("code".to_owned(), json!(refusal.code.as_str()))]);
    if !refusal.help.is_empty() {
        doorward.insert("help".to_owned(), json!(refusal.help));
    }
    if !refusal.scopes.is_empty() {
        doorward.insert("scopes".to_owned(), json!(refusal.scopes));
    }
    let mut data = Map::from_iter([("doorward".to_owned(), Value::Object(doorward))]);
    if let Some(requested) = &refusal.requested {
        data.insert("supported".to_owned(), json!(REVISIONS));
        data.insert("requested".to_owned(), json!(requested));
    }
    if refusal.code == Code::Guard(GuardCode::Capability) {
        data.insert("requiredCapabilities".to_owned(), json!({ "extensions": { TASKS: {} } }));
    }
    let error = json!({ "code": refusal.rpc(), "message": refusal.message, "data": data });
    match &refusal.id {
        Some(Id::Text(id)) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
        Some(Id::Number(id)) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
        None => json!({ "jsonrpc": "2.0", "error": error }),
    }
}

/// `WWW-Authenticate` (RFC 6750 section 3, RFC 9728 section 5.1), where another token may help.
fn challenge(refusal: &Refusal, door: &Door) -> Option<String> {
    let (error, scopes) = match refusal.code {
        Code::Guard(GuardCode::TokenMissing) => (None, door.scopes()),
        Code::Guard(GuardCode::TokenInvalid) => (Some("invalid_token"), door.scopes()),
        Code::Guard(GuardCode::TokenPlace) => (Some("invalid_request"), door.scopes()),
        Code::Policy(Reason::ScopeMissing) => (Some("insufficient_scope"), refusal.scopes.as_slice()),
        Code::Policy(_) if refusal.status() == 401 => (Some("invalid_token"), door.scopes()),
        _ => return None,
    };
    let mut parts = Vec::new();
    parts.extend(error.map(|error| format!("error=\"{error}\"")));
    if !door.metadata_url().is_empty() {
        parts.push(format!("resource_metadata=\"{}\"", door.metadata_url()));
    }
    if !scopes.is_empty() {
        parts.push(format!("scope=\"{}\"", scopes.join(" ")));
    }
    if error.is_some() {
        // The message is fixed text; in a quoted string it has no quotes of its own.
        parts.push(format!("error_description=\"{}\"", refusal.message.replace(['"', '\\', '`'], "'")));
    }
    let text = format!("Bearer {}", parts.join(", ")).trim_end().to_owned();
    Some(text)
}
