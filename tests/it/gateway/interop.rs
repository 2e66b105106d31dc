//! Clients and servers that others wrote, through the gateway: the Python and TypeScript SDKs, in both
//! eras, with reference servers over stdio.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::parts::{self, Node};
use super::process::Served;
use super::rig::token;

struct Tried {
    door: &'static str,
    command: Vec<String>,
    tool: &'static str,
    arguments: Value,
    says: &'static str,
}

fn python_servers(python: &Path, repository: &Path) -> Vec<Tried> {
    let program = |name: &str| python.with_file_name(name).to_str().unwrap().to_owned();
    let place = repository.to_str().unwrap().to_owned();
    let git = vec![program("mcp-server-git"), "--repository".to_owned(), place.clone()];
    let time = vec![program("mcp-server-time"), "--local-timezone=UTC".to_owned()];
    vec![
        Tried { door: "git", command: git, tool: "git_status", arguments: json!({"repo_path": place}), says: "branch" },
        Tried {
            door: "time",
            command: time,
            tool: "get_current_time",
            arguments: json!({"timezone": "UTC"}),
            says: "UTC",
        },
    ]
}

fn node_servers(node: &Node, files: &Path) -> Vec<Tried> {
    let server = |name: &str, argument: &str| {
        let (program, script) = (node.program(), node.script(name, "dist/index.js"));
        [program.to_str().unwrap(), script.to_str().unwrap(), argument].map(str::to_owned).to_vec()
    };
    let file = files.join("a.txt");
    vec![
        Tried {
            door: "everything",
            command: server("server-everything", "stdio"),
            tool: "echo",
            arguments: json!({"message": "hi"}),
            says: "Echo: hi",
        },
        Tried {
            door: "files",
            command: server("server-filesystem", files.to_str().unwrap()),
            tool: "read_text_file",
            arguments: json!({"path": file}),
            says: "hello",
        },
    ]
}

/// One door for each server, with one tool that anyone may call.
fn policy(tried: &[Tried]) -> String {
    let mut text = "version = 1\n[gateway]\nlisten = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nurl = \"http://gateway.example.com\"\n\
                    [issuers.corp]\nurl = \"https://login.example.com\"\njwks_file = \"keys.json\"\n"
        .to_owned();
    for Tried { door, command, tool, .. } in tried {
        text.push_str(&format!("[servers.{door}]\ncommand = {command:?}\n[servers.{door}.tools.{tool}]\n"));
    }
    text + "[[grants]]\nto = { subjects = [\"ana\"] }\nallow = [\"*:*\"]\n"
}

#[test]
fn clients_and_servers_of_others_work_through_it_in_both_eras() {
    let (python, node) = (parts::python(), parts::node());
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("a.txt"), "hello").unwrap();
    assert!(Command::new("git").args(["init", "-q"]).current_dir(scratch.path()).status().unwrap().success());
    let mut tried = Vec::new();
    tried.extend(python.iter().flat_map(|python| python_servers(python, scratch.path())));
    tried.extend(node.iter().flat_map(|node| node_servers(node, scratch.path())));
    if tried.is_empty() {
        return;
    }
    let served = Served::start(&policy(&tried), &[]);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop");
    for Tried { door, tool, arguments, says, .. } in &tried {
        let audience =
            json!({"aud": format!("http://gateway.example.com/{door}/mcp"), "scope": format!("{door}:{tool}")});
        let good = token(&served.signer, "ana", &audience);
        let url = format!("http://{}/{door}/mcp", served.address);
        let mut clients = Vec::new();
        for mode in ["auto", "legacy"] {
            if let Some(python) = &python {
                clients.push((Command::new(python), scripts.join("client.py"), mode));
            }
            if let Some(node) = &node {
                let mut client = Command::new(node.program());
                client.current_dir(node.packages());
                clients.push((client, scripts.join("client.mjs"), mode));
            }
        }
        for (mut client, script, mode) in clients {
            let said = client.arg(&script).args([&url, &good, *tool, &arguments.to_string(), mode]).output().unwrap();
            let words = String::from_utf8_lossy(&said.stdout);
            let answer: Value = serde_json::from_str(words.trim())
                .unwrap_or_else(|_| panic!("{door} {mode}: {}", String::from_utf8_lossy(&said.stderr)));
            assert_eq!(answer["tools"], json!([tool]), "{door} {mode}");
            assert!(answer["text"].as_str().unwrap().contains(says), "{door} {mode}: {answer}");
        }
    }
}
