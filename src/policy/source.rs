//! TOML text as a tree in which every key and value knows its place.
//!
//! The `toml_parser` crate reads; this module keeps what it read. It knows nothing of the policy
//! language, and never works on a text that is too large, too deep or not UTF-8.

mod tree;

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde_json::Value;
use toml::de::{DeTable, DeValue};
use toml_parser::lexer::{Token, TokenKind};

use self::tree::{Built, Twice};

use crate::diagnostics::{Code, Diagnostic, SourceId, Sources, Span};

/// The most bytes of one file.
const MAX_BYTES: usize = 16 << 20;
/// The most tokens of one file: what bounds the memory of the parser.
const MAX_TOKENS: usize = 4 << 20;
/// The deepest nesting of brackets and dotted keys.
const MAX_DEPTH: usize = 64;
/// The most syntax errors reported for one file.
const MAX_SYNTAX_ERRORS: usize = 50;
/// The most bytes of a file of which every syntax error is looked for, and not just the first.
const MAX_RECOVERY: usize = 1 << 20;
/// What is said where nothing better is known.
const NOT_TOML: &str = "this is not TOML";
/// The quotes of word processors and chats.
const CURLY: [char; 6] = ['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '\u{201a}'];

/// A value with its place.
#[derive(Clone, Debug)]
pub(super) struct Node<'t> {
    /// The value; of a table its header, or its key where it has none.
    pub(super) span: Span,
    /// The key; of an array element the element.
    pub(super) key_span: Span,
    /// The value itself.
    pub(super) kind: Kind<'t>,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum Kind<'t> {
    /// Borrowed from the text, unless it has escapes.
    String(Cow<'t, str>),
    Integer(i128),
    Float(f64),
    Boolean(bool),
    /// As TOML writes it.
    Datetime(Cow<'t, str>),
    Array(Vec<Node<'t>>),
    Table(Table<'t>),
}

/// Keys with values, sorted by key.
pub(super) type Table<'t> = Vec<(Cow<'t, str>, Node<'t>)>;

impl Kind<'_> {
    /// The type, with its article.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Datetime(_) => "a date",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

impl Node<'_> {
    /// The value as JSON; a date is its text. `None` when JSON cannot hold it.
    pub(super) fn to_json(&self) -> Option<Value> {
        match &self.kind {
            Kind::String(text) | Kind::Datetime(text) => Some(Value::from(&**text)),
            Kind::Boolean(value) => Some((*value).into()),
            Kind::Integer(number) => {
                i64::try_from(*number).map(Value::from).or_else(|_| u64::try_from(*number).map(Value::from)).ok()
            }
            Kind::Float(number) => serde_json::Number::from_f64(*number).map(Value::Number),
            Kind::Array(list) => list.iter().map(Self::to_json).collect::<Option<_>>().map(Value::Array),
            Kind::Table(table) => table
                .iter()
                .map(|(key, node)| Some((key.to_string(), node.to_json()?)))
                .collect::<Option<_>>()
                .map(Value::Object),
        }
    }
}

/// Reads one file. `None` when there is nothing to go on with; the problems say why.
pub(super) fn read<'t>(
    name: &str,
    bytes: &'t [u8],
    sources: &mut Sources,
    problems: &mut Vec<Diagnostic>,
) -> Option<Node<'t>> {
    let oversize = |what: &str| {
        Diagnostic::new(Code::TooLarge, format!("`{}` has more than {what}", super::name::quoted(name)))
            .help("split what the file holds over a base file and an overlay, or generate less of it")
    };
    if bytes.len() > MAX_BYTES {
        problems.push(oversize(&format!("{} MiB", MAX_BYTES >> 20)));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let readable = bytes.get(..error.valid_up_to()).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or("");
            let source = sources.add(name, readable);
            let end = offset(readable.len());
            let help = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
                "this is UTF-16, as some editors and shells of Windows write it: save the file as UTF-8"
            } else {
                "save the file as UTF-8"
            };
            let problem = Diagnostic::new(Code::NotUtf8, format!("byte {} is not UTF-8 text", error.valid_up_to() + 1))
                .at(Span { source, start: end, end }, "the text up to here can be read")
                .help(help);
            problems.push(problem);
            return None;
        }
    };
    let source = sources.add(name, text);
    let tokens = match lex(text) {
        Ok(tokens) => tokens,
        Err(Oversize::TooMany) => {
            problems.push(oversize(&format!("{MAX_TOKENS} tokens")));
            return None;
        }
        Err(Oversize::TooDeep(start, end)) => {
            let problem = Diagnostic::new(Code::TooLarge, format!("nested more than {MAX_DEPTH} levels deep"))
                .at(Span { source, start: offset(start), end: offset(end) }, "")
                .help("remove the inner levels: no key of the language is this deep");
            problems.push(problem);
            return None;
        }
    };
    let built = match tree::document(text, &tokens, source) {
        Ok(built) => built,
        Err(twice) => {
            problems.extend(syntax_errors(text, source, sources, &twice));
            return None;
        }
    };
    let here = Span { source, start: 0, end: 0 };
    Some(Node { span: here, key_span: here, kind: Kind::Table(small(built, problems)) })
}

/// Reads one value that stands in a source from byte `base` on; `key_span` is its key. A text that is
/// no TOML value is a string, unless it begins like a string, a list or a table.
pub(super) fn value<'t>(
    text: &'t str,
    base: usize,
    key_span: Span,
    problems: &mut Vec<Diagnostic>,
) -> Option<Node<'t>> {
    let source = key_span.source;
    let end = base.saturating_add(text.len());
    let whole = Span { source, start: offset(base), end: offset(end) };
    let Ok(tokens) = lex(text) else {
        let message = format!("the value is nested more than {MAX_DEPTH} levels deep, or too long");
        let help = "write it into an overlay: `policies.NAME.toml` and --profile NAME";
        problems.push(Diagnostic::new(Code::TooLarge, message).at(whole, "").help(help));
        return None;
    };
    if let Some(built) = tree::value(text, &tokens, source, base) {
        return Some(Node { span: whole, key_span, ..small(built, problems) });
    }
    if text.starts_with(['"', '\'', '[', '{']) {
        let help = "mend the value, or put it in quotes to mean the text itself";
        let error = DeValue::parse(text).err();
        let message = super::name::quoted_line(error.as_ref().map_or(NOT_TOML, |error| error.message()));
        problems.push(Diagnostic::new(Code::TomlSyntax, message).at(whole, "").help(help));
        return None;
    }
    Some(Node { span: whole, key_span, kind: Kind::String(text.into()) })
}

/// What was built, with a problem for each integer that does not fit.
fn small<T>(built: Built<T>, problems: &mut Vec<Diagnostic>) -> T {
    problems.extend(built.too_large.into_iter().map(|span| {
        Diagnostic::new(Code::InvalidValue, "the integer is too large")
            .at(span, "")
            .help("write an integer of at most 64 bits")
    }));
    built.value
}

/// What is wrong with a text that is no TOML: every error, or of a large text the first, for all of
/// them cost memory.
fn syntax_errors(text: &str, source: SourceId, sources: &Sources, twice: &[Twice]) -> Vec<Diagnostic> {
    let errors = if text.len() <= MAX_RECOVERY {
        DeTable::parse_recoverable(text).1
    } else {
        DeTable::parse(text).err().into_iter().collect()
    };
    if errors.is_empty() {
        // Not reachable: the two agree on what is TOML. Were it reached, the file is still refused.
        let start = Span { source, start: 0, end: 0 };
        return vec![
            Diagnostic::new(Code::TomlSyntax, NOT_TOML).at(start, "").help("https://toml.io shows the syntax"),
        ];
    }
    let mut lines = BTreeSet::new();
    let found = errors.iter().take(MAX_SYNTAX_ERRORS).map(|error| syntax(error, text, source, twice));
    // What follows on the same line is mostly the first error again, seen from further on.
    found.filter(|p| p.primary.as_ref().is_none_or(|l| lines.insert(sources.position(l.span).line))).collect()
}

fn syntax(error: &toml::de::Error, text: &str, source: SourceId, twice: &[Twice]) -> Diagnostic {
    let place = error.span().unwrap_or(text.len()..text.len());
    let message = super::name::quoted_line(error.message());
    let span = Span { source, start: offset(place.start), end: offset(place.end.max(place.start)) };
    let problem = Diagnostic::new(Code::TomlSyntax, message).at(span, "");
    if error.message().starts_with("duplicate key") {
        let first = twice.iter().find(|twice| twice.again == span).map(|twice| twice.first);
        let problem = first.into_iter().fold(problem, |problem, first| problem.also(first, "the first one"));
        problem.help("a table may stand only once, and a key only once in it: merge the two")
    } else if text.get(place.start..).is_some_and(|rest| rest.starts_with(CURLY)) {
        problem.help("write straight quotes, `\"` or `'`: these are typographic ones")
    } else {
        problem.help("mend the marked place, or the line before it; https://toml.io shows the syntax")
    }
}

enum Oversize {
    TooMany,
    TooDeep(usize, usize),
}

/// The tokens of a text, unless the parser, or whatever walks its tree, cannot afford them.
fn lex(text: &str) -> Result<Vec<Token>, Oversize> {
    // As many as a policy has: most tokens are short.
    let mut tokens = Vec::with_capacity(text.len().min(MAX_BYTES) / 4);
    // For each open bracket, the dots of the key that leads to it.
    let mut open = vec![0usize];
    let mut dots = 0usize;
    for token in toml_parser::Source::new(text).lex() {
        if tokens.len() > MAX_TOKENS {
            return Err(Oversize::TooMany);
        }
        match token.kind() {
            TokenKind::LeftSquareBracket | TokenKind::LeftCurlyBracket => open.push(0),
            TokenKind::RightSquareBracket | TokenKind::RightCurlyBracket if open.len() > 1 => {
                dots -= open.pop().unwrap_or(0);
            }
            TokenKind::Comma | TokenKind::Newline => {
                if let Some(here) = open.last_mut() {
                    dots -= std::mem::take(here);
                }
            }
            TokenKind::Dot => {
                if let Some(here) = open.last_mut() {
                    *here += 1;
                    dots += 1;
                }
            }
            _ => {}
        }
        if open.len() + dots > MAX_DEPTH {
            return Err(Oversize::TooDeep(token.span().start(), token.span().end()));
        }
        tokens.push(token);
    }
    Ok(tokens)
}

fn offset(byte: usize) -> u32 {
    u32::try_from(byte).unwrap_or(u32::MAX)
}
