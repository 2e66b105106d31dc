//! The gateway as a process: what it writes, how it ends, and what it leaves when it is killed.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::rig::{POLICY, filled, http_server, keys, rows, token};
use crate::identity::Signer;
use crate::place::{DOORWARD, untold};

pub(crate) fn doorward() -> Command {
    untold(DOORWARD)
}

/// A process that serves a policy.
pub(super) struct Started {
    pub(super) child: Child,
    pub(super) address: SocketAddr,
    /// The admin listener, as the log says where it is.
    pub(super) admin: String,
    /// What it has said on stderr so far.
    pub(super) said: Arc<Mutex<String>>,
}

/// Serves the policy in a directory.
pub(super) fn started(directory: &Path, environment: &[(&str, &str)]) -> Started {
    let mut child = doorward()
        .args(["serve", "--format", "json", "--log", "info"])
        .current_dir(directory)
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = Arc::new(Mutex::new(String::new()));
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    // Before it serves it tells of other things, as of its audit log.
    let mut first = String::new();
    let line = loop {
        let before = first.len();
        assert!(stderr.read_line(&mut first).unwrap() > 0, "it does not serve: {first}");
        let line: Value = serde_json::from_str(&first[before..]).unwrap_or_else(|_| panic!("{first}"));
        if line["message"] == "serving" {
            break line;
        }
    };
    let at = |name: &str| line[name].as_str().unwrap().to_owned();
    let (address, admin) = (at("address").parse().unwrap(), at("admin"));
    let heard = Arc::clone(&said);
    heard.lock().unwrap().push_str(&first);
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let mut heard = heard.lock().unwrap();
            heard.push_str(&line);
            heard.push('\n');
        }
    });
    Started { child, address, admin, said }
}

/// A gateway in a process of its own.
pub(crate) struct Served {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// The admin listener, as the log says where it is.
    pub(crate) admin: String,
    pub(crate) directory: Arc<TempDir>,
    pub(crate) signer: Arc<Signer>,
    said: Arc<Mutex<String>>,
}

impl Served {
    pub(crate) fn start(policy: &str, environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let signer = keys(directory.path());
        std::fs::write(directory.path().join("policies.toml"), policy).unwrap();
        Self::launch(Arc::new(directory), Arc::new(signer), environment)
    }

    /// Another gateway on the same policy and the same audit log.
    pub(super) fn beside(&self) -> Self {
        Self::launch(Arc::clone(&self.directory), Arc::clone(&self.signer), &[])
    }

    fn launch(directory: Arc<TempDir>, signer: Arc<Signer>, environment: &[(&str, &str)]) -> Self {
        let Started { child, address, admin, said } = started(directory.path(), environment);
        Self { child, address, admin, directory, signer, said }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// What it has written on stderr.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// The store of its audit log.
    pub(crate) fn audit(&self) -> String {
        format!("sqlite:{}", self.directory.path().join("doorward.db").display())
    }

    pub(crate) async fn call(&self, door: &str, token: &str, message: &Value) -> Option<(u16, String)> {
        doorward::identity::ensure_crypto();
        let request = reqwest::Client::new()
            .post(format!("http://{}/{door}/mcp", self.address))
            .header("authorization", format!("Bearer {token}"))
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", message["params"]["name"].as_str().unwrap())
            .header("cookie", "session=canary-cookie")
            .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
            .body(message.to_string());
        let answer = request.send().await.ok()?;
        Some((answer.status().as_u16(), answer.text().await.unwrap_or_default()))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn call(id: u64, tool: &str, arguments: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {
        "name": tool, "arguments": arguments,
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        },
    }})
}

/// What the gateway has captured in a directory, as text.
pub(crate) fn captured(directory: &Path) -> String {
    let files = std::fs::read_dir(directory).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
    files.map(|packed| String::from_utf8(zstd::decode_all(&*packed).unwrap()).unwrap()).collect()
}

/// The door `stdio` with a server by hand, which gets a secret; the other must not be remembered by an argument.
fn by_hand(http: SocketAddr) -> String {
    let policy = filled(POLICY, http).replace("FIXTURE=rmcp", "FIXTURE=modern");
    let policy = policy.replace("[gateway]\n", "[gateway]\ncapture = { directory = \"captured\" }\n");
    let rule = "args = { a = { max = 100 } }\n";
    let policy = policy.replace(rule, &format!("{rule}capture = [\"b\"]\nredact = [\"b\"]\n"));
    let door = "[servers.stdio]\n";
    let more = "[servers.stdio]\ncredential = { env = \"CANARY_SECRET\" }\n";
    let tools = "[servers.stdio.tools.echo]\ncapture = [\"note\"]\n[servers.stdio.tools.environment]\n[servers.stdio.tools.crash]\n[servers.stdio.tools.pid]";
    let policy = policy.replace(door, more).replace("[servers.stdio.tools.pid]", tools);
    let policy = format!("{policy}\n[audit]\nredact = [\"*looks-like*\"]\n");
    policy.replace("allow = [\"*:pid\"]", "allow = [\"*:pid\", \"stdio:*\"]")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_argument_or_secret_is_in_anything_that_it_writes() {
    let served =
        Served::start(&by_hand(http_server().await), &[("CANARY_SECRET", "canary-secret"), ("CANARY_OTHER", "x")]);
    let scope = json!({"scope": "stdio:echo stdio:environment stdio:crash http:add stdio:pid"});
    let good = token(&served.signer, "ana", &scope);
    let note = json!(["kept", {"in": "a canary-looks-like-this"}]);
    let says = json!({"text": "canary-argument", "password": "canary-password", "note": note});
    let (status, text) = served.call("stdio", &good, &call(1, "echo", &says)).await.unwrap();
    assert_eq!((status, text.contains("canary-argument")), (200, true), "{text}");
    let (_, variables) = served.call("stdio", &good, &call(2, "environment", &json!({}))).await.unwrap();
    assert!(variables.contains("CANARY_SECRET") && !variables.contains("CANARY_OTHER"), "{variables}");
    // Refused by the policy (an argument that a rule reads is on record, one that is to be redacted is not), not believed, malformed, and
    // a server that breaks.
    let denied = json!({"a": 7000, "b": "canary-argument"});
    let denied = served.call("http", &good, &call(3, "add", &denied)).await.unwrap();
    assert_eq!(denied.0, 403, "{}", denied.1);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let forged = format!("{head}.{}", signature.chars().rev().collect::<String>());
    assert_eq!(served.call("stdio", &forged, &call(4, "echo", &says)).await.unwrap().0, 401);
    assert_eq!(served.call("stdio", "canary-token", &call(4, "echo", &says)).await.unwrap().0, 401);
    assert_eq!(served.call("stdio", &good, &call(5, "crash", &says)).await.unwrap().0, 502);
    served.signal(Signal::TERM);
    let mut served = served;
    let ended = served.child.wait().unwrap();
    assert_eq!(ended.code(), Some(0), "{}", served.said.lock().unwrap());
    let mut stdout = String::new();
    served.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    assert_eq!(stdout, "");
    let said = served.said.lock().unwrap().clone();
    let audit: String = rows(&served.audit()).await.iter().map(Value::to_string).collect();
    assert!(said.contains("\"decided\"") && said.contains("4bf92f3577b34da6a3ce929d0e0e4736"), "{said}");
    assert!(audit.contains("\"decision\":\"deny\"") && audit.contains("token-malformed"), "{audit}");
    let recordings = captured(&served.directory.path().join("captured"));
    for text in [&audit, &recordings] {
        assert!(text.contains("\"redacted\":[\"/arguments/b\"]") && text.contains("\"a\":7000"), "{text}");
        assert!(text.contains("/arguments/note/1/in") && text.contains("\"note\":[\"kept\","), "{text}");
    }
    for (name, text) in [("log", &said), ("audit", &audit), ("recordings", &recordings)] {
        for secret in ["canary", &*good, head, signature, "ana"] {
            let may = name != "log" && secret == "ana";
            assert!(may || !text.contains(secret), "`{secret}` is in the {name}: {text}");
        }
    }
}

#[test]
fn an_address_that_is_taken_is_said_and_the_exit_code_is_2() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    keys(directory.path());
    let policy = filled(POLICY, "127.0.0.1:1".parse().unwrap());
    std::fs::write(directory.path().join("policies.toml"), policy).unwrap();
    let said = doorward()
        .args(["serve", "--listen", &address, "--log", "error"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(2));
    let text = String::from_utf8(said.stderr).unwrap().replace(&address, "ADDRESS");
    insta::assert_snapshot!(text, @"
    error[cannot-serve]: `ADDRESS` cannot be listened on: address in use (address)
      = help: end what listens there, or choose another address
    ");
}

#[cfg(target_os = "linux")]
#[test]
fn a_crash_writes_nothing_of_its_memory_and_memory_is_taken_in_small_pages() {
    let served = Served::start(&filled(POLICY, "127.0.0.1:1".parse().unwrap()), &[]);
    let of = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", served.child.id())).unwrap();
    let limits = of("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
    // Not every kernel tells it.
    let status = of("status");
    let pages = status.lines().find(|line| line.starts_with("THP_enabled:"));
    assert!(pages.is_none_or(|line| line.ends_with('0')), "{pages:?}");
}
