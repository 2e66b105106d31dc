//! Which headers cross the gateway. Whatever is not named here does not, in either direction.
//!
//! So no credential, cookie or address of the caller reaches a server, no cookie or challenge of a
//! server reaches a caller, and what belongs to one connection (RFC 9110 section 7.6.1) stays there.

use http::header::{
    ACCEPT, ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER,
};

use crate::mcp::PARAMETER;

/// What of a request a server gets to see.
const TO_SERVER: [HeaderName; 11] = [
    ACCEPT,
    ACCEPT_LANGUAGE,
    CONTENT_TYPE,
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];

/// What of an answer a caller gets to see.
const TO_CALLER: [HeaderName; 7] = [
    CONTENT_TYPE,
    CACHE_CONTROL,
    ALLOW,
    RETRY_AFTER,
    HeaderName::from_static("mcp-session-id"),
    HeaderName::from_static("mcp-protocol-version"),
    HeaderName::from_static("x-accel-buffering"),
];

/// The headers of a request that a server gets.
pub(super) fn to_server(headers: &HeaderMap) -> HeaderMap {
    kept(headers, |name| TO_SERVER.contains(name) || name.as_str().starts_with(PARAMETER))
}

/// The headers of an answer that a caller gets.
pub(super) fn to_caller(headers: &HeaderMap) -> HeaderMap {
    kept(headers, |name| TO_CALLER.contains(name))
}

fn kept(headers: &HeaderMap, keep: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let keep = |name: &HeaderName| keep(name) && !is_of_connection(headers, name);
    headers.iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether `Connection` says of a header that it is for this connection alone.
fn is_of_connection(headers: &HeaderMap, name: &HeaderName) -> bool {
    let named = |value: &[u8]| {
        value.split(|byte| *byte == b',').any(|one| one.trim_ascii().eq_ignore_ascii_case(name.as_ref()))
    };
    headers.get_all(CONNECTION).iter().any(|value| named(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_crosses() {
        let names = [
            "accept",
            "authorization",
            "connection",
            "content-length",
            "cookie",
            "expect",
            "forwarded",
            "host",
            "mcp-method",
            "mcp-param-region",
            "mcp-session-id",
            "origin",
            "proxy-authorization",
            "te",
            "traceparent",
            "transfer-encoding",
            "upgrade",
            "x-forwarded-for",
            "x-api-key",
            "set-cookie",
            "www-authenticate",
            "content-type",
            "location",
            "server",
        ];
        let headers: HeaderMap =
            names.iter().map(|name| (HeaderName::from_static(name), http::HeaderValue::from_static("x"))).collect();
        let sorted = |headers: HeaderMap| {
            let mut names: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort();
            names.join(" ")
        };
        insta::assert_snapshot!(sorted(to_server(&headers)), @"accept content-type mcp-method mcp-param-region mcp-session-id traceparent");
        insta::assert_snapshot!(sorted(to_caller(&headers)), @"content-type mcp-session-id");
    }

    #[test]
    fn what_is_of_one_connection_alone_stays_there() {
        let value = http::HeaderValue::from_static;
        let mut headers = HeaderMap::new();
        for name in ["content-type", "cache-control", "mcp-method", "tracestate"] {
            headers.insert(name, value("x"));
        }
        headers.append(CONNECTION, value("close, Tracestate"));
        headers.append(CONNECTION, value("Cache-Control ,mcp-method"));
        for crossed in [to_server(&headers), to_caller(&headers)] {
            assert_eq!(crossed.keys().collect::<Vec<_>>(), [CONTENT_TYPE]);
        }
    }

    #[test]
    fn a_header_that_is_there_twice_stays_there_twice() {
        let mut headers = HeaderMap::new();
        headers.append("mcp-name", http::HeaderValue::from_static("a"));
        headers.append("mcp-name", http::HeaderValue::from_static("b"));
        assert_eq!(to_server(&headers).get_all("mcp-name").iter().count(), 2);
    }
}
