//! Other ways to write the same rows to the same table of `PostgreSQL`, and to read them from either, by clients that
//! are not doorward's.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use doorward::audit::chain::{Column, Row};
use doorward::audit::store::Store;
use futures_util::StreamExt as _;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, NoTls};

use crate::{Failed, Made, Tally};

/// The columns in the order of [`values`].
const COLUMNS: &str = "class, writer, seq, kind, status, latency, prev, hash, written, at, data";

/// JSON as it stands.
#[derive(Debug)]
struct Json<'a>(&'a str);

impl ToSql for Json<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        // The version of the format.
        out.extend_from_slice(&[1]);
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::JSONB
    }

    to_sql_checked!();
}

async fn connect(url: &str) -> Result<Client, Failed> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}

fn columns() -> String {
    let names: Vec<&str> = Column::ALL.iter().map(|column| column.name()).collect();
    format!("{COLUMNS}, {}", names.join(", "))
}

fn instant(microseconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(microseconds.unsigned_abs())
}

fn values(row: &Row) -> Vec<Box<dyn ToSql + Sync + Send + '_>> {
    let entry = &row.entry;
    let mut values: Vec<Box<dyn ToSql + Sync + Send + '_>> = vec![
        Box::new(&*entry.class),
        Box::new(&*row.writer),
        Box::new(row.seq),
        Box::new(&*entry.kind),
        Box::new(entry.status),
        Box::new(entry.latency),
        Box::new(row.prev.as_bytes().as_slice()),
        Box::new(row.hash.as_bytes().as_slice()),
        Box::new(instant(row.written)),
        Box::new(instant(entry.at)),
        Box::new(Json(entry.data())),
    ];
    for column in Column::ALL {
        values.push(Box::new(entry.get(column)));
    }
    values
}

fn types() -> Vec<Type> {
    let mut types = vec![
        Type::TEXT,
        Type::TEXT,
        Type::INT8,
        Type::TEXT,
        Type::INT4,
        Type::INT8,
        Type::BYTEA,
        Type::BYTEA,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
        Type::JSONB,
    ];
    types.extend(Column::ALL.map(|_| Type::TEXT));
    types
}

/// Each row in a transaction of its own, over so many connections.
pub(crate) async fn classic(url: &str, connections: usize, time: Duration) -> Result<Tally, Failed> {
    let places: Vec<String> = (1..=types().len()).map(|n| format!("${n}")).collect();
    let sql = format!("insert into audit_log ({}) values ({})", columns(), places.join(", "));
    let mut ready = Vec::new();
    for _ in 0..connections {
        let client = connect(url).await?;
        let statement = client.prepare_typed(&sql, &types()).await?;
        ready.push((client, statement, Made::new()));
    }
    let begin = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for (client, statement, mut made) in ready {
        tasks.spawn(async move {
            let mut waits = Vec::new();
            while begin.elapsed() < time {
                let rows = made.batch(1);
                let Some(row) = rows.first() else { break };
                let start = Instant::now();
                client.execute_raw(&statement, values(row).iter().map(|value| &**value as &(dyn ToSql + Sync))).await?;
                waits.push(start.elapsed());
            }
            Ok::<_, tokio_postgres::Error>(waits)
        });
    }
    let mut waits = Vec::new();
    for task in tasks.join_all().await {
        waits.extend(task?);
    }
    Ok(Tally { rows: waits.len() as u64, time: begin.elapsed(), waits, ..Tally::default() })
}

/// Batches by binary `COPY`, one after the other. To make the rows does not count.
pub(crate) async fn copy(url: &str, rows: usize, time: Duration) -> Result<Tally, Failed> {
    let client = connect(url).await?;
    let mut made = Made::new();
    let mut tally = Tally::default();
    let begin = Instant::now();
    while begin.elapsed() < time {
        let batch = made.batch(rows);
        let start = Instant::now();
        send(&client, &batch).await?;
        tally.add(Tally { rows: rows as u64, time: start.elapsed(), waits: vec![start.elapsed()], ..Tally::default() });
    }
    Ok(tally)
}

/// Lets the server write what waits, so that no way pays for the rows of the one before it.
pub(crate) async fn settle(url: &str, store: &Store) -> Result<(), Failed> {
    if !store.is_sqlite() {
        connect(url).await?.batch_execute("checkpoint").await?;
    }
    Ok(())
}

/// Puts rows there the fastest way.
pub(crate) async fn fill(url: &str, rows: &[Row]) -> Result<(), Failed> {
    send(&connect(url).await?, rows).await
}

async fn send(client: &Client, rows: &[Row]) -> Result<(), Failed> {
    let sql = format!("copy audit_log ({}) from stdin (format binary)", columns());
    let sink = client.copy_in(sql.as_str()).await?;
    let types = types();
    let writer = BinaryCopyInWriter::new(sink, &types);
    tokio::pin!(writer);
    for row in rows {
        let values = values(row);
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        writer.as_mut().write(&values).await?;
    }
    writer.finish().await?;
    Ok(())
}

/// How long the shell of `SQLite` takes to print every row to nowhere.
pub(crate) fn printed(file: &Path) -> std::io::Result<Duration> {
    let begin = Instant::now();
    let mut shell = Command::new("sqlite3");
    let status = shell.arg("-readonly").arg(file).arg("select * from audit_log").stdout(Stdio::null()).status()?;
    if status.success() { Ok(begin.elapsed()) } else { Err(std::io::Error::other(status.to_string())) }
}

/// How many rows a second the server sends when nobody looks at them, in the order of the chains.
#[expect(clippy::cast_precision_loss, reason = "a rate")]
pub(crate) async fn sent(url: &str) -> Result<f64, Failed> {
    let client = connect(url).await?;
    let begin = Instant::now();
    let sql = format!(
        "copy (select {} from audit_log order by class, writer, seq, written) to stdout (format binary)",
        columns()
    );
    let stream = client.copy_out(sql.as_str()).await?;
    tokio::pin!(stream);
    while let Some(part) = stream.next().await {
        part?;
    }
    let time = begin.elapsed();
    let rows: i64 = client.query_one("select count(*) from audit_log", &[]).await?.get(0);
    Ok(rows as f64 / time.as_secs_f64())
}
