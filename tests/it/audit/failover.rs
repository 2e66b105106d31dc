//! A server that comes back without rows that it had acknowledged, as a standby is that lagged behind when it
//! took over: what the writer still has it puts back in its place, and of the rest it says that it is gone.

use std::collections::BTreeSet;

use doorward::audit::chain::{Column, Fault, Row};
use doorward::audit::store::{Logger, LoggerOptions, Store};

use super::faults::{impatient, recovered};
use super::{all, append, holds, verify};
use crate::containers::{self, Wanted};

/// The requests of which there are rows.
fn requests(rows: &[Row]) -> BTreeSet<String> {
    let intents = rows.iter().filter(|row| row.entry.kind == "intent");
    intents.filter_map(|row| row.entry.get(Column::Request)).map(str::to_owned).collect()
}

/// The numbers that seals say under a name, and the lists.
fn said(rows: &[Row], name: &str) -> u64 {
    let said = rows.iter().filter_map(|row| row.entry.data_object().remove(name));
    said.map(|value| value.as_u64().unwrap_or_else(|| value.as_array().map_or(0, |all| all.len() as u64))).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_takeover_lost_are_put_back_or_said_to_be_gone() {
    let name = "rows_that_a_takeover_lost_are_put_back";
    let Some(server) = containers::own_postgres(name, Wanted::default()) else { return };
    let (whole, short) = (server.database().await, server.database().await);
    let stores: [Store; 2] = [&whole, &short].map(|database| server.url(database).parse().unwrap());
    // One has all of its rows, the other only the last few.
    let (keeps, _task) = Logger::open(stores[0].clone(), impatient()).await.unwrap();
    let few = LoggerOptions { kept: 5, ..impatient() };
    let (forgets, _other) = Logger::open(stores[1].clone(), few).await.unwrap();
    let mut acknowledged = [append(&keeps, "before", 4, 5).await, append(&forgets, "before", 4, 5).await];
    let inside = |script: &str| tokio::task::block_in_place(|| server.docker("exec", &["sh", "-c", script]));
    inside("pg_basebackup -h /tmp -U postgres -c fast -D /tmp/lagging");
    let lost = [append(&keeps, "lost", 4, 5).await, append(&forgets, "lost", 4, 5).await];
    assert_eq!(lost.each_ref().map(BTreeSet::len), [20, 20]);
    // The server goes, and what lagged behind is what answers next.
    inside("busybox mv \"$PGDATA\" /tmp/gone && busybox mv /tmp/lagging \"$PGDATA\"");
    tokio::task::block_in_place(|| {
        server.docker("kill", &[]);
        server.docker("start", &[]);
    });
    for (logger, acknowledged) in [&keeps, &forgets].into_iter().zip(&mut acknowledged) {
        acknowledged.extend(recovered(logger, "after").await);
        acknowledged.extend(append(logger, "later", 4, 5).await);
    }
    let [kept, gone] = [keeps.health(), forgets.health()];
    assert!(kept.restored >= 20 && kept.lost == 0, "{kept:?}");
    assert!(gone.lost >= 15 && gone.restored == 5, "{gone:?}");
    keeps.close().await;
    forgets.close().await;

    // As if nothing had been, but that it is said.
    let rows = all(&stores[0]).await;
    acknowledged[0].extend(lost[0].iter().cloned());
    holds(&rows, &acknowledged[0]);
    assert_eq!((said(&rows, "restored"), said(&rows, "missing")), (kept.restored, 0));

    let rows = all(&stores[1]).await;
    let there = requests(&rows);
    assert!(acknowledged[1].is_subset(&there), "{:?}", acknowledged[1].difference(&there));
    let findings = verify(&rows).findings;
    assert!(!findings.is_empty() && findings.iter().all(|found| found.fault == Fault::Lost), "{findings:#?}");
    let missing: i64 = findings.iter().map(|found| found.to - found.from + 1).sum();
    assert_eq!(u64::try_from(missing).unwrap(), gone.lost, "{findings:#?}");
    assert_eq!((said(&rows, "restored"), said(&rows, "missing")), (5, findings.len() as u64));
}
