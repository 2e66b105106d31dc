//! What Vault must hold for a policy: derived from the policy alone, and no more than it needs.
//!
//! | for | Vault holds |
//! | --- | --- |
//! | the gateway | one policy of exact paths, and a login role that gives that policy alone |
//! | each `kv` server | a path of KV unless each caller has its own, a token role that can make tokens of that server's policies, and no others |
//! | each `oidc` server | a role that can sign for that server's audience, and no other |
//! | each `transit` server | a key that signs what the gateway says of its callers |
//! | an audit log that Vault signs | the key of its seals |
//! | each `dynamic` server | a path that may be read; what it gives is the operator's to set up |
//!
//! What a server's own policies let it do is for the operator to say: they are expected to be there.

mod hcl;
mod human;
mod json;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::policy::set::{Credential, PolicySet, Server, Upstream, Vault, VaultKind, VaultLogin};

pub use hcl::{policy_text, terraform};
pub use human::{Change, human};
pub use json::{SCHEMA, json};

/// The life of the gateway's login, in seconds. It is renewed in time.
const LOGIN_TTL: u32 = 3_600;
/// How long an unused secret id of `AppRole` lives at most, in seconds: for so long may Vault be away and
/// the gateway log in again by the one that it has made for itself. One that is handed to it is given
/// less by whoever makes it.
const SECRET_ID_TTL: u32 = 86_400;
/// The mount of the engine that signs statements.
pub(super) const TRANSIT: &str = "transit";
/// How often the key for identity tokens changes, in seconds.
const ROTATION: u32 = 86_400;

/// What kind of thing Vault must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A secrets engine.
    Mount,
    /// An auth method.
    Auth,
    /// A policy.
    Policy,
    /// A token role.
    TokenRole,
    /// A key for identity tokens.
    OidcKey,
    /// A role for identity tokens.
    OidcRole,
    /// A key that signs statements.
    SigningKey,
    /// A login role.
    LoginRole,
}

impl Kind {
    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mount => "secrets engine",
            Self::Auth => "auth method",
            Self::Policy => "policy",
            Self::TokenRole => "token role",
            Self::OidcKey => "identity key",
            Self::OidcRole => "identity role",
            Self::SigningKey => "signing key",
            Self::LoginRole => "login role",
        }
    }
}

/// One thing that Vault must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What it is.
    pub kind: Kind,
    /// Its name or mount.
    pub name: String,
    /// Its path in the API, below `/v1/`.
    pub path: String,
    /// What is written there.
    pub body: Map<String, Value>,
}

/// What the gateway's policy lets it do at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// The capabilities. Sorted.
    pub capabilities: BTreeSet<&'static str>,
    /// What for.
    pub why: String,
}

/// Everything that Vault must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The namespace of all of it.
    pub namespace: Option<String>,
    /// The name of the gateway's policy.
    pub policy: String,
    /// What that policy allows, by path.
    pub allowed: BTreeMap<String, Allowed>,
    /// What is to be written, in an order in which it can be.
    pub wanted: Vec<Wanted>,
    /// Policies of servers that the operator writes, with the servers that need them.
    pub expected: BTreeMap<String, BTreeSet<String>>,
    /// Paths whose secrets the operator sets up, with the servers that read them.
    pub provided: BTreeMap<String, BTreeSet<String>>,
}

/// Derives the plan. `None` when no server has a credential from Vault and it signs nothing, or none is declared.
pub fn plan(set: &PolicySet) -> Option<Plan> {
    let vault = set.vault.as_ref()?;
    let mut plan = Plan {
        namespace: vault.namespace.clone(),
        policy: gateway_role(vault).to_owned(),
        allowed: own_paths(gateway_role(vault)),
        wanted: Vec::new(),
        expected: BTreeMap::new(),
        provided: BTreeMap::new(),
    };
    let mut kept_anywhere = false;
    let mut audiences = BTreeSet::new();
    let mut roles = Vec::new();
    let mut keys = BTreeMap::new();
    for (name, server) in &set.servers {
        let Credential::Vault { kind, path, ttl, per_caller, params, .. } = &server.credential else { continue };
        match kind {
            VaultKind::Kv => {
                roles.push(token_role_for(vault, name, &server.credential, *ttl));
                for policy in policies(name, &server.credential) {
                    plan.expected.entry(policy).or_default().insert(name.clone());
                }
                let kept = format!("the token of {name}");
                if !per_caller {
                    kept_anywhere = true;
                    plan.allow(format!("{}/data/{path}", vault.kv), &["create", "read", "update"], &kept);
                }
                plan.allow(format!("auth/token/create/{}", token_role(vault, name)), &["update"], &kept);
                plan.allow("auth/token/revoke-accessor".to_owned(), &["update"], "taking tokens back");
            }
            VaultKind::Oidc => {
                audiences.insert(audience(server).to_owned());
                roles.push(identity_role(vault, path, audience(server), *ttl));
                let why = format!("the identity token for {name}");
                plan.allow(format!("identity/oidc/token/{path}"), &["read"], &why);
            }
            VaultKind::Transit => {
                let why = format!("the statements for {name}");
                plan.allow(format!("{TRANSIT}/sign/{path}/sha2-256"), &["update"], &why);
                keys.insert(path.as_str(), "ecdsa-p256");
            }
            VaultKind::Dynamic => {
                plan.provided.entry(path.clone()).or_default().insert(name.clone());
                let capability = if params.is_empty() { "read" } else { "update" };
                plan.allow(path.clone(), &[capability], &format!("the secret of {name}"));
                plan.allow("sys/leases/revoke".to_owned(), &["update"], "taking leases back");
            }
        }
    }
    if let Some(key) = set.audit.signing_key.as_deref().and_then(|key| key.strip_prefix("transit:")) {
        plan.allow(format!("{TRANSIT}/keys/{key}"), &["read"], "the public key of the audit log");
        plan.allow(format!("{TRANSIT}/sign/{key}"), &["update"], "the seals of the audit log");
        keys.insert(key, "ed25519");
    }
    if plan.expected.is_empty() && plan.provided.is_empty() && audiences.is_empty() && keys.is_empty() {
        return None;
    }
    if kept_anywhere {
        plan.want(
            Kind::Mount,
            &vault.kv,
            format!("sys/mounts/{}", vault.kv),
            json!({ "type": "kv", "options": { "version": "2" } }),
        );
    }
    if !keys.is_empty() {
        plan.want(Kind::Mount, TRANSIT, format!("sys/mounts/{TRANSIT}"), json!({ "type": "transit" }));
    }
    for (key, algorithm) in keys {
        plan.want(Kind::SigningKey, key, format!("{TRANSIT}/keys/{key}"), json!({ "type": algorithm }));
    }
    if let VaultLogin::Approle { mount, role, .. } = &vault.login {
        let path = format!("auth/{mount}/role/{role}/secret-id");
        plan.allow(path, &["update"], "logging in again after Vault was away");
    }
    let text = policy_text(&plan);
    let name = plan.policy.clone();
    plan.want(Kind::Policy, &name, format!("sys/policies/acl/{name}"), json!({ "policy": text }));
    if !audiences.is_empty() {
        let body = json!({
            "algorithm": "ES256",
            "allowed_client_ids": audiences,
            "rotation_period": ROTATION,
            "verification_ttl": ROTATION,
        });
        plan.want(Kind::OidcKey, &name, format!("identity/oidc/key/{name}"), body);
    }
    plan.wanted.append(&mut roles);
    plan.login(vault);
    Some(plan)
}

impl Plan {
    fn allow(&mut self, path: String, capabilities: &[&'static str], why: &str) {
        let allowed =
            self.allowed.entry(path).or_insert_with(|| Allowed { capabilities: BTreeSet::new(), why: why.to_owned() });
        allowed.capabilities.extend(capabilities);
    }

    fn want(&mut self, kind: Kind, name: &str, path: String, body: Value) {
        self.wanted.push(wanted(kind, name, path, body));
    }

    /// The auth method and the role that the gateway logs in by.
    fn login(&mut self, vault: &Vault) {
        let (mount, method, role, bound) = match &vault.login {
            // A token is handed in: whoever makes it gives it the policy.
            VaultLogin::Token { .. } => return,
            VaultLogin::Approle { mount, role, .. } => {
                let bound = json!({
                    "bind_secret_id": true,
                    "secret_id_num_uses": 1,
                    "secret_id_ttl": SECRET_ID_TTL,
                    // The login lives while it is renewed, and is made again by a secret id of its own making.
                    "token_period": LOGIN_TTL,
                });
                (mount, "approle", role, bound)
            }
            VaultLogin::Jwt { mount, role, audience, subject, .. } => {
                let bound = json!({
                    "role_type": "jwt",
                    "token_ttl": LOGIN_TTL,
                    "user_claim": "sub",
                    "bound_audiences": [audience],
                    "bound_subject": subject,
                });
                (mount, "jwt", role, bound)
            }
            VaultLogin::Kubernetes { mount, role, service_account, service_namespace, .. } => {
                let bound = json!({
                    "token_ttl": LOGIN_TTL,
                    "bound_service_account_names": [service_account],
                    "bound_service_account_namespaces": [service_namespace],
                });
                (mount, "kubernetes", role, bound)
            }
        };
        let mut body = object(bound);
        body.extend(object(json!({
            "token_policies": [self.policy],
            "token_no_default_policy": true,
            "token_type": "service",
        })));
        self.want(Kind::Auth, mount, format!("sys/auth/{mount}"), json!({ "type": method }));
        self.want(Kind::LoginRole, role, format!("auth/{mount}/role/{role}"), Value::Object(body));
    }
}

/// What every login may do with itself.
fn own_paths(policy: &str) -> BTreeMap<String, Allowed> {
    let own = |path: &str, capability, why: &str| {
        (path.to_owned(), Allowed { capabilities: BTreeSet::from([capability]), why: why.to_owned() })
    };
    BTreeMap::from([
        own("auth/token/lookup-self", "read", "its own login"),
        own("auth/token/renew-self", "update", "its own login"),
        own("auth/token/revoke-self", "update", "its own login"),
        own("sys/internal/ui/resultant-acl", "read", "verifying what it may do"),
        own(&format!("sys/policies/acl/{policy}"), "read", "verifying what it may do"),
    ])
}

fn token_role_for(vault: &Vault, server: &str, credential: &Credential, ttl: u32) -> Wanted {
    let name = token_role(vault, server);
    let body = json!({
        "allowed_policies": policies(server, credential),
        "orphan": true,
        "renewable": false,
        "token_explicit_max_ttl": ttl,
        "token_no_default_policy": true,
        "token_type": "service",
    });
    let path = format!("auth/token/roles/{name}");
    wanted(Kind::TokenRole, &name, path, body)
}

fn identity_role(vault: &Vault, role: &str, audience: &str, ttl: u32) -> Wanted {
    let body = json!({ "key": gateway_role(vault), "client_id": audience, "ttl": ttl });
    wanted(Kind::OidcRole, role, format!("identity/oidc/role/{role}"), body)
}

fn wanted(kind: Kind, name: &str, path: String, body: Value) -> Wanted {
    Wanted { kind, name: name.to_owned(), path, body: object(body) }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// What the gateway is called in Vault: the role that it logs in by.
fn gateway_role(vault: &Vault) -> &str {
    match &vault.login {
        VaultLogin::Token { .. } => "doorward",
        VaultLogin::Approle { role, .. } | VaultLogin::Jwt { role, .. } | VaultLogin::Kubernetes { role, .. } => role,
    }
}

/// The token role of a `kv` server.
pub(super) fn token_role(vault: &Vault, server: &str) -> String {
    format!("{}-{server}", gateway_role(vault))
}

/// The policies of a `kv` server's tokens: those declared, or the one of its name. Sorted, never empty.
pub(super) fn policies(server: &str, credential: &Credential) -> Vec<String> {
    match credential {
        Credential::Vault { policies, .. } if !policies.is_empty() => policies.clone(),
        _ => vec![server.to_owned()],
    }
}

/// The `aud` of a server's identity tokens: what is declared, or where the server is.
pub(super) fn audience(server: &Server) -> &str {
    match (&server.credential, &server.upstream) {
        (Credential::Vault { audience: Some(audience), .. }, _) => audience,
        (_, Upstream::Url(url)) => url,
        (_, Upstream::Command(_)) => &server.resource,
    }
}

/// The scopes that a server's credential serves, for the metadata of its token.
pub(super) fn scopes(server: &Server) -> String {
    let all: BTreeSet<&str> = server.items().flat_map(|(_, _, item)| item.scopes.iter().map(String::as_str)).collect();
    all.into_iter().collect::<Vec<_>>().join(" ")
}
