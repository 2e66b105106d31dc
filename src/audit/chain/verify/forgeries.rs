//! What somebody can do who can write the whole store and has no key.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, json};

use super::tests::{Log, Step, key, rehash, steps, verify};
use super::*;
use crate::audit::chain::{Column, Entry, Tail};

fn faults(verdict: &Verdict) -> BTreeSet<Fault> {
    verdict.findings.iter().map(|finding| finding.fault).collect()
}

/// Writes a chain again, each row with the hash of the one before it.
fn chained(rows: &mut [Row], writer: &str, class: &str) {
    let mut prev = Hash::ZERO;
    for row in rows.iter_mut().filter(|row| *row.writer == *writer && *row.entry.class == *class) {
        row.prev = prev;
        rehash(row);
        prev = row.hash;
    }
}

/// A log of one writer that closed, and another that goes on.
fn two() -> Log {
    let mut log = Log::of(&[Step::Row(0, 1), Step::Row(1, 2), Step::Checkpoint, Step::Row(0, 3), Step::Next(true)]);
    log.row(2, 0, 4);
    log.seal(2, SealKind::Checkpoint, Map::new());
    log
}

#[test]
fn a_log_without_seals_whose_chains_were_written_again_is_not_believed() {
    let log = two();
    let mut rows: Vec<Row> = log.rows.iter().filter(|row| *row.entry.class != *LOG_CLASS).cloned().collect();
    for row in &mut rows {
        row.entry.put(Column::Subject, Some("mallory".into()));
    }
    let ids: BTreeSet<_> = rows.iter().map(|row| (row.writer.clone(), row.entry.class.clone())).collect();
    for (writer, class) in &ids {
        chained(&mut rows, writer, class);
    }
    let verdict = verify(&rows);
    let writers: BTreeSet<_> = rows.iter().map(|row| row.writer.to_string()).collect();
    let unopened = verdict.findings.iter().filter(|f| f.fault == Fault::Unopened).map(|f| f.writer.clone());
    assert_eq!(unopened.collect::<BTreeSet<_>>(), writers);
}

#[test]
fn a_writer_that_never_was_is_not_believed() {
    let log = two();
    for seals in 0..3 {
        let (mut tail, mut buffer) = (Tail::new("fabricated".into()), Vec::new());
        let mut rows = log.rows.clone();
        // No seals; seals without a signature; a row of the log that is no seal.
        if seals == 1 {
            rows.push(tail.seal(SealKind::Open, Map::new(), log.now, None, &mut buffer));
        } else if seals == 2 {
            rows.push(tail.append(Entry::new(LOG_CLASS.into(), "note", log.now), log.now, &mut buffer));
        }
        rows.push(tail.append(Entry::new("standard".into(), "intent", log.now), log.now, &mut buffer));
        let found = faults(&verify(&rows));
        assert!(found.contains(&[Fault::Unopened, Fault::Unsigned, Fault::Unsigned][seals]), "{seals}: {found:?}");
    }
}

#[test]
fn a_seal_of_another_row_cannot_be_made_to_fit() {
    let log = two();
    let (mut tail, mut buffer) = (Tail::new("fabricated".into()), Vec::new());
    let mut open = log.rows[0].clone();
    open.writer = tail.writer().clone();
    rehash(&mut open);
    let mut rows = log.rows.clone();
    rows.push(open);
    rows.push(tail.append(Entry::new("standard".into(), "intent", log.now), log.now, &mut buffer));
    assert!(faults(&verify(&rows)).contains(&Fault::BadSignature));
}

#[test]
fn a_writer_that_closed_cannot_vanish() {
    let log = two();
    let rows: Vec<Row> = log.rows.iter().filter(|row| *row.writer != *"w1").cloned().collect();
    let verdict = verify(&rows);
    assert_eq!(faults(&verdict), BTreeSet::from([Fault::Truncated]));
    assert!(verdict.findings.iter().all(|f| f.writer == "w1" && f.class == LOG_CLASS));
}

#[test]
fn a_writer_that_closed_gets_no_other_class() {
    let mut log = two();
    let (mut tail, mut buffer) = (Tail::new("w1".into()), Vec::new());
    log.rows.push(tail.append(Entry::new("other".into(), "intent", log.now), log.now, &mut buffer));
    assert_eq!(faults(&verify(&log.rows)), BTreeSet::from([Fault::Inserted]));
}

#[test]
fn rows_that_should_have_been_sealed_long_ago_are_not_believed() {
    let minutes = |n: i64| n * 60_000_000;
    let loose = |rows: i64, span: i64| {
        let mut log = two();
        let (mut buffer, begin) = (Vec::new(), log.now);
        for n in 0..rows {
            let entry = Entry::new("standard".into(), "intent", begin);
            let row = log.tails[2].append(entry, begin + span * n / (rows - 1), &mut buffer);
            log.rows.push(row);
        }
        faults(&verify(&log.rows))
    };
    assert_eq!(loose(2, minutes(5)), BTreeSet::from([Fault::Unsealed]));
    assert_eq!(loose(50_001, 0), BTreeSet::from([Fault::Unsealed]));
    assert_eq!(loose(50_000, minutes(5) - 1), BTreeSet::new());
    // What a seal names is not loose, however long it took.
    let mut log = two();
    log.now += minutes(60);
    log.row(2, 0, 5);
    log.seal(2, SealKind::Checkpoint, Map::new());
    assert!(verify(&log.rows).is_whole());
}

#[test]
fn a_log_that_was_set_back_is_found_by_its_anchor_alone() {
    let log = two();
    let anchor = log.rows.iter().rev().find_map(Anchor::of).unwrap();
    let with = |rows: &[Row], anchor: &Anchor| {
        let mut verifier = Verifier::new(vec![key().public().clone()]);
        verifier.anchor(anchor);
        for row in rows {
            verifier.seal(&mut row.clone());
        }
        for row in rows {
            verifier.row(&mut row.clone());
        }
        verifier.finish()
    };
    assert!(with(&log.rows, &anchor).is_whole());
    let back = &log.rows[..4];
    let verdict = verify(back);
    assert!(verdict.is_whole() && verdict.newest < verify(&log.rows).newest);
    assert_eq!(faults(&with(back, &anchor)), BTreeSet::from([Fault::Truncated]));
    // Another row in the place of the anchor.
    let other = Anchor { hash: Hash::of(b"x"), ..anchor };
    assert_eq!(faults(&with(&log.rows, &other)), BTreeSet::from([Fault::Rewritten]));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No writer is gone in silence when there is anything left of one that opened after it; those are missed
    /// by name that a seal names which is left, and nobody else is accused.
    #[test]
    fn whole_writers_cannot_vanish_while_one_that_opened_after_them_is_there(steps in steps(), gone: Vec<bool>) {
        let log = Log::of(&steps);
        let is_gone = |writer: &str| {
            let n: usize = writer.trim_start_matches('w').parse().unwrap();
            gone.get(n).copied().unwrap_or(false)
        };
        let rows: Vec<Row> = log.rows.iter().filter(|row| !is_gone(&row.writer)).cloned().collect();
        let verdict = verify(&rows);
        let left = (0..log.tails.len()).rev().find(|n| !is_gone(&format!("w{n}")));
        let vanished = left.is_some_and(|left| (0..left).any(|n| is_gone(&format!("w{n}"))));
        prop_assert_eq!(verdict.is_whole(), !vanished, "{:?}", verdict.findings);
        let seals = rows.iter().filter(|row| SealKind::of(row).is_some());
        let named: BTreeSet<String> =
            seals.flat_map(|row| Mark::all(&row.entry.data_object())).map(|mark| mark.writer).collect();
        for n in 0..log.tails.len() {
            let writer = format!("w{n}");
            let missed = verdict.findings.iter().any(|f| f.writer == writer);
            prop_assert_eq!(missed, is_gone(&writer) && named.contains(&writer), "{} {:?}", writer, verdict.findings);
        }
    }

    /// A row that any seal that is left names cannot be written again, whatever seals are gone.
    #[test]
    fn what_a_seal_that_is_left_names_cannot_be_written_again(steps in steps(), at: Index, without: Vec<Index>) {
        let log = Log::of(&steps);
        let row = log.rows[at.index(log.rows.len())].clone();
        prop_assume!(*row.entry.class != *LOG_CLASS);
        // Seals go from the ends of their chains, where no row follows that would miss them.
        let mut rows = log.rows.clone();
        for n in without {
            let writer = format!("w{}", n.index(log.tails.len()));
            if let Some(last) = rows.iter().rposition(|row| *row.writer == *writer && *row.entry.class == *LOG_CLASS) {
                rows.remove(last);
            }
        }
        let named = rows.iter().filter(|row| *row.entry.class == *LOG_CLASS).any(|seal| {
            let marks = Mark::all(&seal.entry.data_object());
            marks.iter().any(|m| *m.writer == *row.writer && *m.class == *row.entry.class && m.seq >= row.seq)
        });
        for other in rows.iter_mut().filter(|other| other.hash == row.hash) {
            other.entry.put_data(json!({"n": 70_000}).to_string().into());
        }
        chained(&mut rows, &row.writer, &row.entry.class);
        let verdict = verify(&rows);
        let opened = rows.iter().any(|r| r.writer == row.writer && *r.entry.class == *LOG_CLASS);
        if named || !opened {
            prop_assert!(!verdict.is_whole());
        }
    }
}
