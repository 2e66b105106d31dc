//! Asks a running development issuer for a token, over HTTP on this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use reqwest::{Client, redirect};
use secrecy::SecretString;
use serde::Deserialize;

use super::{DevError, Wanted, served_at};
use crate::identity::ensure_crypto;
use crate::policy::set::Issuer;

/// The longest that the answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

#[derive(Deserialize)]
struct Answer {
    access_token: SecretString,
}

#[derive(Deserialize)]
struct Problem {
    error: String,
    error_description: String,
}

/// Why a running issuer gave no token: the code and, where it said so itself, what it said.
pub type NoToken = (DevError, Option<String>);

/// A token of the development issuer that runs for this declaration.
///
/// # Errors
///
/// When it is not declared as one, does not run, or refuses.
pub async fn ask(declared: &Issuer, wanted: &Wanted) -> Result<SecretString, NoToken> {
    let url = served_at(declared).map_err(|error| (error, None))?;
    ensure_crypto();
    let here = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let client = Client::builder()
        // It is asked in the clear, on this machine.
        .tls_certs_only([])
        .no_proxy()
        .redirect(redirect::Policy::none())
        .timeout(PATIENCE)
        // Whatever else the name may mean: a token is asked for on this machine only.
        .resolve("localhost", here)
        .build()
        .map_err(|_| (DevError::Crypto, None))?;
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials").append_pair("subject", &wanted.subject);
    form.append_pair("scope", &wanted.scopes.join(" ")).append_pair("lifetime", &wanted.lifetime.to_string());
    let facts = wanted.claims.iter().flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    for (name, value) in facts {
        form.append_pair(&format!("claim.{name}"), value);
    }
    let groups = wanted.groups.iter().map(|group| ("groups", group));
    let resources = wanted.audience.iter().map(|resource| ("resource", resource));
    let agent = wanted.agent.iter().map(|agent| ("client_id", agent));
    for (name, value) in groups.chain(resources).chain(agent) {
        form.append_pair(name, value);
    }
    let request = client
        .post(format!("{}/token", url.as_str()))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form.finish());
    let unreachable = |_| (DevError::Unreachable, None);
    let response = request.send().await.map_err(unreachable)?;
    let status = response.status();
    if response.content_length().is_none_or(|length| length > MAX_ANSWER) {
        return Err((DevError::Refused, None));
    }
    let body = response.bytes().await.map_err(unreachable)?;
    if status.is_success() {
        let answer: Answer = serde_json::from_slice(&body).map_err(|_| (DevError::Refused, None))?;
        return Ok(answer.access_token);
    }
    let said = serde_json::from_slice::<Problem>(&body).ok();
    Err((DevError::Refused, said.map(|said| format!("{}: {}", said.error, said.error_description))))
}
