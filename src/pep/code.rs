//! Why a request is not passed on, as a closed set of codes beside the reasons of a decision.

use crate::model::Reason;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $status:literal, $rpc:literal, $help:literal;)+) => {
        /// A refusal that the guard makes itself, without asking the policy. The codes are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum GuardCode {
            $($(#[$doc])* $variant,)+
        }

        impl GuardCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable kebab-case code.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// The HTTP status of the answer.
            pub const fn status(self) -> u16 {
                match self {
                    $(Self::$variant => $status,)+
                }
            }

            /// The JSON-RPC code of the answer.
            pub const fn rpc(self) -> i32 {
                match self {
                    $(Self::$variant => $rpc,)+
                }
            }

            /// What the caller can do about it.
            pub const fn help(self) -> &'static str {
                match self {
                    $(Self::$variant => $help,)+
                }
            }
        }
    };
}

codes! {
    /// No token came with the request.
    TokenMissing = "token-missing", 401, -31001, "send an access token in the `Authorization` header";
    /// The token is not believed.
    TokenInvalid = "token-invalid", 401, -31001, "bring another access token";
    /// A token came in the query of the URL, or in two headers.
    TokenPlace = "token-place", 400, -31001, "send the access token once, in the `Authorization` header, and never in a URL";
    /// The keys of the token's issuer cannot be had.
    KeysUnavailable = "token-keys-unavailable", 503, -31003, "try again later";
    /// The HTTP method is not one of this endpoint.
    HttpMethod = "http-method", 405, -32600, "send a POST";
    /// `Accept` does not list what an answer may be.
    Accept = "accept", 406, -32600, "accept both `application/json` and `text/event-stream`";
    /// The body is not said to be plain JSON.
    ContentType = "content-type", 415, -32600, "send `application/json` without an encoding";
    /// The body did not come whole, or not in time.
    BodyIncomplete = "body-incomplete", 400, -32700, "send the whole body";
    /// A header stands twice or cannot be read.
    Header = "header-malformed", 400, -32600, "send each header once";
    /// A routing header is missing or does not say what the body says.
    HeaderMismatch = "header-mismatch", 400, -32020, "send headers that say what the body says";
    /// The protocol revision is not spoken here.
    Version = "version-unsupported", 400, -32022, "speak one of the supported revisions";
    /// A request lacks what every request of its revision carries in `_meta`.
    Meta = "meta-missing", 400, -32602, "send the protocol version and the client's capabilities in `_meta`";
    /// The client does not announce in `_meta` what the method needs of it.
    Capability = "capability-missing", 400, -32021, "announce `io.modelcontextprotocol/tasks` among the extensions in `_meta`";
    /// The session is not one of this caller at this door.
    SessionUnknown = "session-unknown", 404, -31005, "initialize a new session";
    /// A response to nothing that this caller was asked.
    ResponseUnexpected = "response-unexpected", 400, -32600, "respond once to each request of the server, in its session";
    /// The task is not one of this caller at this door.
    TaskUnknown = "task-unknown", 400, -32602, "name a task that you started here";
    /// The state is not one that this caller was given for this very call, or it is too old.
    StateInvalid = "state-invalid", 400, -32602, "start the call again";
    /// Too many requests in this window.
    RateLimited = "rate-limited", 429, -31002, "wait as long as `Retry-After` says";
    /// This caller has as many requests under way as one caller may have.
    CallerBusy = "caller-busy", 429, -31002, "let some of your requests end first";
    /// As many requests are under way at this door as there may be.
    DoorBusy = "door-busy", 503, -31003, "try again later";
    /// The bounded memory of sessions, tasks or rates is full.
    Overloaded = "overloaded", 503, -31003, "try again later";
    /// A rate across gateways cannot be counted.
    RatesUnavailable = "rates-unavailable", 503, -31003, "try again later";
    /// A stream that its caller may no longer have.
    NoLongerAllowed = "no-longer-allowed", 403, -31000, "ask the operator of this server for access";
    /// The audit log cannot be written.
    AuditUnavailable = "audit-unavailable", 503, -31003, "try again later";
    /// The server's answer is none to this request, or cannot be read.
    UpstreamInvalid = "upstream-invalid", 502, -31004, "tell the operator of this server";
    /// The server refused with something that is no MCP message.
    UpstreamRefused = "upstream-refused", 502, -31004, "tell the operator of this server";
    /// The server cannot be reached, or broke off.
    UpstreamFailed = "upstream-failed", 502, -31004, "try again later";
    /// The server did not answer in time.
    UpstreamTimeout = "upstream-timeout", 504, -31004, "try again later";
    /// The server has failed so often that it is left alone for a while.
    UpstreamUnavailable = "upstream-unavailable", 503, -31004, "try again later";
    /// The gateway's own credential for the server cannot be had.
    CredentialUnavailable = "credential-unavailable", 503, -31003, "try again later";
    /// A fault in doorward.
    Internal = "internal", 500, -32603, "tell the operator of this server";
}

/// The JSON-RPC code of a request that the policy denies.
pub(super) const DENIED: i32 = -31000;

/// Why a request is refused: by the policy, for its form, or by the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The policy denies it.
    Policy(Reason),
    /// The body is no message.
    Message(crate::mcp::MalformedCode),
    /// The guard refuses it.
    Guard(GuardCode),
}

impl Code {
    /// The stable kebab-case code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Policy(reason) => reason.code(),
            Self::Message(code) => code.as_str(),
            Self::Guard(code) => code.as_str(),
        }
    }
}

impl From<GuardCode> for Code {
    fn from(code: GuardCode) -> Self {
        Self::Guard(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::MalformedCode;

    #[test]
    fn no_two_codes_are_one_and_no_own_json_rpc_code_is_reserved() {
        let mut all: Vec<&str> = GuardCode::ALL.iter().map(|c| c.as_str()).collect();
        all.extend(Reason::ALL.iter().map(|r| r.code()));
        all.extend(MalformedCode::ALL.iter().map(|c| c.as_str()));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        for code in GuardCode::ALL {
            let reserved = (-32_768..=-32_000).contains(&code.rpc());
            let known = [-32_700, -32_600, -32_601, -32_602, -32_603, -32_020, -32_021, -32_022].contains(&code.rpc());
            assert!(!reserved || known, "{code:?}");
        }
    }
}
