//! The audit log in a file.

use std::time::{Duration, Instant};

use doorward::audit::chain::Column;
use doorward::audit::store::{Logger, Order, Refused, Select, Store, StoreErrorKind};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::faults::{impatient, recovered};
use super::{START, a_store_keeps_what_it_was_given, all, append, entry, holds, options, rows, verify};

fn place() -> (tempfile::TempDir, Store, String) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("audit.db").display());
    (directory, url.parse().unwrap(), url)
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_what_it_was_given() {
    let (_directory, store, _) = place();
    a_store_keeps_what_it_was_given(&store).await;
}

#[tokio::test]
async fn rows_of_a_file_are_only_ever_inserted() {
    let (_directory, store, url) = place();
    let (logger, _task) = Logger::open(store.clone(), options()).await.unwrap();
    logger.append(entry("one")).await.unwrap();
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    for sql in ["update audit_log set subject = 'bob'", "delete from audit_log"] {
        assert!(raw.execute(sql).await.is_err(), "{sql}");
    }
    let copy = "create temp table copy as select * from audit_log; update copy set subject = 'bob';
        replace into audit_log select * from copy; insert or replace into audit_log select * from copy";
    raw.execute(copy).await.unwrap();
    assert!(verify(&all(&store).await).is_whole());
    // Whoever takes the triggers away can change rows, and is found out.
    raw.execute("drop trigger audit_log_no_update").await.unwrap();
    raw.execute("update audit_log set subject = 'bob' where request = 'one'").await.unwrap();
    logger.close().await;
    let verdict = verify(&all(&store).await);
    assert_eq!(verdict.findings.len(), 1, "{:?}", verdict.findings);
    assert_eq!(verdict.findings[0].fault.code(), "edited");
    // Every row is flushed when it is acknowledged.
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&mut raw).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn a_file_that_another_process_holds_is_waited_for_and_then_refused() {
    let (_directory, store, url) = place();
    let (logger, _task) = Logger::open(store.clone(), options()).await.unwrap();
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    raw.execute("begin immediate").await.unwrap();
    let refused = logger.append(entry("one")).await;
    assert_eq!(refused, Err(Refused::Late));
    raw.execute("rollback").await.unwrap();
    // It recovers by itself, and what it wrote after nobody waited any more is marked.
    let mut acknowledged = std::collections::BTreeSet::new();
    for n in 0..200 {
        if logger.append(entry(&format!("r{n}"))).await.is_ok() {
            acknowledged.insert(format!("r{n}"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(acknowledged.len(), 1);
    logger.close().await;
    holds(&all(&store).await, &acknowledged);
}

#[tokio::test]
async fn a_copy_that_was_put_back_gets_the_rows_that_it_lacks() {
    let (directory, store, url) = place();
    let (logger, _task) = Logger::open(store.clone(), impatient()).await.unwrap();
    let mut acknowledged = append(&logger, "before", 2, 3).await;
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    let copy = directory.path().join("copy.db");
    let vacuum = format!("vacuum into '{}'", copy.display());
    sqlx::query(sqlx::AssertSqlSafe(vacuum)).execute(&mut raw).await.unwrap();
    acknowledged.extend(append(&logger, "lost", 2, 3).await);
    assert_eq!(acknowledged.len(), 12);
    // The file is held until the writer lets go of it, and is another one then.
    raw.execute("begin immediate").await.unwrap();
    assert!(logger.append(entry("meanwhile")).await.is_err());
    let begin = Instant::now();
    while logger.health().away.is_none() {
        assert!(begin.elapsed() < Duration::from_mins(1), "{:?}", logger.health());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for beside in ["audit.db-wal", "audit.db-shm"] {
        std::fs::remove_file(directory.path().join(beside)).unwrap();
    }
    std::fs::rename(copy, directory.path().join("audit.db")).unwrap();
    acknowledged.extend(recovered(&logger, "after").await);
    let health = logger.health();
    assert!(health.restored >= 6 && health.lost == 0, "{health:?}");
    logger.close().await;
    holds(&all(&store).await, &acknowledged);
}

#[tokio::test]
async fn rows_are_found_by_what_they_say() {
    let (_directory, store, _) = place();
    let (logger, _task) = Logger::open(store.clone(), options()).await.unwrap();
    for (n, subject) in ["ana", "bob", "ana", "eve"].into_iter().enumerate() {
        let mut entry = entry(&format!("r{n}")).with(Column::Subject, subject);
        entry.at = START + i64::try_from(n).unwrap();
        logger.append(entry).await.unwrap();
    }
    logger.close().await;
    let mut reader = store.reader().await.unwrap();
    let subject = |name: &str| (Column::Subject, name.to_owned());
    for (select, expected) in [
        (Select { texts: vec![subject("ana")], order: Order::Earliest, ..Select::default() }, "r0 r2"),
        (Select { texts: vec![subject("ana"), subject("eve")], order: Order::Latest, ..Select::default() }, "r3 r2 r0"),
        (
            Select {
                since: Some(START + 1),
                until: Some(START + 3),
                kind: Some("intent".into()),
                order: Order::Earliest,
                ..Select::default()
            },
            "r1 r2",
        ),
        (Select { kind: Some("intent".into()), order: Order::Latest, limit: Some(1), ..Select::default() }, "r3"),
        (Select { texts: vec![subject("nobody")], ..Select::default() }, ""),
    ] {
        let found = rows(&mut reader, &select).await;
        let found: Vec<&str> = found.iter().filter_map(|row| row.entry.get(Column::Request)).collect();
        assert_eq!(found.join(" "), expected, "{select:?}");
    }
}

#[tokio::test]
async fn what_is_no_store_or_holds_no_log_says_so() {
    assert_eq!("mysql://x".parse::<Store>().unwrap_err().kind, StoreErrorKind::NotAStore);
    let (directory, store, url) = place();
    assert_eq!(store.reader().await.unwrap_err().kind, StoreErrorKind::Unreachable);
    assert!(!directory.path().join("audit.db").exists());
    let mut raw = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    raw.execute("create table other (x)").await.unwrap();
    let mut reader = store.reader().await.unwrap();
    let error = reader.read(&Select::default(), &mut |_| std::ops::ControlFlow::Continue(())).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::NoLog);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_of_commits_is_copied_back_beside_the_writer_and_does_not_grow_with_the_rows() {
    let (directory, store, _) = place();
    let (logger, _task) = Logger::open(store.clone(), options()).await.unwrap();
    let acknowledged = append(&logger, "many", 64, 400).await;
    let size = |name: &str| std::fs::metadata(directory.path().join(name)).map_or(0, |file| file.len());
    let (file, commits) = (size("audit.db"), size("audit.db-wal"));
    // The writer would have copied nothing before 8,192 pages, and has written some 14 MB.
    assert!(file > 2 << 20, "only {file} bytes are copied");
    assert!(commits < 34 << 20, "{commits} bytes wait to be copied");
    logger.close().await;
    assert_eq!(size("audit.db-wal"), 0, "whoever closes leaves nothing to be copied");
    holds(&all(&store).await, &acknowledged);
}
