//! The building blocks of the schema: closed tables, named maps and the texts of the language.

use serde_json::{Map, Value, json};

/// One key of a table.
pub(super) struct Key {
    name: &'static str,
    required: bool,
    schema: Value,
}

/// A key that may be left out.
pub(super) fn key(name: &'static str, description: &str, schema: Value) -> Key {
    Key { name, required: false, schema: described(description, schema) }
}

/// A key that must be there.
pub(super) fn required(name: &'static str, description: &str, schema: Value) -> Key {
    Key { required: true, ..key(name, description, schema) }
}

/// The same schema with a description, which editors show.
pub(super) fn described(description: &str, mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert("description".to_owned(), description.into());
    }
    schema
}

/// A table with these keys and no others.
pub(super) fn table(keys: impl IntoIterator<Item = Key>) -> Value {
    let (mut properties, mut needed) = (Map::new(), Vec::new());
    for key in keys {
        if key.required {
            needed.push(key.name);
        }
        properties.insert(key.name.to_owned(), key.schema);
    }
    let mut schema = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let (false, Some(object)) = (needed.is_empty(), schema.as_object_mut()) {
        object.insert("required".to_owned(), needed.into());
    }
    schema
}

/// A table whose keys are names of that form.
pub(super) fn named(pattern: &str, schema: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": false, "patternProperties": { pattern: schema } })
}

/// A table with any keys.
pub(super) fn map(schema: &Value) -> Value {
    json!({ "type": "object", "additionalProperties": schema })
}

/// The definition of that name.
pub(super) fn defined(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// A list.
pub(super) fn list(schema: &Value) -> Value {
    json!({ "type": "array", "items": schema })
}

/// One, or a list of at least one.
pub(super) fn one_or_many(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "array", "items": schema, "minItems": 1 }] })
}

/// One, or a list that may be empty.
pub(super) fn one_or_list(schema: &Value) -> Value {
    json!({ "anyOf": [schema, list(schema)] })
}

/// Any string but the empty one.
pub(super) fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

/// A string of that form.
pub(super) fn form(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// One of these words.
pub(super) fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    json!({ "enum": words.into_iter().collect::<Vec<_>>() })
}

/// `true` or `false`.
pub(super) fn boolean() -> Value {
    json!({ "type": "boolean" })
}

/// A count from zero.
pub(super) fn count() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

/// A whole number of that range.
pub(super) fn between(least: u32, most: u32) -> Value {
    json!({ "type": "integer", "minimum": least, "maximum": most })
}

/// The same schema with what holds when the key is left out.
pub(super) fn or(default: impl Into<Value>, mut schema: Value) -> Value {
    if let Some(object) = schema.as_object_mut() {
        object.insert("default".to_owned(), default.into());
    }
    schema
}
