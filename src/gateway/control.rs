//! What operators may ask of a running gateway, and tell it: status, policy, reload.
//!
//! Whoever reaches the socket in the file system is its owner. Over TCP every one of these asks for the admin
//! token; without one they are shut. A page of a browser gets in by neither.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::StatusCode;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use secrecy::ExposeSecret as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::admin::Status;
use super::capture::Capture;
use super::edition::Edition;
use super::open::System;
use super::reload::{Ask, Reloads};
use super::settings::Names;
use crate::audit::Log as _;
use crate::credentials::Secrets as _;
use crate::policy::set::PolicySet;
use crate::report::status::{self, Reloaded};

/// Who may ask.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// Whoever reaches the socket.
    Socket,
    /// Who shows what is behind this reference.
    Token(String),
    /// Nobody.
    None,
}

/// What is asked.
pub(super) struct Control {
    pub(super) status: Arc<Status>,
    pub(super) reloads: Reloads,
    pub(super) capture: Option<Arc<Capture>>,
    pub(super) system: System,
    pub(super) key: Key,
    /// Where the audit log is, the host, and when the process started.
    pub(super) about: About,
}

/// What does not change.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) audit: String,
    pub(super) node: String,
    pub(super) started: String,
}

/// The routes.
pub(super) fn router(control: Control) -> Router {
    let control = Arc::new(control);
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/policy", get(policy))
        .route("/v1/reload", post(reload))
        .route_layer(from_fn_with_state(Arc::clone(&control), authenticate))
        .with_state(control)
}

/// Everything on a listener that browsers can reach: only under a name of this machine, and from no page.
pub(super) fn local(router: Router) -> Router {
    router.layer(from_fn(named))
}

async fn named(request: Request, next: Next) -> Response {
    let names = Names::loopback();
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    };
    let by_name = host.is_some_and(|host| names.is_host(host));
    if by_name && !request.headers().contains_key(ORIGIN) {
        return next.run(request).await;
    }
    refused(StatusCode::FORBIDDEN, "admin-name", "it is asked for by a name that is not this machine's, or from a page")
}

async fn authenticate(State(control): State<Arc<Control>>, request: Request, next: Next) -> Response {
    let reference = match &control.key {
        Key::Socket => return next.run(request).await,
        Key::Token(reference) => reference,
        Key::None => {
            let message = "no `admin_token` is set in [gateway], so that nobody may ask this over TCP";
            return refused(StatusCode::FORBIDDEN, "admin-shut", message);
        }
    };
    let mut shown = request.headers().get_all(AUTHORIZATION).iter();
    let shown = match (shown.next(), shown.next()) {
        (Some(one), None) => one.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")),
        _ => None,
    };
    let Some(shown) = shown.map(digest) else {
        return refused(StatusCode::UNAUTHORIZED, "admin-token-missing", "bring the admin token");
    };
    // Read each time, so that a token that was replaced counts no more.
    let Ok(token) = control.system.read(reference).await else {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "admin-token-unavailable", "the admin token cannot be read");
    };
    // How long this takes depends on digests, of which nobody can choose the first bytes.
    if digest(token.expose_secret()) != shown {
        return refused(StatusCode::UNAUTHORIZED, "admin-token-invalid", "this is not the admin token");
    }
    next.run(request).await
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    answer(status, json!({ "code": code, "message": message }).to_string() + "\n")
}

fn answer(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}

async fn status(State(control): State<Arc<Control>>) -> Response {
    answer(StatusCode::OK, status::json(&control.told().await))
}

async fn policy(State(control): State<Arc<Control>>) -> Response {
    match control.status.guard.policy().to_file() {
        Ok(file) => (StatusCode::OK, [(CONTENT_TYPE, "application/json")], file).into_response(),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the policy has no form as a file"),
    }
}

async fn reload(State(control): State<Arc<Control>>, RawQuery(query): RawQuery) -> Response {
    let ask = match query.as_deref() {
        None | Some("") => Ask::default(),
        Some("revoke") => Ask { revoke: true },
        Some(_) => return refused(StatusCode::BAD_REQUEST, "admin-query", "`revoke` is all that can be asked for"),
    };
    let Some(attempt) = control.reloads.wait(ask).await else {
        return refused(StatusCode::CONFLICT, "reload-busy", "a reload waits already: ask for the status");
    };
    let code = if attempt.result == Reloaded::Refused { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    answer(code, status::answer(&attempt))
}

impl Control {
    async fn told(&self) -> status::Status {
        let (about, guard) = (&self.about, &self.status.guard);
        let (state, gate) = (self.reloads.state(), self.reloads.gate());
        let because: Vec<String> = self.status.unready().await.into_iter().map(str::to_owned).collect();
        let doors = guard.kept::<Edition>().map(|edition| {
            let told = edition.all().map(|behind| {
                let state = match behind.upstream.standing() {
                    0 => "well",
                    1 => "being-tried",
                    _ => "left-alone",
                };
                status::Door { name: behind.door().to_string(), state: state.to_owned() }
            });
            told.collect()
        });
        let issuers = guard.verifier().status().into_iter().map(|ring| status::Issuer {
            name: ring.issuer,
            keys: ring.keys,
            age: ring.age.map(|age| age.as_secs()),
            failed: ring.failed.map(|failed| failed.code().to_owned()),
        });
        let vault = self.status.vault().await.into_iter().map(|node| {
            let state = node.word().to_owned();
            status::VaultNode { address: node.address, state, asked: node.asked }
        });
        let available = !because.iter().any(|code| code == "audit-unavailable");
        status::Status {
            schema: status::SCHEMA.to_owned(),
            doorward: env!("CARGO_PKG_VERSION").to_owned(),
            node: about.node.clone(),
            started: about.started.clone(),
            ready: because.is_empty(),
            because,
            policy: status::InForce {
                digest: guard.policy().digest().to_string(),
                generation: guard.generation(),
                since: state.since,
                evidence: state.evidence.0.to_owned(),
                says: state.evidence.1,
            },
            gate: status::Gate {
                open: gate.is_open(),
                attestation: gate.asks_for_attestation(),
                trusted: gate.trusted().iter().map(|key| key.id().to_owned()).collect(),
            },
            watching: self.reloads.is_watching(),
            reload: state.last,
            doors: doors.unwrap_or_default(),
            issuers: issuers.collect(),
            vault: vault.collect(),
            audit: status::Audit {
                store: about.audit.clone(),
                available,
                lost: self.status.log.lost().gone,
                waiting: self.status.log.waiting(),
            },
            capture: self.capture.as_ref().map(|capture| {
                let (directory, written, dropped) = capture.counts();
                status::Capture { directory: directory.display().to_string(), written, dropped }
            }),
            rates: counted(guard.policy().set()).to_owned(),
        }
    }
}

/// By whom the rates of a policy are counted.
fn counted(set: &PolicySet) -> &'static str {
    match (set.rates().any(|rate| rate.shared), set.rates().any(|rate| !rate.shared)) {
        (false, _) => "per-gateway",
        (true, false) => "across-gateways",
        (true, true) => "per-gateway-and-across",
    }
}
