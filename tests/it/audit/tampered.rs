//! What somebody does to the rows behind the back of the log, found where it was done.

use std::time::Duration;

use doorward::audit::chain::{Finding, Verdict, Verifier};
use doorward::audit::store::{Logger, LoggerOptions, Store};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqliteConnection};
use tempfile::TempDir;

use super::{all, append, entry, options, verified, verify};
use crate::containers;

/// Twelve rows of two chains, and the seals of their writer.
async fn written(store: &Store) {
    let (logger, task) = Logger::open(store.clone(), options()).await.unwrap();
    for n in 0..12 {
        logger.append(entry(&format!("{}-{n}", "r".repeat(n % 2 + 1)))).await.unwrap();
    }
    logger.close().await;
    task.await.unwrap();
    assert!(verify(&all(store).await).is_whole());
}

/// The same rows in a file, and a way to them that is not the log's.
async fn file() -> (TempDir, Store, SqliteConnection) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", directory.path().join("audit.db").display());
    let store: Store = url.parse().unwrap();
    written(&store).await;
    let raw = SqliteConnection::connect(&url).await.unwrap();
    (directory, store, raw)
}

/// What the store says of itself, in one state.
async fn looked(store: &Store) -> Verdict {
    let mut connection = store.reader().await.unwrap();
    connection.snapshot().await.unwrap();
    verified(&mut connection).await
}

async fn found(store: &Store) -> Vec<Finding> {
    looked(store).await.findings
}

/// The row that is tampered with: the third of its chain.
const PLACE: &str = "where class = 'standard' and seq = 3";

/// An edit of each column, and what undoes it.
fn edits(instant: &str) -> Vec<(String, String)> {
    let mut edits = Vec::new();
    for column in ["agent", "issuer", "policy", "reason", "rule", "session", "trace"] {
        edits.push((format!("{column} = 'x'"), format!("{column} = null")));
        edits.push((format!("{column} = ''"), format!("{column} = null")));
    }
    for (column, value) in
        [("decision", "allow"), ("door", "tickets"), ("method", "tools/call"), ("name", "refund"), ("subject", "ana")]
    {
        edits.push((format!("{column} = null"), format!("{column} = '{value}'")));
        edits.push((format!("{column} = '{value} '"), format!("{column} = '{value}'")));
    }
    for column in ["kind", "request"] {
        edits.push((
            format!("{column} = {column} || 'x'"),
            format!("{column} = substr({column}, 1, length({column}) - 1)"),
        ));
    }
    for column in ["status", "latency"] {
        edits.push((format!("{column} = 0"), format!("{column} = null")));
    }
    for column in ["at", "written"] {
        edits.push((format!("{column} = {column} + {instant}"), format!("{column} = {column} - {instant}")));
    }
    edits
}

/// Each edit is found in its place, and nothing once it is undone.
async fn every_edit_is_found<F: AsyncFnMut(String)>(store: &Store, instant: &str, mut run: F) {
    for (edit, undone) in edits(instant) {
        run(format!("update audit_log set {edit} {PLACE}")).await;
        let findings = found(store).await;
        assert!(
            matches!(&findings[..], [f] if (f.fault.code(), &*f.class, f.from, f.to) == ("edited", "standard", 3, 3)),
            "{edit}: {findings:?}"
        );
        run(format!("update audit_log set {undone} {PLACE}")).await;
    }
    assert!(found(store).await.is_empty());
}

#[tokio::test]
async fn every_column_of_a_file_is_vouched_for() {
    let (_directory, store, mut raw) = file().await;
    raw.execute(
        "drop trigger audit_log_no_update; drop trigger audit_log_no_delete; pragma ignore_check_constraints = on",
    )
    .await
    .unwrap();
    every_edit_is_found(&store, "1", async |sql| {
        raw.execute(AssertSqlSafe(sql)).await.unwrap();
    })
    .await;
    // What no row holds, and text behind the data that poses as the columns which follow.
    let keep = "create table kept as select rowid as place, * from audit_log";
    raw.execute(keep).await.unwrap();
    for edit in [
        "prev = x'00'",
        "hash = x''",
        "subject = cast(x'ff' as text)",
        "subject = subject || char(0) || 'x'",
        "data = '[]'",
        "data = ''",
        r#"data = '{"arguments":{"amount":0},' || substr(data, 2)"#,
        r#"data = data || ',"decision":"allow"', decision = null"#,
        r#"data = data || ',"decision":"allow","door":"tickets"', decision = null, door = null"#,
    ] {
        raw.execute(AssertSqlSafe(format!("update audit_log set {edit} {PLACE}"))).await.unwrap();
        let findings = found(&store).await;
        assert_eq!(findings.iter().map(|f| (f.fault.code(), f.from)).collect::<Vec<_>>(), [("edited", 3)], "{edit}");
        raw.execute(
            "update audit_log set (prev, hash, subject, data, decision, door) = (select prev, hash, subject, data,
            decision, door from kept where place = audit_log.rowid)",
        )
        .await
        .unwrap();
        assert!(found(&store).await.is_empty(), "{edit}");
    }
    // Rows that are moved, far away too, taken out, put in and put in twice.
    for (change, code) in [
        ("update audit_log set rowid = 9223372036854775807 where class = 'standard' and seq = 3", "deleted reordered"),
        ("update audit_log set rowid = -rowid where class = 'standard' and seq = 3", "reordered"),
        ("update audit_log set rowid = -9223372036854775808 where class = 'standard' and seq = 3", "reordered"),
        ("delete from audit_log where class = 'standard' and seq = 3", "deleted"),
        ("delete from audit_log where class = 'standard' and seq = 6", "truncated"),
        ("update audit_log set seq = seq + 100 where class = 'standard' and seq = 3", "edited deleted"),
        ("update audit_log set writer = 'x' where class = 'standard' and seq = 3", "edited deleted"),
        ("update audit_log set class = 'financial' where class = 'standard' and seq = 6", "edited truncated"),
    ] {
        raw.execute("drop index if exists audit_log_place").await.unwrap();
        raw.execute(change).await.unwrap();
        let findings = found(&store).await;
        assert!(
            findings.iter().all(|f| code.contains(f.fault.code())) && !findings.is_empty(),
            "{change}: {findings:?}"
        );
        raw.execute("delete from audit_log").await.unwrap();
        let names =
            "class, written, writer, seq, at, kind, agent, decision, door, issuer, method, name, policy, reason,
            request, rule, session, subject, trace, status, latency, data, prev, hash";
        raw.execute(AssertSqlSafe(format!("insert into audit_log (rowid, {names}) select place, {names} from kept")))
            .await
            .unwrap();
        assert!(found(&store).await.is_empty(), "{change}");
    }
}

#[tokio::test]
async fn rows_cannot_be_hidden_from_whoever_verifies_by_the_name_of_a_column() {
    let (_directory, store, mut raw) = file().await;
    raw.execute(
        "drop trigger audit_log_no_update; create table kept as select rowid as place, * from audit_log;
        alter table audit_log add column rowid integer;
        update audit_log set rowid = (select place from kept k where k.hash = audit_log.hash);
        insert into audit_log select class, written, 'x', 1, at, kind, agent, 'deny', door, issuer, method, name, policy,
            reason, request, rule, session, subject, trace, status, latency, data, prev, hash, null
            from kept where class = 'standard' and seq = 3",
    )
    .await
    .unwrap();
    let mut connection = store.reader().await.unwrap();
    connection.snapshot().await.unwrap();
    let error = connection.verify(Verifier::new(Vec::new())).await.unwrap_err();
    assert!(error.to_string().contains("rowid"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_of_a_server_is_vouched_for() {
    let Some(server) = containers::postgres("every_column_of_a_server_is_vouched_for") else { return };
    let database = server.database().await;
    let store: Store = server.url(&database).parse().unwrap();
    written(&store).await;
    let mut raw = server.connect(&database).await;
    raw.execute("set session_replication_role = replica").await.unwrap();
    every_edit_is_found(&store, "interval '1 microsecond'", async |sql| {
        raw.execute(AssertSqlSafe(sql)).await.unwrap();
    })
    .await;
    raw.execute("create table kept as select * from audit_log").await.unwrap();
    for (change, code) in [
        ("update audit_log set at = 'infinity' where class = 'standard' and seq = 3", "edited"),
        ("update audit_log set data = '[]' where class = 'standard' and seq = 3", "edited"),
        (r#"update audit_log set data = data || '{"x": 1}' where class = 'standard' and seq = 3"#, "edited"),
        (r"update audit_log set prev = decode(repeat('00', 32), 'hex') where class = 'standard' and seq = 3", "edited"),
        ("update audit_log set hash = prev where class = 'standard' and seq = 3", "edited"),
        ("delete from audit_log where class = 'standard' and seq = 3", "deleted"),
        ("delete from audit_log where class = 'standard' and seq = 6", "truncated"),
        ("update audit_log set writer = 'x' where class = 'standard' and seq = 3", "edited deleted"),
    ] {
        raw.execute(change).await.unwrap();
        let findings = found(&store).await;
        assert!(
            findings.iter().all(|f| code.contains(f.fault.code())) && !findings.is_empty(),
            "{change}: {findings:?}"
        );
        raw.execute("delete from audit_log; insert into audit_log select * from kept").await.unwrap();
        assert!(found(&store).await.is_empty(), "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_verified_in_parts_while_it_grows() {
    let directory = tempfile::tempdir().unwrap();
    let store: Store = format!("sqlite:{}", directory.path().join("audit.db").display()).parse().unwrap();
    let patient = LoggerOptions { patience: Duration::from_mins(2), ..options() };
    let (logger, _task) = Logger::open(store.clone(), patient).await.unwrap();
    // More rows than several parts have.
    append(&logger, "before", 128, 40).await;
    let (writing, reading) = tokio::join!(append(&logger, "while", 64, 40), async {
        let mut looks = Vec::new();
        for _ in 0..3 {
            looks.push(looked(&store).await);
        }
        looks
    });
    assert_eq!(writing.len(), 64 * 40);
    for verdict in reading {
        assert!(verdict.is_whole() && verdict.rows >= 5_120, "{:?}", verdict.findings);
    }
}
