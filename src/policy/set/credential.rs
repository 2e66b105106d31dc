//! Credentials for upstreams as a policy means them: where each comes from, where it goes, and Vault.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where the credential for an upstream comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Credential {
    /// None is sent.
    #[default]
    None,
    /// A secret reference such as `env:NAME` or `file:PATH`. For development.
    Reference(String),
    /// From Vault or `OpenBao`.
    Vault {
        /// How: `kv`, `oidc`, `dynamic` or `transit`.
        kind: VaultKind,
        /// The path, role or key, without the mount's `data/`.
        path: String,
        /// The Vault policies a token created for this server gets. Sorted.
        policies: Vec<String>,
        /// The longest life of the credential, in seconds.
        ttl: u32,
        /// The `aud` of an identity token; `None` for the URL of the upstream.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        audience: Option<String>,
        /// Whether each caller gets one of its own, which ends with the caller's token.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        per_caller: bool,
        /// What is asked of a dynamic secret, such as the name in a certificate; then it is written for.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        params: BTreeMap<String, String>,
    },
}

/// Where the upstream finds the credential; without a word, `Authorization: Bearer` or a variable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Placement {
    /// The header, for servers with a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// The variable, for servers that are programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variable: Option<String>,
    /// The header or variable of each field of a dynamic secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

impl Placement {
    /// Whether the policy says nothing of it.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The ways in which Vault gives a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VaultKind {
    /// A short-lived token kept in KV version 2.
    Kv,
    /// An identity token (JWT) for the upstream's audience.
    Oidc,
    /// A secret with a lease.
    Dynamic,
    /// A statement of who asks, signed by a key of the transit engine.
    Transit,
}

/// Where Vault is, and how the gateway shows it who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vault {
    /// Its URL.
    pub address: String,
    /// The URLs of other nodes of the same cluster.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub standbys: Vec<String>,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The mount of KV version 2 that holds the tokens of servers.
    #[serde(default = "kv_mount", skip_serializing_if = "is_kv_mount")]
    pub kv: String,
    /// How the gateway logs in.
    #[serde(default, skip_serializing_if = "VaultLogin::is_default")]
    pub login: VaultLogin,
    /// A file with the only certificate authorities that are trusted, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<String>,
    /// A file with the client certificate and its key, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_file: Option<String>,
    /// Whether other gateways use the same tokens, which are then left to expire at shutdown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

fn kv_mount() -> String {
    "secret".to_owned()
}

fn is_kv_mount(mount: &str) -> bool {
    mount == "secret"
}

impl Default for Vault {
    fn default() -> Self {
        Self {
            address: String::new(),
            standbys: Vec::new(),
            namespace: None,
            kv: kv_mount(),
            login: VaultLogin::default(),
            ca_file: None,
            identity_file: None,
            shared: false,
        }
    }
}

/// How the gateway logs in to Vault. Every secret is a reference, `env:NAME` or `file:PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum VaultLogin {
    /// A token that somebody hands in.
    Token {
        /// The token.
        token: String,
    },
    /// `AppRole`.
    Approle {
        /// The mount of the auth method.
        mount: String,
        /// The role by its name, for the plan.
        role: String,
        /// The id of the role.
        role_id: String,
        /// The secret id, or the token that wraps it.
        secret_id: String,
        /// Whether it is wrapped.
        wrapped: bool,
    },
    /// A JWT of another issuer.
    Jwt {
        /// The mount of the auth method.
        mount: String,
        /// The role.
        role: String,
        /// The JWT.
        token: String,
        /// Its `aud`, for the plan.
        audience: String,
        /// Its `sub`, for the plan.
        subject: String,
    },
    /// The service account of a Kubernetes pod.
    Kubernetes {
        /// The mount of the auth method.
        mount: String,
        /// The role.
        role: String,
        /// The token of the service account.
        token: String,
        /// The service account by its name, for the plan.
        service_account: String,
        /// Its namespace in Kubernetes, for the plan.
        service_namespace: String,
    },
}

impl Default for VaultLogin {
    fn default() -> Self {
        Self::Token { token: "env:VAULT_TOKEN".to_owned() }
    }
}

impl VaultLogin {
    /// Whether it is what a policy that says nothing of it gets.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
