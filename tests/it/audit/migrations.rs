//! Logs that an earlier version made, and who may bring them up to date.

use doorward::audit::chain::{Column, Entry, Row, SealKind, Tail};
use doorward::audit::store::{Logger, Store, StoreErrorKind};
use serde_json::Map;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqlSafeStr as _, SqliteConnection};

use super::{START, all, entry, key, options, verify};
use crate::containers;

/// The tables of version 1.
fn first(sql: &'static str) -> Migrator {
    let first = Migration::new(1, "audit log".into(), MigrationType::Simple, sql.into_sql_str(), false);
    let mut migrator = Migrator::with_migrations(vec![first]);
    migrator.dangerous_set_table_name("audit_log_migrations");
    migrator
}

/// What a gateway of version 1 wrote before it was killed.
fn written() -> Vec<Row> {
    let (mut tail, mut buffer) = (Tail::new("of-version-1".into()), Vec::new());
    let mut rows = vec![tail.seal(SealKind::Open, Map::new(), START, Some(&key()), &mut buffer)];
    for n in 0..5 {
        let entry = Entry::new("standard".into(), "intent", START + n).with(Column::Subject, "ana");
        rows.push(tail.append(entry, START + n, &mut buffer));
    }
    rows
}

const COLUMNS: &str = "class, writer, seq, kind, subject, data, prev, hash, at, written";

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_version_1_is_brought_up_to_date_with_its_rows() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("audit.db").display());
    let mut raw = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    raw.execute("pragma journal_mode = wal").await.unwrap();
    first(include_str!("../../../src/audit/store/sqlite/0001_audit_log.sql")).run(&mut raw).await.unwrap();
    for row in written() {
        let sql = format!("insert into audit_log ({COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
        let query = sqlx::query(AssertSqlSafe(sql)).bind(row.entry.class.to_string()).bind(row.writer.to_string());
        let query = query.bind(row.seq).bind(row.entry.kind.to_string()).bind(row.entry.get(Column::Subject));
        let query = query.bind(row.entry.data().to_owned()).bind(row.prev.as_bytes().as_slice());
        let query = query.bind(row.hash.as_bytes().as_slice()).bind(row.entry.at).bind(row.written);
        query.execute(&mut raw).await.unwrap();
    }
    raw.close().await.unwrap();
    let store: Store = url.parse().unwrap();
    let (logger, _task) = Logger::open(store.clone(), options()).await.unwrap();
    logger.append(entry("after")).await.unwrap();
    logger.close().await;
    let verdict = verify(&all(&store).await);
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    assert_eq!((verdict.rows, verdict.unsealed()), (9, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_version_1_is_brought_up_to_date_by_its_owner_alone() {
    let Some(server) = containers::postgres("a_server_of_version_1_is_brought_up_to_date") else { return };
    let database = server.database().await;
    let mut raw = server.connect(&database).await;
    first(include_str!("../../../src/audit/store/postgres/0001_audit_log.sql")).run(&mut raw).await.unwrap();
    raw.execute("select audit_log_partition(class, '2026-03-02') from unnest(array['.log', 'standard']) class")
        .await
        .unwrap();
    for row in written() {
        let sql = format!(
            "insert into audit_log ({COLUMNS}) select $1, $2, $3, $4, $5, $6::jsonb, $7, $8, \
             timestamptz 'epoch' + $9 * interval '1 microsecond', timestamptz 'epoch' + $10 * interval '1 microsecond'"
        );
        let query = sqlx::query(AssertSqlSafe(sql)).bind(row.entry.class.to_string()).bind(row.writer.to_string());
        let query = query.bind(row.seq).bind(row.entry.kind.to_string()).bind(row.entry.get(Column::Subject));
        let query = query.bind(row.entry.data().to_owned()).bind(row.prev.as_bytes().to_vec());
        let query = query.bind(row.hash.as_bytes().to_vec()).bind(row.entry.at).bind(row.written);
        query.execute(&mut raw).await.unwrap();
    }
    raw.execute(
        "drop role if exists gateway_b; create role gateway_b login password 'gateway' in role doorward_writer",
    )
    .await
    .unwrap();
    let limited: Store = server.url(&database).replace("postgres:postgres@", "gateway_b:gateway@").parse().unwrap();
    let refused = Logger::open(limited.clone(), options()).await.unwrap_err();
    assert_eq!(refused.kind, StoreErrorKind::NoLog);
    assert!(refused.to_string().contains("run `doorward audit init` as it"), "{refused}");
    // The owner does, for a role of its own name, and then the gateway need not be the owner.
    let place = crate::place::Place::new();
    let mut command = place.command(&["audit", "init", "--store=env:STORE", "--role=gateway_b"]);
    let ran = crate::place::ran(command.env("STORE", server.url(&database)).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("the role `gateway_b` may insert and read"), "{}", ran.stdout);
    let (logger, _task) = Logger::open(limited, options()).await.unwrap();
    logger.append(entry("after")).await.unwrap();
    logger.close().await;
    let store: Store = server.url(&database).parse().unwrap();
    let verdict = verify(&all(&store).await);
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    assert_eq!((verdict.rows, verdict.unsealed()), (9, 0));
    bounded(&server.url(&database).replace("postgres:postgres@", "gateway_b:gateway@")).await;
    raw.execute("drop owned by gateway_b; drop role gateway_b").await.unwrap();
}

/// What a gateway may have made is bounded, and made of what the owner made alone.
async fn bounded(url: &str) {
    let mut gateway = PgConnection::connect(url).await.unwrap();
    for (class, month) in [("", "2026-03-01"), ("standard", "1999-01-01"), ("standard", "9999-01-01")] {
        let sql = format!("select audit_log_partition('{class}', '{month}')");
        let error = gateway.execute(AssertSqlSafe(sql)).await.unwrap_err();
        assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("22023"), "{class} {month}: {error}");
    }
    let long = format!("select audit_log_partition('{}', now())", "x".repeat(201));
    gateway.execute(AssertSqlSafe(long)).await.unwrap_err();
    // A function of the caller's own under the name of a built-in one is not called.
    let setting: Vec<String> =
        sqlx::query_scalar("select unnest(proconfig) from pg_proc where proname = 'audit_log_partition'")
            .fetch_all(&mut gateway)
            .await
            .unwrap();
    assert_eq!(setting, ["search_path=public, pg_temp"]);
    // Classes beyond any policy are not made.
    let mut made = 0;
    let error = loop {
        let sql = format!("select audit_log_partition('class-{made}', now())");
        match gateway.execute(AssertSqlSafe(sql)).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 300, "there is no end");
    };
    assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some("54000"), "{made}: {error}");
    gateway.close().await.unwrap();
}
