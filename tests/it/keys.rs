//! The keys of issuers over time: rotation, failures, floods, and what is remembered of tokens.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward::identity::fetch::{Fetched, Given, Network, Place};
use doorward::identity::{Fetch, FetchError, Limits, NotVerified, Refused, Verifier};
use doorward::model::Timestamp;
use doorward::policy::set::{Algorithm, KeySource, PolicySet};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::advance;

use crate::identity::{Signer, claims, header, issuer, with};

const OIDC: &str = "https://login.example.com/realms/a/.well-known/openid-configuration";
const RFC8414: &str = "https://login.example.com/.well-known/oauth-authorization-server/realms/a";
const NOW: Timestamp = Timestamp(1200);

/// An issuer behind a network that a test can cut.
#[derive(Default)]
struct Wire {
    documents: Mutex<BTreeMap<String, (Value, Option<u64>)>>,
    down: AtomicBool,
    asked: AtomicUsize,
    slow: Mutex<Duration>,
}

impl Wire {
    fn publish(&self, jwks: &Value) {
        self.documents.lock().unwrap().insert("keys.json".into(), (jwks.clone(), None));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Fetch for Wire {
    fn fetch<'a>(&'a self, place: &'a Place) -> futures_util::future::BoxFuture<'a, Result<Fetched, FetchError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let slow = *self.slow.lock().unwrap();
            tokio::time::sleep(slow).await;
            if self.down.load(Ordering::SeqCst) {
                return Err(FetchError::Unreachable);
            }
            let documents = self.documents.lock().unwrap();
            let (document, fresh) = documents.get(&place.to_string()).ok_or(FetchError::NotFound)?;
            Ok(Fetched { bytes: document.to_string().into_bytes(), fresh_for: fresh.map(Duration::from_secs) })
        })
    }
}

/// A policy with one issuer whose keys are in a file of the wire.
fn policy() -> PolicySet {
    let mut set = PolicySet::default();
    let mut issuer = issuer();
    issuer.keys = KeySource::File("keys.json".into());
    set.issuers.insert("corp".into(), issuer);
    set
}

fn verifier(wire: &Arc<Wire>) -> Verifier {
    Verifier::new(&policy(), Arc::clone(wire) as Arc<dyn Fetch>, Limits::default())
}

/// A token with the key of that `kid`.
fn token(signer: &Signer, kid: &str) -> String {
    signer.sign(&with(header(), &json!({ "kid": kid })), &claims())
}

/// What the signer publishes, with its first key under that `kid`.
fn named(signer: &Signer, kid: &str) -> Value {
    json!({ "keys": [with(signer.jwks["keys"][0].clone(), &json!({ "kid": kid }))] })
}

const UNKNOWN: Result<(), NotVerified> = Err(NotVerified::Refused(Refused::UnknownKey));

async fn outcome(verifier: &Verifier, token: &str) -> Result<(), NotVerified> {
    verifier.verify(token, NOW).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_once_however_many_ask() {
    let (signer, wire) = (Signer::new(), Arc::new(Wire::default()));
    wire.publish(&signer.jwks);
    *wire.slow.lock().unwrap() = Duration::from_secs(1);
    let verifier = verifier(&wire);
    let tokens: Vec<String> =
        (0..50).map(|n| signer.sign(&header(), &with(claims(), &json!({ "jti": n.to_string() })))).collect();
    let all = futures_util::future::join_all(tokens.iter().map(|token| outcome(&verifier, token))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(wire.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_found_at_once_and_a_flood_of_unknown_ones_asks_once_an_interval() {
    let (old, new, wire) = (Signer::new(), Signer::new(), Arc::new(Wire::default()));
    wire.publish(&named(&old, "old"));
    let verifier = verifier(&wire);
    assert_eq!(outcome(&verifier, &token(&old, "old")).await, Ok(()));
    advance(Duration::from_secs(20)).await;
    let mut both = named(&old, "old");
    both["keys"].as_array_mut().unwrap().push(named(&new, "new")["keys"][0].clone());
    wire.publish(&both);
    assert_eq!(outcome(&verifier, &token(&new, "new")).await, Ok(()));
    assert_eq!(wire.asked(), 2);
    for n in 0..200 {
        assert_eq!(outcome(&verifier, &token(&new, &format!("../{n}"))).await, UNKNOWN);
        advance(Duration::from_millis(100)).await;
    }
    // Not in the first 10 seconds, and then once in 10.
    assert_eq!(wire.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_taken_away_verifies_nothing_any_more_not_even_what_is_remembered() {
    let (old, new, wire) = (Signer::new(), Signer::new(), Arc::new(Wire::default()));
    wire.publish(&named(&old, "old"));
    let verifier = verifier(&wire);
    assert_eq!(outcome(&verifier, &token(&old, "old")).await, Ok(()));
    wire.publish(&named(&new, "new"));
    advance(Duration::from_secs(20)).await;
    // Not yet known: the keys are fresh for five minutes.
    assert_eq!(outcome(&verifier, &token(&old, "old")).await, Ok(()));
    // A token with the new key brings the news.
    assert_eq!(outcome(&verifier, &token(&new, "new")).await, Ok(()));
    assert_eq!(outcome(&verifier, &token(&old, "old")).await, UNKNOWN);
    // The same `kid` with another key is another key.
    wire.publish(&named(&old, "new"));
    advance(Duration::from_secs(301)).await;
    let _ = outcome(&verifier, &token(&new, "new")).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(outcome(&verifier, &token(&new, "new")).await, Err(NotVerified::Refused(Refused::Signature)));
}

#[tokio::test(start_paused = true)]
async fn known_keys_outlive_their_issuer_for_a_bounded_time_and_recover_by_themselves() {
    let (signer, wire) = (Signer::new(), Arc::new(Wire::default()));
    let verifier = verifier(&wire);
    // Down from the start: nobody can say, and nobody asks more than once an interval.
    wire.down.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Err(NotVerified::Unavailable));
        advance(Duration::from_secs(1)).await;
    }
    assert_eq!(wire.asked(), 2);
    assert_eq!(verifier.status()[0].failed, Some(FetchError::Unreachable));
    wire.publish(&signer.jwks);
    wire.down.store(false, Ordering::SeqCst);
    assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Ok(()));
    assert_eq!((verifier.status()[0].keys, verifier.status()[0].failed), (2, None));
    // Down again: five minutes fresh, an hour stale, and then nobody can say.
    wire.down.store(true, Ordering::SeqCst);
    for _ in 0..65 {
        assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Ok(()));
        advance(Duration::from_secs(59)).await;
    }
    assert_eq!(
        outcome(&verifier, &token(&signer, "another")).await,
        Err(NotVerified::Unavailable),
        "whether it exists is unknown"
    );
    advance(Duration::from_secs(66)).await;
    assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Err(NotVerified::Unavailable), "remembered or not");
    wire.down.store(false, Ordering::SeqCst);
    advance(Duration::from_secs(10)).await;
    assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_takes_nothing_from_the_others() {
    let (signer, wire) = (Signer::new(), Arc::new(Wire::default()));
    wire.publish(&signer.jwks);
    *wire.slow.lock().unwrap() = Duration::from_secs(2);
    let verifier = verifier(&wire);
    let token = token(&signer, "ed");
    let (impatient, patient) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(1), outcome(&verifier, &token)),
        outcome(&verifier, &token)
    );
    assert!(impatient.is_err());
    assert_eq!((patient, wire.asked()), (Ok(()), 1));
}

/// Breaks the first time that it is asked.
struct Breaks(Arc<Wire>);

impl Fetch for Breaks {
    fn fetch<'a>(&'a self, place: &'a Place) -> futures_util::future::BoxFuture<'a, Result<Fetched, FetchError>> {
        assert!(self.0.asked() > 0 || self.0.down.swap(true, Ordering::SeqCst), "the first time");
        self.0.down.store(false, Ordering::SeqCst);
        self.0.fetch(place)
    }
}

#[tokio::test(start_paused = true)]
async fn what_fetches_may_break_and_is_asked_again() {
    let (signer, wire) = (Signer::new(), Arc::new(Wire::default()));
    wire.publish(&signer.jwks);
    let verifier = Verifier::new(&policy(), Arc::new(Breaks(Arc::clone(&wire))), Limits::default());
    assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Err(NotVerified::Unavailable));
    assert_eq!(verifier.status()[0].failed, Some(FetchError::Stopped));
    advance(Duration::from_secs(10)).await;
    assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn an_issuer_that_never_answers_is_given_up_after_a_bounded_time() {
    let (signer, wire) = (Signer::new(), Arc::new(Wire::default()));
    wire.publish(&signer.jwks);
    *wire.slow.lock().unwrap() = Duration::from_hours(1);
    let verifier = verifier(&wire);
    let start = tokio::time::Instant::now();
    assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Err(NotVerified::Unavailable));
    assert_eq!(start.elapsed(), Duration::from_secs(5));
    assert_eq!(verifier.status()[0].failed, Some(FetchError::TimedOut));
}

#[tokio::test(start_paused = true)]
async fn a_source_says_how_long_its_keys_are_fresh_within_bounds() {
    for (said, fresh) in [(Some(1), 60), (Some(600), 600), (Some(10_000_000), 3600), (None, 300)] {
        let (signer, wire) = (Signer::new(), Arc::new(Wire::default()));
        wire.documents.lock().unwrap().insert("keys.json".into(), (signer.jwks.clone(), said));
        let verifier = verifier(&wire);
        assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Ok(()));
        advance(Duration::from_secs(fresh - 1)).await;
        assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Ok(()));
        tokio::task::yield_now().await;
        assert_eq!(wire.asked(), 1, "{said:?}");
        advance(Duration::from_secs(1)).await;
        assert_eq!(outcome(&verifier, &token(&signer, "ed")).await, Ok(()));
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(wire.asked(), 2, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn another_policy_keeps_the_keys_of_issuers_that_it_declares_as_before() {
    let (signer, wire) = (Signer::new(), Arc::new(Wire::default()));
    wire.publish(&signer.jwks);
    let first = verifier(&wire);
    assert_eq!(outcome(&first, &token(&signer, "ed")).await, Ok(()));
    let same = first.for_policy(&policy());
    assert_eq!(outcome(&same, &token(&signer, "ed")).await, Ok(()));
    assert_eq!(wire.asked(), 1);
    let mut stricter = policy();
    stricter.issuers.get_mut("corp").unwrap().algorithms = vec![Algorithm::ES256];
    let stricter = first.for_policy(&stricter);
    assert_eq!(outcome(&stricter, &token(&signer, "ed")).await, Err(NotVerified::Refused(Refused::Algorithm)));
    let mut renamed = policy();
    let issuer = renamed.issuers.remove("corp").unwrap();
    renamed.issuers.insert("other".into(), issuer);
    let renamed = first.for_policy(&renamed);
    assert_eq!(renamed.verify(&token(&signer, "ed"), NOW).await.unwrap().issuer(), "other");
    let none = first.for_policy(&PolicySet::default());
    assert_eq!(outcome(&none, &token(&signer, "ed")).await, Err(NotVerified::Refused(Refused::Issuer)));
}

#[tokio::test(start_paused = true)]
async fn keys_are_discovered_only_in_metadata_of_exactly_that_issuer() {
    let signer = Signer::new();
    let url = "https://login.example.com/realms/a";
    let metadata = |issuer: &str| json!({ "issuer": issuer, "jwks_uri": "https://keys.example.com/k" });
    let found = |documents: Vec<(&'static str, Value)>| {
        let mut set = policy();
        let issuer = set.issuers.get_mut("corp").unwrap();
        (issuer.url, issuer.keys) = (url.into(), KeySource::Discovery);
        let place = |at: &str| Place::Url(at.into(), Network::Public);
        let mut given = Given::default();
        given.0.insert(place("https://keys.example.com/k"), signer.jwks.to_string().into_bytes());
        given.0.extend(documents.into_iter().map(|(at, document)| (place(at), document.to_string().into_bytes())));
        let verifier = Verifier::new(&set, Arc::new(given), Limits::default());
        async move { verifier.prepare().await.remove(0) }
    };
    assert_eq!(found(vec![(OIDC, metadata(url))]).await.keys, 2);
    assert_eq!(found(vec![(RFC8414, metadata(url))]).await.keys, 2);
    assert_eq!(found(vec![]).await.failed, Some(FetchError::NotFound));
    let other = metadata("https://login.example.com/realms/b");
    let lying = found(vec![(OIDC, other), (RFC8414, metadata(url))]).await;
    assert_eq!((lying.keys, lying.failed), (0, Some(FetchError::Issuer)), "a lie is no absence");
}

/// What happens in a life of keys.
#[derive(Clone, Debug)]
enum Happens {
    /// Time passes, in seconds.
    Time(u64),
    /// These of three keys are published, the second pair under the names of the first.
    Publish(Vec<bool>, bool),
    /// The issuer cannot be reached, or can be again.
    Down(bool),
    /// The policy is replaced by that of this number.
    Policy(usize),
    /// Somebody shows the token of that number.
    Shown(usize),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        2 => prop_oneof![0_u64..15, 100_u64..400, 3_000_u64..5_000].prop_map(Happens::Time),
        1 => (proptest::collection::vec(any::<bool>(), 3), any::<bool>()).prop_map(|(keys, same)| Happens::Publish(keys, same)),
        1 => any::<bool>().prop_map(Happens::Down),
        1 => (0_usize..4).prop_map(Happens::Policy),
        6 => (0_usize..12).prop_map(Happens::Shown),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is remembered of tokens never changes an answer.
    #[test]
    fn a_verifier_that_remembers_answers_as_one_that_does_not(story in proptest::collection::vec(happens(), 1..60)) {
        thread_local!(static SIGNERS: Vec<Signer> = (0..3).map(|_| Signer::new()).collect());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        SIGNERS.with(|signers| runtime.block_on(async {
            let wire = Arc::new(Wire::default());
            wire.publish(&named(&signers[0], "k0"));
            let start = tokio::time::Instant::now();
            let policies: Vec<PolicySet> = [vec![Algorithm::EdDSA], vec![Algorithm::EdDSA, Algorithm::ES256], vec![Algorithm::ES256]]
                .into_iter()
                .map(|algorithms| {
                    let mut set = policy();
                    set.issuers.get_mut("corp").unwrap().algorithms = algorithms;
                    set
                })
                .chain([PolicySet::default()])
                .collect();
            // Each signer's key under each of two names, living short and long.
            let tokens: Vec<String> = (0..12)
                .map(|n| {
                    let lives = if n % 2 == 0 { 300 } else { 9_000 };
                    let claims = with(claims(), &json!({ "iat": NOW.0, "exp": NOW.0 + lives, "jti": n.to_string() }));
                    let kid = if n % 4 < 2 { format!("k{}", n / 4) } else { "k0".to_owned() };
                    signers[n / 4].sign(&with(header(), &json!({ "kid": kid })), &claims)
                })
                .collect();
            let none = Limits { cache: 0, ..Limits::default() };
            let verifier = |limits| Verifier::new(&policies[0], Arc::clone(&wire) as Arc<dyn Fetch>, limits);
            let (mut remembers, mut forgets) = (verifier(Limits::default()), verifier(none));
            for happens in story {
                match happens {
                    Happens::Time(seconds) => advance(Duration::from_secs(seconds)).await,
                    Happens::Publish(which, same) => {
                        let keys = which.iter().enumerate().filter(|(_, there)| **there).map(|(n, _)| {
                            let kid = if same { "k0".to_owned() } else { format!("k{n}") };
                            named(&signers[n], &kid)["keys"][0].clone()
                        });
                        wire.publish(&json!({ "keys": keys.collect::<Vec<_>>() }));
                    }
                    Happens::Down(down) => wire.down.store(down, Ordering::SeqCst),
                    Happens::Policy(n) => {
                        remembers = remembers.for_policy(&policies[n]);
                        forgets = forgets.for_policy(&policies[n]);
                    }
                    Happens::Shown(n) => {
                        let now = NOW.plus(i64::try_from(start.elapsed().as_secs()).unwrap());
                        let first = remembers.verify(&tokens[n], now).await;
                        let second = forgets.verify(&tokens[n], now).await;
                        prop_assert_eq!(first, second);
                    }
                }
                // What was asked for behind the callers' backs has come before the next thing happens.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok(())
        }))?;
    }
}
