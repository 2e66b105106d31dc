//! What is at the other end of a door, and what it may ask of those who come through.

use serde::{Deserialize, Serialize};

use crate::policy::argument::HostPattern;

/// How an MCP server is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Upstream {
    /// Streamable HTTP at this URL.
    Url(String),
    /// A child process over stdio: program and arguments.
    Command(Vec<String>),
}

/// TLS to a server. Paths are as written: relative ones are relative to the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTls {
    /// The only authorities that may vouch for it, in PEM; `None` for those of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// The certificate that it is shown and its private key, in PEM; `None` to show none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<String>,
}

impl UpstreamTls {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a server may ask of the clients behind a door. Nothing, unless the policy says so.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRequests {
    /// Whether it may use the client's model (`sampling/createMessage`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sampling: bool,
    /// Whether it may ask the user (`elicitation/create`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub elicitation: bool,
    /// The hosts to whose pages it may send the user. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elicitation_hosts: Vec<HostPattern>,
    /// Whether it may learn the client's folders (`roots/list`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub roots: bool,
}

impl ClientRequests {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
