//! Two small MCP servers of revision 2026-07-28, as anyone might run them: no tokens, no rules.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A tool: its name, its parameter and what it says.
type Tool = (&'static str, &'static str, fn(&Value) -> String);

/// The tools of a server for tickets.
pub(super) const TICKETS: [Tool; 2] = [
    ("search", "query", |arguments| format!("T-7 mentions `{}`", text(arguments, "query"))),
    ("refund", "amount", |arguments| format!("refunded {}", arguments.get("amount").unwrap_or(&Value::Null))),
];
/// The tools of a server for customers.
pub(super) const CRM: [Tool; 1] =
    [("lookup", "customer", |arguments| format!("{} is a customer", text(arguments, "customer")))];

fn text<'a>(arguments: &'a Value, key: &str) -> &'a str {
    arguments.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Serves tools on the loopback until the runtime ends.
pub(super) async fn serve(tools: &'static [Tool]) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let app = Router::new().route(
        "/mcp",
        post(move |body: Bytes| async move { answer(tools, &serde_json::from_slice(&body).unwrap_or_default()) }),
    );
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}

fn answer(tools: &[Tool], message: &Value) -> Response {
    let member = |key: &str| message.get(key).cloned().unwrap_or_default();
    let params = member("params");
    let listed = || {
        let schema = |parameter: &str| json!({"type": "object", "properties": {parameter: {}}});
        let tool = |(name, parameter, _): &Tool| json!({"name": name, "inputSchema": schema(parameter)});
        json!({"resultType": "complete", "tools": tools.iter().map(tool).collect::<Vec<_>>(), "ttlMs": 0, "cacheScope": "private"})
    };
    let result = match member("method").as_str().unwrap_or_default() {
        "server/discover" => Some(json!({
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
            "ttlMs": 0, "cacheScope": "private",
        })),
        "tools/list" => Some(listed()),
        "tools/call" => tools.iter().find(|(name, ..)| *name == text(&params, "name")).map(|(_, _, run)| {
            let said = run(params.get("arguments").unwrap_or(&Value::Null));
            json!({"resultType": "complete", "content": [{"type": "text", "text": said}]})
        }),
        _ => None,
    };
    let answer = match result {
        Some(result) => json!({"jsonrpc": "2.0", "id": member("id"), "result": result}),
        None => json!({"jsonrpc": "2.0", "id": member("id"), "error": {"code": -32601, "message": "no such method"}}),
    };
    ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}
