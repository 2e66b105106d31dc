//! The audit log under load: audited calls a second and the wait of a caller, beside other ways to write
//! the same rows to the same store, in one run in which all of them take turns; and how fast a log is verified.
//!
//! usage: audit STORE [SECONDS [ROUNDS [ROWS]]]
//!
//! The store is a new one, `sqlite:/tmp/bench.db` or `postgres://…`. Each way writes for so many seconds
//! (2) in each of so many rounds (3), and so many rows (1,000,000) are verified at the end.

mod other;
mod rows;

use std::error::Error;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward::audit::chain::{LOG_CLASS, Row, SealKind, Tail, Verifier};
use doorward::audit::store::{Clock, Logger, LoggerOptions, Order, Select, Store};

use serde_json::Map;

use other::{classic, copy};
use rows::{Rows, now, writer};

/// As in the program that ships.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub(crate) type Failed = Box<dyn Error + Send + Sync>;

/// How many callers there are at once.
const CALLERS: [usize; 4] = [1, 16, 64, 256];
/// How many rows a batch of the comparison has: as many as a batch of doorward may have.
const BATCH: usize = 512;
/// After how many rows there is a seal.
const SEALED: usize = 10_000;
/// How many connections a classic pool has at most.
const POOL: usize = 64;

/// A way to write rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// doorward: so many callers, each of whom waits for the intent, and leaves an outcome.
    Calls(usize),
    /// Each row in a transaction of its own, over so many connections.
    Classic(usize),
    /// Batches of so many rows, one after the other, over one connection.
    Batches(usize),
    /// The same by `COPY` in its binary format.
    Copy(usize),
}

/// What came of a way.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: u64,
    time: Duration,
    waits: Vec<Duration>,
    /// What this process spent on it on all processors, to make the rows included.
    cpu: Duration,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.time += other.time;
        self.waits.extend(other.waits);
        self.cpu += other.cpu;
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    fn rate(&self) -> f64 {
        self.rows as f64 / self.time.as_secs_f64()
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    fn cpu_of_a_row(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.rows as f64
    }

    /// The wait that so many of a hundred did not exceed, in milliseconds.
    fn wait(&mut self, percent: usize) -> f64 {
        self.waits.sort_unstable();
        let last = self.waits.len().saturating_sub(1);
        self.waits.get(last * percent / 100).map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
    }
}

/// Callers that each wait for their row before they go on, and leave an outcome behind.
async fn calls(store: &Store, callers: usize, time: Duration) -> Result<Tally, Failed> {
    let clock: Clock = Arc::new(now);
    let (logger, task) = Logger::open(store.clone(), LoggerOptions::new(writer(), clock)).await?;
    let before = logger.health().rows;
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (logger, rows) = (logger.clone(), Rows::new());
        tasks.spawn(async move {
            let mut waits = Vec::new();
            while begin.elapsed() < time {
                let n = caller * 1_000_000 + waits.len();
                let Some(room) = logger.room() else { continue };
                let entry = rows.intent(n);
                let start = Instant::now();
                if logger.append(entry).await.is_ok() {
                    waits.push(start.elapsed());
                    logger.note(rows.outcome(n), room);
                }
            }
            waits
        });
    }
    let waits: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    let tally = Tally { rows: logger.health().rows - before, time: begin.elapsed(), waits, ..Tally::default() };
    logger.close().await;
    task.await?;
    Ok(tally)
}

/// Batches as fast as the store takes them. To make the rows does not count.
async fn batches(store: &Store, rows: usize, time: Duration) -> Result<Tally, Failed> {
    let mut connection = store.writer().await?;
    let mut made = Made::new();
    connection.insert(&made.batch(1)).await?;
    let mut tally = Tally::default();
    let begin = Instant::now();
    while begin.elapsed() < time {
        let batch = made.batch(rows);
        let start = Instant::now();
        connection.insert(&batch).await?;
        tally.add(Tally { rows: rows as u64, time: start.elapsed(), waits: vec![start.elapsed()], ..Tally::default() });
    }
    connection.close().await;
    Ok(tally)
}

/// Rows of one writer, intents and outcomes in turn, and the seals that belong to them.
pub(crate) struct Made {
    tail: Tail,
    buffer: Vec<u8>,
    count: usize,
    rows: Rows,
}

impl Made {
    pub(crate) fn new() -> Self {
        Self { tail: Tail::new(writer().into()), buffer: Vec::new(), count: 0, rows: Rows::new() }
    }

    pub(crate) fn batch(&mut self, rows: usize) -> Vec<Row> {
        let row = |_| {
            self.count += 1;
            let seal = if self.count == 1 { Some(SealKind::Open) } else { None };
            let checkpoint = self.count.is_multiple_of(SEALED).then_some(SealKind::Checkpoint);
            if let Some(kind) = seal.or(checkpoint) {
                return self.tail.seal(kind, Map::new(), now(), None, &mut self.buffer);
            }
            let entry =
                if self.count.is_multiple_of(2) { self.rows.outcome(self.count) } else { self.rows.intent(self.count) };
            self.tail.append(entry, now(), &mut self.buffer)
        };
        (0..rows).map(row).collect()
    }
}

/// Lets every way write in turn, round after round.
async fn write(url: &str, store: &Store, time: Duration, rounds: usize) -> Result<(), Failed> {
    let mut ways: Vec<Way> = CALLERS.map(Way::Calls).to_vec();
    if store.is_sqlite() {
        ways.extend([
            Way::Batches(1),
            Way::Batches(BATCH / 16),
            Way::Batches(BATCH / 4),
            Way::Batches(BATCH),
            Way::Batches(4 * BATCH),
        ]);
    } else {
        ways.extend([1, 16, POOL].map(Way::Classic));
        ways.extend([
            Way::Batches(BATCH / 16),
            Way::Batches(BATCH / 4),
            Way::Batches(BATCH),
            Way::Batches(2 * BATCH),
            Way::Copy(BATCH),
            Way::Copy(10 * BATCH),
        ]);
    }
    let mut tallies: Vec<(Way, Tally)> = ways.into_iter().map(|way| (way, Tally::default())).collect();
    for _ in 0..rounds {
        for (way, tally) in &mut tallies {
            other::settle(url, store).await?;
            let before = cpu();
            let done = match *way {
                Way::Calls(callers) => calls(store, callers, time).await?,
                Way::Classic(connections) => classic(url, connections, time).await?,
                Way::Batches(rows) => batches(store, rows, time).await?,
                Way::Copy(rows) => copy(url, rows, time).await?,
            };
            tally.add(Tally { cpu: cpu().saturating_sub(before), ..done });
        }
        tallies.rotate_left(3);
    }
    tallies.sort_by_key(|(way, _)| match *way {
        Way::Calls(n) => (0, n),
        Way::Classic(n) => (1, n),
        Way::Batches(n) => (2, n),
        Way::Copy(n) => (3, n),
    });
    report(tallies, store.is_sqlite());
    Ok(())
}

fn report(mut tallies: Vec<(Way, Tally)>, sqlite: bool) {
    let limit = tallies.iter().find(|(way, _)| *way == Way::Batches(BATCH)).map_or(0.0, |(_, tally)| tally.rate());
    let alone = if sqlite { Way::Batches(1) } else { Way::Classic(1) };
    // What one commit takes of as many rows as so many callers have under way.
    let commits: Vec<f64> = CALLERS
        .iter()
        .map(|&callers| if callers == 1 { alone } else { Way::Batches(2 * callers) })
        .map(|one| tallies.iter_mut().find(|(way, _)| *way == one).map_or(0.0, |(_, tally)| tally.wait(50)))
        .collect();
    println!(
        "| way | calls/s | rows/s | ÷ batches of {BATCH} | p50, ms | p99, ms | p99 ÷ commit of as many | CPU here, µs a row |"
    );
    println!("| --- | --: | --: | --: | --: | --: | --: | --: |");
    for (way, mut tally) in tallies {
        let (rate, p50, p99) = (tally.rate(), tally.wait(50), tally.wait(99));
        let (name, audited) = match way {
            Way::Calls(callers) => (format!("**doorward**, {callers} callers"), format!("{:.0}", rate / 2.0)),
            Way::Classic(n) => (format!("a transaction a row, {n} connections"), String::new()),
            Way::Batches(1) => ("a transaction a row".to_owned(), String::new()),
            Way::Batches(rows) if sqlite => (format!("batches of {rows}"), String::new()),
            Way::Batches(rows) => (format!("UNNEST of {rows}"), String::new()),
            Way::Copy(rows) => (format!("binary COPY of {rows}"), String::new()),
        };
        let (ratio, cpu) = (rate / limit, tally.cpu_of_a_row());
        let commits = CALLERS.iter().zip(&commits).find(|(callers, _)| way == Way::Calls(**callers));
        let commits = commits.map_or_else(String::new, |(_, commit)| format!("{:.1}", p99 / commit));
        println!("| {name} | {audited} | {rate:.0} | {ratio:.2} | {p50:.2} | {p99:.2} | {commits} | {cpu:.1} |");
    }
}

/// Fills the store up, reads it, and verifies it.
async fn verify(url: &str, store: &Store, rows: u64) -> Result<(), Failed> {
    let mut there = 0_u64;
    let mut connection = store.reader().await?;
    let count = &mut |_: Row| {
        there += 1;
        ControlFlow::Continue(())
    };
    connection.read(&Select::default(), count).await?;
    let mut made = Made::new();
    let mut filling = store.writer().await?;
    while there < rows {
        let batch = made.batch(5 * BATCH);
        if store.is_sqlite() {
            filling.insert(&batch).await?
        } else {
            other::fill(url, &batch).await?
        }
        there += batch.len() as u64;
    }
    filling.close().await;

    let mut read = 0_u64;
    let begin = Instant::now();
    let count = &mut |_: Row| {
        read += 1;
        ControlFlow::Continue(())
    };
    connection.read(&Select::default(), count).await?;
    let reading = begin.elapsed();

    let begin = Instant::now();
    let mut verifier = Verifier::new(Vec::new());
    let seals = &mut |mut row: Row| {
        verifier.seal(&mut row);
        ControlFlow::Continue(())
    };
    connection.read(&Select { order: Order::Chain, ..Select::class(LOG_CLASS) }, seals).await?;
    let verdict = connection.verify(verifier).await?.finish();
    let verifying = begin.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = |rows: u64, time: Duration| rows as f64 / time.as_secs_f64();
    println!("\nverify: {} rows, whole: {}", verdict.rows, verdict.is_whole());
    println!(
        "  {:.0} rows/s read and taken apart, {:.0} rows/s verified",
        rate(read, reading),
        rate(verdict.rows, verifying)
    );
    match store.file() {
        Some(file) => match other::printed(file) {
            Ok(time) => println!("  {:.0} rows/s printed by the shell of SQLite", rate(verdict.rows, time)),
            Err(error) => println!("  `sqlite3` cannot be run: {error}"),
        },
        None => println!("  {:.0} rows/s sent by the server and thrown away", other::sent(url).await?),
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().ok_or("usage: audit STORE [SECONDS [ROUNDS [ROWS]]]")?;
    let store: Store = url.parse()?;
    let mut number = |default: u64| arguments.next().map_or(Ok(default), |text| text.parse());
    let (seconds, rounds, rows) = (number(2)?, number(3)?, number(1_000_000)?);
    println!("{store}, {seconds} s a way in each of {rounds} rounds; load {}", load());
    write(&url, &store, Duration::from_secs(seconds), usize::try_from(rounds)?).await?;
    verify(&url, &store, rows).await?;
    println!("load {}", load());
    Ok(())
}

/// What this process has spent on all processors, in the hundredths of a second that Linux counts.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    Duration::from_millis(fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10)
}

/// The load of the machine in the last minute.
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}
