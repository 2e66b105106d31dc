//! A server that comes back without rows that it had acknowledged, as a standby is that lagged behind when it
//! took over: what is gone is found, and named.

use std::collections::BTreeSet;

use doorward::audit::chain::{Column, Fault};
use doorward::audit::store::{Logger, Store};

use super::faults::{impatient, recovered};
use super::{all, append, verify};
use crate::containers::{self, Wanted};

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_takeover_lost_are_found_where_they_were() {
    let Some(server) = containers::own_postgres("rows_that_a_takeover_lost_are_found", Wanted::default()) else {
        return;
    };
    let database = server.database().await;
    let store: Store = server.url(&database).parse().unwrap();
    let (logger, _task) = Logger::open(store.clone(), impatient()).await.unwrap();
    let before = append(&logger, "before", 4, 5).await;
    let inside = |script: &str| tokio::task::block_in_place(|| server.docker("exec", &["sh", "-c", script]));
    inside("pg_basebackup -h /tmp -U postgres -c fast -D /tmp/lagging");
    let lost = append(&logger, "lost", 4, 5).await;
    assert_eq!((before.len(), lost.len()), (20, 20));
    // The server goes, and what lagged behind is what answers next.
    inside("busybox mv \"$PGDATA\" /tmp/gone && busybox mv /tmp/lagging \"$PGDATA\"");
    tokio::task::block_in_place(|| {
        server.docker("kill", &[]);
        server.docker("start", &[]);
    });
    let mut acknowledged = before;
    acknowledged.extend(recovered(&logger, "after").await);
    acknowledged.extend(append(&logger, "later", 4, 5).await);
    logger.close().await;

    let rows = all(&store).await;
    let there: BTreeSet<String> = rows
        .iter()
        .filter(|row| row.entry.kind == "intent")
        .filter_map(|row| row.entry.get(Column::Request))
        .map(str::to_owned)
        .collect();
    assert!(acknowledged.is_subset(&there), "{:?}", acknowledged.difference(&there));
    assert!(lost.is_disjoint(&there));
    let findings = verify(&rows).findings;
    let missing: i64 =
        findings.iter().filter(|found| found.fault == Fault::Deleted).map(|found| found.to - found.from + 1).sum();
    assert!(usize::try_from(missing).unwrap() >= lost.len(), "{findings:#?}");
    assert!(findings.iter().all(|found| found.fault == Fault::Deleted), "{findings:#?}");
}
