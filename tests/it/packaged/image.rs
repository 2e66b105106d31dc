//! The image: from scratch, read-only, nobody in particular, healthy by its own word.

use std::fs;
use std::net::{SocketAddr, TcpListener};

use serde_json::json;

use super::{Image, docker, programs, said, text, until};
use crate::gateway::process::call;
use crate::gateway::rig::{keys, token};

const POLICY: &str = r#"
version = 1
[gateway]
listen = "LISTEN"
url = "http://gateway.example.com"
[issuers.corp]
url = "https://login.example.com"
jwks_file = "keys.json"
[servers.http]
url = "http://HTTP/mcp"
[servers.http.tools.add]
[[grants]]
to = { subjects = ["ana"] }
allow = ["http:add"]
"#;

/// A container, gone when this is dropped.
struct Container(String);

impl Container {
    fn is(&self, format: &str) -> String {
        said(&docker(&["inspect", "--format", format, &self.0])).trim().to_owned()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "-f", "-v", &self.0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_is_one_program_that_runs_read_only_as_nobody_and_is_healthy_by_its_own_word() {
    let Some(programs) = programs() else { return };
    let image = Image::build(&programs, "doorward");
    let directory = tempfile::tempdir().unwrap();
    let signer = keys(directory.path());
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = free.local_addr().unwrap();
    let (upstream, _) = crate::gateway::reloaded::server().await;
    let policy = POLICY.replace("LISTEN", &address.to_string()).replace("HTTP/", &format!("{upstream}/"));
    let file = directory.path().join("policies.toml");
    fs::write(&file, &policy).unwrap();
    drop(free);
    // For whoever the container runs as.
    for name in ["policies.toml", "keys.json"] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(directory.path().join(name), fs::Permissions::from_mode(0o644)).unwrap();
    }
    let mount = |name: &str| format!("{}:/etc/doorward/{name}:ro", directory.path().join(name).display());
    let label = format!("doorward-test={}", std::process::id());
    let (policies, jwks) = (mount("policies.toml"), mount("keys.json"));
    let arguments = [
        "run",
        "-d",
        "--read-only",
        "--cap-drop",
        "ALL",
        "--security-opt",
        "no-new-privileges",
        "--network",
        "host",
        "--label",
        &label,
        "-v",
        &policies,
        "-v",
        &jwks,
        "-v",
        "/var/lib/doorward",
        "--health-interval",
        "1s",
        &image.0,
    ];
    let container = Container(said(&docker(&arguments)).trim().to_owned());

    until("it is healthy", || match container.is("{{.State.Status}} {{.State.Health.Status}}").as_str() {
        "running healthy" => Ok(()),
        other => {
            let logs = docker(&["logs", "--tail", "5", &container.0]);
            Err(format!("{other}: {}{}", text(&logs.stdout), text(&logs.stderr)))
        }
    });
    assert_eq!(container.is("{{.Config.User}} {{.HostConfig.ReadonlyRootfs}}"), "65532:65532 true");
    let bearer = token(&signer, "ana", &json!({}));
    let message = call(1, "add", &json!({"a": 1, "b": 0}));
    let answer = reqwest::Client::new()
        .post(format!("http://{address}/http/mcp"))
        .bearer_auth(&bearer)
        .header("host", "gateway.example.com")
        .header("accept", "application/json, text/event-stream")
        .header("content-type", "application/json")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "add")
        .body(message.to_string())
        .send()
        .await
        .unwrap();
    let (status, answer) = (answer.status().as_u16(), answer.text().await.unwrap());
    assert!(status == 200 && answer.contains("ok"), "{status} {answer}");

    // There is nothing else in it.
    let listed = said(&docker(&["run", "--rm", &image.0, "--version"]));
    assert!(listed.starts_with("doorward "), "{listed}");
    for program in ["/bin/sh", "/bin/notes_server", "/usr/bin/env"] {
        let output = docker(&["run", "--rm", "--entrypoint", program, &image.0]);
        assert_eq!(output.status.code(), Some(127), "{program}");
    }
    // A file that is no policy keeps it from nothing: it goes on, healthy, with the one in force.
    fs::write(&file, "version = 1\nnothing = true\n").unwrap();
    let healthy = ["exec", &container.0, "/bin/doorward", "status", "--gateway", "unix:/var/lib/doorward/admin.sock"];
    until("it notices", || {
        let status = said(&docker(&healthy));
        if status.contains("unsound") { Ok(()) } else { Err(status) }
    });

    // It ends in good order, and what it wrote is whole.
    said(&docker(&["stop", "-t", "60", &container.0]));
    assert_eq!(container.is("{{.State.ExitCode}}"), "0");
    fs::write(&file, &policy).unwrap();
    let verified = docker(&[
        "run",
        "--rm",
        "--volumes-from",
        &container.0,
        &image.0,
        "audit",
        "verify",
        "--store",
        "sqlite:/var/lib/doorward/audit.db",
    ]);
    assert!(said(&verified).starts_with("whole"));
}
