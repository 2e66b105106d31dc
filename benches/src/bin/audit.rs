//! The audit log under load: rows a second and the wait of a caller, against one transaction a row
//! and against the most that batches of rows reach on the same store.
//!
//! usage: audit STORE [SECONDS]     with a store of its own, as `sqlite:/tmp/bench.db`

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use doorward::audit::chain::{Column, Entry, Row, Tail, Verifier};
use doorward::audit::store::{Clock, Logger, LoggerOptions, Select, Store};

type Failed = Box<dyn Error + Send + Sync>;

/// How many rows a batch of the last comparison has.
const BATCH: usize = 512;
/// How many connections a classic pool has at most.
const POOL: usize = 64;

fn now() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_micros()).unwrap_or(i64::MAX)
}

fn writer() -> String {
    format!("{:x}-{}", now(), std::process::id())
}

/// A row of a usual size.
fn entry(n: usize) -> Entry {
    let data = serde_json::json!({
        "arguments": "sha256:8c2059c277c1b8754e47c0970266f22eb9855255819551f859f4ec360200481e",
        "scopes": ["tickets:read", "tickets:reply", "tickets:refund"],
        "token": "sha256:8c2059c277c1b8754e47c0970266f22eb9855255819551f859f4ec360200481e",
    });
    Entry::new("standard".into(), "intent", now())
        .with(Column::Agent, "desk-assistant")
        .with(Column::Decision, "allow")
        .with(Column::Door, "tickets")
        .with(Column::Issuer, "corp")
        .with(Column::Method, "tools/call")
        .with(Column::Name, "refund")
        .with(Column::Policy, "sha256:8c2059c277c1b8754e47c0970266f22eb9855255819551f859f4ec360200481e")
        .with(Column::Reason, "granted")
        .with(Column::Request, format!("01a2b3c4-{n:012}").as_str())
        .with(Column::Rule, "support-desk")
        .with(Column::Subject, "ana")
        .with_data(data.as_object().cloned().unwrap_or_default())
}

fn report(what: &str, callers: usize, seconds: f64, waits: &mut [Duration]) {
    waits.sort_unstable();
    let at = |part: f64| {
        let place = (waits.len() as f64 * part) as usize;
        waits.get(place.min(waits.len().saturating_sub(1))).map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
    };
    println!(
        "{what:<44} {callers:>4} callers  {:>9.0} rows/s  p50 {:>7.2} ms  p99 {:>7.2} ms",
        waits.len() as f64 / seconds,
        at(0.5),
        at(0.99)
    );
}

/// Callers that each wait for their row before the next.
async fn logger(store: &Store, what: &str, batch: usize, callers: usize, time: Duration) -> Result<(), Failed> {
    let clock: Clock = Arc::new(now);
    let options = LoggerOptions { batch, patience: Duration::from_secs(60), ..LoggerOptions::new(writer(), clock) };
    let (logger, task) = Logger::open(store.clone(), options).await?;
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..callers {
        let logger = logger.clone();
        tasks.spawn(async move {
            let mut waits = Vec::new();
            while begin.elapsed() < time {
                let start = Instant::now();
                if logger.append(entry(waits.len())).await.is_ok() {
                    waits.push(start.elapsed());
                }
            }
            waits
        });
    }
    let mut waits: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    report(what, callers, begin.elapsed().as_secs_f64(), &mut waits);
    logger.close().await;
    task.await?;
    Ok(())
}

/// Connections that insert batches of rows as fast as they can.
async fn direct(store: &Store, what: &str, rows: usize, connections: usize, time: Duration) -> Result<(), Failed> {
    let mut tasks = tokio::task::JoinSet::new();
    let mut ready = Vec::new();
    for n in 0..connections {
        let mut connection = store.writer().await?;
        let mut tail = Tail::new(format!("{}-{n}", writer()).into());
        let mut buffer = Vec::new();
        connection.insert(&[tail.append(entry(0), now(), &mut buffer)]).await?;
        ready.push((connection, tail, buffer));
    }
    let begin = Instant::now();
    for (mut connection, mut tail, mut buffer) in ready {
        tasks.spawn(async move {
            let mut waits = Vec::new();
            while begin.elapsed() < time {
                let start = Instant::now();
                let batch: Vec<Row> = (0..rows).map(|n| tail.append(entry(n), now(), &mut buffer)).collect();
                if connection.insert(&batch).await.is_ok() {
                    waits.extend(std::iter::repeat_n(start.elapsed(), rows));
                }
            }
            waits
        });
    }
    let mut waits: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    report(what, connections, begin.elapsed().as_secs_f64(), &mut waits);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let store: Store = arguments.next().ok_or("usage: audit STORE [SECONDS]")?.parse()?;
    let seconds = arguments.next().map_or(Ok(5), |text| text.parse::<u64>())?;
    let time = Duration::from_secs(seconds);
    println!("{store}, {seconds} s each");
    for callers in [1, 16, 32, 64, 256] {
        logger(&store, "group commit", BATCH, callers, time).await?;
    }
    for callers in [1, 32] {
        logger(&store, "one transaction a row, one connection", 1, callers, time).await?;
    }
    if !store.is_sqlite() {
        for connections in [16, POOL] {
            direct(&store, "one transaction a row, each a connection", 1, connections, time).await?;
        }
    }
    for rows in [64, 256, BATCH] {
        direct(&store, &format!("batches of {rows} back to back"), rows, 1, time).await?;
    }
    let mut verifier = Verifier::new(Vec::new());
    let mut connection = store.reader().await?;
    let begin = Instant::now();
    connection
        .read(&Select::default(), &mut |mut row| {
            verifier.row(&mut row);
            std::ops::ControlFlow::Continue(())
        })
        .await?;
    let verdict = verifier.finish();
    let rate = verdict.rows as f64 / begin.elapsed().as_secs_f64();
    println!("verify: {} rows, {rate:.0} rows/s, whole: {}", verdict.rows, verdict.is_whole());
    Ok(())
}
