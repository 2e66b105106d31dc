//! Another policy for a gateway that runs: what is taken, what stays out, and what nobody may do.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use doorward::report::schema::{reload_schema, status_schema};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::process::{Served, call, doorward};
use super::rig::{rows, token};
use crate::schema::assert_fits;

const POLICY: &str = r#"
version = 1
[gateway]
listen = "127.0.0.1:0"
admin = "127.0.0.1:0"
admin_token = "file:admin.token"
url = "http://gateway.example.com"
[issuers.corp]
url = "https://login.example.com"
jwks_file = "keys.json"
[servers.http]
url = "http://HTTP/mcp"
[servers.http.tools.add]
[servers.http.tools.pid]
[[grants]]
name = "adders"
to = { subjects = ["ana", "bob"] }
allow = ["http:add"]
[rollout]
"#;

/// The calls that a server got, by their number.
pub(crate) type Seen = Arc<Mutex<Vec<u64>>>;

/// A server that answers every call, and keeps a list.
pub(crate) async fn server() -> (SocketAddr, Seen) {
    let seen: Seen = Arc::default();
    let kept = Arc::clone(&seen);
    let app = axum::Router::new().fallback(axum::routing::any(move |body: String| {
        let kept = Arc::clone(&kept);
        async move {
            let message: Value = serde_json::from_str(&body).unwrap();
            kept.lock().unwrap().push(message["params"]["arguments"]["a"].as_u64().unwrap());
            let result = json!({"resultType": "complete", "content": [{"type": "text", "text": "ok"}]});
            let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
            ([("content-type", "application/json")], answer.to_string())
        }
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, seen)
}

pub(super) fn policy(http: SocketAddr) -> String {
    POLICY.replace("HTTP/", &format!("{http}/"))
}

pub(super) fn start(policy: &str) -> Served {
    let served = Served::start(policy, &[]);
    std::fs::write(served.directory.path().join("admin.token"), "hunter2\n").unwrap();
    served
}

/// Writes a file as editors and volumes do: whole, under its name at once.
pub(super) fn write(directory: &Path, text: &str) {
    let made = directory.join("policies.toml.new");
    std::fs::write(&made, text).unwrap();
    std::fs::rename(made, directory.join("policies.toml")).unwrap();
}

/// A command of doorward about that gateway.
pub(super) fn ask(served: &Served, command: &[&str]) -> Output {
    let gateway = ["--gateway", &served.admin, "--admin-token", "file:admin.token"];
    doorward().args(command).args(gateway).current_dir(served.directory.path()).output().unwrap()
}

pub(super) fn status(served: &Served) -> Value {
    let said = ask(served, &["status", "--format", "json"]);
    serde_json::from_slice(&said.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)))
}

/// The status once it is as it should be.
pub(super) async fn until(served: &Served, what: &str, is: impl Fn(&Value) -> bool) -> Value {
    let begin = Instant::now();
    loop {
        let status = status(served);
        if is(&status) {
            return status;
        }
        assert!(begin.elapsed() < Duration::from_mins(1), "{what}: {status:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(super) async fn add(served: &Served, subject: &str, number: u64) -> u16 {
    let token = token(&served.signer, subject, &json!({}));
    served.call("http", &token, &call(1, "add", &json!({"a": number, "b": 0}))).await.unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_taken_when_its_gate_holds_on_the_last_traffic_and_stays_out_when_not() {
    let (http, _) = server().await;
    let text = policy(http);
    let served = start(&text);
    assert_eq!(add(&served, "ana", 1).await, 200);
    let first = status(&served);
    assert_eq!(first["policy"]["evidence"], "first");

    // Somebody new, and nothing that was allowed is taken away.
    let wider = text.replace("\"ana\", \"bob\"", "\"ana\", \"bob\", \"carl\"");
    assert_eq!(add(&served, "carl", 2).await, 403);
    write(served.directory.path(), &text.replace("\"bob\"]", "\"bob\", \"dora\"]"));
    let taken = until(&served, "it is taken", |status| status["policy"]["generation"] == 1).await;
    assert_eq!(taken["policy"]["evidence"], "rehearsed", "{taken:#}");
    assert_eq!(taken["policy"]["says"], "every gate holds on 2 events");
    assert_ne!(taken["policy"]["digest"], first["policy"]["digest"]);
    assert_eq!(add(&served, "dora", 3).await, 200);

    // It would newly allow what was denied.
    write(served.directory.path(), &wider);
    let refused = until(&served, "it is refused", |status| status["reload"]["result"] == "refused").await;
    assert_eq!(refused["reload"]["code"], "gate-broken", "{refused:#}");
    assert_eq!(refused["policy"], taken["policy"]);
    assert_eq!((add(&served, "carl", 4).await, add(&served, "dora", 5).await), (403, 200));
    let report = std::fs::read(served.directory.path().join("doorward-reload.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!((&report["schema"], &report["code"]), (&json!("doorward.reload/v1"), &json!("gate-broken")));
    assert!(report["simulation"]["report"]["totals"]["newly_allowed"].as_u64().unwrap() > 0, "{report:#}");
    assert_eq!(report["in_force"], taken["policy"]["digest"]);
    assert_fits(&reload_schema(), &report);
    assert_fits(&status_schema(), &refused);
    let answer = ask(&served, &["reload", "--format", "json"]);
    assert_eq!(answer.status.code(), Some(1));
    assert_fits(&reload_schema(), &serde_json::from_slice(&answer.stdout).unwrap());
    let (code, said) = raw(&served, "POST", "/v1/reload", &[("authorization", "Bearer hunter2")]).await;
    assert_eq!(code, 422);
    assert_fits(&reload_schema(), &serde_json::from_str(&said).unwrap());

    // What is no policy at all is refused in its own words, and what decides as before is no change.
    write(served.directory.path(), "version = 1\n[servers.x]\nurl = \"nowhere\"\n");
    let refused = until(&served, "it is no policy", |status| status["reload"]["code"] == "unsound").await;
    assert_eq!(refused["policy"], taken["policy"]);
    served.signal(Signal::HUP);
    write(served.directory.path(), &format!("# as before\n{}", text.replace("\"bob\"]", "\"bob\", \"dora\"]")));
    until(&served, "nothing changes", |status| status["reload"]["result"] == "unchanged").await;
    assert_eq!(status(&served)["policy"]["digest"], taken["policy"]["digest"]);

    // Who ran under which policy stands in the log.
    let digests: Vec<Value> = rows(&served.audit())
        .await
        .into_iter()
        .filter(|row| row["decision"] == "allow")
        .map(|row| row["policy"].clone())
        .collect();
    assert_eq!(digests, [&first, &taken, &taken].map(|status| status["policy"]["digest"].clone()));
    let metrics = reqwest::get(format!("http://{}/metrics", served.admin)).await.unwrap().text().await.unwrap();
    for result in ["in-force", "refused", "unchanged"] {
        assert!(metrics.contains(&format!("doorward_reloads_total{{result=\"{result}\"}}")), "{metrics}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_decided_by_one_policy_and_carried_to_the_server_of_another() {
    let ((one, at_one), (two, at_two)) = (server().await, server().await);
    let texts = [policy(one), policy(two)];
    let served = start(&texts[0]);
    assert_eq!(add(&served, "ana", 0).await, 200);
    let mut digests = vec![status(&served)["policy"]["digest"].clone()];
    let good = token(&served.signer, "ana", &json!({}));
    let stop = AtomicBool::new(false);
    let (shared, good, stop) = (&served, &good, &stop);
    let load = (1..=4_u64).map(|lane| async move {
        let mut number = lane * 1_000_000;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let (status, said) =
                shared.call("http", good, &call(number, "add", &json!({"a": number, "b": 0}))).await.unwrap();
            assert_eq!(status, 200, "{said}");
        }
    });
    let reloads = async {
        for turn in [1, 0, 1, 0, 1] {
            write(shared.directory.path(), &texts[turn]);
            let said = tokio::task::block_in_place(|| ask(shared, &["reload", "--format", "json"]));
            // The watch may have been faster.
            let digest = until(shared, "it is taken", |status| status["policy"]["digest"] != *digests.last().unwrap())
                .await["policy"]["digest"]
                .clone();
            assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stdout));
            digests.push(digest);
            assert_eq!(add(shared, "ana", 9_000_000 + digests.len() as u64).await, 200);
        }
        stop.store(true, Ordering::Relaxed);
    };
    futures_util::future::join(futures_util::future::join_all(load), reloads).await;
    assert_eq!((&digests[1], &digests[2]), (&digests[3], &digests[4]));
    let by_arguments: BTreeMap<String, Value> = rows(&served.audit())
        .await
        .into_iter()
        .filter(|row| row["decision"] == "allow")
        .map(|row| (row["data"]["arguments"].as_str().unwrap().to_owned(), row["policy"].clone()))
        .collect();
    let mut counted = 0;
    for (seen, digest) in [(at_one, &digests[0]), (at_two, &digests[1])] {
        for number in seen.lock().unwrap().iter() {
            let arguments = doorward::audit::digest(json!({"a": number, "b": 0}).to_string().as_bytes());
            assert_eq!(by_arguments.get(&arguments), Some(digest), "call {number}");
            counted += 1;
        }
    }
    assert!(counted > 5 && counted == by_arguments.len(), "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proved_to_take_away_only_is_taken_at_once_when_an_operator_says_so() {
    let (http, _) = server().await;
    let text = policy(http);
    let served = start(&text);
    assert_eq!(add(&served, "ana", 1).await, 200);
    let denied = "[[denies]]\nname = \"incident\"\nto = { subjects = [\"ana\"] }\ndeny = [\"*\"]\n[rollout]";
    write(served.directory.path(), &text.replace("[rollout]", denied));
    until(&served, "the gate holds it back", |status| status["reload"]["code"] == "gate-broken").await;
    assert_eq!(add(&served, "ana", 2).await, 200);
    let said = ask(&served, &["reload", "--revoke"]);
    let text_of = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert_eq!(said.status.code(), Some(0), "{}", text_of(said.stdout));
    assert_eq!(status(&served)["policy"]["evidence"], "narrowing");
    assert_eq!((add(&served, "ana", 3).await, add(&served, "bob", 4).await), (403, 200));
    // To give is no way to take away.
    write(served.directory.path(), &text.replace("\"ana\", \"bob\"", "\"carl\", \"ana\", \"bob\""));
    assert_eq!(add(&served, "carl", 5).await, 403);
    let said = ask(&served, &["reload", "--revoke"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(text_of(said.stdout).contains("gate-broken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_change_while_it_runs_is_refused() {
    let (http, _) = server().await;
    let text = policy(http);
    let served = start(&text);
    add(&served, "ana", 1).await;
    for (from, to, key) in [
        ("listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\"", "gateway.listen"),
        ("admin = \"127.0.0.1:0\"", "admin = \"unix:admin.sock\"", "gateway.admin"),
        ("[rollout]", "[audit]\nstore = \"sqlite:other.db\"\n[rollout]", "audit"),
    ] {
        write(served.directory.path(), &text.replace(from, to));
        let refused = until(&served, key, |status| {
            let said = status["reload"]["message"].as_str().unwrap_or_default();
            said == format!("`{key}` cannot change while the gateway runs")
        })
        .await;
        assert_eq!(
            (&refused["reload"]["code"], &refused["policy"]["generation"]),
            (&json!("needs-restart"), &json!(0))
        );
    }
    let said = ask(&served, &["status"]);
    let text = String::from_utf8(said.stdout).unwrap();
    assert_eq!(said.status.code(), Some(0), "{text}");
    assert!(text.contains("needs-restart") && text.contains("help: restart the gateway"), "{text}");
}

/// The status and the text of one request, made by hand.
async fn raw(served: &Served, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    doorward::identity::ensure_crypto();
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let mut request = reqwest::Client::new().request(method, format!("http://{}{path}", served.admin));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn control_is_for_who_has_the_token_and_for_no_page() {
    let (http, _) = server().await;
    let served = start(&policy(http));
    let good = ("authorization", "Bearer hunter2");
    for (path, method) in [("/v1/status", "GET"), ("/v1/policy", "GET"), ("/v1/reload", "POST")] {
        for (headers, status, code) in [
            (vec![], 401, "admin-token-missing"),
            (vec![("authorization", "Bearer hunter3")], 401, "admin-token-invalid"),
            (vec![("authorization", "hunter2")], 401, "admin-token-missing"),
            (vec![good, good], 401, "admin-token-missing"),
            (vec![good, ("host", "evil.example")], 403, "admin-name"),
            (vec![good, ("origin", "https://evil.example")], 403, "admin-name"),
        ] {
            let (got, said) = raw(&served, method, path, &headers).await;
            assert_eq!(got, status, "{path} {headers:?}: {said}");
            assert!(said.contains(code) && !said.contains("hunter2"), "{path} {headers:?}: {said}");
        }
    }
    assert_eq!(raw(&served, "GET", "/v1/status", &[good]).await.0, 200);
    assert_eq!(raw(&served, "GET", "/healthz", &[]).await.0, 200);
    assert_eq!(raw(&served, "GET", "/metrics", &[("host", "evil.example")]).await.0, 403);
    // A token that was replaced counts no more.
    std::fs::write(served.directory.path().join("admin.token"), "another").unwrap();
    assert_eq!(raw(&served, "GET", "/v1/status", &[good]).await.0, 401);

    let shut = start(&policy(http).replace("admin_token = \"file:admin.token\"\n", ""));
    let (got, said) = raw(&shut, "GET", "/v1/status", &[good]).await;
    assert!(got == 403 && said.contains("admin-shut"), "{got} {said}");
    let said = ask(&shut, &["status"]);
    let said = (said.status.code(), String::from_utf8(said.stderr).unwrap());
    assert!(said.0 == Some(2) && said.1.contains("help: set `admin = \"unix:PATH\"`"), "{said:?}");
    assert_eq!(raw(&shut, "GET", "/readyz", &[]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_in_the_file_system_needs_no_token_and_questions_go_to_the_policy_in_force() {
    use std::os::unix::fs::PermissionsExt as _;
    let (http, _) = server().await;
    let text = policy(http).replace("admin = \"127.0.0.1:0\"", "admin = \"unix:admin.sock\"");
    let mut served = start(&text);
    let socket = served.directory.path().join("admin.sock");
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(served.admin.starts_with("unix:"), "{}", served.admin);
    // The files say something else by now, and it is not asked.
    std::fs::write(served.directory.path().join("policies.toml"), text.replace("\"bob\"", "\"carl\"")).unwrap();
    let gateway = format!("unix:{}", socket.display());
    let run = |arguments: &[&str]| {
        let said = doorward()
            .args(arguments)
            .args(["--gateway", &gateway])
            .current_dir(served.directory.path())
            .output()
            .unwrap();
        (said.status.code(), String::from_utf8([said.stdout, said.stderr].concat()).unwrap())
    };
    let (code, said) = run(&["who-can", "http:add"]);
    assert!(code == Some(0) && said.contains("bob") && !said.contains("carl"), "{said}");
    let who = ["explain", "--sub", "bob", "--scope", "http:add", "http:add"];
    let (code, said) = run(&who);
    assert!(code == Some(0) && said.contains("adders"), "{said}");
    let (code, said) = run(&[&who[..], &["--set", "servers.http.token_ttl=1m"]].concat());
    assert!(code == Some(2) && said.contains("[usage]"), "{said}");
    // Nor is it read, should it be no policy at all.
    std::fs::write(served.directory.path().join("policies.toml"), "version = 1\nnothing = 1\n").unwrap();
    let (code, said) = run(&["status", "--policy", "policies.toml"]);
    assert!(code == Some(0) && said.contains("ready      yes"), "{said}");
    served.signal(Signal::TERM);
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    assert!(!socket.exists(), "it takes its socket with it");
    let (code, said) = run(&["status"]);
    assert!(code == Some(2) && said.contains("[gateway]"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_show_one_policy_and_the_one_that_is_left_goes_on() {
    let (http, _) = server().await;
    let text = policy(http);
    let mut one = start(&text);
    let two = one.beside();
    assert_eq!(status(&one)["policy"]["digest"], status(&two)["policy"]["digest"]);
    assert_eq!(status(&one)["rates"], "per-gateway");
    for (number, served) in [(1, &one), (2, &two), (3, &one)] {
        assert_eq!(add(served, "ana", number).await, 200);
    }
    one.signal(Signal::KILL);
    one.child.wait().unwrap();
    assert_eq!(add(&two, "ana", 4).await, 200);
    // A change reaches the one that is left, rehearsed on the calls of both.
    write(two.directory.path(), &text.replace("\"bob\"]", "\"bob\", \"dora\"]"));
    let taken = until(&two, "it is taken", |status| status["policy"]["generation"] == 1).await;
    assert_eq!(taken["policy"]["says"], "every gate holds on 4 events");
    let allowed = rows(&two.audit()).await.into_iter().filter(|row| row["decision"] == "allow").count();
    assert_eq!(allowed, 4);
}
