//! Clients and servers that others wrote, through the gateway: the Python and TypeScript SDKs and the Inspector, in
//! both eras, with reference servers over stdio and over HTTP.
//!
//! Which revision is spoken is asserted, by the client and by the audit log: a client that quietly falls back to the
//! older era would work too.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::parts::{self, Listening, Node, script};
use super::process::Served;
use super::rig::{POLICY, filled, http_server, rows, token};

const LEGACY: &str = "2025-11-25";
const MODERN: &str = "2026-07-28";

/// A server behind a door, and a call that shows that it works.
struct Tried {
    door: &'static str,
    /// The line of the policy that says where it is.
    place: String,
    /// Whether it speaks the newer era.
    modern: bool,
    tool: &'static str,
    arguments: Value,
    says: &'static str,
}

fn python_servers(python: &Path, repository: &Path, http: &Listening) -> [Tried; 3] {
    let program = |name: &str| python.with_file_name(name).to_str().unwrap().to_owned();
    let place = repository.to_str().unwrap();
    let (git, time) = (program("mcp-server-git"), program("mcp-server-time"));
    [
        Tried {
            door: "git",
            place: format!("command = [{git:?}, \"--repository\", {place:?}]"),
            modern: true,
            tool: "git_status",
            arguments: json!({"repo_path": place}),
            says: "branch",
        },
        Tried {
            door: "time",
            place: format!("command = [{time:?}, \"--local-timezone=UTC\"]"),
            modern: true,
            tool: "get_current_time",
            arguments: json!({"timezone": "UTC"}),
            says: "UTC",
        },
        Tried {
            door: "sums",
            place: http.place(),
            modern: true,
            tool: "add",
            arguments: json!({"a": 1, "b": 2}),
            says: "3",
        },
    ]
}

fn node_servers(node: &Node, files: &Path, http: &Listening) -> [Tried; 3] {
    let program = |package: &str, argument: &str| {
        let (program, script) = (node.program(), node.script(package, "dist/index.js"));
        format!("command = {}", json!([program, script, argument]))
    };
    let echo = |door, place| Tried {
        door,
        place,
        modern: false,
        tool: "echo",
        arguments: json!({"message": "hi"}),
        says: "Echo: hi",
    };
    [
        echo("everything", program("server-everything", "stdio")),
        echo("everywhere", http.place()),
        Tried {
            door: "files",
            place: program("server-filesystem", files.to_str().unwrap()),
            modern: false,
            tool: "read_text_file",
            arguments: json!({"path": files.join("a.txt")}),
            says: "hello",
        },
    ]
}

/// One door for each server, with one tool that ana may call.
fn policy(tried: &[Tried]) -> String {
    let mut text = "version = 1\n[gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nurl = \"http://gateway.example.com\"\n\
                    [issuers.corp]\nurl = \"https://login.example.com\"\njwks_file = \"keys.json\"\n"
        .to_owned();
    for Tried { door, place, tool, .. } in tried {
        text.push_str(&format!("[servers.{door}]\n{place}\n[servers.{door}.tools.{tool}]\n"));
    }
    text + "[[grants]]\nto = { subjects = [\"ana\"] }\nallow = [\"*:*\"]\n"
}

/// What a client printed.
fn answer(client: &mut Command, what: &str) -> Value {
    let said = client.stdin(Stdio::null()).output().unwrap();
    serde_json::from_slice(&said.stdout).unwrap_or_else(|_| {
        let (out, error) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        panic!("{what}: {out}{error}")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_and_servers_of_others_work_through_it_in_both_eras() {
    let (python, node) = (parts::python(), parts::node());
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("a.txt"), "hello").unwrap();
    assert!(Command::new("git").args(["init", "-q"]).current_dir(scratch.path()).status().unwrap().success());
    let mut listening = Vec::new();
    let mut tried = Vec::new();
    if let Some(python) = &python {
        let http = parts::python_server(python);
        tried.extend(python_servers(python, scratch.path(), &http));
        listening.push(http);
    }
    if let Some(node) = &node {
        let http = Listening::start(|port| {
            let mut server = Command::new(node.program());
            let everything = node.script("server-everything", "dist/index.js");
            server.arg("-r").arg(script("loopback.cjs")).arg(everything).arg("streamableHttp");
            server.env("PORT", port.to_string());
            server
        });
        tried.extend(node_servers(node, scratch.path(), &http));
        listening.push(http);
    }
    if tried.is_empty() {
        return;
    }
    let served = Served::start(&policy(&tried), &[]);
    let mut expected = Vec::new();
    for Tried { door, modern, tool, arguments, says, .. } in &tried {
        let audience =
            json!({"aud": format!("http://gateway.example.com/{door}/mcp"), "scope": format!("{door}:{tool}")});
        let good = token(&served.signer, "ana", &audience);
        let url = format!("http://{}/{door}/mcp", served.address);
        for mode in ["auto", "legacy"] {
            let version = if *modern && mode == "auto" { MODERN } else { LEGACY };
            let mut clients = Vec::new();
            if let Some(python) = &python {
                clients.push((Command::new(python), script("client.py")));
            }
            if let Some(node) = &node {
                let mut client = Command::new(node.program());
                client.current_dir(node.packages());
                clients.push((client, script("client.mjs")));
            }
            for (mut client, script) in clients {
                let what = format!("{} {door} {mode}", script.display());
                let answer =
                    answer(client.arg(&script).args([&url, &good, *tool, &arguments.to_string(), mode]), &what);
                assert_eq!(answer["tools"], json!([tool]), "{what}");
                assert_eq!(answer["version"], version, "{what}");
                assert!(answer["text"].as_str().unwrap().contains(says), "{what}: {answer}");
                expected.push((*door, version));
            }
            if let Some(node) = &node {
                let what = format!("inspector {door} {mode}");
                let answer = answer(&mut inspector(node, scratch.path(), &url, &good, tool, arguments, mode), &what);
                assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains(says), "{what}: {answer}");
                expected.push((*door, version));
            }
        }
    }
    // The revision of each call as the gateway put it on record.
    let mut recorded: Vec<(String, String)> = rows(&served.audit())
        .await
        .iter()
        .filter(|row| row["method"] == "tools/call")
        .map(|row| (row["door"].as_str().unwrap().to_owned(), row["data"]["era"].as_str().unwrap().to_owned()))
        .collect();
    let mut expected: Vec<(String, String)> =
        expected.into_iter().map(|(door, era)| (door.to_owned(), era.to_owned())).collect();
    recorded.sort();
    expected.sort();
    assert_eq!(recorded, expected);
}

/// The command line of the Inspector, calling one tool.
fn inspector(node: &Node, home: &Path, url: &str, token: &str, tool: &str, arguments: &Value, era: &str) -> Command {
    let mut client = Command::new(node.program());
    client.arg(node.script("inspector", "clients/launcher/build/index.js")).args(["--cli", url, "--transport", "http"]);
    client.args(["--method", "tools/call", "--tool-name", tool, "--tool-args-json", &arguments.to_string()]);
    client.args(["--header", &format!("Authorization: Bearer {token}"), "--protocol-era", era, "--format", "json"]);
    // It keeps files of its own.
    client.env("HOME", home).current_dir(home);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_others_in_the_hands_of_a_thief_gets_nothing() {
    let Some(node) = parts::node() else { return };
    let served = Served::start(&filled(POLICY, http_server().await), &[]);
    let only = json!({"aud": "http://gateway.example.com/http/mcp"});
    let [ana, bob] = ["ana", "bob"].map(|subject| token(&served.signer, subject, &only));
    let agent = token(&served.signer, "ana", &json!({"aud": only["aud"], "client_id": "another"}));
    let [door, other] = ["http", "stdio"].map(|door| format!("http://{}/{door}/mcp", served.address));
    let mut thief = Command::new(node.program());
    thief.current_dir(node.packages()).arg(script("thief.mjs")).args([door, other, ana, bob, agent]);
    let outcomes = tokio::task::spawn_blocking(move || answer(&mut thief, "thief")).await.unwrap();
    insta::assert_json_snapshot!(outcomes, @r#"
    {
      "ana comes back to it": "refused: session-unknown",
      "ana ends her session": "ended",
      "ana lists": [
        "add",
        "pid"
      ],
      "ana still calls": "3",
      "ana's token at another door": "refused: audience",
      "another agent of ana calls in her session": "refused: session-unknown",
      "another agent of ana ends her session": "refused: Failed to terminate session: Not Found",
      "another agent of ana lists in her session": "refused: session-unknown",
      "bob calls in her session": "refused: session-unknown",
      "bob calls what he does not see": "refused: no-grant",
      "bob calls what is not there": "refused: no-grant",
      "bob ends her session": "refused: Failed to terminate session: Not Found",
      "bob lists": [
        "add"
      ],
      "bob lists in her session": "refused: session-unknown",
      "her session at another door": "refused: session-unknown"
    }
    "#);
}
