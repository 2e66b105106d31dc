//! Rows as they come in.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::StoreError;
use super::{Connection, Inner, Order, Select, Take, sqlite};
use crate::audit::chain::Row;

/// Rows of another process may be committed later than their instants say, and its clock be behind.
const BACK: i64 = 60_000_000;

type Place = (Arc<str>, Arc<str>, i64);

/// How far somebody has read who follows a log.
#[derive(Debug, Default)]
pub struct Follow {
    /// In a file: the last row that was inserted.
    last: Option<i64>,
    /// On a server: the rows that were written of late, and when.
    seen: Option<BTreeMap<Place, i64>>,
}

impl Follow {
    /// From the rows on that are inserted after the first question.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Connection {
    /// Hands over the rows that were inserted since the last question, and none the first time. `now` is
    /// in microseconds since 1970 UTC. Only what is new is read, or what was written in the last minute.
    pub async fn news(
        &mut self,
        follow: &mut Follow,
        select: &Select,
        now: i64,
        take: &mut Take<'_>,
    ) -> Result<(), StoreError> {
        let select = Select { order: Order::Earliest, limit: None, ..select.clone() };
        if let Inner::Sqlite(sqlite) = &mut self.0 {
            let connection = &mut sqlite.connection;
            let last = sqlite::last_inserted(connection).await?;
            if let Some(behind) = follow.last.filter(|behind| *behind < last) {
                let select = Select { inserted: Some((behind, last)), ..select };
                sqlite::read(connection, &select, take).await?;
            }
            follow.last = Some(last);
            return Ok(());
        }
        let since = now.saturating_sub(BACK);
        let select = Select { written_since: Some(since), ..select };
        let mut there = BTreeMap::new();
        let mut new = Vec::new();
        let mut look = |row: Row| {
            let place = (row.entry.class.clone(), row.writer.clone(), row.seq);
            if follow.seen.as_ref().is_some_and(|seen| !seen.contains_key(&place)) {
                new.push(row.clone());
            }
            there.insert(place, row.written);
            std::ops::ControlFlow::Continue(())
        };
        self.read(&select, &mut look).await?;
        // A clock that was set back must not show a row again.
        let old = follow.seen.take().unwrap_or_default().into_iter().filter(|(_, written)| *written >= since - BACK);
        there.extend(old);
        follow.seen = Some(there);
        for row in new {
            if take(row).is_break() {
                break;
            }
        }
        Ok(())
    }
}
