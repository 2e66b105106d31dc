//! The servers of the benchmark that are none of doorward's: what is called, and the bare reverse proxy.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tokio::net::TcpListener;

use super::ANSWER;

/// The server that is called; the public keys of the issuer are in that file.
pub(super) async fn called(keys: &Path) {
    let other = Router::new().fallback(any(answer_other)).with_state(keys.into());
    serve(Router::new().nest("/other", other).fallback(any(answer))).await;
}

/// The floor: every request goes on to that server as it is.
pub(super) async fn reverse_proxy(to: SocketAddr) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    serve(Router::new().fallback(any(forward)).with_state((client, to))).await;
}

/// Serves, and says where, as the log of the gateway does.
async fn serve(router: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
    let address = listener.local_addr().expect("it has an address").to_string();
    eprintln!("{}", json!({ "message": "serving", "address": address }));
    let listener = axum::serve::ListenerExt::tap_io(listener, |io| {
        let _ = io.set_nodelay(true);
    });
    axum::serve(listener, router).await.expect("it serves");
}

/// The server: one small answer to a call, and a stream that stays silent to a subscription.
async fn answer(request: Request) -> Response {
    let listens = request.headers().get("mcp-method").is_some_and(|method| method == "subscriptions/listen");
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    drop(body);
    if listens {
        let first = r#"data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true}}}"#;
        let first = futures_util::stream::iter([Ok::<_, Infallible>(format!("{first}\n\n"))]);
        let silent = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        let answer = Response::builder().header("content-type", "text/event-stream");
        return answer.body(Body::from_stream(silent)).expect("an answer");
    }
    Response::builder().header("content-type", "application/json").body(Body::from(ANSWER)).expect("an answer")
}

/// The server for another gateway, which begins a session, lists the tools and numbers its calls; and the keys of the
/// issuer.
async fn answer_other(State(keys): State<Arc<Path>>, request: Request) -> Response {
    if request.uri().path().ends_with("keys.json") {
        return Response::new(Body::from(std::fs::read(&keys).expect("there are keys")));
    }
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    let Ok(asked) = serde_json::from_slice::<serde_json::Value>(&body) else {
        // It may ask for a stream, which this server has not.
        return Response::builder().status(405).body(Body::empty()).expect("an answer");
    };
    let result = match asked["method"].as_str() {
        Some("initialize") => json!({
            "protocolVersion": asked["params"]["protocolVersion"],
            "capabilities": { "tools": {} },
            "serverInfo": { "name": "desk", "version": "1.0.0" },
        }),
        Some("tools/list") => json!({ "tools": [{ "name": "add", "inputSchema": { "type": "object" } }] }),
        Some("tools/call") => json!({ "content": [{ "type": "text", "text": "3" }] }),
        _ if asked.get("id").is_none() => {
            return Response::builder().status(202).body(Body::empty()).expect("an answer");
        }
        _ => json!({}),
    };
    let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], "result": result }).to_string();
    Response::builder().header("content-type", "application/json").body(Body::from(answer)).expect("an answer")
}

type Proxy = (Client<HttpConnector, Body>, SocketAddr);

async fn forward(State((client, to)): State<Proxy>, mut request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("http://{to}{path}").parse().expect("a URL");
    client.request(request).await.expect("an answer").map(Body::new)
}
