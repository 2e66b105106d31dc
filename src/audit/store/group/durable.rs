//! What the store has acknowledged, held against what it has when it is met again.
//!
//! A standby that lagged behind, or a copy that was put back, comes without the last rows that were
//! acknowledged. The latest are kept and put back in their places. What is not kept any more is gone, and
//! the next seal says so: without that, nobody could tell it from rows that were deleted.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::task::Task;
use crate::audit::chain::{Gap, LOG_CLASS, Mark, Row, SealKind, Tail};
use crate::audit::store::{Connection, Order, Select, StoreError, StoreErrorKind};

/// How many rows are put back at once.
const BATCH: usize = 512;
/// How long a store may take to say what it has.
const PATIENCE: Duration = Duration::from_secs(20);

/// The rows that are durable, as far as it matters later.
pub(super) struct Durable {
    /// The ends of the chains.
    pub(super) tail: Tail,
    /// The latest rows, in the order in which they were written.
    kept: VecDeque<Row>,
    bytes: usize,
    /// How many rows are kept, and how many bytes.
    limits: (usize, usize),
    /// The rows of each class that are known to be gone, as they were found last.
    gone: BTreeMap<Arc<str>, (i64, i64)>,
}

impl Durable {
    pub(super) fn new(tail: Tail, limits: (usize, usize)) -> Self {
        Self { tail, kept: VecDeque::new(), bytes: 0, limits, gone: BTreeMap::new() }
    }

    /// Takes rows that are durable now, and where the chains end with them.
    pub(super) fn advance(&mut self, tail: Tail, rows: Vec<Row>) {
        self.tail = tail;
        for row in rows {
            self.bytes = self.bytes.saturating_add(row.entry.size());
            self.kept.push_back(row);
        }
        while self.kept.len() > self.limits.0 || self.bytes > self.limits.1 {
            let Some(old) = self.kept.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(old.entry.size());
        }
    }

    /// The rows that are kept and stand behind these places, in their order.
    fn behind(&self, places: &BTreeMap<Arc<str>, i64>) -> Vec<Row> {
        let is_behind = |row: &&Row| places.get(&row.entry.class).is_some_and(|last| row.seq > *last);
        self.kept.iter().filter(is_behind).cloned().collect()
    }
}

impl Task {
    /// Connects to the store, which must then have what it has acknowledged.
    pub(super) async fn connect(&mut self) -> Result<Connection, StoreError> {
        let mut connection = self.store.writer().await?;
        let met = timeout(PATIENCE, self.meet(&mut connection)).await;
        // Nothing of what waits was sent: there is no doubt about it, whatever became of older rows.
        let refused = |why: String| StoreError::new(StoreErrorKind::Refused, why);
        met.map_err(|_| refused("the store does not answer".to_owned()))?.map_err(|e| refused(e.to_string()))?;
        Ok(connection)
    }

    /// Finds what is missing, puts back what is kept of it, and notes the rest down for the next seal.
    async fn meet(&mut self, connection: &mut Connection) -> Result<(), StoreError> {
        let missing = missing(connection, &self.durable.tail.marks()).await?;
        if missing.is_empty() {
            return Ok(());
        }
        let rows = self.durable.behind(&missing);
        for batch in rows.chunks(BATCH) {
            connection.insert_again(batch).await?;
        }
        let mut lost = 0;
        for end in self.durable.tail.marks() {
            let class = Arc::from(&*end.class);
            let Some(last) = missing.get(&class) else { continue };
            // What is kept of a class is its end: before it stands what is gone.
            let first = rows.iter().find(|row| row.entry.class == class);
            let (to, hash) = first.map_or((end.seq, end.hash), |row| (row.seq - 1, row.prev));
            let from = last.saturating_add(1);
            let known = self.durable.gone.get(&class).copied().unwrap_or((0, -1));
            if from <= to && !(known.0 <= from && to <= known.1) {
                let told = (to.min(known.1) - from.max(known.0) + 1).max(0);
                lost += u64::try_from(to - from + 1 - told).unwrap_or(0);
                self.durable.gone.insert(class, (from, to));
                self.sealing.since.missing.push(Gap { class: end.class, from, to, hash });
            }
        }
        let restored = rows.len() as u64;
        if lost == 0 && restored == 0 {
            // It was said before.
            return Ok(());
        }
        self.sealing.since.restored = self.sealing.since.restored.saturating_add(restored);
        tracing::error!(code = "audit-rows-lost", lost, restored, "the store came back without rows that it had");
        self.report.send_modify(|health| {
            health.lost = health.lost.saturating_add(lost);
            health.restored = health.restored.saturating_add(restored);
        });
        Ok(())
    }
}

/// The chains that end before these rows, and where; what retention removed is not missing.
async fn missing(connection: &mut Connection, ends: &[Mark]) -> Result<BTreeMap<Arc<str>, i64>, StoreError> {
    let mut missing = BTreeMap::new();
    for end in ends {
        match connection.last_up_to(end).await? {
            Some(there) if there == *end => {}
            Some(there) if there.seq == end.seq => return Err(StoreError::taken()),
            there => {
                missing.insert(Arc::from(&*end.class), there.map_or(0, |there| there.seq));
            }
        }
    }
    if missing.is_empty() {
        return Ok(missing);
    }
    let prunes =
        Select { kind: Some(SealKind::Prune.name().to_owned()), order: Order::Latest, ..Select::class(LOG_CLASS) };
    let mut pruned: Vec<Mark> = Vec::new();
    let mut take = |row: Row| {
        pruned.extend(Mark::all(&row.entry.data_object()));
        std::ops::ControlFlow::Continue(())
    };
    connection.read(&prunes, &mut take).await?;
    for mark in pruned.iter().filter(|mark| ends.iter().any(|end| end.writer == mark.writer)) {
        if let Some(last) = missing.get_mut(&*mark.class) {
            *last = mark.seq.max(*last);
        }
    }
    let is_missing = |class: &Arc<str>, last: &mut i64| ends.iter().any(|end| *end.class == **class && end.seq > *last);
    missing.retain(is_missing);
    Ok(missing)
}
