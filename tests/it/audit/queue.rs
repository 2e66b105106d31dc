//! What waits is bounded, and what finds no room is refused at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward::audit::Ledger;
use doorward::audit::chain::Column;
use doorward::audit::store::{Logger, LoggerOptions, Store};
use doorward::pep::{Ask, Limits};
use serde_json::{Map, Value, json};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use tokio::task::JoinSet;

use super::{all, entry, options, verify};
use crate::guard::world::{ALL_SCOPES, POLICY, Rows, guard};
use crate::identity::{claims, header, with};

const PATIENCE: Duration = Duration::from_mins(1);

/// A log in a file, and a connection that holds the file.
async fn held(options: LoggerOptions) -> (tempfile::TempDir, Store, Logger, SqliteConnection) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("audit.db").display());
    let store: Store = url.parse().unwrap();
    let (logger, _task) = Logger::open(store.clone(), options).await.unwrap();
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    raw.execute("begin immediate").await.unwrap();
    (directory, store, logger, raw)
}

/// More callers than there is room for: five of eight are refused while the others still wait.
async fn refused<C>(waiting: &mut JoinSet<Result<(), String>>, call: impl Fn(usize) -> C, how: &str)
where
    C: Future<Output = Result<(), String>> + Send + 'static,
{
    let begin = Instant::now();
    for n in 0..8 {
        waiting.spawn(call(n));
    }
    for _ in 0..5 {
        assert_eq!(waiting.join_next().await.unwrap().unwrap().unwrap_err(), how);
    }
    assert!(begin.elapsed() < PATIENCE / 2, "at once: {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_full_refuses_the_request_and_takes_the_next_when_there_is_room() {
    let few = LoggerOptions { queue: 2, batch: 1, patience: PATIENCE, ..options() };
    let (_directory, store, logger, mut raw) = held(few).await;
    let log = Arc::new(Ledger::new(logger.clone(), None));
    let (guard, signer, _) = guard(POLICY, Limits::default(), log);
    let token = signer.sign(&header(), &with(claims(), &json!({"scope": ALL_SCOPES})));
    let call = || {
        let (guard, token) = (guard.clone(), token.clone());
        async move {
            let arguments: Map<String, Value> = json!({"query": "x"}).as_object().unwrap().clone();
            let who = guard.authenticate("desk", Some(&token)).await.unwrap();
            let permitted = who.permit(Ask::tool("find", arguments)).await.unwrap();
            match permitted.record(None).await {
                Ok(recorded) => recorded.run(async { Ok::<_, String>(()) }).await,
                Err(refusal) => Err(format!("{} {}", refusal.status(), refusal.code().as_str())),
            }
        }
    };
    let mut waiting = JoinSet::new();
    refused(&mut waiting, |_| call(), "503 audit-unavailable").await;
    raw.execute("rollback").await.unwrap();
    let mut recovered = false;
    for _ in 0..600 {
        if call().await.is_ok() {
            recovered = true;
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(recovered);
    waiting.join_all().await;
    logger.close().await;
    assert!(verify(&all(&store).await).is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_bounded_in_bytes_too() {
    let few = LoggerOptions { queue_bytes: 200_000, patience: PATIENCE, ..options() };
    let (_directory, store, logger, mut raw) = held(few).await;
    let large = |n: usize| {
        let data = json!({"x": "y".repeat(60_000)});
        entry(&format!("large{n}")).with_data(data.as_object().unwrap().clone())
    };
    let call = |n| {
        let (logger, row) = (logger.clone(), large(n));
        async move { logger.append(row).await.map(drop).map_err(|refused| format!("{refused:?}")) }
    };
    let mut waiting = JoinSet::new();
    refused(&mut waiting, call, "Full").await;
    raw.execute("rollback").await.unwrap();
    waiting.join_all().await;
    // The bytes are free again.
    let mut written = false;
    for n in 8..600 {
        written = logger.append(large(n)).await.is_ok();
        if written {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(written);
    logger.close().await;
    assert!(verify(&all(&store).await).is_whole());
}

#[tokio::test]
async fn a_secret_in_the_name_of_what_is_asked_for_is_not_kept() {
    let rows = Arc::new(Rows::default());
    let (guard, signer, _) = guard(POLICY, Limits::default(), Arc::clone(&rows) as _);
    let token = signer.sign(&header(), &with(claims(), &json!({"scope": ALL_SCOPES})));
    let names = ["https://x.example/y?access_token=hunter2hunter2", "ghp_0123456789abcdef0123456789abcdef0123"];
    for name in names {
        let who = guard.authenticate("desk", Some(&token)).await.unwrap();
        who.permit(Ask::tool(name, Map::new())).await.unwrap_err();
    }
    let intents = rows.intents.lock().unwrap();
    for intent in intents.iter() {
        assert!(intent.name.contains("[redacted]"), "{}", intent.name);
        let all = serde_json::to_string(intent).unwrap();
        assert!(!all.contains("hunter2") && !all.contains("0123456789abcdef"), "{all}");
    }
    assert_eq!(intents.len(), names.len());
}

#[tokio::test]
async fn a_row_says_when_within_its_second_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let store: Store = format!("sqlite:{}", directory.path().join("audit.db").display()).parse().unwrap();
    // The guard's clock says 1200 seconds; that of the log says more exactly when.
    let exactly = LoggerOptions { clock: Arc::new(|| 1_200_345_678), ..options() };
    let (logger, _task) = Logger::open(store.clone(), exactly).await.unwrap();
    let log = Arc::new(Ledger::new(logger.clone(), None));
    let (guard, signer, _) = guard(POLICY, Limits::default(), log);
    let token = signer.sign(&header(), &with(claims(), &json!({"scope": ALL_SCOPES})));
    let who = guard.authenticate("desk", Some(&token)).await.unwrap();
    let permitted = who.permit(Ask::tool("find", Map::new())).await.unwrap();
    drop(permitted.record(None).await.unwrap());
    logger.close().await;
    let rows = all(&store).await;
    let at = |kind: &str| rows.iter().find(|row| row.entry.kind == kind).unwrap().entry.at;
    assert_eq!((at("intent"), at("outcome")), (1_200_345_678, 1_200_345_678));
    let intent = rows.iter().find(|row| row.entry.kind == "intent").unwrap();
    assert_eq!(intent.entry.get(Column::Name), Some("find"));
}
