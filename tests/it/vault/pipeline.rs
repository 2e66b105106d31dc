//! The whole pipeline at once, and the simulator beside it: a recording is replayed live through the
//! development issuer, the gateway as a process, `OpenBao`, PostgreSQL and real MCP servers, and every event is
//! decided there as the offline simulator decides it.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use doorward::model::{Action, Timestamp};
use doorward::pdp::decide;
use doorward::traffic::{Event, Field, Header, Reader, Writer};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::bao::{compiled, shared};
use super::database::engine;
use super::served::{Keys, guarded, policy};
use super::sources::ready;
use crate::containers::postgres;
use crate::gateway::process::{Served, call, captured, doorward};

const LOGIN: &str = r#"login = { approle = "doorward", role_id = "env:ROLE_ID", secret_id = "env:SECRET_ID" }"#;

/// The development issuer as a process.
struct Issuer(Child);

impl Drop for Issuer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Who asks for what: every door, tool, group and scope with one another, and arguments within and without.
fn recording() -> Vec<Event> {
    let mut events = Vec::new();
    let people = [("ana", "support"), ("ben", "contractor"), ("eve", "sales")];
    let calls =
        [("kept", "add", 1), ("kept", "add", 500), ("kept", "pid", 0), ("kept", "gone", 0), ("desk", "user", 0)];
    for (subject, group) in people {
        for scopes in [&["kept:add", "kept:pid", "desk:user"][..], &["kept:pid"]] {
            for (door, tool, a) in calls {
                let mut event = Event::new(Timestamp(1_772_000_000), door, Action::ToolsCall, tool);
                let list = |items: &[&str]| Field::Present(items.iter().map(|item| (*item).to_owned()).collect());
                event.subject.issuer = Field::Present("dev".into());
                event.subject.sub = Field::Present(subject.into());
                event.subject.agent = Field::Present("desk-assistant".into());
                event.subject.groups = list(&[group]);
                event.subject.claims = Field::Absent;
                event.token.aud = list(&[&format!("{}/{door}/mcp", crate::gateway::rig::URL)]);
                event.token.scopes = list(scopes);
                event.token.iat = Field::Present(Timestamp(1_772_000_000));
                event.token.exp = Field::Present(Timestamp(1_772_000_300));
                event.token.nbf = Field::Absent;
                let arguments = if tool == "add" { json!({"a": a, "b": 2}) } else { json!({}) };
                event.arguments = Field::Present(arguments.as_object().unwrap().clone());
                events.push(event);
            }
        }
    }
    events
}

fn present<T: Clone>(field: &Field<T>) -> T {
    field.present().cloned().unwrap()
}

/// What the gateway says of an event: `granted`, or the code of its refusal; and the token that it was shown.
async fn live(served: &Served, event: &Event) -> (String, String) {
    let subject = &event.subject;
    let output = doorward()
        .args(["token", "issue", "--sub", &present(&subject.sub), "--agent", &present(&subject.agent)])
        .args(["--groups", &present(&subject.groups).join(","), "--scope", &present(&event.token.scopes).join(" ")])
        .args(["--door", &event.door])
        .current_dir(served.directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let arguments = Value::Object(present(&event.arguments));
    let (status, said) = served.call(&event.door, &token, &call(1, &event.name, &arguments)).await.unwrap();
    if status == 200 {
        return ("granted".to_owned(), token);
    }
    let refused: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{status} {said}"));
    (refused["error"]["data"]["doorward"]["code"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned(), token)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_replayed_live_is_decided_event_by_event_as_offline() {
    let test = "a_recording_replayed_live_is_decided_event_by_event_as_offline";
    let (Some(bao), Some(postgres)) = (shared(test), postgres(test)) else { return };
    doorward::identity::ensure_crypto();
    let world = bao.world().await;
    engine(&world, &postgres).await;
    let own = json!({"policy": "path \"auth/token/lookup-self\" { capabilities = [\"read\"] }"});
    world.write("sys/policies/acl/kept", own).await;
    let kept = guarded(Keys::of(&world).knows_tokens_of("kept")).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let this = std::env::current_exe().unwrap();
    let servers = format!(
        r#"
[audit]
store = "env:AUDIT_STORE"
[issuers.dev]
url = "http://127.0.0.1:{port}/dev-issuer"
[servers.kept]
url = "http://{kept}/mcp"
credential = {{ vault = "kv", path = "tokens/kept", ttl = "10m" }}
[servers.kept.tools.add]
args = {{ a = {{ max = 100 }} }}
[servers.kept.tools.pid]
[servers.desk]
command = ["/usr/bin/env", "FIXTURE=database", "PGPORT={}", "{}", "--ignored", "--exact", "gateway::fixture::serves_other_tests", "--nocapture"]
credential = {{ vault = "dynamic", path = "database/creds/desk", ttl = "8s", per_caller = true, fields = {{ username = "PGUSER", password = "PGPASSWORD" }} }}
[servers.desk.tools.user]
[[grants]]
name = "support"
to = {{ issuer = "dev", groups = ["support", "contractor"] }}
allow = ["kept:*", "desk:user"]
[[denies]]
name = "contractors-stay-out-of-the-database"
to = {{ groups = ["contractor"] }}
deny = ["desk:user"]
"#,
        postgres.port(),
        this.display(),
    );
    let text = policy(&world, LOGIN, &servers);
    let compiled = compiled(&text);
    drop(ready(&world, &compiled).await);
    let (role, secret_id) = world.approle("doorward").await;
    let store = postgres.url(&postgres.database().await);
    let environment = [("ROLE_ID", &*role), ("SECRET_ID", &*secret_id), ("AUDIT_STORE", &*store)];

    // The issuer runs before the gateway asks it for its keys.
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("policies.toml"), &text).unwrap();
    let mut issuer: Command = doorward();
    issuer.args(["issuer", "dev"]).current_dir(place.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let _issuer = Issuer(issuer.spawn().unwrap());
    let begun = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the development issuer does not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let mut served = Served::start(&text, &environment);

    // Written and read as any recording is, so that what is replayed is what a file holds.
    let mut writer = Writer::new(Vec::new(), &Header::new("test")).unwrap();
    for event in recording() {
        writer.write(&event).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let events: Vec<Event> = Reader::new(&bytes[..]).unwrap().map(|item| item.unwrap().event).collect();
    assert_eq!(events.len(), recording().len());
    let mut counts = std::collections::BTreeMap::new();
    let (mut decided, mut secrets) = (Vec::new(), vec![secret_id.clone()]);
    for (number, event) in events.iter().enumerate() {
        let claims = event.claims();
        let decision = decide(&compiled, &event.request(&claims));
        let offline = if decision.is_allow() { "granted" } else { decision.reason.code() };
        // A caller is told no more than helps it, so its reason may be another; the audit log has the true one.
        let (told, token) = live(&served, event).await;
        secrets.push(token);
        assert_eq!(told == "granted", decision.is_allow(), "event {number}: {told}, {offline}: {event:?}");
        decided.push((decision.effect, decision.reason));
        *counts.entry(offline).or_insert(0) += 1;
    }
    // The replay means something: allowed and denied, for every kind of reason that the recording holds.
    for reason in ["granted", "args", "scope-missing", "no-grant", "denied-by", "unknown-tool"] {
        assert!(counts.contains_key(reason), "{reason}: {counts:?}");
    }

    secrets.push(world.read("secret/data/tokens/kept").await["data"]["token"].as_str().unwrap().to_owned());
    served.signal(Signal::TERM);
    assert_eq!(served.child.wait().unwrap().code(), Some(0), "{}", served.said());
    // And back: the audit log in PostgreSQL is a recording that the policy reproduces without a difference.
    let run = |arguments: &[&str]| {
        let output =
            doorward().args(arguments).current_dir(served.directory.path()).envs(environment).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said} {}", String::from_utf8_lossy(&output.stderr));
        said
    };
    run(&["audit", "verify"]);
    run(&["audit", "export", "--format", "recording", "--output", "live.jsonl"]);
    let file = std::fs::File::open(served.directory.path().join("live.jsonl")).unwrap();
    let recorded = Reader::new(std::io::BufReader::new(file)).unwrap().map(|item| item.unwrap().event.decided.unwrap());
    let recorded: Vec<_> = recorded.map(|decided| (decided.effect, decided.reason)).collect();
    assert_eq!(recorded, decided);
    let said = run(&["simulate", "live.jsonl"]);
    let expected = format!("reproduced by the policy that made them: {} recorded decisions", events.len());
    assert!(said.contains(&expected), "{said}");

    // Nothing secret is in anything that was written: neither what callers showed, nor what the gateway did.
    let lines = run(&["audit", "export"]);
    let recording = std::fs::read_to_string(served.directory.path().join("live.jsonl")).unwrap();
    let recordings = captured(&served.directory.path().join("captured"));
    assert_eq!(recordings.matches("\"decided\":").count(), events.len(), "{recordings}");
    for (name, written) in
        [("log", &served.said()), ("audit log", &lines), ("recording", &recording), ("captured", &recordings)]
    {
        assert!(!written.contains("eyJ"), "something like a token is in the {name}");
        for secret in &secrets {
            assert!(!written.contains(secret), "`{secret}` is in the {name}");
        }
    }
}
