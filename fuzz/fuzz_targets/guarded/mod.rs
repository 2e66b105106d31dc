//! A guard between a caller whose token holds and a server that says what the input says.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use doorward::audit::{Intent, Log, Outcome, Pending, Receipt, Refusals, Unavailable};
use doorward::identity::dev::{DevIssuer, DevKeys, Wanted};
use doorward::identity::fetch::{Given, Place};
use doorward::identity::{Limits as VerifierLimits, Verifier};
use doorward::mcp::Limits as MessageLimits;
use doorward::model::Timestamp;
use doorward::pep::{Body, Guard, GuardLayer, Limits, Surroundings};
use doorward::policy::{Layers, load};
use http::{Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use secrecy::ExposeSecret as _;
use tower_layer::Layer as _;
use tower_service::Service;

/// Of this server one tool and one folder are for the caller.
const POLICY: &str = r#"
version = 1
[gateway]
url = "http://127.0.0.1:8787"
[issuers.dev]
url = "http://127.0.0.1:8790/dev-issuer"
jwks_file = "keys.json"
[servers.desk]
url = "http://127.0.0.1:9001/mcp"
[servers.desk.tools.find]
args = { text = { max_len = 8 } }
[servers.desk.tools.refund]
[servers.desk.resources.manuals]
uri = "file:///srv/manuals/**"
[servers.desk.resources.secret]
uri = "file:///srv/secret/**"
[[grants]]
name = "staff"
to = { groups = ["staff"] }
allow = ["desk:find", "desk:resource:manuals"]
[[grants]]
name = "leads"
to = { groups = ["lead"] }
allow = ["desk:refund", "desk:resource:secret"]
"#;

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000);

/// A log that keeps nothing.
#[derive(Debug)]
struct Nowhere;

impl Log for Nowhere {
    fn intent(&self, _: Intent) -> Pending<'_, Result<Receipt, Unavailable>> {
        Box::pin(ready(Ok(Receipt::new(0))))
    }

    fn outcome(&self, _: Receipt, _: Outcome) {}

    fn refusals(&self, _: Refusals) {}

    fn is_available(&self) -> bool {
        true
    }
}

/// What the server says: its media type, and the pieces in which it comes.
#[derive(Clone, Default)]
pub(crate) struct Says {
    pub(crate) content: &'static str,
    pub(crate) pieces: Vec<Bytes>,
}

/// The server. It keeps the last body that reached it.
#[derive(Clone)]
struct Server(Arc<Mutex<(Says, Option<Bytes>)>>);

impl Service<Request<Body>> for Server {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The body that was judged is there at once.
        let body = futures_util::FutureExt::now_or_never(request.into_body().collect());
        let mut held = self.0.lock().expect("nobody panics here");
        held.1 = body.map(|body| body.expect("a whole body").to_bytes());
        let says = held.0.clone();
        let frames = says.pieces.into_iter().map(|piece| Ok::<_, Infallible>(http_body::Frame::data(piece)));
        let mut response = Response::new(Body::new(StreamBody::new(futures_util::stream::iter(frames))));
        response.headers_mut().insert("content-type", http::HeaderValue::from_static(says.content));
        ready(Ok(response))
    }
}

pub(crate) struct Guarded {
    runtime: tokio::runtime::Runtime,
    guard: Guard,
    token: String,
    server: Server,
}

/// The policy's verifier, and who signs for it.
pub(crate) fn verifier() -> (Verifier, DevIssuer, doorward::policy::CompiledPolicy) {
    let layers = Layers { files: vec![("policies.toml".to_owned(), POLICY.into())], environment: Vec::new() };
    let policy = load(&layers).policy.expect("the policy is good").compiled;
    let keys = DevKeys::generate().expect("there is randomness");
    let given = Given([(Place::File("keys.json".to_owned()), keys.jwks().into_bytes())].into());
    let issuer = DevIssuer::new(policy.set(), "dev", keys).expect("the issuer is declared");
    (Verifier::new(policy.set(), Arc::new(given), VerifierLimits::default()), issuer, policy)
}

/// A token of one of the staff.
pub(crate) fn token(issuer: &DevIssuer) -> String {
    let wanted = Wanted {
        subject: "ana".to_owned(),
        groups: vec!["staff".to_owned()],
        scopes: ["desk:find", "desk:refund", "desk:resource:manuals", "desk:resource:secret"]
            .map(str::to_owned)
            .to_vec(),
        audience: vec!["http://127.0.0.1:8787/desk/mcp".to_owned()],
        lifetime: 600,
        ..Wanted::default()
    };
    issuer.mint(&wanted, NOW).expect("the token is good").expose_secret().to_owned()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("there is a runtime")
}

impl Guarded {
    pub(crate) fn new() -> Self {
        let (verifier, issuer, policy) = verifier();
        let limits = MessageLimits { bytes: 1 << 16, depth: 32 };
        let surroundings = Surroundings {
            clock: Arc::new(|| NOW),
            ids: Arc::new(|| "r".to_owned()),
            key: [7; 32],
            other_keys: Vec::new(),
            shared_rates: None,
            limits: Limits { message: limits, answer: limits, ..Limits::default() },
            tracer: None,
        };
        let guard = Guard::new(policy, verifier, Arc::new(Nowhere), surroundings);
        Self { runtime: runtime(), guard, token: token(&issuer), server: Server(Arc::default()) }
    }

    /// Sends a message of the older revisions or of 2026-07-28, which the headers agree with, to a server that says
    /// this. Gives the status, the answer, and what reached the server.
    pub(crate) fn ask(
        &self,
        message: &[u8],
        modern: Option<(&str, Option<&str>)>,
        says: Says,
    ) -> (u16, Vec<u8>, Option<Bytes>) {
        *self.server.0.lock().expect("nobody panics here") = (says, None);
        let mut request = Request::post("/desk/mcp")
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        if let Some((method, name)) = modern {
            request = request.header("mcp-protocol-version", "2026-07-28").header("mcp-method", method);
            if let Some(name) = name {
                request = request.header("mcp-name", name);
            }
        }
        let Ok(request) = request.body(Body::from(Bytes::copy_from_slice(message))) else {
            return (0, Vec::new(), None);
        };
        let mut service = GuardLayer::new(self.guard.clone(), "desk").layer(self.server.clone());
        let (status, answer) = self.runtime.block_on(async {
            let Ok(response) = service.call(request).await;
            let (parts, body) = response.into_parts();
            (parts.status.as_u16(), body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default())
        });
        let reached = self.server.0.lock().expect("nobody panics here").1.take();
        (status, answer, reached)
    }
}
