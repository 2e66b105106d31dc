//! Several nodes of one Vault: the next is asked where one is away or only waits.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use doorward::credentials::vault::{Health, Patience, Tls, Vault};
use doorward::policy::CompiledPolicy;

use super::bao::{World, compiled, given, shared};
use super::fake::{Fake, Says};
use super::sources::{credentials, ready, secret, tickets_policy};

const TICKETS: &str = r#"
login = { approle = "doorward", role_id = "env:ROLE", secret_id = "env:SECRET" }
[servers.tickets]
url = "https://tickets.example.com/mcp"
credential = { vault = "kv", path = "tokens/tickets", ttl = "10m" }
[servers.tickets.tools.search]
[servers.web]
url = "https://web.example.com/mcp"
credential = { vault = "kv", path = "tokens/web", policies = ["tickets"], ttl = "10m" }
[servers.web.tools.search]
"#;

/// A policy whose Vault has these nodes.
fn with_nodes(world: &World<'_>, nodes: &[&str]) -> CompiledPolicy {
    let (table, standbys) = (world.table_at(nodes[0]), &nodes[1..]);
    compiled(&format!("version = 1\n{table}standbys = {standbys:?}\n{TICKETS}"))
}

/// A standby that sends everybody to another node, logins too.
async fn standby(to: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let away = Router::new().fallback(async move |uri: Uri| {
        (StatusCode::TEMPORARY_REDIRECT, [("location", format!("{to}{}", uri.path()))])
    });
    tokio::spawn(async move { axum::serve(listener, away).await });
    address
}

#[tokio::test]
async fn the_node_in_charge_is_found_and_no_redirect_is_followed_to_it() {
    let Some(bao) = shared("the_node_in_charge_is_found_and_no_redirect_is_followed_to_it") else { return };
    let world = bao.world().await;
    drop(ready(&world, &with_nodes(&world, &[&bao.address()])).await);
    tickets_policy(&world).await;
    // Nothing listens at the first, and the second sends to where nobody may be sent.
    let nowhere = "http://127.0.0.1:1";
    let thief = Fake::start(Says::Silence).await;
    let waiting = standby(thief.address.clone()).await;
    let real = bao.address();
    let (waiting, real) = (waiting.as_str(), real.as_str());
    for nodes in [&[nowhere, waiting, real][..], &[waiting, real], &[real, nowhere]] {
        let policy = with_nodes(&world, nodes);
        let (role, secret_id) = world.approle("doorward").await;
        let vault = World::vault(&policy, &[("env:ROLE", &role), ("env:SECRET", &secret_id)]);
        let all = credentials(&policy, &vault);
        for server in ["tickets", "web"] {
            let token = secret(&all.get(server, None).await.unwrap());
            assert!(!token.is_empty(), "{nodes:?}");
        }
        assert_eq!(vault.health().await, Ok(Health::Active), "the one that answers is asked from then on");
        assert_eq!(all.shutdown(tokio::time::Instant::now() + Duration::from_secs(20)).await, []);
        vault.close().await.unwrap();
    }
    assert_eq!(thief.asked().len(), 0, "a login travelled");
}

#[tokio::test]
async fn what_a_node_may_have_done_is_not_done_at_another() {
    let begun = Fake::start(Says::Stall).await;
    let other = Fake::start(Says::Status(
        200,
        serde_json::json!({"lease_id": "l", "lease_duration": 60, "data": {"token": "x"}}),
    ))
    .await;
    let text = format!(
        "version = 1\n[vault]\naddress = \"{}\"\nstandbys = [\"{}\"]\nlogin = {{ token = \"env:ROOT\" }}\n\
         [servers.crm]\nurl = \"https://crm.example.com/mcp\"\n\
         credential = {{ vault = \"dynamic\", path = \"database/creds/crm\", fields = {{ token = \"authorization\" }} }}\n",
        begun.address, other.address
    );
    let policy = compiled(&text);
    let declared = policy.set().vault.as_ref().unwrap();
    let short = Duration::from_millis(300);
    let patience = Patience { connect: short, request: short, making: short, ..Patience::default() };
    let secrets = given(&[("env:ROOT", "root")]);
    let vault = Vault::new(declared, &Tls::default(), secrets, Arc::new(|| 0), patience).unwrap();
    let all = credentials(&policy, &vault);
    assert!(all.get("crm", None).await.is_err());
    assert_eq!((begun.count(), other.count()), (1, 0), "a lease may have been made: it is not made twice");
}
