//! Where the gateway is, and how much it takes on.

use serde::{Deserialize, Serialize};

/// Where the gateway is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// The address it listens on.
    pub listen: String,
    /// The URL callers use; door resources are below it.
    pub url: String,
    /// The address for health, metrics and control, or `unix:PATH`; empty for the default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub admin: String,
    /// `env:NAME` or `file:PATH` of what is to be shown over TCP for control.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin_token: Option<String>,
    /// `env:NAME` or `file:PATH` of what `requestState` is sealed with, the first, and opened with, each. Empty for a
    /// key of each process. In the order in which they are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state_keys: Vec<String>,
    /// The certificate it shows, and whose certificates it asks of callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Names under which it is called, on top of those of `url` and of the loopback. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Origins (RFC 6454) whose pages may call it. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// What is recorded for rehearsals; nothing without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
    /// Where the spans of what is decided go: the base URL of an OTLP receiver over HTTP; nowhere without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<String>,
    /// How much it takes on, and how long it waits.
    #[serde(default, skip_serializing_if = "GatewayLimits::is_default")]
    pub limits: GatewayLimits,
    /// Whether tokens may cross a network in the clear.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub danger_plain_http: bool,
}

/// What is recorded of the requests that the policy decides, and how much of it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capture {
    /// The folder of the recordings, as written: a relative one is relative to the policy.
    pub directory: String,
    /// How many sessions of a hundred.
    pub percent: u8,
    /// After how many MiB on the disk a file is closed.
    pub file_mib: u32,
    /// How many MiB the closed files may take before the oldest goes.
    pub total_mib: u32,
}

impl Default for Capture {
    /// Every session, in files of 64 MiB, 1 GiB together. The folder is empty: a policy names it.
    fn default() -> Self {
        Self { directory: String::new(), percent: 100, file_mib: 64, total_mib: 1024 }
    }
}

/// Where the files are that TLS needs. Paths are as written: relative ones are relative to the policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, in PEM.
    pub certificate_file: String,
    /// Its private key, in PEM.
    pub key_file: String,
    /// The authorities whose certificates callers must show, in PEM; `None` when none is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_ca_file: Option<String>,
}

/// How much the gateway takes on at once, and how long it waits for callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewayLimits {
    /// Connections.
    pub connections: u32,
    /// Requests, each until the end of its answer.
    pub requests: u32,
    /// Requests at one door.
    pub requests_per_door: u32,
    /// Requests of one caller: issuer, `sub` and agent.
    pub requests_per_caller: u32,
    /// Seconds that the head of a request may take to come.
    pub head_time: u32,
    /// Seconds that its body may take.
    pub body_time: u32,
    /// Seconds for which a caller may take nothing of its answer.
    pub stall_time: u32,
    /// Seconds that requests may go on after the gateway was told to stop.
    pub drain_time: u32,
}

impl GatewayLimits {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for GatewayLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            requests: 4096,
            requests_per_door: 1024,
            requests_per_caller: 256,
            head_time: 10,
            body_time: 30,
            stall_time: 30,
            drain_time: 20,
        }
    }
}
