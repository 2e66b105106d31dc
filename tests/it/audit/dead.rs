//! Writers that were killed: each later one vouches for what they left, and names it once.

use doorward::audit::chain::Row;
use doorward::audit::store::{Logger, Store};
use sqlx::Executor as _;

use super::{all, entry, options, verify};
use crate::containers;

/// How many heads each `open` names, in the order of their times.
fn named(rows: &[Row]) -> Vec<usize> {
    let mut opens: Vec<&Row> = rows.iter().filter(|row| row.entry.kind == "open").collect();
    opens.sort_by_key(|row| row.written);
    opens.iter().map(|row| row.entry.data_object()["heads"].as_array().unwrap().len()).collect()
}

#[tokio::test]
async fn the_heads_of_the_dead_are_named_once_however_many_there_are() {
    let directory = tempfile::tempdir().unwrap();
    let store: Store = format!("sqlite:{}", directory.path().join("audit.db").display()).parse().unwrap();
    for n in 0..60 {
        let mut options = options();
        let clock = options.clock.clone();
        options.clock = std::sync::Arc::new(move || clock() + n * 1_000);
        let (logger, task) = Logger::open(store.clone(), options).await.unwrap();
        // Rows of two classes.
        for request in ["odd", "even"] {
            logger.append(entry(request)).await.unwrap();
        }
        if n % 3 == 0 {
            logger.close().await;
        } else {
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
        }
    }
    let rows = all(&store).await;
    let named = named(&rows);
    assert_eq!(named.len(), 60);
    assert!(named.iter().all(|heads| *heads <= 3), "{named:?}");
    assert!(verify(&rows).is_whole());
    // Every row but those of the last writer is vouched for: whichever is cut off is missed.
    let last = rows.iter().filter(|row| row.entry.kind == "open").max_by_key(|row| row.written).unwrap();
    let ends = rows.iter().filter(|row| {
        let behind = |other: &&Row| other.writer == row.writer && other.entry.class == row.entry.class;
        row.writer != last.writer && rows.iter().filter(behind).all(|other| other.seq <= row.seq)
    });
    for end in ends.step_by(7) {
        let cut: Vec<Row> = rows.iter().filter(|row| *row != end).cloned().collect();
        assert_eq!(verify(&cut).findings.len(), 1, "{end:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heads_of_the_dead_are_found_without_reading_the_log() {
    let Some(server) = containers::postgres("the_heads_of_the_dead_are_found_without_reading_the_log") else { return };
    let database = server.database().await;
    let store: Store = server.url(&database).parse().unwrap();
    let (logger, _task) = Logger::open(store.clone(), options()).await.unwrap();
    logger.close().await;
    let mut raw = server.connect(&database).await;
    // 600 writers that opened and did not close, with 100 rows each.
    let rows = "select audit_log_partition('standard', now()), audit_log_partition('.log', now());
        insert into audit_log (class, written, writer, seq, at, kind, data, prev, hash)
        select class, now(), 'w' || n % 600, n / 600 + 1, now(), case when class = '.log' then 'open' else 'intent' end, '{}',
            sha256('a'), sha256(n::text::bytea)
        from (select '.log', generate_series(0, 599) union all select 'standard', generate_series(0, 59999)) as r(class, n);
        analyze audit_log";
    raw.execute(rows).await.unwrap();
    let counted = "select coalesce(sum(seq_tup_read), 0)::bigint, coalesce(sum(idx_scan), 0)::bigint
        from pg_stat_user_tables where relname like 'audit_log_standard%'";
    let before: (i64, i64) = sqlx::query_as(counted).fetch_one(&mut raw).await.unwrap();
    let mut connection = store.writer().await.unwrap();
    let heads = connection.heads(None).await.unwrap();
    connection.close().await;
    let ends = heads.iter().filter(|head| head.class == "standard" && head.seq == 100).count();
    assert_eq!(ends, 600, "{heads:?}");
    // What a session read is counted once it has ended.
    for _ in 0..600 {
        let after: (i64, i64) = sqlx::query_as(counted).fetch_one(&mut raw).await.unwrap();
        if after.1 > before.1 {
            assert_eq!(after.0, before.0, "rows of the log were read one after the other");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("nothing was looked up in an index");
}
