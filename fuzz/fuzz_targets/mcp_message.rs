//! Any bytes as an MCP message: no panic, and what one strict reading took is what a lenient one sees.
#![no_main]

use doorward::mcp::{Limits, Message, Reach, parse};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Ok(message) = parse(data, Limits { bytes: 1 << 16, depth: 32 }) else { return };
    let lenient: Value = serde_json::from_slice(data).expect("a lenient parser reads what a strict one reads");
    if let Message::Request(request) = message {
        assert_eq!(lenient["method"].as_str(), Some(request.method.as_str()));
        assert_eq!(
            lenient.get("params").cloned().unwrap_or_else(|| Value::Object(Default::default())),
            Value::Object(request.params.clone())
        );
        if let Reach::Thing { name, .. } = &request.reach {
            assert!(!name.is_empty());
        }
    }
});
