//! Who asks, said to the server in a way that it can check; and no server's credential at another's door.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::bao::{ROOT, World, compiled, shared};
use super::served::{Check, Keys, bearer, called, everywhere, guarded, policy, text};
use super::sources::ready;
use crate::gateway::process::Served;
use crate::identity::b64;

const LOGIN: &str = r#"login = { approle = "doorward", role_id = "env:ROLE_ID", secret_id = "env:SECRET_ID" }"#;

/// What a server was shown, by the order of the calls.
type Shown = Arc<Mutex<Vec<String>>>;

/// The same check, and what it was shown.
fn remembering(check: Check) -> (Check, Shown) {
    let shown = Shown::default();
    let kept = Arc::clone(&shown);
    let check: Check = Arc::new(move |headers: HeaderMap| {
        kept.lock().unwrap().extend(bearer(&headers));
        check(headers)
    });
    (check, shown)
}

/// The public keys of a signing key of the transit engine, newest last.
async fn public_keys(world: &World<'_>, name: &str) -> Vec<String> {
    let keys = world.read(&format!("transit/keys/{name}")).await["keys"].clone();
    keys.as_object().unwrap().values().map(|key| key["public_key"].as_str().unwrap().to_owned()).collect()
}

/// What a statement says, where one of these keys signed it for this audience.
fn stated(token: &str, keys: &[String], audience: &str) -> Option<Value> {
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_audience(&[audience]);
    validation.leeway = 0;
    let read = |key: &String| {
        // The point of P-256 is the last 65 bytes of what the PEM holds (RFC 5480).
        let lines: String = key.lines().filter(|line| !line.starts_with('-')).collect();
        let der = STANDARD.decode(lines).unwrap();
        let point = &der[der.len() - 64..];
        let key = DecodingKey::from_ec_components(&b64(&point[..32]), &b64(&point[32..])).unwrap();
        decode::<Value>(token, &key, &validation).ok().map(|read| read.claims)
    };
    keys.iter().find_map(read)
}

/// A call as another server would make it, with what it was itself shown.
async fn relayed(server: std::net::SocketAddr, token: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{server}/mcp")).header("authorization", format!("Bearer {token}"));
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_learns_who_asks_and_what_it_is_shown_opens_no_other_door() {
    let test = "a_server_learns_who_asks_and_what_it_is_shown_opens_no_other_door";
    let Some(bao) = shared(test) else { return };
    doorward::identity::ensure_crypto();
    let world = bao.world().await;
    // The statement's server lets in whom the keys vouch for, and looks at nothing else of the network.
    let keys: Arc<Mutex<Vec<String>>> = Arc::default();
    let known = Arc::clone(&keys);
    let (check, left_saw) = remembering(Arc::new(move |headers| {
        let token = bearer(&headers).unwrap_or_default();
        let right = stated(&token, &known.lock().unwrap(), "left-api").is_some_and(|claims| claims["sub"] == "ana");
        Box::pin(async move { right })
    }));
    let left = guarded(check).await;
    let (check, right_saw) = remembering(Keys::of(&world).verifies_for("right-api"));
    let right = guarded(check).await;
    let servers = format!(
        r#"
[servers.left]
url = "http://{left}/mcp"
credential = {{ vault = "transit", path = "callers", audience = "left-api", ttl = "1m" }}
[servers.left.tools.add]
[servers.right]
url = "http://{right}/mcp"
credential = {{ vault = "oidc", path = "right", audience = "right-api", ttl = "5m" }}
[servers.right.tools.add]
"#
    );
    let text_of_policy = policy(&world, LOGIN, &servers);
    drop(ready(&world, &compiled(&text_of_policy)).await);
    *keys.lock().unwrap() = public_keys(&world, "callers").await;
    let (role, secret_id) = world.approle("doorward").await;
    let served = Served::start(&text_of_policy, &[("ROLE_ID", &*role), ("SECRET_ID", &*secret_id)]);
    let ana = everywhere(&served, &["left", "right"]);
    for door in ["left", "right"] {
        let (status, said) = called(&served, door, &ana, "add").await;
        assert_eq!((status, &*text(&said)), (200, "3"), "{door}: {}", served.said());
    }
    let (for_left, for_right) = (left_saw.lock().unwrap()[0].clone(), right_saw.lock().unwrap()[0].clone());

    let claims = stated(&for_left, &keys.lock().unwrap(), "left-api").unwrap();
    assert_eq!(
        [&claims["iss"], &claims["sub_issuer"], &claims["sub"], &claims["act"], &claims["scope"]],
        [
            &json!(crate::gateway::rig::URL),
            &json!("corp"),
            &json!("ana"),
            &json!({"sub": "agent"}),
            &json!("left:add left:user right:add right:user"),
        ]
    );
    assert!((1..=60).contains(&(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap())));

    // Each calls the other with what it was shown, and both call the gateway with it: nobody is let in.
    assert_eq!(relayed(right, &for_left).await, 401);
    assert_eq!(relayed(left, &for_right).await, 401);
    for token in [&for_left, &for_right] {
        for door in ["left", "right"] {
            assert_eq!(called(&served, door, token, "add").await.0, 401);
        }
    }

    // The key is changed: new statements are by the new one, and servers that know both go on.
    world.request(ROOT, "POST", "transit/keys/callers/rotate", Some(json!({}))).await;
    let newest = public_keys(&world, "callers").await;
    assert_eq!(newest.len(), 2);
    *keys.lock().unwrap() = newest;
    let begun = Instant::now();
    let other = everywhere(&served, &["left"]);
    while called(&served, "left", &other, "add").await.0 != 200 {
        assert!(begun.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
