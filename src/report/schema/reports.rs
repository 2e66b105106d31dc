//! The JSON Schemas of reports, derived from the types that are written.

use serde_json::{Value, json};

use crate::report::simulate::matrix;
use crate::report::{scenarios, simulate, status, suggest};
use crate::simulate::{PART_SCHEMA, PartFile};

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

/// The schema (draft 2020-12) of the JSON report of `simulate --matrix`, `doorward.matrix/v1`.
pub fn matrix_schema() -> Value {
    let mut schema = titled(
        matrix::schema().to_value(),
        "doorward matrix",
        "Several what-ifs of one policy, each with its whole rehearsal.",
        matrix::SCHEMA,
    );
    // As of one rehearsal.
    if let Some(whole) = schema.pointer_mut("/$defs/Whole").and_then(Value::as_object_mut) {
        whole.insert("unevaluatedProperties".to_owned(), json!(false));
    }
    schema
}

/// The schema (draft 2020-12) of the JSON report of `simulate` on scenarios, `doorward.scenarios/v1`.
pub fn scenarios_schema() -> Value {
    titled(
        scenarios::schema().to_value(),
        "doorward scenarios",
        "Whether recorded requests came out as scenarios expect.",
        scenarios::SCHEMA,
    )
}

/// The schema (draft 2020-12) of what `simulate --shard` writes, `doorward.part/v1`. It is what merges, and no report: what a
/// reader wants to know is in that of the whole.
pub fn part_schema() -> Value {
    titled(
        schemars::schema_for!(PartFile).to_value(),
        "doorward part",
        "What some shards of a rehearsal found, to be merged with the others.",
        PART_SCHEMA,
    )
}

/// The schema (draft 2020-12) of the JSON report of `suggest`, `doorward.suggestion/v1`.
pub fn suggestion_schema() -> Value {
    titled(
        suggest::schema().to_value(),
        "doorward suggestion",
        "The least policy that keeps recorded traffic working.",
        suggest::SCHEMA,
    )
}

/// The schema (draft 2020-12) of what a gateway says of itself, `doorward.status/v1`.
pub fn status_schema() -> Value {
    titled(
        status::schemas().0.to_value(),
        "doorward status",
        "Which policy a gateway enforces, and how it fares.",
        status::SCHEMA,
    )
}

/// The schema (draft 2020-12) of what came of a reload, `doorward.reload/v1`.
pub fn reload_schema() -> Value {
    let mut schema = titled(
        status::schemas().1.to_value(),
        "doorward reload",
        "What came of an attempt at another policy.",
        status::RELOAD_SCHEMA,
    );
    if let Some(object) = schema.as_object_mut() {
        object.remove("additionalProperties");
        object.insert("unevaluatedProperties".to_owned(), json!(false));
    }
    schema
}

fn titled(mut schema: Value, title: &str, description: &str, version: &str) -> Value {
    plain(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), json!(title));
        object.insert("description".to_owned(), json!(description));
    }
    if let Some(named) = schema.pointer_mut("/properties/schema").and_then(Value::as_object_mut) {
        named.insert("const".to_owned(), json!(version));
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
