//! Argument matchers, and the tables that lay them on places and items.

use std::borrow::Cow;

use super::fields::{Fields, Reader};
use super::statements::pattern;
use crate::diagnostics::{Code, Diagnostic, Span};
use crate::policy::argument::{ArgPath, HostPattern, PathPrefix, Scalar, sorted};
use crate::policy::glob::PathGlob;
use crate::policy::matcher::{ArgRules, Matcher, Test};
use crate::policy::name::quoted;
use crate::policy::number::Number;
use crate::policy::set::ItemPattern;
use crate::policy::source::{Kind, Node};

const KEYS: [&str; 14] = [
    "eq",
    "one_of",
    "min",
    "max",
    "glob",
    "prefix",
    "under",
    "host",
    "max_len",
    "max_items",
    "each",
    "any",
    "present",
    "optional",
];
/// How deep `each` and `any` may stand in each other.
const MAX_DEPTH: u32 = 8;

/// Rules with the places of their keys.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) rules: ArgRules,
    pub(super) places: Vec<(ArgPath, Span)>,
}

/// `{ PATH = MATCHER }`
pub(super) fn rules(reader: &mut Reader<'_>, node: &Node<'_>, key: &str) -> Rules {
    let Some(fields) = reader.open_table(node, key) else { return Rules::default() };
    let mut places = Vec::with_capacity(fields.len());
    let mut read = Vec::with_capacity(fields.len());
    for (text, value) in fields.keys() {
        let path = match reader.shared.path(text) {
            Ok(path) => path,
            Err(error) => {
                let message = format!("`{}` is not a place in arguments", quoted(text));
                reader.invalid(Code::InvalidPattern, value.key_span, message, error.to_string());
                continue;
            }
        };
        let Some(matcher) = matcher(reader, value, text, 0) else { continue };
        places.push((path.clone(), value.key_span));
        read.push((path, matcher, text, value.key_span));
    }
    // Stable: of two ways to write one place the later key is the one too many.
    read.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    for (_, (_, _, text, span)) in read.iter().zip(read.iter().skip(1)).filter(|(a, b)| a.0 == b.0) {
        let message = format!("`{}` means a place that has a matcher already", quoted(text));
        reader.invalid(Code::DuplicateName, *span, message, "put all tests of one place into one matcher");
    }
    let rules = read.into_iter().map(|(path, matcher, ..)| (path, matcher)).collect();
    Rules { rules: ArgRules::in_order(rules), places }
}

/// The rules of each pattern, the place of each matcher, the place of each pattern.
type ItemRules = (Vec<(ItemPattern, ArgRules)>, Vec<(ItemPattern, ArgPath, Span)>, Vec<(ItemPattern, Span)>);

/// `{ "ITEM PATTERN" = { PATH = MATCHER } }`
pub(super) fn item_rules(reader: &mut Reader<'_>, fields: Fields<'_>) -> ItemRules {
    let Some(table) = reader.named(fields, "args") else { return ItemRules::default() };
    let room = table.len();
    let (mut all, mut places, mut keys) =
        (Vec::with_capacity(room), Vec::with_capacity(room), Vec::with_capacity(room));
    for (text, node) in table.keys() {
        let Some(pattern) = pattern(reader, text, node.key_span) else { continue };
        let found = rules(reader, node, text);
        places.extend(found.places.into_iter().map(|(path, span)| (pattern.clone(), path, span)));
        keys.push((pattern.clone(), node.key_span));
        if !found.rules.is_empty() {
            all.push((pattern, found.rules));
        }
    }
    (sorted(all), places, keys)
}

/// A missing argument meets a deny: what would excuse it there is refused, however deep it stands.
pub(super) fn nothing_excused(reader: &mut Reader<'_>, deny: Fields<'_>) {
    for (_, rules) in deny.get("args").into_iter().flat_map(entries) {
        for (_, matcher) in entries(rules) {
            refuse_excuses(reader, matcher);
        }
    }
}

fn refuse_excuses(reader: &mut Reader<'_>, matcher: &Node<'_>) {
    for (key, value) in entries(matcher) {
        match (&**key, &value.kind) {
            ("optional", Kind::Boolean(true)) => reader.invalid(
                Code::OptionalInDeny,
                value.key_span,
                "`optional` would let a call escape this deny by leaving the argument out",
                "remove it; to stop only calls that have the argument, say so with `present = true`",
            ),
            ("each" | "any", _) => refuse_excuses(reader, value),
            _ => {}
        }
    }
}

/// The entries of a table, and none of anything else.
fn entries<'n, 't>(node: &'n Node<'t>) -> &'n [(Cow<'t, str>, Node<'t>)] {
    if let Kind::Table(table) = &node.kind { table } else { &[] }
}

fn matcher(reader: &mut Reader<'_>, node: &Node<'_>, path: &str, depth: u32) -> Option<Matcher> {
    let Kind::Table(table) = &node.kind else {
        let help = match &node.kind {
            Kind::Array(_) => "write `{ one_of = [..] }`",
            Kind::String(_) | Kind::Integer(_) | Kind::Float(_) | Kind::Boolean(_) => {
                "write `{ eq = .. }` for one value"
            }
            _ => "write a table such as `{ max = 50 }`",
        };
        let message = format!("`{}` needs a matcher, not {}", quoted(path), node.kind.type_name());
        reader.invalid(Code::InvalidMatcher, node.span, message, help);
        return None;
    };
    let fields = Fields::of(node, table);
    if depth > MAX_DEPTH {
        let message = format!("`each` and `any` stand in each other more than {MAX_DEPTH} levels deep");
        reader.invalid(Code::InvalidMatcher, node.span, message, "flatten the matcher");
        return None;
    }
    unknown_tests(reader, fields, path);
    let mut tests = Vec::with_capacity(fields.len());
    for (key, value) in fields.keys() {
        tests.extend(test(reader, key, value, path, depth));
    }
    let optional = reader.boolean(fields, "optional").is_some_and(|at| at.value);
    if fields.keys().all(|(key, _)| key == "optional") {
        let message = format!("the matcher of `{}` tests nothing", quoted(path));
        reader.invalid(Code::InvalidMatcher, node.span, message, "add a test, such as `present = true`");
    }
    consistent(reader, fields, &tests);
    Some(Matcher { optional, tests: sorted(tests) })
}

/// A key that is not a test may be the next step of a path written without quotes.
fn unknown_tests(reader: &mut Reader<'_>, fields: Fields<'_>, path: &str) {
    for (key, node) in fields.keys().filter(|(key, _)| !KEYS.contains(key)) {
        let help = match (reader.suggest(key, KEYS), &node.kind) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Kind::Table(_)) => format!("put a path in quotes: `\"{}.{}\" = ..`", quoted(path), quoted(key)),
            (None, _) => format!("it takes {}", super::fields::listed(&KEYS)),
        };
        reader.invalid(Code::UnknownKey, node.key_span, format!("a matcher has no test `{}`", quoted(key)), help);
    }
}

fn test(reader: &mut Reader<'_>, key: &str, node: &Node<'_>, path: &str, depth: u32) -> Option<Test> {
    match key {
        "eq" => scalar(reader, node, key).map(Test::Eq),
        "one_of" => {
            let Kind::Array(list) = &node.kind else {
                reader.wrong_type(node, key, "a list");
                return None;
            };
            not_empty(reader, node, key, list.is_empty());
            Some(Test::OneOf(sorted(list.iter().filter_map(|item| scalar(reader, item, key)).collect())))
        }
        "min" => number(reader, node, key).map(Test::Min),
        "max" => number(reader, node, key).map(Test::Max),
        "glob" => Some(Test::Glob(texts(reader, node, key, Code::InvalidPattern, |text| {
            PathGlob::new(text).map_err(|e| e.to_string())
        }))),
        "prefix" => Some(Test::Prefix(texts(reader, node, key, Code::InvalidMatcher, |text| match text {
            "" => Err("every text begins with the empty one: write `present = true` instead".to_owned()),
            text => Ok(text.to_owned()),
        }))),
        "under" => Some(Test::Under(texts(reader, node, key, Code::InvalidMatcher, |text| {
            PathPrefix::new(text)
                .ok_or_else(|| "write an absolute path without `..`, `\\` and `%` encodings".to_owned())
        }))),
        "host" => Some(Test::Host(texts(reader, node, key, Code::InvalidMatcher, |text| {
            HostPattern::new(text).ok_or_else(|| "write `example.com`, or `*.example.com` for all below it".to_owned())
        }))),
        "max_len" => count(reader, node, key).map(Test::MaxLen),
        "max_items" => count(reader, node, key).map(Test::MaxItems),
        "each" => matcher(reader, node, path, depth + 1).map(Test::Each),
        "any" => matcher(reader, node, path, depth + 1).map(Test::Any),
        "present" => match node.kind {
            Kind::Boolean(wanted) => Some(Test::Present(wanted)),
            _ => {
                reader.wrong_type(node, key, "a boolean");
                None
            }
        },
        _ => None,
    }
}

/// Limits that meet, and tests that can stand together.
fn consistent(reader: &mut Reader<'_>, fields: Fields<'_>, tests: &[Test]) {
    let min = tests.iter().find_map(|t| if let Test::Min(n) = t { Some(*n) } else { None });
    let max = tests.iter().find_map(|t| if let Test::Max(n) = t { Some(*n) } else { None });
    if let (Some(low), Some(high), Some(at), Some(also)) = (min, max, fields.get("min"), fields.get("max"))
        && low > high
    {
        let problem = Diagnostic::new(Code::EmptyRange, format!("no number is at least {low} and at most {high}"))
            .at(at.span, "")
            .also(also.span, "the other limit")
            .help("swap the limits, or correct one");
        reader.report(problem);
    }
    let Some(present) = fields.get("present") else { return };
    let absent = tests.contains(&Test::Present(false));
    for (key, node) in fields.keys().filter(|(key, _)| *key != "present") {
        if key == "optional" || absent {
            let value = if absent { "false" } else { "true" };
            let problem =
                Diagnostic::new(Code::InvalidMatcher, format!("`{}` contradicts `present = {value}`", quoted(key)))
                    .at(node.key_span, "")
                    .also(present.span, "already said here")
                    .help("keep one of the two");
            reader.report(problem);
        }
    }
}

fn scalar(reader: &mut Reader<'_>, node: &Node<'_>, key: &str) -> Option<Scalar> {
    match &node.kind {
        Kind::String(text) => Some(Scalar::String(text.to_string())),
        Kind::Boolean(value) => Some(Scalar::Bool(*value)),
        Kind::Integer(_) | Kind::Float(_) => number(reader, node, key).map(Scalar::Number),
        _ => {
            reader.wrong_type(node, key, "strings, numbers and booleans");
            None
        }
    }
}

fn number(reader: &mut Reader<'_>, node: &Node<'_>, key: &str) -> Option<Number> {
    let number = match node.kind {
        Kind::Integer(_) | Kind::Float(_) => node.to_json().as_ref().and_then(Number::of),
        _ => {
            reader.wrong_type(node, key, "a number");
            return None;
        }
    };
    if number.is_none() {
        reader.invalid(
            Code::InvalidValue,
            node.span,
            format!("`{key}` takes a finite number of at most 64 bits"),
            "write a smaller number: arguments can hold no other",
        );
    }
    number
}

fn count(reader: &mut Reader<'_>, node: &Node<'_>, key: &str) -> Option<u32> {
    let Kind::Integer(number) = node.kind else {
        reader.wrong_type(node, key, "an integer");
        return None;
    };
    let count = u32::try_from(number).ok();
    if count.is_none() {
        reader.invalid(
            Code::InvalidValue,
            node.span,
            format!("`{key}` cannot be {number}"),
            "write 0 or a larger whole number",
        );
    }
    count
}

fn texts<T: Ord>(
    reader: &mut Reader<'_>,
    node: &Node<'_>,
    key: &str,
    code: Code,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<T> {
    let list = reader.string_list(node, key);
    not_empty(reader, node, key, matches!(&node.kind, Kind::Array(items) if items.is_empty()));
    let mut found = Vec::with_capacity(list.len());
    for at in list {
        match parse(at.value) {
            Ok(value) => found.push(value),
            Err(help) => reader.invalid(code, at.span, format!("`{key}` cannot be `{}`", quoted(at.value)), help),
        }
    }
    sorted(found)
}

fn not_empty(reader: &mut Reader<'_>, node: &Node<'_>, key: &str, empty: bool) {
    if empty {
        reader.invalid(Code::InvalidMatcher, node.span, format!("no value fits an empty `{key}`"), "name at least one");
    }
}
