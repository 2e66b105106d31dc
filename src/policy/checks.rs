//! What judges a policy and is not part of it: inline tests, invariants and the rollout gate.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::argument::ArgPath;
use super::glob::NameGlob;
use super::matcher::ArgRules;
use super::set::{ItemPattern, Selector};
use crate::diagnostics::Span;
use crate::model::{Reason, ResourceKind, Timestamp};

/// Everything that judges one policy, with the places where it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checks {
    /// `[[invariants]]`
    pub invariants: Vec<Invariant>,
    /// `[[tests]]`
    pub tests: Vec<PolicyTest>,
    /// `[rollout]`
    pub rollout: Rollout,
}

/// A deny that must already be redundant: proved for every request, not sampled.
#[derive(Clone, Debug, PartialEq)]
pub struct Invariant {
    /// Its name.
    pub name: String,
    /// Whom it is about; everything when empty.
    pub to: Selector,
    /// Whom it is not about.
    pub except: Option<Selector>,
    /// What must not be possible. Never empty.
    pub never: Vec<ItemPattern>,
    /// With which arguments, read as in a deny.
    pub args: Vec<(ItemPattern, ArgRules)>,
    /// Where its name stands.
    pub span: Span,
}

/// One subject and what it may and may not do.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyTest {
    /// Its name.
    pub name: String,
    /// The instant it is judged at.
    pub now: Timestamp,
    /// Who asks.
    pub subject: TestSubject,
    /// Whether items that neither list names must be out of reach. The default.
    pub closed: bool,
    /// What must be allowed.
    pub allow: Vec<Expectation>,
    /// What must be denied.
    pub deny: Vec<Expectation>,
    /// Where its name stands.
    pub span: Span,
}

/// The subject and token of a test.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TestSubject {
    /// Issuer by name.
    pub issuer: String,
    /// `sub`
    pub id: String,
    /// Agent.
    pub agent: Option<String>,
    /// Groups.
    pub groups: Vec<String>,
    /// Mapped claims.
    pub claims: BTreeMap<String, Vec<String>>,
    /// Scopes of the token.
    pub scopes: Vec<String>,
    /// `aud`; empty means whatever the door asks for.
    pub audience: Vec<String>,
    /// Seconds since `iat`. Default 0.
    pub age: u32,
    /// `exp - iat` in seconds. Default: the issuer's `max_lifetime`.
    pub lifetime: u32,
}

/// One request, or one for each item that a pattern covers, and the expected answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// The items.
    pub call: ItemPattern,
    /// The URI to read, for a resource.
    pub uri: Option<String>,
    /// The arguments.
    pub args: Map<String, Value>,
    /// The reason that must be given.
    pub because: Option<Reason>,
    /// Where the reference stands.
    pub span: Span,
}

/// The gate between a candidate and production.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rollout {
    /// Recordings to replay: paths and globs, relative to the policy file.
    pub recordings: Vec<String>,
    /// The most requests that may be newly denied.
    pub max_newly_denied: Option<u64>,
    /// The most requests that may be newly allowed.
    pub max_newly_allowed: Option<u64>,
    /// The most requests that may stay undecidable.
    pub max_undecidable: Option<u64>,
    /// Whether a policy without a rehearsal may not be served.
    pub require_simulation: bool,
}

/// Where the statements of a policy stand, in the order of the policy set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spans {
    /// The issuers' names.
    pub issuers: BTreeMap<String, Span>,
    /// The servers' names.
    pub servers: BTreeMap<String, Span>,
    /// The items' names, by server, kind and name.
    pub items: BTreeMap<(Arc<str>, ResourceKind, Arc<str>), Span>,
    /// The bundles' names.
    pub scopes: BTreeMap<String, Span>,
    /// The grants.
    pub grants: Vec<StatementSpans>,
    /// The denies.
    pub denies: Vec<StatementSpans>,
}

/// Where the parts of one statement stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StatementSpans {
    /// The name, or the table header when there is none.
    pub head: Span,
    /// `expires`, where given.
    pub expires: Option<Span>,
    /// Each item pattern as written, with its place.
    pub items: Vec<(ItemPattern, Span)>,
    /// Each argument matcher: item pattern, path, place of the key.
    pub args: Vec<(ItemPattern, ArgPath, Span)>,
    /// Each group as written, with its place.
    pub groups: Vec<(NameGlob, Span)>,
}
