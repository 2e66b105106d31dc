//! What the gateway decided is decided again: by its own recording, and by its audit log.

use std::path::Path;

use rmcp::model::CallToolRequestParams;
use serde_json::{Value, json};

use super::process::{call, doorward};
use super::rig::{POLICY, Rig, filled, http_server};
use super::served::{add, client};

/// A report of what the candidate in the directory makes of recorded traffic.
fn simulated(directory: &Path, recording: &str) -> Value {
    let output = doorward()
        .args(["simulate", "--policy", "policies.toml", "--format", "json", recording])
        .current_dir(directory)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!(output.status.code(), Some(0), "{said} {report:#}");
    report["report"].clone()
}

/// One request by hand, with the headers of its revision; the status of the answer.
async fn send(rig: &Rig, door: &str, token: &str, message: &Value) -> u16 {
    let mut request = reqwest::Client::new()
        .post(rig.url(door))
        .bearer_auth(token)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-method", message["method"].as_str().unwrap())
        .header("mcp-protocol-version", "2026-07-28");
    if let Some(name) = message["params"]["name"].as_str() {
        request = request.header("mcp-name", name);
    }
    request.body(message.to_string()).send().await.unwrap().status().as_u16()
}

/// Every kind of answer that a policy gives, and some that it is not asked for.
async fn every_denial(rig: &Rig) {
    let ana = rig.token("ana", &json!({}));
    let tool = |name: &str, arguments: Value| call(7, name, &arguments);
    let fine = json!({"a": 1, "b": 2});
    for (door, token, message, status) in [
        ("http", ana.clone(), tool("add", fine.clone()), 200),
        ("http", ana.clone(), tool("add", json!({"a": 101, "b": 2})), 403),
        ("http", ana.clone(), tool("add", json!({"a": "1", "b": 2})), 403),
        ("http", ana.clone(), tool("add", json!({"b": 2})), 403),
        ("http", ana.clone(), tool("none", json!({})), 403),
        ("http", rig.token("eve", &json!({})), tool("add", fine.clone()), 403),
        ("http", rig.token("ana", &json!({"scope": "stdio:add"})), tool("add", fine.clone()), 403),
        (
            "http",
            rig.token("ana", &json!({"aud": ["http://gateway.example.com/stdio/mcp"]})),
            tool("add", fine.clone()),
            401,
        ),
        (
            "http",
            rig.token("ana", &json!({"iat": 1_700_000_000, "exp": 1_700_000_600})),
            tool("add", fine.clone()),
            401,
        ),
        ("stdio", rig.token("bob", &json!({})), tool("pid", json!({})), 403),
    ] {
        assert_eq!(send(rig, door, &token, &message).await, status, "{door} {message}");
    }
    // A method that nobody knows, and one that this revision does not have.
    for method in ["tools/burn", "ping"] {
        let mut unknown = tool("add", fine.clone());
        unknown["method"] = json!(method);
        unknown["params"].as_object_mut().unwrap().remove("name");
        assert_eq!(send(rig, "http", &ana, &unknown).await, 404, "{method}");
    }
    // More than the rate allows, in whatever hour the clock is.
    let mut held = 0;
    for _ in 0..6 {
        held += usize::from(send(rig, "http", &ana, &tool("pid", json!({}))).await == 429);
    }
    assert!(held >= 2, "{held}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_decided_is_decided_again_by_its_recording_and_by_its_audit_log() {
    doorward::identity::ensure_crypto();
    let policy = POLICY
        .replace("[gateway]\n", "[gateway]\ncapture = { directory = \"captured\" }\n")
        .replace("[servers.http.tools.pid]", "[servers.http.tools.pid]\nrate = \"2/h per subject\"");
    let http = http_server().await;
    let rig = Rig::with(&policy, http).await;
    std::fs::write(rig.directory.path().join("policies.toml"), filled(&policy, http)).unwrap();
    // Whole sessions of real clients in both eras: handshakes, notifications, lists, streams and ends.
    for (door, modern) in [("http", false), ("http", true), ("stdio", false), ("stdio", true)] {
        for subject in ["ana", "bob"] {
            let client = client(&rig, door, subject, modern).await;
            client.list_all_tools().await.unwrap();
            client.call_tool(add(1, 2)).await.unwrap();
            client.call_tool(add(101, 2)).await.expect_err("an argument that is not allowed");
            let pid = client.call_tool(CallToolRequestParams::new("pid")).await;
            assert_eq!(pid.is_ok(), subject == "ana");
            client.cancel().await.unwrap();
        }
    }
    every_denial(&rig).await;
    let directory = tempfile::tempdir().unwrap();
    let place = rig.stopped().await;
    let exported = directory.path().join("exported.jsonl");
    let output = doorward()
        .args(["audit", "export", "--format", "recording", "--output", exported.to_str().unwrap()])
        .current_dir(place.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let captured = simulated(place.path(), "captured");
    let exported = simulated(place.path(), exported.to_str().unwrap());
    for report in [&captured, &exported] {
        let drift = &report["drift"];
        assert_eq!((&drift["checked"], &drift["undecidable"]), (&drift["same"], &json!(0)), "{drift:#}");
        assert!(drift["checked"].as_u64().unwrap() > 60, "{drift:#}");
        assert_eq!(report["unreadable"], json!({}));
    }
    assert_eq!(captured["drift"], exported["drift"]);
    for what in ["replayed", "before", "now"] {
        assert_eq!(captured["rates"][what], exported["rates"][what], "{what}");
    }
    assert!(captured["rates"]["now"]["at_least"].as_u64().unwrap() >= 2, "{:#}", captured["rates"]);
}
