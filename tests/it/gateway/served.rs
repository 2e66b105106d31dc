//! The gateway as real clients meet it: rmcp in both eras, in front of rmcp over HTTP and over stdio.

use std::time::Duration;

use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::RunningService;
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientLifecycleMode, ClientServiceExt, RoleClient};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{POLICY, Rig, filled, opened};

const MODERN: [ProtocolVersion; 1] = [ProtocolVersion::V_2026_07_28];

pub(super) async fn client(rig: &Rig, door: &str, subject: &str, modern: bool) -> RunningService<RoleClient, ()> {
    doorward::identity::ensure_crypto();
    let config =
        StreamableHttpClientTransportConfig::with_uri(rig.url(door)).auth_header(rig.token(subject, &json!({})));
    let transport = StreamableHttpClientTransport::from_config(config);
    let mode = if modern {
        ClientLifecycleMode::Discover { preferred_versions: MODERN.to_vec() }
    } else {
        ClientLifecycleMode::Initialize
    };
    ().serve_with_lifecycle(transport, mode).await.unwrap()
}

pub(super) fn add(a: i64, b: i64) -> CallToolRequestParams {
    let Value::Object(arguments) = json!({"a": a, "b": b}) else { unreachable!() };
    CallToolRequestParams::new("add").with_arguments(arguments)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_both_eras_work_through_it_with_servers_of_both_kinds() {
    let rig = Rig::new().await;
    for (door, modern) in [("http", false), ("http", true), ("stdio", false), ("stdio", true)] {
        let (ana, bob) = (client(&rig, door, "ana", modern).await, client(&rig, door, "bob", modern).await);
        let mut names: Vec<_> =
            ana.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name.to_string()).collect();
        names.sort();
        assert_eq!(names, ["add", "pid"], "{door} {modern}");
        let names: Vec<_> = bob.list_all_tools().await.unwrap().into_iter().map(|tool| tool.name).collect();
        assert_eq!(names, ["add"], "{door} {modern}: who may not call a tool does not see it");
        let said = ana.call_tool(add(1, 2)).await.unwrap();
        assert_eq!(said.content[0].as_text().unwrap().text, "3");
        ana.call_tool(add(101, 2)).await.expect_err("an argument that is not allowed");
        bob.call_tool(CallToolRequestParams::new("pid")).await.expect_err("a tool that is not granted");
        if door == "stdio" {
            let pid = async |client: &RunningService<RoleClient, ()>| {
                let said = client.call_tool(CallToolRequestParams::new("pid")).await.unwrap();
                said.content[0].as_text().unwrap().text.clone()
            };
            let other = client(&rig, door, "ana", modern).await;
            // A session has a child of its own; without sessions, a principal has.
            assert_eq!(pid(&ana).await == pid(&other).await, modern);
            other.cancel().await.unwrap();
        }
        ana.cancel().await.unwrap();
        bob.cancel().await.unwrap();
    }
    let rows = rig.rows().await;
    let of = |what: &dyn Fn(&Value) -> bool| rows.iter().filter(|row| what(row)).count();
    assert_eq!(of(&|row| row["method"] == "tools/call" && row["decision"] == "deny"), 8, "{rows:#?}");
    assert!(rig.stop().await);
}

/// Says exactly this on a connection and gives all that comes back.
async fn raw(rig: &Rig, text: &str) -> String {
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(30), socket.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_name_to_be_refused_is_refused_at_the_entrance() {
    let rig = Rig::new().await;
    let get = |path: &str, lines: &str| format!("GET {path} HTTP/1.1\r\n{lines}connection: close\r\n\r\n");
    let own = "host: localhost\r\n";
    let long = "a".repeat(5000);
    let many = "a: b\r\n".repeat(100);
    let cases = [
        ("no token", get("/http/mcp", own), "401"),
        ("no such door", get("/nowhere/mcp", own), "404"),
        ("no such path", get("/http", own), "404"),
        ("dot segments", get("/http/../http/mcp", own), "404"),
        ("an escape that means the same", get("/%68ttp/mcp", own), "404"),
        ("an escaped slash", get("/http%2Fmcp", own), "404"),
        ("a door without a name", get("//mcp", own), "404"),
        ("a slash at the end", get("/http/mcp/", own), "404"),
        ("another case", get("/HTTP/mcp", own), "404"),
        ("a question behind the path", get("/http/mcp?door=other", own), "401"),
        ("another name", get("/http/mcp", "host: evil.example\r\n"), "403"),
        ("no name", get("/http/mcp", ""), "400"),
        ("two names", get("/http/mcp", "host: localhost\r\nhost: evil.example\r\n"), "400"),
        ("absolute form of another name", get("http://evil.example/http/mcp", own), "400"),
        ("another page", get("/http/mcp", "host: localhost\r\norigin: https://evil.example\r\n"), "403"),
        ("own page", get("/http/mcp", "host: localhost\r\norigin: http://localhost\r\n"), "401"),
        ("long path", get(&format!("/{long}"), own), "414"),
        ("many headers", get("/http/mcp", &format!("{own}{many}")), "431"),
        ("metadata", get("/.well-known/oauth-protected-resource/http/mcp", own), "200"),
        ("metadata of nothing", get("/.well-known/oauth-protected-resource/x/mcp", own), "404"),
        (
            "smuggling by two lengths",
            format!("POST /http/mcp HTTP/1.1\r\n{own}content-length: 4\r\ncontent-length: 40\r\n\r\nabcd"),
            "400",
        ),
        (
            "smuggling by length and chunks",
            format!(
                "POST /http/mcp HTTP/1.1\r\n{own}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /admin HTTP/1.1\r\nhost: localhost\r\n\r\n"
            ),
            "401",
        ),
        (
            "smuggling by an odd coding",
            format!("POST /http/mcp HTTP/1.1\r\n{own}transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
            "400",
        ),
        ("lines that end in LF alone", get("/http/mcp", own).replace("\r\n", "\n"), "401"),
        ("a header over two lines", format!("GET /http/mcp HTTP/1.1\r\n{own}a: b\r\n c: d\r\n\r\n"), "400"),
        ("no HTTP", "SSH-2.0-x\r\n\r\n".to_owned(), "400"),
    ];
    for (name, text, expected) in cases {
        let answer = raw(&rig, &text).await;
        assert_eq!(status(&answer), expected, "{name}: {answer}");
        // Whatever follows a request that can be read in two ways is not read as another.
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{name}: {answer}");
    }
    let metadata = raw(&rig, &get("/.well-known/oauth-protected-resource/http/mcp", own)).await;
    assert!(metadata.contains(r#""resource":"http://gateway.example.com/http/mcp""#), "{metadata}");
    rig.stop().await;
}

/// Asks over HTTP/2 for the head alone: how many bytes of a body come all the same.
async fn body_of_head(rig: &Rig, path: &str) -> usize {
    let fields = [(":method", "HEAD"), (":scheme", "http"), (":authority", "localhost"), (":path", path)];
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal that is not indexed, with its name (RFC 7541 section 6.2.2).
        block.push(0);
        for text in [name, value] {
            block.push(u8::try_from(text.len()).unwrap());
            block.extend(text.as_bytes());
        }
    }
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let headers = [0, 0, u8::try_from(block.len()).unwrap(), 1, 0x5, 0, 0, 0, 1];
    let said = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings, &headers, &block].concat();
    socket.write_all(&said).await.unwrap();
    let mut came = 0;
    loop {
        let mut frame = [0; 9];
        let read = tokio::time::timeout(Duration::from_secs(30), socket.read_exact(&mut frame)).await;
        read.expect("an answer in time").unwrap();
        let [a, b, c, kind, flags, .., stream] = frame;
        let mut payload = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        socket.read_exact(&mut payload).await.unwrap();
        if kind == 0 {
            came += payload.len();
        }
        if stream == 1 && kind <= 1 && flags & 1 == 1 {
            return came;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_the_head_alone_gets_no_body() {
    let rig = Rig::new().await;
    for path in ["/.well-known/oauth-protected-resource/http/mcp", "/http/mcp", "/nowhere/mcp"] {
        assert_eq!(body_of_head(&rig, path).await, 0, "{path}");
        let head = format!("HEAD {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = raw(&rig, &head).await;
        assert!(answer.ends_with("\r\n\r\n") && !answer.contains("content-length: 0"), "{path}: {answer}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_100_mb_is_not_taken() {
    let rig = Rig::new().await;
    let mut socket = TcpStream::connect(rig.address).await.unwrap();
    let head = format!(
        "POST /http/mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\ncontent-length: 100000000\r\n\r\n",
        rig.token("ana", &json!({}))
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = socket.into_split();
    let sending = tokio::spawn(async move {
        let part = vec![b' '; 1 << 20];
        let mut sent = 0_usize;
        while sent < 100 && write.write_all(&part).await.is_ok() {
            sent += 1;
        }
        sent
    });
    let mut answer = vec![0; 1024];
    let length = read.read(&mut answer).await.unwrap();
    assert_eq!(status(&String::from_utf8_lossy(&answer[..length])), "413");
    drop(read);
    assert!(sending.await.unwrap() < 100);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_metrics_tell_operators_what_goes_on_and_nothing_of_callers() {
    let rig = Rig::new().await;
    let ana = client(&rig, "http", "ana", false).await;
    ana.call_tool(add(1, 2)).await.unwrap();
    ana.call_tool(add(101, 2)).await.unwrap_err();
    ana.cancel().await.unwrap();
    let get = async |path: &str| {
        let mut socket = TcpStream::connect(rig.admin).await.unwrap();
        let text = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        socket.write_all(text.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert_eq!(status(&get("/healthz").await), "200");
    let ready = get("/readyz").await;
    assert!(ready.contains(r#"{"because":[],"ready":true}"#), "{ready}");
    assert_eq!(status(&get("/http/mcp").await), "404");
    let metrics = get("/metrics").await;
    assert_eq!(status(&metrics), "200");
    for line in [
        "decision=\"allow\"",
        "reason=\"args\"",
        "doorward_upstream_state",
        "doorward_issuer_keys_age_seconds",
        "doorward_audit_waiting",
        "doorward_remembered_bytes",
        "doorward_request_seconds_bucket",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    for name in ["ana", "\"a\":", "Bearer"] {
        assert!(!metrics.contains(name), "{metrics}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_ends_streams_at_once_and_lets_calls_finish() {
    let rig = Rig::new().await;
    let ana = client(&rig, "http", "ana", false).await;
    let begin = std::time::Instant::now();
    assert!(rig.stop().await, "the stream of the session has ended");
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    drop(ana);
}

#[tokio::test]
async fn what_cannot_run_or_is_not_safe_is_refused_before_the_start_all_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let policy = filled(POLICY, "127.0.0.1:1".parse().unwrap())
        .replace("listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:0\"")
        .replace("admin = \"127.0.0.1:0\"", "admin = \"0.0.0.0:0\"");
    let policy = format!(
        "{policy}
[servers.vaulted]
url = \"https://tickets.example.com/mcp\"
credential = {{ vault = \"kv\", path = \"tokens/tickets\" }}
[servers.unset]
url = \"https://tickets.example.com/mcp\"
credential = {{ env = \"DOORWARD_TEST_NO_SUCH_VARIABLE\" }}
[servers.clear]
url = \"http://tickets.example.com/mcp\"
credential = {{ file = \"token\" }}
"
    );
    let refusals = opened(&policy, directory.path()).await.unwrap_err();
    let said: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(said.join("\n"));
    assert!(!directory.path().join("doorward.db").exists());
}
