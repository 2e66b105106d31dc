//! The audit log in its databases.

mod commands;
mod dead;
mod disk;
mod example;
mod failover;
mod faults;
mod follow;
mod migrations;
mod postgres;
pub(crate) mod proxy;
mod prune;
mod queue;
mod rates;
mod sqlite;
mod tampered;
mod tls;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use doorward::audit::chain::{Column, Entry, LOG_CLASS, PublicKey, Row, SealKind, SigningKey, Tail, Verdict, Verifier};
use doorward::audit::store::{Clock, Connection, Logger, LoggerOptions, Select, Store, StoreErrorKind};

/// 2026-03-02T08:00:00Z, in microseconds.
const START: i64 = 1_772_438_400_000_000;

/// A clock that counts how often it is read.
fn clock() -> Clock {
    let now = AtomicI64::new(START);
    Arc::new(move || now.fetch_add(1, Ordering::Relaxed))
}

fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::from_seed(&[3; 32]).unwrap())
}

/// Options with a writer of its own.
pub(crate) fn options() -> LoggerOptions {
    static WRITERS: AtomicU32 = AtomicU32::new(0);
    let writer = format!("{:08x}-{}", WRITERS.fetch_add(1, Ordering::Relaxed), std::process::id());
    LoggerOptions { key: Some(key()), node: "test".into(), ..LoggerOptions::new(writer, clock()) }
}

pub(crate) fn entry(request: &str) -> Entry {
    let data = serde_json::json!({"arguments": {"amount": 1.50, "z": [1e300, "ä\u{1f600}"], "a": null}});
    Entry::new(["standard", "financial"][usize::from(request.len().is_multiple_of(2))].into(), "intent", START)
        .with(Column::Request, request)
        .with(Column::Door, "tickets")
        .with(Column::Method, "tools/call")
        .with(Column::Name, "refund")
        .with(Column::Subject, "ana")
        .with(Column::Decision, "allow")
        .with_data(data.as_object().unwrap().clone())
}

async fn rows(connection: &mut Connection, select: &Select) -> Vec<Row> {
    let mut rows = Vec::new();
    connection
        .read(select, &mut |row| {
            rows.push(row);
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
    rows
}

/// Every row of the log, in the order of the chains.
pub(crate) async fn all(store: &Store) -> Vec<Row> {
    let mut connection = store.reader().await.unwrap();
    connection.snapshot().await.unwrap();
    let rows = rows(&mut connection, &Select::default()).await;
    // The store says of them what they say one by one.
    let verdict = verified(&mut connection).await;
    assert_eq!((verdict.rows, verdict.findings), (rows.len() as u64, verify(&rows).findings));
    rows
}

/// What the store says of itself.
async fn verified(connection: &mut Connection) -> Verdict {
    let mut verifier = Verifier::new(vec![key().public().clone()]);
    let mut seals = |mut row| {
        verifier.seal(&mut row);
        ControlFlow::Continue(())
    };
    connection.read(&Select::class(LOG_CLASS), &mut seals).await.unwrap();
    connection.verify(verifier).await.unwrap().finish()
}

fn verify(rows: &[Row]) -> Verdict {
    verify_with(rows, vec![key().public().clone()])
}

pub(crate) fn verify_with(rows: &[Row], keys: Vec<PublicKey>) -> Verdict {
    let mut verifier = Verifier::new(keys);
    for row in rows {
        verifier.seal(&mut row.clone());
    }
    for row in rows {
        verifier.row(&mut row.clone());
    }
    verifier.finish()
}

/// The log is whole, each acknowledged request is there once, and each that is there without having
/// been acknowledged is said to be.
fn holds(rows: &[Row], acknowledged: &BTreeSet<String>) {
    let verdict = verify(rows);
    assert!(verdict.is_whole(), "{:#?}", verdict.findings);
    let of = |kind: &str| -> Vec<String> {
        let of = rows.iter().filter(|row| row.entry.kind == kind);
        of.map(|row| row.entry.get(Column::Request).unwrap().to_owned()).collect()
    };
    let (intents, unconfirmed) = (of("intent"), of("unconfirmed"));
    let mut there = BTreeSet::new();
    let twice: Vec<&String> = intents.iter().filter(|request| !there.insert((*request).clone())).collect();
    assert!(twice.is_empty(), "a row is there twice: {twice:?}");
    let missing: Vec<_> = acknowledged.difference(&there).collect();
    assert!(missing.is_empty(), "acknowledged and not there: {missing:?}");
    let extra: BTreeSet<String> = there.difference(acknowledged).cloned().collect();
    assert_eq!(extra, unconfirmed.into_iter().collect::<BTreeSet<_>>());
}

/// Appends `count` rows from `callers` at once, and gives those that were acknowledged.
async fn append(logger: &Logger, name: &str, callers: usize, count: usize) -> BTreeSet<String> {
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (logger, name) = (logger.clone(), name.to_owned());
        tasks.spawn(async move {
            let mut acknowledged = Vec::new();
            for n in 0..count {
                let request = format!("{name}-{caller}-{n}");
                if logger.append(entry(&request)).await.is_ok() {
                    acknowledged.push(request);
                }
            }
            acknowledged
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// What any store must do, started twice at once and again.
async fn a_store_keeps_what_it_was_given(store: &Store) {
    let (a, b) = tokio::join!(
        Logger::open(store.clone(), options()),
        Logger::open(store.clone(), LoggerOptions { checkpoint_rows: 20, ..options() })
    );
    let ((a, a_task), (b, b_task)) = (a.unwrap(), b.unwrap());
    let (of_a, of_b) = tokio::join!(append(&a, "a", 10, 10), append(&b, "bb", 10, 10));
    assert_eq!((of_a.len(), of_b.len()), (100, 100));
    assert!(a.health().batches < 60, "{:?}", a.health());
    a.close().await;
    // The second is gone without a word.
    b_task.abort();
    assert!(b_task.await.unwrap_err().is_cancelled());
    a_task.await.unwrap();
    assert!(a.append(entry("late")).await.is_err());

    let (c, _task) = Logger::open(store.clone(), options()).await.unwrap();
    assert!(c.append(entry("c")).await.is_ok());
    c.close().await;
    let rows = all(store).await;
    let acknowledged = of_a.into_iter().chain(of_b).chain(["c".to_owned()]).collect();
    holds(&rows, &acknowledged);
    let kinds = |kind: &str| rows.iter().filter(|row| row.entry.kind == kind).count();
    assert_eq!((kinds("open"), kinds("close")), (3, 2));
    assert!(kinds("checkpoint") >= 4);
    // The third names the heads of the one that did not close: nothing can be cut off it in silence.
    assert_eq!(verify(&rows).unsealed(), 0);
    let (cut, keep): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| {
        let last = rows.iter().rfind(|other| other.writer == row.writer && other.entry.class == row.entry.class);
        last == Some(*row) && row.entry.class.starts_with("fin")
    });
    let keep: Vec<Row> = keep.into_iter().cloned().collect();
    assert_eq!(verify(&keep).findings.len(), cut.len());
    places_are_taken_once(store).await;
}

/// A row that is sent again is there once; another in its place is neither written nor acknowledged.
async fn places_are_taken_once(store: &Store) {
    let mut tail = Tail::new(options().writer.as_str().into());
    let mut buffer = Vec::new();
    let open = tail.seal(SealKind::Open, serde_json::Map::new(), START, Some(&key()), &mut buffer);
    let mut other = tail.clone();
    let row = tail.append(entry("one"), START, &mut buffer);
    let other = other.append(entry("two"), START, &mut buffer);
    let another = tail.append(entry("three"), START, &mut buffer);
    assert_eq!((row.seq, &row.entry.class, row.written), (other.seq, &other.entry.class, other.written));
    let mut connection = store.writer().await.unwrap();
    connection.insert(&[open.clone(), row.clone()]).await.unwrap();
    connection.insert_again(&[open, row.clone(), another.clone()]).await.unwrap();
    let count = all(store).await.len();
    for rows in [vec![row.clone()], vec![other.clone()], vec![another, other.clone()]] {
        let mut connection = store.writer().await.unwrap();
        assert_eq!(connection.insert(&rows).await.unwrap_err().kind, StoreErrorKind::Taken);
        if rows.contains(&other) {
            let mut connection = store.writer().await.unwrap();
            assert_eq!(connection.insert_again(&rows).await.unwrap_err().kind, StoreErrorKind::Taken);
        }
    }
    assert_eq!(all(store).await.len(), count);
}
