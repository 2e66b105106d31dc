//! Events out of columns.
//!
//! A file is not trusted: its shape is checked before anything is read, each value as strictly as
//! in a line, and what is wrong is an [`Unreadable`] and never a panic. Of the arguments only those
//! are read that somebody asks about.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::parquet::column::reader::get_column_reader;
use ::parquet::data_type::{ByteArrayType, DataType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use ::parquet::file::properties::ReaderProperties;
use ::parquet::file::reader::{ChunkReader, RowGroupReader};
use ::parquet::file::serialized_reader::SerializedRowGroupReader;

use hashbrown::HashMap;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as ValueError;
use serde_json::value::RawValue;

use super::numbered::{Number, Numbered};
use super::sums::{SUMS, Sums};
use super::values::{Ordered, Values, broken, text};
use super::{Column, HEADER, schema};
use crate::model::{ResourceKind, Timestamp};
use crate::traffic::event::{Header, SCHEMA};
use crate::traffic::incoming::{Bad, Own};
use crate::traffic::lines::{Line, Lines};
use crate::traffic::reader::{MAX_LINE, Unreadable, UnreadableCode};

/// How many rows are taken at once.
const STEP: usize = 2048;
/// The most bytes of one column in one row group, unpacked.
const MAX_COLUMN: i64 = 1 << 30;
/// The most items whose numbers are remembered.
const MAX_SEEN: usize = 1 << 15;
/// The first event has the number that it has in the JSON Lines form, where the header is line 1.
const FIRST: u64 = 2;

/// A recording in columns.
pub struct Columns<R: ChunkReader> {
    input: R,
    metadata: ParquetMetaData,
    sums: Sums,
    header: Header,
    /// The number of the first event of each row group.
    starts: Vec<u64>,
}

impl<R: ChunkReader> std::fmt::Debug for Columns<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Columns").field("groups", &self.starts.len()).finish_non_exhaustive()
    }
}

impl<R: ChunkReader + 'static> Columns<R> {
    /// Opens a recording.
    ///
    /// # Errors
    ///
    /// When it is not one in this form, or of another version.
    pub fn open(input: R) -> Result<Self, Unreadable> {
        let length = input.len();
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&input).map_err(|e| damaged(1, &e))?;
        let fail = |code, message: String| Err(Unreadable::new(1, code, message));
        let written = |key: &str| {
            let pairs = metadata.file_metadata().key_value_metadata().into_iter().flatten();
            pairs.filter(|pair| pair.key == key).find_map(|pair| pair.value.as_deref())
        };
        let Some(text) = written(HEADER) else {
            return fail(UnreadableCode::NoHeader, format!("it is a Parquet file without `{HEADER}` in its metadata"));
        };
        let header: Header = match serde_json::from_str(text) {
            Ok(header) => header,
            Err(error) => return fail(UnreadableCode::NoHeader, format!("the header cannot be read: {error}")),
        };
        let expected = schema().map_err(|e| damaged(1, &e))?;
        if header.schema != SCHEMA {
            let message = format!("`{}` is not `{SCHEMA}`, which this build reads", header.schema);
            return fail(UnreadableCode::UnknownSchema, message);
        }
        if *metadata.file_metadata().schema() != *expected {
            return fail(UnreadableCode::UnknownSchema, format!("its columns are not those of `{SCHEMA}`"));
        }
        let sums = written(SUMS).and_then(|sums| serde_json::from_str::<Sums>(sums).ok());
        let Some(sums) = sums.filter(|sums| sums.fit(text, metadata.num_row_groups())) else {
            return fail(
                UnreadableCode::ReadFailed,
                format!("the checksums under `{SUMS}` are not there or do not fit"),
            );
        };
        let (mut starts, mut next) = (Vec::new(), FIRST);
        for group in metadata.row_groups() {
            starts.push(next);
            let rows = u64::try_from(group.num_rows()).ok();
            let sound = group.columns().iter().all(|column| {
                let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
                let end = start.checked_add(column.compressed_size());
                let inside = end.and_then(|end| u64::try_from(end).ok()).is_some_and(|end| end <= length);
                start >= 4 && column.compressed_size() >= 0 && inside && column.uncompressed_size() <= MAX_COLUMN
            });
            match rows.and_then(|rows| next.checked_add(rows)) {
                Some(after) if sound && group.columns().len() == Column::ALL.len() => next = after,
                _ => return fail(UnreadableCode::ReadFailed, "its row groups do not fit the file".to_owned()),
            }
        }
        Ok(Self { input, metadata, sums, header, starts })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many row groups there are. Each can be read on its own.
    pub fn groups(&self) -> usize {
        self.starts.len()
    }

    /// How many events a row group holds, and how many bytes of the file it takes.
    pub fn size(&self, number: usize) -> (u64, u64) {
        let of = |size: i64| u64::try_from(size).unwrap_or(0);
        let group = self.metadata.row_groups().get(number);
        group.map_or((0, 0), |group| (of(group.num_rows()), of(group.compressed_size())))
    }

    /// Opens a row group.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn group(&self, number: usize) -> Result<Rows, Unreadable> {
        let first = self.starts.get(number).copied().unwrap_or(FIRST);
        let Some(group) = self.metadata.row_groups().get(number) else {
            return Err(Unreadable::new(first, UnreadableCode::ReadFailed, "there is no such row group"));
        };
        let rows = group.num_rows();
        let held = self.sums.held(number, group, &self.input).map_err(|e| damaged(first, &e))?;
        let (index, properties) = (self.metadata.page_index_for_row_group(number), ReaderProperties::builder().build());
        let group = SerializedRowGroupReader::new(Arc::new(held), group, index, Arc::new(properties));
        let group = group.map_err(|e| damaged(first, &e))?;
        Rows::open(&group, first, u64::try_from(rows).unwrap_or(0)).map_err(|e| damaged(first, &e))
    }
}

fn damaged(place: u64, error: &ParquetError) -> Unreadable {
    let text: String = error.to_string().chars().take(200).collect();
    Unreadable::new(place, UnreadableCode::ReadFailed, format!("the Parquet file is damaged: {text}"))
}

/// The rows of one row group.
pub struct Rows {
    number: u64,
    left: u64,
    at: usize,
    held: usize,
    space: Arc<()>,
    time: Values<Int64Type>,
    times: [Values<Int64Type>; 3],
    door: Numbered,
    method: Numbered,
    kind: Numbered,
    name: Numbered,
    subject: Numbered,
    token: Numbered,
    session: Numbered,
    verdict: Numbered,
    missing: Numbered,
    arguments: Values<ByteArrayType>,
    id: Values<ByteArrayType>,
    era: Numbered,
    /// By the numbers of what an item is told by, two in each.
    items: HashMap<[u64; 2], u32, foldhash::fast::FixedState>,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("number", &self.number).finish_non_exhaustive()
    }
}

fn open<T: DataType>(group: &dyn RowGroupReader, column: Column) -> Result<Values<T>, ParquetError> {
    let pages = Ordered::new(group.get_column_page_reader(column as usize)?);
    let reader = get_column_reader(group.metadata().column(column as usize).column_descr_ptr(), Box::new(pages));
    let reader = T::get_column_reader(reader).ok_or_else(|| broken("a column is of another type"))?;
    Ok(Values::new(reader, !column.is_required()))
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
            time: open(group, Column::Time)?,
            times: [open(group, Column::Iat)?, open(group, Column::Exp)?, open(group, Column::Nbf)?],
            door: Numbered::open(group, Column::Door)?,
            method: Numbered::open(group, Column::Method)?,
            kind: Numbered::open(group, Column::Kind)?,
            name: Numbered::open(group, Column::Name)?,
            subject: Numbered::open(group, Column::Subject)?,
            token: Numbered::open(group, Column::Token)?,
            session: Numbered::open(group, Column::Session)?,
            verdict: Numbered::open(group, Column::Verdict)?,
            missing: Numbered::open(group, Column::Missing)?,
            arguments: open(group, Column::Arguments)?,
            id: open(group, Column::Id)?,
            era: Numbered::open(group, Column::Era)?,
            items: HashMap::default(),
        })
    }

    /// The next event with its number. None behind the last; a file that is damaged ends here.
    pub fn next<'a>(&'a mut self, lines: &'a mut Lines<'_>) -> Option<(u64, Result<Line<'a>, Unreadable>)> {
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
        let row = self.at;
        self.at += 1;
        self.number += 1;
        let line = self.row(row, lines);
        Some((number, line.map_err(|message| Unreadable::new(number, UnreadableCode::NotAnEvent, message))))
    }

    fn fill(&mut self, rows: usize) -> Result<(), ParquetError> {
        self.time.fill(rows)?;
        self.times.iter_mut().try_for_each(|column| column.fill(rows))?;
        self.arguments.fill(rows)?;
        self.id.fill(rows)?;
        self.numbered().into_iter().try_for_each(|column| column.fill(rows))
    }

    fn numbered(&mut self) -> [&mut Numbered; 10] {
        let Self { door, method, kind, name, subject, token, session, verdict, missing, era, .. } = self;
        [door, method, kind, name, subject, token, session, verdict, missing, era]
    }

    fn row<'a>(&'a mut self, row: usize, lines: &'a mut Lines<'_>) -> Result<Line<'a>, String> {
        lines.bound();
        if !Arc::ptr_eq(&self.space, lines.space()) {
            self.space = Arc::clone(lines.space());
            self.items.clear();
            self.numbered().into_iter().for_each(Numbered::forget);
        }
        // Every column steps, whatever is wrong with another.
        let [door, method, kind, name, subject, token, session, verdict, missing, era] =
            self.numbered().map(|column| column.step(row));
        let subject = self.subject.known(subject, |text| said(lines.subject(text)));
        let token = self.token.known(token, |text| {
            let cell: Option<TokenCell<'_>> = text.map(cell).transpose()?;
            said(lines.token(cell.map_or([None; 2], |cell| [json(cell.aud), json(cell.scopes)])))
        });
        let verdict = self.verdict.known(verdict, |text| {
            let cell: Option<VerdictCell<'_>> = text.map(cell).transpose()?;
            said(lines.verdicts(cell.map_or([None; 2], |cell| [json(cell.decided), json(cell.foreign)])))
        });
        let missing = self.missing.known(missing, |text| {
            let cell: Option<MissingCell<'_>> = text.map(cell).transpose()?;
            let lists = cell.map_or([None; 4], |cell| {
                [json(cell.absent), json(cell.redacted), json(cell.truncated), json(cell.unrecorded)]
            });
            said(lines.lists(lists))
        });
        let time = self.time.step(row);
        let times = self.times.each_mut().map(|column| {
            let at = column.step(row);
            column.get(at).map(|time| Timestamp(*time))
        });
        let [iat, exp, nbf] = times;
        let (arguments, id) = (self.arguments.pick(row), self.id.pick(row));
        let own = Own {
            time: Timestamp(*self.time.get(time).ok_or("a row without a time")?),
            id: optional(id.map(text).transpose()?),
            door: optional(self.door.text(door)?).ok_or("a row without a door")?,
            era: optional(self.era.text(era)?),
            method: optional(self.method.text(method)?).ok_or("a row without a method")?,
            kind: self.kind.text(kind)?.map(kind_of).transpose()?,
            name: optional(self.name.text(name)?),
            arguments: arguments.map(text).transpose()?,
            session: optional(self.session.text(session)?),
            iat,
            exp,
            nbf,
        };
        let number = |number: Number| number.map_or(0, |number| u64::from(number) + 1);
        let key = [number(door) << 32 | number(method), number(kind) << 32 | number(name)];
        let item = match self.items.get(&key) {
            Some(item) => *item,
            None => {
                if self.items.len() >= MAX_SEEN {
                    self.items.clear();
                }
                let item = said(lines.item(&own))?;
                self.items.insert(key, item);
                item
            }
        };
        if own.arguments.is_some_and(|text| text.len() > MAX_LINE) {
            return Err(format!("the arguments are longer than {MAX_LINE} bytes"));
        }
        let parts = said(lines.hold(&own, [missing?, subject?, token?, verdict?, item]))?;
        lines.line(own, parts)
    }
}
