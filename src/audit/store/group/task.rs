//! The task that writes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::{Health, LoggerOptions, Placed, Refused};
use crate::audit::chain::{Column, Entry, Mark, Row, SealKind, Tail};
use crate::audit::store::{Connection, Store, StoreError, StoreErrorKind};

/// The first pause before the store is tried again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

pub(super) type Reply = oneshot::Sender<Result<Placed, Refused>>;

/// What the task is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Row(Box<Waiting>),
    Close(oneshot::Sender<()>),
}

/// A row that is to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) entry: Entry,
    /// Who waits for it.
    pub(super) reply: Option<Reply>,
    /// The room that it takes; one of a bounded number.
    pub(super) room: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    /// A row of the task itself.
    const fn own(entry: Entry) -> Self {
        Self { entry, reply: None, room: None }
    }
}

/// The ways in.
pub(super) struct Inbox {
    /// Rows for which somebody waits. Bounded.
    pub(super) orders: mpsc::Receiver<Order>,
    /// Rows for which nobody waits, each with its room.
    pub(super) notes: mpsc::UnboundedReceiver<Waiting>,
}

/// What became of a batch.
enum Written {
    Yes,
    /// It is not there, and will not be.
    No(StoreError),
    /// Nobody knows.
    Doubt(StoreError),
}

pub(super) struct Task {
    store: Store,
    options: LoggerOptions,
    connection: Option<Connection>,
    tail: Tail,
    /// Rows for which nobody waits, that are still to be written.
    backlog: VecDeque<Waiting>,
    report: watch::Sender<Health>,
    /// Rows since the last seal.
    unsealed: u32,
    sealed_at: Instant,
    /// Refused since the store went away.
    refused: u64,
    /// Rows for which nobody waited, that were given up.
    lost: u64,
    closing: Option<oneshot::Sender<()>>,
    buffer: Vec<u8>,
}

impl Task {
    pub(super) fn new(store: Store, options: LoggerOptions, report: watch::Sender<Health>) -> Self {
        Self {
            store,
            tail: Tail::new(options.writer.as_str().into()),
            options,
            connection: None,
            backlog: VecDeque::new(),
            report,
            unsealed: 0,
            sealed_at: Instant::now(),
            refused: 0,
            lost: 0,
            closing: None,
            buffer: Vec::new(),
        }
    }

    /// Begins the writer: its first row names the heads that are in the store.
    pub(super) async fn open(&mut self) -> Result<(), StoreError> {
        let mut connection = self.store.writer().await?;
        let heads = connection.open_heads().await?;
        let mut data = Map::new();
        data.insert("heads".to_owned(), heads.iter().map(Mark::to_json).collect());
        data.insert("node".to_owned(), self.options.node.as_str().into());
        data.insert("version".to_owned(), env!("CARGO_PKG_VERSION").into());
        let row = self.seal(SealKind::Open, data);
        connection.insert(&[row]).await?;
        self.connection = Some(connection);
        self.report.send_modify(|health| (health.rows, health.batches) = (1, 1));
        Ok(())
    }

    pub(super) async fn run(mut self, mut inbox: Inbox) {
        let mut waiting: Vec<Waiting> = Vec::new();
        loop {
            if self.backlog.is_empty() && self.closing.is_none() {
                let due = self.sealed_at + self.options.checkpoint_every;
                tokio::select! {
                    order = inbox.orders.recv() => match order {
                        Some(order) => self.take(order, &mut waiting),
                        None => break,
                    },
                    Some(note) = inbox.notes.recv() => self.backlog.push_back(note),
                    () = sleep_until(due), if self.unsealed > 0 => {
                        self.unsealed = self.options.checkpoint_rows;
                    }
                }
            }
            while waiting.len() < self.options.batch && self.closing.is_none() {
                let Ok(order) = inbox.orders.try_recv() else { break };
                self.take(order, &mut waiting);
            }
            while let Ok(note) = inbox.notes.try_recv() {
                self.backlog.push_back(note);
            }
            // Whoever has gone is not written at all.
            waiting.retain(|row| row.reply.as_ref().is_none_or(|reply| !reply.is_closed()));
            if !self.batch(&mut waiting).await {
                self.recover(&mut inbox).await;
            }
            if self.closing.is_some() && waiting.is_empty() && self.backlog.is_empty() {
                break;
            }
        }
        self.end().await;
    }

    fn take(&mut self, order: Order, waiting: &mut Vec<Waiting>) {
        match order {
            Order::Row(row) => waiting.push(*row),
            Order::Close(done) => self.closing = Some(done),
        }
    }

    /// Writes what waits. False when the store is away.
    async fn batch(&mut self, waiting: &mut Vec<Waiting>) -> bool {
        let before = (self.tail.clone(), self.unsealed);
        let now = (self.options.clock)();
        // Both kinds get on, whichever is more.
        let old = self.options.batch.saturating_sub(waiting.len()).max(self.options.batch / 4).min(self.backlog.len());
        let mut rows = Vec::with_capacity(waiting.len() + old + 1);
        let mut whose = Vec::with_capacity(waiting.len() + old);
        for Waiting { entry, reply, room } in self.backlog.drain(..old).chain(waiting.drain(..)) {
            rows.push(self.tail.append(entry, now, &mut self.buffer));
            whose.push((reply, room));
        }
        self.unsealed = self.unsealed.saturating_add(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        if self.unsealed >= self.options.checkpoint_rows && self.unsealed > 0 {
            let row = self.seal(SealKind::Checkpoint, Map::new());
            rows.push(row);
        }
        if rows.is_empty() {
            return true;
        }
        match self.write(&rows).await {
            Written::Yes => {
                self.acknowledge(&rows, whose);
                true
            }
            Written::No(error) => {
                (self.tail, self.unsealed) = before;
                let impossible = error.kind == StoreErrorKind::Impossible;
                self.away(&error, !impossible);
                let why = if impossible { Refused::Impossible } else { Refused::Away };
                for (row, (reply, room)) in rows.into_iter().zip(whose) {
                    match reply {
                        Some(reply) => self.refuse(reply, why),
                        None if impossible => self.lost = self.lost.saturating_add(1),
                        None => self.keep(Waiting { entry: row.entry, reply: None, room }),
                    }
                }
                // What can never be written is given up; the others of the batch were refused with it.
                impossible
            }
            Written::Doubt(error) => {
                self.away(&error, true);
                // Nobody waits for what may take long; the rows keep their places until they are there.
                let mut left = Vec::new();
                for (row, (reply, _)) in rows.iter().zip(whose) {
                    if let Some(reply) = reply {
                        self.refuse(reply, Refused::Away);
                        left.push(unconfirmed(row));
                    }
                }
                self.settle(rows).await;
                for entry in left {
                    self.keep(Waiting::own(entry));
                }
                false
            }
        }
    }

    fn acknowledge(&mut self, rows: &[Row], whose: Vec<(Option<Reply>, Option<OwnedSemaphorePermit>)>) {
        self.report.send_modify(|health| {
            health.away = None;
            health.rows = health.rows.saturating_add(rows.len() as u64);
            health.batches = health.batches.saturating_add(1);
        });
        let mut gone = Vec::new();
        for (row, (reply, _)) in rows.iter().zip(whose) {
            let placed = Placed { class: row.entry.class.clone(), seq: row.seq };
            if let Some(reply) = reply
                && reply.send(Ok(placed)).is_err()
            {
                gone.push(unconfirmed(row));
            }
        }
        for entry in gone {
            self.keep(Waiting::own(entry));
        }
    }

    /// Writes rows of which nobody knows whether they are there, until they are.
    async fn settle(&mut self, rows: Vec<Row>) {
        let mut pause = PAUSES.0;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            match self.write(&rows).await {
                Written::Yes => return,
                // The same rows are refused for what they hold: they cannot have been taken before.
                Written::No(error) if error.kind == StoreErrorKind::Impossible => return,
                Written::No(error) | Written::Doubt(error) => self.away(&error, true),
            }
        }
    }

    /// Tries the store until it takes a seal. Whoever asks meanwhile is refused.
    async fn recover(&mut self, inbox: &mut Inbox) {
        let mut pause = PAUSES.0;
        loop {
            let until = Instant::now() + pause;
            pause = (pause * 2).min(PAUSES.1);
            loop {
                tokio::select! {
                    () = sleep_until(until) => break,
                    order = inbox.orders.recv(), if self.closing.is_none() => match order {
                        Some(Order::Row(row)) => {
                            if let Some(reply) = row.reply {
                                self.refuse(reply, Refused::Away);
                            }
                        }
                        Some(Order::Close(done)) => self.closing = Some(done),
                        None => return,
                    },
                    Some(note) = inbox.notes.recv() => self.keep(note),
                }
            }
            if self.probe().await {
                return;
            }
            if self.closing.is_some() {
                // Whoever closes cannot wait for a store that is away.
                self.lost = self.lost.saturating_add(self.backlog.len() as u64);
                self.backlog.clear();
                return;
            }
        }
    }

    /// Writes a seal that says what was refused.
    async fn probe(&mut self) -> bool {
        let before = (self.tail.clone(), self.unsealed);
        let mut data = Map::new();
        data.insert("away".to_owned(), json!({"refused": self.refused, "lost": self.lost}));
        let row = self.seal(SealKind::Checkpoint, data);
        let written = match self.write(std::slice::from_ref(&row)).await {
            Written::Yes => true,
            Written::No(error) => {
                (self.tail, self.unsealed) = before;
                self.away(&error, true);
                return false;
            }
            Written::Doubt(error) => {
                self.away(&error, true);
                self.settle(vec![row]).await;
                true
            }
        };
        (self.refused, self.lost) = (0, 0);
        self.report.send_modify(|health| health.away = None);
        tracing::info!("the audit log can be written again");
        written
    }

    async fn write(&mut self, rows: &[Row]) -> Written {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.store.writer().await {
                Ok(connection) => connection,
                Err(error) => return Written::No(error),
            },
        };
        match connection.insert(rows).await {
            Ok(()) => {
                self.connection = Some(connection);
                Written::Yes
            }
            // What a failure leaves of a connection is not worth keeping.
            Err(error) if error.kind == StoreErrorKind::Doubt => Written::Doubt(error),
            Err(error) => Written::No(error),
        }
    }

    fn seal(&mut self, kind: SealKind, data: Map<String, serde_json::Value>) -> Row {
        let now = (self.options.clock)();
        self.unsealed = 0;
        self.sealed_at = Instant::now();
        let key = self.options.key.as_ref().map(Arc::clone);
        self.tail.seal(kind, data, now, key.as_deref(), &mut self.buffer)
    }

    fn refuse(&mut self, reply: Reply, why: Refused) {
        self.refused = self.refused.saturating_add(1);
        self.report.send_modify(|health| health.refused = health.refused.saturating_add(1));
        // Whoever asked may have gone.
        let _ = reply.send(Err(why));
    }

    /// Keeps a row for later. One that has its room is always kept.
    fn keep(&mut self, row: Waiting) {
        if row.room.is_some() || self.backlog.len() < self.options.queue {
            self.backlog.push_back(row);
        } else {
            self.lost = self.lost.saturating_add(1);
        }
    }

    fn away(&mut self, error: &StoreError, is_away: bool) {
        let first = self.report.borrow().away.is_none();
        if first {
            tracing::error!(code = "audit-unavailable", %error, "the audit log cannot be written");
        }
        if is_away {
            self.report.send_modify(|health| health.away = Some(error.to_string()));
        }
    }

    /// Closes the writer, if the store is there.
    async fn end(mut self) {
        let row = self.seal(SealKind::Close, Map::new());
        // A close that is not written is like a crash: the next writer names the heads.
        let _ = self.write(&[row]).await;
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
        if let Some(done) = self.closing.take() {
            let _ = done.send(());
        }
    }
}

/// The row that says of another that nobody was told of it, so that nothing followed from it.
fn unconfirmed(row: &Row) -> Entry {
    let mut data = Map::new();
    data.insert("of".to_owned(), row.seq.into());
    Entry::new(row.entry.class.clone(), "unconfirmed", row.entry.at)
        .with(Column::Request, row.entry.get(Column::Request))
        .with(Column::Door, row.entry.get(Column::Door))
        .with_data(data)
}
