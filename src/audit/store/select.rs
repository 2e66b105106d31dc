//! Which rows to read, as SQL that both databases understand.

use std::fmt::Write as _;

use crate::audit::chain::{Column, Row};

/// The columns in the order in which they are read, without the text columns, which follow.
pub(super) const COLUMNS: &str = "class, writer, seq, kind, status, latency, prev, hash, written, at, data";

/// The heads of the chains of the latest 1,000 writers that did not close, among the latest 4,096 that
/// opened. Every step finds its rows in an index: what stands in brackets is asked for each end, and no planner can make
/// a join of it that reads the whole log.
pub(super) const OPEN_HEADS: &str = "
with recursive classes(class) as (
    select min(class) from audit_log
    union all
    select (select min(a.class) from audit_log a where a.class > c.class) from classes c where c.class is not null
), latest(writer, written) as (
    select writer, written from audit_log where class = '.log' and kind = 'open' order by written desc limit 4096
), writers(writer) as (
    select o.writer from latest o where not exists (
        select 1 from audit_log e where e.class = '.log' and e.writer = o.writer and e.kind = 'close'
    ) order by o.written desc limit 1000
), ends(class, writer, seq) as materialized (
    select c.class, w.writer,
        (select a.seq from audit_log a where a.class = c.class and a.writer = w.writer order by a.seq desc limit 1)
    from classes c cross join writers w where c.class is not null
)
select e.class, e.writer, e.seq,
    (select a.hash from audit_log a where a.class = e.class and a.writer = e.writer and a.seq = e.seq limit 1)
from ends e where e.seq is not null
order by e.writer, e.class";

/// The last rows of the latest writers that closed: more than have closed since another opened.
pub(super) const CLOSED_HEADS: &str = "
select class, writer, seq, hash from audit_log where class = '.log' and kind = 'close'
order by written desc, writer limit 256";

/// The last row of a chain up to a place; `$1` is the class, `$2` the writer, `$3` the place.
pub(super) const LAST_UP_TO: &str = "select class, writer, seq, hash from audit_log
where class = $1 and writer = $2 and seq <= $3 order by seq desc limit 1";

/// The last row before an instant in each chain of a class, and how many rows there are up to it; `$1`
/// is the class, `$2` the instant.
pub(super) const BEFORE: &str = "
with ends(writer, seq, rows) as (
    select writer, max(seq), count(*) from audit_log where class = $1 and written < $2 group by writer
)
select a.class, a.writer, a.seq, a.hash, e.rows from ends e
join audit_log a on a.class = $1 and a.writer = e.writer and a.seq = e.seq
order by a.writer";

/// When the first row of a class about a subject was written; `$1` is the class, `$2` the subject.
pub(super) const FIRST_ABOUT: &str = "select min(written) from audit_log where class = $1 and subject = $2";

/// In which order rows come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Those of a chain one after the other as they were written, whatever stands between them.
    #[default]
    Chain,
    /// The latest event first.
    Latest,
    /// The earliest event first.
    Earliest,
}

/// Which rows to read.
#[derive(Clone, Debug, Default)]
pub struct Select {
    /// Rows of this class.
    pub class: Option<String>,
    /// Rows of this kind.
    pub kind: Option<String>,
    /// Rows of this writer.
    pub writer: Option<String>,
    /// Rows with these texts. The same column twice means either.
    pub texts: Vec<(Column, String)>,
    /// Events from this instant on, in microseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Events before this one.
    pub until: Option<i64>,
    /// Rows written from this instant on.
    pub written_since: Option<i64>,
    /// Rows written before this one.
    pub written_until: Option<i64>,
    /// In which order.
    pub order: Order,
    /// At most so many.
    pub limit: Option<i64>,
    /// In a file: rows that were inserted behind the first of these places and up to the second.
    pub inserted: Option<(i64, i64)>,
}

/// A value that is bound to a placeholder.
#[derive(Clone, Debug)]
pub(super) enum Bound {
    Text(String),
    Instant(i64),
    Number(i64),
}

impl Select {
    /// The whole of a class in the order of its chains.
    pub fn class(name: impl Into<String>) -> Self {
        Self { class: Some(name.into()), ..Self::default() }
    }

    /// Whether a row is asked for, for rows that are in no database.
    pub fn matches(&self, row: &Row) -> bool {
        let Row { writer, written, entry, .. } = row;
        let is = |wanted: &Option<String>, text: &str| wanted.as_deref().is_none_or(|wanted| wanted == text);
        is(&self.class, &entry.class)
            && is(&self.kind, &entry.kind)
            && is(&self.writer, writer)
            && self.since.is_none_or(|at| entry.at >= at)
            && self.until.is_none_or(|at| entry.at < at)
            && self.written_since.is_none_or(|at| *written >= at)
            && self.written_until.is_none_or(|at| *written < at)
            && Column::ALL.into_iter().all(|column| {
                let mut wanted = self.texts.iter().filter(|(c, _)| *c == column).peekable();
                wanted.peek().is_none() || wanted.any(|(_, text)| entry.get(column) == Some(text))
            })
    }

    /// The condition, and what it binds. `place` writes the placeholder of a number from 1.
    pub(super) fn condition(&self, place: fn(usize) -> String) -> (String, Vec<Bound>) {
        let mut bound = Vec::new();
        let mut all: Vec<String> = Vec::new();
        let mut add = |sql: &str, value: Bound, bound: &mut Vec<Bound>| {
            bound.push(value);
            all.push(format!("{sql} {}", place(bound.len())));
        };
        for (column, text) in [("class", &self.class), ("kind", &self.kind), ("writer", &self.writer)] {
            if let Some(text) = text {
                add(&format!("{column} ="), Bound::Text(text.clone()), &mut bound);
            }
        }
        for (sql, at) in [
            ("at >=", self.since),
            ("at <", self.until),
            ("written >=", self.written_since),
            ("written <", self.written_until),
        ] {
            if let Some(at) = at {
                add(sql, Bound::Instant(at), &mut bound);
            }
        }
        if let Some((behind, last)) = self.inserted {
            add("rowid >", Bound::Number(behind), &mut bound);
            add("rowid <=", Bound::Number(last), &mut bound);
        }
        for column in Column::ALL {
            let texts: Vec<&String> = self.texts.iter().filter(|(c, _)| *c == column).map(|(_, text)| text).collect();
            if texts.is_empty() {
                continue;
            }
            let mut either = format!("{} in (", column.name());
            for (i, text) in texts.into_iter().enumerate() {
                bound.push(Bound::Text(text.clone()));
                let _ = write!(either, "{}{}", if i > 0 { ", " } else { "" }, place(bound.len()));
            }
            all.push(either + ")");
        }
        (if all.is_empty() { String::new() } else { format!(" where {}", all.join(" and ")) }, bound)
    }

    /// The whole question. `chain` is the order of the chains in this database, `data` how the data are read.
    pub(super) fn sql(&self, place: fn(usize) -> String, chain: &str, data: &str) -> (String, Vec<Bound>) {
        let mut columns = COLUMNS.replace("data", data);
        for column in Column::ALL {
            let _ = write!(columns, ", {}", column.name());
        }
        let (condition, mut bound) = self.condition(place);
        let order = match self.order {
            Order::Chain => chain,
            Order::Latest => "at desc, written desc, writer, seq desc",
            Order::Earliest => "at, written, writer, seq",
        };
        let mut sql = format!("select {columns} from audit_log{condition} order by {order}");
        if let Some(limit) = self.limit {
            bound.push(Bound::Number(limit));
            let _ = write!(sql, " limit {}", place(bound.len()));
        }
        (sql, bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_bound_and_never_written_into_the_question() {
        let select = Select {
            kind: Some("intent'; drop".into()),
            texts: vec![(Column::Door, "a".into()), (Column::Subject, "x".into()), (Column::Door, "b".into())],
            since: Some(1),
            order: Order::Latest,
            limit: Some(7),
            ..Select::class("standard")
        };
        let (sql, bound) = select.sql(|n| format!("${n}"), "rowid", "data");
        insta::assert_snapshot!(sql, @"select class, writer, seq, kind, status, latency, prev, hash, written, at, data, agent, decision, door, issuer, method, name, policy, reason, request, rule, session, subject, trace from audit_log where class = $1 and kind = $2 and at >= $3 and door in ($4, $5) and subject in ($6) order by at desc, written desc, writer, seq desc limit $7");
        assert_eq!(bound.len(), 7);
        assert!(
            Select::default().sql(|n| format!("${n}"), "rowid", "data").0.ends_with("from audit_log order by rowid")
        );
    }
}
