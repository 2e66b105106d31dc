//! A policy, an issuer, a log and a server that says what it is told to, with a guard between them.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use doorward::attest::{Gate, Proofs};
use doorward::audit::{Intent, Log, Outcome, Pending, Receipt, Refusals, Unavailable};
use doorward::identity::fetch::{Given, Place};
use doorward::identity::{Limits as VerifierLimits, Verifier};
use doorward::model::Timestamp;
use doorward::pep::{Body, Guard, GuardLayer, Limits, Permit, Surroundings};
use doorward::policy::checks::Rollout;
use doorward::policy::{CompiledPolicy, Layers, load};
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::identity::{Signer, claims, header, with};

pub(crate) const POLICY: &str = r#"
version = 1
[gateway]
url = "https://mcp.example.com"
[issuers.corp]
url = "https://login.example.com"
jwks_file = "keys.json"
algorithms = ["EdDSA", "ES256"]
claims = { groups = "realm.groups", agent = "client_id" }
[servers.desk]
url = "http://127.0.0.1:9001/mcp"
client = { sampling = true, elicitation = true, roots = true }
[servers.desk.tools.find]
[servers.desk.tools.pay]
token_ttl = "5m"
args = { amount = { min = 0, max = 500 } }
[servers.desk.tools.slow]
rate = "2/min per subject"
[servers.desk.tools.refund]
[servers.desk.tools.never]
[servers.desk.prompts.triage]
[servers.desk.resources.manuals]
uri = "file:///srv/manuals/**"
[servers.desk.resources.secret]
uri = "file:///srv/manuals/secret/**"
[servers.till]
url = "http://127.0.0.1:9002/mcp"
[servers.till.tools.open]
[[grants]]
name = "staff"
to = { groups = ["staff"] }
allow = ["desk:find", "desk:slow", "desk:prompt:triage", "desk:resource:manuals"]
[[grants]]
name = "payers"
to = { groups = ["staff"] }
allow = ["desk:pay"]
args = { "desk:pay" = { amount = { max = 50 } } }
[[grants]]
name = "leads"
to = { groups = ["lead"] }
allow = ["desk:refund", "till:open"]
[[grants]]
name = "all-but"
to = { groups = ["staff"] }
allow = ["desk:never"]
args = { "desk:never" = { amount = { max = 10 } } }
[[denies]]
name = "never-at-all"
deny = ["desk:never"]
args = { "desk:never" = { amount = { max = 20 } } }
[[denies]]
name = "no-secrets"
deny = ["desk:resource:secret"]
"#;

pub(crate) const ALL_SCOPES: &str = "desk:find desk:pay desk:slow desk:refund desk:never desk:prompt:triage \
                                     desk:resource:manuals desk:resource:secret till:open";

pub(crate) fn compile(text: &str) -> CompiledPolicy {
    let loaded = load(&Layers { files: vec![("policies.toml".to_owned(), text.into())], environment: Vec::new() });
    match loaded.policy {
        Some(policy) => policy.compiled,
        None => panic!("{:#?}", loaded.problems),
    }
}

/// A log in memory that a test can break.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    pub(crate) intents: Mutex<Vec<Intent>>,
    pub(crate) outcomes: Mutex<Vec<Outcome>>,
    pub(crate) refusals: Mutex<Vec<Refusals>>,
    pub(crate) broken: AtomicBool,
}

impl Log for Rows {
    fn intent(&self, intent: Intent) -> Pending<'_, Result<Receipt, Unavailable>> {
        Box::pin(async move {
            // Nobody may go on before a log has had its time.
            tokio::task::yield_now().await;
            if self.broken.load(Ordering::SeqCst) {
                return Err(Unavailable);
            }
            let mut intents = self.intents.lock().unwrap();
            intents.push(intent);
            Ok(Receipt::new(intents.len() as u64 - 1))
        })
    }

    fn outcome(&self, receipt: Receipt, outcome: Outcome) {
        assert_eq!(receipt.sequence(), outcome.of);
        self.outcomes.lock().unwrap().push(outcome);
    }

    fn refusals(&self, refusals: Refusals) {
        self.refusals.lock().unwrap().push(refusals);
    }

    fn is_available(&self) -> bool {
        !self.broken.load(Ordering::SeqCst)
    }
}

/// What reached the server.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) permit: Permit,
}

impl Seen {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

type Answers = Arc<dyn Fn(&Seen) -> Response<Body> + Send + Sync>;

/// A server that keeps a journal and answers as it is told.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) journal: Arc<Mutex<Vec<Seen>>>,
    answers: Arc<Mutex<Answers>>,
}

impl Server {
    fn new() -> Self {
        let journal = Arc::default();
        Self { journal, answers: Arc::new(Mutex::new(Arc::new(|seen| result(seen, &json!({ "content": [] }))))) }
    }
}

impl Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            let permit = parts.extensions.get::<Permit>().expect("a permit").clone();
            let seen = Seen { headers: parts.headers, body, permit };
            this.journal.lock().unwrap().push(seen.clone());
            let answers = Arc::clone(&this.answers.lock().unwrap());
            Ok(answers(&seen))
        })
    }
}

/// A JSON answer with a result to the request that was seen; 202 to anything else.
pub(crate) fn result(seen: &Seen, result: &Value) -> Response<Body> {
    let sent = seen.json();
    if sent.get("id").is_none() || sent.get("method").is_none() {
        return Response::builder().status(202).body(Body::empty()).unwrap();
    }
    raw("application/json", json!({ "jsonrpc": "2.0", "id": sent["id"], "result": result }).to_string())
}

pub(crate) fn raw(content_type: &str, body: impl Into<Bytes>) -> Response<Body> {
    Response::builder().header("content-type", content_type).body(Body::from(body.into())).unwrap()
}

/// An answer as a caller gets it.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The code that doorward tells.
    pub(crate) fn code(&self) -> String {
        self.json()["error"]["data"]["doorward"]["code"].as_str().unwrap_or("none").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

pub(crate) struct World {
    pub(crate) guard: Guard,
    pub(crate) rows: Arc<Rows>,
    pub(crate) server: Server,
    pub(crate) now: Arc<AtomicI64>,
    signer: Signer,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(POLICY, Limits::default())
    }

    pub(crate) fn with(policy: &str, limits: Limits) -> Self {
        let rows = Arc::new(Rows::default());
        let log: Arc<dyn Log> = Arc::clone(&rows) as _;
        let (guard, signer, now) = guard(policy, limits, log);
        Self { guard, rows, server: Server::new(), now, signer }
    }

    pub(crate) fn answers(&self, answers: impl Fn(&Seen) -> Response<Body> + Send + Sync + 'static) {
        *self.server.answers.lock().unwrap() = Arc::new(answers);
    }

    /// Every request gets this result.
    pub(crate) fn results(&self, value: Value) {
        self.answers(move |seen| result(seen, &value));
    }

    /// Puts another policy in force, with its generation beside it.
    pub(crate) fn replace(&self, policy: &str) {
        let cleared = Gate::default().first(compile(policy), &Rollout::default(), Proofs::default()).unwrap();
        self.guard.replace(&cleared, Arc::new(self.guard.generation() + 1));
    }

    pub(crate) fn token(&self, change: &Value) -> String {
        let base = with(claims(), &json!({ "scope": ALL_SCOPES }));
        self.signer.sign(&header(), &with(base, change))
    }

    pub(crate) fn ana(&self) -> String {
        self.token(&json!({}))
    }

    /// Another user of the same agent, with the same groups.
    pub(crate) fn ben(&self) -> String {
        self.token(&json!({ "sub": "ben" }))
    }

    pub(crate) async fn send(&self, door: &str, request: Request<Body>) -> Reply {
        let response = self.open(door, request).await;
        let (parts, body) = response.into_parts();
        let text = body.collect().await.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned());
        Reply { status: parts.status.as_u16(), headers: parts.headers, text: text.unwrap_or_default() }
    }

    pub(crate) async fn open(&self, door: &str, request: Request<Body>) -> Response<Body> {
        let mut service = GuardLayer::new(self.guard.clone(), door).layer(self.server.clone());
        service.call(request).await.unwrap()
    }

    /// Posts a message as a client of the older revisions.
    pub(crate) async fn post(&self, token: &str, message: &Value) -> Reply {
        self.send("desk", post(token, &message.to_string(), &[])).await
    }

    /// Calls a tool as a client of the older revisions.
    pub(crate) async fn call(&self, token: &str, tool: &str, arguments: &Value) -> Reply {
        self.post(token, &call(7, tool, arguments)).await
    }

    /// Sends a request as a client of revision 2026-07-28.
    pub(crate) async fn modern(&self, token: &str, method: &str, params: &Value) -> Reply {
        self.send("desk", modern(token, method, params)).await
    }

    /// The keys of the issuer.
    pub(crate) fn keys(&self) -> Vec<u8> {
        self.signer.jwks.to_string().into_bytes()
    }

    /// What reached the server.
    pub(crate) fn journal(&self) -> Vec<Seen> {
        self.server.journal.lock().unwrap().clone()
    }

    /// Effects and reasons of all rows.
    pub(crate) fn decisions(&self) -> Vec<String> {
        let intents = self.rows.intents.lock().unwrap();
        intents.iter().map(|i| format!("{:?} {} {}:{}", i.verdict.effect, i.verdict.reason, i.method, i.name)).collect()
    }

    pub(crate) fn ends(&self) -> Vec<String> {
        self.rows.outcomes.lock().unwrap().iter().map(|outcome| outcome.end.to_string()).collect()
    }
}

/// A guard with a fresh issuer, at second 1200.
pub(crate) fn guard(policy: &str, limits: Limits, log: Arc<dyn Log>) -> (Guard, Signer, Arc<AtomicI64>) {
    let signer = Signer::new();
    let policy = compile(policy);
    let files = ["keys.json", "others.json"].map(|file| Place::File(file.into()));
    let keys = Given(files.map(|file| (file, signer.jwks.to_string().into_bytes())).into());
    let verifier = Verifier::new(policy.set(), Arc::new(keys), VerifierLimits::default());
    let now = Arc::new(AtomicI64::new(1200));
    let (clock, ids) = (Arc::clone(&now), AtomicU64::new(0));
    let surroundings = Surroundings {
        clock: Arc::new(move || Timestamp(clock.load(Ordering::SeqCst))),
        ids: Arc::new(move || format!("r-{}", ids.fetch_add(1, Ordering::SeqCst))),
        key: [7; 32],
        other_keys: Vec::new(),
        shared_rates: None,
        limits,
        tracer: None,
    };
    (Guard::new(policy, verifier, log, surroundings), signer, now)
}

pub(crate) fn call(id: i64, tool: &str, arguments: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
}

pub(crate) fn post(token: &str, body: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::post("/desk/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

pub(crate) fn modern(token: &str, method: &str, params: &Value) -> Request<Body> {
    let mut params = params.clone();
    let mut announced = json!(params["_capabilities"].take().as_object().cloned().unwrap_or_default());
    if method.starts_with("tasks/") && announced == json!({}) {
        announced = json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } });
    }
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": announced,
    });
    params.as_object_mut().unwrap().remove("_capabilities");
    params["_meta"] = meta;
    let name = ["name", "uri", "taskId"].iter().find_map(|key| params[*key].as_str()).map(str::to_owned);
    let body = json!({ "jsonrpc": "2.0", "id": "m1", "method": method, "params": params }).to_string();
    let mut headers = vec![("mcp-protocol-version", "2026-07-28"), ("mcp-method", method)];
    if let Some(name) = &name {
        headers.push(("mcp-name", name));
    }
    post(token, &body, &headers)
}
