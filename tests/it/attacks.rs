//! Attacks on tokens, each through the verifier and the decision, as the guard runs them. What is not granted is
//! refused for the reason that the table names, before or at the decision.

use std::sync::Arc;

use doorward::identity::fetch::{Given, Place};
use doorward::identity::{Limits, MAX_TOKEN, NotVerified, Verifier};
use doorward::model::{Action, Arguments, Context, Request, Resource, ResourceKind, Timestamp};
use doorward::pdp::decide;
use doorward::policy::{CompiledPolicy, Layers, load};
use jsonwebtoken::{Algorithm as Alg, EncodingKey, crypto};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::identity::{Signer, b64, with};

const POLICY: &str = r#"
version = 1
[issuers.corp]
url = "https://login.example.com"
jwks_file = "corp.json"
max_lifetime = "1h"
claims = { groups = "groups", agent = "client_id" }
[issuers.partner]
url = "https://partner.example.com"
jwks_file = "partner.json"
[servers.desk]
url = "http://127.0.0.1:9001/mcp"
resource = "https://mcp.example.com/desk"
issuers = ["corp"]
token_ttl = "15m"
[servers.desk.tools.find]
[servers.bank]
url = "http://127.0.0.1:9002/mcp"
resource = "https://mcp.example.com/bank"
[servers.bank.tools.pay]
[[grants]]
to = { issuer = "corp", groups = ["staff"] }
allow = ["desk:find"]
[[grants]]
to = { issuer = "partner", subjects = ["*"] }
allow = ["bank:pay"]
"#;

/// The instant of every attack but for those on time.
const NOW: i64 = 1_700_000_000;

/// A guard without a wire: keys, verifier, policy.
struct Guard {
    corp: Signer,
    partner: Signer,
    stranger: Signer,
    policy: CompiledPolicy,
    verifier: Verifier,
    runtime: tokio::runtime::Runtime,
}

impl Guard {
    fn new() -> Self {
        let (corp, partner, stranger) = (Signer::new(), Signer::new(), Signer::new());
        let layers = Layers { files: vec![("policies.toml".into(), POLICY.into())], environment: Vec::new() };
        let policy = load(&layers).policy.unwrap().compiled;
        let mut keys = Given::default();
        keys.0.insert(Place::File("corp.json".into()), corp.jwks.to_string().into_bytes());
        keys.0.insert(Place::File("partner.json".into()), partner.jwks.to_string().into_bytes());
        let verifier = Verifier::new(policy.set(), Arc::new(keys), Limits::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { corp, partner, stranger, policy, verifier, runtime }
    }

    /// The code of the decision on `desk:find`, or of why there is none.
    fn outcome(&self, token: &str) -> &'static str {
        self.at(token, NOW)
    }

    fn at(&self, token: &str, now: i64) -> &'static str {
        let now = Timestamp(now);
        let verified = match self.runtime.block_on(self.verifier.verify(token, now)) {
            Ok(verified) => verified,
            Err(NotVerified::Unavailable) => panic!("keys are there"),
            Err(refused) => {
                let said = format!("{refused} {refused:?}");
                assert!(token.len() < 8 || !said.contains(token), "{said}");
                return refused.code();
            }
        };
        let claims = verified.claims();
        let (subject, facts) = verified.facts(&claims);
        let request = Request {
            subject,
            action: Action::ToolsCall,
            resource: Resource { door: "desk", kind: ResourceKind::Tool, name: "find" },
            context: Context { now, token: facts, arguments: Arguments::NONE },
        };
        decide(&self.policy, &request).reason.code()
    }
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "kid": "ed", "typ": "at+jwt" })
}

fn claims() -> Value {
    json!({
        "iss": "https://login.example.com", "sub": "ana", "aud": "https://mcp.example.com/desk",
        "iat": NOW - 10, "exp": NOW + 290, "client_id": "desk-assistant", "scope": "desk:find", "groups": ["staff"],
    })
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", b64(header.to_string()), b64(claims.to_string()))
}

#[test]
fn a_token_without_a_real_signature_opens_nothing() {
    let guard = Guard::new();
    assert_eq!(guard.outcome(&guard.corp.sign(&header(), &claims())), "granted", "the token that all others imitate");
    for alg in ["none", "None", "NONE", "nOnE", "", "null"] {
        let unsigned = unsigned(&with(header(), &json!({ "alg": alg })), &claims());
        for (signature, code) in [("", "token-malformed"), ("AA", "token-algorithm")] {
            assert_eq!(guard.outcome(&format!("{unsigned}.{signature}")), code, "{alg}");
        }
    }
    // A public key taken for the secret of an HMAC, in every form in which it is published.
    let jwk = &guard.corp.jwks["keys"][0];
    let x = jwk["x"].as_str().unwrap();
    let raw = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, x).unwrap();
    let jwks = guard.corp.jwks.to_string();
    for secret in [raw.as_slice(), x.as_bytes(), jwk.to_string().as_bytes(), jwks.as_bytes(), b"", b"secret"] {
        for (name, alg) in [("HS256", Alg::HS256), ("HS384", Alg::HS384), ("HS512", Alg::HS512)] {
            let signed = unsigned(&with(header(), &json!({ "alg": name })), &claims());
            let tag = crypto::sign(signed.as_bytes(), &EncodingKey::from_secret(secret), alg).unwrap();
            assert_eq!(guard.outcome(&format!("{signed}.{tag}")), "token-algorithm");
            // The same tag under the name of an algorithm that is accepted.
            let signed = unsigned(&header(), &claims());
            let tag = crypto::sign(signed.as_bytes(), &EncodingKey::from_secret(secret), alg).unwrap();
            assert_eq!(guard.outcome(&format!("{signed}.{tag}")), "token-signature");
        }
    }
    // The signature of another token, of all zeros, of nothing but its length.
    let good = guard.corp.sign(&header(), &claims());
    let other = guard.corp.sign(&header(), &with(claims(), &json!({ "sub": "eve" })));
    let (body, own) = good.rsplit_once('.').unwrap();
    let (_, foreign) = other.rsplit_once('.').unwrap();
    for signature in [foreign.to_owned(), b64([0; 64]), b64([0xff; 64]), b64([1; 63]), own[..20].to_owned()] {
        assert_eq!(guard.outcome(&format!("{body}.{signature}")), "token-signature", "{signature}");
    }
    // ECDSA with r = s = 0 (CVE-2022-21449) and in DER, which JWS does not use.
    let ec = with(header(), &json!({ "alg": "ES256", "kid": "ec" }));
    let der = b64([&[0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01][..], &[0; 56]].concat());
    for signature in [b64([0; 64]), der] {
        assert_eq!(guard.outcome(&format!("{}.{signature}", unsigned(&ec, &claims()))), "token-signature");
    }
}

#[test]
fn a_token_never_chooses_its_own_key() {
    let guard = Guard::new();
    let embedded = &guard.stranger.jwks["keys"][0];
    for (what, change, code) in [
        ("jwk", json!({ "jwk": embedded }), "token-header"),
        ("jwk without kid", json!({ "jwk": embedded, "kid": null }), "token-header"),
        ("jku", json!({ "jku": "https://evil.example.net/keys.json" }), "token-header"),
        ("jku on our own host", json!({ "jku": "https://login.example.com/../upload/keys.json" }), "token-header"),
        ("x5u", json!({ "x5u": "https://evil.example.net/cert.pem" }), "token-header"),
        ("x5c", json!({ "x5c": ["MIIB"] }), "token-header"),
        ("x5t alone is no key", json!({ "x5t": "AAAA" }), "token-signature"),
        ("crit", json!({ "crit": ["exp"], "exp": 1 }), "token-header"),
        ("b64", json!({ "b64": false, "crit": ["b64"] }), "token-header"),
        ("kid of ours", json!({}), "token-signature"),
        ("no kid", json!({ "kid": null }), "token-signature"),
        ("a path", json!({ "kid": "../../../../dev/null" }), "token-key-unknown"),
        ("an absolute path", json!({ "kid": "/etc/passwd" }), "token-key-unknown"),
        ("a URL", json!({ "kid": "https://evil.example.net/key" }), "token-key-unknown"),
        ("SQL", json!({ "kid": "x' UNION SELECT 'key' -- " }), "token-key-unknown"),
        ("a command", json!({ "kid": "$(id)|id;id" }), "token-key-unknown"),
        ("NUL", json!({ "kid": "ed\u{0}" }), "token-key-unknown"),
        ("another case", json!({ "kid": "ED" }), "token-key-unknown"),
        ("a look-alike", json!({ "kid": "\u{435}d" }), "token-key-unknown"),
        ("empty", json!({ "kid": "" }), "token-key-unknown"),
        ("a list", json!({ "kid": ["ed"] }), "token-malformed"),
        ("null", json!({ "kid": Value::Null, "alg": "EdDSA" }), "token-signature"),
        ("huge", json!({ "kid": "k".repeat(4096) }), "token-malformed"),
    ] {
        let token = guard.stranger.sign(&with(header(), &change), &claims());
        assert_eq!(guard.outcome(&token), code, "{what}");
    }
    // A key of one issuer says nothing for another, with any `kid`.
    for kid in [json!({}), json!({ "kid": null }), json!({ "alg": "ES256", "kid": "ec" })] {
        let token = guard.partner.sign(&with(header(), &kid), &claims());
        assert_eq!(guard.outcome(&token), "token-signature", "{kid}");
    }
}

#[test]
fn a_token_for_somebody_else_or_another_time_opens_nothing() {
    let guard = Guard::new();
    let corp = |change: Value| guard.outcome(&guard.corp.sign(&header(), &with(claims(), &change)));
    for (what, change, code) in [
        ("another door", json!({ "aud": "https://mcp.example.com/bank" }), "audience"),
        ("the gateway", json!({ "aud": "https://mcp.example.com" }), "audience"),
        ("a longer name", json!({ "aud": "https://mcp.example.com/desk/" }), "audience"),
        ("another case", json!({ "aud": "https://MCP.example.com/desk" }), "audience"),
        ("several in one", json!({ "aud": "https://mcp.example.com/desk https://x.example" }), "audience"),
        ("nobody", json!({ "aud": [] }), "audience"),
        ("no audience", json!({ "aud": null }), "audience"),
        ("everybody", json!({ "aud": "*" }), "audience"),
        ("an object", json!({ "aud": { "x": "https://mcp.example.com/desk" } }), "token-claims"),
        ("expired", json!({ "iat": NOW - 600, "exp": NOW - 300 }), "token-expired"),
        ("just expired, no leeway", json!({ "exp": NOW }), "token-expired"),
        ("no exp", json!({ "exp": null }), "token-expired"),
        ("exp as text", json!({ "exp": (NOW + 290).to_string() }), "token-claims"),
        ("exp out of range", json!({ "exp": 1e300 }), "token-claims"),
        ("exp in milliseconds", json!({ "exp": (NOW + 290) * 1000 }), "token-claims"),
        ("exp before iat", json!({ "iat": NOW - 10, "exp": NOW - 20 }), "token-expired"),
        ("not yet valid", json!({ "nbf": NOW + 60 }), "token-not-yet-valid"),
        ("of the future", json!({ "iat": NOW + 60, "exp": NOW + 290 }), "token-not-yet-valid"),
        ("no iat", json!({ "iat": null }), "token-lifetime"),
        ("lives too long", json!({ "exp": NOW + 3_600 }), "token-lifetime"),
        ("lives for ever", json!({ "exp": 253_402_300_799_i64 }), "token-lifetime"),
        ("old for this door", json!({ "iat": NOW - 900 }), "token-stale"),
        ("of nobody", json!({ "iss": "https://evil.example.net" }), "token-issuer"),
        ("issuer with a slash", json!({ "iss": "https://login.example.com/" }), "token-issuer"),
        ("issuer look-alike", json!({ "iss": "https://log\u{456}n.example.com" }), "token-issuer"),
        ("issuer list", json!({ "iss": ["https://login.example.com"] }), "token-issuer"),
        // Signed by corp, said to be partner's: verified with partner's keys.
        ("mix-up", json!({ "iss": "https://partner.example.com" }), "token-signature"),
        ("ID token", json!({ "nonce": "n" }), "token-is-id-token"),
        ("ID token by its hashes", json!({ "at_hash": "h", "auth_time": NOW }), "token-is-id-token"),
        ("ID token by its use", json!({ "token_use": "id" }), "token-is-id-token"),
        ("bound to a key", json!({ "cnf": { "jkt": "x" } }), "token-proof-required"),
        ("bound to a certificate", json!({ "cnf": { "x5t#S256": "x" } }), "token-proof-required"),
        ("no subject", json!({ "sub": null }), "token-claims"),
        ("other groups", json!({ "groups": ["Staff", "staff ", "st\u{430}ff"] }), "no-grant"),
        ("no groups", json!({ "groups": null }), "no-grant"),
        ("no scope", json!({ "scope": null }), "scope-missing"),
        ("another scope", json!({ "scope": "desk:findx desk:fin DESK:FIND" }), "scope-missing"),
        ("scope smuggled", json!({ "scope": "x\tdesk:find" }), "token-claims"),
    ] {
        assert_eq!(corp(change), code, "{what}");
    }
    for typ in ["oauth-id-jag+jwt", "id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "jwt-bearer", "at+JWTx", ""] {
        let token = guard.corp.sign(&with(header(), &json!({ "typ": typ })), &claims());
        assert_eq!(guard.outcome(&token), "token-type", "{typ}");
    }
    // A good token of an issuer that this door does not take.
    let partner = with(claims(), &json!({ "iss": "https://partner.example.com" }));
    assert_eq!(guard.outcome(&guard.partner.sign(&header(), &partner)), "issuer");
}

#[test]
fn a_clock_that_jumps_revives_no_token() {
    let guard = Guard::new();
    let token = guard.corp.sign(&header(), &claims());
    for (now, code) in [
        (NOW, "granted"),
        (NOW + 289, "granted"),
        (NOW + 290, "token-expired"),
        (NOW + 1_000_000_000, "token-expired"),
        (NOW, "granted"),
        (NOW - 40, "granted"),
        (NOW - 41, "token-not-yet-valid"),
        (0, "token-not-yet-valid"),
        (i64::MIN, "token-not-yet-valid"),
        (i64::MAX, "token-expired"),
    ] {
        assert_eq!(guard.at(&token, now), code, "{now}");
    }
}

#[test]
fn what_is_huge_nested_or_no_single_token_is_refused_before_it_costs_anything() {
    let guard = Guard::new();
    let good = guard.corp.sign(&header(), &claims());
    let deep = |open: &str, close: &str, n: usize| format!("{}{}", open.repeat(n), close.repeat(n));
    let nested = |text: String| format!("{}.{}.AA", b64(header().to_string()), b64(text));
    let fits = with(claims(), &json!({ "padding": "p".repeat(11_000) }));
    assert_eq!(guard.outcome(&guard.corp.sign(&header(), &fits)), "granted");
    let large = with(claims(), &json!({ "padding": "p".repeat(13_000) }));
    assert_eq!(guard.outcome(&guard.corp.sign(&header(), &large)), "token-too-large");
    let many = with(claims(), &json!({ "groups": vec!["g"; 2_049] }));
    assert_eq!(guard.outcome(&guard.corp.sign(&header(), &many)), "token-claims");
    for (what, token, code) in [
        ("100 MB", "a".repeat(100 << 20), "token-too-large"),
        ("dots", ".".repeat(MAX_TOKEN), "token-malformed"),
        ("deep lists", nested(deep("[", "]", 5_000)), "token-malformed"),
        ("deep objects", nested(deep("{\"a\":", "}", 1_500)), "token-malformed"),
        ("unclosed", nested("[".repeat(10_000)), "token-malformed"),
        ("a long number", nested(format!("{{\"exp\":{}}}", "9".repeat(10_000))), "token-malformed"),
        (
            "two issuers",
            nested(r#"{"iss":"https://evil.example.net","iss":"https://login.example.com"}"#.into()),
            "token-malformed",
        ),
        ("an escaped second key", nested(r#"{"iss":"a","\u0069ss":"b"}"#.into()), "token-malformed"),
        ("not UTF-8", format!("{}.{}.AA", b64(header().to_string()), b64([0xff, 0xfe])), "token-malformed"),
        ("a token in a token", format!("{}.{}.AA", b64(header().to_string()), b64(&good)), "token-malformed"),
        ("encrypted", "e30.e30.e30.e30.e30".into(), "token-malformed"),
        ("JSON form", json!({ "payload": "e30", "signatures": [] }).to_string(), "token-malformed"),
        ("with its scheme", format!("Bearer {good}"), "token-malformed"),
        ("with a line break", format!("{good}\n"), "token-malformed"),
        ("padded", format!("{good}=="), "token-malformed"),
        ("twice", format!("{good},{good}"), "token-malformed"),
        ("nothing", String::new(), "token-malformed"),
    ] {
        assert_eq!(guard.outcome(&token), code, "{what}");
    }
}

#[test]
fn nothing_of_a_token_is_shown_by_what_was_made_of_it() {
    let guard = Guard::new();
    let token = guard.corp.sign(&header(), &claims());
    let verified = guard.runtime.block_on(guard.verifier.verify(&token, Timestamp(NOW))).unwrap();
    let shown = format!("{verified:?} {:?} {:?}", guard.verifier, guard.verifier.status());
    for secret in token.split('.').chain(["ana", "staff", "desk-assistant"]) {
        assert!(!shown.contains(secret), "{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Bytes changed, cut, doubled, moved: nothing but the token itself is believed.
    #[test]
    fn no_mutation_of_a_real_token_is_believed(
        edits in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>(), 0_u8..6, any::<u8>()), 1..5),
        ec in any::<bool>(),
    ) {
        thread_local!(static GUARD: Guard = Guard::new());
        GUARD.with(|guard| {
            let header = if ec { with(header(), &json!({ "alg": "ES256", "kid": "ec" })) } else { header() };
            let good = guard.corp.sign(&header, &claims());
            prop_assert_eq!(guard.outcome(&good), "granted");
            let mut bytes = good.clone().into_bytes();
            for (at, other, what, byte) in edits {
                if bytes.is_empty() {
                    break;
                }
                let (at, other) = (at.index(bytes.len()), other.index(bytes.len()));
                let (low, high) = (at.min(other), at.max(other));
                match what {
                    0 => bytes[at] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."[byte as usize % 65],
                    1 => bytes[at] = byte & 0x7f,
                    2 => drop(bytes.drain(low..high)),
                    3 => bytes.swap(at, other),
                    4 => bytes.insert(at, b'A'),
                    _ => {
                        let part = bytes[low..high].to_vec();
                        bytes.splice(high..high, part);
                    }
                }
            }
            let text = String::from_utf8(bytes).unwrap();
            prop_assume!(text != good);
            prop_assert_ne!(guard.outcome(&text), "granted");
            Ok(())
        })?;
    }

    /// Whatever an issuer puts into a header or a claim, it is judged and never breaks anything.
    #[test]
    fn whatever_is_signed_is_judged(
        name in prop_oneof![Just("sub".to_owned()), Just("aud".into()), Just("exp".into()), Just("groups".into()), Just("act".into()), Just("scope".into()), Just("typ".into()), Just("kid".into()), ".{0,6}"],
        text in ".{0,12}", number in any::<f64>(), list in any::<bool>(), in_header in any::<bool>(),
    ) {
        thread_local!(static GUARD: Guard = Guard::new());
        GUARD.with(|guard| {
            let value = if number.is_finite() { json!(number) } else { json!(text) };
            let value = if list { json!([value, { "sub": text, "act": { "sub": text } }, null]) } else { value };
            let change = json!({ name: value });
            let (header, claims) = if in_header { (with(header(), &change), claims()) } else { (header(), with(claims(), &change)) };
            if header["alg"] == "EdDSA" {
                let _ = guard.outcome(&guard.corp.sign(&header, &claims));
            }
        });
    }
}
