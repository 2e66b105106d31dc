//! Tokens that were verified, so that the next request with the same token costs a hash.
//!
//! A token is remembered by its SHA-256, with its facts and never with its text. An entry counts
//! until the token ends, and only in the [era](super::ring::Era) of its keys: once a key is taken
//! away, the issuer is declared otherwise or its keys cannot be had, it counts no more.
//! Only tokens that verified are remembered, so that nobody without one can fill the cache.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use sha2::{Digest as _, Sha256};

use super::ring::Era;
use super::verified::Verified;
use crate::model::Timestamp;

/// What an entry takes beside its facts, in bytes: its key, its pointers and the cache's own notes.
const OVERHEAD: usize = 512;
/// Entries that nobody asked for go after this long. Only to give memory back.
const IDLE: Duration = Duration::from_mins(10);

/// The hash of a token.
pub(super) type Name = [u8; 32];

/// The tokens that verified.
#[derive(Clone)]
pub(super) struct TokenCache(Cache<Name, Entry>);

/// A token that verified.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) verified: Arc<Verified>,
    pub(super) era: Arc<Era>,
    ends: Timestamp,
}

impl fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenCache").field("entries", &self.0.entry_count()).finish_non_exhaustive()
    }
}

impl TokenCache {
    /// A cache of so many bytes, none for 0.
    pub(super) fn new(bytes: u64) -> Self {
        let weight = |_: &Name, entry: &Entry| u32::try_from(entry.verified.size() + OVERHEAD).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(bytes).weigher(weight).time_to_idle(IDLE).build())
    }

    /// The name that a token is remembered by.
    pub(super) fn name(token: &str) -> Name {
        Sha256::digest(token.as_bytes()).into()
    }

    /// The entry of a token that has not ended.
    pub(super) fn get(&self, name: &Name, now: Timestamp) -> Option<Entry> {
        let entry = self.0.get(name)?;
        if now < entry.ends {
            return Some(entry);
        }
        self.forget(name);
        None
    }

    /// Remembers a token, if it says when it ends and has not ended.
    pub(super) fn keep(&self, name: Name, verified: Arc<Verified>, era: Arc<Era>, now: Timestamp) {
        if let Some(ends) = verified.expires_at().filter(|ends| now < *ends) {
            self.0.insert(name, Entry { verified, era, ends });
        }
    }

    /// Forgets a token.
    pub(super) fn forget(&self, name: &Name) {
        self.0.invalidate(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_ends_with_its_token() {
        let cache = TokenCache::new(64 << 10);
        let era = Arc::new(Era::default());
        let verified = |ends: Option<i64>| Arc::new(Verified::of("corp", "ana", ends.map(Timestamp)));
        for n in 0..10_000 {
            let name = TokenCache::name(&format!("token {n}"));
            cache.keep(name, verified(Some(100)), Arc::clone(&era), Timestamp(0));
        }
        cache.0.run_pending_tasks();
        assert!(cache.0.weighted_size() <= 64 << 10 && cache.0.entry_count() < 128, "{cache:?}");
        let cache = TokenCache::new(64 << 10);
        let name = TokenCache::name("a");
        cache.keep(name, verified(None), Arc::clone(&era), Timestamp(0));
        cache.keep(name, verified(Some(100)), Arc::clone(&era), Timestamp(100));
        assert!(cache.get(&name, Timestamp(0)).is_none(), "one that does not end, or has ended, is not remembered");
        cache.keep(name, verified(Some(100)), Arc::clone(&era), Timestamp(99));
        assert!(cache.get(&name, Timestamp(99)).is_some());
        assert!(cache.get(&name, Timestamp(100)).is_none());
        assert!(cache.get(&name, Timestamp(99)).is_none(), "forgotten, whatever the clock says later");
    }
}
