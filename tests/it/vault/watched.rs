//! What operators see of the nodes of Vault.

use std::time::Duration;

use serde_json::{Value, json};

use super::bao::{World, own};
use super::served::policy;
use crate::gateway::process::{Served, doorward};

/// What the gateway's own listener answers, once it is as it should be.
async fn until(served: &Served, path: &str, is: impl Fn(&str) -> bool) -> String {
    let begun = std::time::Instant::now();
    loop {
        let said = reqwest::get(format!("http://{}{path}", served.admin)).await.unwrap().text().await.unwrap();
        if is(&said) {
            return said;
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "{path}: {said}{}", served.said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn status(served: &Served, format: &str) -> String {
    let arguments = ["status", "--format", format, "--gateway", &served.admin, "--admin-token", "file:admin.token"];
    let said = doorward().args(arguments).current_dir(served.directory.path()).output().unwrap();
    String::from_utf8(said.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_vault_shows_everywhere_and_the_gateway_stays_ready() {
    let Some(bao) = own("a_sealed_vault_shows_everywhere_and_the_gateway_stays_ready") else { return };
    doorward::identity::ensure_crypto();
    let root = World { bao: &bao, namespace: String::new() };
    let servers = "[servers.crm]\nurl = \"http://127.0.0.1:1/mcp\"\n\
                   credential = { vault = \"kv\", path = \"tokens/crm\" }\n[servers.crm.tools.add]\n";
    let text = policy(&root, "login = { token = \"env:ROOT\" }", servers);
    let served = Served::start(
        &text.replace("[gateway]\n", "[gateway]\nadmin_token = \"file:admin.token\"\n"),
        &[("ROOT", super::bao::ROOT)],
    );
    std::fs::write(served.directory.path().join("admin.token"), "hunter2\n").unwrap();
    let state = |state: u8| format!("doorward_vault_node_state{{node=\"{}\"}} {state}\n", bao.address());
    until(&served, "/metrics", |said| said.contains(&state(0))).await;
    let ready: Value = serde_json::from_str(&until(&served, "/readyz", |_| true).await).unwrap();
    assert_eq!((&ready["ready"], ready.get("but")), (&json!(true), None));

    root.write("sys/seal", json!({})).await;
    let ready = until(&served, "/readyz", |said| said.contains("vault-sealed")).await;
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!((&ready["ready"], &ready["but"]), (&json!(true), &json!(["vault-sealed"])));
    until(&served, "/metrics", |said| said.contains(&state(2))).await;
    let seen: Value = serde_json::from_str(&status(&served, "json")).unwrap();
    assert_eq!(seen["vault"], json!([{"address": bao.address(), "state": "sealed", "asked": true}]), "{seen:#}");
    let seen = status(&served, "human");
    assert!(seen.contains(&format!("vault      {} is sealed, and is asked\n", bao.address())), "{seen}");

    bao.unseal(&root).await;
    until(&served, "/readyz", |said| !said.contains("but")).await;
}
