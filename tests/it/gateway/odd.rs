//! A server that does what its tool is called, and a gateway with two doors to it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::rig::{Rig, URL};

/// How long the server may take to begin its answer: longer than `wait` takes, and no longer than a test waits.
const FIRST_BYTE: Duration = Duration::from_secs(20);

/// The status with which the tool `fail` answers.
pub(super) static FAILS_WITH: AtomicU16 = AtomicU16::new(503);

/// An answer with this many bytes of text.
fn large(id: &Value, bytes: usize) -> Response {
    let result = json!({ "content": [{ "type": "text", "text": "x".repeat(bytes) }] });
    json_answer(&json!({ "jsonrpc": "2.0", "id": id, "result": result }))
}

fn json_answer(message: &Value) -> Response {
    Response::builder().header("content-type", "application/json").body(Body::from(message.to_string())).unwrap()
}

/// Events without an end, as fast as they are taken.
fn endless() -> Response {
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "data": "y".repeat(60_000) } });
    let event = Bytes::from(format!("data: {note}\n\n"));
    let events = futures_util::stream::repeat_with(move || Ok::<_, Infallible>(event.clone()));
    Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(events)).unwrap()
}

/// Half of an answer, and then the connection breaks.
fn broken() -> Response {
    let parts = [Ok(Bytes::from_static(b"{\"jsonrpc\"")), Err(std::io::Error::other("gone"))];
    let body = Body::from_stream(futures_util::stream::iter(parts));
    Response::builder().header("content-type", "application/json").body(body).unwrap()
}

async fn answer(request: Request) -> Response {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    match message["params"]["name"].as_str() {
        Some("hang") => std::future::pending().await,
        Some("wait") => {
            tokio::time::sleep(Duration::from_secs(2)).await;
            large(&message["id"], 1)
        }
        Some("large") => large(&message["id"], 12 << 20),
        Some("endless") => endless(),
        Some("broken") => broken(),
        Some("fail") => {
            let status = FAILS_WITH.load(Ordering::SeqCst);
            Response::builder().status(status).body(Body::empty()).unwrap()
        }
        _ => large(&message["id"], 1),
    }
}

pub(super) async fn server() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router()).await });
    address
}

pub(super) fn router() -> Router {
    Router::new().fallback(any(answer))
}

/// A gateway with the doors `odd` and `well`, and these limits.
pub(super) async fn rig(limits: &str) -> Rig {
    rig_to(limits, server().await).await
}

/// The same, where the door `odd` leads elsewhere.
pub(super) async fn rig_to(limits: &str, odd: SocketAddr) -> Rig {
    rig_at(limits, &format!("http://{odd}/mcp"), "").await
}

/// The same by a URL, with more of that door.
pub(super) async fn rig_at(limits: &str, odd: &str, more: &str) -> Rig {
    let well = server().await;
    let policy = format!(
        r#"
version = 1
[gateway]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
url = "{URL}"
limits = {{ {limits} }}
[issuers.corp]
url = "https://login.example.com"
jwks_file = "keys.json"
[servers.odd]
url = "{odd}"
{more}
tools = {{ hang = {{}}, wait = {{}}, large = {{}}, endless = {{}}, broken = {{}}, fail = {{}}, add = {{}} }}
[servers.well]
url = "http://{well}/mcp"
tools = {{ add = {{}} }}
[[grants]]
to = {{ subjects = ["*"] }}
allow = ["*"]
"#
    );
    Rig::waiting(&policy, well, FIRST_BYTE).await
}

/// A token of a subject for both doors.
pub(super) fn token(rig: &Rig, subject: &str) -> String {
    let doors = ["odd", "well"].map(|door| format!("{URL}/{door}/mcp"));
    let tools = ["hang", "wait", "large", "endless", "broken", "fail", "add"].map(|tool| format!("odd:{tool}"));
    rig.token(subject, &json!({ "aud": doors, "scope": format!("{} well:add", tools.join(" ")) }))
}

/// A call of a tool, as it goes over the wire.
pub(super) fn call(rig: &Rig, door: &str, subject: &str, tool: &str) -> String {
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": {} } });
    format!("{}content-length: {}\r\n\r\n{body}", head(rig, door, subject), body.to_string().len())
}

/// Its head but for the length.
pub(super) fn head(rig: &Rig, door: &str, subject: &str) -> String {
    format!(
        "POST /{door}/mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nconnection: close\r\n",
        token(rig, subject)
    )
}

/// Begins a request on a connection of its own.
pub(super) async fn begin(rig: &Rig, text: &str) -> TcpStream {
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    socket
}

/// All that comes on a connection until it ends.
pub(super) async fn rest(socket: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_mins(1), socket.read_to_end(&mut answer)).await;
    let _ = read.expect("the connection ends");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Makes a call and gives all that comes back: nothing, where the connection is closed before the call is written.
pub(super) async fn ask(rig: &Rig, door: &str, subject: &str, tool: &str) -> String {
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    match socket.write_all(call(rig, door, subject, tool).as_bytes()).await {
        Ok(()) => rest(&mut socket).await,
        Err(_) => String::new(),
    }
}

pub(super) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

/// The answer of the admin listener.
pub(super) async fn admin(rig: &Rig, path: &str) -> String {
    let mut socket = TcpStream::connect(rig.admin).await.unwrap();
    let text = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    socket.write_all(text.as_bytes()).await.unwrap();
    rest(&mut socket).await
}

/// Waits until something holds.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !holds().await {
        assert!(std::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
