//! Retention: the oldest months of a class go as a whole, and a seal says what went.

use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::error::{StoreError, StoreErrorKind};
use super::{Connection, Inner, sqlite};
use crate::audit::chain::{Mark, Row, SealKind, SigningKey, Tail};

/// What is to go.
#[derive(Clone, Debug)]
pub struct Prune {
    /// The rows of this class
    pub class: String,
    /// that were written before this instant, in microseconds since 1970 UTC, rounded down to a month.
    pub before: i64,
    /// Nothing goes from the month on in which there is a row about one of these subjects.
    pub hold: Vec<String>,
}

/// What would go, or went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pruned {
    /// The class.
    pub class: String,
    /// Rows that were written before the beginning of this month.
    pub before: i64,
    /// How many rows.
    pub rows: i64,
    /// Whether a hold keeps rows that would have gone.
    pub held: bool,
    /// The last of them in each chain.
    pub heads: Vec<Mark>,
}

/// The beginning of the month of an instant, in UTC.
pub fn month(at: i64) -> i64 {
    let start = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000)
        .ok()
        .and_then(|at| at.replace_day(1).ok())
        .map(|at| at.replace_time(time::Time::MIDNIGHT));
    start.map_or(i64::MIN, |start| start.unix_timestamp().saturating_mul(1_000_000))
}

impl Connection {
    /// What would go.
    pub async fn would_prune(&mut self, prune: &Prune) -> Result<Pruned, StoreError> {
        let mut before = month(prune.before);
        let mut held = false;
        for subject in &prune.hold {
            let first = match &mut self.0 {
                Inner::Sqlite(connection) => sqlite::first_about(connection, &prune.class, subject).await?,
                Inner::Postgres(connection) => connection.first_about(&prune.class, subject).await?,
            };
            if let Some(first) = first.map(month).filter(|first| *first < before) {
                (before, held) = (first, true);
            }
        }
        let (rows, heads) = match &mut self.0 {
            Inner::Sqlite(connection) => sqlite::before(connection, &prune.class, before).await?,
            Inner::Postgres(connection) => connection.before(&prune.class, before).await?,
        };
        Ok(Pruned { class: prune.class.clone(), before, rows, held, heads })
    }

    /// Removes rows and writes what went, in one transaction: a writer of its own opens, says it and
    /// closes. `writer` is its name, never used before; `now` is in microseconds since 1970 UTC.
    pub async fn prune(
        &mut self,
        pruned: &Pruned,
        writer: &str,
        now: i64,
        key: Option<&SigningKey>,
    ) -> Result<(), StoreError> {
        let open = self.open_heads().await?;
        let rows = seals(pruned, &open, writer, now, key);
        match &mut self.0 {
            Inner::Sqlite(connection) => sqlite::prune(connection, pruned, &rows).await,
            Inner::Postgres(connection) => connection.prune(pruned, &rows).await,
        }
    }
}

fn seals(pruned: &Pruned, open: &[Mark], writer: &str, now: i64, key: Option<&SigningKey>) -> Vec<Row> {
    let object = |value: Value| match value {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    let marks = |marks: &[Mark]| marks.iter().map(Mark::to_json).collect::<Value>();
    let (mut tail, mut buffer) = (Tail::new(writer.into()), Vec::new());
    // What goes is not named as a head: the stub names it.
    let stay: Vec<Mark> = open.iter().filter(|mark| !pruned.heads.contains(mark)).cloned().collect();
    let about = json!({"heads": marks(&stay), "node": "audit prune", "version": env!("CARGO_PKG_VERSION")});
    let stub = json!({
        "before": pruned.before,
        "class": pruned.class,
        "heads": marks(&pruned.heads),
        "rows": pruned.rows,
    });
    [(SealKind::Open, object(about)), (SealKind::Prune, object(stub)), (SealKind::Close, Map::new())]
        .into_iter()
        .map(|(kind, data)| tail.seal(kind, data, now, key, &mut buffer))
        .collect()
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
