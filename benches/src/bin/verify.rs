//! The cost of one verification of an access token: remembered, and with its signature checked.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml --features guard --bin verify`

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward::identity::dev::{DevIssuer, DevKeys, Wanted};
use doorward::identity::fetch::{Given, Place};
use doorward::identity::{Limits, Verifier};
use doorward::model::Timestamp;
use doorward::policy::{Layers, load};
use secrecy::ExposeSecret;

/// How many tokens take turns.
const TOKENS: usize = 1_000;
/// How many passes over them; the fastest counts.
const PASSES: usize = 30;
const NOW: Timestamp = Timestamp(1_700_000_000);

fn main() {
    println!("| algorithm | token, bytes | verified | remembered |\n| --- | --- | --- | --- |");
    for algorithm in ["EdDSA", "ES256"] {
        measure(algorithm);
    }
}

fn measure(algorithm: &str) {
    let text = format!(
        "version = 1\n[issuers.dev]\nurl = \"http://127.0.0.1:8790/dev-issuer\"\njwks_file = \"keys.json\"\n\
         algorithms = [\"{algorithm}\"]\n[servers.desk]\nurl = \"http://127.0.0.1:9001/mcp\"\n"
    );
    let layers = Layers { files: vec![("policies.toml".into(), text.into_bytes())], environment: Vec::new() };
    let policy = load(&layers).policy.expect("the policy is good").compiled;
    let keys = DevKeys::generate().expect("there is randomness");
    let mut given = Given::default();
    given.0.insert(Place::File("keys.json".into()), keys.jwks().into_bytes());
    let issuer = DevIssuer::new(policy.set(), "dev", keys).expect("the issuer is declared");
    let tokens: Vec<String> = (0..TOKENS)
        .map(|n| {
            let wanted = Wanted {
                subject: format!("user-{n}"),
                agent: Some("desk-assistant".into()),
                groups: (0..5).map(|group| format!("group-{}", n % 7 + group)).collect(),
                scopes: ["desk:find", "desk:pay", "desk:read"].map(str::to_owned).to_vec(),
                audience: vec!["http://127.0.0.1:8787/desk/mcp".into()],
                lifetime: 3_600,
                ..Wanted::default()
            };
            issuer.mint(&wanted, NOW).expect("the token is good").expose_secret().to_owned()
        })
        .collect();
    let given = Arc::new(given);
    let verifier = |cache| Verifier::new(policy.set(), Arc::clone(&given) as _, Limits { cache, ..Limits::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("there is a runtime");
    let fastest = |verifier: &Verifier| {
        let pass = || {
            let start = Instant::now();
            runtime.block_on(async {
                for token in &tokens {
                    verifier.verify(token, NOW).await.expect("the token is good");
                }
            });
            start.elapsed()
        };
        pass();
        (0..PASSES).map(|_| pass()).min().unwrap_or(Duration::ZERO)
    };
    let each = |total: Duration| total.as_secs_f64() * 1e6 / TOKENS as f64;
    let (verified, remembered) = (each(fastest(&verifier(0))), each(fastest(&verifier(16 << 20))));
    println!("| {algorithm} | {} | {verified:.1} µs | {remembered:.2} µs |", tokens[0].len());
}
