//! The store of rows: durable before anything follows, bounded, and recovering by itself.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;

use doorward::audit::{Entry, Intent, Journal, JournalOptions, Log, Row, Unavailable};
use doorward::pep::{Ask, Limits};
use serde_json::{Map, json};

use super::world::{ALL_SCOPES, POLICY, World, guard};
use crate::identity::{claims, header, with};

fn rows(path: &std::path::Path) -> Vec<Row> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// An intent such as the guard writes.
async fn intent() -> Intent {
    let world = World::new();
    world.call(&world.ana(), "find", &json!({})).await;
    world.rows.intents.lock().unwrap().pop().unwrap()
}

#[tokio::test]
async fn rows_are_numbered_on_after_a_restart_and_a_torn_one_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let intent = intent().await;
    let journal = Journal::open(&path, &JournalOptions::default()).unwrap();
    assert!(Journal::open(&path, &JournalOptions::default()).unwrap_err().to_string().contains("another process"));
    let receipts = futures_util::future::join_all((0..100).map(|_| journal.intent(intent.clone()))).await;
    let mut numbers: Vec<u64> = receipts.into_iter().map(|receipt| receipt.unwrap().sequence()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<u64>>());
    // Durable before the journal is closed: another reader sees them.
    assert_eq!(rows(&path).len(), 100);
    drop(journal);
    let whole = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"schema\":\"doorw").unwrap();
    let journal =
        Journal::open(&path, &JournalOptions { writer: "again".into(), ..JournalOptions::default() }).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), whole);
    assert_eq!(journal.intent(intent).await.unwrap().sequence(), 100);
    drop(journal);
    assert_eq!(rows(&path).last().unwrap().writer, "again");
    fs::write(&path, "no row\n").unwrap();
    assert!(Journal::open(&path, &JournalOptions::default()).is_err());
}

#[tokio::test]
async fn a_full_queue_is_an_answer_and_not_a_wait() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let intent = intent().await;
    let none = JournalOptions { queue: 0, ..JournalOptions::default() };
    let journal = Journal::open(&path, &none).unwrap();
    assert_eq!(journal.intent(intent.clone()).await.unwrap_err(), Unavailable);
    drop(journal);
    let one = JournalOptions { open: 1, ..JournalOptions::default() };
    let journal = Journal::open(&path, &one).unwrap();
    let receipt = journal.intent(intent.clone()).await.unwrap();
    assert_eq!(journal.intent(intent.clone()).await.unwrap_err(), Unavailable);
    drop(receipt);
    assert!(journal.intent(intent).await.is_ok());
}

#[tokio::test]
async fn a_call_that_is_cut_off_after_its_record_leaves_the_row_and_nothing_below() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let journal = Arc::new(Journal::open(&path, &JournalOptions::default()).unwrap());
    let (guard, signer, _) = guard(POLICY, Limits::default(), Arc::clone(&journal) as _);
    let token = signer.sign(&header(), &with(claims(), &json!({ "scope": ALL_SCOPES })));
    let who = guard.authenticate("desk", Some(&token)).await.unwrap();
    let recorded = who.permit(Ask::tool("find", Map::new())).await.unwrap().record(None).await.unwrap();
    // On the disk before `record` returned, whatever happens to this process now.
    assert!(matches!(&rows(&path)[..], [Row { entry: Entry::Intent(_), .. }]));
    drop(recorded);
    drop(guard);
    drop(journal);
    let rows = rows(&path);
    assert!(matches!(&rows[..], [_, Row { entry: Entry::Outcome(o), .. }] if o.of == 0 && o.end == "disconnected"));
}
