//! The codes of problems: stable, kebab-case, each with a page in `docs/codes/`.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Severity;

macro_rules! codes {
    ($($variant:ident = $code:literal, $severity:ident, $summary:literal;)+) => {
        /// What kind of problem. A code is never reused for another meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $(#[doc = $summary] $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as written in reports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $code,)+
                }
            }

            /// How bad it is.
            pub const fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)+
                }
            }

            /// One line that says what the code stands for.
            pub const fn summary(self) -> &'static str {
                match self {
                    $(Self::$variant => $summary,)+
                }
            }

            /// The page that explains it, as Markdown.
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => {
                        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/codes/", $code, ".md"))
                    })+
                }
            }
        }
    };
}

codes! {
    NotUtf8 = "not-utf8", Error, "the file is not UTF-8 text";
    TooLarge = "too-large", Error, "the file or a list in it is larger than the limit";
    TomlSyntax = "toml-syntax", Error, "the file is not TOML";
    UnknownVersion = "unknown-version", Error, "the language version is not one this build reads";
    UnknownKey = "unknown-key", Error, "a key that the language does not have";
    MissingKey = "missing-key", Error, "a key that must be there is not";
    WrongType = "wrong-type", Error, "a value of another type than the key takes";
    InvalidValue = "invalid-value", Error, "a value outside what the key takes";
    InvalidName = "invalid-name", Error, "a name with characters that a scope or reference cannot hold";
    InvalidPattern = "invalid-pattern", Error, "a glob, item reference or argument path that cannot be read";
    InvalidMatcher = "invalid-matcher", Error, "an argument matcher that cannot be read";
    OptionalInDeny = "optional-in-deny", Error, "a deny that a missing argument is to escape";
    EmptyRange = "empty-range", Error, "limits that no value can meet";
    EmptySelector = "empty-selector", Error, "a grant that does not say to whom";
    EmptyStatement = "empty-statement", Error, "a statement that names nothing";
    DuplicateName = "duplicate-name", Error, "two things where one name must mean one";
    UnusedArgs = "unused-args", Error, "argument rules for items that the statement is not about";
    UnknownIssuer = "unknown-issuer", Error, "an issuer that is not declared";
    UnknownServer = "unknown-server", Error, "a server that is not declared";
    UnknownItem = "unknown-item", Error, "a tool, prompt or resource that is not declared";
    UnknownGroup = "unknown-group", Error, "a group that no issuer lists";
    UnknownClaim = "unknown-claim", Error, "a claim that no issuer maps";
    UnknownScope = "unknown-scope", Error, "a scope that nothing is carried by";
    UnknownStatement = "unknown-statement", Error, "a grant or deny that the policy does not have";
    UnknownAuditClass = "unknown-audit-class", Error, "an audit class without a retention";
    ScopeCycle = "scope-cycle", Error, "bundles that contain each other";
    ScopeConflict = "scope-conflict", Error, "a bundle with the name of an item's own scope";
    ContradictoryTtl = "contradictory-ttl", Error, "lifetimes that contradict each other";
    CallerWithoutIdentity = "caller-without-identity", Error, "a calling server that has no identity";
    SecretInPolicy = "secret-in-policy", Error, "a secret where a reference must stand";
    EnvironmentSetsPolicy = "environment-sets-policy", Error, "an environment variable that would change who may do what";
    InvariantFails = "invariant-fails", Error, "a request that an invariant forbids is allowed";
    ShadowedGrant = "shadowed-grant", Warning, "a grant that adds nothing to the others";
    DeadGrant = "dead-grant", Warning, "a grant that no request can use";
    UnsatisfiableArgs = "unsatisfiable-args", Warning, "a matcher on an argument that another one rules out";
    UnusedScope = "unused-scope", Warning, "a bundle or item that no grant reaches";
    RiskyWildcard = "risky-wildcard", Warning, "a wildcard that covers a risky tool";
    ExpiredStatement = "expired-statement", Warning, "a statement that has expired";
    EmptyTest = "empty-test", Warning, "a test that asserts nothing";
    AnyIssuer = "any-issuer", Warning, "a grant that takes the word of every issuer";
    SimilarGroup = "similar-group", Warning, "a group whose name is almost that of another";
    GlobStopsAtSlash = "glob-stops-at-slash", Warning, "a deny whose `*` stops at a slash";
    DenyNeedsEvery = "deny-needs-every", Warning, "a deny that holds only when every element matches";
    NotServed = "not-served", Warning, "a declared tool or prompt that the server does not list";
    NotDeclared = "not-declared", Warning, "something that the server lists and the policy does not declare";
    UnknownArgument = "unknown-argument", Warning, "a rule on an argument that the tool does not have";
    ArgumentType = "argument-type", Warning, "a rule on an argument that is never of its type";
    RedactedArgument = "redacted-argument", Warning, "a rule on an argument that is kept nowhere";
    AnalysisLimit = "analysis-limit", Warning, "a question that was too large to answer within the limit";
}

impl Code {
    /// The code of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// Where its page is, from the root of the repository.
    pub fn page_path(self) -> String {
        format!("docs/codes/{self}.md")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_kebab_case_and_each_stands_for_one_thing() {
        let names: BTreeSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for &code in Code::ALL {
            assert!(code.as_str().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
            assert_eq!(Code::parse(code.as_str()), Some(code));
        }
    }
}
