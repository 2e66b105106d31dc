//! The policy set: what the sources mean, with every reference resolved to a pattern, every
//! duration to seconds and every list in a fixed order.
//!
//! This is the form that is digested, compiled and written to a file. It knows no source text,
//! tests, invariants or rollout: those judge a policy and are not part of it. It never holds a
//! secret, only the name of the place where one is kept.

mod credential;
mod gateway;
mod upstream;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use credential::{Credential, Placement, Vault, VaultKind, VaultLogin};
pub use gateway::{Capture, Gateway, GatewayLimits, Tls};
pub use upstream::{ClientRequests, Upstream, UpstreamTls};

use super::argument::ArgPath;
use super::glob::{GlobError, NameGlob, PathGlob};
use super::matcher::ArgRules;
use crate::model::{Rate, ResourceKind, Timestamp};

/// Everything that decides, and everything that says where things are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicySet {
    /// The issuers by name.
    pub issuers: BTreeMap<String, Issuer>,
    /// The servers by name.
    pub servers: BTreeMap<String, Server>,
    /// What each bundle scope carries, with bundles in bundles already opened. Sorted.
    pub scopes: BTreeMap<String, Vec<ItemPattern>>,
    /// The grants, in canonical order.
    pub grants: Vec<Statement>,
    /// The denies, in canonical order.
    pub denies: Vec<Statement>,
    /// Where audit rows go and how long they stay.
    pub audit: Audit,
    /// Where the gateway is.
    pub gateway: Gateway,
    /// Where Vault is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault: Option<Vault>,
}

/// Who may vouch for a caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The `iss` of its tokens; metadata is found from it unless `keys` says otherwise.
    pub url: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// Where its host may be.
    #[serde(default, skip_serializing_if = "Network::is_public")]
    pub network: Network,
    /// Accepted `aud` values; empty means each door's own resource identifier.
    pub audiences: Vec<String>,
    /// Accepted signature algorithms. Sorted, never empty.
    pub algorithms: Vec<Algorithm>,
    /// The longest `exp - iat`, in seconds.
    pub max_lifetime: u32,
    /// How far `iat` and `nbf` may lie in the future, in seconds. Never extends `exp`.
    pub clock_skew: u32,
    /// Which claims hold which facts.
    pub claims: ClaimMapping,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum KeySource {
    /// `OpenID` Connect discovery at the issuer URL.
    Discovery,
    /// A JWKS at this URL.
    Url(String),
    /// A JWKS in this file.
    File(String),
}

/// Which addresses the hosts of an issuer may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Public ones only.
    #[default]
    Public,
    /// Those of the organisation's own networks too.
    Private,
}

impl Network {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    fn is_public(&self) -> bool {
        *self == Self::Public
    }
}

/// A JWS algorithm (RFC 7518, RFC 8037) that doorward verifies. No symmetric ones, no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the registry")]
pub enum Algorithm {
    EdDSA,
    ES256,
    ES384,
    PS256,
    PS384,
    PS512,
    RS256,
    RS384,
    RS512,
}

impl Algorithm {
    /// Every algorithm with its registered name.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("EdDSA", Self::EdDSA),
        ("ES256", Self::ES256),
        ("ES384", Self::ES384),
        ("PS256", Self::PS256),
        ("PS384", Self::PS384),
        ("PS512", Self::PS512),
        ("RS256", Self::RS256),
        ("RS384", Self::RS384),
        ("RS512", Self::RS512),
    ];
}

/// Which claim of a token holds which fact, each a dotted path into the claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimMapping {
    /// The groups; `None` when this issuer says nothing of groups.
    pub groups: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// Further facts by the name that selectors use.
    pub others: BTreeMap<String, String>,
}

/// A door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// How it is reached.
    pub upstream: Upstream,
    /// Whom it must prove to be, and what it is shown, where it is reached by `https`.
    #[serde(default, skip_serializing_if = "UpstreamTls::is_default")]
    pub tls: UpstreamTls,
    /// What it may ask of clients.
    #[serde(default, skip_serializing_if = "ClientRequests::is_default")]
    pub client: ClientRequests,
    /// The identifier that `aud` must hold (RFC 8707, RFC 9728).
    pub resource: String,
    /// The issuers accepted here; `None` for all. Sorted.
    pub issuers: Option<Vec<String>>,
    /// A token is honoured until `iat` plus this many seconds; `None` leaves it to `exp`.
    pub token_ttl: Option<u32>,
    /// The upstream credential.
    pub credential: Credential,
    /// Where the upstream finds it.
    #[serde(default, skip_serializing_if = "Placement::is_default")]
    pub placement: Placement,
    /// The audit class of everything behind this door that does not say its own.
    pub audit: String,
    /// How often each key may pass this door.
    pub rate: Option<Rate>,
    /// The servers that may call this one, on top of what the grants ask. Sorted.
    pub callers: Vec<String>,
    /// How this server is known when it calls another.
    pub identity: Option<Identity>,
    /// Variables of the gateway's environment that a child process gets, by name. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<String>,
    /// The tools by name.
    pub tools: BTreeMap<String, Item>,
    /// The prompts by name.
    pub prompts: BTreeMap<String, Item>,
    /// The named URI patterns.
    pub resources: BTreeMap<String, Item>,
}

/// The subject that a server is when it calls another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// The issuer by name.
    pub issuer: String,
    /// The `sub`.
    pub subject: String,
}

/// A tool, prompt or named URI pattern behind a door.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// The token scopes that carry it by themselves. Sorted; empty only where a what-if took them.
    pub scopes: Vec<String>,
    /// As on the server, and shorter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_ttl: Option<u32>,
    /// The audit class; `None` for the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
    /// How often each key may use it, on top of the server's rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// What holds for every caller.
    #[serde(default, skip_serializing_if = "ArgRules::is_empty")]
    pub args: ArgRules,
    /// The URI pattern of a resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<PathGlob>,
    /// Arguments whose values recordings keep although no rule reads them. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capture: Vec<ArgPath>,
    /// Arguments whose values are kept nowhere, whatever reads them. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<ArgPath>,
}

/// A grant or a deny.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Its name, unique among grants or among denies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The instant from which it no longer counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Whom it is about.
    pub to: Selector,
    /// What it allows or denies. Sorted, never empty.
    pub items: Vec<ItemPattern>,
    /// Argument rules for some of the items. Where several patterns match an item, all hold. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<(ItemPattern, ArgRules)>,
}

/// Whom a statement is about. Every list that is not empty must match; within a list one suffices.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Selector {
    /// Issuer names. Sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub issuers: Vec<String>,
    /// Globs over `sub`. Sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<NameGlob>,
    /// Globs over the agent. Sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub agents: Vec<NameGlob>,
    /// Globs over the groups. Sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<NameGlob>,
    /// Globs over mapped claims.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub claims: BTreeMap<String, Vec<NameGlob>>,
    /// Servers as callers. Sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<String>,
}

/// Where audit rows go and how long they stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// `sqlite:PATH`, `postgres:…` or a secret reference to a URL.
    pub store: String,
    /// `env:NAME`, `file:PATH` or `transit:NAME` of the key that signs its seals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
    /// Values of arguments that one of these matches are kept nowhere. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<NameGlob>,
    /// Seconds that rows of each class stay.
    pub retention: BTreeMap<String, u64>,
    /// What stays whatever its class says, by a name such as that of a case.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<String, Hold>,
}

/// Rows of the audit log that nothing removes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// All of these audit classes. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Of every class the months from the first on that has a row about one of these. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
}

impl Hold {
    /// Whether it keeps all that another keeps.
    pub fn covers(&self, other: &Self) -> bool {
        other.classes.iter().all(|class| self.classes.contains(class))
            && other.subjects.iter().all(|subject| self.subjects.contains(subject))
    }
}

/// A pattern over items: `tickets:search`, `tickets:get_*`, `tickets:prompt:triage`, `*`.
///
/// Split at the first `:`. The left side is a glob over servers. The right side is a glob over the
/// tool name, `prompt:` and the prompt name, `resource:` and the name of the pattern, or nothing
/// for the server itself. So `tickets:*` is all of a server, and `*:search` is a tool called
/// `search` at any server and no prompt.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemPattern {
    /// Over server names.
    pub server: NameGlob,
    /// Over item names.
    pub item: NameGlob,
}

impl ItemPattern {
    /// Reads `SERVER:ITEM` or `*`. `Ok(None)` when there is no `:`.
    pub fn parse(text: &str) -> Result<Option<Self>, GlobError> {
        Self::parse_with(text, NameGlob::new)
    }

    /// As [`Self::parse`], with both sides read by `glob`.
    pub(super) fn parse_with(
        text: &str,
        mut glob: impl FnMut(&str) -> Result<NameGlob, GlobError>,
    ) -> Result<Option<Self>, GlobError> {
        let Some((server, item)) = (if text == "*" { Some(("*", "*")) } else { text.split_once(':') }) else {
            return Ok(None);
        };
        Ok(Some(Self { server: glob(server)?, item: glob(item)? }))
    }

    /// Whether it covers an item, by its server and its [`item_name`].
    pub fn matches(&self, server: &str, item: &str) -> bool {
        self.server.matches(server) && self.item.matches(item)
    }

    /// Whether it can name no more than one item.
    pub fn is_literal(&self) -> bool {
        self.server.literal().is_some() && self.item.literal().is_some()
    }
}

/// The right side of an item's reference.
pub fn item_name(kind: ResourceKind, name: &str) -> Cow<'_, str> {
    match kind {
        ResourceKind::Server => Cow::Borrowed(""),
        ResourceKind::Tool => Cow::Borrowed(name),
        ResourceKind::Prompt => Cow::Owned(format!("prompt:{name}")),
        ResourceKind::Resource => Cow::Owned(format!("resource:{name}")),
    }
}

/// The kind and name that the right side of a reference says: the way back from [`item_name`].
pub fn named_item(item: &str) -> (ResourceKind, &str) {
    if item.is_empty() {
        return (ResourceKind::Server, item);
    }
    let prompt = item.strip_prefix("prompt:").map(|name| (ResourceKind::Prompt, name));
    let resource = item.strip_prefix("resource:").map(|name| (ResourceKind::Resource, name));
    prompt.or(resource).unwrap_or((ResourceKind::Tool, item))
}

impl fmt::Display for ItemPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.server, self.item)
    }
}

impl Serialize for ItemPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ItemPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match Self::parse(&text) {
            Ok(Some(pattern)) => Ok(pattern),
            Ok(None) => Err(serde::de::Error::custom("an item pattern has a `:`")),
            Err(error) => Err(serde::de::Error::custom(error)),
        }
    }
}

impl PolicySet {
    /// Every declared item: server, kind, name and declaration, in a fixed order.
    pub fn items(&self) -> impl Iterator<Item = (&str, ResourceKind, &str, &Item)> {
        self.servers.iter().flat_map(|(server, declared)| {
            declared.items().map(move |(kind, name, item)| (server.as_str(), kind, name, item))
        })
    }

    /// Every rate, of servers and of items.
    pub fn rates(&self) -> impl Iterator<Item = Rate> {
        self.servers.values().flat_map(|server| server.rate.into_iter().chain(server.items().filter_map(|i| i.2.rate)))
    }
}

impl Server {
    /// Every declared item: kind, name and declaration, in a fixed order.
    pub fn items(&self) -> impl Iterator<Item = (ResourceKind, &str, &Item)> {
        let tools = self.tools.iter().map(|(n, i)| (ResourceKind::Tool, n, i));
        let prompts = self.prompts.iter().map(|(n, i)| (ResourceKind::Prompt, n, i));
        let resources = self.resources.iter().map(|(n, i)| (ResourceKind::Resource, n, i));
        tools.chain(prompts).chain(resources).map(|(kind, name, item)| (kind, name.as_str(), item))
    }
}

impl Statement {
    /// Whether it covers an item, by its server and its [`item_name`].
    pub fn covers(&self, server: &str, item: &str) -> bool {
        self.items.iter().any(|pattern| pattern.matches(server, item))
    }

    /// The argument rules that it lays on an item; all must hold.
    pub fn args_for<'s>(&'s self, server: &'s str, item: &'s str) -> impl Iterator<Item = &'s ArgRules> {
        self.args.iter().filter(move |(pattern, _)| pattern.matches(server, item)).map(|(_, rules)| rules)
    }

    /// Whether it still counts at `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}
