//! One request to Vault, and what its answer means.
//!
//! What goes out and what comes back may hold secrets: both are wiped when they are done with.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Method};
use rustify::errors::ClientError as WireError;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::time::Instant;
use vaultrs::error::ClientError;
use zeroize::Zeroizing;

use crate::credentials::unavailable::Unavailable;

/// The longest answer, in bytes.
const LONGEST: usize = 1 << 20;
/// What is made room for when an answer does not say how long it is, in bytes.
const USUAL: usize = 16 << 10;

/// A request: a method, a path below `/v1/`, and a body. It has no `Debug`: the body may hold secrets.
pub(super) struct Call {
    method: Method,
    path: String,
    body: Option<Zeroizing<Vec<u8>>>,
    makes: bool,
}

impl Call {
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), body: None, makes: false }
    }

    pub(super) fn post(path: impl Into<String>, body: impl Serialize) -> Self {
        // What cannot be written as JSON is sent as nothing, and refused.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        Self { method: Method::POST, path: path.into(), body: Some(Zeroizing::new(body)), makes: false }
    }

    /// The same, as one that makes what somebody must take back. It is not sent again where it may have
    /// been done, and its answer is waited for longer: what nobody hears of, nobody can take back.
    pub(super) fn making(self) -> Self {
        Self { makes: true, ..self }
    }

    pub(super) const fn makes(&self) -> bool {
        self.makes
    }
}

/// An answer. It has no `Debug`: the body may hold secrets.
pub(super) struct Answer {
    /// When Vault gave it by its own clock, in seconds from 1970.
    pub(super) at: Option<i64>,
    /// When the login ends that it was asked with, unless it is renewed; `None` when it does not.
    pub(super) login_ends: Option<Instant>,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The same, asked with a login that ends then.
    pub(super) fn asked_with(self, login_ends: Option<Instant>) -> Self {
        Self { login_ends, ..self }
    }

    /// Reads the body.
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|_| Failure::from(Unavailable::Malformed))
    }
}

/// A request that had no success.
pub(super) struct Failure {
    /// Why.
    pub(super) reason: Unavailable,
    /// How long Vault asks not to be asked.
    pub(super) retry_after: Option<Duration>,
    /// What Vault said of it. May hold secrets.
    said: Zeroizing<Vec<u8>>,
}

impl Failure {
    /// Whether Vault's own words hold these.
    pub(super) fn says(&self, words: &str) -> bool {
        self.said.windows(words.len()).any(|window| window == words.as_bytes())
    }

    /// Reads what Vault answered in place of success.
    pub(super) fn read<'a, T: Deserialize<'a>>(&'a self) -> Option<T> {
        serde_json::from_slice(&self.said).ok()
    }

    /// Whether sending it again may help and harms nothing.
    pub(super) const fn may_try_again(&self, call: &Call) -> bool {
        match self.reason {
            // It was turned away before anything was done.
            Unavailable::Unreachable | Unavailable::Busy | Unavailable::Sealed | Unavailable::Standby => true,
            Unavailable::Failed | Unavailable::Cut => !call.makes,
            _ => false,
        }
    }
}

impl From<Unavailable> for Failure {
    fn from(reason: Unavailable) -> Self {
        Self { reason, retry_after: None, said: Zeroizing::default() }
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

/// Sends a request once, with a token where there is one.
pub(super) async fn send(
    http: &reqwest::Client,
    address: &reqwest::Url,
    headers: HeaderMap,
    call: &Call,
) -> Result<Answer, Failure> {
    let url = format!("{}/v1/{}", address.as_str().trim_end_matches('/'), call.path);
    let mut request = http.request(call.method.clone(), url).headers(headers);
    if let Some(body) = &call.body {
        request = request.body(reqwest::Body::from(Bytes::from_owner(body.clone())));
    }
    let response = request.send().await.map_err(|error| broken(&error))?;
    let (code, head) = (response.status(), response.headers().clone());
    let body = whole(response).await?;
    let text = |name| head.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if !code.is_success() {
        let retry_after = text(RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
        return Err(Failure { reason: status(code.as_u16()), retry_after, said: body });
    }
    let at = text(DATE).and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
    Ok(Answer { at: at.map(OffsetDateTime::unix_timestamp), login_ends: None, body })
}

/// The headers of a request: the token and the namespace, where there are such.
pub(super) fn headers(token: &str, namespace: Option<&str>) -> Result<HeaderMap, Unavailable> {
    let value = |text: &str| {
        let mut value = HeaderValue::from_str(text).map_err(|_| Unavailable::Unusable)?;
        value.set_sensitive(true);
        Ok::<_, Unavailable>(value)
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-vault-request", HeaderValue::from_static("true"));
    if !token.is_empty() {
        headers.insert("x-vault-token", value(token)?);
    }
    if let Some(namespace) = namespace {
        headers.insert("x-vault-namespace", value(namespace)?);
    }
    Ok(headers)
}

/// The whole body, no more than may be. Where it grows, what it leaves behind is wiped.
async fn whole(mut response: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let said = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(USUAL);
    let mut body = Zeroizing::new(Vec::with_capacity(said.min(LONGEST)));
    while let Some(part) = response.chunk().await.map_err(|error| broken(&error))? {
        let length = body.len() + part.len();
        if length > LONGEST {
            return Err(Unavailable::Malformed.into());
        }
        if length > body.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(length.saturating_mul(2).min(LONGEST)));
            larger.extend_from_slice(&body);
            body = larger;
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// What a failure of the transport means.
fn broken(error: &(dyn std::error::Error + 'static)) -> Failure {
    let reason = match error.downcast_ref::<reqwest::Error>() {
        Some(error) if error.is_timeout() => Unavailable::TimedOut,
        Some(error) if error.is_connect() => Unavailable::Unreachable,
        Some(error) if error.is_builder() => Unavailable::Refused,
        _ => Unavailable::Cut,
    };
    reason.into()
}

/// What a failure of the client library's own functions means.
pub(super) fn library(error: ClientError) -> Failure {
    let said = |reason, words: String| Failure { reason, retry_after: None, said: Zeroizing::new(words.into_bytes()) };
    match error {
        ClientError::APIError { code, errors } => said(status(code), errors.join("\n")),
        ClientError::RestClientError { source } => match source {
            WireError::ServerResponseError { code, content } => said(status(code), content.unwrap_or_default()),
            WireError::RequestError { source, .. } | WireError::ResponseError { source } => broken(source.as_ref()),
            WireError::ReqwestBuildError { .. } | WireError::RequestBuildError { .. } => Unavailable::Refused.into(),
            _ => Unavailable::Malformed.into(),
        },
        _ => Unavailable::Malformed.into(),
    }
}

/// What a status other than success means.
const fn status(code: u16) -> Unavailable {
    match code {
        // 412 is a standby that has not heard of what was just written.
        300..=399 | 412 | 472 | 473 => Unavailable::Standby,
        401 | 403 => Unavailable::Denied,
        404 => Unavailable::NotFound,
        429 => Unavailable::Busy,
        400..=499 => Unavailable::Refused,
        501 | 503 => Unavailable::Sealed,
        _ => Unavailable::Failed,
    }
}
