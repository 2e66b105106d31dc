//! `doorward audit prune`: what goes is verified, goes in parts, and what is held stays.

use std::ops::ControlFlow;

use doorward::audit::chain::{Entry, SealKind, Tail, Verifier};
use doorward::audit::store::{Select, Store};
use serde_json::{Map, Value, json};
use sqlx::{Connection as _, Executor as _, SqliteConnection};

use super::{START, all, key, verify};
use crate::guard::world::POLICY;
use crate::place::{Place, ran};

/// 2026-07-01, when what was written in March has been kept for 90 days.
const LATER: &str = "2026-07-01T00:00:00Z";
const ROWS: i64 = 12_001;

/// A log in a file with many rows of one month, and a policy.
async fn filled(holds: &str) -> (Place, Store, String) {
    filled_but(holds, 0..0).await
}

/// The same without some rows, of which their writer says that the store lost them.
async fn filled_but(holds: &str, lost: std::ops::Range<i64>) -> (Place, Store, String) {
    let place = Place::new();
    let url = format!("sqlite:{}", place.path().join("audit.db").display());
    place.write(
        "p.toml",
        format!("{POLICY}[audit]\nstore = \"env:STORE\"\n{holds}[audit.retention]\nstandard = \"90d\"\n"),
    );
    place.write("audit.pem", key().to_pem().unwrap());
    place.write("audit.pub", key().public().to_pem());
    let store: Store = url.parse().unwrap();
    let (mut tail, mut buffer) = (Tail::new("a".into()), Vec::new());
    let mut rows = vec![tail.seal(SealKind::Open, Map::new(), START, Some(&key()), &mut buffer)];
    let mut gap = json!([]);
    for n in 0..ROWS {
        let subject = if n == 7_000 { "ana" } else { "ben" };
        let entry = Entry::new("standard".into(), "intent", START + n)
            .with(doorward::audit::chain::Column::Subject, subject)
            .with_data(json!({"n": n}).as_object().unwrap().clone());
        let row = tail.append(entry, START + n, &mut buffer);
        if lost.contains(&n) {
            gap = json!([{"class": "standard", "from": lost.start + 1, "to": lost.end, "hash": row.hash.to_string()}]);
        } else {
            rows.push(row);
        }
    }
    let said = if lost.is_empty() { Map::new() } else { Map::from_iter([("missing".to_owned(), gap)]) };
    rows.push(tail.seal(SealKind::Close, said, START + ROWS, Some(&key()), &mut buffer));
    store.writer().await.unwrap().insert(&rows).await.unwrap();
    (place, store, url)
}

fn prune(place: &Place, url: &str, more: &[&str]) -> crate::place::Ran {
    let arguments = ["audit", "prune", "--policy=p.toml", "--signing-key=audit.pem", "--now", LATER];
    ran(place.command(&[&arguments[..], more].concat()).env("STORE", url).output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_month_goes_in_parts_each_with_its_stub() {
    let (place, store, url) = filled("").await;
    let done = prune(&place, &url, &[]);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (0, "standard: 12001 rows from before 2026-04-01T00:00:00Z went\n"),
        "{}",
        done.stderr
    );
    let rows = all(&store).await;
    let verdict = verify(&rows);
    assert!(verdict.is_whole(), "{:?}", verdict.findings);
    let stubs: Vec<i64> = rows
        .iter()
        .filter(|row| row.entry.kind == "prune")
        .map(|row| row.entry.data_object()["rows"].as_i64().unwrap())
        .collect();
    assert_eq!(stubs, [5_000, 5_000, 2_001]);
    assert!(rows.iter().all(|row| &*row.entry.class == ".log"));
    // A part that went without its stub is missed.
    let without: Vec<_> = rows.into_iter().filter(|row| row.entry.kind != "prune").collect();
    assert!(!verify(&without).is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_policy_holds_stays_and_is_named() {
    let (place, store, url) = filled("[audit.holds.case-7]\nsubjects = [\"ana\"]\n").await;
    let held = prune(&place, &url, &["--format=json"]);
    let document: Value = serde_json::from_str(&held.stdout).unwrap();
    assert_eq!((held.code, &document["classes"][0]["held"]), (1, &json!(["case-7"])), "{}", held.stderr);
    assert_eq!(all(&store).await.len(), usize::try_from(ROWS).unwrap() + 2);
    let (place, _, url) = filled("[audit.holds.case-8]\nclasses = [\"standard\"]\n").await;
    let held = prune(&place, &url, &["--dry-run"]);
    assert_eq!((held.code, held.stdout.as_str()), (1, "standard: 0 rows would go; held by case-8\n"));
    let both = prune(&place, &url, &["--hold-subject=ana"]);
    assert_eq!((both.code, both.stdout.as_str()), (1, "standard: 0 rows went; held by --hold-subject, case-8\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_for_rows_that_were_changed() {
    let (place, store, url) = filled("").await;
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    raw.execute(
        "drop trigger audit_log_no_update; update audit_log set subject = 'eve' where seq = 77 and class = 'standard'",
    )
    .await
    .unwrap();
    raw.close().await.unwrap();
    let refused = prune(&place, &url, &[]);
    assert_eq!(refused.code, 2, "{}", refused.stdout);
    assert!(refused.stderr.contains("1 finding in what would go"), "{}", refused.stderr);
    assert_eq!(all(&store).await.len(), usize::try_from(ROWS).unwrap() + 2);
    // Who removes them all the same says so.
    let done = prune(&place, &url, &["--despite-findings"]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let rows = all(&store).await;
    let stub = rows.iter().find(|row| row.entry.kind == "prune").unwrap().entry.data_object();
    assert_eq!((&stub["findings"][0]["code"], &stub["findings"][0]["from"]), (&json!("edited"), &json!(77)));
    assert!(verify(&rows).is_whole());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_which_their_writer_has_said_that_they_are_lost_hold_nothing_up() {
    let (place, store, url) = filled_but("", 50..60).await;
    let lost = verify(&all(&store).await).findings;
    assert!(matches!(&lost[..], [f] if (f.fault.code(), f.from, f.to) == ("lost", 51, 60)), "{lost:?}");
    let done = prune(&place, &url, &[]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let rows = all(&store).await;
    // What was found stays on record, as with any other finding.
    let stub = rows.iter().find(|row| row.entry.kind == "prune").unwrap().entry.data_object();
    assert_eq!((&stub["findings"][0]["code"], &stub["findings"][0]["from"]), (&json!("lost"), &json!(51)));
    assert!(verify(&rows).is_whole());
    // A hole that nobody signed for beside it does.
    let (place, _, url) = filled_but("", 50..60).await;
    let mut raw = SqliteConnection::connect(&url).await.unwrap();
    raw.execute("drop trigger audit_log_no_delete; delete from audit_log where class = 'standard' and seq = 49")
        .await
        .unwrap();
    let refused = prune(&place, &url, &[]);
    assert!(refused.code == 2 && refused.stderr.contains("1 finding in what would go"), "{}", refused.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_signed_earlier_is_asked_for() {
    let (place, _, url) = filled("").await;
    let other = doorward::audit::chain::SigningKey::from_seed(&[9; 32]).unwrap();
    place.write("audit.pem", other.to_pem().unwrap());
    let refused = prune(&place, &url, &[]);
    assert!(refused.code == 2 && refused.stderr.contains("--key"), "{}", refused.stderr);
    assert_eq!(prune(&place, &url, &["--key=audit.pub"]).code, 0);
    let store: Store = url.parse().unwrap();
    let mut verifier = Verifier::new(vec![key().public().clone(), other.public().clone()]);
    let mut connection = store.reader().await.unwrap();
    let mut seals = |mut row| {
        verifier.seal(&mut row);
        ControlFlow::Continue(())
    };
    connection.read(&Select::default(), &mut seals).await.unwrap();
    let mut rows = |mut row| {
        verifier.row(&mut row);
        ControlFlow::Continue(())
    };
    connection.read(&Select::default(), &mut rows).await.unwrap();
    assert!(verifier.finish().is_whole());
}
