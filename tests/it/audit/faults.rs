//! Faults of a real `PostgreSQL`: no row twice, none missing that was acknowledged, recovery by itself.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use doorward::audit::store::{Logger, LoggerOptions, Store};
use sqlx::Executor as _;

use super::proxy::{Cut, Proxy};
use super::{all, append, entry, holds, options};
use crate::containers::{self, Wanted};

pub(super) fn impatient() -> LoggerOptions {
    LoggerOptions { patience: Duration::from_millis(500), checkpoint_rows: 50, ..options() }
}

/// Waits until a row is taken, and gives the requests that were.
pub(super) async fn recovered(logger: &Logger, name: &str) -> BTreeSet<String> {
    let begin = Instant::now();
    let mut n = 0;
    loop {
        let request = format!("{name}-{n}");
        if logger.append(entry(&request)).await.is_ok() {
            return BTreeSet::from([request]);
        }
        assert!(begin.elapsed() < Duration::from_secs(40), "{name}: not back after 40 s: {:?}", logger.health());
        n += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a row is refused, and gives the requests that were taken before. A row may be in doubt, and
/// then it is there after all: each has a name of its own.
async fn refused(logger: &Logger, name: &str) -> BTreeSet<String> {
    let begin = Instant::now();
    let mut taken = BTreeSet::new();
    loop {
        let request = format!("{name}-{}", taken.len());
        if logger.append(entry(&request)).await.is_err() {
            return taken;
        }
        assert!(begin.elapsed() < Duration::from_secs(40), "{name}: rows are still taken after 40 s");
        taken.insert(request);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_cut_in_the_midst_of_a_commit_makes_no_row_twice() {
    let Some(server) = containers::postgres("a_connection_that_is_cut_in_the_midst_of_a_commit") else { return };
    let database = server.database().await;
    let proxy = Proxy::to(server.port()).await;
    let store: Store = containers::Postgres::url_at(proxy.port, &database).parse().unwrap();
    let (logger, _task) = Logger::open(store, impatient()).await.unwrap();
    let mut acknowledged = BTreeSet::new();
    for (round, cut) in [Cut::Answer, Cut::Half].into_iter().cycle().take(24).enumerate() {
        let cutter = async {
            tokio::time::sleep(Duration::from_millis(7 * (round as u64 % 5))).await;
            proxy.cut(cut);
        };
        let (name, after) = (format!("r{round}"), format!("after{round}"));
        let (of_round, ()) = tokio::join!(append(&logger, &name, 8, 6), cutter);
        acknowledged.extend(of_round);
        acknowledged.extend(recovered(&logger, &after).await);
    }
    // Gone for a while: refused at once, and back by itself.
    proxy.cut(Cut::Away);
    assert!(append(&logger, "away", 2, 1).await.is_empty());
    let begin = Instant::now();
    assert!(append(&logger, "soon", 50, 50).await.is_empty());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    proxy.cut(Cut::None);
    acknowledged.extend(recovered(&logger, "back").await);
    logger.close().await;
    let direct: Store = server.url(&database).parse().unwrap();
    let rows = all(&direct).await;
    holds(&rows, &acknowledged);
    // Some were in doubt, or the test shows nothing.
    assert!(rows.iter().any(|row| row.entry.kind == "unconfirmed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_paused_killed_restarted_or_read_only_loses_and_doubles_nothing() {
    let Some(server) = containers::own_postgres("a_server_that_is_paused_killed_restarted", Wanted::default()) else {
        return;
    };
    let database = server.database().await;
    let store: Store = server.url(&database).parse().unwrap();
    let (logger, _task) = Logger::open(store.clone(), impatient()).await.unwrap();
    let mut acknowledged = append(&logger, "before", 4, 5).await;
    assert_eq!(acknowledged.len(), 20);
    for round in ["first", "second"] {
        for fault in ["pause", "kill", "restart", "read-only"] {
            let name = format!("{round}-{fault}");
            let (harmed, ()) = tokio::join!(append(&logger, &name, 8, 20), async {
                tokio::time::sleep(Duration::from_millis(30)).await;
                tokio::task::block_in_place(|| match fault {
                    "kill" => server.docker("kill", &[]),
                    "pause" => server.docker("pause", &[]),
                    "restart" => server.docker("restart", &["--time=1"]),
                    _ => {}
                });
                if fault == "read-only" {
                    read_only(&server, true).await;
                }
            });
            acknowledged.extend(harmed);
            if fault != "restart" {
                acknowledged.extend(refused(&logger, &format!("meanwhile-{name}")).await);
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            match fault {
                "kill" => server.docker("start", &[]),
                "pause" => server.docker("unpause", &[]),
                "read-only" => read_only(&server, false).await,
                _ => {}
            }
            acknowledged.extend(recovered(&logger, &format!("{round}-after-{fault}")).await);
        }
    }
    logger.close().await;
    holds(&all(&store).await, &acknowledged);
}

/// As a server is that has become a standby: it says no to every writer.
async fn read_only(server: &containers::Postgres, on: bool) {
    let mut admin = server.connect("postgres").await;
    admin.execute("set default_transaction_read_only = off").await.unwrap();
    let (set, done) = if on {
        ("alter system set default_transaction_read_only = on", "select pg_reload_conf()")
    } else {
        ("alter system reset default_transaction_read_only", "select pg_reload_conf()")
    };
    admin.execute(set).await.unwrap();
    admin.execute(done).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_and_recovers_when_there_is_room() {
    let wanted = Wanted { disk: Some(160 << 20), settings: &["max_wal_size=48MB", "min_wal_size=32MB"] };
    let Some(server) = containers::own_postgres("a_full_disk_refuses_and_recovers_when_there_is_room", wanted) else {
        return;
    };
    let database = server.database().await;
    let store: Store = server.url(&database).parse().unwrap();
    let (logger, _task) = Logger::open(store.clone(), impatient()).await.unwrap();
    let mut acknowledged = append(&logger, "before", 4, 5).await;
    // All that is left, to the last block.
    let fill = "dd if=/dev/zero of=/disk/filler bs=65536 2>/dev/null; dd if=/dev/zero of=/disk/filler2 bs=4096 2>/dev/null; true";
    server.docker("exec", &["sh", "-c", fill]);
    let begin = Instant::now();
    let mut round = 0;
    while logger.health().away.is_none() {
        assert!(begin.elapsed() < Duration::from_mins(1), "the disk is not full");
        acknowledged.extend(append(&logger, &format!("full{round}"), 32, 20).await);
        round += 1;
    }
    assert!(logger.append(entry("meanwhile")).await.is_err());
    server.docker("exec", &["rm", "-f", "/disk/filler", "/disk/filler2"]);
    acknowledged.extend(recovered(&logger, "after").await);
    logger.close().await;
    holds(&all(&store).await, &acknowledged);
}
