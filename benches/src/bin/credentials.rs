//! What a credential that is held costs a request, and how many fetches a cold start of many servers
//! makes.
//!
//! `cargo run --release --manifest-path benches/Cargo.toml --features vault --bin credentials`

use std::collections::BTreeMap;
use std::future::Future;
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use doorward::credentials::{
    Asked, Caller, Credentials, Declared, Given, Handle, Limits, Place, Placed, Source, Unavailable,
};
use doorward::model::Timestamp;
use secrecy::SecretString;

/// How many servers start cold.
const SERVERS: usize = 1_000;
/// How many requests one pass makes, and how many passes; the fastest counts.
const REQUESTS: u32 = 100_000;
const PASSES: usize = 20;
/// How long the giver of the cold start takes for one credential.
const TAKES: Duration = Duration::from_millis(5);

type Later<'a, T> = Pin<Box<dyn Future<Output = Result<T, Unavailable>> + Send + 'a>>;

/// Gives a credential after a while, and counts.
#[derive(Default)]
struct Giver {
    takes: Duration,
    fetches: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Source for Giver {
    fn fetch<'a>(&'a self, _: &'a Asked) -> Later<'a, Given> {
        Box::pin(async move {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            self.most.fetch_max(self.now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(self.takes).await;
            self.now.fetch_sub(1, Ordering::SeqCst);
            let secret = SecretString::from("hvs.CAESIJlAAxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
            let placed = vec![Placed::new(Place::Header(http::header::AUTHORIZATION), secret)?];
            Ok(Given { placed, lease: None, within: None, handle: Handle::default() })
        })
    }

    fn revoke<'a>(&'a self, _: &'a Asked, _: &'a Handle) -> Later<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn credentials(giver: &Arc<Giver>, servers: usize, bound: bool) -> Credentials {
    let declared = (0..servers).map(|n| {
        let source: Arc<dyn Source> = Arc::clone(giver) as _;
        (format!("server-{n}"), Declared { source, ttl: Duration::from_hours(1), bound, meaning: n.to_string() })
    });
    let clock = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    };
    Credentials::new(declared.collect::<BTreeMap<_, _>>(), Arc::new(clock), Arc::new(|| 0), Limits::default())
}

/// The fastest pass, a request.
async fn warm(bound: bool) -> Duration {
    let all = credentials(&Arc::new(Giver::default()), 1, bound);
    let door = all.door("server-0").expect("it is declared");
    let expires_at = Timestamp(i64::MAX / 2);
    let caller =
        Arc::new(Caller { issuer: "corp".into(), subject: "ana".into(), agent: None, scopes: Vec::new(), expires_at });
    let caller = bound.then_some(&caller);
    let mut fastest = Duration::MAX;
    for _ in 0..PASSES {
        let begun = Instant::now();
        for _ in 0..REQUESTS {
            let mut headers = http::HeaderMap::with_capacity(4);
            door.get(caller).await.expect("it is held").write_headers(&mut headers);
            black_box(headers);
        }
        fastest = fastest.min(begun.elapsed() / REQUESTS);
    }
    fastest
}

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    println!("| a warm credential, written into the headers | a request |\n| --- | --: |");
    println!("| of a server | {:?} |", warm(false).await);
    println!("| of one caller at a server | {:?} |", warm(true).await);

    let giver = Arc::new(Giver { takes: TAKES, ..Giver::default() });
    let begun = Instant::now();
    let held = credentials(&giver, SERVERS, false).prepare(Duration::from_mins(1)).await;
    let held = held.iter().filter(|standing| standing.held).count();
    let (fetches, most) = (giver.fetches.load(Ordering::Relaxed), giver.most.load(Ordering::Relaxed));
    println!(
        "\n{held} of {SERVERS} servers have one after {:?}: {fetches} fetches of {TAKES:?}, {most} at once",
        begun.elapsed()
    );
}
