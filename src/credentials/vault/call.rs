//! One request to Vault as an endpoint of the client library, and what its answer means.

use std::fmt;
use std::marker::PhantomData;

use rustify::Endpoint;
use rustify::enums::{RequestMethod, RequestType, ResponseType};
use rustify::errors::ClientError as WireError;
use serde::de::DeserializeOwned;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use vaultrs::client::VaultClient;
use vaultrs::error::ClientError;
use zeroize::Zeroizing;

use crate::credentials::unavailable::Unavailable;

/// A request: a method, a path below `/v1/`, and a body. It has no `Debug`: the body may hold secrets.
pub(super) struct Call {
    method: RequestMethod,
    path: String,
    body: Option<Value>,
    _answer: PhantomData<()>,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: RequestMethod::GET, path: path.into(), body: None, _answer: PhantomData }
    }

    pub(super) fn post(path: impl Into<String>, body: Value) -> Self {
        Self { method: RequestMethod::POST, path: path.into(), body: Some(body), _answer: PhantomData }
    }
}

impl Endpoint for &Call {
    type Response = Value;
    const REQUEST_BODY_TYPE: RequestType = RequestType::JSON;
    const RESPONSE_BODY_TYPE: ResponseType = ResponseType::JSON;

    fn path(&self) -> String {
        self.path.clone()
    }

    fn method(&self) -> RequestMethod {
        self.method.clone()
    }

    fn body(&self) -> Result<Option<Vec<u8>>, WireError> {
        let body = self.body.as_ref().map(serde_json::to_vec).transpose();
        body.map_err(|error| WireError::DataParseError { source: error.into() })
    }
}

/// An answer. It has no `Debug`: the body may hold secrets.
pub(super) struct Answer {
    /// When Vault gave it by its own clock, in seconds from 1970.
    pub(super) at: Option<i64>,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// Reads the body.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| Failure::from(Unavailable::Malformed))
    }
}

/// A request that had no success.
pub(super) struct Failure {
    /// Why.
    pub(super) reason: Unavailable,
    /// What Vault said of it. May hold secrets.
    said: Zeroizing<String>,
}

impl Failure {
    /// Whether Vault's own words hold these.
    pub(super) fn says(&self, words: &str) -> bool {
        self.said.contains(words)
    }

    /// Reads what Vault answered in place of success.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.said).ok()
    }
}

impl From<Unavailable> for Failure {
    fn from(reason: Unavailable) -> Self {
        Self { reason, said: Zeroizing::default() }
    }
}

impl From<Failure> for Unavailable {
    fn from(failure: Failure) -> Self {
        failure.reason
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure").field("reason", &self.reason).finish_non_exhaustive()
    }
}

/// Sends a request once.
pub(super) async fn send(client: &VaultClient, call: &Call) -> Result<Answer, Failure> {
    let answer = call.with_middleware(&client.middle).exec(&client.http).await.map_err(wire)?;
    let (head, body) = answer.response.into_parts();
    let date = head.headers.get(http::header::DATE).and_then(|date| date.to_str().ok());
    let at = date.and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok()).map(OffsetDateTime::unix_timestamp);
    Ok(Answer { at, body: Zeroizing::new(body) })
}

/// What a failure of the transport means.
fn wire(error: WireError) -> Failure {
    let broken = |source: &(dyn std::error::Error + 'static)| match source.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => Unavailable::TimedOut,
        Some(error) if error.is_connect() => Unavailable::Unreachable,
        _ => Unavailable::Cut,
    };
    match error {
        WireError::ServerResponseError { code, content } => {
            Failure { reason: status(code), said: Zeroizing::new(content.unwrap_or_default()) }
        }
        WireError::RequestError { source, .. } | WireError::ResponseError { source } => broken(source.as_ref()).into(),
        WireError::ReqwestBuildError { .. } | WireError::RequestBuildError { .. } => Unavailable::Refused.into(),
        _ => Unavailable::Malformed.into(),
    }
}

/// What a failure of the client library's own functions means.
pub(super) fn library(error: ClientError) -> Failure {
    match error {
        ClientError::APIError { code, errors } => {
            Failure { reason: status(code), said: Zeroizing::new(errors.join("\n")) }
        }
        ClientError::RestClientError { source } => wire(source),
        _ => Unavailable::Malformed.into(),
    }
}

/// What a status other than success means.
const fn status(code: u16) -> Unavailable {
    match code {
        300..=399 | 472 | 473 => Unavailable::Standby,
        401 | 403 => Unavailable::Denied,
        404 => Unavailable::NotFound,
        429 => Unavailable::Busy,
        400..=499 => Unavailable::Refused,
        501 | 503 => Unavailable::Sealed,
        _ => Unavailable::Failed,
    }
}
