//! What a JSON Schema says about the arguments at one place: whether there is such a place, and of
//! which types its value can be.
//!
//! Only what can be said for certain is said. A reference to elsewhere, a pattern of names or a free
//! object leaves it open. Nothing is ever fetched.

use std::collections::BTreeSet;

use serde_json::Value;

/// The most schemas looked at for one place.
const MOST: usize = 256;
/// The deepest chain of references and combinations.
const DEPTH: usize = 16;

/// What is known of a place.
#[derive(Debug, PartialEq)]
pub(super) enum Place<'s> {
    /// Its value fits one of these.
    Fits(Vec<&'s Value>),
    /// There is no such place; these are the names beside it.
    Missing(Vec<&'s str>),
    /// It cannot be told.
    Open,
}

/// Looks along the segments of an argument path.
pub(super) fn find<'s, 'p>(root: &'s Value, segments: impl Iterator<Item = &'p str>) -> Place<'s> {
    let mut here = vec![root];
    for segment in segments {
        match step(root, &here, segment) {
            Place::Fits(next) => here = next,
            other => return other,
        }
    }
    Place::Fits(here)
}

fn step<'s>(root: &'s Value, here: &[&'s Value], name: &str) -> Place<'s> {
    let Some(all) = expand(root, here) else { return Place::Open };
    let (mut next, mut beside, mut open) = (Vec::new(), Vec::new(), false);
    for schema in all {
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            // Of another type, it has no properties; without a word about them it may have any.
            let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
            open |= !closed && !is_frame(schema) && types_of(schema).is_none_or(|types| holds_more(&types));
            continue;
        };
        match properties.get(name) {
            Some(found) => next.push(found),
            None if schema.get("patternProperties").is_some() => open = true,
            None if !matches!(schema.get("additionalProperties"), None | Some(Value::Bool(false))) => open = true,
            None => beside.extend(properties.keys().map(String::as_str)),
        }
    }
    if !next.is_empty() {
        Place::Fits(next)
    } else if open {
        Place::Open
    } else {
        Place::Missing(beside)
    }
}

fn holds_more(types: &BTreeSet<&str>) -> bool {
    types.contains("object") || types.contains("array")
}

/// The schemas of the elements of an array.
pub(super) fn elements<'s>(root: &'s Value, here: &[&'s Value]) -> Option<Vec<&'s Value>> {
    let all = expand(root, here)?;
    let items: Vec<_> = all.iter().filter_map(|schema| schema.get("items")).collect();
    let plain = items.iter().all(|items| items.is_object()) && all.iter().all(|s| s.get("prefixItems").is_none());
    (plain && !items.is_empty()).then_some(items)
}

/// The types that a value can have; nothing where it cannot be told.
pub(super) fn types<'s>(root: &'s Value, here: &[&'s Value]) -> Option<BTreeSet<&'s str>> {
    let all = expand(root, here)?;
    let mut found = BTreeSet::new();
    for schema in all.iter().filter(|schema| !is_frame(schema)) {
        found.extend(types_of(schema)?);
    }
    (!found.is_empty()).then_some(found)
}

fn types_of(schema: &Value) -> Option<BTreeSet<&str>> {
    match schema.get("type") {
        Some(Value::String(one)) => return Some([one.as_str()].into()),
        Some(Value::Array(many)) => return many.iter().map(Value::as_str).collect(),
        _ => {}
    }
    let named = |value: &Value| match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some([named(value)].into()),
        (None, Some(Value::Array(values))) => Some(values.iter().map(named).collect()),
        _ => None,
    }
}

/// Whether a schema only holds others together.
fn is_frame(schema: &Value) -> bool {
    let holds = ["$ref", "allOf", "anyOf", "oneOf"].iter().any(|key| schema.get(key).is_some());
    holds && ["type", "const", "enum", "properties"].iter().all(|key| schema.get(key).is_none())
}

/// The schemas with all that they refer to and combine; nothing where that leads elsewhere.
fn expand<'s>(root: &'s Value, here: &[&'s Value]) -> Option<Vec<&'s Value>> {
    let mut all: Vec<&Value> = Vec::new();
    let mut open: Vec<(&Value, usize)> = here.iter().map(|schema| (*schema, 0)).collect();
    while let Some((schema, depth)) = open.pop() {
        // A schema is a boolean too: `true` says nothing.
        if !schema.is_object() || depth > DEPTH || all.len() >= MOST {
            return None;
        }
        all.push(schema);
        if let Some(reference) = schema.get("$ref") {
            let pointer = reference.as_str()?.strip_prefix('#')?;
            open.push((root.pointer(pointer)?, depth + 1));
        }
        for key in ["allOf", "anyOf", "oneOf"] {
            let members = schema.get(key).and_then(Value::as_array);
            open.extend(members.into_iter().flatten().map(|member| (member, depth + 1)));
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(schema: &Value, path: &str) -> String {
        match find(schema, path.split('.')) {
            Place::Open => "open".to_owned(),
            Place::Missing(beside) => format!("missing beside {beside:?}"),
            Place::Fits(here) => format!("{:?}", types(schema, &here)),
        }
    }

    #[test]
    fn what_is_certain_is_said_and_the_rest_is_open() {
        let schema = json!({
            "type": "object",
            "properties": {
                "amount": { "type": ["number", "null"] },
                "currency": { "enum": ["EUR", "USD"] },
                "limit": { "anyOf": [{ "type": "integer" }, { "type": "null" }], "default": null },
                "customer": { "$ref": "#/$defs/customer" },
                "free": { "type": "object" },
                "any": true,
                "far": { "$ref": "https://example.com/far.json" },
                "loop": { "$ref": "#/properties/loop" },
                "text": { "type": "string" },
            },
            "$defs": { "customer": { "type": "object", "properties": { "id": { "type": "string" } } } },
        });
        let said: Vec<String> = [
            "amount",
            "currency",
            "limit",
            "customer.id",
            "customer.name",
            "free.x",
            "any.x",
            "far.x",
            "loop.x",
            "text.x",
            "nothing",
        ]
        .iter()
        .map(|path| format!("{path}: {}", at(&schema, path)))
        .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        amount: Some({"null", "number"})
        currency: Some({"string"})
        limit: Some({"integer", "null"})
        customer.id: Some({"string"})
        customer.name: missing beside ["id"]
        free.x: open
        any.x: open
        far.x: open
        loop.x: open
        text.x: missing beside []
        nothing: missing beside ["amount", "any", "currency", "customer", "far", "free", "limit", "loop", "text"]
        "#);
        assert_eq!(at(&json!({ "type": "object" }), "x"), "open");
        assert_eq!(at(&json!({ "properties": {}, "additionalProperties": {} }), "x"), "open");
        assert_eq!(at(&json!({ "properties": {}, "patternProperties": {} }), "x"), "open");
        assert_eq!(at(&json!({ "properties": {} }), "x"), "missing beside []");
    }

    #[test]
    fn a_schema_that_grows_without_end_ends() {
        let wide: Vec<Value> = (0..1000).map(|_| json!({})).collect();
        assert_eq!(at(&json!({ "anyOf": wide }), "x"), "open");
        let twice = json!({ "$defs": { "a": { "anyOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/a" }] } }, "$ref": "#/$defs/a" });
        assert_eq!(at(&twice, "x"), "open");
    }
}
