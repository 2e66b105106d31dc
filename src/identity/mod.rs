//! Who asks: from a compact JWT access token (RFC 9068, RFC 8725) to the facts that a policy reads.
//!
//! The order is held by types: [`Unverified`] names an issuer and nothing else; only its `verify`
//! with the keys of that issuer gives a [`Verified`], and only that gives facts. No algorithm, key or
//! address is ever taken from a token, no symmetric key is ever used, and no token or claim is ever
//! part of an error or of `Debug`. Whether the token is for this door and still fresh is judged by
//! `pdp` from the facts, like everything else.

mod cache;
mod claims;
mod compact;
pub mod dev;
pub mod fetch;
mod keys;
mod metadata;
mod refused;
mod ring;
mod verified;
mod verifier;

pub use compact::Unverified;
pub use fetch::{Fetch, FetchError};
pub use keys::{Key, KeySet, MAX_KEYS};
pub use refused::{Refused, RefusedKey};
pub use ring::{KeyTimes, RingStatus};
pub use verified::Verified;
pub use verifier::{Limits, NotVerified, Verifier};

/// Makes the process ready for TLS and signatures, once. Every constructor here that needs it calls it.
pub fn ensure_crypto() {
    // An error means that a provider is installed already: that of whoever embeds this crate.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The longest token that is read, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;
