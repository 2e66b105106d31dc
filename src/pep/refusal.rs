//! A refusal: what the caller is told, and nothing else.

use std::fmt;

use super::code::{Code, DENIED, GuardCode};
use crate::mcp::{Id, Malformed, MalformedCode, Mismatch};
use crate::model::Reason;

/// The revisions that are spoken here, the newest first.
pub const REVISIONS: [&str; 3] = ["2026-07-28", "2025-11-25", "2025-06-18"];

/// Why a request, or the answer to it, is not passed on. Holds only what its caller may know: never
/// a rule, a place in the policy, a group or a word of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) help: &'static str,
    /// The scopes that this very call needs, where another token would help.
    pub(super) scopes: Vec<String>,
    /// Seconds after which it is worth trying again.
    pub(super) retry_after: Option<u32>,
    /// The revision that was asked for and is not spoken.
    pub(super) requested: Option<Box<str>>,
    /// The request that it answers.
    pub(super) id: Option<Id>,
    /// Whether the caller speaks revision 2026-07-28 or later.
    pub(super) modern: bool,
    /// The HTTP status in place of the code's own.
    pub(super) status: Option<u16>,
}

impl Refusal {
    pub(super) fn new(code: impl Into<Code>) -> Self {
        let code = code.into();
        let (message, help) = match code {
            Code::Guard(code) => (said(code), code.help()),
            Code::Policy(reason) => (reason.text().to_owned(), helps(reason)),
            Code::Message(MalformedCode::Params) => {
                ("the parameters cannot be judged".to_owned(), "send the parameters that the method takes")
            }
            Code::Message(MalformedCode::InexactNumber) => {
                ("a number cannot be judged".to_owned(), "send numbers as a double holds them, or as texts")
            }
            Code::Message(_) => ("the body is no MCP message".to_owned(), "send one JSON-RPC message"),
        };
        let retry_after = match code {
            Code::Guard(
                GuardCode::AuditUnavailable
                | GuardCode::CredentialUnavailable
                | GuardCode::KeysUnavailable
                | GuardCode::Overloaded
                | GuardCode::RatesUnavailable
                | GuardCode::DoorBusy
                | GuardCode::UpstreamUnavailable,
            ) => Some(5),
            Code::Guard(GuardCode::CallerBusy) => Some(1),
            _ => None,
        };
        Self {
            code,
            message,
            help,
            scopes: Vec::new(),
            retry_after,
            requested: None,
            id: None,
            modern: false,
            status: None,
        }
    }

    pub(super) fn malformed(malformed: Malformed) -> Self {
        let id = malformed.id.clone();
        Self { message: malformed.message, id, ..Self::new(Code::Message(malformed.code)) }
    }

    pub(super) fn mismatch(mismatch: Mismatch) -> Self {
        Self { message: mismatch.to_string(), ..Self::new(GuardCode::HeaderMismatch) }
    }

    pub(super) fn version(requested: &str) -> Self {
        // Repeated as the specification asks, but no longer than a date is.
        let requested: String = requested.chars().filter(char::is_ascii_graphic).take(32).collect();
        Self { requested: Some(requested.into()), ..Self::new(GuardCode::Version) }
    }

    pub(super) fn answering(self, id: Option<&Id>, modern: bool) -> Self {
        Self { id: id.cloned().or(self.id), modern, ..self }
    }

    /// What the caller is told it is.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The scopes that this very call needs, where a token with them would help.
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// The HTTP status of the answer.
    pub const fn status(&self) -> u16 {
        if let Some(status) = self.status {
            return status;
        }
        match self.code {
            Code::Guard(code) => code.status(),
            Code::Message(MalformedCode::TooLarge) => 413,
            // A session that is gone is a 404 to the older clients.
            Code::Policy(Reason::UnknownMethod) if self.modern => 404,
            Code::Message(_) | Code::Policy(Reason::UnknownMethod) => 400,
            Code::Policy(reason) if is_of_token(reason) => 401,
            Code::Policy(_) => 403,
        }
    }

    /// The JSON-RPC code of the answer.
    pub const fn rpc(&self) -> i32 {
        match self.code {
            Code::Guard(code) => code.rpc(),
            Code::Message(code) => code.rpc(),
            Code::Policy(Reason::UnknownMethod) => -32_601,
            Code::Policy(_) => DENIED,
        }
    }
}

impl From<GuardCode> for Refusal {
    fn from(code: GuardCode) -> Self {
        Self::new(code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code.as_str())
    }
}

impl std::error::Error for Refusal {}

/// Whether another token of the same subject may pass where this one does not.
pub(super) const fn is_of_token(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::Issuer
            | Reason::Audience
            | Reason::TokenExpired
            | Reason::TokenNotYetValid
            | Reason::TokenLifetime
            | Reason::TokenStale
    )
}

fn said(code: GuardCode) -> String {
    match code {
        GuardCode::TokenMissing => "no access token came with the request",
        GuardCode::TokenInvalid => "the access token is not accepted",
        GuardCode::TokenPlace => "the access token is not where it must be",
        GuardCode::KeysUnavailable => "the access token cannot be verified now",
        GuardCode::HttpMethod => "this endpoint has no such HTTP method",
        GuardCode::Accept => "no answer of this endpoint would be accepted",
        GuardCode::ContentType => "the body is not plain JSON",
        GuardCode::BodyIncomplete => "the body did not come whole",
        GuardCode::Header => "a header cannot be read",
        GuardCode::HeaderMismatch => "a header does not agree with the body",
        GuardCode::Version => "the protocol version is not supported",
        GuardCode::Meta => "a required field of `_meta` is missing",
        GuardCode::Capability => "the client does not announce what this needs",
        GuardCode::SessionUnknown => "there is no such session",
        GuardCode::ResponseUnexpected => "nothing awaits this response",
        GuardCode::TaskUnknown => "there is no such task",
        GuardCode::StateInvalid => "the request state is not one that was given for this call",
        GuardCode::RateLimited => "too many requests",
        GuardCode::CallerBusy => "too many requests of this caller are under way",
        GuardCode::DoorBusy => "too many requests are under way at this door",
        GuardCode::Overloaded => "too much is under way",
        GuardCode::RatesUnavailable => "how often this was used cannot be counted now",
        GuardCode::NoLongerAllowed => "this is no longer allowed",
        GuardCode::AuditUnavailable => "the access cannot be put on record now",
        GuardCode::UpstreamInvalid => "the server's answer cannot be passed on",
        GuardCode::UpstreamRefused => "the server refused the request",
        GuardCode::UpstreamFailed => "the server cannot be reached",
        GuardCode::UpstreamTimeout => "the server did not answer in time",
        GuardCode::UpstreamUnavailable => "the server is not available",
        GuardCode::CredentialUnavailable => "the server cannot be called now",
        GuardCode::Internal => "an internal fault",
    }
    .to_owned()
}

/// What would help the caller, as far as a caller may know.
const fn helps(reason: Reason) -> &'static str {
    match reason {
        Reason::Granted => "",
        Reason::UnknownMethod => "send a method of the MCP specification",
        Reason::Issuer | Reason::Audience => "bring a token that was issued for this server",
        Reason::TokenExpired | Reason::TokenStale => "bring a fresh token",
        Reason::TokenNotYetValid => "bring a token that is valid now",
        Reason::TokenLifetime => "bring a token with a shorter life",
        Reason::ScopeMissing => "ask for a token with the scopes that the challenge names",
        Reason::Args => "change the arguments; those sent are not allowed",
        _ => "ask the operator of this server for access",
    }
}
