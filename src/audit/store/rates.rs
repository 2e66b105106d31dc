//! The counts of rates that gateways share, in the database of their log.
//!
//! One task with a connection of its own: the calls that come while one statement is under way are the next
//! one, summed up by lane. What cannot be counted is an answer at once, and the next call after a pause tries
//! again. Only `PostgreSQL` is for several gateways.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::{Connection, Store, StoreError};
use crate::audit::Pending;
use crate::audit::rates::{Filling, Lane, NotCounted, SharedRates};

/// How many calls may wait.
const QUEUE: usize = 4_096;
/// How many calls one statement counts.
const BATCH: usize = 512;
/// How long a call waits to be counted.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a database that is away is left alone.
const PAUSE: Duration = Duration::from_millis(500);

/// One call.
#[derive(Debug)]
struct Order {
    lanes: Vec<Lane>,
    reply: oneshot::Sender<Result<Vec<Filling>, NotCounted>>,
}

/// Why nothing is counted, and until when nothing is tried.
#[derive(Clone, Debug)]
struct Away {
    why: String,
    until: Instant,
}

/// Counts rates in the database of an audit log. Clones count together.
#[derive(Clone, Debug)]
pub struct RateCounter {
    orders: mpsc::Sender<Order>,
    away: watch::Receiver<Option<Away>>,
}

/// What counts.
struct Task {
    store: Store,
    connection: Option<Connection>,
    away: watch::Sender<Option<Away>>,
}

impl RateCounter {
    /// A counter in this store; `None` in one that is not for several gateways. It connects when a call comes.
    /// Must be called within a tokio runtime, in which its task runs until the last clone is gone.
    pub fn new(store: Store) -> Option<Self> {
        if store.is_sqlite() {
            return None;
        }
        let (orders, received) = mpsc::channel(QUEUE);
        let (report, away) = watch::channel(None);
        tokio::spawn(Task { store, connection: None, away: report }.run(received));
        Some(Self { orders, away })
    }

    /// Why nothing could be counted when it was tried last; `None` when it could.
    pub fn away(&self) -> Option<String> {
        self.away.borrow().as_ref().map(|away| away.why.clone())
    }

    async fn wait(&self, lanes: Vec<Lane>) -> Result<Vec<Filling>, NotCounted> {
        if self.away.borrow().as_ref().is_some_and(|away| Instant::now() < away.until) {
            return Err(NotCounted);
        }
        let (reply, answer) = oneshot::channel();
        self.orders.try_send(Order { lanes, reply }).map_err(|_| NotCounted)?;
        timeout(PATIENCE, answer).await.ok().and_then(Result::ok).unwrap_or(Err(NotCounted))
    }
}

impl SharedRates for RateCounter {
    fn count(&self, lanes: Vec<Lane>) -> Pending<'_, Result<Vec<Filling>, NotCounted>> {
        Box::pin(self.wait(lanes))
    }
}

impl Task {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) {
        while let Some(first) = orders.recv().await {
            let mut batch = vec![first];
            while batch.len() < BATCH
                && let Ok(next) = orders.try_recv()
            {
                batch.push(next);
            }
            // Who does not wait any more was refused.
            batch.retain(|order| !order.reply.is_closed());
            if !batch.is_empty() {
                self.answer(batch).await;
            }
        }
        if let Some(connection) = self.connection {
            connection.close().await;
        }
    }

    async fn answer(&mut self, batch: Vec<Order>) {
        let counted = self.count(&batch).await;
        if let Err(error) = &counted {
            let known = self.away.borrow().is_some();
            if !known {
                tracing::error!(code = "rates-unavailable", why = %error, "rates across gateways cannot be counted");
            }
            // A connection that was there is made anew by the next call; one that cannot be made is left alone.
            let pause = if self.connection.take().is_some() { Duration::ZERO } else { PAUSE };
            self.away.send_replace(Some(Away { why: error.to_string(), until: Instant::now() + pause }));
        } else if self.away.send_replace(None).is_some() {
            tracing::info!("rates across gateways are counted again");
        }
        let mut counted = counted.map_err(|_| NotCounted);
        for Order { lanes, reply } in batch {
            let answer = match &mut counted {
                Ok(counted) => lanes.iter().map(|lane| counted.get_mut(&lane.key).map(Counted::next)).collect(),
                Err(_) => None,
            };
            // An error means that nobody waits any more.
            let _ = reply.send(answer.ok_or(NotCounted));
        }
    }

    /// Counts the calls of a batch, and gives for each lane what its calls come after.
    async fn count(&mut self, batch: &[Order]) -> Result<BTreeMap<[u8; 32], Counted>, StoreError> {
        let mut sums: BTreeMap<[u8; 32], (u32, u32)> = BTreeMap::new();
        for lane in batch.iter().flat_map(|order| &order.lanes) {
            sums.entry(lane.key).or_insert((lane.seconds, 0)).1 += 1;
        }
        if self.connection.is_none() {
            self.connection = Some(self.store.writer().await?);
        }
        let Some(connection) = &mut self.connection else { return Ok(BTreeMap::new()) };
        let told = connection.count_rates(&sums).await?;
        let of = |(key, (count, left)): ([u8; 32], (u64, Duration))| {
            let calls = sums.get(&key).map_or(0, |(_, calls)| u64::from(*calls));
            (key, Counted { before: count.saturating_sub(calls), left })
        };
        Ok(told.into_iter().map(of).collect())
    }
}

/// The calls of one lane in a batch, in the order in which they came.
struct Counted {
    before: u64,
    left: Duration,
}

impl Counted {
    fn next(&mut self) -> Filling {
        let Self { before, left } = *self;
        self.before = before.saturating_add(1);
        Filling { before, left }
    }
}
