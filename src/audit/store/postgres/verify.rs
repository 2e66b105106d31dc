//! A whole table, verified as fast as the server sends its rows: by `COPY`, in the order of the chains.

use bytes::Bytes;
use futures_util::TryStreamExt as _;

use super::{CHAINS, DATA, Postgres, StoreError, StoreErrorKind};
use crate::audit::chain::{Column, Hash, Link, Names, Verifier, View, arranged};
use crate::audit::store::Select;
use crate::audit::{Beside, spare_threads};

/// How many rows one part has.
const PART: usize = 512;
/// What a binary `COPY` begins with.
const BEGIN: &[u8] = b"PGCOPY\n\xff\r\n\0";
/// Microseconds from 1970 to 2000, from which the server counts.
const SINCE_1970: i64 = 946_684_800_000_000;

impl Postgres {
    /// Holds every row against its chain.
    pub(in crate::audit::store) async fn verify(&mut self, verifier: Verifier) -> Result<Verifier, StoreError> {
        let failed = |e: sqlx::Error| StoreError::reading(&e);
        let (rows, _) = Select::default().sql(|n| format!("${n}"), CHAINS, DATA);
        let copy = format!("copy ({rows}) to stdout (format binary)");
        let mut messages = self.connection.copy_out_raw(&copy).await.map_err(failed)?;
        // One sends and one receives.
        let mut beside: Beside<_, StoreError> = Beside::new(verifier, spare_threads(2), || {
            let (mut names, mut buffer) = (Names::new(), Vec::new());
            Ok(move |part: Vec<Bytes>| links(&part, &mut names, &mut buffer))
        })?;
        let mut part = Vec::with_capacity(PART);
        while let Some(message) = messages.try_next().await.map_err(failed)? {
            part.push(message);
            if part.len() == PART && !beside.part(std::mem::replace(&mut part, Vec::with_capacity(PART))) {
                break;
            }
        }
        beside.part(part);
        beside.end()
    }
}

/// The rows of some messages, each of which holds whole ones.
fn links(messages: &[Bytes], names: &mut Names, buffer: &mut Vec<u8>) -> Result<Vec<Link>, StoreError> {
    let mut links = Vec::with_capacity(messages.len());
    for message in messages {
        let mut rest = Rest(message);
        while !rest.0.is_empty() {
            let link = rest.link(names, buffer);
            links.extend(
                link.map_err(|NoRow| StoreError::new(StoreErrorKind::Unreachable, "the server sent what is no row"))?,
            );
        }
    }
    Ok(links)
}

/// The server sent what is no row.
#[derive(Clone, Copy, Debug)]
struct NoRow;

/// What is left of a message.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], NoRow> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(NoRow)?;
        self.0 = rest;
        Ok(taken)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], NoRow> {
        self.take(N)?.try_into().map_err(|_| NoRow)
    }

    /// A column, or that it is not set.
    fn column(&mut self) -> Result<Option<&'a [u8]>, NoRow> {
        match i32::from_be_bytes(self.number()?) {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| NoRow)?).map(Some),
        }
    }

    /// The next row. Nothing inside where there is none: at the beginning and at the end.
    fn link(&mut self, names: &mut Names, buffer: &mut Vec<u8>) -> Result<Option<Link>, NoRow> {
        if let Some(rest) = self.0.strip_prefix(BEGIN) {
            self.0 = rest;
            self.number::<4>()?;
            let more = u32::from_be_bytes(self.number()?);
            self.take(usize::try_from(more).map_err(|_| NoRow)?)?;
            return Ok(None);
        }
        let count = i16::from_be_bytes(self.number()?);
        if count == -1 {
            return Ok(None);
        }
        let mut columns = [None; FIXED + Column::ALL.len()];
        if usize::try_from(count) != Ok(columns.len()) {
            return Err(NoRow);
        }
        for column in &mut columns {
            *column = self.column()?;
        }
        let data = columns.get(10).copied().flatten().and_then(|data| str::from_utf8(data).ok());
        // What an open object holds in another order has another hash, and is read then.
        let canonical = data.and_then(arranged);
        Ok(Some(match view(&columns, canonical.as_deref().or(data)) {
            Some((view, hash)) => view.link(hash, names, buffer),
            None => broken(&columns, names),
        }))
    }
}

/// How many columns there are before those that hold text or nothing.
const FIXED: usize = 11;

type Columns<'a> = [Option<&'a [u8]>; FIXED + Column::ALL.len()];

/// The columns of a row; `None` where one holds what no row does.
fn view<'a>(columns: &Columns<'a>, data: Option<&'a str>) -> Option<(View<'a>, Hash)> {
    let column = |i: usize| columns.get(i).copied().flatten();
    let text = |i| str::from_utf8(column(i)?).ok();
    let number = |i| Some(i64::from_be_bytes(column(i)?.try_into().ok()?));
    let instant = |i| number(i)?.checked_add(SINCE_1970);
    let hash = |i| Hash::from_bytes(column(i)?);
    let mut texts = [None; Column::ALL.len()];
    for (column, place) in columns.iter().skip(FIXED).zip(&mut texts) {
        *place = column.map(str::from_utf8).transpose().ok()?;
    }
    let view = View {
        class: text(0)?,
        writer: text(1)?,
        seq: number(2)?,
        kind: text(3)?,
        status: column(4).map(TryInto::try_into).transpose().ok()?.map(i32::from_be_bytes),
        latency: column(5).map(TryInto::try_into).transpose().ok()?.map(i64::from_be_bytes),
        prev: hash(6)?,
        written: instant(8)?,
        at: instant(9)?,
        data: data?,
        texts,
    };
    Some((view, hash(7)?))
}

fn broken(columns: &Columns<'_>, names: &mut Names) -> Link {
    let column = |i: usize| columns.get(i).copied().flatten().unwrap_or_default();
    let text = |i| str::from_utf8(column(i)).unwrap_or_default();
    Link::broken(names.of(text(0), text(1)), column(2).try_into().map_or(0, i64::from_be_bytes))
}
