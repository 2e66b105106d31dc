//! How a child looks to a caller: a Streamable HTTP server.

use bytes::BytesMut;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use tokio::time::timeout;

use super::super::Caller;
use super::super::failure::{Failure, FailureCode};
use super::frame::{Kind, Members, Raw};
use super::link::{Exchange, Said};
use super::{MODERN, Stdio, stream};
use crate::gateway::body::{Body, empty, full};

const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";
/// The revisions with a handshake, newest first.
const HANDSHAKE: [&str; 2] = ["2025-11-25", "2025-06-18"];
/// A request that cannot be (JSON-RPC 2.0).
const INVALID_REQUEST: i64 = -32_600;
/// A header that does not say what the body says (MCP 2026-07-28).
const HEADER_MISMATCH: i64 = -32_020;
/// A revision that the server does not speak (MCP 2026-07-28).
const UNSUPPORTED_VERSION: i64 = -32_022;

impl Stdio {
    /// Answers one HTTP request.
    pub(super) async fn answer(&self, parts: Parts, body: Body) -> Result<Response<Body>, Failure> {
        let Some(caller) = parts.extensions.get::<Caller>().cloned() else {
            return Err(Failure::new(FailureCode::Unreachable, "a request came without its caller"));
        };
        let session = header(&parts.headers, SESSION);
        match (&parts.method, session) {
            (&Method::POST, session) => {
                let bytes = whole(body, self.limits.request).await?;
                let message = Members::read(&bytes).map_err(|_| garbled("the request is not an object"))?;
                let kind = message.kind().ok_or_else(|| garbled("the request is no message"))?;
                let modern = header(&parts.headers, VERSION).is_some_and(|version| version >= MODERN);
                match kind {
                    Kind::Request { id, method } if method == "initialize" => {
                        self.initialize(message, id, caller).await
                    }
                    kind if modern => self.modern(message, kind, caller, &parts.headers).await,
                    kind => self.within_session(message, kind, session, &caller.key).await,
                }
            }
            (&Method::GET, Some(session)) => match self.children.session(session, &caller.key) {
                Some(link) => Ok(events(stream::listening(link.listen(), link))),
                None => Ok(no_session(None)),
            },
            (&Method::DELETE, Some(session)) => match self.children.session(session, &caller.key) {
                Some(_) => {
                    self.children.end(session);
                    Ok(status(StatusCode::NO_CONTENT))
                }
                None => Ok(no_session(None)),
            },
            _ => {
                let mut answer = status(StatusCode::METHOD_NOT_ALLOWED);
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
                Ok(answer)
            }
        }
    }

    async fn initialize(&self, message: Members, id: Raw, caller: Caller) -> Result<Response<Body>, Failure> {
        let session = random_id()?;
        let reserved = self.children.reserve(&caller.key)?;
        let link = self.children.begin(&caller, &reserved).await?;
        let mut exchange = link.request(message, id, "initialize").await?;
        // The answer must come first: until then there is no session to say anything else in.
        let (line, code) = loop {
            match timeout(self.patience.first_byte, exchange.next()).await {
                Ok(Some(Said::Answer(line, code))) => break (line, code),
                Ok(Some(Said::Message(_))) => {}
                Ok(None) => return Err(exchange.gone()),
                Err(_) => return Err(self.late()),
            }
        };
        let mut answer = single(line, None);
        if code.is_none() {
            let value = HeaderValue::try_from(&session).map_err(|_| garbled("no session id"))?;
            answer.headers_mut().insert(SESSION, value);
            self.children.keep(session, caller.key, link);
        }
        Ok(answer)
    }

    async fn modern(
        &self,
        message: Members,
        kind: Kind,
        caller: Caller,
        headers: &HeaderMap,
    ) -> Result<Response<Body>, Failure> {
        let link = self.children.modern(&caller).await?;
        match (link, kind) {
            (None, Kind::Request { id, .. }) => Ok(speaks_only_handshakes(&id)),
            (Some(link), Kind::Request { id, method }) => {
                if method == "tools/call"
                    && let Err(disagrees) = self.declared.agree(&message, headers)
                {
                    let error = json!({"code": HEADER_MISMATCH, "message": disagrees.to_string()});
                    return Ok(error_answer(StatusCode::BAD_REQUEST, Some(&id), &error));
                }
                let lists = method == "tools/list";
                self.converse(link.request(message, id, &method).await?, true, lists).await
            }
            (Some(link), kind @ Kind::Notification { .. }) => {
                link.pass(message, &kind).await?;
                Ok(status(StatusCode::ACCEPTED))
            }
            // Since 2026-07-28 a server asks nothing, so there is nothing to answer.
            (None, _) | (Some(_), Kind::Response { .. }) => Ok(status(StatusCode::BAD_REQUEST)),
        }
    }

    async fn within_session(
        &self,
        message: Members,
        kind: Kind,
        session: Option<&str>,
        caller: &str,
    ) -> Result<Response<Body>, Failure> {
        let id = if let Kind::Request { id, .. } = &kind { Some(&**id) } else { None };
        let Some(session) = session else {
            let error = json!({"code": INVALID_REQUEST, "message": "a session is needed: send `initialize` first"});
            return Ok(error_answer(StatusCode::BAD_REQUEST, id, &error));
        };
        let Some(link) = self.children.session(session, caller) else { return Ok(no_session(id)) };
        match kind {
            Kind::Request { id, method } => {
                self.converse(link.request(message, id, &method).await?, false, false).await
            }
            kind => {
                link.pass(message, &kind).await?;
                Ok(status(StatusCode::ACCEPTED))
            }
        }
    }

    /// One JSON answer when the server says nothing before it, and a stream when it does.
    /// `lists` says that it is a list of tools.
    async fn converse(&self, mut exchange: Exchange, modern: bool, lists: bool) -> Result<Response<Body>, Failure> {
        match timeout(self.patience.first_byte, exchange.next()).await {
            Ok(Some(Said::Answer(line, code))) => {
                if lists {
                    self.declared.learn(&line);
                }
                Ok(single(line, code.filter(|_| modern)))
            }
            Ok(Some(Said::Message(line))) => Ok(events(stream::exchange(line, exchange))),
            Ok(None) => Err(exchange.gone()),
            Err(_) => Err(self.late()),
        }
    }

    fn late(&self) -> Failure {
        Failure::new(FailureCode::TimedOut, format!("no answer began within {:?}", self.patience.first_byte))
    }
}

async fn whole(mut body: Body, limit: usize) -> Result<BytesMut, Failure> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| garbled("the request was cut short"))?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > limit {
                return Err(garbled("the request is too long"));
            }
            bytes.extend_from_slice(data);
        }
    }
    Ok(bytes)
}

fn garbled(detail: &str) -> Failure {
    Failure::new(FailureCode::Garbled, detail)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// 128 bits that no one can guess, in hexadecimal.
fn random_id() -> Result<String, Failure> {
    let mut bytes = [0_u8; 16];
    let random = rustls::crypto::aws_lc_rs::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| Failure::new(FailureCode::Busy, "there is no randomness"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn status(status: StatusCode) -> Response<Body> {
    let mut answer = Response::new(empty());
    *answer.status_mut() = status;
    answer
}

/// One answer. The modern era gives some errors a status of their own (MCP 2026-07-28, transports), the
/// older ones give none.
fn single(line: bytes::Bytes, code: Option<i64>) -> Response<Body> {
    let mut answer = Response::new(full(line));
    *answer.status_mut() = match code {
        Some(-32_601) => StatusCode::NOT_FOUND,
        Some(-32_022..=-32_020) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

fn events(body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}

fn no_session(id: Option<&serde_json::value::RawValue>) -> Response<Body> {
    let error = json!({"code": INVALID_REQUEST, "message": "there is no such session: send `initialize` again"});
    error_answer(StatusCode::NOT_FOUND, id, &error)
}

fn speaks_only_handshakes(id: &serde_json::value::RawValue) -> Response<Body> {
    let data = json!({"supported": HANDSHAKE, "requested": MODERN});
    let error = json!({"code": UNSUPPORTED_VERSION, "message": "this server speaks older revisions", "data": data});
    error_answer(StatusCode::BAD_REQUEST, Some(id), &error)
}

fn error_answer(
    status: StatusCode,
    id: Option<&serde_json::value::RawValue>,
    error: &serde_json::Value,
) -> Response<Body> {
    let id = id.map_or_else(String::new, |id| format!(r#""id":{},"#, id.get()));
    let mut answer = Response::new(full(format!(r#"{{"jsonrpc":"2.0",{id}"error":{error}}}"#)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
