//! An agent of revision 2026-07-28, with the token that it was given.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::cli::failure::{Failure, Kind};

/// What came back.
pub(super) struct Heard {
    pub(super) status: u16,
    pub(super) challenge: Option<String>,
    pub(super) message: Value,
}

/// Sends one request through a door.
pub(super) async fn send(
    gateway: SocketAddr,
    door: &str,
    token: &str,
    method: &str,
    params: &Value,
) -> Result<Heard, Failure> {
    let failed =
        |error: reqwest::Error| Failure::new(Kind::CannotServe, format!("the gateway does not answer: {error}"));
    let mut params = params.clone();
    if let Some(params) = params.as_object_mut() {
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "desk-assistant", "version": "1"},
        });
        params.insert("_meta".to_owned(), meta);
    }
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let mut request = reqwest::Client::builder()
        .tls_certs_only([])
        .no_proxy()
        .build()
        .map_err(failed)?
        .post(format!("http://{gateway}/{door}/mcp"))
        .bearer_auth(token)
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method);
    if let Some(name) = params.get("name").and_then(Value::as_str) {
        request = request.header("mcp-name", name);
    }
    let answer = request.body(body.to_string()).send().await.map_err(failed)?;
    let challenge = answer.headers().get("www-authenticate").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let status = answer.status().as_u16();
    let text = answer.text().await.map_err(failed)?;
    Ok(Heard { status, challenge, message: serde_json::from_str(&text).unwrap_or_default() })
}
