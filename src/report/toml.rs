//! Statements as a policy file writes them.
//!
//! Whatever a recorded name holds, what is written reads back as that name and nothing else: every
//! text is a basic string in which quotes, controls and what hides itself are escapes.

use crate::policy::argument::{HostPattern, PathPrefix, Scalar};
use crate::policy::glob::{NameGlob, PathGlob};
use crate::policy::hides;
use crate::policy::matcher::{ArgRules, Matcher, Test};
use crate::policy::set::Selector;

/// A text as a basic string (TOML 1.0).
pub(super) fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            _ if c.is_control() || super::text::stand_in(c).is_some() || hides(c) => {
                let code = u32::from(c);
                out.push_str(&if code > 0xffff { format!("\\U{code:08X}") } else { format!("\\u{code:04X}") });
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}

/// A key, bare where it can be.
pub(super) fn key(text: &str) -> String {
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if bare { text.to_owned() } else { string(text) }
}

/// Strings as an array on one line.
pub(super) fn array<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| string(text.as_ref())).collect();
    format!("[{}]", texts.join(", "))
}

/// A selector as an inline table.
pub(super) fn selector(to: &Selector) -> String {
    let mut parts = Vec::new();
    match to.issuers.as_slice() {
        [] => {}
        [one] => parts.push(format!("issuer = {}", string(one))),
        several => parts.push(format!("issuer = {}", array(several))),
    }
    for (name, globs) in [("subjects", &to.subjects), ("agents", &to.agents), ("groups", &to.groups)] {
        if !globs.is_empty() {
            parts.push(format!("{name} = {}", array(globs.iter().map(NameGlob::as_str))));
        }
    }
    if !to.claims.is_empty() {
        let claims = to.claims.iter();
        let claims =
            claims.map(|(name, globs)| format!("{} = {}", key(name), array(globs.iter().map(NameGlob::as_str))));
        parts.push(format!("claims = {{ {} }}", claims.collect::<Vec<_>>().join(", ")));
    }
    if !to.servers.is_empty() {
        parts.push(format!("servers = {}", array(&to.servers)));
    }
    if parts.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", parts.join(", ")) }
}

fn scalar(scalar: &Scalar) -> String {
    match scalar {
        Scalar::String(text) => string(text),
        // Booleans and numbers are written alike in JSON and TOML.
        Scalar::Bool(_) | Scalar::Number(_) => scalar.to_string(),
    }
}

fn test(test: &Test) -> String {
    let list = |name: &str, texts: Vec<&str>| match texts.as_slice() {
        [one] => format!("{name} = {}", string(one)),
        several => format!("{name} = {}", array(several)),
    };
    match test {
        Test::Eq(value) => format!("eq = {}", scalar(value)),
        Test::OneOf(values) => format!("one_of = [{}]", values.iter().map(scalar).collect::<Vec<_>>().join(", ")),
        Test::Glob(globs) => list("glob", globs.iter().map(PathGlob::as_str).collect()),
        Test::Prefix(prefixes) => list("prefix", prefixes.iter().map(String::as_str).collect()),
        Test::Under(paths) => list("under", paths.iter().map(PathPrefix::as_str).collect()),
        Test::Host(hosts) => list("host", hosts.iter().map(HostPattern::as_str).collect()),
        Test::Each(inner) => format!("each = {}", matcher(inner)),
        Test::Any(inner) => format!("any = {}", matcher(inner)),
        // Numbers and booleans alone.
        Test::Present(_) | Test::Min(_) | Test::Max(_) | Test::MaxLen(_) | Test::MaxItems(_) => test.to_string(),
    }
}

/// A matcher as an inline table.
pub(super) fn matcher(matcher: &Matcher) -> String {
    let mut parts: Vec<String> = matcher.tests.iter().map(test).collect();
    if matcher.optional {
        parts.push("optional = true".to_owned());
    }
    format!("{{ {} }}", parts.join(", "))
}

/// Argument rules as an inline table.
pub(super) fn rules(rules: &ArgRules) -> String {
    let parts = rules.iter().map(|(path, m)| format!("{} = {}", key(path.as_str()), matcher(m)));
    format!("{{ {} }}", parts.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_back_as_itself() {
        for text in [
            "plain",
            "",
            "a\"b",
            "a\\b",
            "\n\t\r\u{0}\u{7f}\u{9b}",
            "\u{202e}x\u{feff}",
            "*?",
            "日本 🦀",
            "'''",
            "\u{e0041}",
            "]\n[[grants]]\n",
            "# no comment",
            "\u{85}\u{2028}",
        ] {
            let written = format!("{} = {}", key(text), string(text));
            let table = toml::de::DeTable::parse(&written).unwrap();
            let (name, value) = table.get_ref().iter().next().unwrap();
            assert_eq!((name.get_ref().as_ref(), value.get_ref().as_str()), (text, Some(text)), "{written}");
            assert!(!written.contains(['\n', '\u{202e}', '\u{7f}', '\u{2028}']), "{written}");
        }
    }
}
