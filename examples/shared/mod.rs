//! What the examples of the guard have in common: a policy, and everything that a program brings along.
//!
//! In production the tokens come from an identity provider: build the `Verifier` with
//! `identity::fetch::Web`, which finds an issuer's keys by HTTPS.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use doorward::audit::{Journal, JournalOptions};
use doorward::identity::dev::{DevIssuer, DevKeys, Wanted};
use doorward::identity::fetch::{Given, Place};
use doorward::identity::{Limits, Verifier};
use doorward::model::Timestamp;
use doorward::pep::{Guard, Surroundings};
use doorward::policy::{Layers, load};
use secrecy::ExposeSecret as _;

const POLICY: &str = r#"
version = 1
[issuers.dev]
url = "http://127.0.0.1:8790/dev-issuer"
jwks_file = "dev-jwks.json"
[servers.notes]
url = "http://127.0.0.1:9001/mcp"
[servers.notes.tools.search]
args = { limit = { max = 10 } }
[servers.notes.tools.delete]
[[grants]]
to = { subjects = ["ana"] }
allow = ["notes:search"]
"#;

/// A guard of the policy above, and a token of `ana` for the door `notes`.
pub(crate) fn guard(log: &str) -> Result<(Guard, String), Box<dyn Error>> {
    let layers = Layers { files: vec![("policies.toml".to_owned(), POLICY.into())], environment: Vec::new() };
    let policy = load(&layers).policy.ok_or("the policy has errors")?.compiled;
    let clock = || Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs().cast_signed()));
    let keys = DevKeys::generate()?;
    let fetch = Given([(Place::File("dev-jwks.json".to_owned()), keys.jwks().into_bytes())].into());
    let issuer = DevIssuer::new(policy.set(), "dev", keys)?;
    let wanted = Wanted {
        subject: "ana".to_owned(),
        scopes: vec!["notes:search".to_owned()],
        audience: vec!["http://127.0.0.1:8787/notes/mcp".to_owned()],
        lifetime: 300,
        ..Wanted::default()
    };
    let token = issuer.mint(&wanted, clock())?.expose_secret().to_owned();
    let verifier = Verifier::new(policy.set(), Arc::new(fetch), Limits::default());
    let path = std::env::temp_dir().join(format!("doorward-{log}-{}.jsonl", std::process::id()));
    let journal = Journal::open(&path, &JournalOptions::default())?;
    let mut key = [0; 32];
    aws_lc_rs::rand::fill(&mut key)?;
    let count = AtomicU64::new(0);
    let surroundings = Surroundings {
        clock: Arc::new(clock),
        ids: Arc::new(move || format!("r-{}", count.fetch_add(1, Ordering::Relaxed))),
        key,
        other_keys: Vec::new(),
        shared_rates: None,
        limits: doorward::pep::Limits::default(),
        tracer: None,
    };
    Ok((Guard::new(policy, verifier, Arc::new(journal), surroundings), token))
}
