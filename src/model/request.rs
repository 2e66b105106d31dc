//! One request as the policy decision point sees it, borrowed from whoever parsed it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Action, Fact, ResourceKind, Strings};

/// Seconds since 1970-01-01T00:00:00Z, as a JWT `NumericDate` (RFC 7519 section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The instant `seconds` later, held at the ends of the range.
    #[must_use]
    pub const fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The beginning of its month, in UTC; `None` where the calendar has no such year.
    pub fn month(self) -> Option<Self> {
        let first = time::OffsetDateTime::from_unix_timestamp(self.0).ok()?.replace_day(1).ok()?;
        Some(Self(first.replace_time(time::Time::MIDNIGHT).unix_timestamp()))
    }

    /// Seconds from `earlier` to this instant.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = time::OffsetDateTime::from_unix_timestamp(self.0)
            .ok()
            .and_then(|t| t.format(&time::format_description::well_known::Rfc3339).ok());
        match text {
            Some(text) => f.write_str(&text),
            None => write!(f, "{}", self.0),
        }
    }
}

/// What is asked: may this subject do this action to this resource, in this context?
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who asks.
    pub subject: Subject<'a>,
    /// The MCP method.
    pub action: Action,
    /// What it reaches.
    pub resource: Resource<'a>,
    /// Everything else that a policy may ask about.
    pub context: Context<'a>,
}

/// The user or workload behind a verified token, and the agent that acts for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Subject<'a> {
    /// The issuer, by its name in the policy (not by its URL).
    pub issuer: Fact<&'a str>,
    /// The `sub` claim.
    pub id: Fact<&'a str>,
    /// The client that acts: `client_id`, `azp` or the current actor (RFC 8693 section 4.1).
    pub agent: Fact<&'a str>,
    /// Group names. `Absent` means known to be in no group. A token that leaves its groups out because
    /// they are too many, or keeps them elsewhere, is `Unknown`: else a deny by group would miss it.
    pub groups: Fact<Strings<'a>>,
    /// Further mapped claims. `Absent` means none.
    pub claims: Fact<&'a [Claim<'a>]>,
}

/// One mapped claim with its values.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The name that the policy gives the claim.
    pub name: &'a str,
    /// Its value, or values when the claim is an array.
    pub values: Strings<'a>,
}

/// What a request reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource<'a> {
    /// The server, by its name in the policy.
    pub door: &'a str,
    /// The kind of thing behind the door.
    pub kind: ResourceKind,
    /// The name of a tool or prompt, the URI of a resource, empty for the server itself.
    pub name: &'a str,
}

/// Time, token and arguments.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The instant to judge at.
    pub now: Timestamp,
    /// Facts of the verified token.
    pub token: Token<'a>,
    /// The arguments of a tool or prompt.
    pub arguments: Arguments<'a>,
}

/// Facts of a verified access token. Never the token.
#[derive(Clone, Copy, Debug, Default)]
pub struct Token<'a> {
    /// `aud`.
    pub audience: Fact<Strings<'a>>,
    /// `scope`, split at spaces. `Absent` means no scope.
    pub scopes: Fact<Strings<'a>>,
    /// `iat`. A token without it is denied.
    pub issued_at: Fact<Timestamp>,
    /// `exp`. A token without it is denied.
    pub expires_at: Fact<Timestamp>,
    /// `nbf`. `Absent` means valid from the start.
    pub not_before: Fact<Timestamp>,
}

/// The `arguments` object of a call, of which parts may have been withheld by a recorder.
#[derive(Clone, Copy, Debug)]
pub struct Arguments<'a> {
    /// The object; `None` when the call had none or it was withheld whole.
    pub object: Option<&'a Map<String, Value>>,
    /// The places whose true value is not in `object`, as JSON Pointers (RFC 6901).
    /// The empty pointer withholds everything.
    pub withheld: &'a [Withheld],
}

impl<'a> Arguments<'a> {
    /// A call without arguments.
    pub const NONE: Arguments<'static> = Arguments { object: None, withheld: &[] };

    /// Complete arguments.
    pub const fn known(object: &'a Map<String, Value>) -> Self {
        Self { object: Some(object), withheld: &[] }
    }
}

/// A place in the arguments whose value was not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withheld {
    /// Where, as a JSON Pointer into `arguments`.
    pub pointer: String,
    /// Why it is not there.
    pub because: WithheldBecause,
}

/// Why a value is not in a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WithheldBecause {
    /// A secret or personal value was removed.
    Redacted,
    /// The recorder kept only a part of it.
    Truncated,
    /// The recorder does not keep this field.
    NotRecorded,
}
