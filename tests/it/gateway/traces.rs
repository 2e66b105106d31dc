//! Traces: one span for each decided message, in the trace of its caller, at a real receiver of OTLP.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Json, Router};
use doorward::diagnostics::Sources;
use doorward::model::Effect;
use doorward::traffic::fieldmap::{load, shipped};
use doorward::traffic::log;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, Status, status::StatusCode as Ended};
use prost::Message as _;
use serde_json::{Value, json};

use super::process::call;
use super::rig::{POLICY, Rig, http_server};

/// What a receiver got.
#[derive(Clone, Default)]
struct Received(Arc<Mutex<Vec<ResourceSpans>>>);

impl Received {
    fn spans(&self) -> Vec<Span> {
        let all = self.0.lock().unwrap();
        let scopes = all.iter().flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Waits until so many spans have come.
    async fn wait(&self, count: usize) -> Vec<Span> {
        let begin = Instant::now();
        loop {
            let spans = self.spans();
            if spans.len() >= count {
                return spans;
            }
            assert!(begin.elapsed() < Duration::from_mins(1), "only {} spans came", spans.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn served(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A receiver of OTLP over HTTP, in protobuf.
async fn receiver() -> (SocketAddr, Received) {
    async fn take(State(received): State<Received>, request: Request) -> StatusCode {
        assert_eq!(request.headers()["content-type"], "application/x-protobuf");
        let body = axum::body::to_bytes(request.into_body(), 16 << 20).await.unwrap();
        let export = ExportTraceServiceRequest::decode(body).unwrap();
        received.0.lock().unwrap().extend(export.resource_spans);
        StatusCode::OK
    }
    let received = Received::default();
    let app = Router::new().route("/v1/traces", axum::routing::post(take)).with_state(received.clone());
    (served(app).await, received)
}

/// A server that gives back where it was told to stand in a trace: in the head and in the body.
async fn mirror() -> SocketAddr {
    async fn answer(request: Request) -> Json<Value> {
        let head = request.headers().get("traceparent").map(|value| value.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let said = json!({ "head": head, "meta": body["params"]["_meta"]["traceparent"] }).to_string();
        let content = json!([{ "type": "text", "text": said }]);
        Json(json!({ "jsonrpc": "2.0", "id": body["id"], "result": { "resultType": "complete", "content": content } }))
    }
    served(Router::new().fallback(answer)).await
}

fn with_traces(receiver: SocketAddr) -> String {
    POLICY.replacen("[gateway]", &format!("[gateway]\ntraces = \"http://{receiver}/\""), 1)
}

/// A request of ana, with what all have in common.
fn request(rig: &Rig) -> reqwest::RequestBuilder {
    doorward::identity::ensure_crypto();
    reqwest::Client::new()
        .post(rig.url("http"))
        .header("authorization", format!("Bearer {}", rig.token("ana", &json!({}))))
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
}

/// Makes a call; gives the status and the answer.
async fn ask(rig: &Rig, message: &Value, head: Option<&str>) -> (u16, Value) {
    let mut request = request(rig)
        .header("content-type", "application/json")
        .header("mcp-method", message["method"].as_str().unwrap())
        .body(message.to_string());
    if let Some(name) = message["params"]["name"].as_str() {
        request = request.header("mcp-name", name);
    }
    if let Some(head) = head {
        request = request.header("traceparent", head);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

fn attribute(span: &Span, key: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    Some(match value {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        other => panic!("{key} is {other:?}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const OF_HEAD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const OF_MESSAGE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(flavor = "multi_thread")]
async fn every_decided_message_has_one_span_in_the_trace_of_its_caller() {
    let (address, received) = receiver().await;
    let rig = Rig::with(&with_traces(address), mirror().await).await;
    // In the trace that the message says, in that of the head, in one of its own.
    let mut inside = call(1, "add", &json!({ "a": 1, "b": "canary-argument" }));
    inside["params"]["_meta"]["traceparent"] = OF_MESSAGE.into();
    let (status, of_message) = ask(&rig, &inside, Some(OF_HEAD)).await;
    assert_eq!(status, 200, "{of_message}");
    let (_, of_head) = ask(&rig, &call(2, "add", &json!({ "a": 2, "b": "canary-argument" })), Some(OF_HEAD)).await;
    let (_, of_none) = ask(&rig, &call(3, "add", &json!({ "a": 3, "b": "canary-argument" })), None).await;
    // Denied by an argument, unknown, and not kept by whoever began the trace.
    assert_eq!(ask(&rig, &call(4, "add", &json!({ "a": 101, "b": "canary-argument" })), Some(OF_HEAD)).await.0, 403);
    assert_eq!(ask(&rig, &call(5, "backup", &json!({})), Some(OF_HEAD)).await.0, 403);
    let (_, unkept) = ask(&rig, &call(6, "add", &json!({ "a": 6 })), Some(&OF_HEAD.replace("-01", "-00"))).await;

    let spans = received.wait(5).await;
    let of = |id: &str| {
        let all: Vec<_> = spans.iter().filter(|s| attribute(s, "jsonrpc.request.id").as_deref() == Some(id)).collect();
        assert_eq!(all.len(), 1, "{id}: {spans:#?}");
        all[0]
    };
    let forwarded = |answer: &Value| -> Value {
        serde_json::from_str(answer["result"]["content"][0]["text"].as_str().unwrap()).unwrap()
    };
    for (id, answer, parent) in
        [("1", &of_message, Some(OF_MESSAGE)), ("2", &of_head, Some(OF_HEAD)), ("3", &of_none, None)]
    {
        let span = of(id);
        let place = format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.span_id));
        assert_eq!(forwarded(answer), json!({ "head": place, "meta": place }), "the server stands below the span");
        match parent {
            Some(parent) => {
                assert_eq!(format!("00-{}-{}-01", hex(&span.trace_id), hex(&span.parent_span_id)), parent);
            }
            None => assert!(span.parent_span_id.is_empty()),
        }
        assert_eq!((&*span.name, span.kind), ("tools/call add", 2));
        assert_eq!(span.status.as_ref().map(Status::code), Some(Ended::Unset));
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.start_time_unix_nano > 0);
    }
    assert!(forwarded(&unkept)["head"].as_str().unwrap().ends_with("-00"), "what is not kept is passed on so");

    // What a span says, but for what differs from run to run.
    let said = |span: &Span| -> Value {
        let attributes = span.attributes.iter().map(|one| (one.key.clone(), attribute(span, &one.key).unwrap().into()));
        let mut said: serde_json::Map<String, Value> = attributes.collect();
        assert_eq!(said.remove("doorward.request").unwrap().as_str().map(str::len), Some(16));
        assert!(said.remove("doorward.policy").unwrap().as_str().unwrap().starts_with("sha256:"));
        json!({ "name": span.name, "status": span.status.as_ref().map(|s| (s.code, &s.message)), "attributes": said })
    };
    insta::assert_json_snapshot!("spans", [said(of("1")), said(of("4")), said(of("5"))]);

    // The audit log leads to the trace, and the trace to the audit log.
    let rows = rig.rows().await;
    let intents: Vec<_> = rows.iter().filter(|row| row["kind"] == "intent" || row["kind"] == "denial").collect();
    assert_eq!(intents.len(), 6, "{rows:#?}");
    for span in &spans {
        let request = attribute(span, "doorward.request").unwrap();
        let row = intents.iter().find(|row| row["request"] == *request).unwrap();
        assert_eq!(row["trace"], *hex(&span.trace_id));
    }

    // No token, no subject, no argument.
    let all = received.0.lock().unwrap().clone();
    let bytes = ExportTraceServiceRequest { resource_spans: all.clone() }.encode_to_vec();
    let shown = String::from_utf8_lossy(&bytes);
    for secret in ["canary", "eyJ", "ana", "Bearer"] {
        assert!(!shown.contains(secret), "{secret}");
    }

    // And what was sent can be rehearsed.
    let export = json!({ "resourceSpans": serde_json::to_value(&all).unwrap() }).to_string();
    let map = load("otlp", shipped("otlp").unwrap().text.as_bytes(), &mut Sources::default()).unwrap();
    let mut events = Vec::new();
    let imported = log::read(export.as_bytes(), &map, None, &mut |item| {
        let event = item.unwrap().event;
        let foreign = event.foreign.as_ref().map(|foreign| foreign.effect);
        events.push((event.door.clone(), event.method.clone(), event.name.clone(), foreign));
        ControlFlow::Continue(())
    });
    assert!(imported.is_complete() && events.len() == 5, "{imported:#?}");
    let mut denied: Vec<_> =
        events.iter().filter(|event| event.3 == Some(Effect::Deny)).map(|event| &*event.2).collect();
    denied.sort_unstable();
    assert_eq!(denied, ["add", "backup"], "{events:?}");
    assert!(events.iter().all(|event| event.0 == "http" && event.1 == "tools/call"), "{events:?}");
    assert_eq!(events.iter().filter(|event| event.3 == Some(Effect::Allow)).count(), 3, "{events:?}");
    assert!(rig.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_before_it_is_read_has_a_span_too() {
    let (address, received) = receiver().await;
    let rig = Rig::with(&with_traces(address), mirror().await).await;
    let session = ("mcp-session-id", "a b");
    for (content, header, body) in
        [("application/json", ("x", "x"), "{"), ("text/plain", ("x", "x"), "{}"), ("application/json", session, "{}")]
    {
        let request = request(&rig).header("traceparent", OF_HEAD).header("content-type", content);
        assert!(request.header(header.0, header.1).body(body).send().await.unwrap().status().is_client_error());
    }
    let spans = received.wait(3).await;
    let mut reasons: Vec<_> = spans.iter().map(|span| attribute(span, "doorward.reason").unwrap()).collect();
    reasons.sort();
    assert_eq!(reasons, ["content-type", "header-malformed", "message-not-json"]);
    let below = spans.iter().filter(|span| hex(&span.trace_id) == OF_HEAD[3..35] && !span.parent_span_id.is_empty());
    assert_eq!(below.count(), 2, "where the head can be read, in the trace of the caller");
    assert!(rig.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn older_clients_and_programs_are_in_the_trace_too() {
    let (address, received) = receiver().await;
    let rig = Rig::with(&with_traces(address), http_server().await).await;
    for door in ["http", "stdio"] {
        let ana = super::served::client(&rig, door, "ana", false).await;
        assert_eq!(ana.call_tool(super::served::add(1, 2)).await.unwrap().content[0].as_text().unwrap().text, "3");
        ana.cancel().await.unwrap();
    }
    assert!(rig.stop().await, "what waits is sent before the gateway is gone");
    let methods = |door: &str| {
        let spans = received.spans();
        let of = spans.iter().filter(|span| attribute(span, "mcp.server.name").as_deref() == Some(door));
        let mut methods: Vec<_> = of.map(|span| span.name.clone()).collect();
        methods.sort();
        methods
    };
    for door in ["http", "stdio"] {
        let methods = methods(door);
        for method in ["initialize", "notifications/initialized", "tools/call add"] {
            assert_eq!(methods.iter().filter(|one| *one == method).count(), 1, "{door} {method}: {methods:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_is_gone_or_hangs_holds_up_nothing_and_what_is_lost_is_counted() {
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = SocketAddr::from(([127, 0, 0, 1], super::parts::free_port()));
    for (receiver, all_sent) in [(gone, true), (hanging.local_addr().unwrap(), false)] {
        let rig = Rig::with(&with_traces(receiver), mirror().await).await;
        for id in 0..20 {
            assert_eq!(ask(&rig, &call(id, "add", &json!({ "a": 1 })), None).await.0, 200);
        }
        let begin = Instant::now();
        while all_sent && lost(&rig).await < 20 {
            assert!(begin.elapsed() < Duration::from_mins(1), "nothing is counted as lost");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(rig.stop().await, "every call has ended by itself");
    }
}

/// How many spans could not be sent.
async fn lost(rig: &Rig) -> u64 {
    let metrics = reqwest::get(format!("http://{}/metrics", rig.admin)).await.unwrap().text().await.unwrap();
    let line = metrics.lines().find(|line| line.starts_with("doorward_spans_dropped_total{why=\"export\"}"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}
