//! Retention: the partitions of the months that have passed are dropped.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use time::OffsetDateTime;

use super::{Postgres, StoreError, instant, mark, send};
use crate::audit::chain::{Mark, Row};
use crate::audit::store::prune::{Pruned, changed};
use crate::audit::store::select::BEFORE;

impl Postgres {
    /// How many rows of a class were written before an instant, chain by chain, and the last of each.
    pub(in crate::audit::store) async fn before(
        &mut self,
        class: &str,
        before: i64,
    ) -> Result<Vec<(Mark, i64)>, StoreError> {
        ends(&mut self.connection, class, before).await
    }

    /// Drops the partitions of the months that have passed, and inserts rows.
    pub(in crate::audit::store) async fn prune(&mut self, pruned: &Pruned, rows: &[Row]) -> Result<(), StoreError> {
        self.partitions(rows).await?;
        let failed = |e: sqlx::Error| StoreError::writing(&e);
        let mut transaction = self.connection.begin().await.map_err(failed)?;
        let limit = instant(pruned.before).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let partitions: Vec<String> = sqlx::query_scalar(PARTITIONS)
            .bind(&pruned.class)
            .bind(limit)
            .fetch_all(&mut *transaction)
            .await
            .map_err(failed)?;
        for partition in &partitions {
            // The name comes from the catalog, quoted where it must be.
            let lock = format!("lock table {partition} in access exclusive mode");
            sqlx::query(AssertSqlSafe(lock)).execute(&mut *transaction).await.map_err(failed)?;
        }
        if ends(&mut transaction, &pruned.class, pruned.before).await? != pruned.ends {
            return Err(changed());
        }
        for partition in &partitions {
            let drop = format!("drop table {partition}");
            sqlx::query(AssertSqlSafe(drop)).execute(&mut *transaction).await.map_err(failed)?;
        }
        send(&mut transaction, rows, false).await?;
        transaction.commit().await.map_err(failed)
    }
}

/// The partitions of the class `$1` that end by the instant `$2`.
const PARTITIONS: &str = "
select child.oid::regclass::text
from pg_inherits class_of join pg_class class on class.oid = class_of.inhrelid
join pg_inherits month_of on month_of.inhparent = class.oid
join pg_class child on child.oid = month_of.inhrelid
where class_of.inhparent = 'audit_log'::regclass
    and pg_get_expr(class.relpartbound, class.oid) = format('FOR VALUES IN (%L)', $1)
    and (regexp_match(pg_get_expr(child.relpartbound, child.oid), 'TO \\(''([^'']+)''\\)'))[1]::timestamptz <= $2
order by 1";

async fn ends(connection: &mut PgConnection, class: &str, before: i64) -> Result<Vec<(Mark, i64)>, StoreError> {
    let failed = |e: sqlx::Error| StoreError::reading(&e);
    let limit = instant(before).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let rows = sqlx::query(BEFORE).bind(class).bind(limit).fetch_all(connection).await.map_err(failed)?;
    rows.iter().map(|row| Ok((mark(row).map_err(failed)?, row.try_get(4).map_err(failed)?))).collect()
}
