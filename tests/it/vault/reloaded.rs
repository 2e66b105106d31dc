//! A reload that takes a server away takes its credential back, and leaves those of the others as they are.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::bao::{compiled, shared};
use super::served::{Keys, called, everywhere, guarded, policy};
use super::sources::ready;
use crate::gateway::process::{Served, doorward};

const LOGIN: &str = r#"login = { approle = "doorward", role_id = "env:ROLE_ID", secret_id = "env:SECRET_ID" }"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_a_reload_removes_has_its_token_taken_back_and_another_keeps_its_own() {
    let test = "a_server_that_a_reload_removes_has_its_token_taken_back_and_another_keeps_its_own";
    let Some(bao) = shared(test) else { return };
    doorward::identity::ensure_crypto();
    let world = bao.world().await;
    let place = Keys::of(&world);
    let mut servers = Vec::new();
    for name in ["gone", "kept"] {
        let own = json!({"policy": "path \"auth/token/lookup-self\" { capabilities = [\"read\"] }"});
        world.write(&format!("sys/policies/acl/{name}"), own).await;
        let at = guarded(place.clone().knows_tokens_of(name)).await;
        servers.push(format!(
            "[servers.{name}]\nurl = \"http://{at}/mcp\"\n\
             credential = {{ vault = \"kv\", path = \"tokens/{name}\", ttl = \"10m\" }}\n[servers.{name}.tools.add]\n"
        ));
    }
    let with_token = |text: String| text.replace("[gateway]\n", "[gateway]\nadmin_token = \"file:admin.token\"\n");
    let both = with_token(policy(&world, LOGIN, &servers.concat()));
    drop(ready(&world, &compiled(&both)).await);
    let (role, secret_id) = world.approle("doorward").await;
    let served = Served::start(&both, &[("ROLE_ID", &*role), ("SECRET_ID", &*secret_id)]);
    std::fs::write(served.directory.path().join("admin.token"), "hunter2\n").unwrap();
    let ana = everywhere(&served, &["gone", "kept"]);
    let mut tokens = Vec::new();
    for name in ["gone", "kept"] {
        assert_eq!(called(&served, name, &ana, "add").await.0, 200, "{name}");
        let record = world.read(&format!("secret/data/tokens/{name}")).await["data"].clone();
        tokens.push(record["token"].as_str().unwrap().to_owned());
    }

    let one = with_token(policy(&world, LOGIN, &servers[1]));
    std::fs::write(served.directory.path().join("policies.toml"), one).unwrap();
    let reload = ["reload", "--revoke", "--gateway", &served.admin, "--admin-token", "file:admin.token"];
    let said = doorward().args(reload).current_dir(served.directory.path()).output().unwrap();
    let shown = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert_eq!(said.status.code(), Some(0), "{shown}");
    assert_ne!(called(&served, "gone", &ana, "add").await.0, 200);
    let begun = Instant::now();
    while place.get("auth/token/lookup-self", &tokens[0]).await.is_some() {
        assert!(begun.elapsed() < Duration::from_mins(1), "its token lives on: {}", served.said());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(called(&served, "kept", &ana, "add").await.0, 200);
    let record = world.read("secret/data/tokens/kept").await["data"].clone();
    assert_eq!(record["token"].as_str(), Some(&*tokens[1]), "the other server's token was not touched");
}
