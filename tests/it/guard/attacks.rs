//! Attacks on a door, each with what becomes of it. None reaches the server.

use bytes::Bytes;
use doorward::mcp;
use doorward::pep::{Body, Limits};
use http::Request;
use http_body_util::StreamBody;
use serde_json::{Value, json};

use super::world::{POLICY, World, call, modern, post, raw};

#[tokio::test]
async fn what_two_readers_could_read_differently_reaches_nobody() {
    let world = World::new();
    let ana = world.ana();
    let find = call(7, "find", &json!({})).to_string();
    let mut said = Vec::new();
    for (name, body) in [
        ("duplicate name", find.replace("\"name\"", "\"name\":\"refund\",\"name\"")),
        ("duplicate by escape", find.replace("\"name\"", "\"n\\u0061me\":\"refund\",\"name\"")),
        ("duplicate by case", find.replace("\"name\"", "\"Name\":\"refund\",\"name\"")),
        ("name of another type", find.replace("\"find\"", "[\"find\"]")),
        ("arguments of another type", call(7, "find", &json!([1])).to_string()),
        ("a batch of one", format!("[{find}]")),
        ("a batch of two", format!("[{find},{find}]")),
        ("two messages", format!("{find}\n{find}")),
        ("an id of null", find.replace("\"id\":7", "\"id\":null")),
        ("a call without an id", find.replace("\"id\":7,", "")),
        ("a response and a request", find.replace("\"id\":7", "\"id\":7,\"result\":{}")),
        ("another json-rpc", find.replace("2.0", "1.0")),
        ("a byte order mark", format!("\u{feff}{find}")),
        ("too deep", call(7, "find", &(0..70).fold(json!(1), |inner, _| json!([inner]))).to_string()),
        (
            "digits that a double loses",
            call(7, "find", &json!({})).to_string().replace("{}", r#"{"q":0.100000000000000001}"#),
        ),
        ("look-alike", find.replace("find", "\u{0192}ind")),
        ("full width", find.replace("find", "ｆind")),
        ("zero width", find.replace("find", "fi\u{200b}nd")),
        ("percent", find.replace("find", "%66ind")),
        ("upper case", find.replace("find", "Find")),
        ("a blank", find.replace("find", "find ")),
        ("method in upper case", find.replace("tools/call", "Tools/Call")),
        ("method with a slash", find.replace("tools/call", "tools/call/")),
    ] {
        let reply = world.send("desk", post(&ana, &body, &[])).await;
        said.push(format!("{name}: {} {}", reply.status, reply.code()));
    }
    insta::assert_snapshot!(said.join("\n"));
    assert!(world.journal().is_empty(), "{:?}", world.journal());
}

#[tokio::test]
async fn a_uri_in_another_spelling_is_no_way_around_a_rule() {
    let world = World::new();
    let ana = world.ana();
    let read = async |uri: &str| {
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": { "uri": uri } });
        world.post(&ana, &message).await.status
    };
    assert_eq!(read("file:///srv/manuals/a.md").await, 200);
    for uri in [
        "file:///srv/manuals/secret/key",
        "file:///srv/manuals/../../etc/passwd",
        "file:///srv/manuals/%2e%2e/%2e%2e/etc/passwd",
        "file:///srv/manuals/x/../secret/key",
        "file:///srv/manuals/./secret/key",
        "file:///srv/manuals//secret/key",
        "file:///srv/manuals/%73ecret/key",
        "file:///srv/manuals/secret%2fkey",
        "file:///srv/manuals\\secret\\key",
        "FILE:///srv/manuals/a.md",
        "file://localhost/srv/manuals/a.md",
        "file:/srv/manuals/a.md",
        "file:///srv/manuals/a.md#x",
        "file:///srv/manuals/a.md?x",
        "file:///srv/manuals/\u{ff0e}\u{ff0e}/a",
        "http://srv/manuals/a.md",
    ] {
        assert_eq!(read(uri).await, 403, "{uri}");
    }
    assert_eq!(world.journal().len(), 1);
}

#[tokio::test]
async fn headers_cannot_say_other_than_the_body() {
    let world = World::new();
    let ana = world.ana();
    let good = || modern(&ana, "tools/call", &json!({ "name": "find" }));
    assert_eq!(world.send("desk", good()).await.status, 200);
    for (name, value) in [
        ("mcp-name", Some("refund")),
        ("mcp-name", None),
        ("mcp-name", Some("=?base64?cmVmdW5k?=")),
        ("mcp-method", Some("tools/list")),
        ("mcp-method", Some("TOOLS/CALL")),
        ("mcp-method", None),
        ("mcp-protocol-version", Some("2025-11-25")),
        ("mcp-protocol-version", None),
    ] {
        let mut request = good();
        request.headers_mut().remove(name);
        if let Some(value) = value {
            request.headers_mut().insert(name, http::HeaderValue::from_static(value));
        }
        let reply = world.send("desk", request).await;
        assert_eq!((reply.status, reply.json()["error"]["code"].clone()), (400, json!(-32020)), "{name} {value:?}");
        assert_eq!(reply.json()["id"], "m1");
    }
    for name in ["mcp-name", "mcp-method", "mcp-protocol-version", "mcp-session-id"] {
        let mut request = good();
        let value = request.headers().get(name).cloned().unwrap_or(http::HeaderValue::from_static("s"));
        request.headers_mut().append(name, value.clone());
        request.headers_mut().append(name, value);
        assert_eq!(world.send("desk", request).await.status, 400, "{name} twice");
    }
    let mut twice = good();
    let token = twice.headers()["authorization"].clone();
    twice.headers_mut().append("authorization", token);
    assert_eq!(world.send("desk", twice).await.code(), "token-place");
    let mut zipped = good();
    zipped.headers_mut().insert("content-encoding", http::HeaderValue::from_static("gzip"));
    assert_eq!(world.send("desk", zipped).await.status, 415);
    let mut coded = good();
    coded.headers_mut().insert("mcp-name", http::HeaderValue::from_static("=?base64?ZmluZA==?="));
    assert_eq!(world.send("desk", coded).await.status, 200);
    assert_eq!(world.journal().len(), 2);
}

/// A body of so many blocks that says nothing of its length.
fn endless(blocks: usize) -> Body {
    let block = Bytes::from(vec![b' '; 1 << 16]);
    let frames = (0..blocks).map(move |_| Ok::<_, std::io::Error>(http_body::Frame::data(block.clone())));
    Body::new(StreamBody::new(futures_util::stream::iter(frames)))
}

#[tokio::test]
async fn a_body_of_100_mb_is_not_held() {
    let world = World::new();
    let ana = world.ana();
    let huge = |body: Body| post(&ana, "", &[]).map(|_| body);
    for body in [endless(1600), Body::from(Bytes::from(vec![b'x'; 5 << 20]))] {
        let reply = world.send("desk", huge(body)).await;
        assert_eq!((reply.status, reply.code().as_str()), (413, "message-too-large"));
    }
    // Nobody who is not known gets to send one at all.
    let unknown = huge(endless(1600)).map(|body| body);
    let mut unknown = unknown;
    unknown.headers_mut().remove("authorization");
    assert_eq!(world.send("desk", unknown).await.status, 401);
    assert!(world.journal().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_never_ends_is_given_up() {
    let world = World::new();
    let body = Body::new(StreamBody::new(futures_util::stream::pending::<Result<_, std::io::Error>>()));
    let reply = world.send("desk", post(&world.ana(), "", &[]).map(|_| body)).await;
    assert_eq!((reply.status, reply.code().as_str()), (400, "body-incomplete"));
}

#[tokio::test]
async fn an_answer_that_is_not_to_this_request_is_not_passed_on() {
    let limits = Limits { answer: mcp::Limits { bytes: 4096, depth: 16 }, entries: 3, ..Limits::default() };
    let world = World::with(POLICY, limits);
    let ana = world.ana();
    let list = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list" });
    let deep = (0..20).fold(json!(1), |inner, _| json!([inner]));
    let with = |result: Value| json!({ "jsonrpc": "2.0", "id": 7, "result": result }).to_string();
    for (name, kind, body) in [
        ("another id", "application/json", json!({ "jsonrpc": "2.0", "id": 8, "result": {} }).to_string()),
        ("the id as text", "application/json", json!({ "jsonrpc": "2.0", "id": "7", "result": {} }).to_string()),
        ("the id as a fraction", "application/json", r#"{"jsonrpc":"2.0","id":7.0,"result":{"tools":[]}}"#.to_owned()),
        ("no id", "application/json", json!({ "jsonrpc": "2.0", "result": {} }).to_string()),
        ("no json", "application/json", "{".to_owned()),
        ("a request", "application/json", json!({ "jsonrpc": "2.0", "id": 7, "method": "ping" }).to_string()),
        (
            "result and error",
            "application/json",
            r#"{"jsonrpc":"2.0","id":7,"result":{},"error":{"code":1}}"#.to_owned(),
        ),
        (
            "two results",
            "application/json",
            r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[]},"result":{"tools":[]}}"#.to_owned(),
        ),
        ("a batch", "application/json", format!("[{}]", with(json!({ "tools": [] })))),
        ("html", "text/html", "<p>".to_owned()),
        ("no type", "", with(json!({ "tools": [] }))),
        ("too long", "application/json", with(json!({ "tools": [], "x": "y".repeat(5000) }))),
        ("too deep", "application/json", with(json!({ "tools": [], "x": deep }))),
        ("no list", "application/json", with(json!({}))),
        ("a list of another type", "application/json", with(json!({ "tools": {} }))),
        (
            "two lists",
            "application/json",
            r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[],"Tools":[{"name":"refund"}]}}"#.to_owned(),
        ),
        (
            "an entry with two names",
            "application/json",
            r#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"find","name":"refund"}]}}"#.to_owned(),
        ),
        ("an entry without a name", "application/json", with(json!({ "tools": [{}] }))),
        (
            "too many entries",
            "application/json",
            with(json!({ "tools": [{ "name": "find" }, { "name": "find" }, { "name": "find" }, { "name": "find" }] })),
        ),
    ] {
        let (kind, body) = (kind.to_owned(), body.clone());
        world.answers(move |_| raw(&kind, body.clone()));
        let reply = world.post(&ana, &list).await;
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream-invalid"), "{name}");
        assert_eq!(reply.json()["id"], 7, "{name}");
    }
    assert!(world.ends().iter().all(|end| end == "upstream-invalid"));
    world.answers(|_| {
        let mut zipped = raw("application/json", "{}");
        zipped.headers_mut().insert("content-encoding", http::HeaderValue::from_static("gzip"));
        zipped
    });
    assert_eq!(world.post(&ana, &list).await.status, 502);
}

#[tokio::test]
async fn what_an_upstream_says_of_itself_stays_below_the_door() {
    let world = World::new();
    world.answers(|seen| {
        let mut response = super::world::result(seen, &json!({ "content": [] }));
        for (name, value) in
            [("set-cookie", "a=b"), ("server", "x/1"), ("www-authenticate", "Basic"), ("x-internal", "db-7")]
        {
            response.headers_mut().insert(name, http::HeaderValue::from_static(value));
        }
        response
    });
    let reply = world.call(&world.ana(), "find", &json!({})).await;
    let names: Vec<&str> = reply.headers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!((reply.status, names), (200, vec!["content-type"]));
    for status in [301, 401, 403, 500, 503] {
        world.answers(move |_| {
            let body = Body::from(Bytes::from_static(b"host db-7 is down"));
            http::Response::builder().status(status).header("location", "http://db-7").body(body).unwrap()
        });
        let reply = world.call(&world.ana(), "find", &json!({})).await;
        assert_eq!((reply.status, reply.code().as_str()), (502, "upstream-refused"));
        assert!(!reply.text.contains("db-7") && reply.headers.get("location").is_none());
    }
}

#[tokio::test]
async fn a_door_that_the_policy_does_not_have_lets_nothing_pass() {
    let world = World::new();
    let request = post(&world.ana(), &call(7, "find", &json!({})).to_string(), &[]);
    let reply = world.send("attic", request).await;
    assert_eq!(reply.status, 403);
    let metadata = Request::get("/.well-known/oauth-protected-resource/attic/mcp").body(Body::empty()).unwrap();
    assert_eq!(world.send("attic", metadata).await.status, 401);
    assert!(world.journal().is_empty());
}
