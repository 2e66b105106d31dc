//! The audit log on a real `PostgreSQL`.

use doorward::audit::store::{Logger, LoggerOptions, Refused, Store};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::{START, a_store_keeps_what_it_was_given, all, append, entry, holds, options, verify};
use crate::containers;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_it_was_given() {
    let Some(server) = containers::postgres("postgres_keeps_what_it_was_given") else { return };
    let store: Store = server.url(&server.database().await).parse().unwrap();
    a_store_keeps_what_it_was_given(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_server_are_only_ever_inserted_and_its_role_may_do_no_more() {
    let Some(server) = containers::postgres("rows_of_a_server_are_only_ever_inserted") else { return };
    let database = server.database().await;
    let store: Store = server.url(&database).parse().unwrap();
    let (logger, _task) = Logger::open(store.clone(), options()).await.unwrap();
    logger.append(entry("one")).await.unwrap();
    logger.close().await;
    let mut raw = server.connect(&database).await;
    let partitions: Vec<String> =
        sqlx::query_scalar("select relid::text from pg_partition_tree('audit_log') where isleaf order by 1")
            .fetch_all(&mut raw)
            .await
            .unwrap();
    // Two classes, with the month of the clock and the two that follow.
    assert_eq!(partitions.len(), 6, "{partitions:?}");
    assert!(partitions.iter().any(|name| name.ends_with("_2026_05")), "{partitions:?}");
    for table in ["audit_log"].into_iter().chain(partitions.iter().map(String::as_str)) {
        for sql in ["update TABLE set subject = 'bob'", "delete from TABLE", "truncate TABLE"] {
            let is_empty = sqlx::query(AssertSqlSafe(format!("select 1 from {table}"))).fetch_optional(&mut raw).await;
            let refused = raw.execute(AssertSqlSafe(sql.replace("TABLE", table))).await;
            let changes = refused.as_ref().map_or(0, sqlx::postgres::PgQueryResult::rows_affected);
            assert!(refused.is_err() || is_empty.unwrap().is_none() && changes == 0, "{sql} {table}");
        }
    }
    // Another that has the rights of a gateway alone.
    raw.execute(
        "drop role if exists gateway_a; create role gateway_a login password 'gateway' in role doorward_writer",
    )
    .await
    .unwrap();
    let url = server.url(&database).replace("postgres:postgres@", "gateway_a:gateway@");
    let limited: Store = url.parse().unwrap();
    assert!(!format!("{limited:?}").contains("gateway_a:gateway"));
    let (logger, _task) = Logger::open(limited, options()).await.unwrap();
    // The partitions of a new class too.
    let other = doorward::audit::chain::Entry::new("a class of its own, with a long name".into(), "intent", START);
    logger.append(other).await.unwrap();
    logger.append(entry("two")).await.unwrap();
    logger.close().await;
    let mut as_gateway = PgConnection::connect(&url).await.unwrap();
    for sql in ["update audit_log set seq = 0", "delete from audit_log", "truncate audit_log", "drop table audit_log"] {
        let error = as_gateway.execute(sql).await.unwrap_err();
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
    }
    assert!(verify(&all(&store).await).is_whole());
    as_gateway.close().await.unwrap();
    raw.execute(AssertSqlSafe(format!("drop owned by gateway_a; drop role gateway_a; select '{database}'")))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn many_that_start_at_once_make_the_tables_once() {
    let Some(server) = containers::postgres("many_that_start_at_once_make_the_tables_once") else { return };
    for _ in 0..4 {
        let store: Store = server.url(&server.database().await).parse().unwrap();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..8 {
            tasks.spawn(Logger::open(store.clone(), options()));
        }
        for opened in tasks.join_all().await {
            let (logger, _task) = opened.unwrap();
            logger.close().await;
        }
        assert_eq!(all(&store).await.len(), 16);
        assert!(verify(&all(&store).await).is_whole());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_no_server_takes_stops_nobody_else() {
    let Some(server) = containers::postgres("a_row_that_no_server_takes_stops_nobody_else") else { return };
    let store: Store = server.url(&server.database().await).parse().unwrap();
    let patient = LoggerOptions { patience: std::time::Duration::from_mins(1), ..options() };
    let (logger, _task) = Logger::open(store.clone(), patient).await.unwrap();
    let never = |request: &str| {
        let mut never = entry(request);
        never.at = i64::MAX;
        never
    };
    let mut acknowledged = std::collections::BTreeSet::new();
    let mut calls = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (logger, request) = (logger.clone(), format!("r{n}"));
        let row = if n % 40 == 7 { never(&request) } else { entry(&request) };
        if n % 50 == 8 {
            // Rows for which nobody waits are in the same batches.
            let name = format!("note{n}");
            let lost = n == 58;
            logger.note(if lost { never(&name) } else { entry(&name) }, logger.room().unwrap());
            if !lost {
                acknowledged.insert(name);
            }
        }
        calls.spawn(async move { (n, request, logger.append(row).await) });
    }
    for (n, request, answer) in calls.join_all().await {
        if n % 40 == 7 {
            assert_eq!(answer, Err(Refused::Impossible), "{request}");
        } else {
            answer.unwrap();
            acknowledged.insert(request);
        }
    }
    assert_eq!(acknowledged.len(), 198);
    assert!(logger.health().batches < 100, "{:?}", logger.health());
    acknowledged.extend(append(&logger, "after", 2, 3).await);
    logger.close().await;
    let rows = all(&store).await;
    holds(&rows, &acknowledged);
    // What was given up is said.
    let close = rows.iter().find(|row| row.entry.kind == "close").unwrap();
    assert!(close.entry.data().contains(r#""away":{"lost":1,"refused":5}"#), "{}", close.entry.data());
}
