//! What a running gateway has decided is decided again by a rehearsal of its own log, to the last call.

use std::collections::BTreeMap;

use axum::http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{Gateway, Place};
use crate::gateway::process::doorward;

/// Doors, and who may do what there.
fn policy(server: std::net::SocketAddr) -> String {
    format!(
        "[servers.desk]
url = \"http://{server}/mcp\"
[servers.desk.tools.find]
capture = [\"query\"]
[servers.desk.tools.pay]
token_ttl = \"5m\"
args = {{ amount = {{ min = 0, max = 500 }}, note = {{ max_len = 20 }} }}
[servers.desk.tools.move]
args = {{ path = {{ under = \"/srv\" }}, \"to.host\" = {{ host = \"*.example.com\" }} }}
[servers.desk.tools.slow]
rate = \"2/min per subject\"
[servers.desk.prompts.triage]
[servers.desk.resources.manuals]
uri = \"file:///srv/manuals/**\"
[servers.desk.resources.secret]
uri = \"file:///srv/manuals/secret/**\"
[servers.till]
url = \"http://{server}/mcp\"
[servers.till.tools.open]
[[grants]]
name = \"staff\"
to = {{ issuer = \"dev\", groups = [\"staff\"] }}
allow = [\"desk:*\"]
[[grants]]
name = \"small\"
to = {{ issuer = \"dev\", groups = [\"guest\"] }}
allow = [\"desk:pay\", \"desk:find\"]
args = {{ \"desk:pay\" = {{ amount = {{ max = 50 }} }} }}
[[denies]]
name = \"no-secrets\"
deny = [\"desk:resource:secret\"]
[[denies]]
name = \"not-to-eve\"
to = {{ subjects = [\"eve\"] }}
deny = [\"desk:pay\"]
"
    )
}

/// A server that answers everything, and has a tool of each name.
async fn server() -> std::net::SocketAddr {
    let app = axum::Router::new().fallback(axum::routing::any(async |body: String| {
        let message: Value = serde_json::from_str(&body).unwrap();
        let cached = json!({"resultType": "complete", "ttlMs": 0, "cacheScope": "private"});
        let more = match message["method"].as_str().unwrap() {
            "tools/list" => json!({"tools": [{"name": "find", "inputSchema": {"type": "object"}}]}),
            "prompts/list" => json!({"prompts": [{"name": "triage"}]}),
            "resources/list" => json!({"resources": [{"uri": "file:///srv/manuals/a", "name": "a"}]}),
            "resources/templates/list" => json!({"resourceTemplates": []}),
            "prompts/get" => json!({"messages": []}),
            "resources/read" => json!({"contents": [{"uri": "file:///srv/manuals/a", "text": "a"}]}),
            "server/discover" => json!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}),
            _ => json!({"content": [{"type": "text", "text": "done"}]}),
        };
        let mut result = cached;
        result.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        ([(CONTENT_TYPE, "application/json")], answer.to_string())
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// What everybody asks: the door, the method, and its parameters.
fn asked() -> Vec<(&'static str, &'static str, Value)> {
    let tool = |name: &str, arguments: Value| json!({"name": name, "arguments": arguments});
    let mut asked = vec![
        ("desk", "tools/call", tool("find", json!({"query": "late", "other": {"deep": [1, 2.50, null]}}))),
        ("desk", "tools/call", tool("find", json!({}))),
        ("desk", "tools/call", tool("nothing", json!({"a": 1}))),
        ("desk", "tools/call", tool("move", json!({"path": "/srv/a/../b", "to": {"host": "https://a.example.com/"}}))),
        ("desk", "tools/call", tool("move", json!({"path": "/etc", "to": {"host": "https://example.org"}}))),
        ("desk", "prompts/get", json!({"name": "triage", "arguments": {"ticket": "T-1"}})),
        ("desk", "prompts/get", json!({"name": "none"})),
        ("desk", "resources/read", json!({"uri": "file:///srv/manuals/a/b"})),
        ("desk", "resources/read", json!({"uri": "file:///srv/manuals/secret/a"})),
        ("desk", "resources/read", json!({"uri": "file:///srv/manuals/../passwd"})),
        ("till", "tools/call", tool("open", json!({}))),
        ("till", "tools/list", json!({})),
    ];
    for amount in [json!(20), json!(51.5), json!(500), json!(501), json!("much"), json!(1e300), json!(-0.0)] {
        asked.push(("desk", "tools/call", tool("pay", json!({"amount": amount, "note": "für ä\u{1f600}"}))));
    }
    asked.push(("desk", "tools/call", tool("pay", json!({"amount": 1, "note": "n".repeat(21)}))));
    asked.push(("desk", "tools/call", tool("pay", json!({"note": "no amount"}))));
    // The rate lets two of them through.
    asked.extend([(); 3].map(|()| ("desk", "tools/call", tool("slow", json!({})))));
    for method in ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "server/discover"] {
        asked.push(("desk", method, json!({})));
    }
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_gateway_decided_is_decided_again_without_a_difference() {
    doorward::identity::ensure_crypto();
    let place = Place::new(&policy(server().await)).await;
    let directory = place.directory.path();
    let gateway = tokio::task::block_in_place(|| Gateway::start(directory, &[]));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let all = [
        "desk:find",
        "desk:pay",
        "desk:slow",
        "desk:move",
        "desk:prompt:triage",
        "desk:resource:manuals",
        "desk:resource:secret",
    ];
    let mut statuses: BTreeMap<u16, u64> = BTreeMap::new();
    for (subject, group, scopes, age) in [
        ("ana", "staff", &all[..], 0),
        ("ben", "guest", &all[..], 0),
        ("eve", "staff", &all[..], 0),
        ("kim", "staff", &all[..1], 0),
        // Too old for the tool that asks for a fresh one.
        ("lea", "staff", &all[..], 400),
        ("nobody", "none", &all[..], 0),
    ] {
        for (n, (door, method, mut params)) in asked().into_iter().enumerate() {
            let token = place.token(door, subject, group, scopes, age);
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
            });
            let message = json!({"jsonrpc": "2.0", "id": n, "method": method, "params": params});
            let mut request = client
                .post(format!("http://{}/{door}/mcp", gateway.0.address))
                .bearer_auth(token)
                .header("accept", "application/json, text/event-stream")
                .header("content-type", "application/json")
                .header("mcp-protocol-version", "2026-07-28")
                .header("mcp-method", method);
            if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
                request = request.header("mcp-name", name);
            }
            let answer = request.body(message.to_string()).send().await.unwrap();
            *statuses.entry(answer.status().as_u16()).or_default() += 1;
        }
    }
    let asked: u64 = statuses.values().sum();
    assert!(
        statuses[&200] > 20 && statuses[&403] > 50 && statuses.keys().all(|s| [200, 401, 403, 404, 429].contains(s)),
        "{statuses:?}"
    );

    // While it runs: another process reads what is durable.
    let run = |arguments: &[&str]| {
        let output = doorward().args(arguments).current_dir(directory).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    run(&["audit", "export", "--format", "recording", "--output", "log.jsonl"]);
    let said = run(&["simulate", "--format", "json", "log.jsonl"]);
    let report: Value = serde_json::from_str(&said).unwrap();
    let drift = &report["report"]["drift"];
    assert_eq!((drift["checked"].as_u64(), drift["same"].as_u64()), (Some(asked), Some(asked)), "{drift:#}");
    drop(gateway);
}
