//! Retention: the oldest months of a class go as a whole, and a seal says what went.

use std::ops::ControlFlow;

use serde_json::{Map, Value, json};

use super::error::{StoreError, StoreErrorKind};
use super::{Connection, Inner, Select, sqlite};
use crate::audit::chain::{Fault, Finding, HEADS, LOG_CLASS, Mark, PublicKey, Row, SealKind, Tail, Verifier};
use crate::audit::signer::{self, Signer};
use crate::model::Timestamp;

/// How many rows of a file go in one transaction: whoever writes waits for it.
const BATCH: i64 = 5_000;
/// How many findings a stub repeats.
const TOLD: usize = 100;

/// What is to go.
#[derive(Clone, Debug)]
pub struct Prune {
    /// The rows of this class
    pub class: String,
    /// that were written before this instant, in microseconds since 1970 UTC, rounded down to a month.
    pub before: i64,
    /// Nothing goes from the month on in which there is a row about one of these subjects.
    pub hold: Vec<Held>,
}

/// Why rows about a subject, or all of a class, stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The name of the hold.
    pub hold: String,
    /// The subject; all of the class where there is none.
    pub subject: Option<String>,
}

/// What would go, or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The class.
    pub class: String,
    /// Rows that were written before the beginning of this month.
    pub before: i64,
    /// The last of them in each chain, and how many there are up to it.
    pub ends: Vec<(Mark, i64)>,
    /// The holds that keep rows which would have gone.
    pub held: Vec<String>,
}

impl Pruned {
    /// How many rows.
    pub fn rows(&self) -> i64 {
        self.ends.iter().map(|(_, rows)| rows).sum()
    }
}

/// Who writes what went.
#[derive(Clone, Copy, Debug)]
pub struct Stub<'a> {
    /// The name of the writer, never used before.
    pub writer: &'a str,
    /// In microseconds since 1970 UTC.
    pub now: i64,
    /// What signs it.
    pub signer: Option<&'a dyn Signer>,
    /// What is wrong with the rows that go all the same.
    pub findings: &'a [Finding],
}

/// The beginning of the month of an instant, in UTC.
pub fn month(at: i64) -> i64 {
    let start = Timestamp(at.div_euclid(1_000_000)).month();
    start.map_or(i64::MIN, |start| start.0.saturating_mul(1_000_000))
}

impl Connection {
    /// What would go.
    pub async fn would_prune(&mut self, prune: &Prune) -> Result<Pruned, StoreError> {
        let mut before = month(prune.before);
        let mut held = Vec::new();
        for Held { hold, subject } in &prune.hold {
            let first = match subject {
                // Nothing of the class goes; whether anything would have, its first row says.
                None => self.ends(&prune.class, month(prune.before)).await?.first().map(|_| i64::MIN),
                Some(subject) => match &mut self.0 {
                    Inner::Sqlite(sqlite) => sqlite::first_about(&mut sqlite.connection, &prune.class, subject).await?,
                    Inner::Postgres(connection) => connection.first_about(&prune.class, subject).await?,
                }
                .map(month),
            };
            if let Some(first) = first.filter(|first| *first < month(prune.before)) {
                before = before.min(first);
                held.push(hold.clone());
            }
        }
        held.sort();
        held.dedup();
        let ends = if before == i64::MIN { Vec::new() } else { self.ends(&prune.class, before).await? };
        Ok(Pruned { class: prune.class.clone(), before, ends, held })
    }

    async fn ends(&mut self, class: &str, before: i64) -> Result<Vec<(Mark, i64)>, StoreError> {
        match &mut self.0 {
            Inner::Sqlite(sqlite) => sqlite::before(&mut sqlite.connection, class, before).await,
            Inner::Postgres(connection) => connection.before(class, before).await,
        }
    }

    /// What is wrong with the rows that would go, and with the seals that vouch for them. Who signs that
    /// they went without a look would sign whatever was done to them.
    pub async fn inspect(&mut self, pruned: &Pruned, keys: Vec<PublicKey>) -> Result<Vec<Finding>, StoreError> {
        let mut verifier = Verifier::new(keys);
        let log = Select::class(LOG_CLASS);
        let mut seals = |mut row| {
            verifier.seal(&mut row);
            ControlFlow::Continue(())
        };
        self.read(&log, &mut seals).await?;
        let mut rows = |mut row| {
            verifier.row(&mut row);
            ControlFlow::Continue(())
        };
        self.read(&log, &mut rows).await?;
        let gone = Select { written_until: Some(pruned.before), ..Select::class(&*pruned.class) };
        self.read(&gone, &mut rows).await?;
        // Of the class only what goes was read: that it ends is no fault, and the rest of others was not read.
        let ends = [Fault::Truncated, Fault::Unsealed];
        let is_of = |f: &Finding| f.class == LOG_CLASS || f.class == pruned.class && !ends.contains(&f.fault);
        Ok(verifier.finish().findings.into_iter().filter(is_of).collect())
    }

    /// Removes rows and writes what went, together: a writer of its own opens, says it and closes. In a
    /// file they go in parts, each with its own stub, so that nobody who writes waits for long.
    pub async fn prune(&mut self, pruned: &Pruned, stub: &Stub<'_>) -> Result<(), StoreError> {
        let heads = self.heads(stub.signer.map(Signer::public)).await?;
        let (mut writer, mut rows) = Writer::open(pruned, stub, &heads).await?;
        match &mut self.0 {
            Inner::Sqlite(sqlite) => {
                let connection = &mut sqlite.connection;
                let mut left = pruned.ends.iter().rev().cloned().collect::<Vec<_>>();
                while !left.is_empty() {
                    let mut part = Vec::new();
                    let mut room = BATCH;
                    while room > 0
                        && part.len() < HEADS
                        && let Some((end, count)) = left.pop()
                    {
                        if count <= room {
                            room -= count;
                            part.push((end, count));
                        } else {
                            part.push((sqlite::first_rows(connection, &end, room).await?, room));
                            left.push((end, count - room));
                            room = 0;
                        }
                    }
                    rows.push(writer.stub(&part).await?);
                    if left.is_empty() {
                        rows.push(writer.close().await?);
                    }
                    sqlite::remove(connection, &part, &rows).await?;
                    rows.clear();
                }
                Ok(())
            }
            Inner::Postgres(connection) => {
                for part in pruned.ends.chunks(HEADS) {
                    rows.push(writer.stub(part).await?);
                }
                rows.push(writer.close().await?);
                connection.prune(pruned, &rows).await
            }
        }
    }
}

/// Writes the seals of a pruning.
struct Writer<'a> {
    pruned: &'a Pruned,
    by: &'a Stub<'a>,
    tail: Tail,
    buffer: Vec<u8>,
}

impl<'a> Writer<'a> {
    async fn open(pruned: &'a Pruned, by: &'a Stub<'a>, heads: &[Mark]) -> Result<(Self, Vec<Row>), StoreError> {
        // What goes is not named as a head: the stub names it.
        let goes = |mark: &Mark| pruned.ends.iter().any(|(end, _)| end == mark);
        let stay: Vec<Mark> = heads.iter().filter(|mark| !goes(mark)).cloned().collect();
        let mut writer = Self { pruned, by, tail: Tail::new(by.writer.into()), buffer: Vec::new() };
        let mut rows = Vec::new();
        for (kind, data) in Tail::opening(&stay, "audit prune") {
            rows.push(writer.seal(kind, data).await?);
        }
        Ok((writer, rows))
    }

    async fn seal(&mut self, kind: SealKind, data: Map<String, Value>) -> Result<Row, StoreError> {
        let row = signer::seal(&mut self.tail, (kind, data), self.by.now, self.by.signer, &mut self.buffer).await;
        row.map_err(|error| StoreError::new(StoreErrorKind::NotSigned, error.to_string()))
    }

    async fn stub(&mut self, ends: &[(Mark, i64)]) -> Result<Row, StoreError> {
        let mut data = Map::new();
        data.insert("before".to_owned(), self.pruned.before.into());
        data.insert("class".to_owned(), self.pruned.class.as_str().into());
        data.insert("heads".to_owned(), ends.iter().map(|(mark, _)| mark.to_json()).collect());
        data.insert("rows".to_owned(), ends.iter().map(|(_, rows)| rows).sum::<i64>().into());
        if !self.pruned.held.is_empty() {
            data.insert("held".to_owned(), self.pruned.held.clone().into());
        }
        if !self.by.findings.is_empty() {
            let told = self.by.findings.iter().take(TOLD).map(|finding| {
                let Finding { fault, writer, class, from, to } = finding;
                json!({"code": fault.code(), "writer": writer, "class": class, "from": from, "to": to})
            });
            data.insert("findings".to_owned(), told.collect());
        }
        self.seal(SealKind::Prune, data).await
    }

    async fn close(&mut self) -> Result<Row, StoreError> {
        self.seal(SealKind::Close, Map::new()).await
    }
}

/// The rows that would go are not those that were there when it was asked.
pub(super) fn changed() -> StoreError {
    StoreError::new(StoreErrorKind::Refused, "rows were written or removed meanwhile: ask again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_begins_at_midnight_of_its_first_day() {
        // 2026-03-02T08:00:00Z
        assert_eq!(month(1_772_438_400_000_000), 1_772_323_200_000_000);
        assert_eq!(month(1_772_323_200_000_000), 1_772_323_200_000_000);
        assert_eq!(month(1_772_323_199_999_999), 1_769_904_000_000_000);
    }
}
