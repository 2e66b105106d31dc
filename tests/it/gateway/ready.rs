//! When the gateway says that it is ready, and how it ends while calls are under way.

use serde_json::json;
use sqlx::{Connection as _, Executor as _};

use super::odd::{admin, ask, begin, call, rest, rig, server, status, until};
use super::process::Served;
use super::rig::{POLICY, Rig, filled, http_server, rows, token};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_keys_is_not_ready_and_says_so_to_callers_too() {
    let policy = POLICY.replace("jwks_file = \"keys.json\"", "jwks_file = \"none.json\"");
    let rig = Rig::with(&policy, http_server().await).await;
    let ready = admin(&rig, "/readyz").await;
    assert_eq!(status(&ready), "503");
    assert!(ready.contains(r#"{"because":["token-keys-unavailable"],"ready":false}"#), "{ready}");
    let text = format!(
        "POST /http/mcp HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\nconnection: close\r\n\r\n",
        rig.token("ana", &json!({}))
    );
    let answer = rest(&mut begin(&rig, &text).await).await;
    assert_eq!(status(&answer), "503", "{answer}");
    assert!(answer.contains("retry-after: 5") && answer.contains("token-keys-unavailable"), "{answer}");
    assert!(!answer.contains("none.json") && !answer.contains("www-authenticate"), "{answer}");
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_cannot_write_its_audit_log_lets_nothing_through_until_it_can() {
    let rig = rig("").await;
    until("it is ready", async || status(&admin(&rig, "/readyz").await) == "200").await;
    // Another holds the database, as a backup that went wrong would.
    let database = format!("sqlite:{}", rig.directory.path().join("doorward.db").display());
    let mut other = sqlx::SqliteConnection::connect(&database).await.unwrap();
    other.execute("begin immediate").await.unwrap();
    // It shows before anybody calls.
    let ready = admin(&rig, "/readyz").await;
    assert!(status(&ready) == "503" && ready.contains(r#""because":["audit-unavailable"]"#), "{ready}");
    let refused = ask(&rig, "well", "ana", "add").await;
    assert_eq!(status(&refused), "503", "{refused}");
    assert!(refused.contains("audit-unavailable"), "{refused}");
    other.execute("rollback").await.unwrap();
    until("calls pass again", async || status(&ask(&rig, "well", "ana", "add").await) == "200").await;
    until("it is ready again", async || status(&admin(&rig, "/readyz").await) == "200").await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_is_finished_while_the_gateway_drains_and_says_that_it_does() {
    let mut rig = rig("drain_time = '20s'").await;
    let mut call = begin(&rig, &call(&rig, "odd", "ana", "wait")).await;
    until("it is under way", async || rig.rows().await.iter().any(|row| row["name"] == "wait")).await;
    rig.tell_to_stop();
    until("it drains", async || admin(&rig, "/readyz").await.contains(r#""because":["draining"]"#)).await;
    assert!(tokio::net::TcpStream::connect(rig.address).await.is_err(), "it takes no new connection");
    assert_eq!(status(&rest(&mut call).await), "200");
    assert!(rig.stop().await, "all of it ended by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_does_not_end_is_cut_off_and_the_exit_code_says_so() {
    let odd = server().await;
    let policy = filled(POLICY, odd).replace("[servers.http.tools.pid]", "[servers.http.tools.hang]").replace(
        "url = \"http://gateway.example.com\"",
        "url = \"http://gateway.example.com\"\nlimits = { drain_time = \"1s\" }",
    );
    let policy = policy.replace("\"*:add\"", "\"*:*\"");
    let mut served = Served::start(&policy, &[]);
    let good = token(&served.signer, "ana", &json!({ "scope": "http:hang" }));
    let message = super::process::call(1, "hang", &json!({}));
    let store = served.audit();
    let (answer, ()) = tokio::join!(served.call("http", &good, &message), async {
        until("it is under way", async || rows(&store).await.iter().any(|row| row["name"] == "hang")).await;
        served.signal(rustix::process::Signal::TERM);
    });
    assert_eq!(answer, None, "it was cut off");
    assert_eq!(served.child.wait().unwrap().code(), Some(1));
    let rows = rows(&store).await;
    assert!(rows.iter().any(|row| row["kind"] == "outcome" && row["reason"] == "disconnected"), "{rows:#?}");
}
