//! Writers that were killed: each later one vouches for what they left, and names it once.

use doorward::audit::chain::Row;
use doorward::audit::store::{Logger, Store};

use super::{all, entry, options, verify};

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
