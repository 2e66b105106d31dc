//! What judges a policy and is not part of it: inline tests, invariants and the rollout gate.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Recordings to replay: paths and globs, relative to the policy file.
    pub recordings: Vec<String>,
    /// The most requests that may be newly denied.
    pub max_newly_denied: Option<u64>,
    /// The most requests that may be newly allowed.
    pub max_newly_allowed: Option<u64>,
    /// The most requests that may stay undecidable.
    pub max_undecidable: Option<Allowance>,
    /// The fewest events that a rehearsal must rest on.
    pub min_events: Option<u64>,
    /// The fewest seconds from the first event to the last.
    pub min_window: Option<u64>,
    /// Whether a policy without a rehearsal may not be served.
    pub require_simulation: bool,
    /// Whose word for that counts: Ed25519 public keys, each 32 bytes in base64.
    #[serde(default)]
    pub trusted_keys: Vec<String>,
}

/// How many of all events may be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Allowance {
    /// So many.
    Count(u64),
    /// So many in a million.
    PerMillion(u32),
}

impl Allowance {
    /// What a share looks like, for help lines.
    pub const HELP: &'static str = "write a whole number, or a share of all events such as `\"0.5%\"`";

    /// Reads `0.5%`: at most 100, with at most four decimals.
    pub fn share(text: &str) -> Option<Self> {
        let (whole, decimals) = text.strip_suffix('%').map(|n| n.split_once('.').unwrap_or((n, "0")))?;
        let digits = |part: &str, most: usize| {
            let plain = !part.is_empty() && part.len() <= most && part.bytes().all(|b| b.is_ascii_digit());
            plain.then(|| part.parse::<u32>().ok()).flatten()
        };
        let power = 10u32.pow(u32::try_from(4usize.checked_sub(decimals.len())?).ok()?);
        let per_million = digits(whole, 3)? * 10_000 + digits(decimals, 4)? * power;
        (per_million <= 1_000_000).then_some(Self::PerMillion(per_million))
    }

    /// How many that is of so many, rounded down.
    pub const fn of(self, events: u64) -> u64 {
        match self {
            Self::Count(count) => count,
            // The quotient is no larger than the events.
            Self::PerMillion(share) => {
                (events / 1_000_000) * share as u64 + (events % 1_000_000) * share as u64 / 1_000_000
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_read_exactly_and_rounds_down() {
        let share = |text: &str| match Allowance::share(text) {
            Some(Allowance::PerMillion(n)) => Some(n),
            _ => None,
        };
        assert_eq!(share("0.1%"), Some(1_000));
        assert_eq!(share("100%"), Some(1_000_000));
        assert_eq!(share("0.0001%"), Some(1));
        assert_eq!(share("12.50%"), Some(125_000));
        for text in ["", "%", "1", "-1%", "100.1%", "101%", "0.00001%", ".5%", "1.%", "1e2%", "１%"] {
            assert_eq!(share(text), None, "{text}");
        }
        assert_eq!(Allowance::PerMillion(1_000).of(999), 0);
        assert_eq!(Allowance::PerMillion(1_000).of(1_000), 1);
        assert_eq!(Allowance::PerMillion(1_000_000).of(u64::MAX), u64::MAX);
        assert_eq!(Allowance::PerMillion(500_000).of(3_000_001), 1_500_000);
        assert_eq!(Allowance::Count(7).of(1), 7);
    }
}
