//! The promises of the design, by name.

use std::sync::atomic::Ordering;

use doorward::audit;
use doorward::model::Effect;
use doorward::pep::{Ask, Body, GuardCode, NotCalled};
use serde_json::{Map, Value, json};

use super::world::{POLICY, World, call, modern, post};

#[tokio::test]
async fn promise_1_nothing_passes_unauthenticated_or_unauthorised() {
    let world = World::new();
    let ana = world.ana();
    let mut said = Vec::new();
    for (who, token) in [
        ("no token", String::new()),
        ("no JWT", "abc".to_owned()),
        ("another signature", format!("{}AA", ana.rsplit_once('.').unwrap().0.to_owned() + ".")),
        ("another audience", world.token(&json!({ "aud": "https://mcp.example.com/till/mcp" }))),
        ("another issuer", world.token(&json!({ "iss": "https://evil.example" }))),
        ("expired", world.token(&json!({ "exp": 1200 }))),
        ("not yet valid", world.token(&json!({ "nbf": 2000 }))),
        ("without a scope", world.token(&json!({ "scope": "" }))),
        ("without a group", world.token(&json!({ "realm": null }))),
        ("groups left out", world.token(&json!({ "realm": null, "hasgroups": true }))),
    ] {
        let reply = world.call(&token, "find", &json!({})).await;
        said.push(format!("{who}: {} {}", reply.status, reply.code()));
    }
    for (tool, arguments) in [
        ("refund", json!({})),
        ("nothing", json!({})),
        ("pay", json!({ "amount": 51 })),
        ("pay", json!({ "amount": "5" })),
        ("pay", json!({})),
        ("never", json!({ "amount": 1 })),
    ] {
        let reply = world.call(&ana, tool, &arguments).await;
        said.push(format!("{tool} {arguments}: {} {}", reply.status, reply.code()));
    }
    let unknown = world.post(&ana, &json!({ "jsonrpc": "2.0", "id": 1, "method": "vendor/extra" })).await;
    said.push(format!("another method: {} {}", unknown.status, unknown.code()));
    insta::assert_snapshot!(said.join("\n"));
    assert!(world.journal().is_empty(), "{:?}", world.journal());
    assert!(world.decisions().iter().all(|row| row.starts_with("Deny")));
}

#[tokio::test]
async fn promise_2_no_effect_without_a_record() {
    let world = World::new();
    let ana = world.ana();
    world.rows.broken.store(true, Ordering::SeqCst);
    for request in [
        post(&ana, &call(1, "find", &json!({})).to_string(), &[]),
        post(&ana, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }).to_string(), &[]),
        modern(&ana, "tools/list", &json!({})),
        http::Request::get("/desk/mcp")
            .header("authorization", format!("Bearer {ana}"))
            .header("accept", "text/event-stream")
            .body(Body::empty())
            .unwrap(),
    ] {
        let reply = world.send("desk", request).await;
        assert_eq!((reply.status, reply.code().as_str()), (503, "audit-unavailable"));
        assert_eq!(reply.header("retry-after"), "5");
    }
    assert!(world.journal().is_empty());
    assert!(!world.guard.is_recording());
    world.rows.broken.store(false, Ordering::SeqCst);
    assert_eq!(world.call(&ana, "find", &json!({})).await.status, 200);
    assert_eq!(world.journal().len(), 1);
}

#[tokio::test]
async fn promise_2_the_row_names_the_very_bytes_that_the_server_gets() {
    let world = World::new();
    // Bytes that no serialiser would write.
    let body = r#"{ "params":{"arguments":{"amount":1.50e1,"note":"\u00e9"},"vendorExt":1,"name":"pay"},"id":  "a", "method":"tools/call","jsonrpc":"2.0" }"#;
    let reply = world.send("desk", post(&world.ana(), body, &[("cookie", "a=b"), ("x-own", "1")])).await;
    assert_eq!(reply.status, 200);
    let seen = world.journal().pop().unwrap();
    assert_eq!(seen.body, body);
    assert!(seen.headers.get("authorization").is_none() && seen.headers.get("cookie").is_none());
    assert_eq!((seen.headers["x-own"].to_str().unwrap(), seen.permit.principal().subject()), ("1", "ana"));
    let row = world.rows.intents.lock().unwrap().pop().unwrap();
    assert_eq!(row.message, Some(audit::digest(body.as_bytes())));
    assert_eq!((row.verdict.effect, &*row.request), (Effect::Allow, seen.permit.request()));
    let text = serde_json::to_string(&row).unwrap();
    assert!(!text.contains("1.5") && !text.contains('é') && !text.contains("t-1"), "{text}");
    insta::assert_json_snapshot!(row, { ".policy" => "…", ".message" => "…" });
    let outcome = world.rows.outcomes.lock().unwrap().pop().unwrap();
    assert_eq!((&*outcome.end, outcome.status), ("answered", Some(200)));
}

#[tokio::test]
async fn promise_4_no_token_is_in_a_row_or_below_the_door() {
    let world = World::new();
    let ana = world.ana();
    world.call(&ana, "find", &json!({})).await;
    world.call(&ana, "refund", &json!({})).await;
    world.call("abc.def.ghi", "find", &json!({})).await;
    world.guard.flush();
    let rows = format!("{:?}{:?}{:?}", world.rows.intents, world.rows.outcomes, world.rows.refusals);
    let below = format!("{:?}", world.journal());
    for part in ana.split('.').chain(["abc.def.ghi", "t-1\""]) {
        assert!(!rows.contains(part) && !below.contains(part), "{part}");
    }
}

#[tokio::test]
async fn promise_5_a_caller_is_told_the_reason_and_nothing_of_the_policy() {
    let world = World::new();
    for (tool, arguments) in [("refund", json!({})), ("pay", json!({ "amount": 400 })), ("never", json!({}))] {
        let text = world.call(&world.ana(), tool, &arguments).await.text;
        for word in ["staff", "payers", "never-at-all", "policies.toml", "lead", "max", "50"] {
            assert!(!text.contains(word), "{word}: {text}");
        }
    }
    let row = world.rows.intents.lock().unwrap()[1].clone();
    assert_eq!((&*row.verdict.reason, row.verdict.rule.unwrap().name.as_str()), ("args", "payers"));
}

#[tokio::test]
async fn a_new_policy_holds_from_the_next_request_on() {
    let world = World::new();
    let ana = world.ana();
    assert_eq!(world.call(&ana, "find", &json!({})).await.status, 200);
    world.replace(&POLICY.replace("allow = [\"desk:find\", ", "allow = ["));
    let reply = world.call(&ana, "find", &json!({})).await;
    assert_eq!((reply.status, reply.code().as_str()), (403, "no-grant"));
    let digests: Vec<String> = world.rows.intents.lock().unwrap().iter().map(|i| i.policy.to_string()).collect();
    assert_ne!(digests[0], digests[1]);
}

#[tokio::test]
async fn junk_without_a_token_makes_a_bounded_number_of_rows() {
    let world = World::new();
    for _ in 0..500 {
        world.call("junk", "find", &json!({})).await;
        world.call("", "find", &json!({})).await;
    }
    assert!(world.rows.intents.lock().unwrap().is_empty());
    assert_eq!(world.rows.refusals.lock().unwrap().len(), 2);
    world.now.fetch_add(61, Ordering::SeqCst);
    world.call("junk", "find", &json!({})).await;
    world.guard.flush();
    let rows = world.rows.refusals.lock().unwrap();
    let counts: Vec<(String, u64)> = rows.iter().map(|row| (row.reason.clone(), row.count)).collect();
    insta::assert_debug_snapshot!(counts);
    assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 1001);
}

#[tokio::test]
async fn rates_hold_and_begin_anew_with_their_window() {
    let world = World::new();
    let (ana, ben) = (world.ana(), world.ben());
    let mut codes = Vec::new();
    for token in [&ana, &ana, &ana, &ben] {
        codes.push(world.call(token, "slow", &json!({})).await.status);
    }
    assert_eq!(codes, [200, 200, 429, 200]);
    world.now.store(1235, Ordering::SeqCst);
    let held = world.call(&ana, "slow", &json!({})).await;
    assert_eq!((held.code().as_str(), held.header("retry-after")), ("rate-limited", "25"));
    world.now.store(1260, Ordering::SeqCst);
    assert_eq!(world.call(&ana, "slow", &json!({})).await.status, 200);
    assert_eq!(world.journal().len(), 4);
    assert!(world.decisions().contains(&"Deny rate-limited tools/call:slow".to_owned()));
}

#[tokio::test]
async fn a_guard_inside_an_agent_calls_only_what_is_allowed_and_on_record() {
    let world = World::new();
    let ana = world.ana();
    let amount = |amount: i64| Map::from_iter([("amount".to_owned(), Value::from(amount))]);
    let called = std::sync::Mutex::new(Vec::new());
    let run = async |name: String, arguments: Map<String, Value>| {
        called.lock().unwrap().push((name, arguments["amount"].clone()));
        Ok::<_, std::io::Error>("done")
    };
    assert_eq!(world.guard.call(&ana, ("desk", "pay"), amount(5), run).await.unwrap(), "done");
    let refused = |outcome: Result<&str, NotCalled<std::io::Error>>| match outcome {
        Err(NotCalled::Refused(refusal)) => refusal.code().as_str(),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(world.guard.call(&ana, ("desk", "pay"), amount(51), run).await), "args");
    assert_eq!(refused(world.guard.call("x", ("desk", "pay"), amount(5), run).await), "token-invalid");
    world.rows.broken.store(true, Ordering::SeqCst);
    assert_eq!(refused(world.guard.call(&ana, ("desk", "pay"), amount(5), run).await), "audit-unavailable");
    world.rows.broken.store(false, Ordering::SeqCst);
    let fails = async |_, _| Err::<&str, _>(std::io::Error::other("down"));
    assert!(matches!(world.guard.call(&ana, ("desk", "pay"), amount(5), fails).await, Err(NotCalled::Failed(_))));
    assert_eq!(called.into_inner().unwrap(), [("pay".to_owned(), json!(5))]);
    assert_eq!(world.ends(), ["answered", GuardCode::UpstreamFailed.as_str()]);
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_row_and_its_outcome() {
    let world = World::new();
    let ana = world.ana();
    // Asked, decided and on record; then the caller is gone before anything is forwarded.
    let who = world.guard.authenticate("desk", Some(&ana)).await.unwrap();
    let recorded = who.permit(Ask::tool("find", Map::new())).await.unwrap().record(None).await.unwrap();
    drop(recorded);
    assert_eq!(world.decisions(), ["Allow granted tools/call:find"]);
    assert_eq!(world.ends(), ["disconnected"]);
    assert!(world.journal().is_empty());
}

#[tokio::test]
async fn a_fault_below_the_door_ends_the_request_on_record() {
    let world = World::new();
    world.answers(|_| panic!("a fault"));
    let reply = world.call(&world.ana(), "find", &json!({})).await;
    assert_eq!((reply.status, reply.code().as_str()), (502, "upstream-failed"));
    assert_eq!(world.ends(), ["upstream-failed"]);
}
