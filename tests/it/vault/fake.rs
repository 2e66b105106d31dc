//! A Vault that answers as a test says, and counts.

use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response};
use serde_json::{Value, json};

const HEALTH: &str = "/v1/sys/health";

/// How to answer everything but a login, and who asks how it is.
#[derive(Clone, Debug)]
pub(super) enum Says {
    /// This status and body.
    Status(u16, Value),
    /// The same after so long.
    Late(Duration, Value),
    /// 429, to be asked again after so many seconds.
    Busy(u64),
    /// A redirect to there.
    Redirect(String),
    /// Nothing, for ever.
    Silence,
    /// The beginning of a body, and then nothing.
    Stall,
}

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

struct Inner {
    says: Mutex<Says>,
    /// What it answers who asks how it is.
    health: AtomicU16,
    count: AtomicUsize,
    asked: Mutex<Vec<Asked>>,
}

/// A server on the loopback interface, until it is dropped.
pub(super) struct Fake {
    pub(super) address: String,
    inner: Arc<Inner>,
    task: tokio::task::JoinHandle<()>,
}

impl Fake {
    pub(super) async fn start(says: Says) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (says, health, count) = (Mutex::new(says), AtomicU16::new(200), AtomicUsize::new(0));
        let inner = Arc::new(Inner { says, health, count, asked: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, inner, task }
    }

    pub(super) fn say(&self, says: Says) {
        *self.inner.says.lock().unwrap() = says;
    }

    /// From now on it answers with this status who asks how it is.
    pub(super) fn is(self, health: u16) -> Self {
        self.inner.health.store(health, Ordering::SeqCst);
        self
    }

    /// How often it was asked how it is.
    pub(super) fn looks(&self) -> usize {
        self.asked().iter().filter(|asked| asked.path == HEALTH).count()
    }

    pub(super) fn count(&self) -> usize {
        self.inner.count.load(Ordering::SeqCst)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.inner.asked.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a login gives.
pub(super) fn granted() -> Value {
    json!({
        "request_id": "r", "lease_id": "", "lease_duration": 0, "renewable": false,
        "auth": {
            "client_token": "hvs.of-the-gateway", "accessor": "a", "policies": ["doorward"],
            "token_policies": ["doorward"], "metadata": null, "lease_duration": 3600, "renewable": true,
            "entity_id": "", "token_type": "service", "orphan": true,
        },
    })
}

/// What looking at a token of its own gives.
fn looked_up() -> Value {
    json!({
        "request_id": "r", "lease_id": "", "lease_duration": 0, "renewable": false,
        "data": {
            "accessor": "a", "creation_time": 1, "creation_ttl": 0, "display_name": "d", "entity_id": "",
            "explicit_max_ttl": 0, "id": "hvs.of-the-gateway", "num_uses": 0, "orphan": true, "path": "p",
            "policies": ["doorward"], "ttl": 0,
        },
    })
}

async fn answer(State(inner): State<Arc<Inner>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = head.uri.path().to_owned();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    inner.asked.lock().unwrap().push(Asked { path: path.clone(), headers: head.headers, body });
    if path == HEALTH {
        let health = inner.health.load(Ordering::SeqCst);
        return whole(
            health,
            &json!({"initialized": health != 501, "sealed": health >= 500, "standby": health == 429}),
        );
    }
    if path.ends_with("/login") {
        return whole(200, &granted());
    }
    if path.ends_with("auth/token/lookup-self") {
        return whole(200, &looked_up());
    }
    inner.count.fetch_add(1, Ordering::SeqCst);
    let says = inner.says.lock().unwrap().clone();
    match says {
        Says::Status(status, body) => whole(status, &body),
        Says::Late(long, body) => {
            tokio::time::sleep(long).await;
            whole(200, &body)
        }
        Says::Busy(seconds) => {
            Response::builder().status(429).header("retry-after", seconds).body(Body::from("{}")).unwrap()
        }
        Says::Redirect(to) => {
            Response::builder().status(307).header("location", format!("{to}{path}")).body(Body::empty()).unwrap()
        }
        Says::Silence => std::future::pending().await,
        Says::Stall => {
            let begun =
                futures_util::stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"{\"data\":")) });
            let never = futures_util::stream::once(async {
                tokio::time::sleep(Duration::from_hours(1)).await;
                Ok(Bytes::new())
            });
            Response::new(Body::from_stream(futures_util::StreamExt::chain(begun, never)))
        }
    }
}

fn whole(status: u16, body: &Value) -> Response<Body> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Body::from(body.to_string())).unwrap()
}
