//! A server over HTTP as the gateway sees it: real sockets, servers that lie, hang and break off.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body as AxumBody;
use axum::response::Response as AxumResponse;
use axum::routing::any;
use bytes::Bytes;
use doorward::credentials::vault::declared;
use doorward::credentials::{Credentials, Limits};
use doorward::gateway::upstream::{Failure, FailureCode, Http, Patience, Standing};
use doorward::gateway::{Body, empty, full};
use futures_util::StreamExt;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower_service::Service;

use crate::vault::bao::{compiled, given};

const SHORT: Patience =
    Patience { connect: Duration::from_secs(2), first_byte: Duration::from_secs(2), idle: Duration::from_secs(2) };

/// A server that reads one request head a connection and then says exactly this.
async fn says(text: &'static str, then_close: bool) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let _ = socket.read(&mut head).await;
                let _ = socket.write_all(text.as_bytes()).await;
                if !then_close {
                    std::future::pending::<()>().await;
                }
            });
        }
    });
    address
}

async fn serves(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// The credential of a server that has this one.
fn door(secret: &str) -> doorward::credentials::Door {
    let policy =
        "version = 1\n[servers.tickets]\nurl = \"https://tickets.example.com\"\ncredential = { env = \"TOKEN\" }";
    let declared = declared(compiled(policy).set(), None, &given(&[("env:TOKEN", secret)])).unwrap();
    let clock = Arc::new(|| doorward::model::Timestamp(0));
    Credentials::new(declared, clock, Arc::new(|| 0), Limits::default()).door("tickets").unwrap()
}

fn upstream(address: SocketAddr, patience: Patience) -> Http {
    Http::new(&format!("http://{address}/mcp?tenant=1"), None, patience).unwrap()
}

async fn ask(upstream: &mut Http, request: Request<Body>) -> Result<Response<Body>, Failure> {
    poll_fn(|cx| Service::<Request<Body>>::poll_ready(upstream, cx)).await?;
    upstream.call(request).await
}

/// Tells when it is gone.
struct Leave(Option<tokio::sync::oneshot::Sender<()>>);

impl Drop for Leave {
    fn drop(&mut self) {
        let _ = self.0.take().unwrap().send(());
    }
}

fn post(body: &'static str) -> Request<Body> {
    Request::post("/tickets/mcp?x=1").body(full(body)).unwrap()
}

#[tokio::test]
async fn a_request_arrives_with_its_bytes_and_only_with_the_headers_that_may_cross() {
    let router = Router::new().fallback(any(async |request: axum::extract::Request| {
        let (parts, body) = request.into_parts();
        let mut lines: Vec<_> =
            parts.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        let host = parts.headers["host"].to_str().unwrap().to_owned();
        let body = body.collect().await.unwrap().to_bytes();
        let text = format!("{} {}\n{}\n{}", parts.method, parts.uri, lines.join("\n"), String::from_utf8_lossy(&body));
        let text = text.replace(&host, "HOST");
        AxumResponse::builder()
            .header("set-cookie", "a=b")
            .header("mcp-session-id", "s1")
            .header("server", "x")
            .header("connection", "x-secret")
            .header("x-secret", "1")
            .body(AxumBody::from(text))
            .unwrap()
    }));
    let address = serves(router).await;
    let door = door("upstream-secret");
    let mut upstream = Http::new(&format!("http://{address}/mcp?tenant=1"), Some(door), Patience::default()).unwrap();
    let request = Request::post("/tickets/mcp?x=1")
        .header("host", "gateway.example.com")
        .header("authorization", "Bearer caller-secret")
        .header("cookie", "session=1")
        .header("forwarded", "for=10.0.0.1")
        .header("x-forwarded-for", "10.0.0.1")
        .header("connection", "keep-alive, x-hop")
        .header("x-hop", "1")
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-param-region", "eu")
        .header("mcp-session-id", "s0")
        .body(full(r#"{ "b": 1,"a":2 }"#))
        .unwrap();
    let answer = ask(&mut upstream, request).await.unwrap();
    let names: Vec<_> = answer.headers().keys().map(|name| name.as_str().to_owned()).collect();
    assert_eq!(names, ["mcp-session-id"]);
    let text = String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap();
    insta::assert_snapshot!(text, @r#"
    POST /mcp?tenant=1
    accept: application/json, text/event-stream
    authorization: Bearer upstream-secret
    content-length: 16
    content-type: application/json
    host: HOST
    mcp-param-region: eu
    mcp-session-id: s0
    { "b": 1,"a":2 }
    "#);
}

#[tokio::test]
async fn a_stream_arrives_part_by_part_and_a_caller_who_leaves_ends_it_at_the_server() {
    let (gone, left) = tokio::sync::oneshot::channel::<()>();
    let gone = Arc::new(std::sync::Mutex::new(Some(gone)));
    let router = Router::new().fallback(any(async move || {
        let leave = Leave(gone.lock().unwrap().take());
        let ticks = futures_util::stream::unfold((0, leave), async |(n, leave)| {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from(format!("data: {n}\n\n"))), (n + 1, leave)))
        });
        AxumResponse::builder().header("content-type", "text/event-stream").body(AxumBody::from_stream(ticks)).unwrap()
    }));
    let mut upstream = upstream(serves(router).await, Patience::default());
    let answer = ask(&mut upstream, post("{}")).await.unwrap();
    let mut parts = answer.into_body().into_data_stream();
    for n in 0..3 {
        assert_eq!(parts.next().await.unwrap().unwrap(), format!("data: {n}\n\n"));
    }
    drop(parts);
    tokio::time::timeout(Duration::from_secs(30), left).await.expect("the server was told").unwrap();
}

#[tokio::test]
async fn whatever_is_no_answer_is_a_failure_with_its_code() {
    let long: &'static str =
        Box::leak(format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(100_000)).into_boxed_str());
    let many: &'static str = Box::leak(format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(300)).into_boxed_str());
    let cases = [
        (
            "moved",
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
            true,
        ),
        ("challenged", "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer\r\ncontent-length: 0\r\n\r\n", true),
        ("encoded", "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n", true),
        ("not http", "SSH-2.0-OpenSSH_9.2\r\n", true),
        ("long head", long, true),
        ("many headers", many, true),
        ("two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", true),
        ("closed", "", true),
        ("silent", "", false),
        ("half a head", "HTTP/1.1 200 OK\r\ncontent-", false),
    ];
    let mut said = Vec::new();
    for (name, text, close) in cases {
        let mut upstream = upstream(says(text, close).await, SHORT);
        let failure = ask(&mut upstream, post("{}")).await.expect_err(name);
        said.push(format!("{name}: {failure}"));
    }
    let down = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failure = ask(&mut upstream(down, SHORT), post("{}")).await.unwrap_err();
    said.push(format!("down: {failure}"));
    insta::assert_snapshot!(said.join("\n"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_or_stalls_ends_in_an_error_and_never_looks_complete() {
    let broken = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"jsonrpc\"";
    for (close, code) in [(true, FailureCode::Garbled), (false, FailureCode::TimedOut)] {
        let mut upstream = upstream(says(broken, close).await, SHORT);
        let answer = ask(&mut upstream, post("{}")).await.unwrap();
        let error = answer.into_body().collect().await.unwrap_err();
        assert_eq!(error.downcast_ref::<Failure>().unwrap().code, code, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_is_down_is_soon_left_alone_and_comes_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut upstream = upstream(address, SHORT);
    let mut codes = Vec::new();
    for _ in 0..7 {
        codes.push(ask(&mut upstream, post("{}")).await.unwrap_err().code);
    }
    assert_eq!(codes[..5], [FailureCode::Unreachable; 5]);
    assert_eq!(codes[5..], [FailureCode::Resting; 2]);
    assert_eq!(upstream.standing(), Standing::Open);
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(async || "well"))).await });
    let deadline = Instant::now() + Duration::from_secs(30);
    while ask(&mut upstream, post("{}")).await.is_err() {
        assert!(Instant::now() < deadline, "it never came back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(upstream.standing(), Standing::Closed);
}

#[tokio::test]
async fn a_naive_server_does_not_make_calls_wait_for_delayed_acknowledgements() {
    // `axum::serve` leaves Nagle's algorithm on; a body that streams goes out after its head.
    let router = Router::new().fallback(any(async || {
        let parts = futures_util::stream::iter([Ok::<_, std::io::Error>("a"), Ok("b")]).then(async |part| {
            tokio::task::yield_now().await;
            part
        });
        AxumBody::from_stream(parts)
    }));
    let mut upstream = upstream(serves(router).await, Patience::default());
    let begin = Instant::now();
    for _ in 0..300 {
        let answer = ask(&mut upstream, post("{}")).await.unwrap();
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "ab");
    }
    // Each that waits takes 40 ms: 12 s in all.
    assert!(begin.elapsed() < Duration::from_secs(8), "300 calls took {:?}", begin.elapsed());
}

#[tokio::test]
async fn the_url_of_a_server_has_a_scheme_that_is_spoken_and_a_host() {
    for url in ["", "tickets", "ftp://example.com/mcp", "http:///mcp", "http://exa mple/"] {
        assert!(Http::new(url, None, Patience::default()).is_err(), "{url}");
    }
    let mut upstream = upstream(says("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", true).await, SHORT);
    let answer = ask(&mut upstream, Request::post("/").body(empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 202);
}
