//! Credentials over virtual time: one fetch for all who wait, never a stale one, nothing left behind.

mod owed;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use doorward::credentials::{
    Asked, Caller, Clock, Credential, Credentials, Declared, Given, Handle, Limits, Place, Placed, Source, Unavailable,
};
use doorward::model::Timestamp;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::{Instant, advance, sleep};

/// A source whose every answer is said beforehand, and which counts.
#[derive(Default)]
struct Scripted {
    takes: Duration,
    lease: Option<Duration>,
    fails: Mutex<Option<Unavailable>>,
    fetches: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    /// What is out by its number, with the end of its lease.
    out: Mutex<BTreeMap<usize, Option<Instant>>>,
    /// When each was asked for.
    asked_at: Mutex<Vec<Instant>>,
    shared: bool,
    /// How many more times taking back fails.
    keeps: AtomicUsize,
    /// How many more fetches break.
    breaks: AtomicUsize,
    asked: Mutex<Vec<Option<Handle>>>,
}

impl Source for Scripted {
    fn fetch<'a>(&'a self, asked: &'a Asked) -> BoxFuture<'a, Result<Given, Unavailable>> {
        async move {
            let number = self.fetches.fetch_add(1, Ordering::SeqCst);
            let now = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(now, Ordering::SeqCst);
            self.asked.lock().unwrap().push(asked.refused.clone());
            let made = Instant::now();
            self.asked_at.lock().unwrap().push(made);
            sleep(self.takes).await;
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            assert!(!one_less(&self.breaks), "a fault");
            if let Some(failed) = *self.fails.lock().unwrap() {
                return Err(failed);
            }
            self.out.lock().unwrap().insert(number, self.lease.map(|lease| made + lease));
            let secret = SecretString::from(format!("secret-{number}"));
            Ok(Given {
                placed: vec![Placed::new(Place::Header(http::header::AUTHORIZATION), secret).unwrap()],
                lease: self.lease,
                within: None,
                handle: Handle { lease_id: Some(number.to_string()), accessor: None },
            })
        }
        .boxed()
    }

    fn revoke<'a>(&'a self, _: &'a Asked, handle: &'a Handle) -> BoxFuture<'a, Result<(), Unavailable>> {
        let number = handle.lease_id.as_ref().unwrap().parse().unwrap();
        if one_less(&self.keeps) {
            return std::future::ready(Err(Unavailable::Unreachable)).boxed();
        }
        assert!(self.out.lock().unwrap().remove(&number).is_some(), "taken back twice");
        std::future::ready(Ok(())).boxed()
    }

    fn is_shared(&self) -> bool {
        self.shared
    }
}

/// Takes one away, if there is one.
fn one_less(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok()
}

impl Scripted {
    fn fetched(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    /// What is out and has not lapsed by itself.
    fn living(&self) -> usize {
        let now = Instant::now();
        self.out.lock().unwrap().values().filter(|end| end.is_none_or(|end| now < end)).count()
    }
}

fn clock(start: Instant) -> Clock {
    Arc::new(move || Timestamp(1_000_000 + i64::try_from(start.elapsed().as_secs()).unwrap()))
}

fn credentials(doors: &[(&str, &Arc<Scripted>, u64)]) -> Credentials {
    Credentials::new(declared(doors, false), clock(Instant::now()), Arc::new(|| u32::MAX / 2), Limits::default())
}

fn declared(doors: &[(&str, &Arc<Scripted>, u64)], bound: bool) -> BTreeMap<String, Declared> {
    doors
        .iter()
        .map(|(name, source, ttl)| {
            let source: Arc<dyn Source> = Arc::clone(*source) as _;
            let meaning = format!("{name} {ttl} {:?}", Arc::as_ptr(&source).cast::<()>());
            ((*name).to_owned(), Declared { source, ttl: Duration::from_secs(*ttl), bound, meaning })
        })
        .collect()
}

fn secret(credential: &Credential) -> String {
    credential.placed()[0].secret().expose_secret().to_owned()
}

#[tokio::test(start_paused = true)]
async fn however_many_wait_one_asks_and_all_get_the_same() {
    let source = Arc::new(Scripted { takes: Duration::from_secs(2), ..Scripted::default() });
    let all = credentials(&[("tickets", &source, 600)]);
    let got = join_all((0..200).map(|_| all.get("tickets", None))).await;
    let secrets: BTreeSet<_> = got.into_iter().map(|got| secret(&got.unwrap())).collect();
    assert_eq!((secrets.len(), source.fetched()), (1, 1));
    assert_eq!(all.get("crm", None).await.unwrap_err(), Unavailable::Undeclared);
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_goes_away_leaves_no_credential_behind() {
    let source = Arc::new(Scripted { takes: Duration::from_secs(2), ..Scripted::default() });
    let all = credentials(&[("tickets", &source, 600)]);
    let gone = tokio::time::timeout(Duration::from_secs(1), all.get("tickets", None)).await;
    assert!(gone.is_err());
    assert_eq!(secret(&all.get("tickets", None).await.unwrap()), "secret-0");
    assert_eq!((source.fetched(), all.owed()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn the_next_is_fetched_before_the_end_and_behind_the_callers_backs() {
    let source = Arc::new(Scripted { takes: Duration::from_secs(1), ..Scripted::default() });
    let all = credentials(&[("tickets", &source, 100)]);
    assert_eq!(secret(&all.get("tickets", None).await.unwrap()), "secret-0");
    advance(Duration::from_secs(85)).await;
    let before = Instant::now();
    assert_eq!(secret(&all.get("tickets", None).await.unwrap()), "secret-0");
    assert_eq!(before, Instant::now(), "a caller waited for a renewal");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(secret(&all.get("tickets", None).await.unwrap()), "secret-1");
    // The first one would live on: it is taken back when its own life ends, and not before.
    assert_eq!(source.living(), 2);
    sleep(Duration::from_secs(20)).await;
    assert_eq!(source.living(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_fetching_fails_the_known_one_serves_to_its_end_and_no_longer() {
    let source = Arc::new(Scripted::default());
    let all = credentials(&[("tickets", &source, 100)]);
    all.get("tickets", None).await.unwrap();
    *source.fails.lock().unwrap() = Some(Unavailable::Sealed);
    for _ in 0..99 {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(secret(&all.get("tickets", None).await.unwrap()), "secret-0");
    }
    sleep(Duration::from_secs(1)).await;
    assert_eq!(all.get("tickets", None).await.unwrap_err(), Unavailable::Sealed);
    *source.fails.lock().unwrap() = None;
    sleep(Limits::default().backoff_max).await;
    assert!(secret(&all.get("tickets", None).await.unwrap()).starts_with("secret-"));
}

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_not_stormed() {
    let source = Arc::new(Scripted::default());
    *source.fails.lock().unwrap() = Some(Unavailable::Unreachable);
    let all = credentials(&[("tickets", &source, 100)]);
    for _ in 0..10_000 {
        assert_eq!(all.get("tickets", None).await.unwrap_err(), Unavailable::Unreachable);
        advance(Duration::from_millis(10)).await;
    }
    // 100 seconds: 0.25 doubled to 30 seconds, each shortened by up to a half.
    assert!((6..=14).contains(&source.fetched()), "{}", source.fetched());
}

#[tokio::test(start_paused = true)]
async fn one_door_without_a_credential_is_no_matter_to_another() {
    let (broken, sound) = (Arc::new(Scripted::default()), Arc::new(Scripted::default()));
    *broken.fails.lock().unwrap() = Some(Unavailable::Denied);
    let all = credentials(&[("crm", &broken, 100), ("tickets", &sound, 100)]);
    assert!(all.get("crm", None).await.is_err());
    assert!(all.get("tickets", None).await.is_ok());
    let standing: Vec<_> = all.standing().into_iter().map(|s| (s.server, s.held, s.failed)).collect();
    assert_eq!(standing, [("crm".into(), false, Some(Unavailable::Denied)), ("tickets".into(), true, None)]);
}

#[tokio::test(start_paused = true)]
async fn what_the_server_refuses_is_replaced_and_a_server_that_refuses_all_starts_no_storm() {
    let source = Arc::new(Scripted::default());
    let all = credentials(&[("tickets", &source, 100)]);
    for _ in 0..1_000 {
        let credential = all.get("tickets", None).await.unwrap();
        all.door("tickets").unwrap().refused(None, &credential);
        advance(Duration::from_millis(20)).await;
    }
    assert!((2..=4).contains(&source.fetched()), "{}", source.fetched());
    let asked = source.asked.lock().unwrap().clone();
    assert_eq!(asked[0], None);
    assert_eq!(asked[1].as_ref().unwrap().lease_id.as_deref(), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn removing_a_server_takes_its_credential_back_and_leaves_the_others() {
    let (a, b) = (Arc::new(Scripted::default()), Arc::new(Scripted::default()));
    let all = credentials(&[("a", &a, 100), ("b", &b, 100)]);
    let kept = secret(&all.get("a", None).await.unwrap());
    all.get("b", None).await.unwrap();
    let next = all.succeed(declared(&[("a", &a, 100)], false));
    // What is under way with the old edition goes on.
    all.get("b", None).await.unwrap();
    assert_eq!(all.retire(&next).await, []);
    assert_eq!((a.living(), b.living()), (1, 0));
    assert_eq!(all.get("b", None).await.unwrap_err(), Unavailable::Stopped);
    let all = next;
    assert_eq!(secret(&all.get("a", None).await.unwrap()), kept);
    assert_eq!(all.get("b", None).await.unwrap_err(), Unavailable::Undeclared);
    // Another ttl is another credential.
    let next = all.succeed(declared(&[("a", &a, 50)], false));
    all.retire(&next).await;
    assert_eq!(a.living(), 0);
    let all = next;
    assert_ne!(secret(&all.get("a", None).await.unwrap()), kept);
}

#[tokio::test(start_paused = true)]
async fn what_arrives_after_its_server_was_removed_is_given_back() {
    let source = Arc::new(Scripted { takes: Duration::from_secs(5), ..Scripted::default() });
    let all = credentials(&[("tickets", &source, 100)]);
    let late = all.clone();
    let late = tokio::spawn(async move { late.get("tickets", None).await });
    sleep(Duration::from_secs(1)).await;
    all.retire(&all.succeed(BTreeMap::new())).await;
    assert!(late.await.unwrap().is_err());
    sleep(Duration::from_secs(1)).await;
    assert_eq!((source.fetched(), source.living(), all.owed()), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn shutting_down_takes_everything_back_but_what_others_share() {
    let slow = Arc::new(Scripted { takes: Duration::from_secs(3), ..Scripted::default() });
    let (own, shared) = (Arc::new(Scripted::default()), Arc::new(Scripted { shared: true, ..Scripted::default() }));
    let all = credentials(&[("own", &own, 100), ("shared", &shared, 100), ("slow", &slow, 100)]);
    all.get("own", None).await.unwrap();
    all.get("shared", None).await.unwrap();
    let waiting = all.clone();
    let waiting = tokio::spawn(async move { waiting.get("slow", None).await });
    sleep(Duration::from_secs(1)).await;
    assert_eq!(all.shutdown(Instant::now() + Duration::from_secs(30)).await, []);
    assert!(waiting.await.unwrap().is_err());
    assert_eq!((own.living(), shared.living(), slow.living()), (0, 1, 0));
    assert_eq!(all.get("own", None).await.unwrap_err(), Unavailable::Stopped);
}

#[tokio::test(start_paused = true)]
async fn a_cold_start_of_a_thousand_servers_asks_once_for_each_and_a_few_at_a_time() {
    let source = Arc::new(Scripted { takes: Duration::from_millis(5), ..Scripted::default() });
    let names: Vec<String> = (0..1_000).map(|n| format!("server-{n}")).collect();
    let doors: Vec<_> = names.iter().map(|name| (name.as_str(), &source, 600)).collect();
    let all = credentials(&doors);
    let standing = all.prepare(Duration::from_mins(1)).await;
    assert_eq!(standing.iter().filter(|standing| standing.held).count(), 1_000);
    assert_eq!(source.fetched(), 1_000);
    assert_eq!(source.most_at_once.load(Ordering::SeqCst), Limits::default().fetches);
}

fn caller(subject: &str, expires_at: i64) -> Arc<Caller> {
    let (issuer, subject) = ("corp".to_owned(), subject.to_owned());
    Arc::new(Caller { issuer, subject, agent: None, scopes: Vec::new(), expires_at: Timestamp(1_000_000 + expires_at) })
}

#[tokio::test(start_paused = true)]
async fn a_bound_credential_is_one_callers_alone_and_ends_with_the_token() {
    let source = Arc::new(Scripted::default());
    let start = Instant::now();
    let all =
        Credentials::new(declared(&[("tickets", &source, 600)], true), clock(start), Arc::new(|| 0), Limits::default());
    let (ana, ben) = (caller("ana", 60), caller("ben", 3_600));
    let anas = all.get("tickets", Some(&ana)).await.unwrap();
    let bens = all.get("tickets", Some(&ben)).await.unwrap();
    assert_ne!(secret(&anas), secret(&bens));
    assert_eq!((anas.not_after(), bens.not_after()), (Timestamp(1_000_060), Timestamp(1_000_600)));
    // Another token of hers that ends earlier never meets a credential that ends later.
    let short = all.get("tickets", Some(&caller("ana", 10))).await.unwrap();
    assert_eq!(short.not_after(), Timestamp(1_000_010));
    sleep(Duration::from_mins(1)).await;
    assert_eq!(all.get("tickets", Some(&ana)).await.unwrap_err(), Unavailable::Expired);
    assert_eq!(all.get("tickets", None).await.unwrap_err(), Unavailable::Undeclared);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_ahead_ends_a_credential_and_one_that_jumps_back_prolongs_none() {
    let source = Arc::new(Scripted::default());
    let jump = Arc::new(AtomicU32::new(1_000));
    let (start, jumped) = (Instant::now(), Arc::clone(&jump));
    let wall: Clock = Arc::new(move || {
        Timestamp(i64::from(jumped.load(Ordering::SeqCst)) + i64::try_from(start.elapsed().as_secs()).unwrap())
    });
    let all = Credentials::new(declared(&[("a", &source, 100)], false), wall, Arc::new(|| 0), Limits::default());
    let first = secret(&all.get("a", None).await.unwrap());
    jump.store(2_000, Ordering::SeqCst);
    let second = secret(&all.get("a", None).await.unwrap());
    assert_ne!(first, second);
    jump.store(0, Ordering::SeqCst);
    advance(Duration::from_secs(100)).await;
    assert_ne!(secret(&all.get("a", None).await.unwrap()), second);
}
