//! Any bytes as what a server answers, as JSON or as events: no panic, and whatever a lenient client makes of what
//! passes, it holds no tool, no resource and no request that the caller may not have.
//!
//! The first byte says what was asked and how the answer comes, the second in how large pieces.
#![no_main]

#[path = "guarded/mod.rs"]
mod guarded;

use std::sync::{LazyLock, Mutex};

use bytes::Bytes;
use guarded::{Guarded, Says};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static GUARDED: LazyLock<Mutex<Guarded>> = LazyLock::new(|| Mutex::new(Guarded::new()));

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

fuzz_target!(|data: &[u8]| {
    let [how, size, said @ ..] = data else { return };
    let (method, name, params) = match how >> 1 & 3 {
        0 => ("tools/list", None, ""),
        1 => ("resources/list", None, ""),
        2 => ("tools/call", Some("find"), r#""name":"find","arguments":{"text":"a"},"#),
        _ => ("subscriptions/listen", None, r#""notifications":{"toolsListChanged":true},"#),
    };
    let modern = how & 8 == 0;
    let meta = if modern { META } else { r#""_meta":{}"# };
    let message = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}{meta}}}}}"#);
    let events = how & 1 == 1;
    let content = if events { "text/event-stream" } else { "application/json" };
    let pieces = said.chunks(usize::from(*size).max(1)).map(Bytes::copy_from_slice).collect();
    let guarded = GUARDED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (status, answer, _) =
        guarded.ask(message.as_bytes(), modern.then_some((method, name)), Says { content, pieces });
    if !events {
        harmless(&answer);
    } else if status == 200 {
        for event in events_of(&answer) {
            harmless(&event);
        }
    }
});

/// What a lenient client may read of JSON.
fn harmless(text: &[u8]) {
    let Ok(message) = serde_json::from_slice::<Value>(text) else { return };
    let list = |key: &str| message["result"][key].as_array().cloned().unwrap_or_default();
    for tool in list("tools") {
        assert_ne!(tool["name"], "refund", "{message}");
    }
    for resource in list("resources") {
        assert!(!resource["uri"].as_str().is_some_and(|uri| uri.starts_with("file:///srv/secret/")), "{message}");
    }
    for request in ["sampling/createMessage", "elicitation/create", "roots/list"] {
        assert_ne!(message["method"], request, "{message}");
    }
}

/// The events of a stream, read as the standard says: a byte order mark at its beginning, lines by LF, CR or CR LF.
fn events_of(stream: &[u8]) -> Vec<Vec<u8>> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let text = String::from_utf8_lossy(stream).replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut data) = (Vec::new(), String::new());
    for line in text.split('\n') {
        if line.is_empty() {
            events.push(std::mem::take(&mut data).into_bytes());
        } else if let Some(value) = line.strip_prefix("data") {
            let value = match value.strip_prefix(':') {
                Some(value) => value.strip_prefix(' ').unwrap_or(value),
                None if value.is_empty() => value,
                None => continue,
            };
            if !data.is_empty() {
                data.push('\n');
            }
            data.push_str(value);
        }
    }
    events
}
