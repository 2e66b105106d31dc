//! Two guarded servers that call each other: neither gets anywhere with what the other's door gave it, nor with
//! what it was shown itself, and what a server may do as a caller is what the policy says of it.

use std::sync::{Arc, Mutex};

use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::{ServerHandler, tool, tool_handler, tool_router};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::bao::{compiled, shared};
use super::served::{Check, Keys, bearer, guarded_as, policy, text};
use super::sources::ready;
use crate::gateway::process::{Served, call};
use crate::gateway::rig::{URL, rows, token};

const LOGIN: &str = r#"login = { approle = "doorward", role_id = "env:ROLE_ID", secret_id = "env:SECRET_ID" }"#;

/// Whom to call.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
struct Whom {
    /// Where the other server, or its door, is.
    url: String,
    /// `shown` for the credential that this server was shown last, `own` for its own token.
    with: String,
}

/// A server that calls others when it is asked to.
#[derive(Clone, Debug)]
struct Neighbour {
    tool_router: ToolRouter<Self>,
    /// Every credential that it was shown and took.
    shown: Arc<Mutex<Vec<String>>>,
    /// Its own token, for the other's door.
    own: Arc<Mutex<String>>,
}

#[tool_router]
impl Neighbour {
    fn new() -> Self {
        Self { tool_router: Self::tool_router(), shown: Arc::default(), own: Arc::default() }
    }

    #[tool(description = "Says who answers")]
    fn hello() -> String {
        "hello".to_owned()
    }

    #[tool(description = "Calls `hello` of another server, and says the status that came")]
    async fn reach(&self, Parameters(Whom { url, with }): Parameters<Whom>) -> String {
        let token = match with.as_str() {
            "own" => self.own.lock().unwrap().clone(),
            _ => self.shown.lock().unwrap().last().unwrap().clone(),
        };
        let request = reqwest::Client::builder().no_proxy().build().unwrap().post(url);
        let answer = request
            .header("authorization", format!("Bearer {token}"))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "hello")
            .body(call(1, "hello", &json!({})).to_string())
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        let said = answer.text().await.unwrap();
        if status == 200 { format!("200 {}", text(&said)) } else { status.to_string() }
    }

    /// Notes down what passes a check.
    fn notes(&self, check: Check) -> Check {
        let shown = Arc::clone(&self.shown);
        Arc::new(move |headers| {
            let (passed, token, shown) = (check(headers.clone()), bearer(&headers), Arc::clone(&shown));
            Box::pin(async move {
                let passed = passed.await;
                if passed {
                    shown.lock().unwrap().extend(token);
                }
                passed
            })
        })
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Neighbour {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_server_gets_anywhere_with_what_another_trusts() {
    let Some(bao) = shared("no_server_gets_anywhere_with_what_another_trusts") else { return };
    doorward::identity::ensure_crypto();
    for kind in ["kv", "oidc"] {
        let world = bao.world().await;
        let keys = Keys::of(&world);
        let (east, west) = (Neighbour::new(), Neighbour::new());
        let mut servers = String::new();
        let mut places = Vec::new();
        for (name, server) in [("east", &east), ("west", &west)] {
            let own = json!({"policy": "path \"auth/token/lookup-self\" { capabilities = [\"read\"] }"});
            world.write(&format!("sys/policies/acl/{name}"), own).await;
            let (check, credential) = if kind == "kv" {
                (keys.clone().knows_tokens_of(name), format!("vault = \"kv\", path = \"tokens/{name}\""))
            } else {
                let api = format!("{name}-api");
                let credential = format!("vault = \"oidc\", path = \"{name}\", audience = \"{api}\"");
                (keys.clone().verifies_for(api), credential)
            };
            let place = guarded_as(server.clone(), server.notes(check)).await;
            places.push(format!("http://{place}/mcp"));
            servers.push_str(&format!(
                "[servers.{name}]\nurl = \"http://{place}/mcp\"\ncredential = {{ {credential}, ttl = \"5m\" }}\n\
                 identity = {{ issuer = \"corp\", subject = \"{name}\" }}\nCALLERS {name}\n\
                 [servers.{name}.tools.hello]\n[servers.{name}.tools.reach]\n"
            ));
        }
        // One may call the other, and not the other way round.
        let servers = servers.replace("CALLERS east\n", "").replace("CALLERS west", "callers = [\"east\"]");
        let grant = "[[grants]]\nname = \"between\"\nto = { servers = [\"east\"] }\nallow = [\"west:hello\"]\n";
        let policy = policy(&world, LOGIN, &format!("{servers}{grant}"));
        drop(ready(&world, &compiled(&policy)).await);
        let (role, secret_id) = world.approle("doorward").await;
        let mut served = Served::start(&policy, &[("ROLE_ID", &*role), ("SECRET_ID", &*secret_id)]);

        let door = |name: &str| format!("http://{}/{name}/mcp", served.address);
        let claims = |name: &str| json!({"aud": format!("{URL}/{name}/mcp"), "scope": format!("{name}:hello")});
        *east.own.lock().unwrap() = token(&served.signer, "east", &claims("west"));
        *west.own.lock().unwrap() = token(&served.signer, "west", &claims("east"));
        let scope = "east:reach west:reach";
        let aud = [format!("{URL}/east/mcp"), format!("{URL}/west/mcp")];
        let ana = token(&served.signer, "ana", &json!({"aud": aud, "scope": scope}));
        let (east_url, west_url) = (&places[0], &places[1]);
        for (by, url, with, expected) in [
            // What it was shown opens nothing but itself: neither the other server nor the other's door.
            ("east", west_url.clone(), "shown", "401"),
            ("east", door("west"), "shown", "401"),
            ("west", east_url.clone(), "shown", "401"),
            ("west", door("east"), "shown", "401"),
            // Nor does what it is known by at the doors open a server beside its door.
            ("east", west_url.clone(), "own", "401"),
            ("west", east_url.clone(), "own", "401"),
            // At the doors it is a caller like any other.
            ("east", door("west"), "own", "200 hello"),
            ("west", door("east"), "own", "403"),
            ("east", door("east"), "own", "401"),
        ] {
            let message = call(1, "reach", &json!({"url": url, "with": with}));
            let (status, said) = served.call(by, &ana, &message).await.unwrap();
            assert_eq!(status, 200, "{kind} {by}: {said}");
            assert_eq!(text(&said), expected, "{kind}: {by} calls {url} with {with}");
        }
        // Neither was ever shown what its callers, or the other, had.
        for (server, other) in [(&east, &west), (&west, &east)] {
            let (shown, of_other) = (server.shown.lock().unwrap().clone(), other.shown.lock().unwrap().clone());
            let own = other.own.lock().unwrap().clone();
            assert!(!shown.is_empty() && !shown.contains(&ana) && !shown.contains(&own), "{kind}");
            assert!(shown.iter().all(|one| !of_other.contains(one)), "{kind}");
        }
        served.signal(Signal::TERM);
        assert_eq!(served.child.wait().unwrap().code(), Some(0), "{}", served.said());
        let rows = rows(&served.audit()).await;
        let of = |subject: &str, kind: &str| -> Vec<Value> {
            rows.iter().filter(|row| row["subject"] == subject && row["kind"] == kind).cloned().collect()
        };
        assert_eq!((of("east", "intent").len(), of("west", "intent").len()), (1, 0));
        assert_eq!(of("west", "denial").len(), 1, "{rows:#?}");
    }
}
