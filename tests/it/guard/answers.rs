//! Each answer of a door, whole: status, headers and body.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use doorward::mcp::MalformedCode;
use doorward::model::Reason;
use doorward::pep::{Body, GuardCode};
use http::Request;
use serde_json::json;

use super::world::{Reply, World, call, modern, post, raw};
use crate::identity::with;

fn whole(reply: &Reply) -> String {
    let mut text = reply.status.to_string();
    for name in ["www-authenticate", "retry-after", "allow", "content-type", "cache-control"] {
        if reply.headers.contains_key(name) {
            text.push_str(&format!("\n{name}: {}", reply.header(name)));
        }
    }
    format!("{text}\n{}", reply.text)
}

#[tokio::test]
async fn every_refusal_has_its_status_headers_and_body() {
    let world = World::new();
    let ana = world.ana();
    let find = call(7, "find", &json!({})).to_string();
    let mut said = Vec::new();
    let mut reached = BTreeSet::new();
    let mut add = |name: &str, reply: &Reply| {
        reached.insert(reply.code());
        said.push(format!("# {name}\n{}", whole(reply)));
    };
    for (name, request) in [
        ("no token", post("", &find, &[])),
        ("a token that is not believed", post("a.b.c", &find, &[])),
        ("a token in the query", Request::post("/desk/mcp?access_token=a").body(Body::empty()).unwrap()),
        ("not acceptable", post(&ana, &find, &[]).map_accept("application/json")),
        ("another content type", post(&ana, &find, &[]).map_type("text/plain")),
        (
            "another http method",
            Request::put("/desk/mcp").header("authorization", format!("Bearer {ana}")).body(Body::empty()).unwrap(),
        ),
        ("no json", post(&ana, "{", &[])),
        ("a batch", post(&ana, &format!("[{find}]"), &[])),
        ("a name that stands twice", post(&ana, &find.replace("\"name\"", "\"name\":\"pay\",\"name\""), &[])),
        ("digits that a double loses", post(&ana, &find.replace("{}", r#"{"q":0.100000000000000001}"#), &[])),
        ("no name", post(&ana, r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{}}"#, &[])),
        ("an unknown version", post(&ana, &find, &[("mcp-protocol-version", "1999-01-01")])),
        (
            "two versions",
            post(
                &ana,
                &find.replace(
                    "\"name\"",
                    "\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"1999-01-01\"},\"name\"",
                ),
                &[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "find")],
            ),
        ),
        ("a header that says otherwise", modern(&ana, "tools/call", &json!({ "name": "find" })).map_name("pay")),
        (
            "no meta",
            post(
                &ana,
                &find,
                &[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", "find")],
            ),
        ),
        ("an unknown method", modern(&ana, "vendor/extra", &json!({}))),
        ("an unknown method, long ago", post(&ana, r#"{"jsonrpc":"2.0","id":1,"method":"vendor/extra"}"#, &[])),
        ("a method that is gone", modern(&ana, "resources/subscribe", &json!({}))),
        ("a session of nobody", post(&ana, &find, &[("mcp-session-id", "s")])),
        ("a task of nobody", modern(&ana, "tasks/get", &json!({ "taskId": "t" }))),
        (
            "tasks, which the client does not know",
            modern(&ana, "tasks/get", &json!({ "taskId": "t", "_capabilities": { "extensions": {} } })),
        ),
        ("a state of nobody", modern(&ana, "tools/call", &json!({ "name": "find", "requestState": "x" }))),
        ("a response to nothing", post(&ana, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, &[])),
        (
            "a stale token",
            post(
                &world.token(&json!({ "iat": 800, "exp": 1900 })),
                &call(7, "pay", &json!({ "amount": 1 })).to_string(),
                &[],
            ),
        ),
        ("no scope", post(&world.token(&json!({ "scope": "desk:pay" })), &find, &[])),
        (
            "no scope and no grant",
            post(&world.token(&json!({ "scope": "desk:pay" })), &call(7, "refund", &json!({})).to_string(), &[]),
        ),
        ("no grant", post(&ana, &call(7, "refund", &json!({})).to_string(), &[])),
        ("arguments", post(&ana, &call(7, "pay", &json!({ "amount": 99 })).to_string(), &[])),
        (
            "modern get",
            Request::get("/desk/mcp")
                .header("authorization", format!("Bearer {ana}"))
                .header("mcp-protocol-version", "2026-07-28")
                .body(Body::empty())
                .unwrap(),
        ),
    ] {
        add(name, &world.send("desk", request).await);
    }
    assert!(world.journal().is_empty());
    world.answers(|_| raw("text/html", "<h1>internal host db-7</h1>"));
    add("an answer that is none", &world.call(&ana, "find", &json!({})).await);
    world.answers(|_| {
        http::Response::builder().status(401).header("www-authenticate", "Basic").body(Body::empty()).unwrap()
    });
    add("the server wants to know who we are", &world.call(&ana, "find", &json!({})).await);
    world.call(&ana, "slow", &json!({})).await;
    world.call(&ana, "slow", &json!({})).await;
    add("a rate", &world.call(&ana, "slow", &json!({})).await);
    world.rows.broken.store(true, Ordering::SeqCst);
    add("no record", &world.call(&ana, "find", &json!({})).await);
    for (name, reply) in super::refusals::others().await {
        add(name, &reply);
    }
    insta::assert_snapshot!(said.join("\n\n"));

    // No code is without its answer here. A caller is told of nothing that is hidden from it.
    let never = [Reason::Granted, Reason::UnknownTool, Reason::UnknownPrompt, Reason::UnknownResource];
    let mut all: BTreeSet<String> = GuardCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    all.extend(MalformedCode::ALL.iter().map(|code| code.as_str().to_owned()));
    all.extend(Reason::ALL.iter().filter(|reason| !never.contains(reason)).map(|reason| reason.code().to_owned()));
    let lacking: Vec<_> = all.difference(&reached).collect();
    let unknown: Vec<_> = reached.difference(&all).collect();
    assert!(lacking.is_empty() && unknown.is_empty(), "lacking {lacking:?}, unknown {unknown:?}");
}

trait Change {
    fn map_accept(self, value: &'static str) -> Self;
    fn map_type(self, value: &'static str) -> Self;
    fn map_name(self, value: &'static str) -> Self;
}

impl Change for Request<Body> {
    fn map_accept(mut self, value: &'static str) -> Self {
        self.headers_mut().insert("accept", http::HeaderValue::from_static(value));
        self
    }

    fn map_type(mut self, value: &'static str) -> Self {
        self.headers_mut().insert("content-type", http::HeaderValue::from_static(value));
        self
    }

    fn map_name(mut self, value: &'static str) -> Self {
        self.headers_mut().insert("mcp-name", http::HeaderValue::from_static(value));
        self
    }
}

#[tokio::test]
async fn the_metadata_of_a_door_is_served_to_everyone_and_is_what_the_challenge_names() {
    let world = World::new();
    let refused = world.call("", "find", &json!({})).await;
    let url = "https://mcp.example.com/.well-known/oauth-protected-resource/desk/mcp";
    assert!(refused.header("www-authenticate").contains(&format!("resource_metadata=\"{url}\"")));
    let request = Request::get(url).body(Body::empty()).unwrap();
    let reply = world.send("desk", request).await;
    insta::assert_snapshot!(whole(&reply));
    let door = world.guard.door("desk").unwrap();
    assert_eq!((door.metadata_url(), Bytes::from(reply.text)), (url, door.metadata().clone()));
    assert_eq!(door.metadata_path(), "/.well-known/oauth-protected-resource/desk/mcp");
}

#[tokio::test]
async fn a_hidden_tool_cannot_be_told_from_one_that_does_not_exist() {
    let policy = format!(
        "{}\n",
        super::world::POLICY.replace("[servers.desk.tools.refund]", "[servers.desk.tools.refund]\ntoken_ttl = \"2m\"")
    );
    let world = World::with(&policy, doorward::pep::Limits::default());
    for change in [
        json!({ "scope": "desk:find" }),
        json!({}),
        json!({ "exp": 1200 }),
        json!({ "aud": "https://mcp.example.com/till/mcp" }),
        json!({ "realm": null }),
        json!({ "scope": "desk:find", "iat": 1199 }),
    ] {
        let token = world.token(&with(json!({ "scope": super::world::ALL_SCOPES }), &change));
        let none = whole(&world.call(&token, "nothing", &json!({})).await);
        for (tool, arguments) in [("refund", json!({})), ("never", json!({ "amount": 5 })), ("never", json!({}))] {
            assert_eq!(whole(&world.call(&token, tool, &arguments).await), none, "{change} {tool}");
        }
    }
}

#[test]
fn the_page_of_the_guard_names_each_code_with_its_answer() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/guard.md")).unwrap();
    for code in GuardCode::ALL {
        let row = format!("| `{}` | {} | {} | ", code.as_str(), code.status(), code.rpc());
        assert!(page.contains(&row), "{row}");
    }
}
