//! The audit log in a file: `SQLite` in WAL mode, with a flush at each commit.

mod copied;
mod verify;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _, SqlSafeStr as _, SqliteConnection};

use super::error::{StoreError, StoreErrorKind};
use super::prune::changed;
use super::select::{BEFORE, Bound, FIRST_ABOUT, LAST_UP_TO, Select};
use super::{Take, kind};
use crate::audit::chain::{Column, Entry, Hash, Mark, Names, Row};

use copied::Copied;
pub(super) use verify::verify;

/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);
/// How often the tables are tried to be made, when another process makes them at the same time.
const TRIES: u32 = 40;
/// How many rows may wait to be taken from the thread of the library that reads them.
const AHEAD: usize = 1_024;
/// The most rows that one statement inserts: each statement is a way to the thread of the library and back.
const ROWS: usize = 512;

/// A connection, and who copies the log of commits back for one that writes.
#[derive(Debug)]
pub(super) struct Sqlite {
    pub(super) connection: SqliteConnection,
    copied: Option<Copied>,
}

impl Sqlite {
    /// Inserts rows. Where they may be there already, each that is must be the very same.
    pub(super) async fn insert(&mut self, rows: &[Row], again: bool) -> Result<(), StoreError> {
        insert(&mut self.connection, rows, again).await?;
        if let Some(copied) = &mut self.copied {
            copied.written(rows.len());
        }
        Ok(())
    }

    pub(super) async fn close(self) {
        if let Some(copied) = self.copied {
            copied.end().await;
        }
        // There is nothing left to lose: what was acknowledged is durable.
        drop(self.connection.close().await);
    }
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).busy_timeout(BUSY)
}

pub(super) async fn writer(options: &SqliteConnectOptions) -> Result<Sqlite, StoreError> {
    let beside = options.clone().synchronous(SqliteSynchronous::Full);
    let options = beside
        .clone()
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .pragma("wal_autocheckpoint", copied::LATEST);
    let mut last = None;
    for _ in 0..TRIES {
        // The lock of the library is none on SQLite: of two that make the tables at once one fails,
        // and finds them made when it tries again.
        let options = options.clone();
        let made = super::apart(async move || {
            let mut connection = options.connect().await?;
            migrator().run(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        });
        match made.await {
            Some(Ok(connection)) => return Ok(Sqlite { connection, copied: Some(Copied::new(beside)) }),
            Some(Err(error)) => last = Some(error),
            None => {}
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(StoreError::connecting(&last.unwrap_or(sqlx::Error::WorkerCrashed)))
}

pub(super) async fn reader(options: &SqliteConnectOptions) -> Result<Sqlite, StoreError> {
    let connection = options.clone().read_only(true).row_buffer_size(AHEAD).connect().await;
    Ok(Sqlite { connection: connection.map_err(|e| StoreError::connecting(&e))?, copied: None })
}

fn migrator() -> Migrator {
    let simple = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(vec![
        simple(1, "audit log", include_str!("sqlite/0001_audit_log.sql")),
        simple(2, "writers", include_str!("sqlite/0002_writers.sql")),
    ]);
    migrator.dangerous_set_table_name("audit_log_migrations");
    migrator
}

async fn insert(connection: &mut SqliteConnection, rows: &[Row], again: bool) -> Result<(), StoreError> {
    let failed = |e: sqlx::Error| StoreError::writing(&e);
    if let [_] = rows {
        // A single statement is a transaction of its own, and one way to the thread of the library in place of three. Of
        // more rows it will not do: where one is there already, the others would stay.
        return put(connection, rows, again).await;
    }
    let mut transaction = connection.begin_with("begin immediate").await.map_err(|e| {
        // Nothing was sent but the wish to write.
        StoreError::new(StoreErrorKind::Refused, StoreError::writing(&e).to_string())
    })?;
    put(&mut transaction, rows, again).await?;
    transaction.commit().await.map_err(failed)
}

/// Whether a row could be written: nobody else holds the file for long, and it is not for reading alone.
pub(super) async fn check(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let failed = |e: sqlx::Error| StoreError::new(StoreErrorKind::Refused, StoreError::writing(&e).to_string());
    connection.begin_with("begin immediate").await.map_err(failed)?.rollback().await.map_err(failed)
}

/// Inserts rows. Where they may be there already, each that is must be the very same.
async fn put(connection: &mut SqliteConnection, rows: &[Row], again: bool) -> Result<(), StoreError> {
    let (mut rest, mut done) = (rows, 0);
    while !rest.is_empty() {
        // Numbers of three binary digits and zeros alone: a few statements, each of which is prepared once.
        let most = rest.len().min(ROWS);
        let zeros = most.ilog2().saturating_sub(2);
        let size = most >> zeros << zeros;
        let Some((chunk, tail)) = rest.split_at_checked(size) else { break };
        rest = tail;
        let mut query = sqlx::query(AssertSqlSafe(statement(size)));
        for row in chunk {
            let Row { writer, seq, written, prev, entry, hash } = row;
            query = query
                .bind(Arc::clone(&entry.class))
                .bind(Arc::clone(writer))
                .bind(seq)
                .bind(&*entry.kind)
                .bind(entry.status)
                .bind(entry.latency)
                .bind(prev.as_bytes().as_slice())
                .bind(hash.as_bytes().as_slice())
                .bind(written)
                .bind(entry.at)
                .bind(entry.shared_data());
            for column in Column::ALL {
                query = query.bind(entry.shared(column));
            }
        }
        let inserted = query.execute(&mut *connection).await.map_err(|e| StoreError::writing(&e))?;
        done += inserted.rows_affected();
    }
    if done == rows.len() as u64 || again && are_there(connection, rows).await? {
        Ok(())
    } else {
        Err(StoreError::taken())
    }
}

/// Whether each of these rows stands in its place.
async fn are_there(connection: &mut SqliteConnection, rows: &[Row]) -> Result<bool, StoreError> {
    let sql = "select hash from audit_log where class = ?1 and writer = ?2 and seq = ?3";
    for row in rows {
        let query = sqlx::query_scalar::<_, Vec<u8>>(sql).bind(&*row.entry.class).bind(&*row.writer).bind(row.seq);
        let there = query.fetch_optional(&mut *connection).await.map_err(|e| StoreError::writing(&e))?;
        if there.as_deref() != Some(row.hash.as_bytes().as_slice()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The statement that inserts so many rows.
fn statement(rows: usize) -> String {
    let names: Vec<&str> = Column::ALL.iter().map(|c| c.name()).collect();
    let row = format!("({}?)", "?, ".repeat(11 + names.len() - 1));
    let values = vec![row; rows].join(", ");
    format!(
        "insert into audit_log ({}, {}) values {values} on conflict (class, writer, seq) do nothing",
        super::select::COLUMNS,
        names.join(", ")
    )
}

pub(super) async fn read(
    connection: &mut SqliteConnection,
    select: &Select,
    take: &mut Take<'_>,
) -> Result<(), StoreError> {
    let (sql, bound) = select.sql(|n| format!("?{n}"), "rowid", "data");
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for value in bound {
        query = match value {
            Bound::Text(text) => query.bind(text),
            Bound::Instant(n) | Bound::Number(n) => query.bind(n),
        };
    }
    let mut rows = query.fetch(connection);
    let mut names = Names::new();
    while let Some(row) = rows.try_next().await.map_err(|e| StoreError::reading(&e))? {
        let row = opened(&row, &mut names).map_err(|e| StoreError::reading(&e))?;
        if take(row).is_break() {
            break;
        }
    }
    Ok(())
}

fn opened(row: &SqliteRow, names: &mut Names) -> Result<Row, sqlx::Error> {
    let (class, writer) = names.of(row.try_get(0)?, row.try_get(1)?);
    let mut entry = Entry::new(class, kind(row.try_get(3)?), row.try_get(9)?);
    entry.status = row.try_get(4)?;
    entry.latency = row.try_get(5)?;
    entry.put_data(row.try_get::<&str, _>(10)?.into());
    for (i, column) in (11..).zip(Column::ALL) {
        entry.put(column, row.try_get::<Option<&str>, _>(i)?.map(Into::into));
    }
    let hash = |i: usize| row.try_get::<&[u8], _>(i).map(|bytes| Hash::from_bytes(bytes).unwrap_or(Hash::ZERO));
    Ok(Row { writer, seq: row.try_get(2)?, written: row.try_get(8)?, prev: hash(6)?, entry, hash: hash(7)? })
}

/// The heads that a question gives.
pub(super) async fn heads(connection: &mut SqliteConnection, question: &'static str) -> Result<Vec<Mark>, StoreError> {
    let rows = sqlx::query(question).fetch_all(connection).await.map_err(|e| StoreError::reading(&e))?;
    rows.iter().map(|row| mark(row).map_err(|e| StoreError::reading(&e))).collect()
}

/// The last row of a chain up to this one.
pub(super) async fn last_up_to(connection: &mut SqliteConnection, end: &Mark) -> Result<Option<Mark>, StoreError> {
    let sql = LAST_UP_TO.replace('$', "?");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(&end.class).bind(&end.writer).bind(end.seq);
    let row = query.fetch_optional(connection).await.map_err(|e| StoreError::reading(&e))?;
    row.as_ref().map(mark).transpose().map_err(|e| StoreError::reading(&e))
}

/// The place of the row that was inserted last; 0 when there is none.
pub(super) async fn last_inserted(connection: &mut SqliteConnection) -> Result<i64, StoreError> {
    let last = sqlx::query_scalar::<_, Option<i64>>("select max(rowid) from audit_log").fetch_one(connection).await;
    last.map(Option::unwrap_or_default).map_err(|e| StoreError::reading(&e))
}

pub(super) async fn first_about(
    connection: &mut SqliteConnection,
    class: &str,
    subject: &str,
) -> Result<Option<i64>, StoreError> {
    let sql = FIRST_ABOUT.replace("$1", "?1").replace("$2", "?2");
    let first = sqlx::query_scalar(AssertSqlSafe(sql)).bind(class).bind(subject).fetch_one(connection).await;
    first.map_err(|e| StoreError::reading(&e))
}

/// How many rows of a class were written before an instant, chain by chain, and the last of each.
pub(super) async fn before(
    connection: &mut SqliteConnection,
    class: &str,
    instant: i64,
) -> Result<Vec<(Mark, i64)>, StoreError> {
    let sql = BEFORE.replace("$1", "?1").replace("$2", "?2");
    let failed = |e: sqlx::Error| StoreError::reading(&e);
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(class).bind(instant).fetch_all(connection).await.map_err(failed)?;
    rows.iter().map(|row| Ok((mark(row).map_err(failed)?, row.try_get(4).map_err(failed)?))).collect()
}

/// The first rows of a chain up to so many: the last of them.
pub(super) async fn first_rows(connection: &mut SqliteConnection, end: &Mark, count: i64) -> Result<Mark, StoreError> {
    let sql = "select class, writer, seq, hash from audit_log where class = ?1 and writer = ?2 and seq <= ?3
        order by seq limit 1 offset ?4";
    let query = sqlx::query(sql).bind(&end.class).bind(&end.writer).bind(end.seq).bind(count - 1);
    let row = query.fetch_optional(connection).await.map_err(|e| StoreError::reading(&e))?.ok_or_else(changed)?;
    mark(&row).map_err(|e| StoreError::reading(&e))
}

/// Removes the first rows of chains, as many as are said for each, and inserts others. The trigger that
/// guards rows from deletion is away within this transaction alone.
pub(super) async fn remove(
    connection: &mut SqliteConnection,
    ends: &[(Mark, i64)],
    rows: &[Row],
) -> Result<(), StoreError> {
    let failed = |e: sqlx::Error| StoreError::writing(&e);
    let mut transaction = connection.begin_with("begin immediate").await.map_err(failed)?;
    let trigger: String =
        sqlx::query_scalar("select sql from sqlite_schema where name = 'audit_log_no_delete' and type = 'trigger'")
            .fetch_one(&mut *transaction)
            .await
            .map_err(failed)?;
    sqlx::query("drop trigger audit_log_no_delete").execute(&mut *transaction).await.map_err(failed)?;
    for (end, count) in ends {
        let sql = "delete from audit_log where class = ?1 and writer = ?2 and seq <= ?3";
        let query = sqlx::query(sql).bind(&end.class).bind(&end.writer).bind(end.seq);
        let gone = query.execute(&mut *transaction).await.map_err(failed)?.rows_affected();
        if i64::try_from(gone) != Ok(*count) {
            return Err(changed());
        }
    }
    sqlx::query(AssertSqlSafe(trigger)).execute(&mut *transaction).await.map_err(failed)?;
    put(&mut transaction, rows, false).await?;
    transaction.commit().await.map_err(failed)
}

fn mark(row: &SqliteRow) -> Result<Mark, sqlx::Error> {
    Ok(Mark {
        class: row.try_get(0)?,
        writer: row.try_get(1)?,
        seq: row.try_get(2)?,
        hash: Hash::from_bytes(row.try_get(3)?).unwrap_or(Hash::ZERO),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_commit_of_a_writer_is_flushed() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = writer(&options(&directory.path().join("audit.db"))).await.unwrap();
        let connection = &mut writer.connection;
        // 2 is FULL: the log is flushed at each commit, not only when it is copied back.
        for (pragma, wanted) in [("synchronous", "2"), ("journal_mode", "wal"), ("busy_timeout", "5000")] {
            let sql = format!("select {pragma} || '' from pragma_{pragma}");
            let column =
                if pragma == "busy_timeout" { sql.replace("select busy_timeout", "select timeout") } else { sql };
            let set: String = sqlx::query_scalar(AssertSqlSafe(column)).fetch_one(&mut *connection).await.unwrap();
            assert_eq!(set, wanted, "{pragma}");
        }
    }
}
