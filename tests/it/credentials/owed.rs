//! What is owed is paid: whatever fails, breaks or happens at once, nothing that was given out lives on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward::credentials::{Credentials, Limits, Unavailable};
use futures_util::future::join_all;
use proptest::prelude::*;
use tokio::time::{Instant, sleep};

use super::{Scripted, clock, credentials, declared, secret};

#[tokio::test(start_paused = true)]
async fn what_cannot_be_taken_back_is_owed_and_tried_until_it_is() {
    let source = Arc::new(Scripted { keeps: AtomicUsize::new(12), ..Scripted::default() });
    let all = credentials(&[("tickets", &source, 100)]);
    all.get("tickets", None).await.unwrap();
    let failed = all.door("tickets").unwrap().revoke().await;
    assert_eq!(failed, [("tickets".to_owned(), Unavailable::Unreachable)]);
    let overdue = all.overdue();
    assert_eq!((overdue.len(), overdue[0].tries, overdue[0].failed), (1, 3, Unavailable::Unreachable));
    assert_eq!((all.owed(), source.living()), (1, 1));
    // 12 pauses of at most half a minute.
    sleep(Duration::from_mins(6)).await;
    assert_eq!((all.owed(), source.living(), all.overdue().len()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_is_over_is_owed_no_more_though_nobody_could_take_it_back() {
    let (keeps, lease) = (AtomicUsize::new(usize::MAX), Some(Duration::from_mins(1)));
    let source = Arc::new(Scripted { lease, keeps, ..Scripted::default() });
    let all = credentials(&[("tickets", &source, 30)]);
    all.get("tickets", None).await.unwrap();
    sleep(Duration::from_secs(45)).await;
    assert_eq!(all.overdue().len(), 1, "its use is over, and it lives on");
    sleep(Duration::from_mins(1)).await;
    assert_eq!((all.owed(), source.living()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_tries_what_is_overdue_once_more_and_says_what_is_left() {
    let source = Arc::new(Scripted { keeps: AtomicUsize::new(4), ..Scripted::default() });
    let stuck = Arc::new(Scripted { keeps: AtomicUsize::new(usize::MAX), ..Scripted::default() });
    let all = credentials(&[("stuck", &stuck, 100), ("tickets", &source, 100)]);
    for door in ["stuck", "tickets"] {
        all.get(door, None).await.unwrap();
        all.door(door).unwrap().revoke().await;
    }
    let failed = all.shutdown(Instant::now() + Duration::from_secs(30)).await;
    assert_eq!(failed, [("stuck".to_owned(), Unavailable::Unreachable)]);
    assert_eq!((source.living(), all.owed()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_breaks_off_is_a_failure_and_the_next_one_begins() {
    let source = Arc::new(Scripted { breaks: AtomicUsize::new(1), ..Scripted::default() });
    let all = credentials(&[("tickets", &source, 100)]);
    assert_eq!(all.get("tickets", None).await.unwrap_err(), Unavailable::Fault);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(secret(&all.get("tickets", None).await.unwrap()), "secret-1");
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_before_all_was_taken_back_does_not_count_after() {
    let source = Arc::new(Scripted { takes: Duration::from_secs(3), ..Scripted::default() });
    let all = credentials(&[("tickets", &source, 100)]);
    let waiting = all.clone();
    let waiting = tokio::spawn(async move { waiting.get("tickets", None).await });
    sleep(Duration::from_secs(1)).await;
    all.door("tickets").unwrap().revoke().await;
    // Whoever waits gets another.
    assert_eq!(secret(&waiting.await.unwrap().unwrap()), "secret-1");
    sleep(Duration::from_secs(1)).await;
    assert_eq!((source.living(), all.owed()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_not_asked_for_again_though_fetching_failed_in_between() {
    let source = Arc::new(Scripted::default());
    let all = credentials(&[("tickets", &source, 100)]);
    let refused = all.get("tickets", None).await.unwrap();
    *source.fails.lock().unwrap() = Some(Unavailable::Sealed);
    all.door("tickets").unwrap().refused(None, &refused);
    assert_eq!(all.get("tickets", None).await.unwrap_err(), Unavailable::Sealed);
    *source.fails.lock().unwrap() = None;
    sleep(Duration::from_secs(1)).await;
    all.get("tickets", None).await.unwrap();
    let asked = source.asked.lock().unwrap().clone();
    assert!(asked[1].is_some() && asked[1] == asked[2], "{asked:?}");
}

/// Threads that get, revoke, refuse and reload at once, with fetches that break and returns that fail.
#[test]
fn many_at_once_leave_nothing_behind() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let source = Arc::new(Scripted {
            takes: Duration::from_micros(300),
            keeps: AtomicUsize::new(40),
            breaks: AtomicUsize::new(5),
            ..Scripted::default()
        });
        let short = Duration::from_millis(1);
        let limits = Limits { backoff: short, backoff_max: short * 5, spacing: short, ..Limits::default() };
        let first = Credentials::new(
            declared(&[("a", &source, 5), ("b", &source, 5)], false),
            clock(Instant::now()),
            Arc::new(|| 7),
            limits,
        );
        let current = Arc::new(Mutex::new(first));
        let tasks: Vec<_> = (0..16_u64)
            .map(|lane| {
                let (current, source) = (Arc::clone(&current), Arc::clone(&source));
                tokio::spawn(async move {
                    for turn in 0..60_u64 {
                        let all = current.lock().unwrap().clone();
                        let name = if (lane + turn) % 2 == 0 { "a" } else { "b" };
                        let Some(door) = all.door(name) else { continue };
                        match (lane * 7 + turn) % 13 {
                            0 => drop(door.revoke().await),
                            1 => {
                                if let Ok(credential) = door.get(None).await {
                                    door.refused(None, &credential);
                                }
                            }
                            2 if lane == 0 => {
                                let mut doors = declared(&[("a", &source, 5), ("b", &source, 5)], false);
                                doors.get_mut("a").unwrap().meaning = turn.to_string();
                                let next = all.succeed(doors);
                                *current.lock().unwrap() = next.clone();
                                all.retire(&next).await;
                            }
                            _ => drop(door.get(None).await),
                        }
                    }
                })
            })
            .collect();
        for task in join_all(tasks).await {
            task.unwrap();
        }
        let all = current.lock().unwrap().clone();
        let failed = all.shutdown(Instant::now() + Duration::from_secs(30)).await;
        assert_eq!((failed, all.owed(), source.living()), (Vec::new(), 0, 0));
    });
}

/// What may happen, with a number of milliseconds.
#[derive(Clone, Debug)]
enum Step {
    Get,
    Wait(u64),
    Fail(bool),
    Keep(usize),
    Break,
    Revoke,
    Refuse,
    Reload,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Get),
        6 => (1_u64..60_000).prop_map(Step::Wait),
        2 => any::<bool>().prop_map(Step::Fail),
        1 => (0_usize..8).prop_map(Step::Keep),
        1 => Just(Step::Break),
        1 => Just(Step::Revoke),
        1 => Just(Step::Refuse),
        1 => Just(Step::Reload),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: nobody is given a credential past its ttl or its lease, one fetch goes on at a
    /// time, and in the end nothing that was given out lives on.
    #[test]
    fn no_stale_credential_is_given_and_no_lease_is_left(
        steps in proptest::collection::vec(step(), 1..60),
        ttl in 1_u64..120,
        lease in proptest::option::of(1_u64..120),
        takes in 0_u64..3_000,
        dice in any::<u32>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let source = Arc::new(Scripted {
                takes: Duration::from_millis(takes),
                lease: lease.map(Duration::from_secs),
                ..Scripted::default()
            });
            let dice = Arc::new(move || dice);
            let mut all = Credentials::new(
                declared(&[("a", &source, ttl)], false), clock(Instant::now()), dice, Limits::default(),
            );
            let life = Duration::from_secs(lease.map_or(ttl, |lease| lease.min(ttl)));
            let mut generation = ttl;
            for step in steps {
                match step {
                    Step::Get => {
                        if let Ok(credential) = all.get("a", None).await {
                            let number: usize = credential.lease_id().unwrap().parse().unwrap();
                            let end = source.out.lock().unwrap().get(&number).copied();
                            prop_assert!(end.is_some(), "given after it was taken back");
                            prop_assert!(end.flatten().is_none_or(|end| Instant::now() < end), "past its lease");
                            let asked_at = source.asked_at.lock().unwrap()[number];
                            prop_assert!(asked_at.elapsed() < Duration::from_secs(ttl), "past its ttl");
                        }
                    }
                    Step::Wait(milliseconds) => sleep(Duration::from_millis(milliseconds)).await,
                    Step::Fail(fails) => *source.fails.lock().unwrap() = fails.then_some(Unavailable::Sealed),
                    Step::Keep(times) => source.keeps.store(times, Ordering::SeqCst),
                    Step::Break => source.breaks.store(1, Ordering::SeqCst),
                    Step::Revoke => {
                        all.door("a").unwrap().revoke().await;
                    }
                    Step::Refuse => {
                        if let Ok(credential) = all.get("a", None).await {
                            all.door("a").unwrap().refused(None, &credential);
                        }
                    }
                    Step::Reload => {
                        // The same ttl in another guise, so that it is another credential.
                        generation += 1_000;
                        let mut doors = declared(&[("a", &source, ttl)], false);
                        doors.get_mut("a").unwrap().meaning = generation.to_string();
                        let next = all.succeed(doors);
                        all.retire(&next).await;
                        all = next;
                    }
                }
                prop_assert!(source.at_once.load(Ordering::SeqCst) <= 2);
            }
            // Every failure that was left to come is over before the last tries.
            source.keeps.store(0, Ordering::SeqCst);
            all.shutdown(Instant::now() + Duration::from_mins(1)).await;
            sleep(life).await;
            prop_assert_eq!(source.living(), 0);
            Ok(())
        })?;
    }
}
