//! What the suite's server lists and says: names, schemas and answers, as the suite documents them.

use rmcp::model::Tool;
use serde_json::{Value, json};

use super::server::of;

/// A grey picture of one pixel.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";
/// A sound of no length.
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

/// Every tool that takes no arguments.
const PLAIN: [&str; 27] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_logging",
    "test_logging_tool",
    "test_tool_with_progress",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
    "failing_job",
    "protocol_error_job",
    "multi_input",
];

pub(super) fn tools() -> Vec<Tool> {
    let text = |name: &str| json!({"type": "object", "properties": {name: {"type": "string"}}, "required": [name]});
    let mut schemas: Vec<(&str, Value)> =
        PLAIN.into_iter().map(|name| (name, json!({"type": "object", "properties": {}}))).collect();
    schemas.extend([
        ("test_tool_with_task", json!({"type": "object", "properties": {}})),
        ("test_sampling", text("prompt")),
        ("test_elicitation", text("message")),
        ("greet", text("name")),
        ("confirm_delete", text("filename")),
        (
            "slow_compute",
            json!({"type": "object", "properties": {"seconds": {"type": "number"}, "label": {"type": "string"}}}),
        ),
        (
            "test_custom_header",
            json!({
                "type": "object",
                "properties": {"value": {"type": "string", "x-mcp-header": "Value"}},
                "required": ["value"],
            }),
        ),
        ("json_schema_2020_12_tool", schema_2020_12()),
    ]);
    let entry = |(name, schema)| json!({"name": name, "description": "for the suite", "inputSchema": schema});
    of(schemas.into_iter().map(entry).collect())
}

fn schema_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "address",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}},
        "allOf": [{"anyOf": [{"required": ["name"]}, {"required": ["address"]}]}],
        "if": {"required": ["address"]},
        "then": {"properties": {"address": {"required": ["street"]}}},
        "else": {"required": ["name"]},
        "additionalProperties": false,
    })
}

/// What a tool says that always says the same.
pub(super) fn fixed(tool: &str) -> Option<Value> {
    let text = |text: &str| json!({"type": "text", "text": text});
    let image = || json!({"type": "image", "data": PNG, "mimeType": "image/png"});
    let resource = |uri: &str, kind: &str, text: &str| json!({"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": text}});
    Some(match tool {
        "test_simple_text" => json!([text("This is a simple text response for testing.")]),
        "test_image_content" => json!([image()]),
        "test_audio_content" => json!([{"type": "audio", "data": WAV, "mimeType": "audio/wav"}]),
        "test_embedded_resource" => {
            let said = "This is an embedded resource content.";
            json!([resource("test://embedded-resource", "text/plain", said)])
        }
        "test_multiple_content_types" => {
            let said = r#"{"test":"data","value":123}"#;
            let resource = resource("test://mixed-content-resource", "application/json", said);
            json!([text("Multiple content types test:"), image(), resource])
        }
        _ => return None,
    })
}

pub(super) fn contact() -> Value {
    let text = |words: &str| json!({"type": "string", "description": words});
    let properties = json!({"username": text("User's response"), "email": text("User's email address")});
    json!({"type": "object", "properties": properties, "required": ["username", "email"]})
}

/// One property of each primitive type, with its default.
pub(super) fn defaults() -> Value {
    json!({"type": "object", "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    }})
}

/// One property of each way to choose.
pub(super) fn choices() -> Value {
    let plain = json!(["option1", "option2", "option3"]);
    let titled = json!([
        {"const": "value1", "title": "First"},
        {"const": "value2", "title": "Second"},
        {"const": "value3", "title": "Third"},
    ]);
    json!({"type": "object", "properties": {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {
            "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }})
}

pub(super) fn resources() -> Value {
    let entry =
        |uri: &str, kind: &str| json!({"uri": uri, "name": uri, "description": "for the suite", "mimeType": kind});
    json!([
        entry("test://static-text", "text/plain"),
        entry("test://static-binary", "image/png"),
        entry("test://watched-resource", "text/plain"),
    ])
}

pub(super) fn templates() -> Value {
    json!([{
        "uriTemplate": "test://template/{id}/data",
        "name": "template",
        "description": "for the suite",
        "mimeType": "application/json",
    }])
}

/// The contents of a resource.
pub(super) fn resource(uri: &str) -> Option<Value> {
    Some(match uri {
        "test://static-text" => {
            json!({"uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource."})
        }
        "test://static-binary" => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
        "test://watched-resource" => json!({"uri": uri, "mimeType": "text/plain", "text": "watched"}),
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let text = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")}).to_string();
            json!({"uri": uri, "mimeType": "application/json", "text": text})
        }
    })
}

pub(super) fn prompts() -> Value {
    let entry = |name: &str, arguments: &[&str]| {
        let arguments: Vec<Value> = arguments
            .iter()
            .map(|name| json!({"name": name, "description": "for the suite", "required": true}))
            .collect();
        json!({"name": name, "description": "for the suite", "arguments": arguments})
    };
    json!([
        entry("test_simple_prompt", &[]),
        entry("test_prompt_with_arguments", &["arg1", "arg2"]),
        entry("test_prompt_with_embedded_resource", &["resourceUri"]),
        entry("test_prompt_with_image", &[]),
        entry("test_input_required_result_prompt", &[]),
    ])
}

/// The messages of a prompt.
pub(super) fn prompt(name: &str, arguments: &Value) -> Option<Value> {
    let message = |content: Value| json!({"role": "user", "content": content});
    let text = |text: &str| message(json!({"type": "text", "text": text}));
    let argument = |name: &str| arguments[name].as_str().unwrap_or_default();
    Some(match name {
        "test_simple_prompt" => json!([text("This is a simple prompt for testing.")]),
        "test_prompt_with_arguments" => {
            let said = format!("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1"), argument("arg2"));
            json!([text(&said)])
        }
        "test_prompt_with_embedded_resource" => {
            let said = "Embedded resource content for testing.";
            let resource = json!({"uri": argument("resourceUri"), "mimeType": "text/plain", "text": said});
            json!([
                message(json!({"type": "resource", "resource": resource})),
                text("Please process the embedded resource above."),
            ])
        }
        "test_prompt_with_image" => {
            let image = json!({"type": "image", "data": PNG, "mimeType": "image/png"});
            json!([message(image), text("Please analyze the image above.")])
        }
        "test_input_required_result_prompt" => json!([text("With the context that was asked for.")]),
        _ => return None,
    })
}
