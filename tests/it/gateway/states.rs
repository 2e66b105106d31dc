//! `requestState` behind a balancer: what one gateway sealed, another opens that has the key.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::any;
use serde_json::{Value, json};

use super::process::call;
use super::rig::{POLICY, Rig, filled, keys, opened};

/// A server that asks back once, and keeps what then comes.
async fn server() -> (SocketAddr, Arc<Mutex<Vec<Value>>>) {
    let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = Arc::clone(&seen);
    let app = Router::new().fallback(any(move |body: String| {
        let kept = Arc::clone(&kept);
        async move {
            let message: Value = serde_json::from_str(&body).unwrap();
            let state = &message["params"]["requestState"];
            let result = if state.is_null() {
                json!({"resultType": "input_required", "requestState": "step=1", "inputRequests": {}})
            } else {
                json!({"resultType": "complete", "content": []})
            };
            kept.lock().unwrap().push(state.clone());
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
            ([("content-type", "application/json")], answer.to_string())
        }
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, seen)
}

/// Calls at a gateway, perhaps with a state.
async fn add(rig: &Rig, subject: &str, state: Option<&str>) -> (u16, Value) {
    doorward::identity::ensure_crypto();
    let mut message = call(1, "add", &json!({"a": 1, "b": 2}));
    if let Some(state) = state {
        message["params"]["requestState"] = json!(state);
        message["params"]["inputResponses"] = json!({});
    }
    let request = reqwest::Client::new()
        .post(rig.url("http"))
        .bearer_auth(rig.token(subject, &json!({})))
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "add")
        .body(message.to_string());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}

/// A policy whose states are sealed with the keys in these files.
fn with_keys(directory: &Path, names: &[&str]) -> String {
    let files: Vec<String> = names.iter().map(|name| format!("\"file:{}\"", directory.join(name).display())).collect();
    POLICY.replace("[gateway]\n", &format!("[gateway]\nstate_keys = [{}]\n", files.join(", ")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_one_gateway_sealed_opens_at_another_with_the_key_and_at_no_other() {
    let (http, seen) = server().await;
    let directory = tempfile::tempdir().unwrap();
    for name in ["old", "new", "foreign"] {
        std::fs::write(directory.path().join(name), format!("{name} and thirty-two characters or more\n")).unwrap();
    }
    let gateway = async |names: &[&str]| Rig::with(&with_keys(directory.path(), names), http).await;
    // As keys change: one knows the old key alone, one the new one too, and one seals with that already.
    let (before, during, after) =
        (gateway(&["old"]).await, gateway(&["old", "new"]).await, gateway(&["new", "old"]).await);
    let (foreign, own) = (gateway(&["foreign"]).await, Rig::with(POLICY, http).await);
    let given = async |rig: &Rig| {
        let (status, answer) = add(rig, "ana", None).await;
        assert_eq!(status, 200, "{answer}");
        answer["result"]["requestState"].as_str().unwrap().to_owned()
    };
    let opens = async |rig: &Rig, subject: &str, state: &str| {
        let calls = seen.lock().unwrap().len();
        let (status, answer) = add(rig, subject, Some(state)).await;
        let seen = seen.lock().unwrap();
        if status == 200 {
            assert_eq!(seen.last().unwrap(), "step=1");
        } else {
            assert_eq!((status, &answer["error"]["data"]["doorward"]["code"]), (400, &json!("state-invalid")));
            assert_eq!(seen.len(), calls, "the server is not asked");
        }
        status == 200
    };
    let states = [given(&before).await, given(&during).await, given(&after).await];
    let mut table = Vec::new();
    for rig in [&before, &during, &after, &foreign, &own] {
        let mut row = Vec::new();
        for state in &states {
            row.push(opens(rig, "ana", state).await);
        }
        table.push(row);
    }
    assert_eq!(
        table,
        [[true, true, false], [true, true, true], [true, true, true], [false, false, false], [false, false, false]]
    );
    // It is still the caller's alone.
    assert!(!opens(&after, "bob", &states[0]).await);
    // Without a key in the policy each has its own.
    let state = given(&own).await;
    let other = Rig::with(POLICY, http).await;
    assert_eq!((opens(&own, "ana", &state).await, opens(&other, "ana", &state).await), (true, false));
    for rig in [before, during, after, foreign, own, other] {
        rig.stop().await;
    }
}

#[tokio::test]
async fn a_key_that_is_not_there_or_too_short_is_a_refusal_to_start_that_does_not_show_it() {
    let directory = tempfile::tempdir().unwrap();
    keys(directory.path());
    std::fs::write(directory.path().join("short"), "hunter2\n").unwrap();
    for (name, what) in
        [("missing", "it is not there or cannot be read"), ("short", "it is shorter than 32 characters")]
    {
        let policy = filled(&with_keys(directory.path(), &[name]), "127.0.0.1:9".parse().unwrap());
        let refusals = opened(&policy, directory.path()).await.err().unwrap();
        let told = refusals.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert_eq!(refusals.iter().map(|refusal| refusal.code).collect::<Vec<_>>(), ["state-key"], "{told}");
        assert!(told.contains(what) && !told.contains("hunter2"), "{told}");
    }
}
