//! The gateway beside its server alone and beside a reverse proxy that checks nothing, on loopback.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml --no-default-features --features gateway --bin gateway -- [SECONDS]`
//!
//! Each is a process of its own, started from this program: the server, the proxy, and `doorward serve`
//! itself, once with its audit log on a disk and once in memory (`/dev/shm`). They take turns in short
//! rounds, so that what else the machine does falls on each alike. Small tool calls of MCP 2026-07-28
//! over kept connections, each with a token whose signature was verified and is remembered; every
//! answer is compared. Then many streams are opened, and what the gateway holds for them is told and asserted.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt::{Debug, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use doorward::identity::dev::{DevIssuer, DevKeys, Wanted};
use doorward::model::Timestamp;
use doorward::policy::{Layers, load};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

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
/// How long a process may take to begin.
const BEGIN: Duration = Duration::from_secs(30);
/// Ticks of the clock in which Linux counts the time of processes, a second.
const TICKS: f64 = 100.0;

const ANSWER: &str =
    r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","content":[{"type":"text","text":"3"}]}}"#;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["server"] => block(serve(Router::new().fallback(any(answer)))),
        ["proxy", server] => {
            let to = server.parse().expect("an address");
            block(serve(Router::new().fallback(any(forward)).with_state(proxy(to))));
        }
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
}

async fn run(seconds: u64) {
    let time = Duration::from_secs(seconds);
    let disk = tempfile::tempdir().expect("there is a directory");
    let memory = tempfile::tempdir_in("/dev/shm").expect("there is a directory in memory");
    let (server, direct) = Process::begin(&["server"], disk.path(), "server");
    let (floor, through) = Process::begin(&["proxy", &direct.to_string()], disk.path(), "proxy");
    let mut ways = vec![
        Way { name: "direct", address: direct, process: server },
        Way { name: "reverse proxy", address: through, process: floor },
    ];
    let mut requests = Vec::new();
    let tokens = policy(direct, disk.path());
    requests.extend(tokens.iter().map(|token| request(token)));
    let in_memory = memory.path().join("audit.db");
    for (name, log) in [("doorward", disk.path().join("audit.db")), ("doorward, audit in memory", in_memory)] {
        let store = format!("sqlite:{}", log.display());
        let log = if name == "doorward" { "disk" } else { "memory" };
        let (process, address) = Process::begin(&served(disk.path(), &store), disk.path(), log);
        ways.push(Way { name, address, process });
    }

    println!("| connections | way | requests/s | p50 | p99 | CPU, each | throughput ÷ proxy | added p50 ÷ proxy's |");
    println!("| --: | --- | --: | --: | --: | --: | --: | --: |");
    for load in LOADS {
        let mut all: Vec<Vec<Round>> = ways.iter().map(|_| Vec::new()).collect();
        for way in &ways {
            round(way, &requests, load, time / 4).await;
        }
        for _ in 0..ROUNDS {
            for (rounds, way) in all.iter_mut().zip(&ways) {
                rounds.push(round(way, &requests, load, time).await);
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
    let (process, address) = Process::begin(&served(disk.path(), &store), disk.path(), "streams");
    streams(&Way { name: "doorward", address, process }, &tokens).await;
}

/// How `doorward serve` is called.
fn served(directory: &Path, store: &str) -> Vec<String> {
    let file = directory.join("policies.toml").display().to_string();
    ["serve", "--policy", &file, "--audit", store, "--format", "json", "--no-watch"].map(str::to_owned).to_vec()
}

/// A process of this program. Dropped, it ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Process {
    /// Starts it, and waits for the address that it says.
    fn begin(words: &[impl AsRef<OsStr> + Debug], directory: &Path, log: &str) -> (Self, SocketAddr) {
        let log = directory.join(format!("{log}.log"));
        let errors = std::fs::File::create(&log).expect("a file can be made");
        let program = std::env::current_exe().expect("this program has a place");
        let child = Command::new(program).args(words).stdin(Stdio::null()).stderr(errors).spawn();
        let process = Self(child.expect("it starts"));
        let begin = Instant::now();
        loop {
            let text = std::fs::read_to_string(&log).expect("its log can be read");
            let said = text.lines().find_map(|line| {
                let line: serde_json::Value = serde_json::from_str(line).ok()?;
                line["message"].as_str().filter(|message| *message == "serving")?;
                line["address"].as_str()?.parse().ok()
            });
            if let Some(address) = said {
                return (process, address);
            }
            assert!(begin.elapsed() < BEGIN, "{words:?} does not serve: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it holds in memory, in KiB: of its own, and with what is mapped of its program file.
    fn resident(&self) -> (u64, u64) {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).expect("this is Linux");
        let of = |name: &str| -> u64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("it has memory");
            line.trim().trim_end_matches(" kB").parse().expect("a number")
        };
        (of("RssAnon:"), of("VmRSS:"))
    }

    /// How long it has been on a processor, in seconds.
    fn busy(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("this is Linux");
        let fields = text.rsplit_once(')').expect("a name").1.split_whitespace();
        fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / TICKS
    }
}

/// Serves, and says where, as the log of the gateway does.
async fn serve(router: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
    let address = listener.local_addr().expect("it has an address").to_string();
    eprintln!("{}", json!({ "message": "serving", "address": address }));
    let listener = axum::serve::ListenerExt::tap_io(listener, |io| {
        let _ = io.set_nodelay(true);
    });
    axum::serve(listener, router).await.expect("it serves");
}

/// The server: one small answer to a call, and a stream that stays silent to a subscription.
async fn answer(request: Request) -> Response {
    let listens = request.headers().get("mcp-method").is_some_and(|method| method == "subscriptions/listen");
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.expect("a body");
    drop(body);
    if listens {
        let first = r#"data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"notifications":{"toolsListChanged":true}}}"#;
        let first = futures_util::stream::iter([Ok::<_, Infallible>(format!("{first}\n\n"))]);
        let silent = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        let answer = Response::builder().header("content-type", "text/event-stream");
        return answer.body(Body::from_stream(silent)).expect("an answer");
    }
    Response::builder().header("content-type", "application/json").body(Body::from(ANSWER)).expect("an answer")
}

type Proxy = (Client<HttpConnector, Body>, SocketAddr);

fn proxy(to: SocketAddr) -> Proxy {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    (Client::builder(TokioExecutor::new()).build(connector), to)
}

/// The floor: every request goes on as it is.
async fn forward(State((client, to)): State<Proxy>, mut request: Request) -> Response {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("http://{to}{path}").parse().expect("a URL");
    client.request(request).await.expect("an answer").map(Body::new)
}

/// Writes the policy of the gateway and the keys of its issuer; gives a token of each subject.
fn policy(server: SocketAddr, directory: &Path) -> Vec<String> {
    let text = format!(
        r#"
version = 1
[gateway]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
[issuers.dev]
url = "http://127.0.0.1:8790/dev-issuer"
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
    let issuer = DevIssuer::new(policy.set(), "dev", keys).expect("the issuer is declared");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs();
    let now = Timestamp(now.try_into().expect("a time"));
    let token = |n| {
        let wanted = Wanted {
            subject: format!("user-{n}"),
            agent: Some("desk-assistant".into()),
            groups: vec!["staff".into()],
            scopes: vec!["desk:add".into()],
            audience: vec!["http://127.0.0.1:8787/desk/mcp".into()],
            lifetime: 3_600,
            ..Wanted::default()
        };
        issuer.mint(&wanted, now).expect("the token is good").expose_secret().to_owned()
    };
    (0..SUBJECTS).map(token).collect()
}

fn message(token: &str, method: &str, name: &str, mut params: serde_json::Value) -> Vec<u8> {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let name = if name.is_empty() { String::new() } else { format!("mcp-name: {name}\r\n") };
    let head = format!(
        "POST /desk/mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n\
         {name}content-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

fn request(token: &str) -> Arc<[u8]> {
    message(token, "tools/call", "add", json!({ "name": "add", "arguments": { "a": 1, "b": 2 } })).into()
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

async fn round(way: &Way, requests: &[Arc<[u8]>], connections: usize, time: Duration) -> Round {
    let until = Instant::now() + time;
    let busy = way.process.busy();
    let callers: Vec<_> = (0..connections)
        .map(|n| tokio::spawn(call(way.address, Arc::clone(&requests[n % requests.len()]), until)))
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
async fn call(address: SocketAddr, request: Arc<[u8]>, until: Instant) -> Vec<Duration> {
    let mut socket = TcpStream::connect(address).await.expect("it connects");
    socket.set_nodelay(true).expect("a socket");
    let mut times = Vec::new();
    let mut buffer = vec![0; 16 << 10];
    while Instant::now() < until {
        let begin = Instant::now();
        socket.write_all(&request).await.expect("it is sent");
        let mut length = 0;
        while !is_whole(&buffer[..length]) {
            let read = socket.read(&mut buffer[length..]).await.expect("it is answered");
            assert!(read > 0, "the answer broke off: {}", String::from_utf8_lossy(&buffer[..length]));
            length += read;
        }
        times.push(begin.elapsed());
        let answer = &buffer[..length];
        let right = answer.starts_with(b"HTTP/1.1 200") && answer.ends_with(ANSWER.as_bytes());
        assert!(right, "{}", String::from_utf8_lossy(answer));
    }
    times
}

/// Whether an answer of the known length has come.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let refused = !answer.starts_with(b"HTTP/1.1 200");
    refused || answer.len() >= end + 4 + ANSWER.len()
}

/// Opens many subscriptions, and tells what the gateway holds before and with them.
async fn streams(way: &Way, tokens: &[String]) {
    let before = way.process.resident();
    let mut held = Vec::new();
    for n in 0..STREAMS {
        let params = json!({ "notifications": { "toolsListChanged": true } });
        let text = message(&tokens[n % tokens.len()], "subscriptions/listen", "", params);
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
