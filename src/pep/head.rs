//! The headers of a request: what is taken from them, what they must say, and which go no further.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, HeaderName,
    PROXY_AUTHORIZATION, TRANSFER_ENCODING,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};

use super::code::GuardCode;
use super::trace::TraceContext;

pub(super) const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
pub(super) const VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const TRACE: HeaderName = HeaderName::from_static("traceparent");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
/// The longest session id, in bytes.
const MAX_SESSION: usize = 512;

/// What never goes further: who the caller is, how this connection carries the message, and what
/// would have the server encode what must be read here.
const STOPPED: [HeaderName; 10] = [
    AUTHORIZATION,
    PROXY_AUTHORIZATION,
    COOKIE,
    HeaderName::from_static("dpop"),
    ACCEPT_ENCODING,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    TRANSFER_ENCODING,
    EXPECT,
    HeaderName::from_static("cookie2"),
];

/// What the headers say before the body is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    /// `MCP-Protocol-Version`
    pub(super) version: Option<String>,
    /// `Mcp-Session-Id`
    pub(super) session: Option<String>,
    /// Where in a trace its caller stands (`traceparent`).
    pub(super) trace: Option<TraceContext>,
}

impl Head {
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, GuardCode> {
        let version = one(headers, &VERSION)?.map(str::to_owned);
        let session = one(headers, &SESSION)?.filter(|s| !s.is_empty()).map(str::to_owned);
        if session.as_ref().is_some_and(|s| s.len() > MAX_SESSION || !s.bytes().all(|b| b.is_ascii_graphic())) {
            return Err(GuardCode::Header);
        }
        let trace = headers.get(TRACE).and_then(|value| value.to_str().ok()).and_then(TraceContext::read);
        Ok(Self { version, session, trace })
    }

    /// Whether the header speaks revision 2026-07-28 or later.
    pub(super) fn is_modern(&self) -> bool {
        self.version.as_deref().is_some_and(|version| version >= "2026-07-28")
    }
}

/// The one value of a header, trimmed.
fn one<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, GuardCode> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(GuardCode::Header);
    }
    let text = first.map(|value| value.to_str().map_err(|_| GuardCode::Header)).transpose()?;
    Ok(text.map(|text| text.trim_matches([' ', '\t'])))
}

/// The bearer token of a request (RFC 6750 section 2.1).
pub(super) fn bearer(parts: &Parts) -> Result<Option<&str>, GuardCode> {
    let in_query = |query: &str| {
        form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name.eq_ignore_ascii_case("access_token"))
    };
    if parts.uri.query().is_some_and(in_query) {
        return Err(GuardCode::TokenPlace);
    }
    let mut values = parts.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(GuardCode::TokenPlace);
    }
    let Some((scheme, token)) = value.to_str().ok().and_then(|text| text.split_once(' ')) else { return Ok(None) };
    Ok(scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' ')))
}

/// Whether the body is said to be plain JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    !headers.contains_key(CONTENT_ENCODING) && media_type(headers).as_deref() == Some("application/json")
}

/// The media type of a body, without parameters, in lower case. None for one that is said to be in another
/// encoding than UTF-8, in which it would be read here and not by whoever believes that.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = one(headers, &CONTENT_TYPE).ok()??;
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next()?.to_ascii_lowercase();
    let other = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8")
    };
    (!parts.any(other)).then_some(kind)
}

/// Whether every one of these media types would be accepted.
pub(super) fn accepts(headers: &HeaderMap, wanted: &[&str]) -> bool {
    let ranges: Vec<String> = (headers.get_all(ACCEPT).iter())
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
        .collect();
    wanted.iter().all(|wanted| {
        let family = wanted.split('/').next().unwrap_or_default();
        ranges.iter().any(|range| range == wanted || range == "*/*" || range.strip_suffix("/*") == Some(family))
    })
}

/// The headers as the server gets them.
pub(super) fn forwarded(
    mut kept: HeaderMap,
    body: &Bytes,
    session: Option<&str>,
    resumes: bool,
    trace: Option<&TraceContext>,
) -> HeaderMap {
    for name in &STOPPED {
        kept.remove(name);
    }
    if session.is_none() {
        kept.remove(SESSION);
    }
    if !resumes {
        kept.remove(LAST_EVENT);
    }
    if let Some(place) = trace.and_then(|trace| HeaderValue::try_from(trace.to_string()).ok()) {
        kept.insert(TRACE, place);
    }
    if !body.is_empty() {
        kept.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    }
    kept
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_token_is_taken_from_one_header_and_from_nowhere_else() {
        let token = |uri, headers: &[(&str, &str)]| bearer(&parts(uri, headers)).map(|t| t.map(str::to_owned));
        assert_eq!(token("/mcp", &[("authorization", "Bearer a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(token("/mcp", &[("authorization", "bEARER a.b.c")]), Ok(Some("a.b.c".into())));
        assert_eq!(token("/mcp", &[("authorization", "Basic YTpi")]), Ok(None));
        assert_eq!(token("/mcp", &[]), Ok(None));
        let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
        assert_eq!(token("/mcp", &twice), Err(GuardCode::TokenPlace));
        assert_eq!(token("/mcp?x=1&access_token=a", &[]), Err(GuardCode::TokenPlace));
        assert_eq!(token("/mcp?%61ccess%5Ftoken=a", &[]), Err(GuardCode::TokenPlace));
        assert_eq!(token("/mcp?Access_Token=a", &[("authorization", "Bearer a")]), Err(GuardCode::TokenPlace));
    }

    #[test]
    fn a_body_in_another_encoding_than_it_is_read_in_is_not_read() {
        let json = |content| is_json(&parts("/", &[("content-type", content)]).headers);
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\";v=1"] {
            assert!(json(good), "{good}");
        }
        for bad in [
            "application/json; charset=utf-7",
            "application/json;v=1; Charset = utf-16",
            "application/json; charset",
            "application/json; charset=utf-8; charset=utf-7",
            "text/json",
        ] {
            assert!(!json(bad), "{bad}");
        }
    }

    #[test]
    fn what_a_client_accepts_is_read_as_ranges() {
        let both = ["application/json", "text/event-stream"];
        let takes = |accept| accepts(&parts("/", &[("accept", accept)]).headers, &both);
        assert!(takes("application/json, text/event-stream"));
        assert!(takes("text/event-stream;q=0.5,Application/JSON"));
        assert!(takes("*/*") && takes("application/*, text/*"));
        assert!(!takes("application/json") && !takes("text/*") && !takes(""));
    }

    #[test]
    fn who_the_caller_is_goes_no_further() {
        let sent = [
            ("authorization", "Bearer a"),
            ("cookie", "a=b"),
            ("mcp-session-id", "other"),
            ("last-event-id", "7"),
            ("accept-encoding", "gzip"),
            ("mcp-param-region", "eu"),
            ("content-length", "99"),
        ];
        let kept = forwarded(parts("/", &sent).headers, &Bytes::from_static(b"{}"), None, false, None);
        let mut names: Vec<&str> = kept.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!((names, kept["content-length"].as_bytes()), (vec!["content-length", "mcp-param-region"], &b"2"[..]));
    }
}
