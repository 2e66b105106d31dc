//! Several nodes of one Vault: the next is asked where one is away or only waits.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, Uri};
use doorward::credentials::vault::{Health, Patience, Tls, Vault};
use doorward::policy::CompiledPolicy;
use serde_json::json;

use super::bao::{World, compiled, given, own, shared};
use super::fake::{Fake, Says};
use super::sources::{credentials, ready, secret, tickets_policy};

const LOGIN: &str = r#"login = { approle = "doorward", role_id = "env:ROLE", secret_id = "env:SECRET" }"#;
const SERVERS: &str = r#"
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
    compiled(&format!("version = 1\n{table}standbys = {standbys:?}\n{LOGIN}\n{SERVERS}"))
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
    let other =
        Fake::start(Says::Status(200, json!({"lease_id": "l", "lease_duration": 60, "data": {"token": "x"}}))).await;
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

const CRM: &str = r#"
[servers.crm]
url = "https://crm.example.com/mcp"
credential = { vault = "dynamic", path = "database/creds/crm", fields = { token = "authorization" } }
"#;

/// The Vault of these nodes, as patient as that, with a credential for `crm`.
fn crm(nodes: &[&Fake], patience: Patience) -> (Arc<Vault>, CompiledPolicy) {
    let addresses: Vec<&str> = nodes.iter().map(|node| node.address.as_str()).collect();
    let policy = compiled(&format!(
        "version = 1\n[vault]\naddress = {:?}\nstandbys = {:?}\n{LOGIN}\n{CRM}",
        addresses[0],
        &addresses[1..]
    ));
    let declared = policy.set().vault.as_ref().unwrap();
    let secrets = given(&[("env:ROLE", "role"), ("env:SECRET", "secret")]);
    (Vault::new(declared, &Tls::default(), secrets, Arc::new(|| 0), patience).unwrap(), policy)
}

/// A machine may be busy: nobody is taken for away because of that.
const PATIENT: Patience = Patience {
    connect: Duration::from_secs(20),
    look: Duration::from_secs(20),
    request: Duration::from_secs(20),
    making: Duration::from_secs(30),
    whole: Duration::from_mins(1),
    backoff: Duration::from_millis(500),
    backoff_max: Duration::from_secs(30),
};

fn leased() -> Says {
    Says::Status(200, json!({ "lease_id": "l", "lease_duration": 600, "data": { "token": "x" } }))
}

fn sealed() -> Says {
    Says::Status(503, json!({ "errors": ["Vault is sealed"] }))
}

#[tokio::test]
async fn the_node_that_says_that_it_is_in_charge_is_asked_and_those_between_are_only_looked_at() {
    // Everybody logs in anywhere, as logins of these are always granted; what counts is who is asked then.
    let first = Fake::start(sealed()).await.is(503);
    let (waits, closed) = (Fake::start(leased()).await.is(429), Fake::start(leased()).await.is(503));
    let active = Fake::start(leased()).await;
    let (vault, policy) = crm(&[&first, &waits, &closed, &active], PATIENT);
    assert!(credentials(&policy, &vault).get("crm", None).await.is_ok());
    assert_eq!((first.count(), waits.count(), closed.count(), active.count()), (1, 0, 0, 1));
    for passed_by in [&waits, &closed] {
        let asked = passed_by.asked();
        assert!(asked.iter().all(|asked| asked.path == "/v1/sys/health"), "{asked:?}");
        assert!(asked.iter().all(|asked| !asked.headers.contains_key("x-vault-token")), "a token travelled");
    }
    let told: Vec<_> = vault.nodes().await.into_iter().map(|node| (node.asked, node.health)).collect();
    let expected = [Ok(Health::Sealed), Ok(Health::Standby), Ok(Health::Sealed), Ok(Health::Active)];
    assert_eq!(told, [false, false, false, true].into_iter().zip(expected).collect::<Vec<_>>());
}

#[tokio::test]
async fn however_many_fail_at_once_each_node_is_looked_at_once() {
    let nodes = [Fake::start(sealed()).await.is(503), Fake::start(sealed()).await.is(429)];
    // Nobody looks a second time within this.
    let patience = Patience { backoff: Duration::from_hours(1), ..PATIENT };
    let (vault, policy) = crm(&[&nodes[0], &nodes[1]], patience);
    let all = credentials(&policy, &vault);
    let asking = (0..50).map(|_| async {
        let other = credentials(&policy, &vault);
        assert!(other.get("crm", None).await.is_err());
    });
    futures_util::future::join_all(asking).await;
    assert!(all.get("crm", None).await.is_err());
    let looks = [nodes[0].looks(), nodes[1].looks()];
    assert!(looks.iter().all(|&looks| looks <= 1) && nodes[0].count() + nodes[1].count() > 50, "{looks:?}");
}

#[tokio::test]
async fn a_sealed_node_is_seen_as_such_and_left_for_the_one_in_charge_until_it_is_unsealed() {
    let test = "a_sealed_node_is_seen_as_such_and_left_for_the_one_in_charge_until_it_is_unsealed";
    let (Some(sealed), Some(open)) = (own(test), own(test)) else { return };
    let root = [&sealed, &open].map(|bao| World { bao, namespace: String::new() });
    let policy = with_nodes(&root[1], &[&sealed.address(), &open.address()]);
    ready(&root[1], &root[1].policy(LOGIN, SERVERS)).await;
    tickets_policy(&root[1]).await;
    let (role, secret_id) = root[1].approle("doorward").await;
    root[0].write("sys/seal", json!({})).await;
    let vault = World::vault(&policy, &[("env:ROLE", &role), ("env:SECRET", &secret_id)]);
    assert!(credentials(&policy, &vault).get("tickets", None).await.is_ok());
    let told = async || -> Vec<_> { vault.nodes().await.into_iter().map(|node| (node.asked, node.health)).collect() };
    let until = async |first: Health| {
        let begun = tokio::time::Instant::now();
        while told().await != [(false, Ok(first)), (true, Ok(Health::Active))] {
            assert!(begun.elapsed() < Duration::from_mins(1), "{:?}", told().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    until(Health::Sealed).await;
    sealed.unseal(&root[0]).await;
    until(Health::Active).await;
}
