//! The tree of a TOML text, built from the events of its parser in one pass.
//!
//! Says nothing of what is wrong: a text that is no TOML gives no tree, and `super` asks the `toml`
//! crate why. Which tables may be opened twice is decided here as there; a test compares the two.

use std::borrow::Cow;

use toml_parser::decoder::{Encoding, ScalarKind};
use toml_parser::lexer::Token;
use toml_parser::parser::{EventReceiver, ValidateWhitespace, parse_document, parse_value};
use toml_parser::{ErrorSink, ParseError, Raw, Source, Span as Range};

use super::{Kind, Node, Table, offset};
use crate::diagnostics::{SourceId, Span};
use crate::policy::lookup::Lookup;

/// The number of the table that every other one is in.
const ROOT: u32 = 0;

/// What was built.
pub(super) struct Built<T> {
    pub(super) value: T,
    /// The integers that are too large, which stand in the tree as 0.
    pub(super) too_large: Vec<Span>,
}

/// What stands where something of that name stands already.
pub(super) struct Twice {
    pub(super) again: Span,
    pub(super) first: Span,
}

/// The tree of a document, whose tokens these are. When it is not TOML, what was seen to stand twice.
pub(super) fn document<'t>(text: &'t str, tokens: &[Token], source: SourceId) -> Result<Built<Table<'t>>, Vec<Twice>> {
    let mut builder = Builder::new(text, 0, source);
    builder.run(tokens, parse_document);
    match builder.close(ROOT) {
        Some(value) if builder.is_toml => Ok(Built { value, too_large: builder.too_large }),
        _ => Err(builder.twice),
    }
}

/// The tree of a lone value that stands at byte `base` of the source. `None` when it is not TOML.
pub(super) fn value<'t>(text: &'t str, tokens: &[Token], source: SourceId, base: usize) -> Option<Built<Node<'t>>> {
    let mut builder = Builder::new(text, base, source);
    builder.run(tokens, parse_value);
    let value = builder.lone.filter(|_| builder.is_toml)?;
    Some(Built { value, too_large: builder.too_large })
}

/// A key with its place.
type Key<'t> = (Cow<'t, str>, Span);

/// A table that can still grow.
struct Open<'t> {
    span: Span,
    key_span: Span,
    origin: Origin,
    values: Table<'t>,
    children: Vec<(Cow<'t, str>, Child)>,
}

/// What a table was opened by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// By its own header, or as an inline table.
    Itself,
    /// By the header of a table in it.
    Header,
    /// By a dotted key.
    Dotted,
}

/// What a table holds besides values.
#[derive(Clone, Copy)]
enum Child {
    Table(u32),
    /// A list of tables: each header adds one.
    List(u32),
}

/// A list of tables.
struct List {
    span: Span,
    key_span: Span,
    tables: Vec<u32>,
}

/// A value that has begun and not ended, or the key that waits for one.
enum Step<'t> {
    Key(u32, Key<'t>),
    Array(usize, Vec<Node<'t>>),
    Inline(usize, u32),
}

struct Builder<'t> {
    text: &'t str,
    source: SourceId,
    /// Where the text begins in the source.
    base: usize,
    tables: Vec<Open<'t>>,
    lists: Vec<List>,
    /// The children of all tables, by table and key.
    children: Lookup<(u32, Cow<'t, str>), Child>,
    /// The table that the last header opened.
    current: u32,
    /// The keys of the path that is being read.
    path: Vec<Key<'t>>,
    /// Where the header that is being read begins.
    header: usize,
    steps: Vec<Step<'t>>,
    /// A value that no key waited for.
    lone: Option<Node<'t>>,
    too_large: Vec<Span>,
    twice: Vec<Twice>,
    is_toml: bool,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str, base: usize, source: SourceId) -> Self {
        let mut builder = Self {
            text,
            source,
            base,
            tables: Vec::new(),
            lists: Vec::new(),
            children: Lookup::default(),
            current: ROOT,
            path: Vec::new(),
            header: 0,
            steps: Vec::new(),
            lone: None,
            too_large: Vec::new(),
            twice: Vec::new(),
            is_toml: true,
        };
        let start = builder.span(0, 0);
        builder.open(Origin::Itself, start, start);
        builder
    }

    fn run(&mut self, tokens: &[Token], parse: fn(&[Token], &mut dyn EventReceiver, &mut dyn ErrorSink)) {
        let source = Source::new(self.text);
        let mut wrong: Option<ParseError> = None;
        parse(tokens, &mut ValidateWhitespace::new(self, source), &mut wrong);
        self.is_toml &= wrong.is_none() && self.steps.is_empty();
    }

    fn span(&self, start: usize, end: usize) -> Span {
        let at = |byte: usize| offset(self.base.saturating_add(byte));
        Span { source: self.source, start: at(start), end: at(end) }
    }

    fn range(&self, range: Range) -> Span {
        self.span(range.start(), range.end())
    }

    fn raw(&self, range: Range, encoding: Option<Encoding>) -> Raw<'t> {
        Raw::new_unchecked(self.text.get(range.start()..range.end()).unwrap_or(""), encoding, range)
    }

    /// A bare key or what stands in double quotes on one line, when it is of such bytes alone and has no
    /// escape. Nearly every one is, and the library's way through it costs more than the rest of the tree.
    fn plain(&self, range: Range, encoding: Option<Encoding>, is_plain: impl Fn(u8) -> bool) -> Option<&'t str> {
        let text = self.text.get(range.start()..range.end())?;
        let inner = match encoding {
            None if text.is_empty() => return None,
            None => text,
            Some(Encoding::BasicString) => text.strip_prefix('"')?.strip_suffix('"')?,
            Some(_) => return None,
        };
        inner.bytes().all(is_plain).then_some(inner)
    }

    fn open(&mut self, origin: Origin, span: Span, key_span: Span) -> u32 {
        let table = offset(self.tables.len());
        self.tables.push(Open { span, key_span, origin, values: Table::new(), children: Vec::new() });
        table
    }

    fn table(&mut self, table: u32) -> Option<&mut Open<'t>> {
        self.tables.get_mut(table as usize)
    }

    fn adopt(&mut self, parent: u32, key: Cow<'t, str>, child: Child) {
        if let Some(open) = self.table(parent) {
            open.children.push((key.clone(), child));
            self.children.insert((parent, key), child);
        }
    }

    /// The table that a key leads to, which a key in front of another opens where there is none.
    fn step(&mut self, table: u32, (key, span): Key<'t>, dotted: bool) -> Option<u32> {
        let origin = if dotted { Origin::Dotted } else { Origin::Header };
        match self.children.get(&(table, key.clone())).copied() {
            None => {
                let child = self.open(origin, span, span);
                self.adopt(table, key, Child::Table(child));
                Some(child)
            }
            Some(Child::Table(child)) => {
                let open = self.table(child)?;
                if dotted && open.origin == Origin::Itself {
                    // What has a header of its own takes no keys from elsewhere.
                    let first = open.key_span;
                    self.twice.push(Twice { again: span, first });
                    return None;
                }
                if dotted {
                    open.origin = Origin::Dotted;
                }
                Some(child)
            }
            Some(Child::List(list)) => self.lists.get(list as usize)?.tables.last().copied(),
        }
    }

    /// Follows the keys that were read, and returns the table they lead to with the last key.
    fn follow(&mut self, from: u32, dotted: bool) -> Option<(u32, Key<'t>)> {
        let mut path = std::mem::take(&mut self.path);
        let last = path.pop()?;
        let at_once = path.is_empty();
        let mut table = from;
        for key in path.drain(..) {
            table = self.step(table, key, dotted)?;
        }
        self.path = path;
        // Dotted keys may lead through the last table of a list, and not end in it.
        let takes = at_once || !dotted || self.table(table)?.origin != Origin::Itself;
        takes.then_some((table, last))
    }

    fn begin(&mut self, end: usize, list: bool) -> Option<u32> {
        let span = self.span(self.header, end);
        let (parent, (key, key_span)) = self.follow(ROOT, false)?;
        let known = self.children.get(&(parent, key.clone())).copied();
        match (known, list) {
            (None, false) => {
                let table = self.open(Origin::Itself, span, key_span);
                self.adopt(parent, key, Child::Table(table));
                Some(table)
            }
            (Some(Child::Table(table)), false) if self.table(table)?.origin == Origin::Header => {
                let open = self.table(table)?;
                (open.origin, open.span, open.key_span) = (Origin::Itself, span, key_span);
                Some(table)
            }
            (None | Some(Child::List(_)), true) => {
                let table = self.open(Origin::Itself, span, span);
                let list = if let Some(Child::List(list)) = known {
                    list
                } else {
                    let list = offset(self.lists.len());
                    self.lists.push(List { span, key_span, tables: Vec::new() });
                    self.adopt(parent, key, Child::List(list));
                    list
                };
                self.lists.get_mut(list as usize)?.tables.push(table);
                Some(table)
            }
            (Some(known), _) => {
                let first = match known {
                    Child::Table(table) => self.table(table)?.key_span,
                    Child::List(list) => self.lists.get(list as usize)?.key_span,
                };
                self.twice.push(Twice { again: key_span, first });
                None
            }
        }
    }

    fn end_header(&mut self, end: usize, list: bool) {
        match self.begin(end, list) {
            Some(table) => self.current = table,
            None => self.is_toml = false,
        }
    }

    /// Puts a value where it belongs.
    fn add(&mut self, span: Span, kind: Kind<'t>) {
        match self.steps.last_mut() {
            Some(Step::Array(_, items)) => items.push(Node { span, key_span: span, kind }),
            Some(Step::Key(..)) => {
                let Some(Step::Key(table, (key, key_span))) = self.steps.pop() else { return };
                if let Some(open) = self.table(table) {
                    open.values.push((key, Node { span, key_span, kind }));
                }
            }
            Some(Step::Inline(..)) => self.is_toml = false,
            None => self.lone = Some(Node { span, key_span: span, kind }),
        }
    }

    /// Everything in a table, in the order of the keys. `None` when one is there twice.
    fn close(&mut self, table: u32) -> Option<Table<'t>> {
        let open = self.table(table)?;
        let mut entries = std::mem::take(&mut open.values);
        let children = std::mem::take(&mut open.children);
        entries.reserve_exact(children.len());
        for (key, child) in children {
            let node = match child {
                Child::Table(table) => self.finish(table)?,
                Child::List(list) => {
                    let list = self.lists.get_mut(list as usize)?;
                    let (span, key_span) = (list.span, list.key_span);
                    let tables = std::mem::take(&mut list.tables);
                    let items = tables.into_iter().map(|table| self.finish(table)).collect::<Option<_>>()?;
                    Node { span, key_span, kind: Kind::Array(items) }
                }
            };
            entries.push((key, node));
        }
        if !entries.is_sorted_by(|(a, _), (b, _)| a < b) {
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            let known = self.twice.len();
            let pairs = entries.iter().zip(entries.iter().skip(1)).filter(|((a, _), (b, _))| a == b);
            self.twice.extend(pairs.map(|((_, a), (_, b))| Twice {
                again: a.key_span.max(b.key_span),
                first: a.key_span.min(b.key_span),
            }));
            (self.twice.len() == known).then_some(())?;
        }
        Some(entries)
    }

    fn finish(&mut self, table: u32) -> Option<Node<'t>> {
        let kind = Kind::Table(self.close(table)?);
        let open = self.table(table)?;
        Some(Node { span: open.span, key_span: open.key_span, kind })
    }

    fn number(&mut self, span: Span, digits: &str, radix: u32) -> Kind<'t> {
        Kind::Integer(i128::from_str_radix(digits, radix).unwrap_or_else(|_| {
            self.too_large.push(span);
            0
        }))
    }
}

/// What a bare key is made of.
const fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// What stands in double quotes for itself, of ASCII.
const fn is_unescaped(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')
}

impl EventReceiver for Builder<'_> {
    fn std_table_open(&mut self, span: Range, _: &mut dyn ErrorSink) {
        self.header = span.start();
        self.path.clear();
    }

    fn std_table_close(&mut self, span: Range, _: &mut dyn ErrorSink) {
        self.end_header(span.end(), false);
    }

    fn array_table_open(&mut self, span: Range, _: &mut dyn ErrorSink) {
        self.header = span.start();
        self.path.clear();
    }

    fn array_table_close(&mut self, span: Range, _: &mut dyn ErrorSink) {
        self.end_header(span.end(), true);
    }

    fn simple_key(&mut self, span: Range, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut key = Cow::Borrowed("");
        let plain = match encoding {
            None => self.plain(span, encoding, is_bare),
            Some(_) => self.plain(span, encoding, is_unescaped),
        };
        match plain {
            Some(plain) => key = Cow::Borrowed(plain),
            None => self.raw(span, encoding).decode_key(&mut key, error),
        }
        self.path.push((key, self.range(span)));
    }

    fn key_val_sep(&mut self, _: Range, _: &mut dyn ErrorSink) {
        let table = match self.steps.last() {
            None => self.current,
            Some(Step::Inline(_, table)) => *table,
            Some(Step::Key(..) | Step::Array(..)) => {
                self.is_toml = false;
                return;
            }
        };
        match self.follow(table, true) {
            Some((table, key)) => self.steps.push(Step::Key(table, key)),
            None => self.is_toml = false,
        }
    }

    fn scalar(&mut self, span: Range, encoding: Option<Encoding>, error: &mut dyn ErrorSink) {
        let mut text = Cow::Borrowed("");
        let quoted = encoding.and_then(|_| self.plain(span, encoding, is_unescaped));
        let kind = match quoted {
            Some(plain) => {
                text = Cow::Borrowed(plain);
                ScalarKind::String
            }
            None => self.raw(span, encoding).decode_scalar(&mut text, error),
        };
        let span = self.range(span);
        let kind = match kind {
            ScalarKind::String => Kind::String(text),
            ScalarKind::Boolean(value) => Kind::Boolean(value),
            ScalarKind::Integer(radix) => self.number(span, &text, radix.value()),
            ScalarKind::Float => Kind::Float(text.parse().unwrap_or(f64::NAN)),
            ScalarKind::DateTime => match text.parse::<toml::value::Datetime>() {
                Ok(value) => Kind::Datetime(value.to_string().into()),
                Err(_) => {
                    self.is_toml = false;
                    return;
                }
            },
        };
        self.add(span, kind);
    }

    fn array_open(&mut self, span: Range, _: &mut dyn ErrorSink) -> bool {
        self.steps.push(Step::Array(span.start(), Vec::new()));
        true
    }

    fn array_close(&mut self, span: Range, _: &mut dyn ErrorSink) {
        match self.steps.pop() {
            Some(Step::Array(start, items)) => self.add(self.span(start, span.end()), Kind::Array(items)),
            _ => self.is_toml = false,
        }
    }

    fn inline_table_open(&mut self, span: Range, _: &mut dyn ErrorSink) -> bool {
        let here = self.range(span);
        let table = self.open(Origin::Itself, here, here);
        self.steps.push(Step::Inline(span.start(), table));
        true
    }

    fn inline_table_close(&mut self, span: Range, _: &mut dyn ErrorSink) {
        let Some(Step::Inline(start, table)) = self.steps.pop() else {
            self.is_toml = false;
            return;
        };
        match self.close(table) {
            Some(entries) => self.add(self.span(start, span.end()), Kind::Table(entries)),
            None => self.is_toml = false,
        }
    }
}

#[cfg(test)]
mod tests;
