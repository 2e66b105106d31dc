//! The refusals that need a world of their own: a policy with less usual rules, servers that fail, limits that are
//! reached, faults.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use doorward::identity::fetch::{Given, Place};
use doorward::identity::{Limits as VerifierLimits, Verifier};
use doorward::model::Timestamp;
use doorward::pep::{Body, BoxError, Guard, GuardLayer, Limits, Surroundings, UpstreamError};
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower_layer::Layer as _;
use tower_service::Service;

use super::world::{Reply, Rows, World, call, compile, modern, post, raw};

const POLICY: &str = r#"
version = 1
[gateway]
url = "https://mcp.example.com"
limits = { requests_per_caller = 2, requests_per_door = 3 }
[issuers.corp]
url = "https://login.example.com"
jwks_file = "keys.json"
algorithms = ["EdDSA", "ES256"]
max_lifetime = "1h"
[issuers.others]
url = "https://others.example.com"
jwks_file = "others.json"
algorithms = ["EdDSA", "ES256"]
[issuers.away]
url = "https://away.example.com"
jwks_file = "away.json"
[servers.crm]
url = "http://127.0.0.1:9002/mcp"
identity = { issuer = "corp", subject = "crm" }
[servers.desk]
url = "http://127.0.0.1:9001/mcp"
issuers = ["corp", "away"]
[servers.desk.tools.find]
[servers.desk.tools.old]
[servers.desk.tools.pay]
[servers.desk.tools.refund]
[[grants]]
name = "everybody"
to = { subjects = ["ana", "ben", "cid"] }
allow = ["desk:find", "desk:pay"]
[[grants]]
name = "once"
to = { subjects = "*" }
allow = ["desk:old"]
expires = 1970-01-01T00:10:00Z
[[grants]]
name = "staff"
to = { groups = ["staff"] }
allow = ["desk:refund"]
[[denies]]
name = "not-too-much"
deny = ["desk:pay"]
args = { "desk:pay" = { amount = { min = 40 } } }
"#;

/// What everybody is allowed.
fn find() -> String {
    call(7, "find", &json!({})).to_string()
}

/// What a caller gets that is refused in ways which the policy of most tests has not.
pub(super) async fn others() -> Vec<(&'static str, Reply)> {
    let mut all = Vec::new();
    decided(&mut all).await;
    malformed(&mut all).await;
    busy(&mut all).await;
    failing(&mut all).await;
    all.push(("more is remembered than may be", full().await));
    all.push(("a rate across gateways that nobody counts", uncounted().await));
    all.push(("a stream whose caller may no longer have it", ended().await));
    all.push(("a fault", faulty().await));
    all
}

async fn decided(all: &mut Vec<(&'static str, Reply)>) {
    let world = World::with(POLICY, Limits::default());
    let token = |change: Value| world.token(&change);
    for (name, token, tool, arguments) in [
        (
            "an issuer that this door does not take",
            token(json!({ "iss": "https://others.example.com" })),
            "find",
            json!({}),
        ),
        ("keys that cannot be had", token(json!({ "iss": "https://away.example.com" })), "find", json!({})),
        ("another audience", token(json!({ "aud": "https://mcp.example.com/till/mcp" })), "find", json!({})),
        ("an expired token", token(json!({ "exp": 1100 })), "find", json!({})),
        ("a token of tomorrow", token(json!({ "nbf": 1500 })), "find", json!({})),
        ("a token that lives too long", token(json!({ "exp": 9000 })), "find", json!({})),
        ("a grant that has expired", token(json!({ "scope": "desk:old" })), "old", json!({})),
        (
            "groups that the token has elsewhere",
            token(json!({ "_claim_names": { "groups": "one" }, "groups": null })),
            "refund",
            json!({}),
        ),
        ("a deny that other arguments do not meet", token(json!({})), "pay", json!({ "amount": 45 })),
    ] {
        all.push((name, world.call(&token, tool, &arguments).await));
    }
    let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" });
    let crm = token(json!({ "sub": "crm", "client_id": "crm" }));
    all.push(("a server that is none of the callers", world.post(&crm, &list).await));
    let request = post(&world.ana(), &list.to_string(), &[]);
    all.push(("a door that is not there", world.send("nowhere", request).await));
    assert!(world.journal().is_empty());
}

async fn malformed(all: &mut Vec<(&'static str, Reply)>) {
    let limits = Limits { message: doorward::mcp::Limits { bytes: 512, depth: 8 }, ..Limits::default() };
    let world = World::with(POLICY, limits);
    let ana = world.ana();
    let deep = call(7, "find", &json!({ "a": [[[[[[[[1]]]]]]]] })).to_string();
    let broken = futures_util::stream::iter([
        Ok(http_body::Frame::data(Bytes::from_static(b"{"))),
        Err::<_, BoxError>("the caller is gone".into()),
    ]);
    let part = post(&ana, "", &[]).map(|_| Body::new(StreamBody::new(broken)));
    for (name, request) in [
        ("too large", post(&ana, &call(7, "find", &json!({ "a": "x".repeat(600) })).to_string(), &[])),
        ("too deep", post(&ana, &deep, &[])),
        ("no message", post(&ana, r#"{"jsonrpc":"1.0","id":7,"method":"ping"}"#, &[])),
        ("half a body", part),
        ("a header that stands twice", post(&ana, &find(), &[("mcp-session-id", "a"), ("mcp-session-id", "b")])),
    ] {
        all.push((name, world.send("desk", request).await));
    }
    assert!(world.journal().is_empty());
}

async fn busy(all: &mut Vec<(&'static str, Reply)>) {
    let world = World::with(POLICY, Limits::default());
    world.answers(|_| {
        let silent = StreamBody::new(futures_util::stream::pending::<Result<http_body::Frame<Bytes>, BoxError>>());
        let mut response = Response::new(Body::new(silent));
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
        response
    });
    let mut held = Vec::new();
    let (ana, ben) = (world.ana(), world.ben());
    for token in [&ana, &ana] {
        held.push(world.open("desk", post(token, &find(), &[])).await);
    }
    all.push(("a caller with much under way", world.send("desk", post(&ana, &find(), &[])).await));
    held.push(world.open("desk", post(&ben, &find(), &[])).await);
    all.push(("a door with much under way", world.send("desk", post(&ben, &find(), &[])).await));
    assert!(held.iter().all(|response| response.status() == 200));
}

/// A server below the door that only fails.
#[derive(Clone)]
struct Fails(UpstreamError);

impl Service<Request<Body>> for Fails {
    type Response = Response<Body>;
    type Error = UpstreamError;
    type Future = std::future::Ready<Result<Response<Body>, UpstreamError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        std::future::ready(Err(self.0))
    }
}

async fn reply(response: Response<Body>) -> Reply {
    let (parts, body) = response.into_parts();
    let text = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
    Reply { status: parts.status.as_u16(), headers: parts.headers, text }
}

async fn failing(all: &mut Vec<(&'static str, Reply)>) {
    let world = World::with(POLICY, Limits::default());
    for (name, error) in [
        ("a server that breaks off", UpstreamError::Failed),
        ("a server that takes too long", UpstreamError::Timeout),
        ("a server that is left alone", UpstreamError::Unavailable),
        ("a server without a credential", UpstreamError::NoCredential),
    ] {
        let mut service = GuardLayer::new(world.guard.clone(), "desk").layer(Fails(error));
        let request = post(&world.ana(), &find(), &[]);
        all.push((name, reply(service.call(request).await.unwrap()).await));
    }
}

async fn full() -> Reply {
    let world = World::with(POLICY, Limits { remembered: 0, ..Limits::default() });
    world.call(&world.ana(), "find", &json!({})).await
}

async fn uncounted() -> Reply {
    let counted = "[servers.desk.tools.find]\nrate = \"9/min per all across gateways\"\n";
    let world = World::with(&POLICY.replace("[servers.desk.tools.find]\n", counted), Limits::default());
    let reply = world.call(&world.ana(), "find", &json!({})).await;
    assert!(world.journal().is_empty());
    reply
}

async fn ended() -> Reply {
    let world = World::with(POLICY, Limits::default());
    let (events, received) = mpsc::unbounded_channel::<Result<http_body::Frame<Bytes>, BoxError>>();
    let received = std::sync::Mutex::new(Some(received));
    world.answers(move |_| {
        let mut received = received.lock().unwrap().take().unwrap();
        let frames = StreamBody::new(futures_util::stream::poll_fn(move |cx| received.poll_recv(cx)));
        let mut response = Response::new(Body::new(frames));
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
        response
    });
    let wanted = json!({ "notifications": { "toolsListChanged": true } });
    let response = world.open("desk", modern(&world.ana(), "subscriptions/listen", &wanted)).await;
    world.now.store(1600, Ordering::SeqCst);
    let changed = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}\n\n";
    events.send(Ok(http_body::Frame::data(Bytes::from_static(changed.as_bytes())))).unwrap();
    let mut ended = reply(response).await;
    // The event is what a client reads.
    ended.text = ended.text.strip_prefix("data: ").unwrap().trim_end().to_owned();
    ended
}

async fn faulty() -> Reply {
    let world = World::with(POLICY, Limits::default());
    let policy = compile(POLICY);
    let given = Given([(Place::File("keys.json".into()), world.keys())].into());
    let verifier = Verifier::new(policy.set(), Arc::new(given), VerifierLimits::default());
    let surroundings = Surroundings {
        clock: Arc::new(|| Timestamp(1200)),
        ids: Arc::new(|| panic!("a fault that a test makes: the secret of db-7")),
        key: [7; 32],
        other_keys: Vec::new(),
        shared_rates: None,
        limits: Limits::default(),
        tracer: None,
    };
    let guard = Guard::new(policy, verifier, Arc::new(Rows::default()), surroundings);
    let mut service = GuardLayer::new(guard, "desk").layer(world.server.clone());
    let answer = reply(service.call(post(&world.ana(), &find(), &[])).await.unwrap()).await;
    assert!(!answer.text.contains("db-7"));
    answer
}

#[tokio::test]
async fn what_the_world_of_the_other_refusals_allows_is_allowed() {
    let world = World::with(POLICY, Limits::default());
    world.answers(|seen| {
        raw("application/json", json!({ "jsonrpc": "2.0", "id": seen.json()["id"], "result": {} }).to_string())
    });
    for (tool, arguments) in [("find", json!({})), ("pay", json!({ "amount": 39 }))] {
        let reply = world.call(&world.ana(), tool, &arguments).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
}
