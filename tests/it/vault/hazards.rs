//! What the client library would do by itself and must not, and a Vault that misbehaves.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward::credentials::vault::{Health, Patience, Tls, Vault, declared};
use doorward::credentials::{Credentials, Limits, Unavailable};
use doorward::policy::CompiledPolicy;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::bao::{World, compiled, given, shared};
use super::fake::{Fake, Says};
use super::sources::{credentials, ready, secret, tickets_policy, wall};
use crate::place::{DOORWARD, untold};

const TOKEN: &str = "hvs.of-the-gateway";
const PATIENCE: Patience = Patience {
    connect: Duration::from_millis(500),
    look: Duration::from_millis(300),
    request: Duration::from_millis(300),
    making: Duration::from_millis(600),
    whole: Duration::from_millis(700),
    backoff: Duration::from_millis(50),
    backoff_max: Duration::from_millis(400),
};

fn policy(address: &str) -> CompiledPolicy {
    compiled(&format!(
        r#"version = 1
[vault]
address = "{address}"
[servers.crm]
url = "https://crm.example.com/mcp"
credential = {{ env = "CRM" }}
[servers.desk]
url = "https://desk.example.com/mcp"
credential = {{ vault = "dynamic", path = "secrets/desk", ttl = "10m" }}
"#
    ))
}

fn vault(address: &str, tls: &Tls) -> Result<Arc<Vault>, Unavailable> {
    let policy = policy(address);
    let declared = policy.set().vault.as_ref().unwrap();
    Vault::new(declared, tls, given(&[("env:VAULT_TOKEN", TOKEN)]), Arc::new(|| u32::MAX / 2), PATIENCE)
}

fn doors(address: &str) -> Credentials {
    let limits =
        Limits { backoff: Duration::from_millis(50), backoff_max: Duration::from_millis(400), ..Limits::default() };
    doors_with(address, PATIENCE, limits)
}

fn doors_with(address: &str, patience: Patience, limits: Limits) -> Credentials {
    let policy = policy(address);
    let (wanted, secrets) = (policy.set().vault.as_ref().unwrap(), given(&[("env:VAULT_TOKEN", TOKEN)]));
    let vault = Vault::new(wanted, &Tls::default(), secrets, Arc::new(|| u32::MAX / 2), patience).unwrap();
    let doors = declared(policy.set(), Some(&vault), &given(&[("env:CRM", "crm-key")])).unwrap();
    Credentials::new(doors, Arc::new(wall), Arc::new(|| u32::MAX / 2), limits)
}

fn leased() -> Value {
    json!({ "lease_id": "secrets/desk/1", "lease_duration": 600, "data": { "token": "desk-key" } })
}

#[tokio::test]
async fn a_redirect_is_never_followed_and_the_token_stays_here() {
    let elsewhere = Fake::start(Says::Status(200, leased())).await;
    let vault = Fake::start(Says::Redirect(elsewhere.address.clone())).await;
    assert_eq!(doors(&vault.address).get("desk", None).await.unwrap_err(), Unavailable::Standby);
    // It is asked again, as another may be in charge by then, and never elsewhere.
    assert!((1..=3).contains(&vault.count()) && elsewhere.asked().is_empty());
    // The token went to the Vault, so that this test means something.
    assert!(vault.asked().iter().any(|asked| asked.headers.get("x-vault-token").is_some_and(|t| t == TOKEN)));
}

#[tokio::test]
async fn what_is_wrong_is_said_others_go_on_and_it_recovers_by_itself() {
    let vault = Fake::start(Says::Silence).await;
    let all = doors(&vault.address);
    let error = |text: &str| json!({ "errors": [text] });
    for (says, expected) in [
        (Says::Silence, Unavailable::TimedOut),
        (Says::Stall, Unavailable::TimedOut),
        (Says::Status(503, error("Vault is sealed")), Unavailable::Sealed),
        (Says::Status(429, error("request path quota exceeded")), Unavailable::Busy),
        (Says::Status(403, error("permission denied")), Unavailable::Denied),
        (Says::Status(404, error("")), Unavailable::NotFound),
        (Says::Status(400, error("bad")), Unavailable::Refused),
        (Says::Status(500, error("internal error")), Unavailable::Failed),
        (Says::Status(502, json!("<html>")), Unavailable::Failed),
        (Says::Status(200, json!("no envelope")), Unavailable::Malformed),
        (Says::Status(200, json!({ "data": { "other": "x" } })), Unavailable::Field),
    ] {
        vault.say(says.clone());
        let begun = Instant::now();
        // A door that has just failed waits before it asks again.
        let failed = loop {
            let failed = all.get("desk", None).await.unwrap_err();
            if failed == expected || begun.elapsed() > Duration::from_secs(30) {
                break failed;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(failed, expected, "{says:?}");
        assert_eq!(secret(&all.get("crm", None).await.unwrap()), "crm-key");
    }
    vault.say(Says::Status(200, leased()));
    let begun = Instant::now();
    while all.get("desk", None).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_vault_in_trouble_is_not_stormed() {
    for says in [Says::Status(503, json!({ "errors": [] })), Says::Status(429, json!({ "errors": [] }))] {
        let vault = Fake::start(says.clone()).await;
        let all = doors(&vault.address);
        let begun = Instant::now();
        let mut calls = 0;
        while begun.elapsed() < Duration::from_secs(2) {
            let got = futures_util::future::join_all((0..50).map(|_| all.get("desk", None))).await;
            assert!(got.iter().all(Result::is_err));
            calls += got.len();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // Pauses from 50 to 400 ms, shortened by up to a half; three tries each at most.
        let (requests, seconds) = (vault.count(), begun.elapsed().as_secs_f64());
        let most = 6.0 + 15.0 * seconds;
        assert!(calls > 10 * requests, "{says:?}: {calls} calls, {requests} requests");
        assert!(f64::from(u32::try_from(requests).unwrap()) <= most, "{says:?}: {requests} requests in {seconds} s");
    }
}

#[tokio::test]
async fn what_is_made_late_is_kept_and_never_made_twice() {
    let vault = Fake::start(Says::Late(Duration::from_millis(450), leased())).await;
    let limits = Limits { patience: Duration::from_millis(100), ..Limits::default() };
    let all = doors_with(&vault.address, PATIENCE, limits);
    assert_eq!(all.get("desk", None).await.unwrap_err(), Unavailable::TimedOut);
    let begun = Instant::now();
    while all.get("desk", None).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30));
    }
    assert_eq!((vault.count(), all.owed()), (1, 1), "one was made, and it is known");
    // One that fails inside may have made it: it is not asked for again within this fetch.
    vault.say(Says::Status(500, json!({ "errors": [] })));
    all.door("desk").unwrap().revoke().await;
    let before = vault.asked().iter().filter(|asked| asked.path.ends_with("secrets/desk")).count();
    assert_eq!(all.get("desk", None).await.unwrap_err(), Unavailable::Failed);
    assert_eq!(vault.asked().iter().filter(|asked| asked.path.ends_with("secrets/desk")).count(), before + 1);
}

#[tokio::test]
async fn a_vault_that_says_when_to_come_back_is_left_alone_till_then() {
    let vault = Fake::start(Says::Busy(1)).await;
    let short =
        Limits { backoff: Duration::from_millis(5), backoff_max: Duration::from_millis(5), ..Limits::default() };
    let all = doors_with(&vault.address, Patience { backoff_max: Duration::from_secs(5), ..PATIENCE }, short);
    let begun = Instant::now();
    assert_eq!(all.get("desk", None).await.unwrap_err(), Unavailable::Busy);
    while begun.elapsed() < Duration::from_millis(300) {
        assert!(all.get("desk", None).await.is_err());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(vault.count(), 1);
    vault.say(Says::Status(200, leased()));
    while all.get("desk", None).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_secret_that_nobody_can_take_back_is_none() {
    let vault = Fake::start(Says::Status(200, json!({ "data": { "token": "desk-key" } }))).await;
    assert_eq!(doors(&vault.address).get("desk", None).await.unwrap_err(), Unavailable::Lasting);
}

#[tokio::test]
async fn a_cold_start_of_a_thousand_servers_logs_in_once_and_asks_once_for_each() {
    let vault = Fake::start(Says::Status(200, leased())).await;
    let mut text = format!("version = 1\n[vault]\naddress = \"{}\"\n", vault.address);
    for n in 0..1_000 {
        let credential = format!("{{ vault = \"dynamic\", path = \"secrets/{n}\", ttl = \"10m\" }}");
        text += &format!("[servers.s{n}]\nurl = \"https://s{n}.example.com/mcp\"\ncredential = {credential}\n");
    }
    let policy = compiled(&text);
    let (wanted, secrets) = (policy.set().vault.as_ref().unwrap(), given(&[("env:VAULT_TOKEN", TOKEN)]));
    let connection = Vault::new(wanted, &Tls::default(), secrets, Arc::new(|| 0), Patience::default()).unwrap();
    let doors = declared(policy.set(), Some(&connection), &given(&[])).unwrap();
    let all = Credentials::new(doors, Arc::new(wall), Arc::new(|| 0), Limits::default());
    let held = all.prepare(Duration::from_mins(2)).await.iter().filter(|standing| standing.held).count();
    let logins = vault.asked().iter().filter(|asked| asked.path.ends_with("lookup-self")).count();
    assert_eq!((held, vault.count(), logins), (1_000, 1_000, 1));
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(doors(&address).get("desk", None).await.unwrap_err(), Unavailable::Unreachable);
    // And one that hangs up is cut.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    assert_eq!(doors(&address).get("desk", None).await.unwrap_err(), Unavailable::Cut);
}

#[tokio::test]
async fn an_address_that_would_show_the_token_to_the_network_is_refused() {
    for address in ["http://vault.example.com", "http://10.0.0.1:8200", "https://vault.example.com/?a=b"] {
        assert_eq!(vault(address, &Tls::default()).unwrap_err(), Unavailable::Address, "{address}");
    }
    for address in ["https://vault.example.com", "http://localhost:8200", "http://[::1]:8200"] {
        assert!(vault(address, &Tls::default()).is_ok(), "{address}");
    }
    let tls = Tls { ca: Some(b"no certificate".to_vec()), identity: None };
    assert_eq!(vault("https://vault.example.com", &tls).unwrap_err(), Unavailable::Tls);
}

#[tokio::test]
async fn a_token_that_no_header_can_hold_is_an_error_and_no_panic() {
    let fake = Fake::start(Says::Status(200, leased())).await;
    let policy = policy(&fake.address);
    for token in ["two\nlines", "a b", "ü"] {
        let secrets = given(&[("env:VAULT_TOKEN", token)]);
        let declared = policy.set().vault.as_ref().unwrap();
        let vault = Vault::new(declared, &Tls::default(), secrets, Arc::new(|| 0), PATIENCE).unwrap();
        assert_eq!(vault.login_policies().await.unwrap_err(), Unavailable::Unusable, "{token:?}");
    }
    let mut declared = policy.set().vault.clone().unwrap();
    declared.namespace = Some("a\nb".into());
    let secrets = given(&[]);
    assert_eq!(
        Vault::new(&declared, &Tls::default(), secrets, Arc::new(|| 0), PATIENCE).unwrap_err(),
        Unavailable::Address
    );
    assert_eq!(fake.asked().len(), 0);
}

/// Everything that is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_secret_is_logged_at_any_level_or_shown_by_debug() {
    let Some(bao) = shared("no_secret_is_logged_at_any_level_or_shown_by_debug") else { return };
    let log = Log::default();
    let shown = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || shown.clone())
        .with_span_events(tracing_subscriber::fmt::format::FmtSpan::FULL)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    // Where there is but one in the process, a place in the code that another thread comes to first is taken for silent.
    let _second = tracing::Dispatch::new(tracing_subscriber::registry());
    let world = bao.world().await;
    let servers = r#"
[servers.tickets]
url = "https://tickets.example.com/mcp"
credential = { vault = "kv", path = "tokens/tickets" }
[servers.web]
url = "https://web.example.com/mcp"
credential = { vault = "oidc", path = "web", ttl = "5m" }
"#;
    let login = r#"login = { approle = "doorward", role_id = "env:ROLE", secret_id = "env:SECRET" }"#;
    let policy = world.policy(login, servers);
    ready(&world, &policy).await;
    tickets_policy(&world).await;
    let (role, secret_id) = world.approle("doorward").await;
    // From here on only what doorward does is of interest.
    log.0.lock().unwrap().clear();
    let vault = World::vault(&policy, &[("env:ROLE", &role), ("env:SECRET", &secret_id)]);
    let all = credentials(&policy, &vault);
    let (tickets, web) = (all.get("tickets", None).await.unwrap(), all.get("web", None).await.unwrap());
    let record = world.read("secret/data/tokens/tickets").await["data"]["token"].clone();
    let debug = format!("{vault:?} {all:?} {tickets:?} {web:?} {:?}", all.standing());
    assert_eq!(all.shutdown(Instant::now() + Duration::from_secs(20)).await, []);
    vault.close().await.unwrap();
    // And what goes wrong.
    let again = World::vault(&policy, &[("env:ROLE", &role), ("env:SECRET", &secret_id)]);
    let failed = again.login_policies().await.unwrap_err();
    assert_eq!(failed, Unavailable::Login);
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap() + &debug + &format!("{failed:?} {failed}");
    assert!(text.contains("/v1/auth/approle/login") && text.len() > 5_000, "{} bytes", text.len());
    let lease = tickets.placed()[0].secret().expose_secret();
    assert_eq!(record, json!(lease));
    for hidden in [lease, web.placed()[0].secret().expose_secret(), secret_id.as_str()] {
        let at = text.find(hidden);
        assert_eq!(at.map(|at| &text[at.saturating_sub(200)..at]), None, "a secret is logged");
    }
}

/// A certificate of an authority that nobody trusts, for a server and for a client.
struct Certificates {
    ca: String,
    server: (String, String),
    client: (String, String),
}

async fn certificates(test: &str) -> Option<Certificates> {
    let bao = shared(test)?;
    let world = bao.world().await;
    world.write("sys/mounts/pki", json!({ "type": "pki" })).await;
    let root = world.write("pki/root/generate/internal", json!({ "common_name": "test", "ttl": "1h" })).await;
    let role =
        json!({ "allow_any_name": true, "enforce_hostnames": false, "key_type": "ec", "key_bits": 256, "ttl": "30m" });
    world.write("pki/roles/any", role).await;
    let mut leaves = Vec::new();
    for name in ["localhost", "doorward"] {
        let leaf = world.write("pki/issue/any", json!({ "common_name": name, "ip_sans": "127.0.0.1" })).await;
        let part = |key: &str| leaf["data"][key].as_str().unwrap().to_owned();
        leaves.push((part("certificate"), part("private_key")));
    }
    let client = leaves.pop().unwrap();
    let ca = root["data"]["certificate"].as_str().unwrap().to_owned();
    Some(Certificates { ca, server: leaves.pop().unwrap(), client })
}

/// A Vault behind TLS that answers everything with a secret.
fn tls_server(certificates: &Certificates, client: bool) -> String {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let chain = vec![CertificateDer::from_pem_slice(certificates.server.0.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(certificates.server.1.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder();
    let config = if client {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(certificates.ca.as_bytes()).unwrap()).unwrap();
        config.with_client_cert_verifier(rustls::server::WebPkiClientVerifier::builder(roots.into()).build().unwrap())
    } else {
        config.with_no_client_auth()
    };
    let config = config.with_single_cert(chain, key).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(async || axum::Json(json!({ "initialized": true, "sealed": false })));
    let config = axum_server::tls_rustls::RustlsConfig::from_config(Arc::new(config));
    let server = axum_server::from_tcp_rustls(listener, config).unwrap();
    tokio::spawn(server.serve(router.into_make_service()));
    address
}

#[tokio::test]
async fn only_the_named_authority_is_trusted_and_the_client_shows_its_certificate() {
    let Some(made) = certificates("only_the_named_authority_is_trusted_and_the_client_shows_its_certificate").await
    else {
        return;
    };
    let ca = || Some(made.ca.clone().into_bytes());
    let open = tls_server(&made, false);
    let health = async |address: &str, tls: Tls| vault(address, &tls).unwrap().health().await;
    assert_eq!(health(&open, Tls::default()).await, Err(Unavailable::Unreachable));
    assert_eq!(health(&open, Tls { ca: ca(), identity: None }).await, Ok(Health::Active));
    let closed = tls_server(&made, true);
    assert!(health(&closed, Tls { ca: ca(), identity: None }).await.is_err());
    let identity = SecretString::from(format!("{}\n{}", made.client.0, made.client.1));
    assert_eq!(health(&closed, Tls { ca: ca(), identity: Some(identity) }).await, Ok(Health::Active));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_variable_switches_certificate_checks_off_or_sends_anything_to_a_proxy() {
    let test = "no_variable_switches_certificate_checks_off_or_sends_anything_to_a_proxy";
    let Some(made) = certificates(test).await else { return };
    let proxy = Fake::start(Says::Status(200, leased())).await;
    let directory = tempfile::tempdir().unwrap();
    let run = |address: &str| {
        let file = directory.path().join("policies.toml");
        let text = format!(
            "version = 1\n[vault]\naddress = \"{address}\"\n[servers.a]\nurl = \"https://a.example.com\"\n\
             credential = {{ vault = \"kv\", path = \"tokens/a\" }}\n"
        );
        std::fs::write(&file, text).unwrap();
        let output = untold(DOORWARD)
            .args(["vault", "plan", "--live", "--policy"])
            .arg(&file)
            .envs([("VAULT_TOKEN", TOKEN), ("VAULT_SKIP_VERIFY", "1"), ("VAULT_ADDR", &proxy.address)])
            .envs(["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"].map(|n| (n, &proxy.address)))
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // Behind a certificate that nobody trusts.
    let untrusted = tls_server(&made, false);
    let (code, error) = run(&untrusted);
    assert!(code == Some(2) && error.contains("vault-unreachable"), "{error}");
    // And a plain one on this machine, which is reached without the proxy.
    let plain = Fake::start(Says::Status(404, json!({ "errors": [] }))).await;
    let (code, error) = run(&plain.address);
    assert_eq!((code, proxy.asked().len()), (Some(1), 0), "{error}");
    assert!(plain.count() > 0);
}
