//! The official conformance suite of MCP: through the gateway a server passes what it passes directly, check
//! by check, in both eras.
//!
//! The suite is an npm package that `tests/run` installs with a Node new enough for it. It cannot send a token,
//! so a small proxy adds one.

mod content;
mod rounds;
mod server;
mod suite;
mod tasks;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rmcp::ServiceExt as _;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::json;
use tokio::net::TcpListener;

use self::server::Fixture;
use self::suite::{Outcomes, Suite};
use super::process::Served;
use super::rig::{URL, token};

/// Serves the suite's server on this process's stdin and stdout until they close.
pub(super) fn serve_stdio() {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let server = Fixture::default().serve(rmcp::transport::stdio()).await.unwrap();
        server.waiting().await.unwrap();
    });
}

/// Starts the suite's server.
async fn fixture() -> SocketAddr {
    let fixture = Fixture::default();
    let service: StreamableHttpService<Fixture, LocalSessionManager> =
        StreamableHttpService::new(move || Ok(fixture.clone()), Arc::default(), StreamableHttpServerConfig::default());
    serve(axum::Router::new().nest_service("/mcp", service)).await
}

async fn serve(app: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A proxy that adds a token to whatever it gets, for testers that cannot send a header.
async fn with_token(gateway: SocketAddr, token: &str) -> SocketAddr {
    type Shim = (SocketAddr, HeaderValue, Client<HttpConnector, axum::body::Body>);
    async fn add(State((to, token, client)): State<Shim>, mut request: Request) -> Response {
        let path = request.uri().path().to_owned();
        *request.uri_mut() =
            Uri::builder().scheme("http").authority(to.to_string()).path_and_query(path).build().unwrap();
        request.headers_mut().insert(AUTHORIZATION, token);
        match client.request(request).await {
            Ok(answer) => answer.into_response(),
            Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
        }
    }
    let token = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    let client = Client::builder(TokioExecutor::new()).build_http();
    serve(axum::Router::new().fallback(add).with_state((gateway, token, client))).await
}

/// A door for each of the servers, at which everything that the suite's server has may be used.
fn policy(doors: &BTreeMap<&str, String>) -> String {
    let mut text = "version = 1\n[gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
                    url = \"http://gateway.example.com\"\n\
                    [issuers.corp]\nurl = \"https://login.example.com\"\njwks_file = \"keys.json\"\n"
        .to_owned();
    let mut every = Vec::new();
    for (door, place) in doors {
        text.push_str(&format!("[servers.{door}]\n{place}\n"));
        text.push_str("client = { sampling = true, elicitation = true, roots = true }\n");
        for tool in content::tools() {
            text.push_str(&format!("[servers.{door}.tools.{}]\n", tool.name));
        }
        for prompt in content::prompts().as_array().unwrap() {
            text.push_str(&format!("[servers.{door}.prompts.{}]\n", prompt["name"].as_str().unwrap()));
        }
        text.push_str(&format!("[servers.{door}.resources.all]\nuri = \"test://**\"\n"));
        every.extend([format!("{door}:*"), format!("{door}:prompt:*"), format!("{door}:resource:*")]);
    }
    format!("{text}[scopes]\nsuite = {every:?}\n[[grants]]\nto = {{ subjects = [\"ana\"] }}\nallow = {every:?}\n")
}

/// The requirements of both eras, by the door that is tried with them.
const REVISIONS: [(&str, &str); 2] = [("legacy", "2025-11-25"), ("modern", "2026-07-28")];

/// A gateway with those doors, behind a proxy that brings the token of somebody who may use them whole.
async fn served(doors: &BTreeMap<&str, String>) -> (Served, SocketAddr) {
    let served = Served::start(&policy(doors), &[]);
    let audience: Vec<_> = doors.keys().map(|door| format!("{URL}/{door}/mcp")).collect();
    let token = token(&served.signer, "ana", &json!({"aud": audience, "scope": "suite"}));
    let shim = with_token(served.address, &token).await;
    (served, shim)
}

/// What the suite finds through the gateway, which is what it finds directly, where nothing fails; `but` in these
/// scenarios.
async fn equal(suite: &Suite, revision: &str, through: &str, but: &[&str]) -> Outcomes {
    // A server for each run: what one run changes is none of another's business.
    let direct = format!("http://{}/mcp", fixture().await);
    // The suite itself waits half a second for some answers. What a busy machine is too slow for once goes another way
    // each time; what differs differs always.
    let mut tries = 0;
    loop {
        let (direct, through) = tokio::join!(suite.run(&direct, revision), suite.run(through, revision));
        let differ: Vec<_> = direct.differences(&through).filter(|(scenario, ..)| !but.contains(scenario)).collect();
        let failed: Vec<_> = direct.failed(&[]).chain(through.failed(but)).collect();
        tries += 1;
        if tries == 3 || differ.is_empty() && failed.is_empty() {
            assert!(differ.is_empty(), "{revision}: {differ:#?}");
            // A check that fails on both sides would compare nothing.
            assert!(failed.is_empty(), "{revision}: {failed:#?}");
            return through;
        }
    }
}

/// The gateway decides some checks itself: routing headers and versions, names of hosts, ended sessions, methods that a
/// revision took away, tasks without their extension. There it must say what a server must say.
#[tokio::test(flavor = "multi_thread")]
async fn through_the_gateway_equals_direct_in_the_official_conformance_suite() {
    let Some(suite) = Suite::find() else { return };
    let place = async || format!("url = \"http://{}/mcp\"", fixture().await);
    let (_served, shim) = served(&BTreeMap::from([("legacy", place().await), ("modern", place().await)])).await;
    let mut summary = String::new();
    for (door, revision) in REVISIONS {
        let through = equal(&suite, revision, &format!("http://{shim}/{door}/mcp"), &[]).await;
        summary.push_str(&format!("{revision}: {}\n", through.summary()));
    }
    insta::assert_snapshot!(summary);
    print!("through the gateway\n{summary}");
}

/// What is otherwise with a program. It says one line at a time: an answer with nothing before it comes as JSON and not as a
/// stream, and no stream can be taken up again; the suite takes both for what a server may do.
const OF_PROGRAMS: [&str; 2] = ["server-sse-multiple-streams", "server-sse-polling"];

/// A program behind the gateway: callers over HTTP get from it what they would get from it over HTTP.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_behind_the_gateway_passes_what_a_server_over_http_passes() {
    let Some(suite) = Suite::find() else { return };
    let this = std::env::current_exe().unwrap();
    let place = format!(
        "command = [\"/usr/bin/env\", \"FIXTURE=conformance\", {this:?}, \"--ignored\", \"--exact\", \
         \"gateway::fixture::serves_other_tests\", \"--nocapture\"]"
    );
    let (_served, shim) = served(&BTreeMap::from([("legacy", place.clone()), ("modern", place)])).await;
    for (door, revision) in REVISIONS {
        equal(&suite, revision, &format!("http://{shim}/{door}/mcp"), &OF_PROGRAMS).await;
    }
}
