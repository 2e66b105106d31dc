//! A program as a server, as the gateway sees it: callers kept apart, children that end, lie and
//! hang, and nothing left behind.

use std::sync::Arc;
use std::time::Duration;

use doorward::credentials::Caller as Asking;
use doorward::gateway::upstream::stdio::{Limits, Stdio};
use doorward::gateway::upstream::{Caller, Failure, FailureCode, Patience};
use doorward::gateway::{Body, empty, full};
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower_service::Service;

use super::fixture::program;

const PATIENCE: Patience =
    Patience { connect: Duration::from_secs(5), first_byte: Duration::from_secs(30), idle: Duration::from_secs(30) };

fn server(mode: &str) -> Stdio {
    Stdio::new(program(mode), None, Limits::default(), PATIENCE)
}

/// A caller of that name.
fn who(name: &str) -> Caller {
    let expires_at = doorward::model::Timestamp(i64::MAX);
    let asking = Asking { issuer: "corp".into(), subject: name.into(), agent: None, scopes: Vec::new(), expires_at };
    Caller { key: name.into(), asking: Arc::new(asking) }
}

async fn send(server: &Stdio, caller: &str, headers: &[(&str, &str)], body: Body) -> Result<Response<Body>, Failure> {
    let mut request = Request::post("/").extension(who(caller));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.clone().call(request.body(body).unwrap()).await
}

/// A session of a caller.
struct Session {
    server: Stdio,
    caller: &'static str,
    id: String,
}

impl Session {
    async fn begin(server: &Stdio, caller: &'static str) -> Result<Self, Failure> {
        let params =
            json!({"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
        let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let answer = send(server, caller, &[], full(body.to_string())).await?;
        let id = answer.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        assert_eq!(read(answer).await["result"]["serverInfo"]["name"], "fixture");
        Ok(Self { server: server.clone(), caller, id })
    }

    async fn say(&self, message: Value) -> Result<Response<Body>, Failure> {
        send(&self.server, self.caller, &[("mcp-session-id", &self.id)], full(message.to_string())).await
    }

    async fn call(&self, tool: &str, arguments: Value) -> Result<String, Failure> {
        Ok(words(&read(self.say(call(7, tool, arguments)).await?).await))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a call reads better with its arguments in place")]
fn call(id: impl Into<Value>, tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id.into(), "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

/// A call of the modern era.
async fn modern(server: &Stdio, caller: &str, message: Value) -> Result<Response<Body>, Failure> {
    send(server, caller, &[("mcp-protocol-version", "2026-07-28")], full(message.to_string())).await
}

async fn read(answer: Response<Body>) -> Value {
    assert_eq!(answer.headers()["content-type"], "application/json", "{}", answer.status());
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// The messages of a stream, as many as asked for or all.
async fn events(answer: Response<Body>, most: usize) -> Vec<Value> {
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut parts = answer.into_body().into_data_stream();
    let mut events = Vec::new();
    while events.len() < most
        && let Some(part) = parts.next().await
    {
        let part = String::from_utf8(part.unwrap().to_vec()).unwrap();
        let data = part.strip_prefix("event: message\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
        events.push(serde_json::from_str(data).unwrap());
    }
    events
}

fn words(message: &Value) -> String {
    message["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{message}")).to_owned()
}

fn is_running(pid: &str) -> bool {
    // What has ended and was not yet collected by its parent does not run.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..500 {
        if done() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{what} never came");
}

#[tokio::test]
async fn a_call_comes_back_under_its_own_id_and_the_child_gets_only_the_environment_that_it_is_given() {
    let server = server("legacy");
    let session = Session::begin(&server, "ana").await.unwrap();
    for id in [json!("a"), json!(1), json!(-5)] {
        let answer = read(session.say(call(id.clone(), "echo", json!({"n": 1}))).await.unwrap()).await;
        assert_eq!((&answer["id"], words(&answer)), (&id, r#"{"n":1}"#.to_owned()));
    }
    assert_eq!(session.call("environment", json!({})).await.unwrap(), "FIXTURE PATH");
    assert_eq!(session.call("noise", json!({})).await.unwrap(), "after the noise");
    assert_eq!(session.call("lie", json!({})).await.unwrap(), "yours");
    assert_eq!(session.call("echo", json!({})).await.unwrap(), "{}");
    server.shutdown().await;
}

#[tokio::test]
async fn the_same_id_and_token_at_once_are_kept_apart_and_progress_goes_where_it_belongs() {
    let server = server("modern");
    let ask = |word: &'static str| {
        let server = server.clone();
        async move {
            let mut message = call("same", "slow", json!({"ms": 30, "word": word}));
            message["params"]["_meta"] = json!({"progressToken": "same"});
            events(modern(&server, "ana", message).await.unwrap(), 99).await
        }
    };
    let (one, two) = tokio::join!(ask("one"), ask("two"));
    for (said, word) in [(one, "\"one\""), (two, "\"two\"")] {
        let progress: Vec<_> = said[..3].iter().map(|m| m["params"]["progress"].as_u64().unwrap()).collect();
        assert_eq!(progress, [1, 2, 3]);
        assert!(said[..3].iter().all(|m| m["params"]["progressToken"] == "same"));
        assert_eq!((said.len(), &said[3]["id"], words(&said[3])), (4, &json!("same"), word.to_owned()));
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_caller_who_leaves_cancels_the_call_in_the_modern_era_and_only_there() {
    let server = server("modern");
    let hang = modern(&server, "ana", call(1, "hang", json!({})));
    assert!(tokio::time::timeout(Duration::from_millis(500), hang).await.is_err());
    let asked = async || words(&read(modern(&server, "ana", call(2, "cancelled", json!({}))).await.unwrap()).await);
    assert_eq!(asked().await, "1");
    server.shutdown().await;

    let server = super::upstream_stdio::server("legacy");
    let session = Session::begin(&server, "ana").await.unwrap();
    let hang = session.say(call(1, "hang", json!({})));
    assert!(tokio::time::timeout(Duration::from_millis(500), hang).await.is_err());
    assert_eq!(session.call("cancelled", json!({})).await.unwrap(), "0");
    server.shutdown().await;
}

#[tokio::test]
async fn a_cancellation_names_the_request_that_its_caller_means_and_no_other() {
    let server = server("legacy");
    let session = Arc::new(Session::begin(&server, "ana").await.unwrap());
    let hanging = Arc::clone(&session);
    let hang = tokio::spawn(async move { drop(hanging.say(call("mine", "hang", json!({}))).await) });
    assert_eq!(session.call("cancelled", json!({})).await.unwrap(), "0");
    let cancel =
        |id: Value| json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    assert_eq!(session.say(cancel(json!(1))).await.unwrap().status(), 202);
    assert_eq!(session.say(cancel(json!("other"))).await.unwrap().status(), 202);
    assert_eq!(session.call("cancelled", json!({})).await.unwrap(), "0");
    assert_eq!(session.say(cancel(json!("mine"))).await.unwrap().status(), 202);
    assert_eq!(session.call("cancelled", json!({})).await.unwrap(), "1");
    hang.abort();
    server.shutdown().await;
}

#[tokio::test]
async fn a_subscription_is_tagged_with_the_id_of_its_caller_and_ends_when_the_server_says_so() {
    let server = server("modern");
    let listen = |ends: bool| json!({"jsonrpc": "2.0", "id": "sub", "method": "subscriptions/listen", "params": {"notifications": {"toolsListChanged": ends}}});
    for (ends, most) in [(true, 99), (false, 2)] {
        let said = events(modern(&server, "ana", listen(ends)).await.unwrap(), most).await;
        let methods: Vec<_> = said.iter().map(|m| m["method"].as_str().unwrap()).collect();
        assert_eq!(methods, ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed"]);
        assert!(said.iter().all(|m| m["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "sub"));
    }
    server.shutdown().await;
}

#[tokio::test]
async fn no_child_serves_two_principals_and_no_session_two() {
    let server = server("modern");
    let pid =
        async |caller: &str| words(&read(modern(&server, caller, call(1, "pid", json!({}))).await.unwrap()).await);
    let (ana, bob) = (pid("ana").await, pid("bob").await);
    assert_ne!(ana, bob);
    assert_eq!(pid("ana").await, ana);
    server.shutdown().await;
    assert!(!is_running(&ana) && !is_running(&bob), "shutdown leaves nothing");

    let server = super::upstream_stdio::server("legacy");
    let (first, second) =
        (Session::begin(&server, "ana").await.unwrap(), Session::begin(&server, "ana").await.unwrap());
    assert_ne!(first.call("pid", json!({})).await.unwrap(), second.call("pid", json!({})).await.unwrap());
    let thief = Session { server: server.clone(), caller: "bob", id: first.id.clone() };
    assert_eq!(thief.say(call(1, "pid", json!({}))).await.unwrap().status(), 404);
    server.shutdown().await;
}

#[tokio::test]
async fn requests_of_the_server_reach_the_call_they_come_from_and_the_answer_goes_back() {
    let server = server("legacy");
    let session = Session::begin(&server, "ana").await.unwrap();
    let answer = session.say(call(1, "ask", json!({}))).await.unwrap();
    let mut parts = answer.into_body().into_data_stream();
    let first = String::from_utf8(parts.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(first.contains("sampling/createMessage") && first.contains("\"s1\""), "{first}");
    let reply = json!({"jsonrpc": "2.0", "id": "s1", "result": {"role": "assistant"}});
    assert_eq!(session.say(reply).await.unwrap().status(), 202);
    let last = String::from_utf8(parts.next().await.unwrap().unwrap().to_vec()).unwrap();
    assert!(last.contains("assistant"), "{last}");
    assert!(parts.next().await.is_none());
    server.shutdown().await;
}

#[tokio::test]
async fn what_belongs_to_no_request_waits_for_the_stream_of_its_session() {
    let server = server("legacy");
    let session = Session::begin(&server, "ana").await.unwrap();
    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(session.say(note).await.unwrap().status(), 202);
    let get = Request::get("/").header("mcp-session-id", &session.id).extension(who("ana"));
    let answer = server.clone().call(get.body(empty()).unwrap()).await.unwrap();
    assert_eq!(events(answer, 1).await[0]["method"], "notifications/tools/list_changed");
    let delete = Request::delete("/").header("mcp-session-id", &session.id).extension(who("ana"));
    assert_eq!(server.clone().call(delete.body(empty()).unwrap()).await.unwrap().status(), 204);
    assert_eq!(session.say(call(1, "pid", json!({}))).await.unwrap().status(), 404);
    server.shutdown().await;
}

#[tokio::test]
async fn a_child_that_ends_fails_what_was_under_way_and_another_takes_its_place() {
    let server = server("modern");
    let ask = async |tool: &str| modern(&server, "ana", call(1, tool, json!({}))).await;
    let before = words(&read(ask("pid").await.unwrap()).await);
    let failure = ask("crash").await.unwrap_err();
    assert_eq!((failure.code, &*failure.detail), (FailureCode::Unreachable, "the child has ended"));
    assert_ne!(words(&read(ask("pid").await.unwrap()).await), before);
    let failure = ask("shout").await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Unreachable, "a line without end is not waited for");
    server.shutdown().await;
}

#[tokio::test]
async fn a_program_that_keeps_ending_is_left_alone_and_its_last_words_are_known() {
    let server = server("broken");
    let mut codes = Vec::new();
    for _ in 0..4 {
        let failure = Session::begin(&server, "ana").await.err().unwrap();
        codes.push(failure.code);
        if failure.code == FailureCode::Unreachable {
            assert!(failure.detail.contains("no such configuration"), "{failure}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(codes[..3], [FailureCode::Unreachable; 3]);
    assert_eq!(codes[3], FailureCode::Resting);
    assert!(server.is_resting());
    let missing =
        doorward::gateway::upstream::stdio::Program { argv: vec!["/no/such/program".into()], ..program("legacy") };
    let missing = Stdio::new(missing, None, Limits::default(), PATIENCE);
    let failure = Session::begin(&missing, "ana").await.err().unwrap();
    assert_eq!(failure.to_string(), "upstream-unreachable: `/no/such/program` does not start: entity not found");
}

#[tokio::test]
async fn an_older_server_says_so_to_a_modern_caller_who_then_shakes_hands() {
    let server = server("legacy");
    let answer = modern(&server, "ana", json!({"jsonrpc": "2.0", "id": 1, "method": "server/discover"})).await.unwrap();
    assert_eq!(answer.status(), 400);
    let said = read(answer).await;
    assert_eq!((&said["id"], &said["error"]["code"]), (&json!(1), &json!(-32022)));
    assert_eq!(said["error"]["data"]["supported"], json!(["2025-11-25", "2025-06-18"]));
    Session::begin(&server, "ana").await.unwrap();
    server.shutdown().await;
}

#[tokio::test]
async fn sessions_are_bounded_and_the_one_idle_longest_makes_room() {
    let limits = Limits { sessions: 2, ..Limits::default() };
    let server = Stdio::new(program("legacy"), None, limits, PATIENCE);
    let first = Session::begin(&server, "ana").await.unwrap();
    let second = Session::begin(&server, "ana").await.unwrap();
    let failure = Session::begin(&server, "ana").await.err().unwrap();
    assert_eq!(failure.code, FailureCode::Busy, "what was just used is not taken away");
    Session::begin(&server, "bob").await.unwrap();
    tokio::time::sleep(Duration::from_millis(1100)).await;
    second.call("pid", json!({})).await.unwrap();
    Session::begin(&server, "ana").await.unwrap();
    assert_eq!(first.say(call(1, "pid", json!({}))).await.unwrap().status(), 404);
    second.call("pid", json!({})).await.unwrap();
    server.shutdown().await;
}

#[tokio::test]
async fn a_child_that_will_not_go_is_killed_with_all_that_it_started() {
    let server = server("stubborn");
    let session = Session::begin(&server, "ana").await.unwrap();
    let child = session.call("pid", json!({})).await.unwrap();
    let offspring = session.call("offspring", json!({})).await.unwrap();
    assert!(is_running(&child) && is_running(&offspring));
    server.shutdown().await;
    until("the end of the child", || !is_running(&child) && !is_running(&offspring)).await;
}

#[tokio::test]
async fn a_request_without_its_caller_starts_nothing() {
    let server = server("legacy");
    let request = Request::post("/").body(full(call(1, "pid", json!({})).to_string())).unwrap();
    assert_eq!(server.clone().call(request).await.unwrap_err().code, FailureCode::Unreachable);
    let answer = send(&server, "ana", &[], full(call(1, "pid", json!({})).to_string())).await.unwrap();
    assert_eq!(answer.status(), 400);
}
