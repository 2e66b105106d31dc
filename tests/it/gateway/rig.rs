//! A whole gateway for tests: an issuer's keys in a file, two real MCP servers, a policy, the doors.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use doorward::attest::{Gate, Proofs};
use doorward::audit::chain::Row;
use doorward::audit::store::{Select, Store};
use doorward::gateway::upstream::Patience;
use doorward::gateway::{Gateway, Metrics, Options, Overrides, Refusal, open};
use doorward::policy::{Layers, load};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::calculator::Calculator;
use crate::identity::{Signer, header};

/// What callers call the gateway.
pub(crate) const URL: &str = "http://gateway.example.com";

/// A gateway that runs, and what a test needs to use it.
pub(crate) struct Rig {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) directory: TempDir,
    pub(crate) signer: Signer,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<std::io::Result<bool>>,
}

/// The issuer, the gateway and who may do what at the doors `http` and `stdio`.
pub(crate) const POLICY: &str = r#"
version = 1
[gateway]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
url = "http://gateway.example.com"
[issuers.corp]
url = "https://login.example.com"
jwks_file = "keys.json"
[servers.http]
url = "http://HTTP/mcp"
[servers.http.tools.add]
args = { a = { max = 100 } }
[servers.http.tools.pid]
[servers.stdio]
command = ["/usr/bin/env", "FIXTURE=rmcp", "THIS", "--ignored", "--exact", "gateway::fixture::serves_other_tests", "--nocapture"]
[servers.stdio.tools.add]
args = { a = { max = 100 } }
[servers.stdio.tools.pid]
[[grants]]
name = "adders"
to = { subjects = ["ana", "bob"] }
allow = ["*:add"]
[[grants]]
name = "one-only"
to = { subjects = ["ana"] }
allow = ["*:pid"]
"#;

/// An rmcp server over HTTP.
pub(crate) async fn http_server() -> SocketAddr {
    let service: StreamableHttpService<Calculator, LocalSessionManager> =
        StreamableHttpService::new(|| Ok(Calculator::new()), Arc::default(), StreamableHttpServerConfig::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().nest_service("/mcp", service)).await });
    address
}

/// Writes the keys of an issuer where the policy looks for them.
pub(crate) fn keys(directory: &Path) -> Signer {
    let signer = Signer::new();
    std::fs::write(directory.join("keys.json"), signer.jwks.to_string()).unwrap();
    signer
}

/// The policy with its places filled in.
pub(crate) fn filled(policy: &str, http: SocketAddr) -> String {
    let this = std::env::current_exe().unwrap();
    policy.replace("HTTP/", &format!("{http}/")).replace("THIS", this.to_str().unwrap())
}

/// How long a server may take to begin its answer, for tests that do not wait for that to be over.
const FIRST_BYTE: Duration = Duration::from_secs(30);

/// Opens the gateway of a policy text.
pub(crate) async fn opened(policy: &str, directory: &Path) -> Result<Gateway, Vec<Refusal>> {
    opened_for(policy, directory, FIRST_BYTE).await
}

/// The same, where servers may take so long to begin their answer.
async fn opened_for(policy: &str, directory: &Path, first_byte: Duration) -> Result<Gateway, Vec<Refusal>> {
    let loaded = load(&Layers { files: vec![("policies.toml".to_owned(), policy.into())], environment: Vec::new() });
    let policy = loaded.policy.unwrap_or_else(|| panic!("{:#?}", loaded.problems));
    let cleared = Gate::default().first(policy.compiled, &policy.checks.rollout, Proofs::default()).unwrap();
    let options = Options {
        directory: directory.to_owned(),
        overrides: Overrides::default(),
        patience: Patience { first_byte, ..Patience::default() },
        metrics: metrics(),
        ..Options::default()
    };
    open(&cleared, &options).await
}

/// The metrics of all gateways of this process.
fn metrics() -> Option<Metrics> {
    static METRICS: OnceLock<Option<Metrics>> = OnceLock::new();
    METRICS.get_or_init(Metrics::install).clone()
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(POLICY, http_server().await).await
    }

    pub(crate) async fn with(policy: &str, http: SocketAddr) -> Self {
        Self::waiting(policy, http, FIRST_BYTE).await
    }

    /// The same, where servers may take so long to begin their answer.
    pub(super) async fn waiting(policy: &str, http: SocketAddr, first_byte: Duration) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let signer = keys(directory.path());
        let gateway = opened_for(&filled(policy, http), directory.path(), first_byte).await.unwrap();
        let (address, admin) = (gateway.address().unwrap(), gateway.admin_address().unwrap());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(gateway.run(async move { drop(stopped.await) }));
        Self { address, admin, directory, signer, stop: Some(stop), running }
    }

    /// A token of a subject for all doors, with changes.
    pub(crate) fn token(&self, subject: &str, change: &Value) -> String {
        token(&self.signer, subject, change)
    }

    pub(crate) fn url(&self, door: &str) -> String {
        format!("http://{}/{door}/mcp", self.address)
    }

    /// The rows of the audit log, as an export writes them.
    pub(crate) async fn rows(&self) -> Vec<Value> {
        rows(&format!("sqlite:{}", self.directory.path().join("doorward.db").display())).await
    }

    /// Tells it to stop, and does not wait.
    pub(super) fn tell_to_stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops it; whether all that was under way ended by itself.
    pub(crate) async fn stop(mut self) -> bool {
        self.end().await
    }

    /// Stops it and gives the directory that it leaves.
    pub(crate) async fn stopped(mut self) -> TempDir {
        self.end().await;
        self.directory
    }

    async fn end(&mut self) -> bool {
        drop(self.stop.take());
        let ended = tokio::time::timeout(Duration::from_secs(30), &mut self.running).await;
        ended.expect("the gateway ends").unwrap().unwrap()
    }
}

pub(crate) async fn rows(store: &str) -> Vec<Value> {
    let mut connection = store.parse::<Store>().unwrap().reader().await.unwrap();
    let mut rows = Vec::new();
    let take = &mut |row: Row| {
        let mut line = Vec::new();
        row.write_line(&mut line);
        rows.push(serde_json::from_slice(&line).unwrap());
        ControlFlow::Continue(())
    };
    connection.read(&Select::default(), take).await.unwrap();
    connection.close().await;
    rows
}

pub(crate) fn token(signer: &Signer, subject: &str, change: &Value) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let doors = ["http", "stdio"].map(|door| format!("{URL}/{door}/mcp"));
    let claims = json!({
        "iss": "https://login.example.com", "sub": subject, "aud": doors, "iat": now, "exp": now + 600,
        "client_id": "agent", "scope": "http:add http:pid stdio:add stdio:pid", "jti": "canary-jti",
    });
    signer.sign(&header(), &crate::identity::with(claims, change))
}
