//! A reload is rehearsed on what the gateway recorded, and on what it could not record as well.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use doorward::model::Timestamp;
use serde_json::{Value, json};

use super::process::{Served, doorward};
use super::reloaded::{add, ask, policy, server, start, status, write};

/// Two days, in seconds.
const LONG_AGO: i64 = 2 * 86_400;

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A file of another process, as it was recorded that long ago.
fn record(directory: &Path, age: i64, lines: &[String]) -> std::path::PathBuf {
    let stamp = Timestamp(now() - age).to_string().replace(['-', ':'], "");
    let path = directory.join(format!("captured/capture-{stamp}-another-0000.jsonl.zst"));
    let header = json!({"schema": "doorward.recording/v1", "recorder": "a test"}).to_string();
    let text = format!("{header}\n{}", lines.iter().map(|line| format!("{line}\n")).collect::<String>());
    std::fs::write(&path, zstd::encode_all(text.as_bytes(), 0).unwrap()).unwrap();
    path
}

/// What is in the audit log as events, as if it had been recorded long ago.
fn older(served: &Served) -> Vec<String> {
    let said = doorward()
        .args(["audit", "export", "--format", "recording"])
        .current_dir(served.directory.path())
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(0), "{}", String::from_utf8_lossy(&said.stderr));
    let text = String::from_utf8(said.stdout).unwrap();
    let earlier = |value: &mut Value| *value = json!(value.as_i64().unwrap() - LONG_AGO);
    let lines = text.lines().skip(1).enumerate().map(|(number, line)| {
        let mut event: Value = serde_json::from_str(line).unwrap();
        event["id"] = json!(format!("old-{number}"));
        earlier(&mut event["time"]);
        earlier(&mut event["token"]["iat"]);
        earlier(&mut event["token"]["exp"]);
        event.to_string()
    });
    lines.collect()
}

/// Puts a policy in the files, asks for it, and gives what came of it.
fn reload(served: &Served, text: &str) -> Value {
    write(served.directory.path(), text);
    // The watch may be faster, and then what is asked for is in force already.
    let said = ask(served, &["reload", "--format", "json"]);
    assert!(said.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&said.stderr));
    status(served)
}

/// A policy under which the gateway records.
fn capturing(http: SocketAddr) -> String {
    policy(http).replace("[gateway]\n", "[gateway]\ncapture = { directory = \"captured\" }\n")
}

/// The policy with one caller more.
fn allowing(policy: &str, name: &str) -> String {
    policy.replace("\"bob\"]", &format!("\"bob\", \"{name}\"]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_is_rehearsed_on_the_recordings_of_the_gateway_and_each_event_counts_once() {
    let (http, _) = server().await;
    let text = capturing(http);
    let with = |name| allowing(&text, name);
    let served = start(&text);
    let directory = served.directory.path();
    assert_eq!((add(&served, "ana", 1).await, add(&served, "bob", 2).await), (200, 200));
    let told = status(&served);
    assert_eq!((&told["capture"]["dropped"], &told["capture"]["directory"]), (&json!(0), &json!("captured")));

    // Two calls that are in the audit log and in a recording, and two that only a recording has.
    let old = older(&served);
    assert_eq!(old.len(), 2, "{old:?}");
    record(directory, LONG_AGO, &old);
    let taken = reload(&served, &with("dora"));
    assert_eq!(taken["policy"]["says"], "every gate holds on 4 events", "{taken:#}");
    assert_eq!(taken["capture"]["written"], 2);
    let parts = std::fs::read_dir(directory.join("captured")).unwrap().map(|file| file.unwrap().file_name());
    assert!(parts.into_iter().all(|name| name.to_string_lossy().ends_with(".jsonl.zst")), "a file is still open");

    // What was left out where the audit log does not reach cannot be told.
    let at = now() - LONG_AGO;
    let gap = json!({"gap": {"since": at, "until": at + 1, "dropped": 3}}).to_string();
    let hole = record(directory, LONG_AGO + 3_600, &[gap]);
    let refused = reload(&served, &with("emil"));
    assert_eq!(refused["reload"]["code"], "gate-undecided", "{refused:#}");
    assert_eq!(refused["policy"], taken["policy"]);
    std::fs::remove_file(hole).unwrap();
    assert_eq!(reload(&served, &with("fay"))["policy"]["says"], "every gate holds on 4 events");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_the_audit_log_that_a_named_recording_has_too_counts_once() {
    let (http, _) = server().await;
    let text = capturing(http);
    let with = |name| allowing(&text, name);
    let served = start(&text);
    let directory = served.directory.path();
    assert_eq!((add(&served, "ana", 1).await, add(&served, "bob", 2).await), (200, 200));
    // Closes the file that is written.
    assert_eq!(reload(&served, &with("dora"))["policy"]["says"], "every gate holds on 2 events");
    std::fs::create_dir(directory.join("kept")).unwrap();
    for file in std::fs::read_dir(directory.join("captured")).unwrap().map(Result::unwrap) {
        std::fs::copy(file.path(), directory.join("kept").join(file.file_name())).unwrap();
    }
    assert_eq!(add(&served, "ana", 3).await, 200);
    let named = with("emil") + "recordings = [\"kept/*\"]\n";
    let taken = reload(&served, &named);
    assert_eq!(taken["policy"]["says"], "every gate holds on 3 events", "{taken:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_recorded_is_shown_and_is_had_from_the_audit_log() {
    let (http, _) = server().await;
    let text = capturing(http);
    let served = start(&text);
    assert_eq!(add(&served, "ana", 1).await, 200);
    // The seconds of the log are whole behind its first one.
    let first = now();
    let begin = Instant::now();
    while now() < first + 2 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The disk is gone.
    std::fs::remove_dir_all(served.directory.path().join("captured")).unwrap();
    let mut calls = 1_u64;
    while status(&served)["capture"]["dropped"] == 0 {
        assert!(begin.elapsed() < Duration::from_mins(1), "nothing is dropped: {:#}", status(&served));
        calls += 1;
        assert_eq!(add(&served, "ana", calls).await, 200, "a call never waits for the recording");
        ask(&served, &["reload"]);
    }
    let dropped = status(&served)["capture"]["dropped"].as_u64().unwrap();
    assert!(dropped > 0);
    let said = String::from_utf8(ask(&served, &["status"]).stdout).unwrap();
    assert!(said.contains(&format!("{dropped} COULD NOT BE KEPT")), "{said}");
    // The audit log has all of them.
    std::fs::create_dir(served.directory.path().join("captured")).unwrap();
    let taken = reload(&served, &text.replace("\"bob\"]", "\"bob\", \"dora\"]"));
    assert_eq!(taken["policy"]["says"], format!("every gate holds on {calls} events"), "{taken:#}");
}
