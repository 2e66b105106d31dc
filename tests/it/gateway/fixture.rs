//! MCP servers over stdio for the tests of the gateway: this very test binary, started again.
//!
//! One is made with rmcp. The other is written by hand, because it must do what a library never
//! would: lie, hang, shout and end.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward::gateway::upstream::stdio::Program;
use serde_json::{Value, json};

/// How to start the server of that mode: `legacy`, `modern`, `stubborn`, `silent`, `broken`, `rmcp` or `conformance`.
pub(super) fn program(mode: &str) -> Program {
    let this = std::env::current_exe().unwrap().to_str().unwrap().to_owned();
    let argv = [&*this, "--ignored", "--exact", "gateway::fixture::serves_other_tests", "--nocapture"];
    Program {
        door: "fixture".into(),
        argv: argv.map(str::to_owned).to_vec(),
        environment: vec![("FIXTURE".to_owned(), mode.to_owned()), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())],
        longest_line: 1 << 20,
    }
}

#[test]
#[ignore = "a server, which other tests start"]
#[expect(clippy::exit, reason = "a server that breaks is what is tested")]
fn serves_other_tests() {
    match std::env::var("FIXTURE").expect("other tests start this").as_str() {
        "broken" => {
            eprintln!("no such configuration");
            std::process::exit(3);
        }
        "rmcp" => super::calculator::serve_stdio(),
        "conformance" => super::conformance::serve_stdio(),
        "journal" => super::durable::server::serve(),
        "database" => crate::vault::served::serve_stdio(),
        mode => by_hand(mode),
    }
}

type Waiting = Arc<Mutex<BTreeMap<String, Value>>>;

fn say(message: &Value) {
    let mut line = message.to_string();
    line.push('\n');
    // One write a line: threads talk at once.
    let _ = std::io::stdout().lock().write_all(line.as_bytes());
    let _ = std::io::stdout().flush();
}

fn by_hand(mode: &str) {
    let cancelled: Arc<Mutex<Vec<Value>>> = Arc::default();
    let waiting: Waiting = Arc::default();
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let message: Value = serde_json::from_str(&line).expect("the gateway sends whole lines of JSON");
        let id = message["id"].clone();
        let answer = |result: Value| say(&json!({"jsonrpc": "2.0", "id": id, "result": result}));
        let refuse =
            || say(&json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "no such method"}}));
        match message["method"].as_str() {
            _ if mode == "silent" => {}
            Some("initialize") if mode != "modern" => answer(json!({
                "protocolVersion": message["params"]["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "fixture", "version": "1"},
            })),
            Some("server/discover") if mode == "modern" => answer(json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                "ttlMs": 0, "cacheScope": "private",
            })),
            Some("subscriptions/listen") if mode == "modern" => {
                let meta = json!({"io.modelcontextprotocol/subscriptionId": id});
                for method in ["subscriptions/acknowledged", "tools/list_changed"] {
                    let method = format!("notifications/{method}");
                    say(&json!({"jsonrpc": "2.0", "method": method, "params": {"_meta": meta, "notifications": {}}}));
                }
                if message["params"]["notifications"]["toolsListChanged"] == true {
                    say(&json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}));
                }
            }
            Some("notifications/cancelled") => cancelled.lock().unwrap().push(message["params"]["requestId"].clone()),
            Some("notifications/initialized") => {
                say(&json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"}));
            }
            Some("tools/call") => tool(&message, &cancelled, &waiting),
            Some(_) if message.get("id").is_some() => refuse(),
            Some(_) => {}
            None => {
                let name = waiting.lock().unwrap().remove(&id.to_string());
                if let Some(call) = name {
                    say(&json!({"jsonrpc": "2.0", "id": call, "result": text(&message["result"].to_string())}));
                }
            }
        }
    }
    if mode == "stubborn" {
        std::thread::sleep(Duration::from_mins(10));
    }
}

fn text(text: &str) -> Value {
    json!({"content": [{"type": "text", "text": text}]})
}

#[expect(clippy::exit, reason = "a server that crashes is what is tested")]
fn tool(message: &Value, cancelled: &Mutex<Vec<Value>>, waiting: &Waiting) {
    let id = message["id"].clone();
    let arguments = message["params"]["arguments"].clone();
    let answer = |words: &str| say(&json!({"jsonrpc": "2.0", "id": id, "result": text(words)}));
    match message["params"]["name"].as_str().unwrap() {
        "echo" => answer(&arguments.to_string()),
        "pid" => answer(&std::process::id().to_string()),
        "environment" => {
            let mut names: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
            names.sort();
            answer(&names.join(" "));
        }
        "slow" => {
            let token = message["params"]["_meta"]["progressToken"].clone();
            std::thread::spawn(move || {
                for n in 1..=3 {
                    std::thread::sleep(Duration::from_millis(arguments["ms"].as_u64().unwrap()));
                    if !token.is_null() {
                        let params = json!({"progressToken": token, "progress": n});
                        say(&json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params}));
                    }
                }
                say(&json!({"jsonrpc": "2.0", "id": id, "result": text(&arguments["word"].to_string())}));
            });
        }
        "ask" => {
            waiting.lock().unwrap().insert("\"s1\"".to_owned(), id);
            say(&json!({"jsonrpc": "2.0", "id": "s1", "method": "sampling/createMessage", "params": {"maxTokens": 1}}));
        }
        "cancelled" => answer(&cancelled.lock().unwrap().len().to_string()),
        "hang" => {}
        "crash" => std::process::exit(3),
        "lie" => {
            say(&json!({"jsonrpc": "2.0", "id": 999_999, "result": text("not yours")}));
            say(&json!({"jsonrpc": "2.0", "id": id, "result": text("yours")}));
            say(&json!({"jsonrpc": "2.0", "id": id, "result": text("again")}));
        }
        "noise" => {
            let _ = std::io::stdout().write_all(b"starting up...\n\n[1,2]\n{\"id\":1,\"id\":1}\n");
            answer("after the noise");
        }
        "shout" => answer(&"x".repeat(2 << 20)),
        "offspring" => {
            let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            answer(&child.id().to_string());
            std::thread::spawn(move || child.wait());
        }
        other => panic!("no tool `{other}`"),
    }
}
