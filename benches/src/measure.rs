//! How long one call takes, on a machine that is not ours alone.
//!
//! A pass asks all requests once. Two kinds of pass, because neither is enough: in one, *batches*
//! of consecutive, different requests lie between two readings of the clock and give the typical
//! cost without the clock's own, but a percentile of batches would hide the slow calls in them; in
//! the other every *single* call lies between two readings and gives the tail, and the cost of two
//! readings with nothing between is taken off. Other work on the machine only ever adds time, so of
//! many passes the fastest counts, for every engine alike.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::workload::Ask;

/// How many calls lie between two readings of the clock.
const BATCH: u32 = 64;

/// Nanoseconds for one call.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// The median over the batches of a pass.
    pub p50: f64,
    /// The 99th percentile over the single calls of a pass.
    pub p99: f64,
}

impl Timing {
    /// The better of two passes, each figure on its own.
    #[must_use]
    pub fn best(self, other: Self) -> Self {
        Self { p50: self.p50.min(other.p50), p99: self.p99.min(other.p99) }
    }
}

/// The best of the passes that fit into `budget`; at least one.
pub fn round<R>(asks: &[Ask<'_>], budget: Duration, mut call: impl FnMut(&Ask<'_>) -> R) -> Timing {
    let start = Instant::now();
    let mut best = pass(asks, &mut call);
    while start.elapsed() < budget {
        best = best.best(pass(asks, &mut call));
    }
    best
}

fn pass<R>(asks: &[Ask<'_>], call: &mut impl FnMut(&Ask<'_>) -> R) -> Timing {
    let mut batches: Vec<f64> = asks
        .chunks_exact(BATCH as usize)
        .map(|batch| {
            let before = Instant::now();
            for ask in batch {
                black_box(call(black_box(ask)));
            }
            nanoseconds(before.elapsed()) / f64::from(BATCH)
        })
        .collect();
    let overhead = clock(asks);
    let mut singles: Vec<f64> = asks
        .iter()
        .map(|ask| {
            let before = Instant::now();
            black_box(call(black_box(ask)));
            nanoseconds(before.elapsed()) - overhead
        })
        .collect();
    Timing { p50: percentile(&mut batches, 0.5), p99: percentile(&mut singles, 0.99) }
}

/// The cost of two readings of the clock.
fn clock(asks: &[Ask<'_>]) -> f64 {
    let mut readings: Vec<f64> = asks
        .iter()
        .map(|ask| {
            let before = Instant::now();
            black_box(ask);
            nanoseconds(before.elapsed())
        })
        .collect();
    percentile(&mut readings, 0.5)
}

/// The smallest of several runs, in milliseconds.
pub fn fastest<R>(runs: usize, mut call: impl FnMut() -> R) -> f64 {
    (0..runs.max(1))
        .map(|_| {
            let before = Instant::now();
            let result = black_box(call());
            let took = before.elapsed();
            drop(result);
            took.as_secs_f64() * 1_000.0
        })
        .fold(f64::INFINITY, f64::min)
}

/// The median of several runs, in milliseconds.
pub fn median<R>(runs: usize, mut call: impl FnMut() -> R) -> f64 {
    let mut times: Vec<f64> = (0..runs.max(1)).map(|_| fastest(1, &mut call)).collect();
    percentile(&mut times, 0.5)
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52 nanoseconds")]
fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list"
)]
fn percentile(samples: &mut [f64], share: f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let last = samples.len().saturating_sub(1);
    samples[((last as f64) * share).round() as usize]
}
