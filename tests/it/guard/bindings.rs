//! What one caller started, no other goes on with: sessions, tasks, states, requests under way.

use std::sync::atomic::Ordering;

use doorward::pep::Body;
use http::{HeaderValue, Request};
use serde_json::{Value, json};

use super::world::{World, call, post, result};

async fn session(world: &World, token: &str, id: &'static str) -> u16 {
    world.answers(move |seen| {
        let mut response = result(seen, &json!({ "capabilities": {} }));
        response.headers_mut().insert("mcp-session-id", HeaderValue::from_static(id));
        response
    });
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {} });
    let status = world.post(token, &initialize).await.status;
    world.results(json!({ "content": [] }));
    status
}

fn bare(method: &str, token: &str, session: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri("/desk/mcp")
        .header("authorization", format!("Bearer {token}"))
        .header("accept", "text/event-stream")
        .header("mcp-session-id", session)
        .body(Body::empty())
        .unwrap()
}

#[tokio::test]
async fn a_session_is_of_one_principal_at_one_door() {
    let world = World::new();
    let (ana, ben) = (world.ana(), world.ben());
    let other_agent = world.token(&json!({ "client_id": "other" }));
    let lead = json!({ "realm": { "groups": ["lead", "staff"] }, "aud": ["https://mcp.example.com/desk/mcp", "https://mcp.example.com/till/mcp"] });
    let ana_at_both = world.token(&lead);
    assert_eq!(session(&world, &ana, "s-1").await, 200);
    let find = call(1, "find", &json!({})).to_string();
    let before = world.journal().len();
    for token in [&ben, &other_agent] {
        for request in [
            post(token, &find, &[("mcp-session-id", "s-1")]),
            post(token, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, &[("mcp-session-id", "s-1")]),
            bare("GET", token, "s-1"),
            bare("DELETE", token, "s-1"),
        ] {
            let reply = world.send("desk", request).await;
            assert_eq!((reply.status, reply.code().as_str()), (404, "session-unknown"));
        }
    }
    let elsewhere = world
        .send("till", post(&ana_at_both, &call(1, "open", &json!({})).to_string(), &[("mcp-session-id", "s-1")]))
        .await;
    assert_eq!((elsewhere.status, elsewhere.code().as_str()), (404, "session-unknown"));
    assert_eq!(world.journal().len(), before);
    // The same principal with another token goes on.
    let later = world.token(&json!({ "jti": "t-2" }));
    assert_eq!(world.send("desk", post(&later, &find, &[("mcp-session-id", "s-1")])).await.status, 200);
    // A server that gives the same session to another is not believed.
    assert_eq!(session(&world, &ben, "s-1").await, 502);
    assert_eq!(world.send("desk", bare("DELETE", &ana, "s-1")).await.status, 202);
    assert_eq!(world.send("desk", post(&ana, &find, &[("mcp-session-id", "s-1")])).await.status, 404);
    let row = world.rows.intents.lock().unwrap().iter().find_map(|i| i.session.clone()).unwrap();
    assert!(row.starts_with("sha256:"));
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_forgotten_and_a_revision_without_sessions_has_none() {
    let world = World::new();
    let ana = world.ana();
    session(&world, &ana, "s-1").await;
    world.answers(|_| http::Response::builder().status(404).body(Body::empty()).unwrap());
    let find = call(1, "find", &json!({})).to_string();
    let gone = world.send("desk", post(&ana, &find, &[("mcp-session-id", "s-1")])).await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "session-unknown"));
    world.answers(|seen| {
        let mut response = result(seen, &json!({ "content": [] }));
        response.headers_mut().insert("mcp-session-id", HeaderValue::from_static("s-9"));
        response
    });
    let mut request = super::world::modern(&ana, "tools/call", &json!({ "name": "find" }));
    request.headers_mut().insert("mcp-session-id", HeaderValue::from_static("of-another"));
    let reply = world.send("desk", request).await;
    assert_eq!((reply.status, reply.header("mcp-session-id")), (200, ""));
    assert!(world.journal().last().unwrap().headers.get("mcp-session-id").is_none());
}

#[tokio::test]
async fn a_task_is_of_whom_it_was_made_for_and_decided_as_its_tool() {
    let world = World::new();
    let (ana, ben) = (world.ana(), world.ben());
    world.results(json!({ "resultType": "task", "taskId": "t-1", "status": "working" }));
    let made = world.modern(&ana, "tools/call", &json!({ "name": "pay", "arguments": { "amount": 5 } })).await;
    assert_eq!(made.json()["result"]["taskId"], "t-1");
    world.results(json!({ "task": { "taskId": "t-2" } }));
    world.call(&ana, "find", &json!({})).await;
    // A task id of ana's given to ben is a lie of the server.
    world.results(json!({ "resultType": "task", "taskId": "t-1" }));
    assert_eq!(world.modern(&ben, "tools/call", &json!({ "name": "find" })).await.status, 502);
    world.results(json!({ "status": "completed", "result": { "content": [] } }));
    let before = world.journal().len();
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        for (token, id) in [(&ben, "t-1"), (&ana, "t-9")] {
            let reply = world.modern(token, method, &json!({ "taskId": id })).await;
            assert_eq!((reply.status, reply.code().as_str()), (400, "task-unknown"));
        }
    }
    assert_eq!(world.journal().len(), before);
    assert_eq!(world.modern(&ana, "tasks/get", &json!({ "taskId": "t-1" })).await.status, 200);
    assert_eq!(world.decisions().last().unwrap(), "Allow granted tasks/get:pay");
    // The tool asks for a fresh token, and so does every look at its task.
    let stale = world.token(&json!({ "iat": 850, "exp": 1900 }));
    let reply = world.modern(&stale, "tasks/get", &json!({ "taskId": "t-1" })).await;
    assert_eq!((reply.status, reply.code().as_str()), (401, "token-stale"));
    let list = json!({ "jsonrpc": "2.0", "id": 1, "method": "tasks/list" });
    world.results(json!({ "tasks": [{ "taskId": "t-1" }, { "taskId": "t-2" }, { "taskId": "t-9" }] }));
    let ids = |reply: Value| {
        reply["result"]["tasks"].as_array().unwrap().iter().map(|t| t["taskId"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(world.post(&ana, &list).await.json()), ["t-1", "t-2"]);
    assert_eq!(ids(world.post(&stale, &list).await.json()), ["t-2"]);
    assert!(ids(world.post(&ben, &list).await.json()).is_empty());
    world.now.fetch_add(90_000, Ordering::SeqCst);
    let fresh = world.token(&json!({ "iat": 91_000, "exp": 92_000 }));
    assert_eq!(world.modern(&fresh, "tasks/get", &json!({ "taskId": "t-1" })).await.status, 400);
}

#[tokio::test]
async fn a_state_comes_back_only_from_whom_it_was_given_to_and_for_the_same_call() {
    let world = World::new();
    let (ana, ben) = (world.ana(), world.ben());
    world.results(json!({ "resultType": "input_required", "requestState": "user=ana;step=1.é" }));
    let given = world.modern(&ana, "tools/call", &json!({ "name": "find" })).await.json();
    let state = given["result"]["requestState"].as_str().unwrap().to_owned();
    assert_ne!(state, "user=ana;step=1.é");
    let before = world.journal().len();
    for (token, name, state) in [
        (&ben, "find", state.clone()),
        (&ana, "slow", state.clone()),
        (&ana, "find", "user=ana;step=1.é".to_owned()),
        (&ana, "find", state.replace("step=1", "step=2")),
    ] {
        let reply = world.modern(token, "tools/call", &json!({ "name": name, "requestState": state })).await;
        assert_eq!((reply.status, reply.code().as_str()), (400, "state-invalid"));
    }
    let number = world.modern(&ana, "tools/call", &json!({ "name": "find", "requestState": 1 })).await;
    assert_eq!(number.status, 400);
    assert_eq!(world.journal().len(), before);
    let retry = json!({ "name": "find", "requestState": state, "inputResponses": { "a": 1 } });
    assert_eq!(world.modern(&ana, "tools/call", &retry).await.status, 200);
    assert_eq!(world.journal()[before].json()["params"]["requestState"], "user=ana;step=1.é");
    world.now.fetch_add(3600, Ordering::SeqCst);
    let fresh = world.token(&json!({ "iat": 4700, "exp": 5000 }));
    assert_eq!(world.modern(&fresh, "tools/call", &retry).await.code(), "state-invalid");
}

#[tokio::test]
async fn a_cancellation_is_of_a_request_of_ones_own() {
    let world = World::new();
    let (ana, ben) = (world.ana(), world.ben());
    // A stream that ends without an answer: the request is still under way.
    world.answers(|_| super::world::raw("text/event-stream", "id: 1\ndata:\n\n"));
    world.call(&ana, "find", &json!({})).await;
    world.results(json!({}));
    let cancel = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 7 } });
    assert_eq!(world.post(&ben, &cancel).await.status, 202);
    assert_eq!(world.journal().len(), 1);
    assert_eq!(world.post(&ana, &cancel).await.status, 202);
    assert_eq!(world.journal().len(), 2);
    let other = json!({ "jsonrpc": "2.0", "method": "notifications/vendor" });
    let refused = world.post(&ana, &other).await;
    assert_eq!((refused.status, refused.code().as_str(), world.journal().len()), (400, "unknown-method", 2));
}

#[tokio::test]
async fn a_completion_is_a_read_of_what_it_completes() {
    let world = World::new();
    let ana = world.ana();
    world.results(json!({ "completion": { "values": [] } }));
    let complete = async |reference: Value| {
        let params = json!({ "ref": reference, "argument": { "name": "a", "value": "" } });
        world.modern(&ana, "completion/complete", &params).await.status
    };
    assert_eq!(complete(json!({ "type": "ref/prompt", "name": "triage" })).await, 200);
    assert_eq!(complete(json!({ "type": "ref/prompt", "name": "other" })).await, 403);
    assert_eq!(complete(json!({ "type": "ref/resource", "uri": "file:///srv/manuals/a" })).await, 200);
    assert_eq!(complete(json!({ "type": "ref/resource", "uri": "file:///srv/manuals/secret/a" })).await, 403);
    assert_eq!(complete(json!({ "type": "ref/tool", "name": "find" })).await, 400);
    assert_eq!(world.journal().len(), 2);
}

/// A body that never ends after its first bytes.
fn endless(content_type: &str, first: &'static str) -> http::Response<Body> {
    let first = futures_util::stream::iter([Ok::<_, doorward::pep::BoxError>(http_body::Frame::data(first.into()))]);
    let stream = futures_util::StreamExt::chain(first, futures_util::stream::pending());
    let body = Body::new(http_body_util::StreamBody::new(stream));
    http::Response::builder().header("content-type", content_type).body(body).unwrap()
}

#[tokio::test]
async fn callers_who_leave_leave_nothing_behind_however_much_they_sent() {
    let world = World::new();
    let ana = world.ana();
    let large = json!({ "text": "x".repeat(8 << 10), "list": vec![0; 100] });
    let most = json!({ "text": "x".repeat(3 << 20) });
    for n in 0..1024 {
        // One in two leaves in the middle of a stream, the other before the answer is whole.
        let streams = n % 2 == 0;
        world.answers(move |_| {
            if streams { endless("text/event-stream", ": here\n\n") } else { endless("application/json", "{") }
        });
        let mut message = call(n, "find", if n < 2 { &most } else { &large });
        message["params"]["task"] = json!({ "ttl": 1000 });
        let mut visit = Box::pin(world.open("desk", post(&ana, &message.to_string(), &[])));
        let before = world.journal().len();
        while world.journal().len() == before {
            assert!(world.guard.remembered() < 4 << 20);
            if futures_util::future::poll_immediate(&mut visit).await.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(visit);
        world.server.journal.lock().unwrap().clear();
    }
    assert_eq!(world.guard.remembered(), 0);
    assert_eq!(world.ends().iter().filter(|end| *end == "disconnected").count(), 1024);
}

#[tokio::test]
async fn what_callers_may_come_back_for_is_kept_within_its_bytes_and_without_the_policy() {
    let world = World::new();
    let ana = world.ana();
    // An event with an id: the rest may be asked for on another stream.
    world.answers(|_| endless("text/event-stream", "id: 1\ndata:\n\n"));
    for n in 0..100 {
        let mut message = call(n, "find", &json!({ "text": "x".repeat(60 << 10) }));
        message["params"]["task"] = json!({});
        let response = world.open("desk", post(&ana, &message.to_string(), &[])).await;
        let mut body = response.into_body();
        http_body_util::BodyExt::frame(&mut body).await.unwrap().unwrap();
    }
    let remembered = world.guard.remembered();
    assert!((1 << 20..=2 << 20).contains(&remembered), "{remembered}");
    let cancel =
        |id: i64| json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } });
    world.results(json!({}));
    let before = world.journal().len();
    world.post(&ana, &cancel(0)).await;
    assert_eq!(world.journal().len(), before, "the oldest is forgotten");
    world.post(&ana, &cancel(99)).await;
    assert_eq!(world.journal().len(), before + 1);
}
