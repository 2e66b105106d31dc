//! Any axum router behind a guard: one layer, and the handler learns who is asking.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod shared;

use std::error::Error;

use axum::routing::post;
use axum::{Extension, Json, Router};
use doorward::pep::{GuardLayer, Permit};
use serde_json::{Value, json};

/// The server: it sees only requests that the policy allows.
async fn answer(Extension(permit): Extension<Permit>, Json(message): Json<Value>) -> Json<Value> {
    let text = format!("hello {}", permit.principal().subject());
    let content = json!([{ "type": "text", "text": text }]);
    Json(json!({ "jsonrpc": "2.0", "id": message.get("id"), "result": { "content": content } }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (guard, token) = shared::guard("axum")?;
    let router = Router::new().route("/notes/mcp", post(answer)).layer(GuardLayer::new(guard, "notes"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/notes/mcp", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });

    // A client, so that the example shows something.
    doorward::identity::ensure_crypto();
    for (tool, token) in [("search", token.as_str()), ("delete", &token), ("search", "none")] {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": { "limit": 1 } } });
        let request = reqwest::Client::new().post(&url).bearer_auth(token).body(call.to_string());
        let request =
            request.header("content-type", "application/json").header("accept", "application/json, text/event-stream");
        let response = request.send().await?;
        println!("{tool}: {} {}", response.status(), response.text().await?);
    }
    Ok(())
}
