//! Any text as an access token: no panic, and nothing is believed but what the issuer signed.
//!
//! The input is a token as it stands, or, after a first byte of 0, a header and claims in JSON with a 0 between
//! them, which get the signature of a good token.
#![no_main]

#[path = "guarded/mod.rs"]
#[expect(dead_code, reason = "a token meets no server here")]
mod guarded;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward::identity::Verifier;
use libfuzzer_sys::fuzz_target;

static WORLD: LazyLock<(tokio::runtime::Runtime, Verifier, String)> = LazyLock::new(|| {
    let (verifier, issuer, _) = guarded::verifier();
    let token = guarded::token(&issuer);
    let runtime = guarded::runtime();
    assert!(runtime.block_on(verifier.verify(&token, guarded::NOW)).is_ok(), "a good token is believed");
    (runtime, verifier, token)
});

fuzz_target!(|data: &[u8]| {
    let (runtime, verifier, good) = &*WORLD;
    let token = match data.split_first() {
        Some((0, rest)) => {
            let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            let (header, claims) = rest.split_at(end);
            let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
            let signature = good.rsplit('.').next().unwrap_or_default();
            format!("{}.{}.{signature}", part(header), part(claims.get(1..).unwrap_or_default()))
        }
        _ => String::from_utf8_lossy(data).into_owned(),
    };
    if token != *good {
        assert!(runtime.block_on(verifier.verify(&token, guarded::NOW)).is_err(), "{token}");
    }
});
