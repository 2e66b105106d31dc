//! No effect without a record, shown on the whole: a gateway in a process of its own, real tokens of the
//! development issuer, a server in another process that keeps a journal of what was done, and a store
//! that is harmed or a gateway that is killed.

mod bare;
mod faults;
mod killed;
mod pair;
mod parity;
pub(super) mod server;
mod shared;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use doorward::audit::chain::{Column, LOG_CLASS, Row, Verifier};
use doorward::audit::store::{Select, Store};
use doorward::gateway::serve_dev_issuer;
use doorward::identity::dev::{DevIssuer, DevKeys, Wanted};
use doorward::model::Timestamp;
use doorward::policy::{Layers, load};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::{Started, call, started};

/// The name of the door.
const DOOR: &str = "books";
/// The name of another one to the same server, where calls are counted.
const COUNTED: &str = "counted";

/// An issuer for development, and a directory with a policy that believes it.
pub(super) struct Place {
    pub(super) directory: TempDir,
    issuer: Arc<DevIssuer>,
}

/// The time of tokens.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_secs()).unwrap())
}

impl Place {
    /// Runs the issuer, and writes the policy: `rest` behind what every gateway needs.
    pub(super) async fn new(rest: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let policy = format!(
            "version = 1
[gateway]
listen = \"127.0.0.1:0\"
admin = \"127.0.0.1:0\"
admin_token = \"file:admin.token\"
url = \"http://gateway.example.com\"
[issuers.dev]
url = \"http://127.0.0.1:{port}/dev-issuer\"
{rest}"
        );
        let layers = Layers { files: vec![("policies.toml".into(), policy.clone().into())], environment: Vec::new() };
        let loaded = load(&layers);
        let compiled = loaded.policy.unwrap_or_else(|| panic!("{:#?}", loaded.problems)).compiled;
        let issuer = Arc::new(DevIssuer::new(compiled.set(), "dev", DevKeys::generate().unwrap()).unwrap());
        tokio::spawn(serve_dev_issuer(listener, Arc::clone(&issuer), now, std::future::pending()));
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("policies.toml"), policy).unwrap();
        std::fs::write(directory.path().join("admin.token"), "hunter2\n").unwrap();
        Self { directory, issuer }
    }

    /// A token for a door, that was issued some seconds ago.
    pub(super) fn token(&self, door: &str, subject: &str, group: &str, scopes: &[&str], age: i64) -> String {
        let wanted = Wanted {
            subject: subject.to_owned(),
            agent: Some("clerk".to_owned()),
            groups: vec![group.to_owned()],
            scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            audience: vec![format!("http://gateway.example.com/{door}/mcp")],
            lifetime: 3_600,
            ..Wanted::default()
        };
        self.issuer.mint(&wanted, now().plus(-age)).unwrap().expose_secret().to_owned()
    }
}

/// The policy of a door whose tool takes a number, which is kept in the row.
fn books(server: &server::Server, store: &str) -> String {
    format!(
        "[servers.{DOOR}]
url = \"http://{}/mcp\"
[servers.{DOOR}.tools.enter]
args = {{ n = {{ min = 0 }} }}
[[grants]]
name = \"clerks\"
to = {{ issuer = \"dev\", groups = [\"clerks\"] }}
allow = [\"{DOOR}:enter\"]
[audit]
store = \"{store}\"
",
        server.address
    )
}

/// The policy of the door whose calls are counted.
fn counted(server: &server::Server, rate: &str) -> String {
    format!(
        "[servers.{COUNTED}]
url = \"http://{}/mcp\"
[servers.{COUNTED}.tools.enter]
args = {{ n = {{ min = 0 }} }}
rate = \"{rate}\"
[[grants]]
name = \"counted\"
to = {{ groups = [\"clerks\"] }}
allow = [\"{COUNTED}:enter\"]
",
        server.address
    )
}

/// A gateway in a process of its own, which is killed when this is dropped.
struct Gateway(Started);

impl Gateway {
    fn start(directory: &Path, environment: &[(&str, &str)]) -> Self {
        Self(started(directory, environment))
    }

    fn child(&mut self) -> &mut Child {
        &mut self.0.child
    }

    fn kill(&self) {
        // It may have ended.
        let _ = kill_process(Pid::from_child(&self.0.child), Signal::KILL);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.child.kill();
        let _ = self.0.child.wait();
    }
}

/// Who calls.
#[derive(Clone)]
struct Caller {
    client: reqwest::Client,
    token: String,
}

/// What a caller got.
enum Answer {
    /// A status, and the text with it.
    Status(u16, String),
    /// Nothing: the connection ended.
    Cut,
}

impl Caller {
    fn new(place: &Place) -> Self {
        doorward::identity::ensure_crypto();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { client, token: place.token(DOOR, "ana", "clerks", &["books:enter"], 0) }
    }

    /// Asks for a number to be entered.
    async fn enter(&self, gateway: std::net::SocketAddr, n: u64) -> Answer {
        self.enter_at(gateway, DOOR, n).await
    }

    /// The same at some door.
    async fn enter_at(&self, gateway: std::net::SocketAddr, door: &str, n: u64) -> Answer {
        let request = self
            .client
            .post(format!("http://{gateway}/{door}/mcp"))
            .bearer_auth(&self.token)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "enter")
            .body(call(n, "enter", &json!({"n": n})).to_string());
        let Ok(answer) = request.send().await else { return Answer::Cut };
        let status = answer.status().as_u16();
        answer.text().await.map_or(Answer::Cut, |text| Answer::Status(status, text))
    }
}

/// What callers were told of their numbers.
#[derive(Debug, Default)]
struct Told {
    /// The number was entered.
    entered: BTreeSet<u64>,
    /// The request was refused because of the log.
    refused: BTreeSet<u64>,
}

impl Told {
    fn hears(&mut self, n: u64, answer: &Answer) {
        match answer {
            Answer::Status(200, _) => assert!(self.entered.insert(n)),
            Answer::Status(503, text) if text.contains("audit-unavailable") => assert!(self.refused.insert(n)),
            Answer::Status(status, text) => panic!("{n}: {status} {text}"),
            Answer::Cut => {}
        }
    }
}

/// The numbers in the rows of a kind, with how often each is there; `unconfirmed` names a request.
fn numbers(rows: &[Row], kind: &str) -> BTreeMap<u64, usize> {
    let of = |row: &Row| row.entry.data_object()["event"]["arguments"]["n"].as_u64().unwrap();
    let intents: BTreeMap<&str, u64> = rows
        .iter()
        .filter(|row| row.entry.kind == "intent")
        .map(|row| (row.entry.get(Column::Request).unwrap(), of(row)))
        .collect();
    let mut numbers = BTreeMap::new();
    for row in rows.iter().filter(|row| row.entry.kind == kind) {
        // What is said of a denial is about nothing that may have been done.
        if let Some(n) = intents.get(row.entry.get(Column::Request).unwrap()) {
            *numbers.entry(*n).or_default() += 1;
        }
    }
    numbers
}

/// What the rows of some writers say beside what the server did and what callers were told.
fn accounts(rows: &[Row], entered: &[u64], told: &Told) {
    let intents = numbers(rows, "intent");
    let effects: BTreeSet<u64> = entered.iter().copied().collect();
    assert_eq!(effects.len(), entered.len(), "an effect is there twice");
    let unrecorded: Vec<_> = effects.iter().filter(|n| !intents.contains_key(n)).collect();
    assert!(unrecorded.is_empty(), "effects without a row: {unrecorded:?}");
    let twice: Vec<_> = intents.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "rows that are there twice: {twice:?}");
    let lost: Vec<_> = told.entered.difference(&effects).collect();
    assert!(lost.is_empty(), "answered, and nothing was done: {lost:?}");
    let despite: Vec<_> = told.refused.intersection(&effects).collect();
    assert!(despite.is_empty(), "refused, and done nevertheless: {despite:?}");
    let denied = numbers(rows, "unconfirmed");
    let despite: Vec<_> = denied.keys().filter(|n| effects.contains(n)).collect();
    assert!(despite.is_empty(), "the log says that nothing followed, and something did: {despite:?}");
}

/// The rows of the writers that began at an instant or later, each found whole.
async fn since(store: &Store, opened: i64) -> Vec<Row> {
    let mut connection = store.reader().await.unwrap();
    let select = Select { kind: Some("open".into()), written_since: Some(opened), ..Select::class(LOG_CLASS) };
    let mut rows = Vec::new();
    for opening in read(&mut connection, &select).await {
        let writer = opening.writer.to_string();
        let of_writer = read(&mut connection, &Select { writer: Some(writer.clone()), ..Select::default() }).await;
        let mut verifier = Verifier::new(Vec::new());
        for row in &of_writer {
            verifier.seal(&mut row.clone());
        }
        for row in &of_writer {
            verifier.row(&mut row.clone());
        }
        // What the seals say of other writers is held against all rows, later.
        let findings: Vec<_> = verifier.finish().findings.into_iter().filter(|found| found.writer == writer).collect();
        assert!(findings.is_empty(), "{findings:#?}");
        rows.extend(of_writer);
    }
    connection.close().await;
    rows
}

async fn read(connection: &mut doorward::audit::store::Connection, select: &Select) -> Vec<Row> {
    let mut rows = Vec::new();
    let take = &mut |row: Row| {
        rows.push(row);
        std::ops::ControlFlow::Continue(())
    };
    connection.read(select, take).await.unwrap();
    rows
}

/// `doorward audit verify`, which must find the log whole; gives what it says.
fn verified(directory: &Path, environment: &[(&str, &str)]) -> Value {
    let mut command = super::process::doorward();
    command.args(["audit", "verify", "--format", "json"]).envs(environment.iter().copied()).current_dir(directory);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&said).unwrap()
}

/// Numbers that look random and are the same for the same seed (`SplitMix64`).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

/// Numbers that no other caller takes.
#[derive(Debug, Default)]
struct Numbers(AtomicU64);

impl Numbers {
    fn take(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
