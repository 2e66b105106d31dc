//! The gateway beside its server alone, beside a reverse proxy that checks nothing, and beside another gateway, on
//! loopback.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml --no-default-features --features gateway --bin gateway -- [SECONDS]`
//!
//! Each is a process of its own, started from this program: the server, the proxy, and `doorward serve`
//! itself, once with its audit log on a disk and once in memory (`/dev/shm`). They take turns in short
//! rounds, so that what else the machine does falls on each alike. Small tool calls of MCP 2026-07-28
//! over kept connections, each with a token whose signature was verified and is remembered; every
//! answer is compared. Then many streams are opened, and what the gateway holds for them is told and asserted.
//!
//! Where `MCP_PROXY` names the program of the `mcp-proxy` crate, built with its features `oauth` and
//! `protocol-2026-07-28`, it takes its turn too: it verifies the token and finds the server by the name of the tool.

mod process;
mod servers;

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use doorward::identity::dev::{DevIssuer, DevKeys, Wanted};
use doorward::model::Timestamp;
use doorward::policy::{Layers, load};
use process::Process;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// As in doorward's own program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections at once.
const LOADS: [usize; 3] = [1, 32, 256];
/// Rounds of each way, in turns.
const ROUNDS: usize = 5;
/// Streams that are held open for the memory of the gateway, within what one door allows by itself.
const STREAMS: usize = 1_000;
/// What it may then hold of its own, in KiB.
const MOST: u64 = 64 << 10;
/// How many subjects take turns.
const SUBJECTS: usize = 16;

/// Who issues the tokens, and for what.
const ISSUER: &str = "http://127.0.0.1:8790/dev-issuer";
const AUDIENCE: &str = "http://127.0.0.1:8787/desk/mcp";
/// What an answer ends with: of the server, and of the `mcp-proxy` crate, which writes it anew.
const ANSWER: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"3"}]}}"#;
const OTHER_ANSWER: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"3"}],"resultType":"complete"}}"#;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["server", keys] => block(servers::called(Path::new(keys))),
        ["proxy", server] => block(servers::reverse_proxy(server.parse().expect("an address"))),
        ["serve", ..] => {
            return doorward::cli::run(std::iter::once("doorward".into()).chain(arguments.iter().map(Into::into)));
        }
        [] => block(run(2)),
        [seconds] => block(run(seconds.parse().expect("whole seconds, of each round"))),
        _ => panic!("usage: gateway [SECONDS]"),
    }
    ExitCode::SUCCESS
}

fn block(task: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().expect("there is a runtime").block_on(task);
}

/// One of those that take turns.
struct Way {
    name: &'static str,
    address: SocketAddr,
    process: Process,
    requests: Vec<Arc<[u8]>>,
    /// What an answer ends with.
    answer: &'static str,
}

async fn run(seconds: u64) {
    let time = Duration::from_secs(seconds);
    let disk = tempfile::tempdir().expect("there is a directory");
    let memory = tempfile::tempdir_in("/dev/shm").expect("there is a directory in memory");
    let keys = disk.path().join("keys.json").display().to_string();
    let (server, direct) = Process::begin(&["server", &keys], disk.path(), "server");
    let (floor, through) = Process::begin(&["proxy", &direct.to_string()], disk.path(), "proxy");
    let issuer = policy(direct, disk.path());
    let tokens = tokens(&issuer, AUDIENCE);
    let requests: Vec<_> = tokens.iter().map(|token| request("/desk/mcp", token, "add")).collect();
    let way = |name, (process, address)| Way { name, address, process, requests: requests.clone(), answer: ANSWER };
    let mut ways = vec![way("direct", (server, direct)), way("reverse proxy", (floor, through))];
    if let Some(program) = std::env::var_os("MCP_PROXY") {
        let (process, address, audience) = Process::other(&program, direct, disk.path());
        let requests = self::tokens(&issuer, &audience).iter().map(|token| request("/", token, "desk/add")).collect();
        ways.push(Way { name: "mcp-proxy", address, process, requests, answer: OTHER_ANSWER });
    }
    let in_memory = memory.path().join("audit.db");
    for (name, log) in [("doorward", disk.path().join("audit.db")), ("doorward, audit in memory", in_memory)] {
        let store = format!("sqlite:{}", log.display());
        let log = if name == "doorward" { "disk" } else { "memory" };
        ways.push(way(name, Process::begin(&served(disk.path(), &store), disk.path(), log)));
    }

    println!("| connections | way | requests/s | p50 | p99 | CPU, each | throughput ÷ proxy | added p50 ÷ proxy's |");
    println!("| --: | --- | --: | --: | --: | --: | --: | --: |");
    for load in LOADS {
        let mut all: Vec<Vec<Round>> = ways.iter().map(|_| Vec::new()).collect();
        for way in &ways {
            round(way, load, time / 4).await;
        }
        for _ in 0..ROUNDS {
            for (rounds, way) in all.iter_mut().zip(&ways) {
                rounds.push(round(way, load, time).await);
            }
        }
        let best: Vec<Round> = all.iter().map(|rounds| Round::best(rounds)).collect();
        for (number, (round, way)) in best.iter().zip(&ways).enumerate() {
            let mut line = format!("| {load} | {} | {:.0} ", way.name, round.rate);
            write!(line, "| {:.0} µs | {:.0} µs | {:.0} µs ", round.p50, round.p99, round.cpu).expect("a text");
            if number > 1 {
                let added = (round.p50 - best[0].p50) / (best[1].p50 - best[0].p50);
                write!(line, "| {:.2} | {added:.2} |", round.rate / best[1].rate).expect("a text");
            } else {
                line.push_str("| | |");
            }
            println!("{line}");
        }
    }
    ways.truncate(1);
    let store = format!("sqlite:{}", disk.path().join("streams.db").display());
    streams(&way("doorward", Process::begin(&served(disk.path(), &store), disk.path(), "streams")), &tokens).await;
}

/// How `doorward serve` is called.
fn served(directory: &Path, store: &str) -> Vec<String> {
    let file = directory.join("policies.toml").display().to_string();
    ["serve", "--policy", &file, "--audit", store, "--format", "json", "--no-watch"].map(str::to_owned).to_vec()
}

/// Writes the policy of the gateway and the keys of its issuer, which it gives.
fn policy(server: SocketAddr, directory: &Path) -> DevIssuer {
    let text = format!(
        r#"
version = 1
[gateway]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
[issuers.dev]
url = "{ISSUER}"
jwks_file = "keys.json"
[servers.desk]
url = "http://{server}/mcp"
[servers.desk.tools.add]
args = {{ a = {{ max = 100 }} }}
[[grants]]
to = {{ groups = ["staff"] }}
allow = ["desk:add"]
"#
    );
    let layers = Layers { files: vec![("policies.toml".into(), text.clone().into_bytes())], environment: Vec::new() };
    let policy = load(&layers).policy.expect("the policy is good").compiled;
    std::fs::write(directory.join("policies.toml"), text).expect("it can be written");
    let keys = DevKeys::generate().expect("there is randomness");
    std::fs::write(directory.join("keys.json"), keys.jwks()).expect("it can be written");
    DevIssuer::new(policy.set(), "dev", keys).expect("the issuer is declared")
}

/// A token of each subject.
fn tokens(issuer: &DevIssuer, audience: &str) -> Vec<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let now = Timestamp(now.try_into().expect("a time"));
    let token = |n| {
        let wanted = Wanted {
            subject: format!("user-{n}"),
            agent: Some("desk-assistant".into()),
            groups: vec!["staff".into()],
            scopes: vec!["desk:add".into()],
            audience: vec![audience.into()],
            lifetime: 3_600,
            ..Wanted::default()
        };
        issuer.mint(&wanted, now).expect("the token is good").expose_secret().to_owned()
    };
    (0..SUBJECTS).map(token).collect()
}

fn message(path: &str, token: &str, method: &str, name: &str, mut params: serde_json::Value) -> Vec<u8> {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let name = if name.is_empty() { String::new() } else { format!("mcp-name: {name}\r\n") };
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n\
         {name}content-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

fn request(path: &str, token: &str, tool: &str) -> Arc<[u8]> {
    message(path, token, "tools/call", tool, json!({ "name": tool, "arguments": { "a": 1, "b": 2 } })).into()
}

/// What one way did in one round. Times in microseconds.
#[derive(Clone, Copy, Debug)]
struct Round {
    rate: f64,
    p50: f64,
    p99: f64,
    /// Of the process, for each request.
    cpu: f64,
}

impl Round {
    /// The best of each figure: other work on the machine only ever takes away.
    fn best(rounds: &[Self]) -> Self {
        let least = |figure: fn(&Self) -> f64| rounds.iter().map(figure).fold(f64::INFINITY, f64::min);
        let rate = rounds.iter().map(|round| round.rate).fold(0.0, f64::max);
        Self { rate, p50: least(|r| r.p50), p99: least(|r| r.p99), cpu: least(|r| r.cpu) }
    }
}

async fn round(way: &Way, connections: usize, time: Duration) -> Round {
    let until = Instant::now() + time;
    let busy = way.process.busy();
    let callers: Vec<_> = (0..connections)
        .map(|n| &way.requests[n % way.requests.len()])
        .map(|request| tokio::spawn(call(way.address, Arc::clone(request), way.answer, until)))
        .collect();
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await.expect("a caller ends"));
    }
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_secs_f64() * 1e6;
    #[expect(clippy::cast_precision_loss, reason = "no round has so many requests")]
    let count = times.len() as f64;
    let cpu = (way.process.busy() - busy) * 1e6 / count;
    Round { rate: count / time.as_secs_f64(), p50: at(50), p99: at(99), cpu }
}

/// One connection that asks again as soon as it was answered.
async fn call(address: SocketAddr, request: Arc<[u8]>, right: &'static str, until: Instant) -> Vec<Duration> {
    let mut socket = TcpStream::connect(address).await.expect("it connects");
    socket.set_nodelay(true).expect("a socket");
    let mut times = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    while Instant::now() < until {
        let begin = Instant::now();
        socket.write_all(&request).await.expect("it is sent");
        let mut length = 0;
        while !is_whole(&buffer[..length], right) {
            let read = socket.read(&mut buffer[length..]).await.expect("it is answered");
            assert!(read > 0, "the answer broke off: {}", String::from_utf8_lossy(&buffer[..length]));
            length += read;
        }
        times.push(begin.elapsed());
        let answer = &buffer[..length];
        let good = answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(right.as_bytes());
        assert!(good, "{}", String::from_utf8_lossy(answer));
    }
    times
}

/// Whether an answer has come, or what is none.
fn is_whole(answer: &[u8], right: &str) -> bool {
    let refused = || !answer.starts_with(b"HTTP/1.1 200") && answer.windows(4).any(|four| four == b"\r\n\r\n");
    answer.ends_with(right.as_bytes()) || refused()
}

/// Opens many subscriptions, and tells what the gateway holds before and with them.
async fn streams(way: &Way, tokens: &[String]) {
    let before = way.process.resident();
    let mut held = Vec::new();
    for n in 0..STREAMS {
        let params = json!({ "notifications": { "toolsListChanged": true } });
        let text = message("/desk/mcp", &tokens[n % tokens.len()], "subscriptions/listen", "", params);
        let mut socket = TcpStream::connect(way.address).await.expect("it connects");
        socket.write_all(&text).await.expect("it is sent");
        let mut answer = Vec::new();
        while !answer.windows(12).any(|some| some == b"acknowledged") {
            let read = socket.read_buf(&mut answer).await.expect("it is answered");
            let good = read > 0 && answer.starts_with(b"HTTP/1.1 200");
            assert!(good, "{}", String::from_utf8_lossy(&answer));
        }
        held.push(socket);
    }
    let after = way.process.resident();
    let each = after.0.saturating_sub(before.0) / STREAMS as u64;
    println!(
        "\nmemory of a gateway, and with its program: {} and {} MiB when it has begun, {} and {} MiB with {STREAMS} open \
         streams, {each} KiB each",
        before.0 >> 10,
        before.1 >> 10,
        after.0 >> 10,
        after.1 >> 10
    );
    assert!(after.0 < MOST, "{STREAMS} streams take more than {MOST} KiB");
}
