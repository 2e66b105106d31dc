//! OTLP JSON: the spans of an export, each as one record.
//!
//! An export is an object with `resourceSpans`, as a collector's file exporter writes one a line. A
//! record holds `name`, `kind` (`SERVER`, `CLIENT` and so on), `start` and `end` in nanoseconds,
//! `traceId`, `spanId`, `parentSpanId`, `status`, `message`, `dropped` when attributes were, and as
//! objects `attributes`, `resource` and `scope`. Nothing else of a span is kept.

use serde_json::{Map, Value};

/// How deep attributes may nest.
const MAX_DEPTH: usize = 16;

/// Hands each span of an export to `take`, or what is wrong with it.
///
/// # Errors
///
/// When the document is no export of spans.
pub(super) fn spans(document: &Value, take: &mut dyn FnMut(Result<Value, String>)) -> Result<(), String> {
    let resources = document.get("resourceSpans").and_then(Value::as_array);
    for resource_spans in resources.ok_or("there is no list `resourceSpans`: this is no export of spans")? {
        let resource = resource_spans.get("resource").and_then(|r| r.get("attributes"));
        let scopes = resource_spans.get("scopeSpans").and_then(Value::as_array);
        for scope_spans in scopes.into_iter().flatten() {
            let scope = scope_spans.get("scope").and_then(|s| s.get("name")).cloned().unwrap_or_default();
            for span in scope_spans.get("spans").and_then(Value::as_array).into_iter().flatten() {
                take(record(span, resource, &scope));
            }
        }
    }
    Ok(())
}

fn record(span: &Value, resource: Option<&Value>, scope: &Value) -> Result<Value, String> {
    let Value::Object(span) = span else { return Err("the span is not an object".to_owned()) };
    let mut record = Map::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            record.insert(key.to_owned(), value);
        }
    };
    for (key, from) in [
        ("name", "name"),
        ("traceId", "traceId"),
        ("spanId", "spanId"),
        ("parentSpanId", "parentSpanId"),
        ("start", "startTimeUnixNano"),
        ("end", "endTimeUnixNano"),
    ] {
        put(key, span.get(from).cloned());
    }
    put("kind", span.get("kind").map(kind));
    let status = span.get("status");
    // What is not there is its default, as everywhere in OTLP.
    put("status", Some(status.and_then(|status| status.get("code")).map_or_else(|| "UNSET".into(), code)));
    put("message", status.and_then(|status| status.get("message")).cloned());
    put("dropped", span.get("droppedAttributesCount").filter(|n| n.as_u64() != Some(0)).cloned());
    put("attributes", Some(attributes(span.get("attributes"))?));
    put("resource", Some(attributes(resource)?));
    put("scope", Some(scope.clone()));
    Ok(Value::Object(record))
}

/// The kind of a span, a number or a name in OTLP JSON, as its bare name.
fn kind(value: &Value) -> Value {
    let name = match (value.as_u64(), value.as_str()) {
        (Some(1), _) => "INTERNAL",
        (Some(2), _) => "SERVER",
        (Some(3), _) => "CLIENT",
        (Some(4), _) => "PRODUCER",
        (Some(5), _) => "CONSUMER",
        (_, Some(text)) => text.strip_prefix("SPAN_KIND_").unwrap_or(text),
        _ => "UNSPECIFIED",
    };
    name.into()
}

fn code(value: &Value) -> Value {
    let name = match (value.as_u64(), value.as_str()) {
        (Some(1), _) => "OK",
        (Some(2), _) => "ERROR",
        (_, Some(text)) => text.strip_prefix("STATUS_CODE_").unwrap_or(text),
        _ => "UNSET",
    };
    name.into()
}

/// A list of keys with their values as an object.
fn attributes(list: Option<&Value>) -> Result<Value, String> {
    object(list, MAX_DEPTH).map(Value::Object)
}

fn object(list: Option<&Value>, depth: usize) -> Result<Map<String, Value>, String> {
    let mut map = Map::new();
    for attribute in list.and_then(Value::as_array).into_iter().flatten() {
        let key = attribute.get("key").and_then(Value::as_str).ok_or("an attribute has no `key`")?;
        let value = attribute.get("value").map_or(Ok(Value::Null), |value| any(value, depth))?;
        if map.insert(key.to_owned(), value).is_some() {
            return Err(format!("the attribute `{key}` stands twice"));
        }
    }
    Ok(map)
}

/// A value of any type: an object with one key that names the type.
fn any(value: &Value, depth: usize) -> Result<Value, String> {
    let depth = depth.checked_sub(1).ok_or("an attribute nests too deep")?;
    let Some((kind, inner)) = value.as_object().and_then(|map| map.iter().next()) else { return Ok(Value::Null) };
    match kind.as_str() {
        // 64-bit integers are texts in OTLP JSON.
        "intValue" => match inner.as_str() {
            Some(text) => text.parse::<i64>().map(Value::from).map_err(|_| format!("`{text}` is not a whole number")),
            None => Ok(inner.clone()),
        },
        "arrayValue" => {
            let values = inner.get("values").and_then(Value::as_array);
            values.into_iter().flatten().map(|value| any(value, depth)).collect::<Result<_, _>>().map(Value::Array)
        }
        "kvlistValue" => object(inner.get("values"), depth).map(Value::Object),
        "stringValue" | "boolValue" | "doubleValue" | "bytesValue" => Ok(inner.clone()),
        other => Err(format!("`{other}` is no type of value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> String {
        let mut out = Vec::new();
        let read = spans(&serde_json::from_str(text).unwrap(), &mut |span| {
            out.push(span.map_or_else(|error| error, |record| record.to_string()));
        });
        out.extend(read.err());
        out.join("\n")
    }

    #[test]
    fn a_span_becomes_one_record_with_plain_values() {
        insta::assert_snapshot!(records(r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"tickets"}}]},
            "scopeSpans":[{"scope":{"name":"mcp"},"spans":[{"traceId":"7a","spanId":"1","name":"tools/call search","kind":2,
            "startTimeUnixNano":"1772456400000000001","droppedAttributesCount":0,"status":{"code":2,"message":"no"},"attributes":[
            {"key":"i","value":{"intValue":"7"}},{"key":"b","value":{"boolValue":true}},{"key":"e","value":{}},
            {"key":"l","value":{"arrayValue":{"values":[{"stringValue":"x"},{"doubleValue":1.5}]}}},
            {"key":"m","value":{"kvlistValue":{"values":[{"key":"q","value":{"stringValue":"late"}}]}}}]},
            {"kind":"SPAN_KIND_CLIENT"},7,
            {"attributes":[{"key":"x","value":{"intValue":"1"}},{"key":"x","value":{"intValue":"2"}}]},
            {"attributes":[{"key":"x","value":{"intValue":"one"}}]},{"attributes":[{"key":"x","value":{"nullValue":1}}]},{"attributes":[{}]}]}]}]}"#), @r#"
        {"attributes":{"b":true,"e":null,"i":7,"l":["x",1.5],"m":{"q":"late"}},"kind":"SERVER","message":"no","name":"tools/call search","resource":{"service.name":"tickets"},"scope":"mcp","spanId":"1","start":"1772456400000000001","status":"ERROR","traceId":"7a"}
        {"attributes":{},"kind":"CLIENT","resource":{"service.name":"tickets"},"scope":"mcp","status":"UNSET"}
        the span is not an object
        the attribute `x` stands twice
        `one` is not a whole number
        `nullValue` is no type of value
        an attribute has no `key`
        "#);
        assert!(records("{}").contains("no export of spans"));
        let deep = format!("{}{}", r#"{"arrayValue":{"values":["#.repeat(20), "]}}".repeat(20));
        let text = format!(
            r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":[{{"key":"d","value":{deep}}}]}}]}}]}}]}}"#
        );
        assert_eq!(records(&text), "an attribute nests too deep");
    }
}
