//! A span in the words of OpenTelemetry: the semantic conventions for MCP where they have one, doorward's own
//! under `doorward.` for the rest.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::model::{Action, Effect};
use crate::pep::Span;

/// The longest name that a span is called by, in characters.
const NAME: usize = 128;

/// What is sent of a span that ended then.
pub(super) fn data(span: Span, ended: SystemTime) -> SpanData {
    let attributes = attributes(&span);
    let begun = UNIX_EPOCH + Duration::from_nanos(span.begun);
    let Span { context, parent, begun: _, door: _, method, name, effect, end, error, .. } = span;
    let target = match Action::from_method(&method) {
        // A name that is allowed is one that the policy speaks of.
        Action::ToolsCall | Action::PromptsGet if effect == Effect::Allow && name.chars().count() <= NAME => name,
        _ => String::new(),
    };
    let failed = effect == Effect::Deny || error.is_some() || !matches!(end, "answered" | "disconnected");
    SpanData {
        span_context: SpanContext::new(
            TraceId::from_bytes(context.trace),
            SpanId::from_bytes(context.span),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: parent.map_or(SpanId::INVALID, SpanId::from_bytes),
        parent_span_is_remote: parent.is_some(),
        span_kind: SpanKind::Server,
        name: if target.is_empty() { method } else { format!("{method} {target}") }.into(),
        start_time: begun,
        end_time: ended.max(begun),
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: if failed { Status::error(end) } else { Status::Unset },
        instrumentation_scope: InstrumentationScope::builder("doorward")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

fn attributes(span: &Span) -> Vec<KeyValue> {
    let named = match Action::from_method(&span.method) {
        Action::ToolsCall => Some("gen_ai.tool.name"),
        Action::PromptsGet => Some("gen_ai.prompt.name"),
        Action::ResourcesRead | Action::ResourcesSubscribe | Action::ResourcesUnsubscribe => Some("mcp.resource.uri"),
        _ => None,
    };
    let effect = if span.effect == Effect::Allow { "allow" } else { "deny" };
    let text = |text: &str| Value::from(text.to_owned());
    let maybe = |value: &Option<String>| value.as_deref().map(text);
    // Of a failure the conventions want its kind: the code of the JSON-RPC error, or doorward's own.
    let kind = match (span.effect, span.error, span.end) {
        (Effect::Deny, ..) => Some(text(&span.reason)),
        (Effect::Allow, Some(error), _) => Some(Value::from(error.to_string())),
        (Effect::Allow, None, "answered" | "disconnected") => None,
        (Effect::Allow, None, end) => Some(text(end)),
    };
    let all = [
        ("mcp.method.name", Some(text(&span.method))),
        ("mcp.protocol.version", maybe(&span.era)),
        ("mcp.session.id", maybe(&span.session)),
        ("mcp.server.name", Some(text(&span.door))),
        (named.unwrap_or_default(), named.map(|_| text(&span.name))),
        ("jsonrpc.request.id", maybe(&span.id)),
        ("rpc.response.status_code", span.error.map(|error| Value::from(error.to_string()))),
        ("http.response.status_code", span.status.map(|status| Value::from(i64::from(status)))),
        ("error.type", kind),
        ("network.transport", Some(Value::from("tcp"))),
        ("doorward.request", Some(text(&span.request))),
        ("doorward.decision", Some(Value::from(effect))),
        ("doorward.reason", Some(text(&span.reason))),
        ("doorward.rule", maybe(&span.rule)),
        ("doorward.end", Some(Value::from(span.end))),
        ("doorward.policy", Some(text(&span.policy))),
    ];
    all.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?))).collect()
}
