//! Testers that others wrote, against the gateway: one grades its authorization, one its protocol.
//!
//! `mcp-authlab` speaks revision 2025-06-18 and `mcpcheck` 2026-07-28. Both must give their best grade.

use std::path::Path;
use std::process::Stdio;

use axum::Json;
use axum::routing::get;
use serde_json::{Value, json};

use super::parts::{self, Listening};
use super::process::Served;
use super::rig::token;

/// The metadata of an authorization server (RFC 8414) that can do what clients of MCP need. The gateway sends callers
/// there and has its keys in a file; nobody can log in.
async fn authorization_server() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "registration_endpoint": format!("{issuer}/register"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
    });
    let answer = get(move || async move { Json(metadata) });
    let app = axum::Router::new().route("/.well-known/oauth-authorization-server", answer);
    tokio::spawn(async move { axum::serve(listener, app).await });
    issuer
}

/// A gateway that is called by its own address, as testers must, in front of a server that ana may use whole and ben
/// in part.
async fn served(server: &Listening) -> (Served, String, String) {
    let (issuer, url) = (authorization_server().await, format!("http://127.0.0.1:{}", parts::free_port()));
    let listen = url.trim_start_matches("http://");
    let place = server.place();
    let policy = format!(
        r#"version = 1
[gateway]
listen = "{listen}"
admin = "127.0.0.1:0"
url = "{url}"
[issuers.corp]
url = "{issuer}"
jwks_file = "keys.json"
[servers.sums]
{place}
[servers.sums.tools.add]
[servers.sums.tools.subtract]
[servers.sums.tools.multiply]
[servers.sums.tools.power]
[servers.sums.prompts.explain]
[servers.sums.resources.about]
uri = "sums://about"
[[grants]]
to = {{ subjects = ["ana"] }}
allow = ["sums:*", "sums:prompt:*", "sums:resource:*"]
[[grants]]
to = {{ subjects = ["ben"] }}
allow = ["sums:add"]
"#
    );
    (Served::start(&policy, &[]), issuer, format!("{url}/sums/mcp"))
}

/// A program of the Python environment, with what it printed as JSON.
async fn report(python: &Path, program: &str, arguments: &[&str]) -> Value {
    let mut command = tokio::process::Command::new(python.with_file_name(program));
    let said = command.args(arguments).stdin(Stdio::null()).kill_on_drop(true).output().await.unwrap();
    serde_json::from_slice(&said.stdout).unwrap_or_else(|_| {
        panic!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn testers_of_others_give_it_their_best_grade() {
    let Some(python) = parts::python() else { return };
    let server = parts::python_server(&python);
    let (served, issuer, door) = served(&server).await;
    let scope = "sums:add sums:subtract sums:multiply sums:power sums:prompt:explain sums:resource:about";
    let claims = |audience: &str| json!({"iss": issuer, "aud": audience, "scope": scope});
    let [ana, ben] = ["ana", "ben"].map(|subject| token(&served.signer, subject, &claims(&door)));
    let foreign = token(&served.signer, "ana", &claims(&door.replace("sums", "other")));

    let arguments = [&*door, "--token", &ana, "--foreign-token", &foreign, "--no-login", "--tool", "add"];
    let graded = report(&python, "mcp-authlab", &[&["scan", "--format", "json"], &arguments[..]].concat()).await;
    let of = |status: &str| -> Vec<&Value> {
        let results = graded["results"].as_array().unwrap().iter().filter(|result| result["status"] == status);
        results.map(|result| &result["id"]).collect()
    };
    assert_eq!(graded["grade"], "A", "{graded:#}");
    assert_eq!((of("fail").len() + of("error").len(), of("pass").len()), (0, 26), "{graded:#}");
    // Without TLS on the loopback, and what needs somebody to log in at the authorization server.
    assert_eq!(of("warn"), ["TLS-01"]);
    assert_eq!(of("skip"), ["ASF-01", "ASF-02", "ASF-03", "ASF-04", "ASF-05", "ASF-06"]);

    let check =
        async |token: &str| report(&python, "mcpcheck", &[&door, "--token", token, "--probe", "all", "--json"]).await;
    let whole = check(&ana).await;
    assert_eq!((&whole["summary"]["passed"], &whole["summary"]["total"]), (&json!(8), &json!(8)), "{whole:#}");
    // To ben the server has no prompts and no resources. It lists none, and an empty list is no error: a client that asks
    // all the same goes on. He is told the same of a tool that he may not have as of one that is not there.
    let part = check(&ben).await;
    let warnings: Vec<&Value> = part["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|check| check["warnings"].as_array())
        .flatten()
        .map(|warning| &warning["code"])
        .collect();
    assert_eq!(part["summary"]["failed"], 0, "{part:#}");
    let expected = [
        "discover.capability_undeclared_empty",
        "discover.capability_undeclared_empty",
        "errors.non_actionable_messages",
        "errors.non_actionable_message",
    ];
    assert_eq!(warnings, expected, "{part:#}");
}
