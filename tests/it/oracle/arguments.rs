//! Argument matchers, globs and item patterns as the language describes them, written anew.
//!
//! Of the engine it takes only what a statement says: the texts, numbers and names of its tests. How a value
//! answers them is worked out here, in the plainest way that comes to mind and never in the fast one.

use std::cmp::Ordering;

use doorward::policy::argument::ArgPath;
use doorward::policy::matcher::{ArgRules, Matcher, Test};
use doorward::policy::set::{ItemPattern, Statement};
use serde_json::{Map, Value};

/// How a value answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Yes,
    No,
    /// It cannot be judged: it is missing, of another type, or may be read in two ways.
    Unfit,
}

fn yes(holds: bool) -> Answer {
    if holds { Answer::Yes } else { Answer::No }
}

/// A grant or a declaration asks: every place must be as asked, or left out where that is fine.
pub(crate) fn permitted(rules: &ArgRules, arguments: Option<&Map<String, Value>>) -> bool {
    rules.iter().all(|(path, matcher)| match found(path, arguments) {
        Found::Value(value) => all(&matcher.tests, value) == Answer::Yes,
        Found::Nothing => matcher.tests.contains(&Test::Present(false)) || excused(matcher),
        Found::OutOfReach => false,
    })
}

/// A deny asks: it holds unless some place is there, can be judged and is not as asked.
pub(crate) fn forbidden(rules: &ArgRules, arguments: Option<&Map<String, Value>>) -> bool {
    rules.iter().all(|(path, matcher)| match found(path, arguments) {
        Found::Value(value) => all(&matcher.tests, value) != Answer::No,
        Found::Nothing => !matcher.tests.contains(&Test::Present(true)),
        Found::OutOfReach => true,
    })
}

fn excused(matcher: &Matcher) -> bool {
    matcher.optional && !matcher.tests.contains(&Test::Present(true))
}

enum Found<'v> {
    Value(&'v Value),
    Nothing,
    OutOfReach,
}

/// Follows a JSON Pointer.
fn found<'v>(path: &ArgPath, arguments: Option<&'v Map<String, Value>>) -> Found<'v> {
    let mut steps = path.pointer().split('/').skip(1).map(|step| step.replace("~1", "/").replace("~0", "~"));
    let first = steps.next().unwrap();
    let Some(mut here) = arguments.and_then(|arguments| arguments.get(&first)) else { return Found::Nothing };
    for step in steps {
        let below = match here {
            Value::Object(fields) => fields.get(&step),
            Value::Array(elements) => match step.parse::<usize>() {
                Ok(number) if number.to_string() == step => elements.get(number),
                _ => return Found::OutOfReach,
            },
            _ => return Found::OutOfReach,
        };
        match below {
            Some(value) => here = value,
            None => return Found::Nothing,
        }
    }
    Found::Value(here)
}

/// One that is not as asked settles it; else one that cannot be judged does.
fn all(tests: &[Test], value: &Value) -> Answer {
    let answers: Vec<Answer> = tests.iter().map(|test| on(test, value)).collect();
    first_of(&answers, [Answer::No, Answer::Unfit], Answer::Yes)
}

fn first_of(answers: &[Answer], order: [Answer; 2], otherwise: Answer) -> Answer {
    order.into_iter().find(|wanted| answers.contains(wanted)).unwrap_or(otherwise)
}

fn on(test: &Test, value: &Value) -> Answer {
    let text = |judge: &dyn Fn(&str) -> Option<bool>| match value {
        Value::String(text) => judge(text).map_or(Answer::Unfit, yes),
        _ => Answer::Unfit,
    };
    let elements = |matcher: &Matcher| match value {
        Value::Array(list) => Some(list.iter().map(|one| all(&matcher.tests, one)).collect::<Vec<_>>()),
        _ => None,
    };
    match test {
        Test::Present(wanted) => yes(*wanted),
        Test::Eq(scalar) => same(&scalar.to_json(), value),
        Test::OneOf(scalars) => {
            let answers: Vec<Answer> = scalars.iter().map(|scalar| same(&scalar.to_json(), value)).collect();
            first_of(&answers, [Answer::Yes, Answer::Unfit], Answer::No)
        }
        Test::Min(bound) => order(value, &bound.to_json()).map_or(Answer::Unfit, |order| yes(order != Ordering::Less)),
        Test::Max(bound) => {
            order(value, &bound.to_json()).map_or(Answer::Unfit, |order| yes(order != Ordering::Greater))
        }
        Test::Glob(globs) => text(&|text| Some(globs.iter().any(|glob| matches(glob.as_str(), text, false)))),
        Test::Prefix(prefixes) => {
            text(&|text| Some(prefixes.iter().any(|prefix| text.get(..prefix.len()) == Some(prefix.as_str()))))
        }
        Test::Under(bases) => text(&|text| {
            let segments = segments(text)?;
            let bases = bases.iter().map(|base| self::segments(base.as_str()).unwrap());
            Some(bases.into_iter().any(|base| segments.len() >= base.len() && segments[..base.len()] == base[..]))
        }),
        Test::Host(patterns) => text(&|text| {
            let host = host(text)?.to_lowercase();
            Some(patterns.iter().any(|pattern| match pattern.as_str().strip_prefix('*') {
                Some(below) => host.ends_with(below) && host.len() > below.len(),
                None => host == pattern.as_str(),
            }))
        }),
        Test::MaxLen(most) => text(&|text| Some(text.chars().count() <= *most as usize)),
        Test::MaxItems(most) => value.as_array().map_or(Answer::Unfit, |list| yes(list.len() <= *most as usize)),
        Test::Each(matcher) => elements(matcher)
            .map_or(Answer::Unfit, |answers| first_of(&answers, [Answer::No, Answer::Unfit], Answer::Yes)),
        Test::Any(matcher) => elements(matcher)
            .map_or(Answer::Unfit, |answers| first_of(&answers, [Answer::Yes, Answer::Unfit], Answer::No)),
    }
}

fn same(wanted: &Value, value: &Value) -> Answer {
    match (wanted, value) {
        (Value::Bool(a), Value::Bool(b)) => yes(a == b),
        (Value::String(a), Value::String(b)) => yes(a == b),
        (Value::Number(_), Value::Number(_)) => yes(order(wanted, value) == Some(Ordering::Equal)),
        _ => Answer::Unfit,
    }
}

/// The order of two numbers; none where one is none.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |value: &Value| value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
    if let (Some(a), Some(b)) = (whole(a), whole(b)) {
        return Some(a.cmp(&b));
    }
    let (a, b) = (a.as_f64()?, b.as_f64()?);
    // One of them is a fraction, and a fraction is far smaller than what a float cannot tell apart.
    a.partial_cmp(&b)
}

/// Whether a glob matches the whole of a text. In names a `*` crosses `/`.
pub(crate) fn matches(pattern: &str, text: &str, of_names: bool) -> bool {
    fn from(pattern: &[char], text: &[char], of_names: bool) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => {
                let stars = 1 + rest.iter().take_while(|c| **c == '*').count();
                let run = text.iter().take_while(|c| of_names || stars > 1 || **c != '/').count();
                (0..=run).any(|taken| from(&pattern[stars..], &text[taken..], of_names))
            }
            ['?', rest @ ..] => {
                matches!(text, [c, after @ ..] if (of_names || *c != '/') && from(rest, after, of_names))
            }
            ['\\', wanted, rest @ ..] | [wanted, rest @ ..] => {
                matches!(text, [c, after @ ..] if c == wanted && from(rest, after, of_names))
            }
        }
    }
    from(&pattern.chars().collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>(), of_names)
}

/// How many characters of a glob stand before its first wildcard.
pub(crate) fn literal_characters(pattern: &str) -> usize {
    let before: String = pattern.replace("\\*", "x").replace("\\?", "x").replace("\\\\", "x");
    before.chars().take_while(|c| !matches!(c, '*' | '?')).count()
}

/// Whether a statement is about an item of a server.
pub(crate) fn covers(statement: &Statement, server: &str, item: &str) -> bool {
    statement.items.iter().any(|pattern| names(pattern, server, item))
}

/// The argument rules that a statement lays on an item.
pub(crate) fn rules_of<'s>(statement: &'s Statement, server: &str, item: &str) -> Vec<&'s ArgRules> {
    let laid = statement.args.iter().filter(|(pattern, _)| names(pattern, server, item));
    laid.map(|(_, rules)| rules).collect()
}

/// Whether a pattern, by what it says, names an item of a server.
pub(crate) fn names(pattern: &ItemPattern, server: &str, item: &str) -> bool {
    let said = pattern.to_string();
    let (servers, items) = said.split_once(':').unwrap();
    matches(servers, server, true) && matches(items, item, true)
}

/// The segments of an absolute path; none where a reader could be led elsewhere.
fn segments(path: &str) -> Option<Vec<&str>> {
    let encoded = path.char_indices().any(|(at, c)| {
        let digits = path.get(at + 1..at + 3).unwrap_or("");
        c == '%' && !digits.is_empty() && digits.chars().all(|c| c.is_ascii_hexdigit())
    });
    let parts: Vec<&str> = path.split('/').collect();
    if !path.starts_with('/') || encoded || path.contains('\\') || path.contains('\0') || parts.contains(&"..") {
        return None;
    }
    Some(parts.into_iter().filter(|part| !matches!(*part, "" | ".")).collect())
}

/// The host of a URL; none where readers could find different ones.
fn host(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    if !scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        || scheme.contains(|c: char| !c.is_ascii_alphanumeric() && !"+.-".contains(c))
    {
        return None;
    }
    let authority = rest.find(['/', '?', '#']).map_or(rest, |end| &rest[..end]);
    let (host, port) = authority.find(':').map_or((authority, ""), |at| (&authority[..at], &authority[at + 1..]));
    let labels: Vec<&str> = host.split('.').collect();
    let word = |label: &&str| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let last = labels.last()?.to_lowercase();
    let hexadecimal = last.strip_prefix("0x").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit()));
    let address = last.chars().all(|c| c.is_ascii_digit()) || hexadecimal;
    let byte = |label: &&str| label.parse::<u8>().is_ok_and(|byte| byte.to_string() == **label);
    let fits =
        host.len() <= 253 && labels.iter().all(word) && (!address || labels.len() == 4 && labels.iter().all(byte));
    (fits && port.len() <= 5 && port.chars().all(|c| c.is_ascii_digit())).then_some(host)
}
