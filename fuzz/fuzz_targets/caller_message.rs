//! Any bytes as what a caller sends: no panic, and however a server reads what reaches it, it holds no call that is
//! not allowed, and nothing that the caller did not say.
#![no_main]

#[path = "guarded/mod.rs"]
mod guarded;

use std::sync::{LazyLock, Mutex};

use bytes::Bytes;
use guarded::{Guarded, Says};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

static GUARDED: LazyLock<Mutex<Guarded>> = LazyLock::new(|| Mutex::new(Guarded::new()));

fuzz_target!(|data: &[u8]| {
    let said = serde_json::from_slice::<Value>(data).unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let params = &said["params"];
    let name = text(&params["name"]).or_else(|| text(&params["uri"])).or_else(|| text(&params["taskId"]));
    let method = text(&said["method"]).unwrap_or_default();
    let modern = said["params"]["_meta"].get("io.modelcontextprotocol/protocolVersion").is_some();
    let says = Says { content: "application/json", pieces: vec![Bytes::from_static(b"{}")] };
    let guarded = GUARDED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (_, _, reached) = guarded.ask(data, modern.then_some((&*method, name.as_deref())), says);
    let Some(reached) = reached else { return };
    let got: Value = serde_json::from_slice(&reached).expect("what is forwarded is JSON");
    let (method, params) = (got["method"].as_str(), &got["params"]);
    match method {
        Some("tools/call") => {
            assert_eq!(params["name"], "find", "{got}");
            let text = &params["arguments"]["text"];
            assert!(text.as_str().is_some_and(|text| text.chars().count() <= 8), "{got}");
        }
        Some("resources/read" | "resources/subscribe") => {
            assert!(params["uri"].as_str().is_some_and(|uri| uri.starts_with("file:///srv/manuals/")), "{got}");
        }
        _ => {}
    }
    within(&got, &said);
});

/// Everything that is said was said by the caller.
fn within(got: &Value, said: &Value) {
    match (got, said) {
        (Value::Object(got), Value::Object(said)) => {
            for (key, value) in got {
                within(value, said.get(key).unwrap_or_else(|| panic!("`{key}` is new")));
            }
        }
        (Value::Array(got), Value::Array(said)) if got.len() < said.len() => {
            assert!(got.iter().all(|value| said.contains(value)));
        }
        _ => assert_eq!(got, said),
    }
}
