//! Any change of a valid log is found, and its place is right.

use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value, json};

use super::*;
use crate::audit::chain::{Column, Entry, SigningKey, Tail, vouched};

const CLASSES: [&str; 3] = ["standard", "financial", "a-b.c"];

pub(super) fn key() -> SigningKey {
    SigningKey::from_seed(&[7; 32]).unwrap()
}

/// One step of a process that logs.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Row(usize, u16),
    Checkpoint,
    /// The process ends, properly or not, and another begins.
    Next(bool),
    /// A second process beside the first.
    Beside(usize, u16),
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..CLASSES.len(), any::<u16>()).prop_map(|(class, n)| Step::Row(class, n)),
        2 => Just(Step::Checkpoint),
        1 => any::<bool>().prop_map(Step::Next),
        2 => (0..CLASSES.len(), any::<u16>()).prop_map(|(class, n)| Step::Beside(class, n)),
    ];
    prop::collection::vec(step, 1..60)
}

/// A log in the making. Who opens finds in it what a store would give.
pub(super) struct Log {
    pub(super) key: SigningKey,
    pub(super) rows: Vec<Row>,
    pub(super) tails: Vec<Tail>,
    pub(super) now: i64,
    buffer: Vec<u8>,
}

impl Log {
    pub(super) fn of(steps: &[Step]) -> Self {
        let mut log = Self { key: key(), rows: Vec::new(), tails: Vec::new(), now: 1_000, buffer: Vec::new() };
        log.open();
        log.open();
        for step in steps {
            let last = log.tails.len() - 1;
            match step {
                Step::Row(class, n) => log.row(last, *class, *n),
                Step::Beside(class, n) => log.row(0, *class, *n),
                Step::Checkpoint => log.seal(last, SealKind::Checkpoint, Map::new()),
                Step::Next(properly) => {
                    if *properly && last > 0 {
                        log.seal(last, SealKind::Close, Map::new());
                    }
                    log.open();
                }
            }
        }
        log
    }

    /// Whether a writer has said that no row follows.
    fn is_closed(&self, writer: &str) -> bool {
        self.rows.iter().any(|row| *row.writer == *writer && SealKind::of(row) == Some(SealKind::Close))
    }

    pub(super) fn open(&mut self) {
        let mut heads = Vec::new();
        for tail in &self.tails {
            let closed = self.is_closed(tail.writer());
            // Of those that have closed the last seal, which names the rest.
            heads.extend(tail.marks().into_iter().filter(|mark| !closed || mark.class == LOG_CLASS));
        }
        // What an earlier one has named it does not name again.
        for row in &self.rows {
            let named = vouched(&mut row.clone(), Some(self.key.public()));
            heads.retain(|mark| !named.contains(mark));
        }
        let heads: Vec<Value> = heads.iter().map(Mark::to_json).collect();
        self.tails.push(Tail::new(format!("w{}", self.tails.len()).into()));
        let data = json!({"heads": heads, "node": "a"}).as_object().unwrap().clone();
        self.seal(self.tails.len() - 1, SealKind::Open, data);
    }

    pub(super) fn seal(&mut self, writer: usize, kind: SealKind, data: Map<String, Value>) {
        self.now += 5;
        let row = self.tails[writer].seal(kind, data, self.now, Some(&self.key), &mut self.buffer);
        self.rows.push(row);
    }

    pub(super) fn row(&mut self, writer: usize, class: usize, n: u16) {
        // The clock may go back.
        self.now += i64::from(n % 7) - 2;
        let entry = Entry::new(CLASSES[class].into(), "intent", i64::from(n))
            .with(Column::Name, n.to_string().as_str())
            .with_data(json!({"n": n}).as_object().unwrap().clone());
        let row = self.tails[writer].append(entry, self.now, &mut self.buffer);
        self.rows.push(row);
    }

    /// Retention removes the oldest rows of a class, and another process says so.
    fn prune(&mut self, class: usize, before: i64) {
        let gone = |row: &Row| *row.entry.class == *CLASSES[class] && row.written < before;
        let mut heads: BTreeMap<String, Value> = BTreeMap::new();
        for row in self.rows.iter().filter(|row| gone(row)) {
            let mark = Mark {
                writer: row.writer.to_string(),
                class: row.entry.class.to_string(),
                seq: row.seq,
                hash: row.hash,
            };
            heads.insert(mark.writer.clone(), mark.to_json());
        }
        self.rows.retain(|row| !gone(row));
        self.open();
        let data = json!({"heads": heads.into_values().collect::<Vec<_>>()}).as_object().unwrap().clone();
        self.seal(self.tails.len() - 1, SealKind::Prune, data);
    }
}

pub(super) fn verify(rows: &[Row]) -> Verdict {
    let mut verifier = Verifier::new(vec![key().public().clone()]);
    for row in rows {
        verifier.seal(&mut row.clone());
    }
    for row in rows {
        verifier.row(&mut row.clone());
    }
    verifier.finish()
}

pub(super) fn rehash(row: &mut Row) {
    row.hash = row.computed(&mut Vec::new());
}

fn same_chain(a: &Row, b: &Row) -> bool {
    a.writer == b.writer && a.entry.class == b.entry.class
}

fn is_of(finding: &Finding, row: &Row) -> bool {
    *finding.writer == *row.writer && *finding.class == *row.entry.class
}

fn covers(finding: &Finding, row: &Row) -> bool {
    is_of(finding, row) && (finding.from..=finding.to).contains(&row.seq)
}

/// The highest place of this row's chain that a seal among `rows` names.
fn named(rows: &[Row], chain: &Row) -> i64 {
    let own = rows.iter().filter(|row| SealKind::of(row).is_some());
    let marks = own.flat_map(|row| Mark::all(&row.entry.data_object()));
    marks.filter(|m| *m.writer == *chain.writer && *m.class == *chain.entry.class).map(|m| m.seq).max().unwrap_or(0)
}

/// Changes one thing of a row.
fn edit(row: &mut Row, what: usize) {
    match what {
        0 => row.entry.at += 1,
        1 => row.entry.kind = "outcome".into(),
        2 => row.entry.put(Column::Name, Some("other".into())),
        3 => row.entry.put(Column::Trace, Some("".into())),
        4 => row.entry.put_data("{\"n\":70000}".into()),
        5 => row.entry.status = Some(200),
        6 => row.entry.latency = Some(1),
        7 => row.written += 1,
        8 => row.prev = Hash::of(b"x"),
        9 => row.hash = Hash::of(b"y"),
        10 => row.seq += 1_000,
        11 => row.seq = 0,
        12 => row.writer = "nobody".into(),
        _ => row.entry.class = "other".into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_that_nobody_touched_is_whole(steps in steps(), class in 0..CLASSES.len(), part in 0..100_i64) {
        let mut log = Log::of(&steps);
        let verdict = verify(&log.rows);
        prop_assert!(verdict.is_whole(), "{:?}", verdict.findings);
        prop_assert_eq!(verdict.rows, log.rows.len() as u64);
        // Nor does retention harm it, nor twice.
        let before = 1_000 + (log.now - 1_000) * part / 100;
        for before in [before, log.now] {
            log.prune(class, before);
            log.row(0, class, 1);
            let verdict = verify(&log.rows);
            prop_assert!(verdict.is_whole(), "{:?}", verdict.findings);
        }
    }

    #[test]
    fn an_edit_is_found_at_its_row(steps in steps(), at: Index, what in 0..14_usize) {
        let mut rows = Log::of(&steps).rows;
        let at = at.index(rows.len());
        let before = rows[at].clone();
        edit(&mut rows[at], what);
        let verdict = verify(&rows);
        let edited: Vec<_> = verdict.findings.iter().filter(|f| f.fault == Fault::Edited).collect();
        prop_assert_eq!(edited.len(), 1);
        prop_assert!(covers(edited[0], &rows[at]));
        // What it claims to be is flagged, and its place is missed; nobody else's.
        prop_assert!(verdict.findings.iter().all(|f| covers(f, &rows[at]) || covers(f, &before)), "{:?}", verdict.findings);
    }

    #[test]
    fn a_deletion_is_found_at_its_place(steps in steps(), at: Index, count in 1..4_usize) {
        let mut rows = Log::of(&steps).rows;
        let at = at.index(rows.len());
        let of: Vec<Row> = rows.iter().filter(|row| same_chain(row, &rows[at]) && row.seq >= rows[at].seq).take(count).cloned().collect();
        let last = of.last().unwrap().clone();
        rows.retain(|row| !of.contains(row));
        let inside = rows.iter().any(|row| same_chain(row, &last) && row.seq > last.seq);
        let verdict = verify(&rows);
        let unopened = *last.entry.class == *LOG_CLASS && of[0].seq == 1 && rows.iter().any(|row| row.writer == last.writer);
        let expected = if inside {
            vec![(Fault::Deleted, of[0].seq, last.seq)]
        } else if named(&rows, &last) >= of[0].seq {
            vec![(Fault::Truncated, of[0].seq, named(&rows, &last))]
        } else if unopened {
            vec![(Fault::Unopened, 1, 1)]
        } else {
            vec![]
        };
        let found: Vec<_> = verdict.findings.iter().map(|f| (f.fault, f.from, f.to)).collect();
        prop_assert_eq!(found, expected);
        prop_assert!(verdict.findings.iter().all(|f| is_of(f, &last)));
    }

    #[test]
    fn rows_in_another_order_are_found(steps in steps(), one: Index, other: Index) {
        let mut rows = Log::of(&steps).rows;
        let one = one.index(rows.len());
        let chain: Vec<usize> = (0..rows.len()).filter(|i| same_chain(&rows[*i], &rows[one])).collect();
        let other = chain[other.index(chain.len())];
        let (from, to) = (one.min(other), one.max(other));
        let (first, last) = (rows[from].clone(), rows[to].clone());
        rows.swap(from, to);
        let verdict = verify(&rows);
        prop_assert_eq!(verdict.is_whole(), from == to);
        for finding in &verdict.findings {
            prop_assert_eq!(finding.fault, Fault::Reordered);
            prop_assert!(is_of(finding, &first) && first.seq <= finding.from && finding.to <= last.seq);
        }
    }

    #[test]
    fn a_row_that_was_put_in_is_found(steps in steps(), at: Index, place: Index, linked: bool, again: bool) {
        let mut rows = Log::of(&steps).rows;
        let mut row = rows[at.index(rows.len())].clone();
        if !again {
            row.entry.put(Column::Subject, Some("mallory".into()));
            if !linked {
                row.prev = Hash::of(b"x");
            }
            rehash(&mut row);
        }
        // Anywhere behind the one whose place it takes.
        let own = rows.iter().position(|r| same_chain(r, &row) && r.seq == row.seq).unwrap();
        let place = own + 1 + place.index(rows.len() - own);
        rows.insert(place, row.clone());
        let verdict = verify(&rows);
        let found: Vec<_> = verdict.findings.iter().filter(|f| f.fault != Fault::BadSignature).collect();
        prop_assert_eq!(found.len(), 1);
        prop_assert!(covers(found[0], &row));
        let expected = if again { Fault::Repeated } else if linked { Fault::Forked } else { Fault::Inserted };
        prop_assert_eq!(found[0].fault, expected);
    }

    #[test]
    fn rows_written_again_with_their_hashes_are_found_by_the_seals(steps in steps(), at: Index, all: bool) {
        let mut rows = Log::of(&steps).rows;
        let at = at.index(rows.len());
        rows[at].entry.put(Column::Subject, Some("mallory".into()));
        let row = rows[at].clone();
        let mut prev = row.prev;
        for other in rows.iter_mut().skip(at).filter(|other| same_chain(other, &row)).take(if all { usize::MAX } else { 1 }) {
            other.prev = prev;
            rehash(other);
            prev = other.hash;
        }
        let row = rows[at].clone();
        let verdict = verify(&rows);
        let follows = rows.iter().any(|other| same_chain(other, &row) && other.seq > row.seq);
        let is_named = named(&rows, &row) >= row.seq;
        let is_seal = SealKind::of(&row).is_some();
        // Only what is behind the last seal and has nothing behind it can be written again in silence.
        prop_assert_eq!(!verdict.is_whole(), is_seal || is_named || (follows && !all), "{:?}", verdict.findings);
        prop_assert!(verdict.is_whole() || verdict.findings.iter().any(|f| covers(f, &row)), "{:?}", verdict.findings);
        prop_assert!(verdict.findings.iter().all(|f| is_of(f, &row) && f.to >= row.seq), "{:?}", verdict.findings);
    }

    #[test]
    fn a_writer_that_went_on_twice_is_found_where_it_split(steps in steps(), mine in 1..5_u16, theirs in 1..5_u16, mixed: bool) {
        let mut log = Log::of(&steps);
        let last = log.tails.len() - 1;
        log.row(last, 0, 1);
        let split = log.rows.last().unwrap().seq + 1;
        let state = log.tails[last].clone();
        let begin = log.rows.len();
        (0..mine).for_each(|n| log.row(last, 0, 100 + n));
        log.tails[last] = state;
        (0..theirs).for_each(|n| log.row(last, 0, 200 + n));
        if mixed {
            // As a store gives them: by time, then by number.
            log.rows[begin..].sort_by_key(|row| row.seq);
        }
        let verdict = verify(&log.rows);
        prop_assert!(verdict.findings.iter().all(|f| f.fault == Fault::Forked), "{:?}", verdict.findings);
        prop_assert_eq!(verdict.findings.first().map(|f| f.from), Some(split));
    }
}

#[test]
fn nothing_follows_a_writer_that_closed() {
    let mut log = Log::of(&[Step::Row(0, 1), Step::Row(1, 1)]);
    log.seal(1, SealKind::Close, Map::new());
    assert!(verify(&log.rows).is_whole());
    log.row(1, 0, 2);
    let verdict = verify(&log.rows);
    assert_eq!(verdict.findings.iter().map(|f| (f.fault, f.from)).collect::<Vec<_>>(), [(Fault::Inserted, 2)]);
}

#[test]
fn signatures_are_checked_when_there_is_a_key() {
    let log = Log::of(&[Step::Row(0, 1), Step::Checkpoint]);
    let with = |keys: Vec<PublicKey>, rows: &[Row]| {
        let mut verifier = Verifier::new(keys);
        for row in rows {
            verifier.seal(&mut row.clone());
        }
        for row in rows {
            verifier.row(&mut row.clone());
        }
        let verdict = verifier.finish();
        (verdict.signed, verdict.findings.iter().map(|f| f.fault).collect::<Vec<_>>())
    };
    let other = SigningKey::from_seed(&[8; 32]).unwrap().public().clone();
    assert_eq!(with(vec![], &log.rows), (0, vec![]));
    assert_eq!(with(vec![other.clone(), key().public().clone()], &log.rows), (3, vec![]));
    assert_eq!(with(vec![other], &log.rows), (0, vec![Fault::UnknownKey; 3]));
    let mut rows = log.rows.clone();
    let mut data = rows[0].entry.data_object();
    data.remove("signature");
    rows[0].entry = Entry::new(LOG_CLASS.into(), "open", rows[0].entry.at).with_data(data);
    rehash(&mut rows[0]);
    assert!(with(vec![key().public().clone()], &rows).1.contains(&Fault::Unsigned));
}

#[test]
fn what_a_verdict_counts_as_unsealed_could_be_cut_off_in_silence() {
    let mut log = Log::of(&[Step::Row(0, 1), Step::Checkpoint, Step::Row(0, 2), Step::Row(0, 3)]);
    assert_eq!(verify(&log.rows).unsealed(), 2);
    log.rows.truncate(log.rows.len() - 2);
    let verdict = verify(&log.rows);
    assert_eq!((verdict.is_whole(), verdict.unsealed()), (true, 0));
    log.rows.truncate(log.rows.len() - 2);
    assert!(verify(&log.rows).is_whole());
}

/// A store that comes back without its last rows, and the writer that goes on with what it knows.
fn failed_over(from: i64, to: i64) -> (Vec<Row>, Row) {
    let mut log = Log::of(&[Step::Row(0, 1), Step::Row(0, 2), Step::Row(0, 3), Step::Row(0, 4)]);
    let of = |row: &Row, seq: i64| *row.writer == *"w1" && *row.entry.class == *CLASSES[0] && row.seq == seq;
    let last = log.rows.iter().find(|row| of(row, to)).unwrap().clone();
    log.rows.retain(|row| !(from..=to).any(|seq| of(row, seq)));
    let gap = Gap { class: CLASSES[0].to_owned(), from, to, hash: last.hash };
    let data = json!({"missing": [gap.to_json()]}).as_object().unwrap().clone();
    log.seal(1, SealKind::Checkpoint, data);
    log.row(1, 0, 5);
    (log.rows, last)
}

#[test]
fn rows_that_the_store_lost_are_told_from_rows_that_were_deleted() {
    let found = |rows: &[Row]| verify(rows).findings.iter().map(|f| (f.fault, f.from, f.to)).collect::<Vec<_>>();
    let (rows, _) = failed_over(3, 4);
    assert_eq!(found(&rows), [(Fault::Lost, 3, 4)]);
    // Nothing came after it.
    assert_eq!(found(&rows[..rows.len() - 1]), [(Fault::Lost, 3, 4)]);
    // More is missing than the writer said, before it and behind it.
    let without = |seqs: &[i64]| -> Vec<Row> {
        let gone = |row: &&Row| *row.writer == *"w1" && *row.entry.class == *CLASSES[0] && seqs.contains(&row.seq);
        rows.iter().filter(|row| !gone(row)).cloned().collect()
    };
    assert_eq!(found(&without(&[2])), [(Fault::Deleted, 2, 2), (Fault::Lost, 3, 4)]);
    // What is behind the gap must follow the row that the writer said was the last of it.
    let mut forged = rows.clone();
    let place = forged.len() - 1;
    forged[place].prev = Hash::of(b"x");
    rehash(&mut forged[place]);
    assert_eq!(found(&forged), [(Fault::Lost, 3, 4), (Fault::Unlinked, 4, 5)]);
    // The old server comes back, and has them after all.
    let (_, last) = failed_over(4, 4);
    let (mut rows, _) = failed_over(4, 4);
    let place = rows.iter().position(|row| *row.writer == *"w1" && row.seq == 5).unwrap();
    rows.insert(place, last);
    assert_eq!(found(&rows), []);
    // Nobody else can say so.
    let (mut rows, _) = failed_over(3, 4);
    let seal = rows.iter_mut().find(|row| row.entry.data().contains("missing")).unwrap();
    let mut data = seal.entry.data_object();
    data.insert("signature".to_owned(), "AAAA".into());
    seal.entry.put_data(crate::audit::chain::row::canonical_data(&Value::Object(data)));
    rehash(seal);
    assert!(found(&rows).iter().any(|(fault, from, to)| (*fault, *from, *to) == (Fault::Deleted, 3, 4)));
}
