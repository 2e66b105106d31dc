//! The task that writes.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

use super::durable::Durable;
use super::sealing::{Pace, Sealing, Since};
use super::{Health, LoggerOptions, Placed, Refused};
use crate::audit::chain::{Anchor, Entry, Gap, SealKind, Tail};
use crate::audit::signer::{self, NotSigned, Signer};
use crate::audit::store::{Connection, Store, StoreError, StoreErrorKind};

/// The first pause before the store is tried again, and the longest.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

pub(super) type Reply = oneshot::Sender<Result<Placed, Refused>>;

/// What the task is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Row(Box<Waiting>),
    /// Whether a row could be written now.
    Check(oneshot::Sender<bool>),
    Close(oneshot::Sender<()>),
}

/// A row that is to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) entry: Entry,
    pub(super) owner: Owner,
}

/// Whose row it is.
#[derive(Debug, Default)]
pub(super) struct Owner {
    /// Who waits for it.
    pub(super) reply: Option<Reply>,
    /// The room that it takes; one of a bounded number.
    pub(super) room: Option<OwnedSemaphorePermit>,
    /// The bytes that it takes of those that may wait.
    pub(super) _bytes: Option<OwnedSemaphorePermit>,
    /// Who waited was told that it is not written.
    pub(super) refused: bool,
}

impl Waiting {
    /// A row of the task itself.
    pub(super) fn own(entry: Entry) -> Self {
        Self { entry, owner: Owner::default() }
    }
}

/// The ways in.
pub(super) struct Inbox {
    /// Rows for which somebody waits. Bounded.
    pub(super) orders: mpsc::Receiver<Order>,
    /// Rows for which nobody waits, each with its room.
    pub(super) notes: mpsc::UnboundedReceiver<Waiting>,
}

pub(super) struct Task {
    pub(super) store: Store,
    pub(super) options: LoggerOptions,
    pub(super) connection: Option<Connection>,
    pub(super) tail: Tail,
    pub(super) durable: Durable,
    /// Rows for which nobody waits, that are still to be written.
    pub(super) backlog: VecDeque<Waiting>,
    pub(super) report: watch::Sender<Health>,
    pub(super) sealing: Sealing,
    closing: Option<oneshot::Sender<()>>,
    checks: Vec<oneshot::Sender<bool>>,
    pub(super) buffer: Vec<u8>,
}

/// A connection by which a row could be written.
async fn looked(mut connection: Connection) -> Result<Connection, StoreError> {
    connection.check().await.map(|()| connection)
}

impl Task {
    pub(super) fn new(store: Store, options: LoggerOptions, report: watch::Sender<Health>) -> Self {
        let pace = Pace { rows: options.checkpoint_rows, every: options.checkpoint_every };
        let tail = Tail::new(options.writer.as_str().into());
        Self {
            store,
            durable: Durable::new(tail.clone(), (options.kept, options.kept_bytes)),
            tail,
            sealing: Sealing::new(options.key.clone(), pace),
            options,
            connection: None,
            backlog: VecDeque::new(),
            report,
            closing: None,
            checks: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Begins the writer: its first rows name the heads that are in the store.
    pub(super) async fn open(&mut self) -> Result<(), StoreError> {
        let mut connection = self.store.writer().await?;
        let heads = connection.heads(self.sealing.signer().map(Signer::public)).await?;
        let mut rows = Vec::new();
        for seal in Tail::opening(&heads, &self.options.node) {
            let now = (self.options.clock)();
            let row = signer::seal(&mut self.tail, seal, now, self.sealing.signer(), &mut self.buffer).await;
            rows.push(row.map_err(|e| StoreError::new(StoreErrorKind::NotSigned, e.to_string()))?);
        }
        connection.insert(&rows).await?;
        for anchor in rows.iter().filter_map(Anchor::of) {
            tracing::info!(%anchor, "the audit log is opened");
        }
        self.connection = Some(connection);
        self.report.send_modify(|health| (health.rows, health.batches) = (rows.len() as u64, 1));
        self.durable.advance(self.tail.clone(), rows);
        Ok(())
    }

    pub(super) async fn run(mut self, mut inbox: Inbox) {
        let mut waiting: Vec<Waiting> = Vec::new();
        loop {
            if self.backlog.is_empty() && self.closing.is_none() && !self.sealing.is_ready() {
                tokio::select! {
                    order = inbox.orders.recv() => match order {
                        Some(order) => self.take(order, &mut waiting),
                        None => break,
                    },
                    Some(note) = inbox.notes.recv() => self.backlog.push_back(note),
                    looked = self.sealing.next() => self.signed(looked),
                }
            }
            self.gather(&mut inbox, &mut waiting).await;
            // Whoever has gone is not written at all.
            waiting.retain(|row| row.owner.reply.as_ref().is_none_or(|reply| !reply.is_closed()));
            if !self.batch(&mut waiting).await || !self.check().await {
                self.recover(&mut inbox).await;
            }
            if self.sealing.is_due() {
                self.draft();
            }
            let looked = self.sealing.look();
            self.signed(looked);
            if self.closing.is_some() && waiting.is_empty() && self.backlog.is_empty() {
                break;
            }
        }
        self.end().await;
    }

    /// Takes what has come. Whoever was told of the last flush comes again at once, so as long as more comes
    /// others go first: who came a moment too late would wait for two flushes.
    async fn gather(&mut self, inbox: &mut Inbox, waiting: &mut Vec<Waiting>) {
        let mut gathered = 0;
        loop {
            while waiting.len() < self.options.batch && self.closing.is_none() {
                let Ok(order) = inbox.orders.try_recv() else { break };
                self.take(order, waiting);
            }
            while let Ok(note) = inbox.notes.try_recv() {
                self.backlog.push_back(note);
            }
            let now = waiting.len().saturating_add(self.backlog.len());
            if now == gathered || now >= self.options.batch || self.closing.is_some() {
                return;
            }
            gathered = now;
            yield_now().await;
        }
    }

    fn take(&mut self, order: Order, waiting: &mut Vec<Waiting>) {
        match order {
            Order::Row(row) => waiting.push(*row),
            Order::Check(reply) => self.checks.push(reply),
            Order::Close(done) => self.closing = Some(done),
        }
    }

    /// Looks whether a row could be written, where somebody asks. False when not.
    async fn check(&mut self) -> bool {
        if self.checks.is_empty() {
            return true;
        }
        let mut checked = match self.connection.take() {
            Some(connection) => looked(connection).await,
            None => Err(StoreError::new(StoreErrorKind::Unreachable, "there is no connection")),
        };
        // A connection may have ended while nobody wrote.
        if checked.as_ref().is_err_and(|error| error.kind == StoreErrorKind::Unreachable) {
            checked = match self.connect().await {
                Ok(connection) => looked(connection).await,
                Err(error) => Err(error),
            };
        }
        if let Err(error) = &checked {
            self.away(error);
        }
        for reply in self.checks.drain(..) {
            // Whoever asked may have gone.
            let _ = reply.send(checked.is_ok());
        }
        self.connection = checked.ok();
        self.connection.is_some()
    }

    /// Drafts a seal of everything that is durable, and begins to sign it.
    fn draft(&mut self) {
        let data = self.about();
        let now = (self.options.clock)();
        let draft = self.tail.draft(SealKind::Checkpoint, data, now, self.sealing.signer().map(Signer::public));
        self.sealing.begin(draft);
    }

    /// What a seal says of the time since the one before it.
    fn about(&self) -> Map<String, Value> {
        let Since { refused, lost, restored, missing, .. } = &self.sealing.since;
        let mut data = Map::new();
        if *refused > 0 || *lost > 0 {
            data.insert("away".to_owned(), json!({"refused": refused, "lost": lost}));
        }
        if *restored > 0 {
            data.insert("restored".to_owned(), (*restored).into());
        }
        if !missing.is_empty() {
            data.insert("missing".to_owned(), missing.iter().map(Gap::to_json).collect());
        }
        data
    }

    /// Says whether seals are signed.
    fn signed(&mut self, signed: Result<(), NotSigned>) {
        let why = signed.err().map(|error| error.to_string());
        if why.is_none() && !self.sealing.is_ready() {
            // Nothing was signed.
            return;
        }
        self.report.send_if_modified(|health| {
            if let (None, Some(error)) = (&health.unsigned, &why) {
                tracing::error!(code = "audit-key", %error, "seals wait for their signature, and rows go on");
            } else if health.unsigned.is_some() && why.is_none() {
                tracing::info!("the seals of the audit log are signed again");
            }
            let changed = health.unsigned != why;
            health.unsigned = why;
            changed
        });
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
                            if let Some(reply) = row.owner.reply {
                                self.refuse(reply, Refused::Away);
                            }
                        }
                        Some(Order::Check(reply)) => drop(reply.send(false)),
                        Some(Order::Close(done)) => self.closing = Some(done),
                        None => return,
                    },
                    Some(note) = inbox.notes.recv() => self.keep(note),
                }
            }
            if self.probe().await {
                tracing::info!("the audit log can be written again");
                return;
            }
            if self.closing.is_some() {
                // Whoever closes cannot wait for a store that is away.
                self.lose(self.backlog.len() as u64);
                self.backlog.clear();
                return;
            }
        }
    }

    /// Writes a seal that says what was refused. Where nothing signs it, that the store lets us in must do:
    /// the next rows will show.
    async fn probe(&mut self) -> bool {
        if !self.sealing.is_busy() {
            self.draft();
        }
        let waited = self.sealing.wait().await;
        self.signed(waited);
        if self.sealing.is_ready() {
            return self.batch(&mut Vec::new()).await;
        }
        match self.connect().await {
            Ok(connection) => {
                self.connection = Some(connection);
                self.report.send_modify(|health| health.away = None);
                true
            }
            Err(error) => {
                self.away(&error);
                false
            }
        }
    }

    pub(super) fn refuse(&mut self, reply: Reply, why: Refused) {
        self.sealing.since.refused = self.sealing.since.refused.saturating_add(1);
        self.report.send_modify(|health| health.refused = health.refused.saturating_add(1));
        // Whoever asked may have gone.
        let _ = reply.send(Err(why));
    }

    /// Keeps a row for later. One that has its room is always kept.
    pub(super) fn keep(&mut self, row: Waiting) {
        if row.owner.room.is_some() || self.backlog.len() < self.options.queue {
            self.backlog.push_back(row);
        } else {
            self.lose(1);
        }
    }

    /// Rows for which nobody waited are given up.
    pub(super) fn lose(&mut self, rows: u64) {
        tracing::error!(code = "audit-unavailable", rows, "rows of the audit log are given up");
        self.sealing.since.lost = self.sealing.since.lost.saturating_add(rows);
    }

    pub(super) fn away(&mut self, error: &StoreError) {
        self.report.send_modify(|health| {
            if health.away.is_none() {
                tracing::error!(code = "audit-unavailable", %error, "the audit log cannot be written");
            }
            health.away = Some(error.to_string());
        });
    }

    /// Closes the writer, if the store is there and the seal is signed.
    async fn end(mut self) {
        if self.connection.is_none() {
            // What is missing is said before the end.
            self.connection = self.connect().await.ok();
        }
        let data = self.about();
        let now = (self.options.clock)();
        self.sealing.begin(self.tail.draft(SealKind::Close, data, now, self.sealing.signer().map(Signer::public)));
        // A close that is not written is like a crash: the next writer names the heads.
        if self.sealing.wait().await.is_ok() {
            self.batch(&mut Vec::new()).await;
        }
        if let Some(connection) = self.connection.take() {
            connection.close().await;
        }
        if let Some(done) = self.closing.take() {
            let _ = done.send(());
        }
    }
}
