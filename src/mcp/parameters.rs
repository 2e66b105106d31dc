//! The headers `Mcp-Param-*`, held against the arguments (MCP 2026-07-28, SEP-2243).
//!
//! A tool says in its `inputSchema` by `x-mcp-header` which of its arguments are repeated in a header. As with the
//! other routing headers the body decides, and a header that says otherwise ends the request.

use std::fmt;

use serde_json::{Map, Value};

use super::routing::{Mismatch, single};

/// What the name of such a header begins with.
pub const PARAMETER: &str = "mcp-param-";
/// In a schema, the name of the header that repeats a value.
const DECLARED: &str = "x-mcp-header";
/// The most headers of one tool, and how deep their arguments lie.
const MOST: usize = 64;

/// The arguments of a tool that headers repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<Parameter>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parameter {
    /// In lower case, with what it begins with.
    header: String,
    path: Vec<String>,
}

/// A header that does not agree with the arguments. The answer is 400 with JSON-RPC code -32020.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagrees {
    header: String,
    what: &'static str,
}

impl fmt::Display for Disagrees {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the header `{}` {}", self.header, self.what)
    }
}

impl std::error::Error for Disagrees {}

impl Parameters {
    /// What a schema declares. Nothing, where it declares what cannot be: a header twice, or one that is no name.
    pub fn of(schema: &Value) -> Self {
        let mut all = Vec::new();
        let good = declared(schema, &mut Vec::new(), &mut all);
        let mut names: Vec<&str> = all.iter().map(|parameter| parameter.header.as_str()).collect();
        names.sort_unstable();
        let twice = names.windows(2).any(|two| two.first() == two.last());
        if good && !twice { Self(all) } else { Self::default() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the headers say what the arguments say. `values` gives every value of a header.
    ///
    /// # Errors
    ///
    /// The first header that does not.
    pub fn agree<'h>(
        &self,
        arguments: Option<&Map<String, Value>>,
        values: impl Fn(&str) -> Vec<&'h [u8]>,
    ) -> Result<(), Disagrees> {
        for Parameter { header, path } in &self.0 {
            let disagrees = |what| Disagrees { header: header.clone(), what };
            let sent = single("", &values(header)).map_err(|Mismatch { what, .. }| disagrees(what))?;
            let said = at(arguments, path);
            match (sent, said) {
                (None, None) => {}
                (None, Some(_)) => return Err(disagrees("is missing")),
                (Some(_), None) => return Err(disagrees("repeats an argument that is not there")),
                (Some(sent), Some(said)) if is(&sent, said) => {}
                (Some(_), Some(_)) => return Err(disagrees("does not agree with the body")),
            }
        }
        Ok(())
    }
}

/// Collects what is declared along chains of `properties`. Whether all of it can be.
fn declared(schema: &Value, path: &mut Vec<String>, all: &mut Vec<Parameter>) -> bool {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return true };
    if path.len() >= MOST {
        return false;
    }
    for (name, property) in properties {
        path.push(name.clone());
        if let Some(header) = property.get(DECLARED) {
            let header = header.as_str().filter(|header| is_token(header));
            let (Some(header), true) = (header, all.len() < MOST) else { return false };
            all.push(Parameter { header: format!("{PARAMETER}{}", header.to_ascii_lowercase()), path: path.clone() });
        }
        if !declared(property, path, all) {
            return false;
        }
        path.pop();
    }
    true
}

/// Whether text can be part of the name of a header (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    let is = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is)
}

/// The argument at a path; nothing for `null`.
fn at<'a>(arguments: Option<&'a Map<String, Value>>, path: &[String]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let first = arguments?.get(first)?;
    rest.iter().try_fold(first, |value, name| value.get(name)).filter(|value| !value.is_null())
}

/// Whether a header repeats a value. Only texts, integers and truth values have a header.
fn is(sent: &str, said: &Value) -> bool {
    match said {
        Value::String(text) => text == sent,
        Value::Bool(truth) => sent == if *truth { "true" } else { "false" },
        Value::Number(number) if !number.is_f64() => number.to_string() == sent,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn agree(schema: &Value, arguments: &Value, headers: &[(&str, &str)]) -> Result<(), String> {
        let values = |name: &str| headers.iter().filter(|(n, _)| *n == name).map(|(_, v)| v.as_bytes()).collect();
        Parameters::of(schema).agree(arguments.as_object(), values).map_err(|e| e.to_string())
    }

    #[test]
    fn headers_say_what_the_arguments_say() {
        let schema = json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "count": { "type": "integer", "x-mcp-header": "Count" },
            "where": { "type": "object", "properties": { "dry": { "type": "boolean", "x-mcp-header": "Dry" } } },
        } });
        let arguments = json!({ "region": "eu north", "count": 3, "where": { "dry": true } });
        let good = [("mcp-param-region", "eu north"), ("mcp-param-count", "3"), ("mcp-param-dry", "true")];
        assert_eq!(agree(&schema, &arguments, &good), Ok(()));
        let encoded = [("mcp-param-region", "=?base64?w6k=?="), ("mcp-param-vendor", "x")];
        assert_eq!(agree(&schema, &json!({ "region": "é", "count": null }), &encoded), Ok(()));
        assert_eq!(agree(&schema, &json!({}), &[]), Ok(()));
        let said: Vec<String> = [
            agree(&schema, &arguments, &[("mcp-param-region", "us"), good[1], good[2]]),
            agree(&schema, &arguments, &good[..2]),
            agree(&schema, &json!({}), &good[..1]),
            agree(&schema, &arguments, &[good[0], good[0], good[1], good[2]]),
            agree(&schema, &arguments, &[good[0], ("mcp-param-count", "3.0"), good[2]]),
            agree(&schema, &json!({ "region": "é" }), &[("mcp-param-region", "=?base64?!?=")]),
            agree(&schema, &json!({ "count": 3.5 }), &[("mcp-param-count", "3.5")]),
        ]
        .into_iter()
        .map(Result::unwrap_err)
        .collect();
        insta::assert_snapshot!(said.join("\n"), @"
        the header `mcp-param-region` does not agree with the body
        the header `mcp-param-dry` is missing
        the header `mcp-param-region` repeats an argument that is not there
        the header `mcp-param-region` stands more than once
        the header `mcp-param-count` does not agree with the body
        the header `mcp-param-region` cannot be read
        the header `mcp-param-count` does not agree with the body
        ");
    }

    #[test]
    fn what_cannot_be_declared_declares_nothing() {
        for properties in [
            json!({ "a": { "x-mcp-header": "A" }, "b": { "x-mcp-header": "a" } }),
            json!({ "a": { "x-mcp-header": "A B" } }),
            json!({ "a": { "x-mcp-header": "" } }),
            json!({ "a": { "x-mcp-header": 1 } }),
        ] {
            assert!(Parameters::of(&json!({ "properties": properties })).is_empty());
        }
        assert!(Parameters::of(&json!({ "items": { "properties": { "a": { "x-mcp-header": "A" } } } })).is_empty());
    }
}
