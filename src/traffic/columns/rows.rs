//! The events of one row group.
//!
//! A text that repeats is looked at once for each row group, and an event is read as strictly as a line. Of the
//! arguments only those are kept that somebody asks about.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::RowGroupReader;
use hashbrown::HashMap;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use serde_json::value::RawValue;

use super::Column;
use super::numbered::{Number, Numbered};
use super::read::damaged;
use super::values::{Texts, Times, broken};
use crate::model::ResourceKind;
use crate::traffic::incoming::{Bad, Own, set};
use crate::traffic::lines::{Brief, Line, Lines, Parts, Shown};
use crate::traffic::observed::Glance;
use crate::traffic::pointer::Optional;
use crate::traffic::reader::{MAX_LINE, Unreadable, UnreadableCode};

/// How many rows are taken at once.
const STEP: usize = 2048;
/// The most items whose numbers are remembered.
const MAX_SEEN: usize = 1 << 15;

/// The rows of one row group.
pub struct Rows {
    number: u64,
    left: u64,
    at: usize,
    held: usize,
    space: Arc<()>,
    time: Times,
    iat: Times,
    exp: Times,
    nbf: Times,
    door: Numbered,
    method: Numbered,
    kind: Numbered,
    name: Numbered,
    subject: Numbered,
    token: Numbered,
    session: Numbered,
    verdict: Numbered,
    missing: Numbered,
    arguments: Texts,
    id: Texts,
    era: Numbered,
    /// By the numbers of what an item is told by, two in each.
    items: HashMap<[u64; 2], u32, foldhash::fast::FixedState>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("number", &self.number).finish_non_exhaustive()
    }
}

/// One event of a row group. All of it was read, and little of it was put together yet.
pub struct Row<'a> {
    rows: &'a Rows,
    at: usize,
    number: u64,
    brief: Brief<'a>,
    shown: Shown<'a>,
}

impl std::fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Row").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Row<'_> {
    /// The event for whoever has met one of the same numbers.
    pub fn glance(&self) -> Glance<'_> {
        self.brief.glance(&self.shown)
    }

    /// The event as a line of it would be read.
    ///
    /// # Errors
    ///
    /// Never: what cannot be read is no row.
    pub fn line(&self) -> Result<Line<'_>, Unreadable> {
        let own = self.rows.own(self.at).map_err(|message| no_event(self.number, message))?;
        Ok(Line::new(own, self.shown.again()))
    }
}

fn no_event(number: u64, message: String) -> Unreadable {
    Unreadable::new(number, UnreadableCode::NotAnEvent, message)
}

fn optional(text: Option<&str>) -> Option<Cow<'_, str>> {
    text.map(Cow::Borrowed)
}

/// The lists of a token, as they stand in their column.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenCell<'a> {
    #[serde(borrow, default)]
    aud: Option<&'a RawValue>,
    #[serde(borrow, default)]
    scopes: Option<&'a RawValue>,
}

/// What was decided, as it stands in its column.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VerdictCell<'a> {
    #[serde(borrow, default)]
    decided: Option<&'a RawValue>,
    #[serde(borrow, default)]
    foreign: Option<&'a RawValue>,
}

/// The lists of what is missing, as they stand in their column.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MissingCell<'a> {
    #[serde(borrow, default)]
    absent: Option<&'a RawValue>,
    #[serde(borrow, default)]
    redacted: Option<&'a RawValue>,
    #[serde(borrow, default)]
    truncated: Option<&'a RawValue>,
    #[serde(borrow, default)]
    unrecorded: Option<&'a RawValue>,
}

fn cell<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

fn json(raw: Option<&RawValue>) -> Option<&str> {
    raw.map(RawValue::get)
}

fn kind_of(text: &str) -> Result<ResourceKind, String> {
    ResourceKind::deserialize(text.into_deserializer()).map_err(|error: ValueError| error.to_string())
}

/// What is wrong with a value, in words.
fn said<T>(result: Result<T, Bad<'_>>) -> Result<T, String> {
    result.map_err(|bad| match bad {
        Bad::Json(error, _) => error.to_string(),
        Bad::Rule(message) => message,
    })
}

impl Rows {
    pub(super) fn open(group: &dyn RowGroupReader, first: u64, rows: u64) -> Result<Self, ParquetError> {
        Ok(Self {
            number: first,
            left: rows,
            at: 0,
            held: 0,
            space: Arc::new(()),
            time: Times::open(group, Column::Time)?,
            iat: Times::open(group, Column::Iat)?,
            exp: Times::open(group, Column::Exp)?,
            nbf: Times::open(group, Column::Nbf)?,
            door: Numbered::open(group, Column::Door)?,
            method: Numbered::open(group, Column::Method)?,
            kind: Numbered::open(group, Column::Kind)?,
            name: Numbered::open(group, Column::Name)?,
            subject: Numbered::open(group, Column::Subject)?,
            token: Numbered::open(group, Column::Token)?,
            session: Numbered::open(group, Column::Session)?,
            verdict: Numbered::open(group, Column::Verdict)?,
            missing: Numbered::open(group, Column::Missing)?,
            arguments: Texts::open(group, Column::Arguments)?,
            id: Texts::open(group, Column::Id)?,
            era: Numbered::open(group, Column::Era)?,
            items: HashMap::default(),
        })
    }

    /// The next event with its number. None behind the last; a file that is damaged ends here.
    pub fn next<'a>(&'a mut self, lines: &'a mut Lines<'_>) -> Option<(u64, Result<Row<'a>, Unreadable>)> {
        let number = self.number;
        if self.at == self.held {
            if self.left == 0 {
                return None;
            }
            let rows = usize::try_from(self.left).unwrap_or(STEP).min(STEP);
            // The library asserts where it decodes: a damaged page is damage, and not the end of the program.
            let filled = catch_unwind(AssertUnwindSafe(|| self.fill(rows)));
            if let Err(error) = filled.unwrap_or_else(|_| Err(broken("a page cannot be decoded"))) {
                self.left = 0;
                (self.at, self.held) = (0, 0);
                return Some((number, Err(damaged(number, &error))));
            }
            self.left -= rows as u64;
            (self.at, self.held) = (0, rows);
        }
        let at = self.at;
        self.at += 1;
        self.number += 1;
        let parts = self.parts(at, lines);
        let (rows, lines): (&Self, &Lines<'_>) = (self, lines);
        let row =
            parts.and_then(|parts| Ok(Row { rows, at, number, brief: rows.brief(at)?, shown: lines.shown(parts)? }));
        Some((number, row.map_err(|message| no_event(number, message))))
    }

    fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        let Self { time, iat, exp, nbf, .. } = self;
        [time, iat, exp, nbf].into_iter().try_for_each(|column| column.fill(rows))?;
        self.arguments.fill(rows)?;
        self.id.fill(rows)?;
        self.numbered().into_iter().try_for_each(|column| column.fill(rows))
    }

    fn numbered(&mut self) -> [&mut Numbered; 10] {
        let Self { door, method, kind, name, subject, token, session, verdict, missing, era, .. } = self;
        [door, method, kind, name, subject, token, session, verdict, missing, era]
    }

    /// What an event comes to whose row is at this place, which is looked at whole.
    fn parts(&mut self, at: usize, lines: &mut Lines<'_>) -> Result<Parts, String> {
        lines.bound();
        if !Arc::ptr_eq(&self.space, lines.space()) {
            self.space = Arc::clone(lines.space());
            self.items.clear();
            self.numbered().into_iter().for_each(Numbered::forget);
        }
        let missing = self.missing.known(self.missing.at(at), |text| {
            let cell: Option<MissingCell<'_>> = text.map(cell).transpose()?;
            let lists = cell.map_or([None; 4], |cell| {
                [json(cell.absent), json(cell.redacted), json(cell.truncated), json(cell.unrecorded)]
            });
            said(lines.lists(lists))
        })?;
        let subject = self.subject.known(self.subject.at(at), |text| said(lines.subject(text)))?;
        let token = self.token.known(self.token.at(at), |text| {
            let cell: Option<TokenCell<'_>> = text.map(cell).transpose()?;
            said(lines.token(cell.map_or([None; 2], |cell| [json(cell.aud), json(cell.scopes)])))
        })?;
        let verdict = self.verdict.known(self.verdict.at(at), |text| {
            let cell: Option<VerdictCell<'_>> = text.map(cell).transpose()?;
            said(lines.verdicts(cell.map_or([None; 2], |cell| [json(cell.decided), json(cell.foreign)])))
        })?;
        let item = self.item(at, lines)?;
        // The rest of the texts of an item was looked at when it was met.
        let (id, era, session) =
            (self.id.at(at)?, self.era.text(self.era.at(at))?, self.session.text(self.session.at(at))?);
        let arguments = self.arguments.at(at)?;
        if arguments.is_some_and(|text| text.len() > MAX_LINE) {
            return Err(format!("the arguments are longer than {MAX_LINE} bytes"));
        }
        let present = set([
            (Optional::Id, id.is_some()),
            (Optional::Era, era.is_some()),
            (Optional::Arguments, arguments.is_some()),
            (Optional::Iat, self.iat.at(at).is_some()),
            (Optional::Exp, self.exp.at(at).is_some()),
            (Optional::Nbf, self.nbf.at(at).is_some()),
            (Optional::Session, session.is_some()),
        ]);
        said(lines.hold(present, arguments, [missing, subject, token, verdict, item]))
    }

    fn item(&mut self, at: usize, lines: &mut Lines<'_>) -> Result<u32, String> {
        let pair = |one: Number, two: Number| u64::from(one) << 32 | u64::from(two);
        let key = [pair(self.door.at(at), self.method.at(at)), pair(self.kind.at(at), self.name.at(at))];
        if let Some(item) = self.items.get(&key) {
            return Ok(*item);
        }
        if self.items.len() >= MAX_SEEN {
            self.items.clear();
        }
        let item = said(lines.item(&self.own(at)?))?;
        self.items.insert(key, item);
        Ok(item)
    }

    fn brief(&self, at: usize) -> Result<Brief<'_>, String> {
        Ok(Brief {
            time: self.time.at(at).ok_or("a row without a time")?,
            iat: self.iat.at(at),
            exp: self.exp.at(at),
            nbf: self.nbf.at(at),
            session: self.session.text(self.session.at(at))?,
        })
    }

    fn own(&self, at: usize) -> Result<Own<'_>, String> {
        let Brief { time, iat, exp, nbf, session } = self.brief(at)?;
        Ok(Own {
            time,
            id: optional(self.id.at(at)?),
            door: optional(self.door.text(self.door.at(at))?).ok_or("a row without a door")?,
            era: optional(self.era.text(self.era.at(at))?),
            method: optional(self.method.text(self.method.at(at))?).ok_or("a row without a method")?,
            kind: self.kind.text(self.kind.at(at))?.map(kind_of).transpose()?,
            name: optional(self.name.text(self.name.at(at))?),
            arguments: self.arguments.at(at)?,
            session: optional(session),
            iat,
            exp,
            nbf,
        })
    }
}
