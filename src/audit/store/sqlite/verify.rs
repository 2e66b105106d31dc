//! A whole file, verified as fast as it gives its rows.
//!
//! The library by which the log is written copies each column of each row for its own thread, which takes
//! longer than all the rest. So the rows are read here by another over the same `SQLite`, range by range on
//! several threads, and hashed where they stand.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use sqlx::SqliteConnection;

use super::{BUSY, StoreError, StoreErrorKind};
use crate::audit::chain::{Column, Hash, Link, Names, Verifier, View};
use crate::audit::store::Select;
use crate::audit::store::prune::changed;
use crate::audit::{Beside, spare_threads};

/// How many places one part has.
const PART: i64 = 1_024;
/// How often rows were removed.
const PRUNED: &str = "select count(*) from audit_log where class = '.log' and kind = 'prune'";

/// Holds every row that this connection sees against its chain.
pub(in crate::audit::store) async fn verify(
    connection: &mut SqliteConnection,
    verifier: Verifier,
) -> Result<Verifier, StoreError> {
    let failed = |e: sqlx::Error| StoreError::reading(&e);
    let file = "select file from pragma_database_list where name = 'main'";
    let file: String = sqlx::query_scalar(file).fetch_one(&mut *connection).await.map_err(failed)?;
    let last = "select max(rowid) from audit_log";
    let last: Option<i64> = sqlx::query_scalar(last).fetch_one(&mut *connection).await.map_err(failed)?;
    let count = "select count(*) from audit_log";
    let count: i64 = sqlx::query_scalar(count).fetch_one(&mut *connection).await.map_err(failed)?;
    let pruned: i64 = sqlx::query_scalar(PRUNED).fetch_one(connection).await.map_err(failed)?;
    let before = verifier.rows();
    let work = move || read(Path::new(&file), last.unwrap_or(i64::MIN), pruned, verifier);
    let done = tokio::task::spawn_blocking(work).await;
    let verifier = done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    // A column that is named `rowid` hides the places of rows, and so would rows that have none in it be hidden.
    if i64::try_from(verifier.rows() - before) == Ok(count) {
        Ok(verifier)
    } else {
        let message = "there are rows that cannot be reached by their `rowid`: the table was altered";
        Err(StoreError::new(StoreErrorKind::Unreachable, message))
    }
}

/// Reads the rows up to a place on several threads. What was written since stands behind it, and what was
/// removed since shows by the seal that says so.
fn read(path: &Path, last: i64, pruned: i64, verifier: Verifier) -> Result<Verifier, StoreError> {
    let places = open(path, pruned)?;
    let mut beside: Beside<_, StoreError> = Beside::new(verifier, spare_threads(0), || {
        let connection = open(path, pruned)?;
        let (mut names, mut buffer) = (Names::new(), Vec::new());
        Ok(move |range| links(&connection, range, &mut names, &mut buffer))
    })?;
    let mut next = "select min(rowid) from audit_log";
    let mut from = None;
    loop {
        // Whoever makes a hole in the places makes nobody look through it.
        let found = match from {
            None => places.query_row(next, [], |row| row.get::<_, Option<i64>>(0)),
            Some(from) => places.query_row(next, [from], |row| row.get(0)),
        };
        let Some(first) = found.map_err(|e| failed(&e))?.filter(|first| *first <= last) else { break };
        let to = last.min(first.saturating_add(PART - 1));
        if !beside.part((first, to)) {
            break;
        }
        (next, from) = ("select min(rowid) from audit_log where rowid > ?1", Some(to));
    }
    beside.end()
}

/// A connection to the same rows, unless some were removed meanwhile.
fn open(path: &Path, pruned: i64) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = || {
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch("begin")?;
        let there: i64 = connection.query_row(PRUNED, [], |row| row.get(0))?;
        Ok((connection, there))
    };
    let (connection, there) = opened().map_err(|e| failed(&e))?;
    if there == pruned { Ok(connection) } else { Err(changed()) }
}

/// The rows in a range of places.
fn links(
    connection: &Connection,
    range: (i64, i64),
    names: &mut Names,
    buffer: &mut Vec<u8>,
) -> Result<Vec<Link>, StoreError> {
    let (all, _) = Select::default().sql(|n| format!("?{n}"), "rowid", "data");
    let sql = all.replace(" order by", " where rowid between ?1 and ?2 order by");
    let mut read = || {
        let mut statement = connection.prepare(&sql)?;
        let mut rows = statement.query(range)?;
        let mut links = Vec::with_capacity(usize::try_from(PART).unwrap_or_default());
        while let Some(row) = rows.next()? {
            links.push(match view(row) {
                Some((view, hash)) => view.link(hash, names, buffer),
                None => broken(row, names),
            });
        }
        Ok(links)
    };
    read().map_err(|e| failed(&e))
}

/// The columns of a row; `None` where one holds what no row does.
fn view<'a>(row: &'a Row<'_>) -> Option<(View<'a>, Hash)> {
    let value = |i: usize| row.get_ref(i).ok();
    let text = |i| value(i)?.as_str().ok();
    let number = |i| value(i)?.as_i64().ok();
    let hash = |i| Hash::from_bytes(value(i)?.as_blob().ok()?);
    let mut texts = [None; Column::ALL.len()];
    for (i, place) in (11..).zip(&mut texts) {
        *place = value(i)?.as_str_or_null().ok()?;
    }
    let status = value(4)?.as_i64_or_null().ok()?;
    let view = View {
        class: text(0)?,
        writer: text(1)?,
        seq: number(2)?,
        kind: text(3)?,
        status: status.map(i32::try_from).transpose().ok()?,
        latency: value(5)?.as_i64_or_null().ok()?,
        prev: hash(6)?,
        written: number(8)?,
        at: number(9)?,
        data: text(10)?,
        texts,
    };
    Some((view, hash(7)?))
}

fn broken(row: &Row<'_>, names: &mut Names) -> Link {
    let value = |i: usize| row.get_ref(i).unwrap_or(ValueRef::Null);
    let text = |i| value(i).as_str().unwrap_or_default();
    Link::broken(names.of(text(0), text(1)), value(2).as_i64().unwrap_or_default())
}

fn failed(error: &rusqlite::Error) -> StoreError {
    StoreError::file(error)
}
