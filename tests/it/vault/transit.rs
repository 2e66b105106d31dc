//! Seals of the audit log, signed by a key that never leaves `OpenBao`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward::audit::Signer as _;
use doorward::audit::chain::PublicKey;
use doorward::audit::store::{Logger, LoggerOptions, Store};
use doorward::credentials::Unavailable;
use doorward::credentials::vault::{Patience, Tls, Transit, Vault};
use serde_json::{Value, json};

use super::bao::{ROOT, World, given, own, shared};
use super::sources::ready;
use crate::audit::{all, entry, options, verify_with};
use crate::place::{Place, ran};

/// A key of the engine, and its public half as whoever verifies gets it.
async fn key(world: &World<'_>) -> PublicKey {
    world.write("sys/mounts/transit", json!({"type": "transit"})).await;
    world.write("transit/keys/audit", json!({"type": "ed25519"})).await;
    let public = world.read("transit/keys/audit").await["keys"]["1"]["public_key"].clone();
    PublicKey::read(public.as_str().unwrap()).unwrap()
}

/// The Vault of a world, which is not waited for long.
fn impatient(world: &World<'_>) -> Arc<Vault> {
    let policy = world.policy("login = { token = \"env:ROOT\" }\n", "");
    let short = Duration::from_secs(2);
    let patience = Patience { connect: short, request: short, whole: short, ..Patience::default() };
    let secrets = given(&[("env:ROOT", ROOT)]);
    Vault::new(policy.set().vault.as_ref().unwrap(), &Tls::default(), secrets, Arc::new(|| 0), patience).unwrap()
}

async fn until(logger: &Logger, unsigned: bool) {
    let begin = Instant::now();
    while logger.health().unsigned.is_some() != unsigned {
        assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", logger.health());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seals_wait_while_vault_is_away_and_rows_go_on() {
    let Some(bao) = own("seals_wait_while_vault_is_away_and_rows_go_on") else { return };
    let world = bao.world().await;
    let public = key(&world).await;
    let transit = Transit::open(impatient(&world), "audit").await.unwrap();
    assert_eq!(transit.public(), &public);
    let directory = tempfile::tempdir().unwrap();
    let store: Store = format!("sqlite:{}", directory.path().join("audit.db").display()).parse().unwrap();
    let every = LoggerOptions { key: Some(Arc::new(transit)), checkpoint_rows: 5, ..options() };
    let (logger, _task) = Logger::open(store.clone(), every).await.unwrap();
    for n in 0..12 {
        logger.append(entry(&format!("a{n}"))).await.unwrap();
    }
    tokio::task::block_in_place(|| bao.docker("pause"));
    for n in 0..12 {
        logger.append(entry(&format!("b{n}"))).await.unwrap();
    }
    until(&logger, true).await;
    logger.append(entry("meanwhile")).await.unwrap();
    assert!(logger.health().away.is_none());
    // What no seal names yet is whole, and counted.
    let keys = || vec![public.clone()];
    let verdict = verify_with(&all(&store).await, keys());
    assert!(verdict.is_whole() && verdict.unsealed() > 0, "{:?}", verdict.findings);
    tokio::task::block_in_place(|| bao.docker("unpause"));
    until(&logger, false).await;
    logger.close().await;
    let rows = all(&store).await;
    let verdict = verify_with(&rows, keys());
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    assert_eq!((verdict.signed, verdict.unsealed()), (verdict.seals, 0));
    assert!(rows.iter().any(|row| row.entry.kind == "close"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_rotated_goes_on_with_its_version_and_another_kind_of_key_is_refused() {
    let Some(bao) = shared("a_key_that_is_rotated_goes_on_with_its_version") else { return };
    let world = bao.world().await;
    let public = key(&world).await;
    let vault = World::operator(&world.policy("login = { token = \"env:ROOT\" }\n", ""));
    let transit = Transit::open(Arc::clone(&vault), "audit").await.unwrap();
    world.write("transit/keys/audit/rotate", json!({})).await;
    let signature = transit.sign(b"message").await.unwrap();
    assert!(public.verifies(b"message", &signature));
    let rotated = Transit::open(Arc::clone(&vault), "audit").await.unwrap();
    assert_ne!(rotated.public(), &public);
    world.write("transit/keys/other", json!({"type": "ecdsa-p256"})).await;
    assert_eq!(Transit::open(Arc::clone(&vault), "other").await.unwrap_err(), Unavailable::Malformed);
    assert!(Transit::open(vault, "none").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_makes_the_key_of_the_audit_log_and_lets_the_gateway_sign_with_it() {
    let Some(bao) = shared("the_plan_makes_the_key_of_the_audit_log") else { return };
    let world = bao.world().await;
    let login = "login = { approle = \"doorward\", role_id = \"env:ROLE\", secret_id = \"env:SECRET\" }\n";
    let policy = world.policy(login, "[audit]\nsigning_key = \"transit:audit\"\n");
    let vault = ready(&world, &policy).await;
    let key = Transit::open(Arc::clone(&vault), "audit").await.unwrap();
    let signature = key.sign(b"message").await.unwrap();
    assert!(key.public().verifies(b"message", &signature));
    // And with nothing else.
    world.write("transit/keys/other", json!({"type": "ed25519"})).await;
    assert!(Transit::open(vault, "other").await.is_err());
}

/// The commands sign with the key that the policy names.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_pruned_is_signed_in_vault_too() {
    let Some(bao) = shared("what_is_pruned_is_signed_in_vault_too") else { return };
    let world = bao.world().await;
    let public = key(&world).await;
    let vault = World::operator(&world.policy("login = { token = \"env:ROOT\" }\n", ""));
    let transit = Transit::open(vault, "audit").await.unwrap();
    let place = Place::new();
    let url = format!("sqlite:{}", place.path().join("audit.db").display());
    let store: Store = url.parse().unwrap();
    let signed = LoggerOptions { key: Some(Arc::new(transit)), ..options() };
    let (logger, _task) = Logger::open(store.clone(), signed).await.unwrap();
    logger.append(entry("one")).await.unwrap();
    logger.close().await;
    place.write(
        "policies.toml",
        format!(
            "version = 1\n{}login = {{ token = \"env:ROOT\" }}\n\
             [audit]\nstore = \"sqlite:audit.db\"\nsigning_key = \"transit:audit\"\n\
             [audit.retention]\nstandard = \"1d\"\nfinancial = \"1d\"\n",
            world.table()
        ),
    );
    let mut command = place.command(&["audit", "prune", "--now=2026-07-01T00:00:00Z", "--format=json"]);
    let done = ran(command.env("ROOT", ROOT).output().unwrap());
    let document: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|e| panic!("{e}: {}", done.stderr));
    let rows: i64 = document["classes"].as_array().unwrap().iter().map(|class| class["rows"].as_i64().unwrap()).sum();
    assert_eq!((done.code, rows), (0, 1), "{}", done.stderr);
    let rows = all(&store).await;
    assert!(rows.iter().any(|row| row.entry.kind == "prune"));
    let verdict = verify_with(&rows, vec![public]);
    assert!(verdict.is_whole() && verdict.signed == verdict.seals, "{:?}", verdict.findings);
}
