//! The audit log in `PostgreSQL`: one table, partitioned by class and month.

mod migrate;
mod prune;
mod rates;
mod verify;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};
use time::OffsetDateTime;

use super::error::{StoreError, StoreErrorKind};
use super::select::{Bound, FIRST_ABOUT, LAST_UP_TO, Select};
use super::{Take, kind};
use crate::audit::chain::{Column, Entry, Hash, Mark, Names, Row, arranged};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one statement of a writer may take, at the server too.
const STATEMENT: Duration = Duration::from_secs(5);
/// Partitions are made for this month and so many more.
const AHEAD: u32 = 2;
/// The order of the chains.
const CHAINS: &str = "class, writer, seq, written";
/// How data are read.
const DATA: &str = "data::text";

/// A connection, and the partitions that it knows to be there.
#[derive(Debug)]
pub(super) struct Postgres {
    connection: PgConnection,
    /// Class, year and month.
    known: BTreeSet<(String, i32, u8)>,
}

pub(super) fn options(url: &str) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions = url.parse().map_err(|e: sqlx::Error| match e {
        // The address may hold a password: it is not shown.
        sqlx::Error::Configuration(_) => StoreError::not_a_store("it is no `postgres://` address"),
        other => StoreError::connecting(&other),
    })?;
    let host = options.get_host().to_owned();
    let local = options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let said = url.split_once('?').is_some_and(|(_, query)| {
        query.split('&').any(|pair| pair.starts_with("sslmode=") || pair.starts_with("ssl-mode="))
    });
    let options = if local || said { options } else { options.ssl_mode(PgSslMode::VerifyFull) };
    Ok(options.application_name("doorward"))
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, StoreError> {
    match tokio::time::timeout(CONNECT, options.connect()).await {
        Ok(connected) => connected.map_err(|e| StoreError::connecting(&e)),
        Err(_) => Err(StoreError::new(StoreErrorKind::Unreachable, "the server does not answer")),
    }
}

pub(super) async fn reader(options: &PgConnectOptions) -> Result<Postgres, StoreError> {
    let options = options.clone().options([("default_transaction_read_only", "on")]);
    Ok(Postgres { connection: connect(&options).await?, known: BTreeSet::new() })
}

pub(super) async fn writer(options: &PgConnectOptions) -> Result<Postgres, StoreError> {
    let milliseconds = STATEMENT.as_millis().to_string();
    let options = options.clone().options([("statement_timeout", &milliseconds)]);
    match tokio::time::timeout(STATEMENT * 4, ready(options)).await {
        Ok(ready) => ready,
        Err(_) => Err(StoreError::new(StoreErrorKind::Unreachable, "the server does not answer")),
    }
}

/// A connection for whoever takes its time: only what others hold is not waited for.
pub(super) async fn patient(options: &PgConnectOptions) -> Result<Postgres, StoreError> {
    let milliseconds = STATEMENT.as_millis().to_string();
    ready(options.clone().options([("lock_timeout", &milliseconds)])).await
}

async fn ready(options: PgConnectOptions) -> Result<Postgres, StoreError> {
    let ready = super::apart(async move || {
        let mut connection = connect(&options).await?;
        // A commit that is acknowledged before it is on a disk is none. What asks for more is left.
        let durable = "select set_config('synchronous_commit', 'on', false) \
                       where current_setting('synchronous_commit') = 'off'";
        connection.execute(durable).await.map_err(|e| StoreError::connecting(&e))?;
        migrate::migrate(&mut connection).await?;
        Ok(Postgres { connection, known: BTreeSet::new() })
    });
    ready.await.unwrap_or_else(|| Err(StoreError::new(StoreErrorKind::Unreachable, "the server does not answer")))
}

impl Postgres {
    /// In one statement, which is one transaction: one way there, one flush, one way back.
    pub(super) async fn insert(&mut self, rows: &[Row], again: bool) -> Result<(), StoreError> {
        self.partitions(rows).await?;
        let doubt = || StoreError::new(StoreErrorKind::Doubt, "the server does not answer");
        let written = tokio::time::timeout(STATEMENT + CONNECT, send(&mut self.connection, rows, again)).await;
        written.unwrap_or_else(|_| Err(doubt()))
    }

    /// Whether a row could be written: not on a standby, nor where the server says no to every writer.
    pub(super) async fn check(&mut self) -> Result<(), StoreError> {
        let question = "select pg_is_in_recovery() or current_setting('transaction_read_only')::boolean";
        let away = |why: &str| StoreError::new(StoreErrorKind::Refused, why);
        match tokio::time::timeout(CONNECT, sqlx::query_scalar(question).fetch_one(&mut self.connection)).await {
            Ok(Ok(false)) => Ok(()),
            Ok(Ok(true)) => Err(away("the server takes no rows: it is a standby, or set to read only")),
            Ok(Err(error)) => Err(StoreError::reading(&error)),
            Err(_) => Err(away("the server does not answer")),
        }
    }

    /// Makes the partitions of these rows, and those of the months to come.
    async fn partitions(&mut self, rows: &[Row]) -> Result<(), StoreError> {
        for row in rows {
            let Some(month) = instant(row.written) else { continue };
            let key = |month: OffsetDateTime| (row.entry.class.to_string(), month.year(), u8::from(month.month()));
            if self.known.contains(&key(month)) {
                continue;
            }
            let mut next = month;
            for _ in 0..=AHEAD {
                let made = sqlx::query("select audit_log_partition($1, $2)")
                    .bind(&*row.entry.class)
                    .bind(next)
                    .execute(&mut self.connection);
                match tokio::time::timeout(STATEMENT + CONNECT, made).await {
                    Ok(Ok(_)) => {}
                    // No row was sent yet: there is no doubt.
                    Ok(Err(e)) => {
                        return Err(StoreError::new(StoreErrorKind::Refused, StoreError::writing(&e).to_string()));
                    }
                    Err(_) => return Err(StoreError::new(StoreErrorKind::Refused, "the server does not answer")),
                }
                next = following(next);
            }
            self.known.insert(key(month));
        }
        Ok(())
    }

    pub(super) async fn read(&mut self, select: &Select, take: &mut Take<'_>) -> Result<(), StoreError> {
        let (sql, bound) = select.sql(|n| format!("${n}"), CHAINS, DATA);
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for value in bound {
            query = match value {
                Bound::Text(text) => query.bind(text),
                Bound::Instant(at) => query.bind(instant(at).unwrap_or(OffsetDateTime::UNIX_EPOCH)),
                Bound::Number(n) => query.bind(n),
            };
        }
        let mut rows = query.fetch(&mut self.connection);
        let mut names = Names::new();
        while let Some(row) = rows.try_next().await.map_err(|e| StoreError::reading(&e))? {
            let row = opened(&row, &mut names).map_err(|e| StoreError::reading(&e))?;
            if take(row).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// The heads that a question gives.
    pub(super) async fn heads(&mut self, question: &'static str) -> Result<Vec<Mark>, StoreError> {
        let rows = sqlx::query(question).fetch_all(&mut self.connection).await.map_err(|e| StoreError::reading(&e))?;
        rows.iter().map(|row| mark(row).map_err(|e| StoreError::reading(&e))).collect()
    }

    /// The last row of a chain up to this one.
    pub(super) async fn last_up_to(&mut self, end: &Mark) -> Result<Option<Mark>, StoreError> {
        let query = sqlx::query(LAST_UP_TO).bind(&end.class).bind(&end.writer).bind(end.seq);
        let row = query.fetch_optional(&mut self.connection).await.map_err(|e| StoreError::reading(&e))?;
        row.as_ref().map(mark).transpose().map_err(|e| StoreError::reading(&e))
    }

    /// From here on every question is about one and the same state.
    pub(super) async fn snapshot(&mut self) -> Result<(), StoreError> {
        let begin = "begin transaction isolation level repeatable read read only";
        self.connection.execute(begin).await.map(drop).map_err(|e| StoreError::reading(&e))
    }

    pub(super) async fn first_about(&mut self, class: &str, subject: &str) -> Result<Option<i64>, StoreError> {
        let first = sqlx::query_scalar(FIRST_ABOUT).bind(class).bind(subject).fetch_one(&mut self.connection).await;
        let first: Option<OffsetDateTime> = first.map_err(|e| StoreError::reading(&e))?;
        Ok(first.map(microseconds))
    }

    pub(super) async fn close(self) {
        // There is nothing left to lose: what was acknowledged is durable.
        let _ = tokio::time::timeout(CONNECT, self.connection.close()).await;
    }
}

/// Inserts rows. Where they may be there already, each that is must be the very same.
async fn send(connection: &mut PgConnection, rows: &[Row], again: bool) -> Result<(), StoreError> {
    let time = |at: i64| {
        instant(at).ok_or_else(|| {
            StoreError::new(StoreErrorKind::Impossible, "an instant is out of the range of the calendar")
        })
    };
    let at = rows.iter().map(|r| time(r.entry.at)).collect::<Result<Vec<_>, _>>()?;
    let written = rows.iter().map(|r| time(r.written)).collect::<Result<Vec<_>, _>>()?;
    let mut query = sqlx::query(AssertSqlSafe(statement(again)))
        .bind(rows.iter().map(|r| &*r.entry.class).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| &*r.writer).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.seq).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| &*r.entry.kind).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.entry.status).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.entry.latency).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.prev.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.hash.as_bytes().as_slice()).collect::<Vec<_>>())
        .bind(written)
        .bind(at)
        .bind(rows.iter().map(|r| r.entry.data()).collect::<Vec<_>>());
    for column in Column::ALL {
        query = query.bind(rows.iter().map(|r| r.entry.get(column)).collect::<Vec<_>>());
    }
    let inserted = query.execute(&mut *connection).await.map_err(|e| StoreError::writing(&e))?.rows_affected();
    if inserted == rows.len() as u64 || again && are_there(connection, rows).await? {
        Ok(())
    } else {
        Err(StoreError::taken())
    }
}

/// Whether each of these rows stands in its place.
async fn are_there(connection: &mut PgConnection, rows: &[Row]) -> Result<bool, StoreError> {
    let sql =
        "select count(*) from unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[]) as r(class, writer, seq, hash)
        join audit_log a on a.class = r.class and a.writer = r.writer and a.seq = r.seq and a.hash = r.hash";
    let there = sqlx::query_scalar::<_, i64>(sql)
        .bind(rows.iter().map(|r| &*r.entry.class).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| &*r.writer).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.seq).collect::<Vec<_>>())
        .bind(rows.iter().map(|r| r.hash.as_bytes().as_slice()).collect::<Vec<_>>())
        .fetch_one(connection)
        .await;
    there.map(|there| usize::try_from(there) == Ok(rows.len())).map_err(|e| StoreError::writing(&e))
}

fn statement(again: bool) -> String {
    let conflict = if again { " on conflict do nothing" } else { "" };
    let names: Vec<&str> = Column::ALL.iter().map(|c| c.name()).collect();
    let texts: Vec<String> = (12..12 + names.len()).map(|n| format!("${n}::text[]")).collect();
    let names = names.join(", ");
    format!(
        "insert into audit_log ({columns}, {names}) \
         select class, writer, seq, kind, status, latency, prev, hash, written, at, data::jsonb, {names} \
         from unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::integer[], $6::bigint[], $7::bytea[], \
         $8::bytea[], $9::timestamptz[], $10::timestamptz[], $11::text[], {}) as r({columns}, {names}){conflict}",
        texts.join(", "),
        columns = super::select::COLUMNS,
    )
}

fn opened(row: &PgRow, names: &mut Names) -> Result<Row, sqlx::Error> {
    let time = |i: usize| row.try_get::<OffsetDateTime, _>(i).map(microseconds);
    let (class, writer) = names.of(row.try_get(0)?, row.try_get(1)?);
    let mut entry = Entry::new(class, kind(row.try_get(3)?), time(9)?);
    entry.status = row.try_get(4)?;
    entry.latency = row.try_get(5)?;
    let data: &str = row.try_get(10)?;
    entry.put_data(arranged(data).as_deref().unwrap_or(data).into());
    for (i, column) in (11..).zip(Column::ALL) {
        entry.put(column, row.try_get::<Option<&str>, _>(i)?.map(Into::into));
    }
    let hash = |i: usize| row.try_get::<&[u8], _>(i).map(|bytes| Hash::from_bytes(bytes).unwrap_or(Hash::ZERO));
    Ok(Row { writer, seq: row.try_get(2)?, written: time(8)?, prev: hash(6)?, entry, hash: hash(7)? })
}

fn mark(row: &PgRow) -> Result<Mark, sqlx::Error> {
    Ok(Mark {
        class: row.try_get(0)?,
        writer: row.try_get(1)?,
        seq: row.try_get(2)?,
        hash: Hash::from_bytes(row.try_get(3)?).unwrap_or(Hash::ZERO),
    })
}

fn instant(microseconds: i64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(microseconds) * 1_000).ok()
}

fn microseconds(instant: OffsetDateTime) -> i64 {
    i64::try_from(instant.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX)
}

/// The same day of the next month, or its first days.
fn following(month: OffsetDateTime) -> OffsetDateTime {
    month.replace_day(1).unwrap_or(month).saturating_add(time::Duration::days(31))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_elsewhere_is_spoken_to_by_verified_tls_unless_told_otherwise() {
        let mode = |url: &str| options(url).unwrap().get_ssl_mode();
        assert!(matches!(mode("postgres://u:p@db.example.com/audit"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://u:p@192.0.2.7/audit?sslmode=verify-ca"), PgSslMode::VerifyCa));
        assert!(matches!(mode("postgres://u:p@127.0.0.1/audit"), PgSslMode::Prefer));
        assert!(matches!(mode("postgres://u:p@localhost/audit"), PgSslMode::Prefer));
        let error = options("postgres://u:secret@host:notaport/x").unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn the_months_follow_each_other() {
        let mut month = instant(1_769_860_000_000_000).unwrap();
        assert_eq!((month.year(), month.month().into(), month.day()), (2026, 1_u8, 31));
        for expected in [2_u8, 3, 4] {
            month = following(month);
            assert_eq!(u8::from(month.month()), expected);
        }
    }
}
