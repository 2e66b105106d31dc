//! From the text of a token to its facts, with keys that are fetched, refreshed and remembered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::MAX_TOKEN;
use super::cache::TokenCache;
use super::compact::Unverified;
use super::fetch::Fetch;
use super::refused::Refused;
use super::ring::{KeyTimes, Known, Ring, RingStatus};
use super::verified::Verified;
use crate::model::Timestamp;
use crate::policy::set::{Issuer, PolicySet};

/// How much is remembered, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// When keys are asked for, and how long they last.
    pub keys: KeyTimes,
    /// How many bytes of verified tokens are remembered; 0 for none. About 1 KiB holds one token.
    pub cache: u64,
}

impl Default for Limits {
    /// The times of [`KeyTimes::default`] and 16 MiB.
    fn default() -> Self {
        Self { keys: KeyTimes::default(), cache: 16 << 20 }
    }
}

/// Why there are no facts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotVerified {
    /// The token is not believed. A caller is told 401 and `invalid_token`.
    Refused(Refused),
    /// Nobody can say: the keys of its issuer cannot be had. A caller is told 503.
    Unavailable,
}

impl NotVerified {
    /// The stable kebab-case code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Refused(refused) => refused.code(),
            Self::Unavailable => "token-keys-unavailable",
        }
    }
}

impl fmt::Display for NotVerified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refused) => refused.fmt(f),
            Self::Unavailable => write!(f, "the keys of the token's issuer cannot be had ({})", self.code()),
        }
    }
}

impl std::error::Error for NotVerified {}

impl From<Refused> for NotVerified {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Verifies tokens of the issuers of one policy. Cheap to clone; clones share keys and cache.
///
/// Whether a token is for this door and still fresh is judged by `pdp` from the facts that this gives.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    /// By the `iss` of their tokens.
    rings: BTreeMap<String, Arc<Ring>>,
    fetch: Arc<dyn Fetch>,
    limits: Limits,
    cache: TokenCache,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("rings", &self.0.rings.values()).field("cache", &self.0.cache).finish()
    }
}

impl Verifier {
    /// A verifier for the issuers of a policy. It fetches nothing before it must.
    pub fn new(policy: &PolicySet, fetch: Arc<dyn Fetch>, limits: Limits) -> Self {
        Self::with(policy, fetch, limits, TokenCache::new(limits.cache), |_, _| None)
    }

    /// A verifier for the issuers of another policy. An issuer that is declared as before keeps its
    /// keys and remembered tokens; of any other nothing is left.
    #[must_use]
    pub fn for_policy(&self, policy: &PolicySet) -> Self {
        let Inner { rings, fetch, limits, cache } = &*self.0;
        let kept = |name: &str, issuer: &Issuer| {
            rings.get(&issuer.url).filter(|ring| ring.name() == name && ring.issuer() == issuer).cloned()
        };
        Self::with(policy, Arc::clone(fetch), *limits, cache.clone(), kept)
    }

    fn with(
        policy: &PolicySet,
        fetch: Arc<dyn Fetch>,
        limits: Limits,
        cache: TokenCache,
        kept: impl Fn(&str, &Issuer) -> Option<Arc<Ring>>,
    ) -> Self {
        let mut rings = BTreeMap::new();
        for (name, issuer) in &policy.issuers {
            let new = || Ring::new(name.clone(), issuer.clone(), Arc::clone(&fetch), limits.keys);
            // Of two that claim one `iss`, the first by name, as `Unverified::issuer` has it.
            rings.entry(issuer.url.clone()).or_insert_with(|| kept(name, issuer).unwrap_or_else(new));
        }
        Self(Arc::new(Inner { rings, fetch, limits, cache }))
    }

    /// The facts of a token, if a key of its issuer signed it. Must run in a tokio runtime.
    ///
    /// # Errors
    ///
    /// When the token is not believed, or when nobody can say.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<Verified>, NotVerified> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::TooLarge.into());
        }
        let Inner { rings, cache, .. } = &*self.0;
        let name = TokenCache::name(token);
        if let Some(entry) = cache.get(&name, now) {
            let ring = rings.values().find(|ring| ring.name() == entry.verified.issuer());
            if ring.and_then(Ring::current).is_some_and(|known| Arc::ptr_eq(&known.era, &entry.era)) {
                return Ok(entry.verified);
            }
            cache.forget(&name);
        }
        let unverified = Unverified::read(token)?;
        let ring = rings.get(unverified.stated_issuer()?).ok_or(Refused::Issuer)?;
        let mut known = ring.keys().await.ok_or(NotVerified::Unavailable)?;
        let verify = |known: &Known| unverified.verify(ring.name(), ring.issuer(), &known.keys);
        let mut verified = verify(&known);
        if verified.as_ref().is_err_and(|refused| *refused == Refused::UnknownKey) {
            match ring.newer(&known).await {
                Ok(Some(newer)) => known = newer,
                Ok(None) => return Err(Refused::UnknownKey.into()),
                Err(_) => return Err(NotVerified::Unavailable),
            }
            verified = verify(&known);
        }
        let verified = verified?;
        let verified = Arc::new(verified);
        cache.keep(name, Arc::clone(&verified), Arc::clone(&known.era), now);
        Ok(verified)
    }

    /// Fetches the keys of every issuer that has none yet, all at once. Says how each fared.
    pub async fn prepare(&self) -> Vec<RingStatus> {
        futures_util::future::join_all(self.0.rings.values().map(Ring::keys)).await;
        self.status()
    }

    /// What an operator may want to know of the keys of each issuer.
    pub fn status(&self) -> Vec<RingStatus> {
        self.0.rings.values().map(|ring| ring.status()).collect()
    }
}
