//! The development issuer: tokens for a first run and for tests, with no identity provider.
//!
//! Whoever can reach it gets any token that they ask for. So it is on loopback only, it serves only
//! an issuer that the policy declares there, and it says what it is wherever its name is seen: its
//! `iss` ends with [`PATH`], the `kid` of its keys begins with [`KID`], and each token has the claim
//! `doorward_development`. It is never part of a decision: its tokens are verified like any other's.

mod ask;
mod endpoint;
mod keys;
mod mint;

use std::fmt;

use reqwest::Url;

pub use ask::{NoToken, ask};
pub use endpoint::MAX_BODY;
pub use keys::DevKeys;
pub use mint::Wanted;

use super::refused::refusals;
use crate::policy::is_loopback;
use crate::policy::set::{Algorithm, Issuer, PolicySet};

/// What the URL of the development issuer ends with.
pub const PATH: &str = "/dev-issuer";
/// What the `kid` of its keys begins with.
pub const KID: &str = "doorward-development-";
/// The claim that its tokens have.
pub const CLAIM: &str = "doorward_development";
/// What to write in a log when it is used.
pub const WARNING: &str =
    "DEVELOPMENT ISSUER: whoever reaches it gets any token that it is asked for; never use it in production";

refusals! {
    /// Why there is no development issuer, or no token of it.
    DevError:
    /// The policy has no such issuer, or several and none was named.
    Undeclared = "dev-issuer-undeclared", "the policy declares no issuer that can be the development issuer";
    /// The issuer's URL is not one that the development issuer may have.
    Url = "dev-issuer-url", "the `url` of the development issuer must be `http://127.0.0.1:PORT/dev-issuer`, without another place for its keys";
    /// Neither `EdDSA` nor `ES256` is accepted for the issuer.
    Algorithm = "dev-issuer-algorithm", "the development issuer signs with `EdDSA` or `ES256`, and the policy accepts neither";
    /// A socket that is not on loopback, or not at the issuer's port.
    Listener = "dev-issuer-listener", "the development issuer listens on loopback and nowhere else, at the port of its URL";
    /// A key file that cannot be used.
    Keys = "dev-keys-malformed", "the file does not hold the keys of a development issuer";
    /// The cryptographic library refused.
    Crypto = "dev-crypto", "the cryptographic library refused";
    /// A running development issuer that does not answer.
    Unreachable = "dev-issuer-unreachable", "no development issuer answers at the issuer's URL";
    /// A running development issuer that gives no token.
    Refused = "dev-issuer-refused", "the development issuer gives no such token";
    /// A lifetime of nothing, or longer than the issuer's `max_lifetime`.
    Lifetime = "dev-token-lifetime", "the lifetime is nothing or longer than the `max_lifetime` of the issuer";
    /// A claim that the mapping of the policy has no place for, or too many.
    Claims = "dev-token-claims", "a fact has no place in the claims that the policy maps, or a value cannot be one";
}

/// The development issuer of a policy.
pub struct DevIssuer {
    name: String,
    declared: Issuer,
    url: Url,
    keys: DevKeys,
    /// The identifiers of the doors that accept it.
    resources: Vec<String>,
}

impl fmt::Debug for DevIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevIssuer").field("url", &self.declared.url).finish_non_exhaustive()
    }
}

impl DevIssuer {
    /// The name of the issuer that is declared as a development issuer, if exactly one is.
    ///
    /// # Errors
    ///
    /// When there is none or more than one.
    pub fn find(policy: &PolicySet) -> Result<&str, DevError> {
        let mut found = policy.issuers.iter().filter(|(_, issuer)| served_at(issuer).is_ok());
        match (found.next(), found.next()) {
            (Some((name, _)), None) => Ok(name),
            _ => Err(DevError::Undeclared),
        }
    }

    /// The development issuer that the policy declares under that name.
    ///
    /// # Errors
    ///
    /// When it is not declared, or not as a development issuer.
    pub fn new(policy: &PolicySet, name: &str, keys: DevKeys) -> Result<Self, DevError> {
        Self::check(policy, name)?;
        let declared = policy.issuers.get(name).ok_or(DevError::Undeclared)?;
        let url = served_at(declared)?;
        let accepts = |issuers: &Option<Vec<String>>| {
            issuers.as_ref().is_none_or(|issuers| issuers.iter().any(|issuer| issuer == name))
        };
        let doors = policy.servers.values().filter(|server| accepts(&server.issuers));
        let resources = match declared.audiences.as_slice() {
            [] => doors.map(|server| server.resource.clone()).collect(),
            audiences => audiences.to_vec(),
        };
        Ok(Self { name: name.to_owned(), declared: declared.clone(), url, keys, resources })
    }

    /// Whether the policy declares that issuer as a development issuer.
    ///
    /// # Errors
    ///
    /// As [`DevIssuer::new`].
    pub fn check(policy: &PolicySet, name: &str) -> Result<(), DevError> {
        let declared = policy.issuers.get(name).ok_or(DevError::Undeclared)?;
        served_at(declared)?;
        if signing(declared).is_some() { Ok(()) } else { Err(DevError::Algorithm) }
    }

    /// The name of the issuer in the policy.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `iss` of its tokens.
    pub fn url(&self) -> &str {
        &self.declared.url
    }

    /// The host and port to listen on.
    pub fn listen(&self) -> (&str, u16) {
        let host = self.url.host_str().unwrap_or("127.0.0.1");
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        (bare, self.url.port().unwrap_or(80))
    }

    /// The algorithm that it signs with.
    fn algorithm(&self) -> Algorithm {
        signing(&self.declared).unwrap_or(Algorithm::EdDSA)
    }
}

fn signing(issuer: &Issuer) -> Option<Algorithm> {
    [Algorithm::EdDSA, Algorithm::ES256].into_iter().find(|algorithm| issuer.algorithms.contains(algorithm))
}

/// The URL of an issuer that is declared as a development issuer.
fn served_at(issuer: &Issuer) -> Result<Url, DevError> {
    use crate::policy::set::{KeySource, Network};
    let url = Url::parse(&issuer.url).map_err(|_| DevError::Url)?;
    // To the letter: `iss` is compared as text, so a spelling that a parser changes would never match.
    let plain = url.as_str() == issuer.url && url.scheme() == "http" && url.path() == PATH && url.query().is_none();
    let loopback = is_loopback(&issuer.url) && issuer.network == Network::Public;
    let keys = matches!(issuer.keys, KeySource::Discovery) || matches!(issuer.keys, KeySource::File(_));
    if plain && loopback && keys && url.port().is_some() { Ok(url) } else { Err(DevError::Url) }
}
