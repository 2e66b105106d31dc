//! The compose file: all of it is brought up, and a call goes through.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{Image, packaging, programs, said, text, until};
use crate::elsewhere::there;
use crate::gateway::process::{call, doorward};

/// The command that reads compose files: a plugin of Docker, or a program of its own.
fn composer() -> Option<Vec<&'static str>> {
    let known = [vec!["docker", "compose"], vec!["docker-compose"]];
    let works = |command: &Vec<&str>| {
        let output = Command::new(command[0]).args(&command[1..]).arg("version").output();
        output.is_ok_and(|output| output.status.success())
    };
    there(known.into_iter().find(works), "DOORWARD_PACKAGING", "there is no `docker compose`")
}

/// Everything of the compose file, down again when this is dropped.
struct Up<'a> {
    command: Vec<&'a str>,
    directory: &'a Path,
    environment: Vec<(&'a str, String)>,
}

impl Up<'_> {
    fn compose(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(self.command[0])
            .args(&self.command[1..])
            .args(["-p", &format!("doorward-test-{}", std::process::id())])
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.directory)
            .output()
            .unwrap()
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let _ = self.compose(&["down", "-v", "-t", "30"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_compose_file_brings_all_of_it_up_and_a_call_goes_through() {
    let Some(programs) = programs() else { return };
    let Some(command) = composer() else { return };
    let postgres = crate::containers::is_there(("doorward-test/postgres", "18"), "the compose file");
    if !postgres || !crate::containers::is_there(("doorward-test/openbao", "2"), "the compose file") {
        return;
    }
    doorward::identity::ensure_crypto();
    let images = [Image::build(&programs, "doorward"), Image::build(&programs, "notes")];
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    fs::set_permissions(here, fs::Permissions::from_mode(0o755)).unwrap();
    for name in ["compose.yaml", "policies.toml", "notes.hcl"] {
        fs::copy(packaging().join("compose").join(name), here.join(name)).unwrap();
    }
    let run = |arguments: &[&str]| said(&doorward().args(arguments).current_dir(here).output().unwrap());
    run(&["test"]);
    run(&["issuer", "jwks", "--keys", "dev-keys.json", "--output", "dev-jwks.json"]);
    fs::set_permissions(here.join("dev-jwks.json"), fs::Permissions::from_mode(0o644)).unwrap();
    let who = ["--sub", "ana", "--groups", "staff", "--scope", "notes:search notes:delete"];
    let token = run(&[&["token", "issue", "--keys", "dev-keys.json"], &who[..]].concat());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let environment = vec![
        ("DOORWARD_IMAGE", images[0].0.clone()),
        ("NOTES_IMAGE", images[1].0.clone()),
        ("POSTGRES_IMAGE", "doorward-test/postgres:18".to_owned()),
        ("OPENBAO_IMAGE", "doorward-test/openbao:2".to_owned()),
        ("PORT", port.to_string()),
    ];
    let up = Up { command, directory: here, environment };
    let started = tokio::task::block_in_place(|| up.compose(&["up", "-d", "--no-build"]));
    let logs = || text(&up.compose(&["logs", "--tail", "20"]).stdout);
    assert!(started.status.success(), "{}{}", text(&started.stderr), logs());
    let status = ["exec", "-T", "doorward", "/bin/doorward", "status", "--format", "json"];
    let status = [&status[..], &["--gateway", "unix:/var/lib/doorward/admin.sock"]].concat();
    tokio::task::block_in_place(|| {
        until("it is ready", || {
            let output = up.compose(&status);
            if output.status.success() { Ok(()) } else { Err(text(&output.stderr) + &logs()) }
        });
    });
    let told: Value = serde_json::from_str(&said(&up.compose(&status))).unwrap();
    assert_eq!((&told["ready"], &told["audit"]["available"]), (&json!(true), &json!(true)), "{told:#}");
    assert!(told["audit"]["store"].as_str().unwrap().contains("postgres"), "{told:#}");

    let mut search = call(1, "search", &json!({"word": "call", "limit": 5}));
    let ask = async |message: &Value| {
        let answer = reqwest::Client::new()
            .post(format!("http://127.0.0.1:{port}/notes/mcp"))
            .bearer_auth(token.trim())
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "search")
            .body(message.to_string())
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (code, answer) = ask(&search).await;
    assert!(code == 200 && answer.contains("call the printer"), "{code} {answer} {}", logs());
    search["params"]["arguments"]["limit"] = json!(50);
    assert_eq!(ask(&search).await.0, 403);
    // The server was shown a token of its own, which OpenBao keeps.
    let kept = ["exec", "-T", "-e", "BAO_TOKEN=root", "openbao", "bao", "kv", "get", "-address=http://127.0.0.1:8200"];
    let kept = said(&up.compose(&[&kept[..], &["-mount=secret", "-format=json", "tokens/notes"]].concat()));
    assert!(kept.contains("doorward.token/v1"), "{kept}");
    let verified =
        up.compose(&["exec", "-T", "doorward", "/bin/doorward", "audit", "verify", "--store", "env:DATABASE_URL"]);
    assert!(said(&verified).starts_with("whole"));
}
