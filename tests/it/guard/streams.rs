//! Event streams: as they come, byte for byte, and without what must not pass.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use doorward::mcp;
use doorward::pep::{Body, BoxError, Limits};
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::world::{POLICY, World, call, modern, post, raw};

fn events(text: impl Into<Bytes>) -> Response<Body> {
    raw("text/event-stream", text)
}

fn data(message: &Value) -> String {
    format!("data: {message}\n\n")
}

fn done(id: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "result": { "content": [] } })
}

fn get(token: &str, session: &str) -> Request<Body> {
    let request = Request::get("/desk/mcp").header("authorization", format!("Bearer {token}"));
    let request = request.header("accept", "text/event-stream").header("last-event-id", "3");
    let request = if session.is_empty() { request } else { request.header("mcp-session-id", session) };
    request.body(Body::empty()).unwrap()
}

/// A session of this caller.
async fn session(world: &World, token: &str, id: &'static str) {
    world.answers(move |seen| {
        let mut response = super::world::result(seen, &json!({ "capabilities": {} }));
        response.headers_mut().insert("mcp-session-id", http::HeaderValue::from_static(id));
        response
    });
    let initialize = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {} });
    let reply = world.post(token, &initialize).await;
    assert_eq!((reply.status, reply.header("mcp-session-id")), (200, id));
}

#[tokio::test]
async fn what_may_pass_passes_byte_for_byte() {
    let world = World::new();
    let stream = ": hello\r\n\r\nid: 1\nretry: 500\ndata:\n\nevent: message\rid: 2\rdata: {\"jsonrpc\":\"2.0\",\rdata:\"method\":\"notifications/message\",\"params\":{\"x\":1.50}}\r\r\u{feff}: no\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"content\":[], \"n\":1e0}}\n\n";
    world.answers(move |_| events(stream));
    let reply = world.call(&world.ana(), "find", &json!({})).await;
    assert_eq!((reply.status, reply.header("x-accel-buffering")), (200, "no"));
    assert_eq!(reply.text, stream);
    assert_eq!(world.ends(), ["answered"]);
}

#[tokio::test]
async fn what_must_not_pass_is_taken_out_of_the_stream() {
    let world = World::new();
    let note = |method: &str, params: Value| json!({ "jsonrpc": "2.0", "method": method, "params": params });
    let mut said = Vec::new();
    for (name, message) in [
        ("progress of this request", note("notifications/progress", json!({ "progressToken": "p" }))),
        ("progress of another", note("notifications/progress", json!({ "progressToken": "q" }))),
        (
            "a resource that may be read",
            note("notifications/resources/updated", json!({ "uri": "file:///srv/manuals/a" })),
        ),
        (
            "a resource that may not",
            note("notifications/resources/updated", json!({ "uri": "file:///srv/manuals/secret/a" })),
        ),
        ("a task of nobody", note("notifications/tasks", json!({ "taskId": "t" }))),
        ("a log message", note("notifications/message", json!({ "data": "x" }))),
        ("another notification", note("notifications/vendor", json!({}))),
        ("a request of the server", json!({ "jsonrpc": "2.0", "id": 1, "method": "roots/list" })),
        ("another request", json!({ "jsonrpc": "2.0", "id": 1, "method": "vendor/run" })),
        ("an answer to another", done(&json!(8))),
        ("a batch", json!([done(&json!(7))])),
        ("no message", json!({})),
        ("two methods", json!("x")),
    ] {
        let stream = format!("id: 9\n{}{}", data(&message), data(&done(&json!(7))));
        world.answers(move |_| events(stream.clone()));
        let mut request = call(7, "find", &json!({}));
        request["params"]["_meta"] = json!({ "progressToken": "p" });
        let reply = world.post(&world.ana(), &request).await;
        said.push(format!("# {name}\n{}", reply.text.trim_end()));
    }
    insta::assert_snapshot!(said.join("\n\n"));
}

#[tokio::test]
async fn an_event_is_passed_on_before_the_next_one_comes_and_a_caller_that_leaves_is_noticed() {
    let world = World::new();
    let (events, received) = mpsc::unbounded_channel::<Result<http_body::Frame<Bytes>, BoxError>>();
    let received = std::sync::Mutex::new(Some(received));
    world.answers(move |_| {
        let mut received = received.lock().unwrap().take().unwrap();
        let frames = futures_util::stream::poll_fn(move |cx| received.poll_recv(cx));
        let mut response = Response::new(Body::new(StreamBody::new(frames)));
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
        response
    });
    let response = world.open("desk", post(&world.ana(), &call(7, "find", &json!({})).to_string(), &[])).await;
    let mut body = response.into_body();
    let text = data(&json!({ "jsonrpc": "2.0", "method": "notifications/message" }));
    // In pieces that cut through everything.
    for byte in text.bytes() {
        events.send(Ok(http_body::Frame::data(Bytes::from(vec![byte])))).unwrap();
    }
    let first = tokio::time::timeout(Duration::from_secs(30), body.frame()).await.unwrap().unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), text);
    assert!(world.ends().is_empty());
    drop(body);
    assert!(events.is_closed());
    assert_eq!(world.ends(), ["disconnected"]);
}

#[tokio::test]
async fn a_stream_that_lies_breaks_off_or_says_too_much_ends_with_an_error() {
    let limits = Limits { answer: mcp::Limits { bytes: 1000, depth: 16 }, ..Limits::default() };
    let world = World::with(POLICY, limits);
    for (name, text, end) in [
        ("no json", "data: {\n\n".to_owned(), "upstream-invalid"),
        ("an endless event", format!("data: {}", "x".repeat(2000)), "upstream-invalid"),
        ("no blank line", data(&done(&json!(7))).trim_end().to_owned(), "unanswered"),
        ("nothing", String::new(), "unanswered"),
    ] {
        world.rows.outcomes.lock().unwrap().clear();
        world.answers(move |_| events(text.clone()));
        let reply = world.call(&world.ana(), "find", &json!({})).await;
        assert_eq!(world.ends(), [end], "{name}");
        assert_eq!(reply.text.contains("\"upstream-invalid\""), end == "upstream-invalid", "{name}: {}", reply.text);
    }
}

#[tokio::test]
async fn a_list_in_a_stream_is_filtered_too() {
    let world = World::new();
    let text = format!(
        "id: 4\ndata: {{\"jsonrpc\":\"2.0\",\"id\":7,\ndata: \"result\":{{\"tools\":[{{\"name\":\"find\",\ndata: \"x\":1}},{{\"name\":\"refund\"}}]}}}}\n\n{}",
        data(&done(&json!(7)))
    );
    world.answers(move |_| events(text.clone()));
    let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" });
    let reply = world.post(&world.ana(), &list).await;
    assert_eq!(
        reply.text,
        "id: 4\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"tools\":[{\"name\":\"find\", \"x\":1}]}}\n\n"
    );
}

#[tokio::test]
async fn an_answer_that_comes_on_the_stream_of_the_session_is_filtered_like_any() {
    let world = World::new();
    let ana = world.ana();
    session(&world, &ana, "s-1").await;
    world.answers(|_| events("id: 3\ndata:\n\n"));
    let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" }).to_string();
    let first = world.send("desk", post(&ana, &list, &[("mcp-session-id", "s-1")])).await;
    assert_eq!(first.text, "id: 3\ndata:\n\n");
    let answer =
        json!({ "jsonrpc": "2.0", "id": 7, "result": { "tools": [{ "name": "find" }, { "name": "refund" }] } });
    let text = format!("{}{}{}", data(&answer), data(&answer), data(&done(&json!(99))));
    world.answers(move |_| events(text.clone()));
    let resumed = world.send("desk", get(&ana, "s-1")).await;
    assert_eq!(resumed.text, "data: {\"id\":7,\"jsonrpc\":\"2.0\",\"result\":{\"tools\":[{\"name\":\"find\"}]}}\n\n");
    assert_eq!(world.journal().last().unwrap().headers["last-event-id"], "3");
}

#[tokio::test]
async fn requests_of_a_server_are_answered_only_by_whom_they_were_asked() {
    let world = World::new();
    let (ana, ben) = (world.ana(), world.ben());
    session(&world, &ana, "s-1").await;
    session(&world, &ben, "s-2").await;
    let asks = json!({ "jsonrpc": "2.0", "id": "q", "method": "sampling/createMessage", "params": { "_meta": { "progressToken": 5 } } });
    let text = data(&asks);
    world.answers(move |_| events(text.clone()));
    assert_eq!(world.send("desk", get(&ana, "s-1")).await.text, data(&asks));
    world.results(json!({}));
    let answer = json!({ "jsonrpc": "2.0", "id": "q", "result": {} }).to_string();
    let progress =
        json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progressToken": 5 } }).to_string();
    let before = world.journal().len();
    let send = async |token: &str, session: &str, body: &str| {
        world.send("desk", post(token, body, &[("mcp-session-id", session)])).await.status
    };
    assert_eq!(send(&ben, "s-2", &answer).await, 400);
    assert_eq!(send(&ben, "s-1", &answer).await, 404);
    assert_eq!(send(&ben, "s-2", &progress).await, 202);
    assert_eq!(world.send("desk", post(&ana, &answer, &[])).await.status, 400);
    assert_eq!(world.journal().len(), before);
    assert_eq!(send(&ana, "s-1", &progress).await, 202);
    assert_eq!(send(&ana, "s-1", &answer).await, 202);
    assert_eq!(world.journal().len(), before + 2);
    assert_eq!(send(&ana, "s-1", &answer).await, 400);
}

#[tokio::test]
async fn what_servers_may_not_ask_is_stopped() {
    let policy = POLICY.replace("elicitation = true, ", "");
    let world = World::with(&policy, Limits::default());
    let ana = world.ana();
    let asks = json!({ "jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {} });
    let text = format!("{}{}", data(&asks), data(&done(&json!(7))));
    world.answers(move |_| events(text.clone()));
    assert_eq!(world.call(&ana, "find", &json!({})).await.text, data(&done(&json!(7))));
    world.results(
        json!({ "resultType": "input_required", "inputRequests": { "a": { "method": "elicitation/create" } } }),
    );
    assert_eq!(world.modern(&ana, "tools/call", &json!({ "name": "find" })).await.status, 502);
    world.results(json!({ "resultType": "input_required", "inputRequests": { "a": { "method": "roots/list" } } }));
    assert_eq!(world.modern(&ana, "tools/call", &json!({ "name": "find" })).await.status, 200);
}

#[tokio::test]
async fn a_server_sends_users_to_pages_of_hosts_that_its_door_names_and_to_no_others() {
    let policy = POLICY.replace("roots = true }", "elicitation_hosts = [\"*.example.com\", \"pay.example.org\"] }");
    let world = World::with(&policy, Limits::default());
    let ana = world.ana();
    for (url, passes) in [
        ("https://login.example.com/a?b", true),
        ("HTTPS://pay.example.org", true),
        ("https://example.com/", false),
        ("https://evil.example/", false),
        ("https://login.example.com.evil.example/", false),
        ("https://login.example.com@evil.example/", false),
        ("https://evil.example\\.example.com/", false),
        ("http://login.example.com/", false),
        ("javascript:alert(1)//x.example.com", false),
        ("", false),
    ] {
        let asks = json!({ "jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": { "mode": "url", "url": url } });
        let text = format!("{}{}", data(&asks), data(&done(&json!(7))));
        world.answers(move |_| events(text.clone()));
        let heard = world.call(&ana, "find", &json!({})).await.text;
        assert_eq!(heard.contains("elicitation/create"), passes, "{url}: {heard}");
        // Without a mode it is judged by its page all the same, and in a result as in a request.
        let input = json!({ "a": { "method": "elicitation/create", "params": { "url": url } } });
        world.results(json!({ "resultType": "input_required", "inputRequests": input }));
        let status = world.modern(&ana, "tools/call", &json!({ "name": "find" })).await.status;
        assert_eq!(status, if passes { 200 } else { 502 }, "{url}");
        let first =
            json!({ "code": -32042, "message": "go", "data": { "elicitations": [{ "mode": "url", "url": url }] } });
        let answer = json!({ "jsonrpc": "2.0", "id": 7, "error": first }).to_string();
        world.answers(move |_| raw("application/json", answer.clone()));
        assert_eq!(world.call(&ana, "find", &json!({})).await.status, if passes { 200 } else { 502 }, "{url}");
    }
    let other = json!({ "jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": { "mode": "hologram" } });
    let text = format!("{}{}", data(&other), data(&done(&json!(7))));
    world.answers(move |_| events(text.clone()));
    assert_eq!(world.call(&ana, "find", &json!({})).await.text, data(&done(&json!(7))));
}

#[tokio::test]
async fn a_filter_that_cannot_be_judged_is_refused_and_an_unknown_one_goes_no_further() {
    let world = World::new();
    let ana = world.ana();
    world.results(json!({}));
    for bad in
        [json!({ "toolsListChanged": { "x": 1 } }), json!({ "taskIds": "t" }), json!({ "resourceSubscriptions": {} })]
    {
        let reply = world.modern(&ana, "subscriptions/listen", &json!({ "notifications": bad })).await;
        assert_eq!((reply.status, world.journal().len()), (400, 0), "{bad}");
    }
    // A lead has tools at this door and nothing else.
    let lead = world.token(&json!({ "realm": { "groups": ["lead"] } }));
    let all =
        json!({ "toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": false, "vendor": 1 });
    world.modern(&lead, "subscriptions/listen", &json!({ "notifications": all })).await;
    assert_eq!(world.journal()[0].json()["params"]["notifications"], json!({ "toolsListChanged": true }));
}

#[tokio::test]
async fn a_subscription_loses_what_may_not_be_heard_of_and_ends_with_the_token() {
    let world = World::new();
    let ana = world.ana();
    let updated = |uri: &str| {
        data(&json!({ "jsonrpc": "2.0", "method": "notifications/resources/updated", "params": { "uri": uri } }))
    };
    let (events, received) = mpsc::unbounded_channel::<Result<http_body::Frame<Bytes>, BoxError>>();
    let received = std::sync::Mutex::new(Some(received));
    world.answers(move |_| {
        let mut received = received.lock().unwrap().take().unwrap();
        let frames = futures_util::stream::poll_fn(move |cx| received.poll_recv(cx));
        let mut response = Response::new(Body::new(StreamBody::new(frames)));
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
        response
    });
    let wanted = json!({ "notifications": {
        "toolsListChanged": true, "vendor": 1,
        "resourceSubscriptions": ["file:///srv/manuals/secret/a", "file:///srv/manuals/a"], "taskIds": ["t"],
    } });
    let response = world.open("desk", modern(&ana, "subscriptions/listen", &wanted)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(
        world.journal()[0].json()["params"]["notifications"],
        json!({ "toolsListChanged": true, "resourceSubscriptions": ["file:///srv/manuals/a"], "taskIds": [] })
    );
    let mut body = response.into_body();
    let send = |text: String| events.send(Ok(http_body::Frame::data(Bytes::from(text)))).unwrap();
    send(updated("file:///srv/manuals/secret/a") + &updated("file:///srv/manuals/a"));
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), updated("file:///srv/manuals/a"));
    world.now.store(1600, Ordering::SeqCst);
    send(updated("file:///srv/manuals/a"));
    let last = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(String::from_utf8_lossy(&last).contains("\"no-longer-allowed\""), "{last:?}");
    assert!(body.frame().await.is_none());
    assert_eq!(world.ends(), Vec::<String>::new());
    drop(body);
    assert_eq!(world.ends(), ["no-longer-allowed"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// However a stream is cut, the caller gets the same bytes.
    #[test]
    fn the_pieces_that_a_stream_comes_in_change_nothing(cuts in proptest::collection::vec(1_usize..40, 1..40), crlf: bool) {
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "x": "\u{e9}" } });
        let dropped = json!({ "jsonrpc": "2.0", "method": "notifications/vendor" });
        let end = if crlf { "\r\n" } else { "\n" };
        let whole = format!(": c\n\nid: 1\ndata: {note}\n\ndata: {dropped}\n\ndata: {note}\n\ndata: {}\n\n", done(&json!(7))).replace('\n', end);
        let expected = format!(": c\n\nid: 1\ndata: {note}\n\ndata: {note}\n\ndata: {}\n\n", done(&json!(7))).replace('\n', end);
        let mut pieces = Vec::new();
        let (mut rest, mut cuts) = (whole.as_bytes(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            pieces.push(Bytes::copy_from_slice(piece));
            rest = more;
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let text = runtime.block_on(async {
            let world = World::new();
            world.answers(move |_| {
                let frames: Vec<_> = pieces.iter().cloned().map(|p| Ok::<_, BoxError>(http_body::Frame::data(p))).collect();
                let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))));
                response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/event-stream"));
                response
            });
            world.call(&world.ana(), "find", &json!({})).await.text
        });
        prop_assert_eq!(text, expected);
    }
}
