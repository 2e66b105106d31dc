//! Another policy comes into force: what it holds from then on, what it ends, and what it does not inherit.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use doorward::attest::{Gate, Proofs};
use doorward::pep::{Body, BoxError};
use doorward::policy::checks::Rollout;
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::world::{POLICY, World, call, compile, modern, post};

/// A stream of events that the test feeds.
fn streaming(world: &World) -> mpsc::UnboundedSender<String> {
    let (events, received) = mpsc::unbounded_channel::<String>();
    let received = std::sync::Mutex::new(Some(received));
    world.answers(move |_| {
        let mut received = received.lock().unwrap().take().unwrap();
        let frames = futures_util::stream::poll_fn(move |cx| {
            let text = received.poll_recv(cx);
            text.map(|text| text.map(|text| Ok::<_, BoxError>(http_body::Frame::data(Bytes::from(text)))))
        });
        let mut response = Response::new(Body::new(StreamBody::new(frames)));
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
        response
    });
    events
}

/// All that comes until the end.
async fn rest(body: Body) -> String {
    let rest = tokio::time::timeout(Duration::from_mins(1), body.collect()).await.expect("the stream ends");
    String::from_utf8(rest.unwrap().to_bytes().to_vec()).unwrap()
}

fn listening(world: &World) -> Request<Body> {
    let params = json!({ "notifications": { "toolsListChanged": true } });
    modern(&world.ana(), "subscriptions/listen", &params)
}

/// Without what a caller of the policy may do.
fn without_staff() -> String {
    POLICY.replace("groups = [\"staff\"]", "groups = [\"nobody\"]")
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_ends_when_another_policy_takes_it_away() {
    let world = World::new();
    let events = streaming(&world);
    let body = world.open("desk", listening(&world)).await.into_body();
    // A policy that leaves it alone does not end it, and is the one that the stream lives by from then on.
    world.replace(&POLICY.replace("max = 50 }", "max = 40 }"));
    assert!(!events.is_closed());
    world.replace(&without_staff());
    let said = rest(body).await;
    assert!(said.contains("\"no-longer-allowed\""), "{said}");
    assert!(events.is_closed(), "the server hears no more of it");
    assert_eq!(world.ends(), ["no-longer-allowed"]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_ends_with_its_token() {
    let world = World::new();
    let _events = streaming(&world);
    let body = world.open("desk", listening(&world)).await.into_body();
    let reading = tokio::spawn(rest(body));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!reading.is_finished());
    world.now.fetch_add(100_000, Ordering::SeqCst);
    assert!(reading.await.unwrap().contains("\"no-longer-allowed\""));
    assert_eq!(world.ends(), ["no-longer-allowed"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_goes_on_only_if_the_new_policy_lets_it() {
    let done = json!({ "jsonrpc": "2.0", "id": 7, "result": { "content": [] } });
    for (policy, end) in
        [(POLICY.replace("max = 50 }", "max = 40 }"), "answered"), (without_staff(), "no-longer-allowed")]
    {
        let world = World::new();
        let events = streaming(&world);
        let message = call(7, "find", &json!({})).to_string();
        let body = world.open("desk", post(&world.ana(), &message, &[])).await.into_body();
        // It was decided when it came: its token may grow old while the server works.
        world.now.fetch_add(100_000, Ordering::SeqCst);
        world.replace(&policy);
        let _ = events.send(format!("data: {done}\n\n"));
        drop(events);
        let said = rest(body).await;
        assert_eq!((world.ends().as_slice(), said.contains("\"result\"")), (&[end.to_owned()][..], end == "answered"));
    }
}

#[tokio::test]
async fn a_body_that_comes_slowly_does_not_keep_an_old_policy_alive() {
    let world = World::new();
    let (bytes, received) = mpsc::unbounded_channel::<Bytes>();
    let mut received = received;
    let frames = futures_util::stream::poll_fn(move |cx| {
        received.poll_recv(cx).map(|bytes| bytes.map(|bytes| Ok::<_, BoxError>(http_body::Frame::data(bytes))))
    });
    let (parts, _) = post(&world.ana(), "", &[]).into_parts();
    let request = Request::from_parts(parts, Body::new(StreamBody::new(frames)));
    let text = call(7, "find", &json!({})).to_string();
    let (first, last) = text.split_at(20);
    let sending = async {
        bytes.send(Bytes::copy_from_slice(first.as_bytes())).unwrap();
        tokio::task::yield_now().await;
        world.replace(&without_staff());
        bytes.send(Bytes::copy_from_slice(last.as_bytes())).unwrap();
        drop(bytes);
    };
    let (reply, ()) = tokio::join!(world.send("desk", request), sending);
    assert_eq!((reply.status, reply.code().as_str()), (403, "no-grant"));
    assert!(world.journal().is_empty());
}

/// A session of ana's.
async fn session(world: &World) -> String {
    world.answers(|seen| {
        let mut response = super::world::result(seen, &json!({ "capabilities": {} }));
        response.headers_mut().insert("mcp-session-id", http::HeaderValue::from_static("s-1"));
        response
    });
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {} });
    assert_eq!(world.post(&world.ana(), &initialize).await.status, 200);
    "s-1".to_owned()
}

async fn in_session(world: &World, session: &str) -> (u16, Value) {
    let message = call(7, "find", &json!({})).to_string();
    let reply = world.send("desk", post(&world.ana(), &message, &[("mcp-session-id", session)])).await;
    (reply.status, serde_json::from_str(&reply.text).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_session_is_not_handed_to_another_issuer_or_server_under_the_same_name() {
    let same = POLICY.replace("max = 50 }", "max = 40 }");
    let keys = POLICY.replace("jwks_file = \"keys.json\"", "jwks_file = \"others.json\"");
    let server = POLICY.replace("http://127.0.0.1:9001/mcp", "http://127.0.0.1:9003/mcp");
    for (name, policy, status) in [("the same", same, 200), ("other keys", keys, 404), ("another server", server, 404)]
    {
        let world = World::new();
        let session = session(&world).await;
        assert_eq!(in_session(&world, &session).await.0, 200, "{name}");
        world.replace(&policy);
        let (got, said) = in_session(&world, &session).await;
        assert_eq!(got, status, "{name}: {said}");
    }
}

#[tokio::test]
async fn what_stood_beside_a_policy_stays_with_the_requests_that_it_decided() {
    let world = World::new();
    world.call(&world.ana(), "find", &json!({})).await;
    world.replace(&POLICY.replace("max = 50 }", "max = 40 }"));
    world.call(&world.ana(), "find", &json!({})).await;
    let journal = world.journal();
    let kept: Vec<_> = journal.iter().map(|seen| (seen.permit.generation(), seen.permit.kept::<u64>())).collect();
    assert_eq!(kept, [(0, None), (1, Some(std::sync::Arc::new(1)))]);
    assert_eq!((world.guard.generation(), world.guard.kept::<u64>().as_deref()), (1, Some(&1)));
}

#[tokio::test]
async fn an_answer_that_is_one_document_is_given_whatever_policy_came_meanwhile() {
    let world = World::new();
    let (guard, first) = (world.guard.clone(), world.guard.policy().digest().to_string());
    let cleared = Gate::default().first(compile(&without_staff()), &Rollout::default(), Proofs::default()).unwrap();
    world.answers(move |seen| {
        // The call is done, and its answer is on its way.
        guard.replace(&cleared, std::sync::Arc::new(()));
        super::world::result(seen, &json!({ "content": [] }))
    });
    let reply = world.call(&world.ana(), "find", &json!({})).await;
    assert_eq!((reply.status, world.guard.generation()), (200, 1));
    assert_eq!(world.ends(), ["answered"]);
    assert_eq!(*world.rows.intents.lock().unwrap()[0].policy, *first);
    assert_eq!(world.call(&world.ana(), "find", &json!({})).await.status, 403);
}
