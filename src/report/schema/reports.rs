//! The JSON Schemas of reports, derived from the types that are written.

use serde_json::{Value, json};

use crate::report::{simulate, suggest};

/// The schema (draft 2020-12) of the JSON report of `simulate`, `doorward.simulation/v1`.
pub fn simulation_schema() -> Value {
    let mut schema = simulate::schema().to_value();
    plain(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        // The verdict of the gate is one of several, beside the rest: no alternative can close the object.
        object.insert("unevaluatedProperties".to_owned(), json!(false));
        object.insert("title".to_owned(), json!("doorward rehearsal"));
        object.insert("description".to_owned(), json!("What a policy would have answered to recorded requests."));
    }
    if let Some(version) = schema.pointer_mut("/properties/schema").and_then(Value::as_object_mut) {
        version.insert("const".to_owned(), json!(simulate::SCHEMA));
    }
    schema
}

/// The schema (draft 2020-12) of the JSON report of `suggest`, `doorward.suggestion/v1`.
pub fn suggestion_schema() -> Value {
    let mut schema = suggest::schema().to_value();
    plain(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), json!("doorward suggestion"));
        object.insert("description".to_owned(), json!("The least policy that keeps recorded traffic working."));
    }
    if let Some(version) = schema.pointer_mut("/properties/schema").and_then(Value::as_object_mut) {
        version.insert("const".to_owned(), json!(suggest::SCHEMA));
    }
    schema
}

/// Takes the links of the source's documentation out of descriptions.
fn plain(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(text) if key == "description" => *text = text.replace("[`", "`").replace("`]", "`"),
                    _ => plain(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(plain),
        _ => {}
    }
}
