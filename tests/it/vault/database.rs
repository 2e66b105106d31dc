//! `dynamic` with database users: placed for a program, one for each caller, gone when they must be.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use doorward::credentials::{Caller, Credential};
use doorward::model::Timestamp;
use secrecy::ExposeSecret as _;
use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use super::bao::{World, shared};
use super::sources::{credentials, ready, wall};
use crate::containers::{Postgres, postgres};

const LOGIN: &str = r#"login = { approle = "doorward", role_id = "env:ROLE", secret_id = "env:SECRET" }"#;

/// Where another container finds the database.
pub(super) fn inner_address(postgres: &Postgres) -> String {
    let docker = |arguments: &[&str]| {
        let output = Command::new("docker").args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let id = docker(&["ps", "-q", "--filter", &format!("publish={}", postgres.port())]);
    docker(&["inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", &id])
}

/// A database engine with a role whose users live ten seconds.
pub(super) async fn engine(world: &World<'_>, postgres: &Postgres) {
    world.write("sys/mounts/database", json!({ "type": "database" })).await;
    let host = inner_address(postgres);
    let config = json!({
        "plugin_name": "postgresql-database-plugin",
        "allowed_roles": "*",
        "connection_url": format!("postgresql://{{{{username}}}}:{{{{password}}}}@{host}:5432/postgres?sslmode=disable"),
        "username": "postgres",
        "password": "postgres",
    });
    world.write("database/config/main", config).await;
    let role = json!({
        "db_name": "main",
        "creation_statements": ["CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}';"],
        "default_ttl": "10s",
        "max_ttl": "20s",
    });
    world.write("database/roles/desk", role).await;
}

fn user(credential: &Credential) -> (String, String) {
    let variables: std::collections::BTreeMap<_, _> =
        credential.variables().map(|(name, value)| (name, value.expose_secret().to_owned())).collect();
    assert_eq!(variables.keys().copied().collect::<Vec<_>>(), ["PGPASSWORD", "PGUSER"]);
    (variables["PGUSER"].clone(), variables["PGPASSWORD"].clone())
}

async fn logs_in(postgres: &Postgres, (user, password): &(String, String)) -> bool {
    let url = format!("postgres://{user}:{password}@127.0.0.1:{}/postgres", postgres.port());
    PgConnection::connect(&url).await.is_ok()
}

/// How many of these users there are.
pub(super) async fn living(postgres: &Postgres, users: &[String]) -> i64 {
    let mut admin = postgres.connect("postgres").await;
    let query = sqlx::query_scalar("select count(*) from pg_roles where rolname = any($1)").bind(users);
    query.fetch_one(&mut admin).await.unwrap()
}

async fn until_gone(postgres: &Postgres, users: &[String], patience: Duration) {
    let begun = Instant::now();
    while living(postgres, users).await > 0 {
        assert!(begun.elapsed() < patience, "{} of {users:?} live on", living(postgres, users).await);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_database_user_is_gone_when_its_ttl_is_over_though_its_lease_is_longer() {
    let test = "a_database_user_is_gone_when_its_ttl_is_over_though_its_lease_is_longer";
    let (Some(bao), Some(postgres)) = (shared(test), postgres(test)) else { return };
    let world = bao.world().await;
    engine(&world, &postgres).await;
    let fields = "fields = { username = \"PGUSER\", password = \"PGPASSWORD\" }";
    let servers = format!(
        "[servers.desk]\ncommand = [\"desk\"]\n\
         credential = {{ vault = \"dynamic\", path = \"database/creds/desk\", ttl = \"3s\", {fields} }}\n"
    );
    let policy = world.policy(LOGIN, &servers);
    let vault = ready(&world, &policy).await;
    let all = credentials(&policy, &vault);
    let credential = all.get("desk", None).await.unwrap();
    assert!(credential.lease_id().is_some() && credential.not_after().since(wall()) <= 3);
    let first = user(&credential);
    assert!(logs_in(&postgres, &first).await);
    until_gone(&postgres, &[first.0], Duration::from_secs(30)).await;
    // The next one is given back at shutdown.
    let second = user(&all.get("desk", None).await.unwrap());
    assert!(logs_in(&postgres, &second).await);
    assert_eq!(all.shutdown(Instant::now() + Duration::from_secs(10)).await, []);
    assert_eq!((living(&postgres, &[second.0]).await, all.owed()), (0, 0));
}

#[tokio::test]
async fn each_caller_is_a_user_of_its_own_until_its_token_ends() {
    let test = "each_caller_is_a_user_of_its_own_until_its_token_ends";
    let (Some(bao), Some(postgres)) = (shared(test), postgres(test)) else { return };
    let world = bao.world().await;
    engine(&world, &postgres).await;
    let servers = r#"
[servers.desk]
command = ["desk"]
credential = { vault = "dynamic", path = "database/creds/desk", ttl = "10m", per_caller = true, fields = { username = "PGUSER", password = "PGPASSWORD" } }
"#;
    let policy = world.policy(LOGIN, servers);
    let vault = ready(&world, &policy).await;
    let all = credentials(&policy, &vault);
    let caller = |subject: &str, seconds: i64| {
        let expires_at = Timestamp(wall().0 + seconds);
        Arc::new(Caller { issuer: "corp".into(), subject: subject.into(), agent: None, scopes: Vec::new(), expires_at })
    };
    let (ana, ben) = (caller("ana", 3), caller("ben", 3_600));
    let anas = user(&all.get("desk", Some(&ana)).await.unwrap());
    let bens = user(&all.get("desk", Some(&ben)).await.unwrap());
    assert_ne!(anas.0, bens.0);
    assert_eq!(user(&all.get("desk", Some(&ana)).await.unwrap()), anas);
    until_gone(&postgres, &[anas.0], Duration::from_secs(30)).await;
    assert!(all.get("desk", Some(&ana)).await.is_err());
    assert_eq!(living(&postgres, std::slice::from_ref(&bens.0)).await, 1);
    // Giving the login up takes every lease along, whatever becomes of this process.
    vault.close().await.unwrap();
    until_gone(&postgres, &[bens.0], Duration::from_secs(30)).await;
}
