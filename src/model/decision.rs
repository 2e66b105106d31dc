//! What a decision says: effect, reason, the statement behind it and what must still be done.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Allow or deny. There is nothing between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
pub enum Effect {
    /// The request may go on.
    Allow,
    /// The request stops here.
    Deny,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $text:literal;)+) => {
        /// Why a request was allowed or denied. The set is closed and the codes are stable.
        ///
        /// Ordered as the decision checks them: the first that applies is the one reported.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
        #[serde(rename_all = "kebab-case")]
        pub enum Reason {
            $($(#[$doc])* $variant,)+
        }

        impl Reason {
            /// Every reason, in the order in which they are checked.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The stable kebab-case code.
            pub const fn code(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// One line for a person.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// The page that explains it, as Markdown.
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => {
                        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reasons/", $code, ".md"))
                    })+
                }
            }
        }
    };
}

reasons! {
    /// A grant applies and nothing forbids it.
    Granted = "granted", "a grant allows it and nothing forbids it";
    /// The method is not one that a policy can judge.
    UnknownMethod = "unknown-method", "the method is not one this policy can judge";
    /// No server of that name.
    UnknownDoor = "unknown-door", "no server of that name is declared";
    /// The server declares no such tool.
    UnknownTool = "unknown-tool", "the server declares no tool of that name";
    /// The server declares no such prompt.
    UnknownPrompt = "unknown-prompt", "the server declares no prompt of that name";
    /// No declared URI pattern matches.
    UnknownResource = "unknown-resource", "no declared resource pattern matches the URI";
    /// The issuer is not declared, or this door does not accept it.
    Issuer = "issuer", "the token's issuer is not accepted at this door";
    /// The token was not issued for this door.
    Audience = "audience", "the token was not issued for this door";
    /// `exp` has passed or is missing.
    TokenExpired = "token-expired", "the token has expired";
    /// `nbf` or `iat` lies in the future.
    TokenNotYetValid = "token-not-yet-valid", "the token is not valid yet";
    /// `exp - iat` is longer than the issuer's `max_lifetime`.
    TokenLifetime = "token-lifetime", "the token lives longer than the issuer's `max_lifetime`";
    /// The token is older than the `token_ttl` of the tool or server.
    TokenStale = "token-stale", "the token is older than `token_ttl` allows here";
    /// The subject is a server that this door does not list in `callers`.
    Caller = "caller", "the subject is a server that this door does not list in `callers`";
    /// A deny statement matches.
    DeniedBy = "denied-by", "a deny statement matches";
    /// The token carries no scope for this.
    ScopeMissing = "scope-missing", "the token carries no scope for this";
    /// No grant names this subject and this tool, prompt or resource.
    NoGrant = "no-grant", "no grant gives this to the subject";
    /// Only grants that have expired would have allowed it.
    GrantExpired = "grant-expired", "the grant that would allow it has expired";
    /// An argument rule of the grant or of the tool is not met.
    Args = "args", "an argument rule is not met";
    /// A fact that the policy asks about is not known.
    MissingFact = "missing-fact", "a fact that the policy asks about is not known";
}

impl Reason {
    /// The reason of that code.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == text)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// The answer for one request. Borrows from the policy, so that making one allocates nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision<'p> {
    /// Allow or deny.
    pub effect: Effect,
    /// The first reason that applies.
    pub reason: Reason,
    /// The statement that decided, where one did.
    pub rule: Option<Rule<'p>>,
    /// What the enforcement point must do; known whenever the tool, prompt or resource is.
    pub obligations: Option<Obligations<'p>>,
    /// The facts that were not known, with [`Reason::MissingFact`].
    pub missing: Missing<'p>,
}

impl Decision<'_> {
    /// Whether the effect is allow.
    pub fn is_allow(&self) -> bool {
        self.effect == Effect::Allow
    }
}

/// The answer for a request of which not every fact may be known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict<'p> {
    /// The same answer whatever the unknown facts are.
    Decided(Decision<'p>),
    /// The answer depends on facts that are not known.
    Undecided(Missing<'p>),
}

/// The statement of the policy that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rule<'p> {
    /// What kind of statement.
    pub kind: RuleKind,
    /// Its name; of a tool, prompt or resource the scope-like reference.
    pub name: &'p str,
    /// Where it stands in the source.
    pub position: &'p Position,
}

/// The kinds of statement that can decide a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// `[[grants]]`
    Grant,
    /// `[[denies]]`
    Deny,
    /// `[servers.NAME]`
    Server,
    /// `[servers.NAME.tools.NAME]`, or a prompt or resource
    Item,
    /// `[issuers.NAME]`
    Issuer,
}

impl fmt::Display for RuleKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Grant => "grant",
            Self::Deny => "deny",
            Self::Server => "server",
            Self::Item => "declaration",
            Self::Issuer => "issuer",
        })
    }
}

/// A place in a policy source. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct Position {
    /// The name of the source, as given by whoever loaded it.
    pub file: std::sync::Arc<str>,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What the enforcement point must do with an allowed request, and how it records a denied one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Obligations<'p> {
    /// The audit class of the row.
    pub audit: &'p str,
    /// The rates to hold; each is counted on its own.
    pub rates: &'p [Rate],
    /// The longest life of an upstream credential, in seconds.
    pub credential_ttl: Option<u32>,
}

/// So many requests in so many seconds, counted for each key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many requests.
    pub count: u32,
    /// In how many seconds.
    pub seconds: u32,
    /// What is counted apart.
    pub per: RateKey,
    /// Whether all gateways of one audit store count together, and not each for itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

impl fmt::Display for Rate {
    /// As the policy writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.count)?;
        match self.seconds {
            1 => f.write_str("s")?,
            60 => f.write_str("min")?,
            3_600 => f.write_str("h")?,
            86_400 => f.write_str("d")?,
            seconds => write!(f, "{seconds} s")?,
        }
        write!(f, " per {}", self.per.as_str())?;
        if self.shared { f.write_str(" across gateways") } else { Ok(()) }
    }
}

impl Rate {
    /// The start of the window that an instant lies in. Windows are aligned to 1970-01-01T00:00:00Z.
    pub const fn window(self, at: Timestamp) -> Timestamp {
        let seconds = if self.seconds == 0 { 1 } else { self.seconds as i64 };
        Timestamp(at.0.saturating_sub(at.0.rem_euclid(seconds)))
    }

    /// Whether one more request is over the rate when so many were counted in its window before it.
    pub const fn is_full(self, before: u64) -> bool {
        before >= self.count as u64
    }
}

/// What a rate is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum RateKey {
    /// Issuer and `sub`.
    Subject,
    /// The agent.
    Agent,
    /// Everyone together.
    All,
}

impl RateKey {
    /// The word of the policy for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Agent => "agent",
            Self::All => "all",
        }
    }
}

/// A set of token and subject facts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactSet(u16);

macro_rules! facts {
    ($($name:ident = $bit:literal, $text:literal;)+) => {
        impl FactSet {
            $(#[doc = concat!("The fact `", $text, "`.")] pub const $name: Self = Self(1 << $bit);)+
            const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),+];
        }
    };
}

facts! {
    ISSUER = 0, "issuer";
    SUBJECT = 1, "subject";
    AGENT = 2, "agent";
    GROUPS = 3, "groups";
    CLAIMS = 4, "claims";
    AUDIENCE = 5, "audience";
    SCOPES = 6, "scopes";
    ISSUED_AT = 7, "iat";
    EXPIRES_AT = 8, "exp";
    NOT_BEFORE = 9, "nbf";
    ARGUMENTS = 10, "arguments";
}

impl FactSet {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The facts of both sets.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every fact of `other` is here.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The set as a number.
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    /// The names, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(fact, _)| self.contains(*fact)).map(|(_, name)| *name)
    }
}

/// The facts that an answer lacked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing<'p> {
    /// Which facts.
    pub facts: FactSet,
    /// The first argument path that was asked for and not known, as the policy writes it.
    pub argument: Option<&'p str>,
}

impl Missing<'_> {
    /// Nothing is missing.
    pub const NONE: Missing<'static> = Missing { facts: FactSet::NONE, argument: None };

    /// Whether nothing is missing.
    pub const fn is_empty(self) -> bool {
        self.facts.is_empty()
    }
}
