//! A capture with a clock by hand, in folders that fill and vanish.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::audit::{RowRule, Verdict, Who};
use crate::model::{Effect, Position, RuleKind};
use crate::traffic::{Reader, UnreadableCode};

#[derive(Debug)]
struct Nowhere;

impl Log for Nowhere {
    fn intent(&self, _: Intent) -> Pending<'_, Result<Receipt, Unavailable>> {
        Box::pin(async { Ok(Receipt::new(0)) })
    }

    fn outcome(&self, _: Receipt, _: Outcome) {}

    fn refusals(&self, _: Refusals) {}

    fn is_available(&self) -> bool {
        true
    }
}

fn intent(time: i64, session: &str) -> Intent {
    let event = json!({"time": time, "door": "desk", "method": "tools/call", "name": "find"});
    let verdict = Verdict {
        effect: Effect::Allow,
        reason: "granted".into(),
        rule: Some(RowRule { kind: RuleKind::Grant, name: "staff".to_owned(), at: Position::default() }),
    };
    Intent {
        time: Timestamp(time),
        request: format!("r{time}").into(),
        trace: None,
        session: Some(session.to_owned()),
        who: Arc::new(Who {
            issuer: "corp".into(),
            subject: "ana".into(),
            agent: None,
            actors: Vec::new(),
            scopes: Vec::new(),
            token: None,
        }),
        door: "desk".into(),
        era: None,
        method: "tools/call".to_owned(),
        name: "find".to_owned(),
        arguments: None,
        message: None,
        event: event.as_object().map(EventText::from),
        verdict,
        policy: "sha256:00".into(),
        class: "standard".into(),
    }
}

fn capture(directory: &Path, clock: &Arc<AtomicI64>, change: impl FnOnce(&mut CaptureOptions)) -> Capture {
    let mut options = CaptureOptions { directory: directory.to_owned(), percent: 100, file: 1 << 20, total: 1 << 30 };
    change(&mut options);
    let clock = Arc::clone(clock);
    let now = move || Timestamp(clock.load(Ordering::SeqCst));
    Capture::new(Arc::new(Nowhere), options, "here", now).unwrap()
}

/// The names of the files, and what is in all of them: requests, and how many a gap counts.
fn captured_in(directory: &Path) -> (Vec<String>, Vec<Result<String, String>>) {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut lines = Vec::new();
    for name in &names {
        let text = zstd::decode_all(fs::File::open(directory.join(name)).unwrap()).unwrap();
        let reader = Reader::new(text.as_slice()).unwrap();
        lines.extend(reader.map(|item| match item {
            Ok(numbered) => Ok(numbered.event.id.present().unwrap().clone()),
            Err(unreadable) => {
                assert_eq!(unreadable.code, UnreadableCode::Gap);
                Err(unreadable.message)
            }
        }));
    }
    (names, lines)
}

#[test]
fn files_are_closed_when_they_are_full_and_the_oldest_goes() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(1_772_456_580));
    let capture = capture(directory.path(), &clock, |options| (options.file, options.total) = (1, 500_000));
    for n in 0..20 {
        let mut intent = intent(n, "s");
        // Long, and nothing that a compressor makes short.
        let long: String = (0..5000).map(|part| crate::audit::digest(format!("{n} {part}").as_bytes())).collect();
        let mut event = serde_json::from_str::<Value>(intent.event.unwrap().as_str()).unwrap();
        event["arguments"] = json!({ "text": long });
        intent.event = event.as_object().map(EventText::from);
        capture.record(intent);
    }
    capture.close();
    let (names, lines) = captured_in(directory.path());
    assert!(names.len() > 1 && names.len() < 20, "{names:?}");
    assert!(names.iter().all(|name| name.starts_with("capture-20260302T130300Z-here-")), "{names:?}");
    assert_eq!(lines.last(), Some(&Ok("r19".to_owned())), "the newest stays");
    let total: u64 = names.iter().map(|name| directory.path().join(name).metadata().unwrap().len()).sum();
    assert!(total <= 500_000, "{total}");
}

#[test]
fn what_cannot_be_kept_is_counted_where_it_would_have_stood() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("captured");
    let clock = Arc::new(AtomicI64::new(100));
    let capture = capture(&folder, &clock, |_| ());
    fs::remove_dir(&folder).unwrap();
    capture.record(intent(1, "s"));
    capture.record(Intent { event: None, ..intent(2, "s") });
    let begin = Instant::now();
    while capture.shared.gap.lock().unwrap().is_none_or(|gap| gap.dropped < 2) {
        assert!(begin.elapsed() < Duration::from_secs(10), "nothing was counted");
        std::thread::yield_now();
    }
    fs::create_dir(&folder).unwrap();
    // Not at once again.
    clock.store(101, Ordering::SeqCst);
    capture.record(intent(3, "s"));
    capture.close();
    capture.record(intent(4, "s"));
    assert_eq!(capture.shared.take_gap().map(|gap| gap.dropped), Some(1), "nobody writes any more");
    let (_, lines) = captured_in(&folder);
    let gap = "2 events were not recorded between 1970-01-01T00:00:01Z and 1970-01-01T00:00:02Z";
    assert_eq!(lines, [Err(gap.to_owned()), Ok("r3".to_owned())]);
}

#[test]
fn everything_until_now_can_be_read_when_somebody_asks_and_what_no_file_says_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("captured");
    let clock = Arc::new(AtomicI64::new(1_772_456_580));
    let capture = capture(&folder, &clock, |_| ());
    capture.record(intent(1, "s"));
    let captured = capture.settle().unwrap();
    assert_eq!(captured, Captured { directory: folder.clone(), unsaid: None });
    assert_eq!(captured.files(Timestamp(1_772_456_580), 1).unwrap().len(), 1);
    assert_eq!(captured.files(Timestamp(1_772_456_581), 1).unwrap(), Vec::<PathBuf>::new());
    clock.fetch_add(5, Ordering::SeqCst);
    capture.record(intent(2, "s"));
    capture.settle().unwrap();
    let (names, lines) = captured_in(&folder);
    assert_eq!((names.len(), lines), (2, vec![Ok("r1".to_owned()), Ok("r2".to_owned())]));
    // The last bytes, and of files the last one in any case.
    let last = |most| captured.files(Timestamp(0), most).unwrap().len();
    assert_eq!((last(0), last(u64::MAX)), (1, 2));

    fs::remove_dir_all(&folder).unwrap();
    clock.fetch_add(5, Ordering::SeqCst);
    capture.record(intent(3, "s"));
    let captured = capture.settle().unwrap();
    assert_eq!(captured.unsaid.map(|gap| gap.dropped), Some(1));
    assert_eq!(capture.counts(), (folder.as_path(), 2, 1));
    fs::create_dir(&folder).unwrap();
    assert_eq!(capture.settle().unwrap().unsaid, None);
    let (_, lines) = captured_in(&folder);
    assert!(matches!(lines.as_slice(), [Err(gap)] if gap.starts_with("1 event was not recorded")), "{lines:?}");
    capture.close();
    assert_eq!(capture.settle(), None);
}

#[test]
fn sessions_are_recorded_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(AtomicI64::new(100));
    let capture = capture(directory.path(), &clock, |options| options.percent = 20);
    let sessions: Vec<String> = (0..1000).map(|n| format!("session-{n}")).collect();
    let chosen: Vec<bool> = sessions.iter().map(|session| capture.is_chosen(&intent(1, session))).collect();
    let again: Vec<bool> = sessions.iter().map(|session| capture.is_chosen(&intent(2, session))).collect();
    assert_eq!(chosen, again);
    let share = chosen.iter().filter(|chosen| **chosen).count();
    assert!((150..250).contains(&share), "{share}");
    capture.close();
}

#[test]
fn a_folder_that_cannot_be_written_to_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let options = CaptureOptions { directory: file, percent: 100, file: 1, total: 1 };
    let refusal = Capture::new(Arc::new(Nowhere), options, "here", || Timestamp(0)).unwrap_err();
    assert_eq!(refusal.code, "capture");
}
