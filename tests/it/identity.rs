//! Tokens as an attacker would make them, each refused for its own reason, and the facts of good ones.

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward::identity::{KeySet, MAX_TOKEN, Refused, RefusedKey, Unverified, Verified};
use doorward::model::Fact;
use doorward::pdp::decide;
use doorward::policy::set::{Algorithm, Issuer, PolicySet};
use doorward::policy::{CompiledPolicy, Positions};
use jsonwebtoken::{Algorithm as Alg, EncodingKey, crypto};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::rehearsals::{event, policy_with};

pub(crate) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// An issuer's signing keys and what it publishes.
pub(crate) struct Signer {
    ed: EncodingKey,
    ec: EncodingKey,
    pub(crate) jwks: Value,
}

impl Signer {
    pub(crate) fn new() -> Self {
        let ed = Ed25519KeyPair::generate().unwrap();
        let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = ec.public_key().as_ref();
        let jwks = json!({ "keys": [
            { "kty": "OKP", "crv": "Ed25519", "kid": "ed", "use": "sig", "x": b64(ed.public_key()) },
            { "kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": b64(&point[1..33]), "y": b64(&point[33..]) },
        ] });
        Self {
            ed: EncodingKey::from_ed_der(ed.to_pkcs8v1().unwrap().as_ref()),
            ec: EncodingKey::from_ec_der(ec.to_pkcs8v1().unwrap().as_ref()),
            jwks,
        }
    }

    fn keys(&self) -> KeySet {
        KeySet::read(self.jwks.to_string().as_bytes()).unwrap()
    }

    pub(crate) fn sign(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let (key, algorithm) = if header["alg"] == "ES256" { (&self.ec, Alg::ES256) } else { (&self.ed, Alg::EdDSA) };
        let signature = crypto::sign(signed.as_bytes(), key, algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

pub(crate) fn issuer() -> Issuer {
    serde_json::from_value(json!({
        "url": "https://login.example.com", "keys": "discovery", "audiences": [], "algorithms": ["EdDSA", "ES256"],
        "max_lifetime": 3600, "clock_skew": 30,
        "claims": { "groups": "realm.groups", "agent": "client_id", "others": { "tenant": "https://example.com/tenant" } },
    }))
    .unwrap()
}

pub(crate) fn header() -> Value {
    json!({ "alg": "EdDSA", "kid": "ed", "typ": "at+jwt" })
}

pub(crate) fn claims() -> Value {
    json!({
        "iss": "https://login.example.com", "sub": "ana", "aud": "https://mcp.example.com/desk/mcp",
        "iat": 1000, "exp": 1600, "client_id": "desk-assistant", "scope": "desk:find desk:pay",
        "realm": { "groups": ["staff"] }, "https://example.com/tenant": "acme", "jti": "t-1",
    })
}

pub(crate) fn with(mut base: Value, change: &Value) -> Value {
    for (key, value) in change.as_object().unwrap() {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(key);
        } else {
            base[key] = value.clone();
        }
    }
    base
}

fn verify(token: &str, keys: &KeySet) -> Result<Verified, Refused> {
    let unverified = Unverified::read(token)?;
    let mut set = PolicySet::default();
    set.issuers.insert("corp".to_owned(), issuer());
    let (name, issuer) = unverified.issuer(&set)?;
    unverified.verify(name, issuer, keys)
}

#[test]
fn a_good_token_gives_its_facts_and_nothing_else() {
    let signer = Signer::new();
    for alg in [json!({}), json!({ "alg": "ES256", "kid": "ec" }), json!({ "kid": null, "typ": null })] {
        let token = signer.sign(&with(header(), &alg), &claims());
        let verified = verify(&token, &signer.keys()).unwrap();
        let mapped = verified.claims();
        let (subject, token) = verified.facts(&mapped);
        assert_eq!((subject.issuer, subject.id), (Fact::Known("corp"), Fact::Known("ana")));
        assert_eq!(subject.agent, Fact::Known("desk-assistant"));
        assert!(subject.groups.known().unwrap().iter().eq(["staff"]));
        assert_eq!(mapped[0].name, "tenant");
        assert!(token.scopes.known().unwrap().iter().eq(["desk:find", "desk:pay"]));
        assert_eq!((token.issued_at.known().unwrap().0, token.expires_at.known().unwrap().0), (1000, 1600));
        assert_eq!(token.not_before, Fact::Absent);
        assert!(!format!("{verified:?}").contains("ana"));
    }
}

#[test]
fn headers_that_choose_how_they_are_verified_are_refused() {
    let signer = Signer::new();
    for (change, refused) in [
        (json!({ "alg": "none" }), Refused::Algorithm),
        (json!({ "alg": "None" }), Refused::Algorithm),
        (json!({ "alg": "HS256" }), Refused::Algorithm),
        (json!({ "alg": "eddsa" }), Refused::Algorithm),
        (json!({ "alg": null }), Refused::Algorithm),
        (json!({ "alg": ["EdDSA"] }), Refused::Algorithm),
        // A key fits only its own type of algorithm, whatever the token says.
        (json!({ "alg": "ES256" }), Refused::UnknownKey),
        // Allowed for keys of this type and not for this issuer.
        (json!({ "alg": "RS256" }), Refused::Algorithm),
        (json!({ "crit": ["exp"] }), Refused::Header),
        (json!({ "b64": false }), Refused::Header),
        (json!({ "jwk": signer.jwks["keys"][0] }), Refused::Header),
        (json!({ "jku": "https://evil.example.net/keys" }), Refused::Header),
        (json!({ "x5u": "https://evil.example.net/cert" }), Refused::Header),
        (json!({ "zip": "DEF" }), Refused::Header),
        (json!({ "cty": "JWT" }), Refused::Header),
        (json!({ "typ": "oauth-id-jag+jwt" }), Refused::Type),
        (json!({ "typ": "logout+jwt" }), Refused::Type),
        (json!({ "typ": "dpop+jwt" }), Refused::Type),
        (json!({ "typ": 1 }), Refused::Type),
        (json!({ "kid": "../../dev/null" }), Refused::UnknownKey),
        (json!({ "kid": "ed' or '1'='1" }), Refused::UnknownKey),
        (json!({ "kid": "k".repeat(600) }), Refused::Malformed),
        (json!({ "kid": 7 }), Refused::Malformed),
    ] {
        let token = signer.sign(&with(header(), &change), &claims());
        assert_eq!(verify(&token, &signer.keys()).map(|_| ()), Err(refused), "{change}");
    }
}

#[test]
fn claims_that_cannot_be_trusted_are_refused() {
    let signer = Signer::new();
    for (change, refused) in [
        (json!({ "iss": "https://login.example.com/" }), Refused::Issuer),
        (json!({ "iss": "https://LOGIN.example.com" }), Refused::Issuer),
        (json!({ "iss": null }), Refused::Issuer),
        (json!({ "iss": ["https://login.example.com"] }), Refused::Issuer),
        (json!({ "sub": null }), Refused::Claims),
        (json!({ "sub": "" }), Refused::Claims),
        (json!({ "sub": 7 }), Refused::Claims),
        (json!({ "aud": 7 }), Refused::Claims),
        (json!({ "aud": [7] }), Refused::Claims),
        (json!({ "exp": "1600" }), Refused::Claims),
        (json!({ "exp": -1 }), Refused::Claims),
        (json!({ "iat": 1e300 }), Refused::Claims),
        (json!({ "scope": ["desk:find"] }), Refused::Claims),
        (json!({ "scope": "a  b" }), Refused::Claims),
        (json!({ "scope": "a\tb" }), Refused::Claims),
        (json!({ "realm": "staff" }), Refused::Claims),
        (json!({ "realm": { "groups": { "a": 1 } } }), Refused::Claims),
        (json!({ "client_id": 7 }), Refused::Claims),
        (json!({ "act": "x" }), Refused::Claims),
        (json!({ "nonce": "n" }), Refused::IdToken),
        (json!({ "at_hash": "h" }), Refused::IdToken),
        (json!({ "token_use": "id" }), Refused::IdToken),
        (json!({ "cnf": { "jkt": "x" } }), Refused::ProofRequired),
    ] {
        let token = signer.sign(&header(), &with(claims(), &change));
        assert_eq!(verify(&token, &signer.keys()).map(|_| ()), Err(refused), "{change}");
    }
}

#[test]
fn groups_that_the_issuer_left_out_are_unknown_and_not_absent() {
    let signer = Signer::new();
    let groups = |change: Value| {
        let verified = verify(&signer.sign(&header(), &with(claims(), &change)), &signer.keys()).unwrap();
        verified.facts(&[]).0.groups.map(|groups| groups.iter().count())
    };
    assert_eq!(groups(json!({})), Fact::Known(1));
    assert_eq!(groups(json!({ "realm": null })), Fact::Absent);
    assert_eq!(groups(json!({ "realm": null, "hasgroups": true })), Fact::Unknown);
    assert_eq!(groups(json!({ "realm": null, "hasgroups": false })), Fact::Absent);
    assert_eq!(groups(json!({ "_claim_names": { "realm.groups": "src1" } })), Fact::Unknown);
    assert_eq!(groups(json!({ "_claim_names": { "realm": "src1" } })), Fact::Unknown);
    assert_eq!(groups(json!({ "realm": null, "_claim_names": { "realm": "src1" } })), Fact::Unknown);
    assert_eq!(groups(json!({ "_claim_names": { "rea": "src1", "groups": "src1" } })), Fact::Known(1));
}

#[test]
fn any_mapped_claim_that_is_kept_elsewhere_is_unknown_so_that_no_deny_by_it_misses() {
    let signer = Signer::new();
    let denying = |to: &Value| {
        let mut set = policy_with(50, false, &[Value::Null, Value::Null]).set().clone();
        let deny = json!({ "name": "some", "to": to, "items": ["desk:find"] });
        set.denies = vec![serde_json::from_value(deny).unwrap()];
        CompiledPolicy::compile(set, Positions::default())
    };
    let allowed = |change: &Value, to: &Value| {
        let token = signer.sign(&header(), &with(claims(), change));
        let verified = verify(&token, &signer.keys()).unwrap();
        let mapped = verified.claims();
        let (subject, token) = verified.facts(&mapped);
        let made = event("find", &[]);
        let mut request = made.request(&[]);
        (request.subject, request.context.token) = (subject, token);
        decide(&denying(to), &request).is_allow()
    };
    let (by_tenant, by_agent) = (json!({ "claims": { "tenant": ["acme"] } }), json!({ "agents": ["desk-assistant"] }));
    let tenant = "https://example.com/tenant";
    assert!(!allowed(&json!({}), &by_tenant) && !allowed(&json!({}), &by_agent));
    // Without the claim the deny is not about the caller; with the claim elsewhere it may be.
    for (gone, named, deny) in [
        (json!({ tenant: null }), json!({ tenant: "src1" }), &by_tenant),
        (json!({ "client_id": null }), json!({ "client_id": "src1" }), &by_agent),
        (json!({ "client_id": null, "azp": "other" }), json!({ "client_id": "src1" }), &by_agent),
    ] {
        assert!(allowed(&gone, deny), "{gone}");
        let naming = |names: &Value| {
            let mut change = gone.clone();
            change["_claim_names"] = names.clone();
            change
        };
        assert!(allowed(&naming(&json!({ "other": "src1" })), deny), "{gone}");
        assert!(!allowed(&naming(&named), deny), "{gone}");
    }
    for own in ["cnf", "act", "nbf", "scope", "sub"] {
        let token = signer.sign(&header(), &with(claims(), &json!({ "_claim_names": { own: "src1" } })));
        assert_eq!(verify(&token, &signer.keys()).map(|_| ()), Err(Refused::Claims), "{own}");
    }
    let token = signer.sign(&header(), &with(claims(), &json!({ "_claim_names": true })));
    assert_eq!(verify(&token, &signer.keys()).map(|_| ()), Err(Refused::Claims));
}

#[test]
fn no_fraction_of_a_second_helps_a_token() {
    let signer = Signer::new();
    for (iat, exp, nbf, seconds) in [
        (1000.0, 1600.0, 1000.0, [1000, 1600, 1000]),
        (1000.9, 1600.9, 1000.1, [1000, 1600, 1001]),
        (1000.1, 1600.1, 1000.9, [1000, 1600, 1001]),
    ] {
        let change = json!({ "iat": iat, "exp": exp, "nbf": nbf });
        let verified = verify(&signer.sign(&header(), &with(claims(), &change)), &signer.keys()).unwrap();
        let (_, token) = verified.facts(&[]);
        assert_eq!([token.issued_at, token.expires_at, token.not_before].map(|at| at.known().unwrap().0), seconds);
    }
}

#[test]
fn the_agent_is_the_current_actor_then_the_client() {
    let signer = Signer::new();
    let agent = |change: Value| {
        let verified = verify(&signer.sign(&header(), &with(claims(), &change)), &signer.keys()).unwrap();
        verified.facts(&[]).0.agent.known().map(str::to_owned)
    };
    assert_eq!(agent(json!({})).as_deref(), Some("desk-assistant"));
    assert_eq!(agent(json!({ "client_id": null, "azp": "other" })).as_deref(), Some("other"));
    assert_eq!(agent(json!({ "client_id": null })), None);
    assert_eq!(agent(json!({ "act": { "sub": "planner", "act": { "sub": "root" } } })).as_deref(), Some("planner"));
    let chain = (0..9).fold(json!({ "sub": "a" }), |inner, _| json!({ "sub": "a", "act": inner }));
    let token = signer.sign(&header(), &with(claims(), &json!({ "act": chain })));
    assert_eq!(verify(&token, &signer.keys()).map(|_| ()), Err(Refused::Claims));
}

#[test]
fn what_is_not_one_signed_token_is_refused() {
    let signer = Signer::new();
    let good = signer.sign(&header(), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let twice = b64(r#"{"alg":"EdDSA","alg":"none"}"#);
    for bad in [
        String::new(),
        "..".into(),
        parts[..2].join("."),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{good}.x"),
        format!("{good}="),
        format!(" {good}"),
        format!("{twice}.{}.{}", parts[1], parts[2]),
        format!("{}.{}.{}", parts[0], b64("[]"), parts[2]),
        format!("{}.{}.{}", parts[0], b64(r#"{"iss":"a","iss":"b"}"#), parts[2]),
        json!({ "payload": parts[1], "signatures": [] }).to_string(),
    ] {
        assert_eq!(verify(&bad, &signer.keys()).map(|_| ()), Err(Refused::Malformed), "{bad}");
    }
    assert_eq!(verify(&"x".repeat(MAX_TOKEN + 1), &signer.keys()).map(|_| ()), Err(Refused::TooLarge));
    let stranger = Signer::new();
    assert_eq!(verify(&good, &stranger.keys()).map(|_| ()), Err(Refused::Signature));
    assert_eq!(verify(&good, &KeySet::default()).map(|_| ()), Err(Refused::UnknownKey));
}

#[test]
fn a_key_that_cannot_be_used_safely_is_left_out_and_said() {
    let rsa = |bits: KeySize| {
        let pair = aws_lc_rs::rsa::KeyPair::generate(bits).unwrap();
        let public = pair.public_key();
        json!({ "kty": "RSA", "kid": "r", "n": b64(public.modulus().big_endian_without_leading_zero()), "e": "AQAB" })
    };
    let strong = rsa(KeySize::Rsa2048);
    let short = with(strong.clone(), &json!({ "n": b64([0xff; 128]) }));
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": b64([7; 32]) });
    let read = |jwk: &Value| {
        let set = KeySet::read(json!({ "keys": [jwk] }).to_string().as_bytes()).unwrap();
        set.refused().first().copied()
    };
    for (jwk, refused) in [
        (strong.clone(), None),
        (ed.clone(), None),
        (with(strong.clone(), &json!({ "alg": "PS256" })), None),
        (short, Some(RefusedKey::Strength)),
        (with(strong.clone(), &json!({ "e": "Ag" })), Some(RefusedKey::Strength)),
        (with(strong.clone(), &json!({ "e": "AQ" })), Some(RefusedKey::Strength)),
        (with(strong.clone(), &json!({ "d": "AQ" })), Some(RefusedKey::Private)),
        (with(strong.clone(), &json!({ "use": "enc" })), Some(RefusedKey::Use)),
        (with(strong.clone(), &json!({ "key_ops": ["sign"] })), Some(RefusedKey::Use)),
        (with(strong, &json!({ "alg": "ES256" })), Some(RefusedKey::Unsupported)),
        (with(ed.clone(), &json!({ "crv": "Ed448" })), Some(RefusedKey::Unsupported)),
        (with(ed, &json!({ "x": b64([7; 31]) })), Some(RefusedKey::Malformed)),
        (json!({ "kty": "oct", "k": "AAAA" }), Some(RefusedKey::Symmetric)),
        (json!({ "kty": "EC", "crv": "P-256", "x": "AA", "y": "AA" }), Some(RefusedKey::Malformed)),
        (json!({}), Some(RefusedKey::Malformed)),
    ] {
        assert_eq!(read(&jwk), refused, "{jwk}");
    }
    for text in ["", "[]", "{}", r#"{"keys":{}}"#] {
        assert_eq!(KeySet::read(text.as_bytes()).map(|_| ()), Err(RefusedKey::Malformed));
    }
    assert_eq!(issuer().algorithms, [Algorithm::EdDSA, Algorithm::ES256]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_change_of_a_token_is_believed(at in any::<proptest::sample::Index>(), byte in 0_u8..128) {
        let signer = Signer::new();
        let good = signer.sign(&header(), &claims());
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        prop_assert!(verify(&String::from_utf8(bytes).unwrap(), &signer.keys()).is_err());
    }
}
