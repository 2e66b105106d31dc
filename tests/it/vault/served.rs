//! `doorward serve` with every source of credentials: a real `OpenBao`, a real database, and real MCP
//! servers that each find out for themselves whether what they are shown is theirs.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;
use futures_util::future::BoxFuture;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use rmcp::handler::server::router::tool::ToolRouter;
use rmcp::model::{ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, ServiceExt as _, tool, tool_handler, tool_router};
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::bao::{ROOT, World, shared};
use super::database::{engine, living};
use super::sources::ready;
use crate::containers::postgres;
use crate::gateway::calculator::Calculator;
use crate::gateway::process::{Served, call, captured, doorward};
use crate::gateway::rig::{URL, rows, token};

const LOGIN: &str = r#"login = { approle = "doorward", role_id = "env:ROLE_ID", secret_id = "env:SECRET_ID" }"#;
const DOORS: [&str; 6] = ["kept", "minted", "variable", "filed", "desk", "broken"];

/// Whether a server lets a request with these headers in.
pub(super) type Check = Arc<dyn Fn(HeaderMap) -> BoxFuture<'static, bool> + Send + Sync>;

/// A real MCP server that lets nobody in whom it does not know.
pub(super) async fn guarded(check: Check) -> SocketAddr {
    guarded_as(Calculator::new(), check).await
}

/// The same of any server.
pub(super) async fn guarded_as<S: ServerHandler + Clone + Sync>(server: S, check: Check) -> SocketAddr {
    let service: StreamableHttpService<S, LocalSessionManager> =
        StreamableHttpService::new(move || Ok(server.clone()), Arc::default(), StreamableHttpServerConfig::default());
    let check = from_fn(move |request: Request, next: Next| {
        let check = Arc::clone(&check);
        async move {
            if check(request.headers().clone()).await {
                next.run(request).await
            } else {
                (StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")]).into_response()
            }
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().nest_service("/mcp", service).layer(check);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all("authorization").iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    only.to_str().ok()?.strip_prefix("Bearer ").map(str::to_owned)
}

/// Takes one text in one header, and nothing where the caller's own could stand.
fn takes(header: &'static str, wanted: &'static str) -> Check {
    Arc::new(move |headers| {
        let strange = header != "authorization" && headers.contains_key("authorization");
        let right = headers.get(header).is_some_and(|value| value == wanted);
        Box::pin(async move { right && !strange })
    })
}

/// What a server asks `OpenBao` with.
#[derive(Clone)]
pub(super) struct Keys {
    address: String,
    namespace: String,
}

impl Keys {
    pub(super) fn of(world: &World<'_>) -> Self {
        Self { address: world.bao.address(), namespace: world.namespace.clone() }
    }

    pub(super) async fn get(&self, path: &str, token: &str) -> Option<Value> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(format!("{}/v1/{path}", self.address)).header("x-vault-namespace", &self.namespace);
        let answer = request.header("x-vault-token", token).send().await.ok()?;
        let success = answer.status().is_success();
        let body = answer.bytes().await.ok()?;
        success.then(|| serde_json::from_slice(&body).unwrap())
    }

    /// Takes a living token of `OpenBao` with exactly this policy.
    pub(super) fn knows_tokens_of(self, policy: &'static str) -> Check {
        Arc::new(move |headers| {
            let (place, token) = (self.clone(), bearer(&headers));
            Box::pin(async move {
                let Some(token) = token else { return false };
                let found = place.get("auth/token/lookup-self", &token).await;
                found.is_some_and(|found| found["data"]["policies"] == json!([policy]))
            })
        })
    }

    /// Takes an identity token of `OpenBao` for this audience.
    pub(super) fn verifies_for(self, audience: impl Into<String>) -> Check {
        let audience = audience.into();
        Arc::new(move |headers| {
            let (place, token, audience) = (self.clone(), bearer(&headers), audience.clone());
            Box::pin(async move {
                let Some(token) = token else { return false };
                let Some(keys) = place.get("identity/oidc/.well-known/keys", "").await else { return false };
                let keys: JwkSet = serde_json::from_value(keys).unwrap();
                let Some(kid) = decode_header(&token).ok().and_then(|header| header.kid) else { return false };
                let Some(key) = keys.find(&kid).and_then(|key| DecodingKey::from_jwk(key).ok()) else { return false };
                let mut validation = Validation::new(Algorithm::ES256);
                validation.set_audience(&[audience]);
                decode::<Value>(&token, &key, &validation).is_ok()
            })
        })
    }
}

/// A program that asks its database who it is, with what its environment holds.
#[derive(Clone, Debug)]
struct Desk {
    tool_router: ToolRouter<Self>,
}

#[tool_router]
impl Desk {
    #[tool(description = "Who the database takes this for")]
    async fn user() -> String {
        let variable = |name| std::env::var(name).unwrap_or_default();
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(variable("PGPORT").parse().unwrap())
            .username(&variable("PGUSER"))
            .password(&variable("PGPASSWORD"))
            .database("postgres");
        let Ok(mut connection) = options.connect().await else { return "nobody".to_owned() };
        let user = sqlx::query_scalar("select current_user::text").fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        user
    }
}

#[tool_handler(router = self.tool_router)]
impl ServerHandler for Desk {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

/// Serves this process's stdin and stdout until they close.
pub(crate) fn serve_stdio() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let server = Desk { tool_router: Desk::tool_router() }.serve(rmcp::transport::stdio()).await.unwrap();
        server.waiting().await.unwrap();
    });
}

/// A token for these doors and every tool.
pub(super) fn everywhere(served: &Served, doors: &[&str]) -> String {
    let audiences: Vec<_> = doors.iter().map(|door| format!("{URL}/{door}/mcp")).collect();
    let scopes: Vec<_> = doors.iter().flat_map(|door| [format!("{door}:add"), format!("{door}:user")]).collect();
    token(&served.signer, "ana", &json!({"aud": audiences, "scope": scopes.join(" ")}))
}

/// A gateway with these servers, below a `[vault]`.
pub(super) fn policy(world: &World<'_>, login: &str, servers: &str) -> String {
    let vault = world.table();
    format!(
        "version = 1\n[gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nurl = \"{URL}\"\n\
         capture = {{ directory = \"captured\" }}\n\
         [issuers.corp]\nurl = \"https://login.example.com\"\njwks_file = \"keys.json\"\n\
         {vault}{login}\n{servers}\n\
         [[grants]]\nname = \"ana\"\nto = {{ subjects = [\"ana\"] }}\nallow = [\"*:*\"]\n"
    )
}

/// One call: the status and what came.
pub(super) async fn called(served: &Served, door: &str, token: &str, tool: &str) -> (u16, String) {
    let arguments = if tool == "add" { json!({"a": 1, "b": 2}) } else { json!({}) };
    served.call(door, token, &call(1, tool, &arguments)).await.unwrap()
}

/// The text of a tool's answer.
pub(super) fn text(answer: &str) -> String {
    let data = answer.lines().find_map(|line| line.strip_prefix("data: {").map(|rest| format!("{{{rest}")));
    let message: Value = serde_json::from_str(data.as_deref().unwrap_or(answer)).unwrap_or_else(|_| panic!("{answer}"));
    message["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_source_is_served_and_the_lack_of_one_is_no_matter_to_the_others() {
    let test = "every_source_is_served_and_the_lack_of_one_is_no_matter_to_the_others";
    let (Some(bao), Some(postgres)) = (shared(test), postgres(test)) else { return };
    doorward::identity::ensure_crypto();
    let world = bao.world().await;
    engine(&world, &postgres).await;
    world
        .write(
            "sys/policies/acl/kept",
            json!({"policy": "path \"auth/token/lookup-self\" { capabilities = [\"read\"] }"}),
        )
        .await;
    let place = Keys::of(&world);
    let kept = guarded(place.clone().knows_tokens_of("kept")).await;
    let minted = guarded(place.clone().verifies_for("minted-api")).await;
    let variable = guarded(takes("x-api-key", "secret-of-variable")).await;
    let filed = guarded(takes("authorization", "Basic c2VjcmV0LW9mLWZpbGU6eA==")).await;
    let this = std::env::current_exe().unwrap();
    let secrets = tempfile::tempdir().unwrap();
    let file = secrets.path().join("token");
    std::fs::write(&file, "Basic c2VjcmV0LW9mLWZpbGU6eA==\n").unwrap();
    let servers = format!(
        r#"
[servers.kept]
url = "http://{kept}/mcp"
credential = {{ vault = "kv", path = "tokens/kept", ttl = "10m" }}
[servers.kept.tools.add]
[servers.minted]
url = "http://{minted}/mcp"
credential = {{ vault = "oidc", path = "minted", audience = "minted-api", ttl = "5m" }}
[servers.minted.tools.add]
[servers.variable]
url = "http://{variable}/mcp"
credential = {{ env = "API_KEY", header = "x-api-key" }}
[servers.variable.tools.add]
[servers.filed]
url = "http://{filed}/mcp"
credential = {{ file = "{}" }}
[servers.filed.tools.add]
[servers.desk]
command = ["/usr/bin/env", "FIXTURE=database", "PGPORT={}", "{}", "--ignored", "--exact", "gateway::fixture::serves_other_tests", "--nocapture"]
credential = {{ vault = "dynamic", path = "database/creds/desk", ttl = "4s", fields = {{ username = "PGUSER", password = "PGPASSWORD" }} }}
[servers.desk.tools.user]
"#,
        file.display(),
        postgres.port(),
        this.display(),
    );
    let planned = super::bao::compiled(&policy(&world, LOGIN, &servers));
    drop(ready(&world, &planned).await);
    // One more server, of which Vault was told nothing.
    let broken = "[servers.broken]\nurl = \"http://127.0.0.1:9/mcp\"\n\
                  credential = { vault = \"kv\", path = \"tokens/broken\" }\n[servers.broken.tools.add]\n";
    let text_of_policy = policy(&world, LOGIN, &format!("{servers}{broken}"));
    let (role, secret_id) = world.approle("doorward").await;
    let environment = [("ROLE_ID", &*role), ("SECRET_ID", &*secret_id), ("API_KEY", "secret-of-variable")];
    let mut served = Served::start(&text_of_policy, &environment);
    let ana = everywhere(&served, &DOORS);

    // Should it crash, no image of what it holds is written.
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", served.child.id())).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);

    for door in ["kept", "minted", "variable", "filed"] {
        let (status, said) = called(&served, door, &ana, "add").await;
        assert_eq!((status, &*text(&said)), (200, "3"), "{door}");
    }
    let (status, said) = called(&served, "broken", &ana, "add").await;
    assert!(status == 503 && said.contains("credential-unavailable"), "{status} {said}");
    assert!(!said.contains("tokens/broken") && !said.contains("vault"), "a caller learns nothing more: {said}");

    // A child is another database user when its first is over, and there is never one left behind.
    let (status, said) = called(&served, "desk", &ana, "user").await;
    let first = text(&said);
    assert!(status == 200 && first.starts_with("v-"), "{said}");
    let mut users = vec![first.clone()];
    let begun = std::time::Instant::now();
    while users.len() < 2 {
        let user = text(&called(&served, "desk", &ana, "user").await.1);
        assert_ne!(user, "nobody", "a child outlived its user");
        if user != first {
            users.push(user);
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "its user never changed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // An operator takes a token back, whichever gateway had it made: its server refuses it once, and then
    // gets another.
    let revoked = doorward()
        .args(["credentials", "revoke", "kept", "--login", "env:ROOT"])
        .current_dir(served.directory.path())
        .env("ROOT", ROOT)
        .output()
        .unwrap();
    assert_eq!((revoked.status.code(), &*String::from_utf8_lossy(&revoked.stdout)), (Some(0), "taken back\n"));
    let (status, said) = called(&served, "kept", &ana, "add").await;
    assert!(status == 502 && said.contains("upstream-invalid"), "{status} {said}");
    assert_eq!(called(&served, "kept", &ana, "add").await.0, 200);
    // Another hand changes the file.
    std::fs::write(&file, "wrong\n").unwrap();
    let begun = std::time::Instant::now();
    while called(&served, "filed", &ana, "add").await.0 == 200 {
        assert!(begun.elapsed() < Duration::from_secs(30), "the file was not read again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let kept_token = world.read("secret/data/tokens/kept").await["data"]["token"].as_str().unwrap().to_owned();
    served.signal(Signal::TERM);
    assert_eq!(served.child.wait().unwrap().code(), Some(0), "{}", served.said());
    assert_eq!(living(&postgres, &users).await, 0, "users outlive the gateway");
    assert!(place.get("auth/token/lookup-self", &kept_token).await.is_none(), "a token outlives the gateway");
    let accessors = world.request(ROOT, "LIST", "auth/token/accessors", None).await.1;
    // Where nothing is left, there is no list.
    for accessor in accessors["data"]["keys"].as_array().into_iter().flatten() {
        let body = Some(json!({ "accessor": accessor }));
        let (_, found) = world.request(ROOT, "POST", "auth/token/lookup-accessor", body).await;
        let policies = &found["data"]["policies"];
        assert!(*policies != json!(["doorward"]) && *policies != json!(["kept"]), "left behind: {found}");
    }

    // Nothing secret is in anything that it wrote.
    let audit: String = rows(&served.audit()).await.iter().map(Value::to_string).collect();
    let recordings = captured(&served.directory.path().join("captured"));
    assert!(recordings.contains("\"door\":\"kept\""), "{recordings}");
    for (name, written) in [("log", &served.said()), ("audit", &audit), ("recordings", &recordings)] {
        for secret in [&*secret_id, &kept_token, "secret-of-variable", "c2VjcmV0LW9mLWZpbGU6eA", &users[0], &ana] {
            assert!(!written.contains(secret), "`{secret}` is in the {name}");
        }
    }
    assert!(served.said().contains("vault-denied"), "{}", served.said());
}

#[test]
fn a_policy_whose_credentials_cannot_be_had_starts_nothing_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let said = |vault: &str| {
        let policy = format!(
            "version = 1\n{vault}\n[servers.tickets]\nurl = \"https://tickets.example.com/mcp\"\n\
             credential = {{ vault = \"kv\", path = \"tokens/tickets\" }}\n"
        );
        std::fs::write(directory.path().join("policies.toml"), policy).unwrap();
        let mut command: Command = doorward();
        let output = command.args(["serve", "--log", "error"]).current_dir(directory.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let cases = [
        said(""),
        said("[vault]\naddress = \"https://vault.example.com\"\nca_file = \"no-such.pem\""),
        said("[vault]\naddress = \"https://vault.example.com\"\nca_file = \"policies.toml\""),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}
