//! The audit log that a running gateway writes, as operators and auditors use it.

use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use doorward::audit::chain::Row;
use doorward::audit::store::{Logger, LoggerOptions, Select, Store};
use doorward::simulate::{ROW_BYTES, RowBytes};
use rustix::process::Signal;
use serde_json::{Value, json};
use sqlx::Connection as _;

use super::process::{Served, call, doorward};
use super::rig::{POLICY, filled, http_server, keys, rows, token};
use crate::audit::options;

/// An Ed25519 key pair as `openssl` writes it (RFC 8410, section 10).
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";

/// Runs an `audit` command where the policy is.
fn audit(served: &Served, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command: Command = doorward();
    let output = command.arg("audit").args(arguments).current_dir(served.directory.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_running_gateway_writes_can_be_asked_and_verified_at_any_time() {
    let policy = filled(POLICY, http_server().await) + "[audit]\nsigning_key = \"env:AUDIT_KEY\"\n";
    let mut served = Served::start(&policy, &[("AUDIT_KEY", PRIVATE)]);
    let key = served.directory.path().join("audit.pub");
    std::fs::write(&key, PUBLIC).unwrap();
    let good = token(&served.signer, "ana", &json!({}));
    assert_eq!(served.call("http", &good, &call(1, "add", &json!({"a": 1, "b": 2}))).await.unwrap().0, 200);
    assert_eq!(served.call("http", &good, &call(2, "add", &json!({"a": 101, "b": 2}))).await.unwrap().0, 403);
    assert_eq!(served.call("http", "canary", &call(3, "add", &json!({}))).await.unwrap().0, 401);

    // While it runs.
    let (code, said) = audit(&served, &["verify", "--key", "audit.pub"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("all signed by a given key"), "{said}");
    let (code, said) = audit(&served, &["query", "--decision", "deny", "--subject", "ana", "--format", "json"]);
    let denied: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((code, denied["name"].as_str(), denied["reason"].as_str()), (Some(0), Some("add"), Some("args")));
    assert_eq!(denied["data"]["event"]["arguments"]["a"], 101, "what a rule reads is kept: {denied}");

    served.signal(Signal::TERM);
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    let (code, said) = audit(&served, &["verify", "--key", "audit.pub"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(!said.contains("could be cut off"), "the last seal names every row: {said}");
    let kinds: Vec<_> =
        rows(&served.audit()).await.iter().map(|row| row["kind"].as_str().unwrap().to_owned()).collect();
    for kind in ["open", "intent", "outcome", "denial", "refusals", "close"] {
        assert_eq!(kinds.iter().filter(|k| *k == kind).count(), 1, "{kind} in {kinds:?}");
    }
    for file in std::fs::read_dir(served.directory.path()).unwrap().map(Result::unwrap) {
        if file.file_name().to_string_lossy().starts_with("doorward.db") {
            let mode = file.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{:?} is for its owner alone", file.path());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_and_two_gateways_at_once_write_one_log_that_is_whole() {
    let http = http_server().await;
    let first = Served::start(&filled(POLICY, http), &[]);
    let store = first.audit();
    let policy = filled(POLICY, http) + &format!("[audit]\nstore = \"{store}\"\n");
    let second = Served::start(&policy, &[]);
    for served in [&first, &second, &first, &second] {
        let good = token(&served.signer, "ana", &json!({}));
        let (status, said) = served.call("http", &good, &call(1, "add", &json!({"a": 1, "b": 2}))).await.unwrap();
        assert_eq!(status, 200, "{said}");
    }
    drop(second);
    let (code, said) = audit(&first, &["verify"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("of 2 writers"), "{said}");
}

#[test]
fn a_log_that_cannot_be_written_or_signed_starts_no_gateway() {
    let directory = tempfile::tempdir().unwrap();
    keys(directory.path());
    let policy = filled(POLICY, "127.0.0.1:1".parse().unwrap());
    std::fs::write(directory.path().join("policies.toml"), policy).unwrap();
    std::fs::write(directory.path().join("audit.pub"), PUBLIC).unwrap();
    let said = |arguments: &[&str]| {
        let mut command = doorward();
        let output = command.args(["serve", "--log", "error"]).args(arguments).current_dir(directory.path()).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2));
        let place = directory.path().canonicalize().unwrap();
        String::from_utf8(output.stderr).unwrap().replace(place.to_str().unwrap(), "HERE")
    };
    let cases: [&[&str]; 4] = [
        &["--audit", "sqlite:none/audit.db"],
        &["--audit", "audit.db"],
        &["--audit", "env:NO_SUCH_STORE", "--signing-key", "audit.pub"],
        &["--audit", "postgres://postgres@127.0.0.1:1/audit"],
    ];
    let all: Vec<_> =
        cases.into_iter().map(|arguments| format!("{}\n{}", arguments.join(" "), said(arguments))).collect();
    insta::assert_snapshot!(all.join("\n"));
    assert!(!directory.path().join("doorward.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_a_gateway_takes_what_a_rehearsal_takes_it_to_need() {
    let mut served = Served::start(&filled(POLICY, http_server().await), &[]);
    let good = token(&served.signer, "ana", &json!({}));
    for (a, status) in [(1, 200), (101, 403)] {
        assert_eq!(served.call("http", &good, &call(1, "add", &json!({"a": a, "b": 2}))).await.unwrap().0, status);
    }
    served.signal(Signal::TERM);
    assert_eq!(served.child.wait().unwrap().code(), Some(0));
    let mut written: Vec<Row> = Vec::new();
    let mut reader = served.audit().parse::<Store>().unwrap().reader().await.unwrap();
    let take = &mut |row| {
        written.push(row);
        ControlFlow::Continue(())
    };
    reader.read(&Select::default(), take).await.unwrap();
    let RowBytes { intent, outcome, denial } = ROW_BYTES;
    let writer = &written[0].writer;
    for (kind, expected) in [("intent", intent), ("outcome", outcome), ("denial", denial)] {
        let entry = &written.iter().find(|row| row.entry.kind == kind).unwrap().entry;
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", directory.path().join("audit.db").display());
        // The name of a writer is in each row and in an index.
        let options = LoggerOptions { writer: writer.to_string(), ..options() };
        let (logger, _task) = Logger::open(url.parse().unwrap(), options).await.unwrap();
        let mut raw = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let before = bytes(&mut raw).await;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (logger, entry) = (logger.clone(), entry.clone());
            tasks.spawn(async move {
                for _ in 0..20 {
                    logger.append(entry.clone()).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
        let each = (bytes(&mut raw).await - before) / 1000;
        logger.close().await;
        let (least, most) = (expected * 3 / 4, expected * 5 / 4);
        assert!((least..=most).contains(&each), "{kind}: a row takes {each} bytes and is taken to need {expected}");
    }
}

/// How large a file is, whatever of it is still in its journal.
async fn bytes(raw: &mut sqlx::SqliteConnection) -> u64 {
    let pages: i64 = sqlx::query_scalar("pragma page_count").fetch_one(&mut *raw).await.unwrap();
    let size: i64 = sqlx::query_scalar("pragma page_size").fetch_one(raw).await.unwrap();
    u64::try_from(pages * size).unwrap()
}
