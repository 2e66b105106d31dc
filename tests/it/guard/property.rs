//! For any policy and any request: the server is reached exactly when the decision allows it, and an
//! intent with the digest of exactly the bytes that it got is on record.

use doorward::audit;
use doorward::model::{
    Action, Arguments, Context, Effect, Fact, Request, Resource, ResourceKind, Subject, Timestamp, Token,
};
use doorward::pdp;
use doorward::pep::Limits;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use super::world::{World, compile, modern, post};

const TOOLS: [&str; 3] = ["find", "pay", "close"];
const GROUPS: [&str; 3] = ["staff", "lead", "guest"];

/// A few statements over few names, so that they meet.
fn policies() -> impl Strategy<Value = String> {
    let items =
        || subsequence(vec!["desk:find", "desk:pay", "desk:close", "desk:*", "desk:prompt:p", "desk:resource:r"], 1..3);
    let args = || proptest::option::of(0..4_i64);
    let grant = (subsequence(GROUPS.to_vec(), 1..3), items(), args());
    let statements = |kind: &'static str, verb: &'static str| {
        proptest::collection::vec(grant.clone(), 0..3).prop_map(move |list| {
            let one = |(groups, items, max): &(Vec<&str>, Vec<&str>, Option<i64>)| {
                let has_arguments = |item: &&&str| TOOLS.iter().any(|tool| item.ends_with(tool)) || item.ends_with('*');
                let item = items.iter().find(has_arguments).zip(*max);
                let args = item.map_or(String::new(), |(item, max)| {
                    format!("args = {{ \"{item}\" = {{ amount = {{ max = {max} }} }} }}\n")
                });
                format!("[[{kind}]]\nto = {{ groups = {groups:?} }}\n{verb} = {items:?}\n{args}")
            };
            list.iter().map(one).collect::<String>()
        })
    };
    (statements("grants", "allow"), statements("denies", "deny"), proptest::option::of(1..4_u32)).prop_map(|(grants, denies, ttl)| {
        let ttl = ttl.map_or(String::new(), |m| format!("token_ttl = \"{m}m\"\n"));
        format!(
            "version = 1\n[gateway]\nurl = \"https://mcp.example.com\"\n[issuers.corp]\nurl = \"https://login.example.com\"\njwks_file = \"keys.json\"\n\
             algorithms = [\"EdDSA\"]\nclaims = {{ groups = \"realm.groups\", agent = \"client_id\" }}\n[servers.desk]\nurl = \"http://127.0.0.1:1/mcp\"\n\
             [servers.desk.tools.find]\n[servers.desk.tools.pay]\n{ttl}[servers.desk.tools.close]\n[servers.desk.prompts.p]\n\
             [servers.desk.resources.r]\nuri = \"file:///r/**\"\n{grants}{denies}"
        )
    })
}

/// A message with the question that it is.
fn messages() -> impl Strategy<Value = (&'static str, Value, Action, ResourceKind, String)> {
    let amount =
        prop_oneof![Just(json!({})), (0..4_i64).prop_map(|n| json!({ "amount": n })), Just(json!({ "amount": "1" }))];
    prop_oneof![
        (select(TOOLS.to_vec()), amount).prop_map(|(name, arguments)| {
            (
                "tools/call",
                json!({ "name": name, "arguments": arguments }),
                Action::ToolsCall,
                ResourceKind::Tool,
                name.to_owned(),
            )
        }),
        Just(("tools/call", json!({ "name": "other" }), Action::ToolsCall, ResourceKind::Tool, "other".to_owned())),
        Just(("prompts/get", json!({ "name": "p" }), Action::PromptsGet, ResourceKind::Prompt, "p".to_owned())),
        select(vec!["file:///r/a", "file:///r/../x", "file:///q"]).prop_map(|uri| {
            ("resources/read", json!({ "uri": uri }), Action::ResourcesRead, ResourceKind::Resource, uri.to_owned())
        }),
        Just(("tools/list", json!({}), Action::ToolsList, ResourceKind::Server, String::new())),
        Just(("vendor/x", json!({}), Action::Unknown, ResourceKind::Server, String::new())),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_server_is_reached_exactly_when_the_decision_allows_and_it_is_on_record(
        text in policies(),
        (method, params, action, kind, name) in messages(),
        groups in subsequence(GROUPS.to_vec(), 0..3),
        scopes in subsequence(vec!["desk:find", "desk:pay", "desk:close", "desk:prompt:p", "desk:resource:r"], 0..=5),
        age in 0..300_i64,
        is_modern: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let world = World::with(&text, Limits::default());
            let scope = scopes.join(" ");
            let issued = 1200 - age;
            let token = world.token(&json!({ "realm": { "groups": groups }, "scope": scope, "iat": issued, "exp": issued + 600 }));
            world.results(json!({ "content": [], "tools": [] }));
            let request = if is_modern {
                modern(&token, method, &params)
            } else {
                post(&token, &json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string(), &[])
            };
            let reply = world.send("desk", request).await;
            let policy = compile(&text);
            let groups: Vec<&str> = groups.clone();
            let audience = ["https://mcp.example.com/desk/mcp"];
            let arguments = params.get("arguments").and_then(Value::as_object);
            let question = Request {
                subject: Subject {
                    issuer: Fact::Known("corp"),
                    id: Fact::Known("ana"),
                    agent: Fact::Known("desk-assistant"),
                    groups: Fact::Known(groups.as_slice().into()),
                    claims: Fact::Absent,
                },
                action,
                resource: Resource { door: "desk", kind, name: &name },
                context: Context {
                    now: Timestamp(1200),
                    token: Token {
                        audience: Fact::Known((&audience).into()),
                        scopes: Fact::Known(scopes.as_slice().into()),
                        issued_at: Fact::Known(Timestamp(issued)),
                        expires_at: Fact::Known(Timestamp(issued + 600)),
                        not_before: Fact::Absent,
                    },
                    arguments: arguments.map_or(Arguments::NONE, Arguments::known),
                },
            };
            let decision = pdp::decide(&policy, &question);
            let journal = world.journal();
            prop_assert_eq!(journal.len(), usize::from(decision.is_allow()), "{:?} {} {}", decision, reply.status, reply.text);
            prop_assert_eq!(reply.status == 200, decision.is_allow());
            let rows = world.rows.intents.lock().unwrap();
            prop_assert_eq!(rows.len(), 1);
            prop_assert_eq!(&rows[0].verdict.reason, decision.reason.code());
            prop_assert_eq!(rows[0].verdict.effect, decision.effect);
            let digest = journal.first().map(|seen| audit::digest(&seen.body));
            prop_assert_eq!(&rows[0].message, &digest);
            prop_assert_eq!(world.rows.outcomes.lock().unwrap().len(), usize::from(rows[0].verdict.effect == Effect::Allow));
            Ok(())
        })?;
    }
}
