//! Batches: rows get their places, go to the store together, and everybody who waits is told.

use tokio::time::sleep;

use super::sealing::Seal;
use super::task::{Owner, PAUSES, Task, Waiting};
use super::{Placed, Refused};
use crate::audit::chain::{Anchor, Column, Entry, Row};
use crate::audit::store::{StoreError, StoreErrorKind};

/// What became of rows that were sent.
enum Written {
    Yes,
    /// They are not there, and will not be.
    No(StoreError),
    /// Nobody knows.
    Doubt(StoreError),
}

/// What became of a batch.
enum Attempt {
    Done,
    /// The store is away.
    Away,
    /// One of these can never be written.
    Impossible(Vec<Waiting>),
}

impl Task {
    /// Writes what waits, and a seal that is ready. False when the store is away.
    pub(super) async fn batch(&mut self, waiting: &mut Vec<Waiting>) -> bool {
        // Both kinds get on, whichever is more.
        let old = self.options.batch.saturating_sub(waiting.len()).max(self.options.batch / 4).min(self.backlog.len());
        let mut todo = vec![self.backlog.drain(..old).chain(waiting.drain(..)).collect::<Vec<_>>()];
        let mut away = false;
        while let Some(items) = todo.pop() {
            if away {
                self.put_off(items);
                continue;
            }
            match self.attempt(items).await {
                Attempt::Done => {}
                Attempt::Away => away = true,
                // Which one it is, is found by halves; the others are written.
                Attempt::Impossible(mut items) if items.len() > 1 => {
                    let rest = items.split_off(items.len() / 2);
                    todo.extend([rest, items]);
                }
                Attempt::Impossible(items) => {
                    for item in items {
                        match item.owner.reply {
                            Some(reply) => self.refuse(reply, Refused::Impossible),
                            None => self.lose(1),
                        }
                    }
                }
            }
        }
        !away
    }

    /// Refuses those who wait, and keeps the rows for which nobody does.
    fn put_off(&mut self, items: Vec<Waiting>) {
        for mut item in items {
            match item.owner.reply.take() {
                Some(reply) => self.refuse(reply, Refused::Away),
                None => self.keep(item),
            }
        }
    }

    async fn attempt(&mut self, items: Vec<Waiting>) -> Attempt {
        let now = (self.options.clock)();
        let (mut rows, mut owners) = (Vec::with_capacity(items.len() + 1), Vec::with_capacity(items.len()));
        let seal = self.sealing.take();
        if let Some(Seal { draft, signature, .. }) = &seal {
            rows.extend(self.tail.put(draft.clone(), signature.as_deref(), &mut self.buffer));
        }
        let seals = rows.len();
        for Waiting { entry, owner } in items {
            rows.push(self.tail.append(entry, now, &mut self.buffer));
            owners.push(owner);
        }
        if rows.is_empty() {
            return Attempt::Done;
        }
        match self.write(&rows, false).await {
            Written::Yes => {
                self.acknowledge(rows, owners, seals);
                Attempt::Done
            }
            Written::No(error) => {
                let items = self.take_back(rows, owners, seals);
                let impossible = error.kind == StoreErrorKind::Impossible;
                if let Some(seal) = seal {
                    self.sealing.put_back(seal, impossible && items.is_empty());
                }
                if impossible && !items.is_empty() {
                    tracing::error!(code = "audit-unavailable", %error, rows = items.len(), "rows cannot be written");
                    return Attempt::Impossible(items);
                }
                self.away(&error);
                self.put_off(items);
                Attempt::Away
            }
            Written::Doubt(error) => {
                self.away(&error);
                // Nobody waits for what may take long; the rows keep their places until they are there.
                let mut left = Vec::new();
                for (row, owner) in rows.iter().skip(seals).zip(&mut owners) {
                    if let Some(reply) = owner.reply.take() {
                        self.refuse(reply, Refused::Away);
                        owner.refused = true;
                        left.push(unconfirmed(row));
                    }
                }
                if self.settle(&rows).await {
                    self.count(rows, seals);
                    for entry in left {
                        self.keep(Waiting::own(entry));
                    }
                } else {
                    let items = self.take_back(rows, owners, seals);
                    if let Some(seal) = seal {
                        self.sealing.put_back(seal, false);
                    }
                    // Whoever was refused needs no row.
                    for item in items.into_iter().filter(|item| !item.owner.refused) {
                        self.keep(item);
                    }
                }
                Attempt::Away
            }
        }
    }

    /// Goes back to what is durable: these rows are not in the store.
    fn take_back(&mut self, rows: Vec<Row>, owners: Vec<Owner>, seals: usize) -> Vec<Waiting> {
        self.tail = self.durable.tail.clone();
        let entries = rows.into_iter().skip(seals).map(|row| row.entry);
        entries.zip(owners).map(|(entry, owner)| Waiting { entry, owner }).collect()
    }

    /// Rows are durable, the first of them seals.
    fn count(&mut self, rows: Vec<Row>, seals: usize) {
        let more = u32::try_from(rows.len().saturating_sub(seals)).unwrap_or(u32::MAX);
        self.sealing.since.rows = self.sealing.since.rows.saturating_add(more);
        for anchor in rows.iter().filter_map(Anchor::of) {
            // Whoever keeps the lines of this process keeps what the log must hold.
            tracing::info!(%anchor, "the audit log is sealed");
        }
        self.report.send_modify(|health| {
            health.rows = health.rows.saturating_add(rows.len() as u64);
            health.batches = health.batches.saturating_add(1);
        });
        self.durable.advance(self.tail.clone(), rows);
    }

    fn acknowledge(&mut self, rows: Vec<Row>, owners: Vec<Owner>, seals: usize) {
        self.report.send_if_modified(|health| health.away.take().is_some());
        let mut gone = Vec::new();
        for (row, owner) in rows.iter().skip(seals).zip(owners) {
            let placed = Placed { class: row.entry.class.clone(), seq: row.seq };
            if let Some(reply) = owner.reply
                && reply.send(Ok(placed)).is_err()
            {
                gone.push(unconfirmed(row));
            }
        }
        self.count(rows, seals);
        for entry in gone {
            self.keep(Waiting::own(entry));
        }
    }

    /// Writes rows of which nobody knows whether they are there, until they are. False when it is known
    /// that they are not, and cannot be.
    async fn settle(&mut self, rows: &[Row]) -> bool {
        let mut pause = PAUSES.0;
        loop {
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            match self.write(rows, true).await {
                Written::Yes => return true,
                // Refused for what they hold, they cannot have been taken before; nor where others stand.
                Written::No(error) if matches!(error.kind, StoreErrorKind::Impossible | StoreErrorKind::Taken) => {
                    return false;
                }
                Written::No(error) | Written::Doubt(error) => self.away(&error),
            }
        }
    }

    async fn write(&mut self, rows: &[Row], again: bool) -> Written {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.connect().await {
                Ok(connection) => connection,
                Err(error) => return Written::No(error),
            },
        };
        let written = if again { connection.insert_again(rows).await } else { connection.insert(rows).await };
        match written {
            Ok(()) => {
                self.connection = Some(connection);
                Written::Yes
            }
            // What a failure leaves of a connection is not worth keeping.
            Err(error) if error.kind == StoreErrorKind::Doubt => Written::Doubt(error),
            Err(error) => Written::No(error),
        }
    }
}

/// The row that says of another that nobody was told of it, so that nothing followed from it.
fn unconfirmed(row: &Row) -> Entry {
    let mut data = serde_json::Map::new();
    data.insert("of".to_owned(), row.seq.into());
    Entry::new(row.entry.class.clone(), "unconfirmed", row.entry.at)
        .with(Column::Request, row.entry.get(Column::Request))
        .with(Column::Door, row.entry.get(Column::Door))
        .with_data(data)
}
