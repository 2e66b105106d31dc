//! Lists and capabilities, as each caller sees them.

use serde_json::{Value, json};

use super::world::{World, modern, post, raw, result};

fn names(reply: &super::world::Reply, key: &str, name: &str) -> Vec<String> {
    let json = reply.json();
    let list = json["result"][key].as_array().unwrap_or_else(|| panic!("{json}"));
    list.iter().map(|entry| entry[name].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn each_caller_sees_what_some_call_of_theirs_could_use() {
    let world = World::new();
    let tools = ["find", "pay", "slow", "refund", "never", "nothing", "Find"];
    world.results(json!({ "tools": tools.map(|name| json!({ "name": name, "inputSchema": {} })) }));
    let mut said = Vec::new();
    for (who, change) in [
        ("staff", json!({})),
        ("lead", json!({ "realm": { "groups": ["lead"] } })),
        ("both", json!({ "realm": { "groups": ["lead", "staff"] } })),
        ("one scope", json!({ "scope": "desk:pay" })),
        ("no scope", json!({ "scope": "" })),
        ("a token too old to pay", json!({ "iat": 800, "exp": 1900 })),
    ] {
        let reply =
            world.post(&world.token(&change), &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await;
        said.push(format!("{who}: {}", names(&reply, "tools", "name").join(" ")));
    }
    insta::assert_snapshot!(said.join("\n"));
}

#[tokio::test]
async fn a_list_and_a_call_agree_for_every_tool() {
    let world = World::new();
    let tools = ["find", "pay", "slow", "refund", "never", "nothing"];
    for change in
        [json!({}), json!({ "realm": { "groups": ["lead"] } }), json!({ "scope": "desk:find" }), json!({ "scope": "" })]
    {
        let token = world.token(&change);
        world.results(json!({ "tools": tools.map(|name| json!({ "name": name })) }));
        let listed = world.post(&token, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })).await;
        let listed = names(&listed, "tools", "name");
        for tool in tools {
            let mut allowed = false;
            for amount in [json!({}), json!({ "amount": 5 }), json!({ "amount": 15 }), json!({ "amount": 25 })] {
                let status = world.call(&token, tool, &amount).await.status;
                allowed |= status == 200 || status == 429;
            }
            assert_eq!(listed.contains(&tool.to_owned()), allowed, "{change} {tool}");
        }
    }
}

#[tokio::test]
async fn a_page_keeps_its_cursor_and_the_bytes_of_what_stays() {
    let world = World::new();
    let text = r#"{"jsonrpc":"2.0","id":"m1","result":{"tools":[{"name":"refund"},  {"description":"\u00e9 1.50","name":"find","x":1.50e0,"inputSchema":{"b":1,"a":2}}],"nextCursor":"c/2","cacheScope":"public","ttlMs":1e3,"vendor":[1.0]}}"#;
    world.answers(move |_| raw("application/json", text));
    let reply = world.modern(&world.ana(), "tools/list", &json!({})).await;
    assert_eq!(
        reply.text,
        r#"{"jsonrpc":"2.0","id":"m1","result":{"tools":[{"description":"\u00e9 1.50","name":"find","x":1.50e0,"inputSchema":{"b":1,"a":2}}],"nextCursor":"c/2","cacheScope":"private","ttlMs":1e3,"vendor":[1.0]}}"#
    );
    world.results(json!({ "tools": [{ "name": "refund" }], "nextCursor": "" }));
    let empty = world.modern(&world.ana(), "tools/list", &json!({ "cursor": "c/2" })).await.json();
    assert_eq!(empty["result"], json!({ "tools": [], "nextCursor": "", "cacheScope": "private" }));
    assert_eq!(world.journal()[1].json()["params"]["cursor"], "c/2");
    let long_ago = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" });
    assert!(world.post(&world.ana(), &long_ago).await.json()["result"].get("cacheScope").is_none());
}

#[tokio::test]
async fn resources_prompts_and_templates_are_filtered_by_what_they_name() {
    let world = World::new();
    let ana = world.ana();
    let list = |method: &str| json!({ "jsonrpc": "2.0", "id": 1, "method": method });
    let uris =
        ["file:///srv/manuals/a", "file:///srv/manuals/secret/a", "file:///srv/manuals/../x", "file:///etc/passwd"];
    world.results(json!({ "resources": uris.map(|uri| json!({ "uri": uri })) }));
    assert_eq!(names(&world.post(&ana, &list("resources/list")).await, "resources", "uri"), [uris[0]]);
    world.results(json!({ "prompts": [{ "name": "triage" }, { "name": "other" }] }));
    assert_eq!(names(&world.post(&ana, &list("prompts/list")).await, "prompts", "name"), ["triage"]);
    let templates = [
        ("file:///srv/manuals/{page}", true),
        ("file:///srv/{+path}", true),
        ("{+uri}", true),
        ("file:///srv/manuals/secret/{key}", false),
        ("file:///etc/{name}", false),
        ("http://{host}/x", false),
        ("file:///srv/manuals/fixed", true),
    ];
    world.results(json!({ "resourceTemplates": templates.map(|(uri, _)| json!({ "uriTemplate": uri })) }));
    let listed = names(&world.post(&ana, &list("resources/templates/list")).await, "resourceTemplates", "uriTemplate");
    for (uri, lists) in templates {
        assert_eq!(listed.contains(&uri.to_owned()), lists, "{uri}");
    }
}

#[tokio::test]
async fn capabilities_are_those_that_the_policy_gives() {
    let world = World::new();
    let all = json!({
        "tools": { "listChanged": true }, "prompts": {}, "resources": { "subscribe": true }, "completions": {}, "logging": {},
        "tasks": {}, "experimental": { "x": {} }, "extensions": { "io.modelcontextprotocol/tasks": {}, "vendor/x": {} },
    });
    let mut said = Vec::new();
    for (who, change) in [
        ("staff", json!({})),
        ("lead", json!({ "realm": { "groups": ["lead"] } })),
        ("staff without a scope", json!({ "scope": "" })),
    ] {
        let token = world.token(&change);
        let capabilities = all.clone();
        world
            .answers(move |seen| result(seen, &json!({ "capabilities": capabilities, "serverInfo": { "name": "x" } })));
        let legacy = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": "2025-11-25", "capabilities": {} } });
        let keys = |reply: Value| {
            reply["result"]["capabilities"].as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
        };
        let initialized = world.post(&token, &legacy).await.json();
        let discovered = world.modern(&token, "server/discover", &json!({})).await.json();
        assert_eq!(discovered["result"]["cacheScope"], "private");
        assert_eq!(keys(initialized), keys(discovered.clone()));
        said.push(format!("{who}: {}", keys(discovered)));
    }
    insta::assert_snapshot!(said.join("\n"));
    let stranger = world.modern(&world.token(&json!({ "realm": null })), "server/discover", &json!({})).await;
    assert_eq!((stranger.status, stranger.code().as_str()), (403, "no-grant"));
}

#[tokio::test]
async fn what_a_client_announces_loses_what_cannot_be_judged() {
    let policy = super::world::POLICY.replace("sampling = true, ", "");
    let world = World::with(&policy, doorward::pep::Limits::default());
    let ana = world.ana();
    let announced = json!({ "sampling": {}, "elicitation": { "form": {}, "url": {} }, "roots": {}, "experimental": {}, "extensions": { "vendor/x": {} } });
    world.results(json!({ "capabilities": {} }));
    world.modern(&ana, "tools/call", &json!({ "name": "find", "_capabilities": announced })).await;
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "z": 1.50, "capabilities": announced } });
    world.post(&ana, &initialize).await;
    let expected = json!({ "elicitation": { "form": {} }, "extensions": {}, "roots": {} });
    let seen = world.journal();
    assert_eq!(seen[0].json()["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"], expected);
    assert_eq!(seen[1].json()["params"]["capabilities"], expected);
    let recorded: Vec<_> = world.rows.intents.lock().unwrap().iter().map(|row| row.message.clone()).collect();
    let got: Vec<_> = seen.iter().map(|seen| Some(doorward::audit::digest(&seen.body))).collect();
    assert_eq!(recorded, got);
    // Nothing to take away: the very bytes.
    let request = modern(&ana, "tools/call", &json!({ "name": "find", "_capabilities": { "roots": {} } }));
    world.send("desk", request).await;
    let plain = r#"{"method":"tools/call", "jsonrpc":"2.0","id":1,"params":{"name":"find"}}"#;
    world.send("desk", post(&ana, plain, &[])).await;
    assert_eq!(world.journal().last().unwrap().body, plain);
}

#[tokio::test]
async fn a_server_asks_clients_for_nothing_that_its_door_does_not_name() {
    let silent = super::world::POLICY.replace("client = { sampling = true, elicitation = true, roots = true }\n", "");
    let pages = super::world::POLICY.replace("roots = true }", "elicitation_hosts = \"*.example.com\" }");
    let all = json!({ "sampling": {}, "elicitation": { "form": {}, "url": {} }, "roots": {} });
    let page = json!({ "elicitation": { "url": {} } });
    for (policy, announced, expected) in [
        (silent.as_str(), &all, json!({})),
        (&pages, &all, json!({ "sampling": {}, "elicitation": { "form": {}, "url": {} } })),
        (&pages, &page, page.clone()),
        // Without pages nothing is left of it, and nothing stands for forms.
        (super::world::POLICY, &page, json!({})),
    ] {
        let world = World::with(policy, doorward::pep::Limits::default());
        world.modern(&world.ana(), "tools/call", &json!({ "name": "find", "_capabilities": announced })).await;
        let seen = world.journal()[0].json();
        assert_eq!(seen["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"], expected, "{announced}");
    }
}
