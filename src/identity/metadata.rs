//! Discovery: where the metadata of an issuer is, and where that says the keys are.
//!
//! Nothing else of the metadata is read: algorithms, audiences and lifetimes are the policy's to say.

use serde_json::Value;

use super::fetch::{FetchError, Network};
use crate::mcp::json;
use crate::policy::{is_loopback, set};

/// How deep metadata may nest.
const MAX_DEPTH: usize = 16;

/// The places to ask, in order: `OpenID` Connect Discovery 1.0 section 4, then RFC 8414 section 3.1,
/// then the former in the latter's way. The last two differ only where the URL has a path.
pub(super) fn places(issuer: &str) -> Vec<String> {
    let base = issuer.trim_end_matches('/');
    let mut places = vec![format!("{base}/.well-known/openid-configuration")];
    if let Some((origin, path)) = origin_and_path(base) {
        places.push(format!("{origin}/.well-known/oauth-authorization-server{path}"));
        if !path.is_empty() {
            places.push(format!("{origin}/.well-known/openid-configuration{path}"));
        }
    }
    places
}

fn origin_and_path(url: &str) -> Option<(&str, &str)> {
    let host = url.find("://")?.checked_add(3)?;
    let rest = url.get(host..)?;
    let end = host.checked_add(rest.find('/').unwrap_or(rest.len()))?;
    url.split_at_checked(end)
}

/// The network that a URL of the policy is on.
pub(super) fn network(url: &str, declared: set::Network) -> Network {
    match declared {
        _ if is_loopback(url) => Network::Loopback,
        set::Network::Public => Network::Public,
        set::Network::Private => Network::Private,
    }
}

/// The `jwks_uri` of the metadata of exactly this issuer.
pub(super) fn jwks_uri(issuer: &str, metadata: &[u8]) -> Result<String, FetchError> {
    let Ok(Value::Object(members)) = json::read(metadata, MAX_DEPTH) else { return Err(FetchError::Metadata) };
    match members.get("issuer") {
        Some(Value::String(stated)) if stated == issuer => {}
        Some(Value::String(_)) => return Err(FetchError::Issuer),
        _ => return Err(FetchError::Metadata),
    }
    match members.get("jwks_uri") {
        Some(Value::String(uri)) => Ok(uri.clone()),
        _ => Err(FetchError::Metadata),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_looked_for_where_the_standards_put_it() {
        assert_eq!(
            places("https://login.example.com"),
            [
                "https://login.example.com/.well-known/openid-configuration",
                "https://login.example.com/.well-known/oauth-authorization-server",
            ]
        );
        assert_eq!(
            places("https://login.example.com/realms/corp/"),
            [
                "https://login.example.com/realms/corp/.well-known/openid-configuration",
                "https://login.example.com/.well-known/oauth-authorization-server/realms/corp",
                "https://login.example.com/.well-known/openid-configuration/realms/corp",
            ]
        );
    }

    #[test]
    fn a_host_on_loopback_is_on_no_other_network() {
        assert_eq!(network("http://127.0.0.1:8788/x", set::Network::Private), Network::Loopback);
        assert_eq!(network("https://10.0.0.1", set::Network::Private), Network::Private);
        assert_eq!(network("https://10.0.0.1", set::Network::Public), Network::Public);
    }

    #[test]
    fn metadata_of_another_issuer_is_refused() {
        let of = |text: &str| jwks_uri("https://a.example", text.as_bytes());
        assert_eq!(
            of(r#"{"issuer":"https://a.example","jwks_uri":"https://k.example"}"#).unwrap(),
            "https://k.example"
        );
        for other in ["https://a.example/", "https://A.example", "http://a.example", ""] {
            assert_eq!(of(&format!(r#"{{"issuer":"{other}","jwks_uri":"x"}}"#)), Err(FetchError::Issuer));
        }
        for bad in [
            "",
            "[]",
            "{}",
            r#"{"issuer":["https://a.example"],"jwks_uri":"x"}"#,
            r#"{"issuer":"https://a.example"}"#,
            r#"{"issuer":"https://a.example","jwks_uri":1}"#,
            r#"{"issuer":"https://b.example","issuer":"https://a.example","jwks_uri":"x"}"#,
        ] {
            assert_eq!(of(bad), Err(FetchError::Metadata), "{bad}");
        }
    }
}
