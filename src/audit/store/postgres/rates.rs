//! The counts of rates that gateways share: one statement, which is one transaction.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Row as _;
use tokio::time::timeout;

use super::{CONNECT, Postgres, STATEMENT, StoreError, StoreErrorKind};

/// The owner's function: a gateway may count, and has no other right to what is counted.
const COUNT: &str = "select lane, counted, rest from audit_rates_count($1, $2, $3)";

impl Postgres {
    /// Counts calls, by lane: the length of its windows in seconds, and how many. Gives how many its window has
    /// with these, and how long it lasts.
    pub(in crate::audit::store) async fn count_rates(
        &mut self,
        lanes: &BTreeMap<[u8; 32], (u32, u32)>,
    ) -> Result<Vec<([u8; 32], (u64, Duration))>, StoreError> {
        let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
        let rows = sqlx::query(COUNT)
            .bind(lanes.keys().map(<[u8; 32]>::as_slice).collect::<Vec<_>>())
            .bind(lanes.values().map(|(seconds, _)| number(*seconds)).collect::<Vec<_>>())
            .bind(lanes.values().map(|(_, calls)| number(*calls)).collect::<Vec<_>>())
            .fetch_all(&mut self.connection);
        let rows = match timeout(STATEMENT + CONNECT, rows).await {
            Ok(rows) => rows.map_err(|e| StoreError::writing(&e))?,
            Err(_) => return Err(StoreError::new(StoreErrorKind::Doubt, "the server does not answer")),
        };
        let told = rows.iter().map(|row| {
            let lane = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(0)?).unwrap_or_default();
            let (counted, rest): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
            Ok((lane, (counted.unsigned_abs(), Duration::from_micros(rest.max(0).unsigned_abs()))))
        });
        told.collect::<Result<_, sqlx::Error>>().map_err(|e| StoreError::writing(&e))
    }
}
