//! What the development issuer answers to HTTP, without a socket: discovery (`OpenID` Connect, RFC
//! 8414), keys, and a token endpoint (RFC 6749 section 4.4, RFC 8707).
//!
//! A page in a browser may not use it: a request with an `Origin`, or for a host that is not this
//! machine by its text, is refused, so that no web site gets a token by a name that leads here.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{DevError, DevIssuer, PATH, WARNING, Wanted};
use crate::identity::metadata;
use crate::model::Timestamp;
use crate::policy::is_loopback;
use crate::policy::set::Algorithm;

/// The longest body that is read, in bytes.
pub const MAX_BODY: usize = 64 * 1024;
/// The lifetime of a token when none is asked for, in seconds.
const LIFETIME: u32 = 300;
/// The prefix of parameters that name a mapped fact.
const FACT: &str = "claim.";

/// An OAuth error (RFC 6749 section 5.2, RFC 8707 section 2).
type OAuthError = (&'static str, &'static str);

impl DevIssuer {
    /// The answer to a request.
    pub fn answer(&self, request: &Request<Bytes>, now: Timestamp) -> Response<Bytes> {
        if request.headers().contains_key(ORIGIN) || !self.is_here(request) {
            return answer(StatusCode::FORBIDDEN, &json!({ "error": "the development issuer is not for web pages" }));
        }
        let path = request.uri().path();
        let token = format!("{PATH}/token");
        match (request.method(), path) {
            (&Method::POST, path) if path == token => match self.token(request, now) {
                Ok(body) => answer(StatusCode::OK, &body),
                Err((error, description)) => {
                    let body = json!({ "error": error, "error_description": description });
                    answer(StatusCode::BAD_REQUEST, &body)
                }
            },
            (&Method::GET, path) if path == format!("{PATH}/jwks.json") => {
                let jwks: Value = serde_json::from_str(&self.keys.jwks()).unwrap_or_default();
                answer(StatusCode::OK, &jwks)
            }
            (&Method::GET, path) if self.is_metadata(path) => answer(StatusCode::OK, &self.metadata()),
            (_, path) if path == token => answer(StatusCode::METHOD_NOT_ALLOWED, &json!({ "error": "use POST" })),
            _ => answer(StatusCode::NOT_FOUND, &json!({ "error": "there is nothing here" })),
        }
    }

    /// Whether the request is for a host that is this machine by its text, at the issuer's port.
    fn is_here(&self, request: &Request<Bytes>) -> bool {
        let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let host = request.uri().authority().map(http::uri::Authority::as_str).or(header).unwrap_or_default();
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        is_loopback(&format!("http://{host}/")) && port == Some(self.listen().1)
    }

    fn is_metadata(&self, path: &str) -> bool {
        metadata::places(self.url()).iter().any(|place| {
            place.ends_with(path) && path.starts_with('/') && { place.len() == path.len() + self.origin().len() }
        })
    }

    fn origin(&self) -> &str {
        self.url().strip_suffix(PATH).unwrap_or_default()
    }

    /// The metadata (RFC 8414 section 2).
    fn metadata(&self) -> Value {
        let url = self.url();
        let algorithm = if self.algorithm() == Algorithm::ES256 { "ES256" } else { "EdDSA" };
        json!({
            "issuer": url,
            "jwks_uri": format!("{url}/jwks.json"),
            "token_endpoint": format!("{url}/token"),
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_basic", "client_secret_post"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [algorithm],
            "doorward_development_issuer": WARNING,
        })
    }

    /// A token for whoever asks. A client's secret is not looked at: there is nothing to protect.
    fn token(&self, request: &Request<Bytes>, now: Timestamp) -> Result<Value, OAuthError> {
        let wrong = |description| ("invalid_request", description);
        let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.split(';').next().unwrap_or_default().trim() != "application/x-www-form-urlencoded" {
            return Err(wrong("send a form (application/x-www-form-urlencoded)"));
        }
        if request.body().len() > MAX_BODY {
            return Err(wrong("the form is too large"));
        }
        let (mut single, mut several) = (BTreeMap::new(), BTreeMap::<_, Vec<String>>::new());
        for (name, value) in form_urlencoded::parse(request.body()) {
            match &*name {
                "resource" | "groups" => several.entry(name.into_owned()).or_default().push(value.into_owned()),
                fact if fact.starts_with(FACT) => {
                    several.entry(name.into_owned()).or_default().push(value.into_owned());
                }
                _ => {
                    if single.insert(name.into_owned(), value.into_owned()).is_some() {
                        return Err(wrong("a parameter is there twice"));
                    }
                }
            }
        }
        match single.get("grant_type").map(String::as_str) {
            Some("client_credentials") => {}
            Some(_) => return Err(("unsupported_grant_type", "only client_credentials is known here")),
            None => return Err(wrong("`grant_type` is missing")),
        }
        let client = basic(request.headers()).or_else(|| single.get("client_id").cloned());
        // RFC 9068 section 2.2: where no user is involved, the subject is the client.
        let subject = single.get("subject").cloned().or_else(|| client.clone());
        let subject = subject.filter(|subject| !subject.is_empty());
        let lifetime = match single.get("lifetime").map(|text| text.parse()) {
            None => LIFETIME.min(self.declared.max_lifetime),
            Some(Ok(lifetime)) => lifetime,
            Some(Err(_)) => return Err(wrong("`lifetime` is a number of seconds")),
        };
        let scopes = single.get("scope").map(String::as_str).unwrap_or_default();
        let wanted = Wanted {
            subject: subject.ok_or_else(|| wrong("`client_id` or `subject` is missing"))?,
            agent: client.filter(|client| !client.is_empty() && self.declared.claims.agent.is_some()),
            groups: several.remove("groups").unwrap_or_default(),
            audience: self.audience(several.remove("resource").unwrap_or_default())?,
            claims: several
                .into_iter()
                .map(|(name, values)| (name.strip_prefix(FACT).unwrap_or_default().to_owned(), values))
                .collect(),
            scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            lifetime,
        };
        let token = self.mint(&wanted, now).map_err(|error| match error {
            DevError::Claims => wrong("a value cannot be a claim, or the policy maps no such fact"),
            DevError::Lifetime => wrong("`lifetime` is nothing or longer than the policy's `max_lifetime`"),
            _ => ("server_error", "no token could be made"),
        })?;
        Ok(json!({
            "access_token": token.expose_secret(),
            "token_type": "Bearer",
            "expires_in": lifetime,
            "scope": scopes,
        }))
    }

    /// The audience for the resources that were asked for: only those that the policy knows.
    fn audience(&self, resources: Vec<String>) -> Result<Vec<String>, OAuthError> {
        let known = |resource: &String| self.resources.contains(resource);
        match (resources.as_slice(), self.resources.as_slice()) {
            ([], [only]) => Ok(vec![only.clone()]),
            ([], _) => Err(("invalid_target", "say by `resource` which door the token is for")),
            (asked, _) if asked.iter().all(known) => Ok(resources),
            _ => Err(("invalid_target", "the policy has no door with that `resource`")),
        }
    }
}

/// The client of HTTP Basic authentication (RFC 6749 section 2.3.1).
fn basic(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?).ok()?;
    let (client, _) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    form_urlencoded::parse(format!("c={client}").as_bytes()).next().map(|(_, client)| client.into_owned())
}

fn answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
