//! The routing headers, held against the body (MCP 2026-07-28, SEP-2243).
//!
//! The body decides. A header never stands in for it; one that says otherwise, stands twice or
//! cannot be read ends the request, so that a proxy that routes by headers and a server that reads
//! the body cannot be told different things.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::message::{MODERN, Request};

/// How a value that is not plain text begins and ends.
const ENCODED: (&str, &str) = ("=?base64?", "?=");

/// The values of the headers, each as often as it was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Routing<'a> {
    /// `MCP-Protocol-Version`
    pub version: &'a [&'a [u8]],
    /// `Mcp-Method`
    pub method: &'a [&'a [u8]],
    /// `Mcp-Name`
    pub name: &'a [&'a [u8]],
}

/// A header that does not agree with the body. The answer is 400 with JSON-RPC code -32020.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The header.
    pub header: &'static str,
    /// What is wrong with it.
    pub what: &'static str,
}

impl Mismatch {
    /// `MCP-Protocol-Version` does not say what `_meta` says.
    pub const VERSION: Self = Self { header: "mcp-protocol-version", what: "does not agree with the body" };
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the header `{}` {}", self.header, self.what)
    }
}

impl std::error::Error for Mismatch {}

impl Routing<'_> {
    /// Whether every header that is there agrees with the request, and every one that must be there is.
    ///
    /// # Errors
    ///
    /// The first header that does not.
    pub fn agrees(&self, request: &Request) -> Result<(), Mismatch> {
        let version = single("mcp-protocol-version", self.version)?;
        let stated = request.revision();
        let modern = stated.or(version.as_deref()).is_some_and(|revision| revision >= MODERN);
        if let Some(stated) = stated {
            same("mcp-protocol-version", version.as_deref(), Some(stated), true)?;
        } else if modern {
            return Err(Mismatch { header: "mcp-protocol-version", what: "is not what `_meta` of the body says" });
        }
        let method = single("mcp-method", self.method)?;
        same("mcp-method", method.as_deref(), Some(&request.method), modern)?;
        let name = single("mcp-name", self.name)?;
        same("mcp-name", name.as_deref(), request.reach.routed_name(), modern && routes_by_name(&request.method))
    }
}

/// The methods whose requests must carry `Mcp-Name`.
fn routes_by_name(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read" | "tasks/get" | "tasks/update" | "tasks/cancel")
}

fn same(header: &'static str, sent: Option<&str>, body: Option<&str>, needed: bool) -> Result<(), Mismatch> {
    match (sent, body) {
        (None, _) if needed => Err(Mismatch { header, what: "is missing" }),
        (Some(sent), body) if body != Some(sent) => Err(Mismatch { header, what: "does not agree with the body" }),
        _ => Ok(()),
    }
}

/// The one value of a header, decoded.
pub(super) fn single(header: &'static str, values: &[&[u8]]) -> Result<Option<String>, Mismatch> {
    let value = match values {
        [] => return Ok(None),
        [value] => value,
        _ => return Err(Mismatch { header, what: "stands more than once" }),
    };
    let unreadable = Mismatch { header, what: "cannot be read" };
    let text = std::str::from_utf8(value).map_err(|_| unreadable)?.trim_matches([' ', '\t']);
    if text.chars().any(|c| !matches!(c, ' '..='~')) {
        return Err(unreadable);
    }
    let Some(encoded) = text.strip_prefix(ENCODED.0).and_then(|rest| rest.strip_suffix(ENCODED.1)) else {
        return Ok(Some(text.to_owned()));
    };
    let bytes = STANDARD.decode(encoded).map_err(|_| unreadable)?;
    String::from_utf8(bytes).map(Some).map_err(|_| unreadable)
}

#[cfg(test)]
mod tests {
    use super::super::message::{Limits, Message, parse};
    use super::*;

    fn request(method: &str, name: &str, version: &str) -> Request {
        let meta = if version.is_empty() {
            String::new()
        } else {
            format!(r#","_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}"}}"#)
        };
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{"name":"{name}"{meta}}}}}"#);
        match parse(text.as_bytes(), Limits::default()).unwrap() {
            Message::Request(request) => request,
            other => panic!("{other:?}"),
        }
    }

    fn agrees(request: &Request, version: &[&str], method: &[&str], name: &[&str]) -> Result<(), String> {
        let [version, method, name] =
            [version, method, name].map(|list| list.iter().map(|s| s.as_bytes()).collect::<Vec<_>>());
        Routing { version: &version, method: &method, name: &name }.agrees(request).map_err(|e| e.to_string())
    }

    #[test]
    fn headers_that_say_what_the_body_says_agree() {
        let modern = request("tools/call", "search", "2026-07-28");
        assert_eq!(agrees(&modern, &["2026-07-28"], &["tools/call"], &["search"]), Ok(()));
        assert_eq!(agrees(&modern, &[" 2026-07-28\t"], &["tools/call"], &["=?base64?c2VhcmNo?="]), Ok(()));
        let list = request("tools/list", "x", "2026-07-28");
        assert_eq!(agrees(&list, &["2026-07-28"], &["tools/list"], &[]), Ok(()));
        let legacy = request("tools/call", "search", "");
        assert_eq!(agrees(&legacy, &["2025-11-25"], &[], &[]), Ok(()));
        assert_eq!(agrees(&legacy, &[], &["tools/call"], &["search"]), Ok(()));
    }

    #[test]
    fn headers_that_say_anything_else_do_not() {
        let modern = request("tools/call", "search", "2026-07-28");
        let legacy = request("tools/call", "search", "");
        let said: Vec<String> = [
            agrees(&modern, &[], &["tools/call"], &["search"]),
            agrees(&modern, &["2025-11-25"], &["tools/call"], &["search"]),
            agrees(&modern, &["2026-07-28"], &[], &["search"]),
            agrees(&modern, &["2026-07-28"], &["tools/list"], &["search"]),
            agrees(&modern, &["2026-07-28"], &["tools/call"], &[]),
            agrees(&modern, &["2026-07-28"], &["tools/call"], &["Search"]),
            agrees(&modern, &["2026-07-28"], &["tools/call"], &["search", "search"]),
            agrees(&modern, &["2026-07-28"], &["tools/call"], &["=?base64?!?="]),
            agrees(&modern, &["2026-07-28"], &["tools/call"], &["se\u{e4}rch"]),
            agrees(&legacy, &["2026-07-28"], &["tools/call"], &["search"]),
            agrees(&legacy, &["2025-11-25"], &["tools/list"], &[]),
        ]
        .into_iter()
        .map(Result::unwrap_err)
        .collect();
        insta::assert_snapshot!(said.join("\n"), @"
        the header `mcp-protocol-version` is missing
        the header `mcp-protocol-version` does not agree with the body
        the header `mcp-method` is missing
        the header `mcp-method` does not agree with the body
        the header `mcp-name` is missing
        the header `mcp-name` does not agree with the body
        the header `mcp-name` stands more than once
        the header `mcp-name` cannot be read
        the header `mcp-name` cannot be read
        the header `mcp-protocol-version` is not what `_meta` of the body says
        the header `mcp-method` does not agree with the body
        ");
    }
}
