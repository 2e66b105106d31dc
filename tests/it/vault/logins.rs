//! Logging in by each method, staying logged in, and logging in again; a Vault that is sealed.

use std::sync::Arc;
use std::time::Duration;

use doorward::credentials::Unavailable;
use doorward::credentials::plan::plan;
use doorward::credentials::vault::{Health, Patience, Tls, Vault, apply, compare, verify};
use serde_json::json;

use super::bao::{ROOT, World, compiled, given, own, shared};
use super::fake::{Fake, Says};
use super::sources::{credentials, ready, secret, tickets_policy};

const APPROLE: &str = r#"login = { approle = "doorward", role_id = "env:ROLE", secret_id = "env:SECRET" }"#;
const TICKETS: &str = r#"
[servers.tickets]
url = "https://tickets.example.com/mcp"
credential = { vault = "kv", path = "tokens/tickets", ttl = "4s" }
[servers.crm]
url = "https://crm.example.com/mcp"
"#;

#[tokio::test]
async fn a_wrapped_secret_id_is_opened_once_and_never_twice() {
    let Some(bao) = shared("a_wrapped_secret_id_is_opened_once_and_never_twice") else { return };
    let world = bao.world().await;
    ready(&world, &world.policy(APPROLE, TICKETS)).await;
    let wrapped = APPROLE.replace("secret_id =", "wrapped = true, secret_id =");
    let policy = world.policy(&wrapped, TICKETS);
    let token = &*wrapped_secret_id(&world, "doorward").await;
    let (role, _) = world.approle("doorward").await;
    let secrets = [("env:ROLE", role.as_str()), ("env:SECRET", token)];
    assert_eq!(World::vault(&policy, &secrets).login_policies().await.unwrap(), ["doorward"]);
    assert_eq!(World::vault(&policy, &secrets).login_policies().await.unwrap_err(), Unavailable::Login);

    // Somebody wraps a secret id of another role: it is not opened.
    world.write("auth/approle/role/other", json!({ "token_policies": ["doorward"] })).await;
    let other = wrapped_secret_id(&world, "other").await;
    let secrets = [("env:ROLE", role.as_str()), ("env:SECRET", &*other)];
    assert_eq!(World::vault(&policy, &secrets).login_policies().await.unwrap_err(), Unavailable::Login);
    let (_, found) = world.request(&other, "POST", "sys/wrapping/lookup", Some(json!({ "token": other }))).await;
    assert_eq!(found["data"]["creation_path"], json!("auth/approle/role/other/secret-id"), "it is as it was");
}

/// The token that wraps a new secret id of a role.
async fn wrapped_secret_id(world: &World<'_>, role: &str) -> String {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .post(format!("{}/v1/auth/approle/role/{role}/secret-id", world.bao.address()))
        .header("x-vault-token", ROOT)
        .header("x-vault-namespace", &world.namespace)
        .header("x-vault-wrap-ttl", "60s")
        .send()
        .await
        .unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    answer["wrap_info"]["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_login_of_the_plan_that_died_is_made_again_though_its_secret_id_is_used_up() {
    let test = "a_login_of_the_plan_that_died_is_made_again_though_its_secret_id_is_used_up";
    let Some(bao) = shared(test) else { return };
    let world = bao.world().await;
    let policy = world.policy(APPROLE, TICKETS);
    let vault = ready(&world, &policy).await;
    tickets_policy(&world).await;
    let all = credentials(&policy, &vault);
    all.get("tickets", None).await.unwrap();
    vault.provide().await;
    // Twice, so that what was made for the first time is not all.
    for _ in 0..2 {
        let (_, list) = world.request(ROOT, "LIST", "auth/token/accessors", None).await;
        for accessor in list["data"]["keys"].as_array().unwrap() {
            let body = Some(json!({ "accessor": accessor }));
            let (status, token) = world.request(ROOT, "POST", "auth/token/lookup-accessor", body.clone()).await;
            if status == 200 && token["data"]["path"] == json!("auth/approle/login") {
                world.request(ROOT, "POST", "auth/token/revoke-accessor", body).await;
            }
        }
        all.door("tickets").unwrap().revoke().await;
        let begun = tokio::time::Instant::now();
        while let Err(failed) = all.get("tickets", None).await {
            assert!(begun.elapsed() < Duration::from_mins(1), "{failed}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(vault.login_policies().await.unwrap(), ["doorward"]);
        // The next secret id is made behind the callers' backs.
        vault.provide().await;
    }
    vault.close().await.unwrap();
    assert_eq!(vault.login_policies().await.unwrap_err(), Unavailable::Stopped);
}

#[tokio::test]
async fn a_jwt_of_the_bound_subject_logs_in_and_no_other() {
    let Some(bao) = shared("a_jwt_of_the_bound_subject_logs_in_and_no_other") else { return };
    let world = bao.world().await;
    // Vault itself vouches for a workload: its identity tokens are JWTs that its own keys verify.
    let minter = r#"
[servers.web]
url = "https://vault.example.com"
credential = { vault = "oidc", path = "web", ttl = "5m" }
"#;
    let minting = world.policy(APPROLE, minter);
    let jwt = secret(&credentials(&minting, &ready(&world, &minting).await).get("web", None).await.unwrap());
    let subject = {
        use base64::Engine as _;
        let part = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<serde_json::Value>(&part).unwrap()["sub"].as_str().unwrap().to_owned()
    };
    let keys = format!("http://127.0.0.1:8200/v1/{}", world.path("identity/oidc/.well-known/keys"));
    for (bound, logs_in) in [(subject.as_str(), true), ("another", false)] {
        let login = format!(
            "login = {{ jwt = \"gate\", token = \"env:JWT\", audience = \"https://vault.example.com\", subject = \"{bound}\" }}"
        );
        let policy = world.policy(&login, TICKETS);
        let plan = plan(policy.set()).unwrap();
        let operator = World::operator(&policy);
        let changes = compare(&operator, &plan).await.unwrap();
        apply(&operator, &plan, &changes).await.unwrap();
        world.write("auth/jwt/config", json!({ "jwks_url": keys })).await;
        let vault = World::vault(&policy, &[("env:JWT", &jwt)]);
        if logs_in {
            assert_eq!(verify(&vault, &plan).await.unwrap(), []);
        } else {
            assert_eq!(vault.login_policies().await.unwrap_err(), Unavailable::Login);
        }
    }
}

#[tokio::test]
async fn a_service_account_logs_in_at_its_mount_with_its_role() {
    let fake = Fake::start(Says::Status(404, json!({ "errors": [] }))).await;
    let text = format!(
        r#"version = 1
[vault]
address = "{}"
namespace = "team"
login = {{ kubernetes = "gate", mount = "cluster-a", token = "env:JWT", service_account = "doorward", service_namespace = "mcp" }}
[servers.tickets]
url = "https://tickets.example.com/mcp"
credential = {{ vault = "kv", path = "tokens/tickets" }}
"#,
        fake.address
    );
    let policy = compiled(&text);
    let declared = policy.set().vault.as_ref().unwrap();
    let secrets = given(&[("env:JWT", "a.b.c")]);
    let vault = Vault::new(declared, &Tls::default(), secrets, Arc::new(|| 0), Patience::default()).unwrap();
    assert_eq!(vault.login_policies().await.unwrap(), ["doorward"]);
    let asked = &fake.asked()[0];
    assert_eq!(asked.path, "/v1/auth/cluster-a/login");
    assert_eq!(asked.body, json!({ "role": "gate", "jwt": "a.b.c" }));
    assert_eq!(asked.headers["x-vault-namespace"], "team");
    assert!(!asked.headers.contains_key("x-vault-token"));
}

#[tokio::test]
async fn a_login_is_renewed_before_its_end_and_made_again_when_it_is_revoked() {
    let Some(bao) = shared("a_login_is_renewed_before_its_end_and_made_again_when_it_is_revoked") else { return };
    let world = bao.world().await;
    let policy = world.policy(APPROLE, TICKETS);
    ready(&world, &policy).await;
    tickets_policy(&world).await;
    // A login of three seconds, and a secret id that may be used again.
    let short = json!({ "token_period": 3, "secret_id_num_uses": 0 });
    world.write("auth/approle/role/doorward", short).await;
    let (role, secret_id) = world.approle("doorward").await;
    let vault = World::vault(&policy, &[("env:ROLE", &role), ("env:SECRET", &secret_id)]);
    let all = credentials(&policy, &vault);
    all.get("tickets", None).await.unwrap();
    let logins = async || {
        let (_, list) = world.request(ROOT, "LIST", "auth/token/accessors", None).await;
        let mut found = Vec::new();
        for accessor in list["data"]["keys"].as_array().unwrap() {
            let body = Some(json!({ "accessor": accessor }));
            let (status, token) = world.request(ROOT, "POST", "auth/token/lookup-accessor", body).await;
            if status == 200
                && token["data"]["path"] == json!("auth/approle/login")
                && token["data"]["period"] == json!(3)
            {
                found.push(accessor.as_str().unwrap().to_owned());
            }
        }
        found
    };
    let first = logins().await;
    assert_eq!(first.len(), 1);
    // Twice its life later the same login is alive.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(logins().await, first);
    world.write("auth/token/revoke-accessor", json!({ "accessor": first[0] })).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    all.door("tickets").unwrap().revoke().await;
    let begun = tokio::time::Instant::now();
    while all.get("tickets", None).await.is_err() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(logins().await.len(), 1);
    assert_ne!(logins().await, first);
}

#[tokio::test]
async fn a_sealed_vault_is_waited_for_and_only_its_doors_wait() {
    let Some(bao) = own("a_sealed_vault_is_waited_for_and_only_its_doors_wait") else { return };
    let world = bao.world().await;
    let policy = world.policy(APPROLE, TICKETS);
    let vault = ready(&world, &policy).await;
    tickets_policy(&world).await;
    let all = credentials(&policy, &vault);
    let held = secret(&all.get("tickets", None).await.unwrap());
    assert_eq!(vault.health().await, Ok(Health::Active));
    let root = World { bao: &bao, namespace: String::new() };
    root.write("sys/seal", json!({})).await;
    assert_eq!(vault.health().await, Ok(Health::Sealed));
    // What is held serves to its end.
    assert_eq!(secret(&all.get("tickets", None).await.unwrap()), held);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(all.get("tickets", None).await.unwrap_err(), Unavailable::Sealed);
    assert!(all.get("crm", None).await.unwrap().placed().is_empty());
    bao.unseal(&root).await;
    let begun = tokio::time::Instant::now();
    while all.get("tickets", None).await.is_err() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // A Vault that stands still for a while, and one that is gone.
    bao.docker("pause");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(all.get("tickets", None).await.unwrap_err(), Unavailable::TimedOut);
    bao.docker("unpause");
    let begun = tokio::time::Instant::now();
    while all.get("tickets", None).await.is_err() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bao.docker("stop");
    tokio::time::sleep(Duration::from_secs(4)).await;
    let failed = all.get("tickets", None).await.unwrap_err();
    assert!(matches!(failed, Unavailable::Unreachable | Unavailable::Cut), "{failed}");
}
